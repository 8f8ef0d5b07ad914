//! What the Northbound alone tells: which networks a router hides behind an address of its own (SNAT). Read only where
//! `require_snat_disabled_for_tenant_networks` asks for it, and of all routers, since the Northbound has no condition for those
//! of one chassis.
//!
//! Pure: no I/O, no clock. A row that cannot be read is left out with a word in the log.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use uuid::Uuid;

use crate::{
    model::Prefix,
    ovsdb::{
        monitor::{Condition, TableMonitor, Where},
        row::{RawChange, Replica, ReplicaError, Row},
        tables::{LogicalRouter, LogicalRouterPort, Nat},
        updates::Updates,
    },
};

/// Column `type` of a rule that translates the source alone.
const SNAT: &str = "snat";

/// The rows to monitor.
pub fn monitors() -> Vec<TableMonitor> {
    vec![
        TableMonitor::of::<LogicalRouter>(Where::All),
        TableMonitor::of::<LogicalRouterPort>(Where::All),
        TableMonitor::of::<Nat>(Where::Any(vec![Condition::equal("type", SNAT)])),
    ]
}

/// The networks that routers translate, by router port.
#[derive(Debug, Default)]
pub struct Translations {
    routers: Replica<LogicalRouter>,
    ports: Replica<LogicalRouterPort>,
    rules: Replica<Nat>,
    /// The router of each port and rule, whether their rows are there or not.
    owners: HashMap<Uuid, Uuid>,
    /// Under which ports' names the networks of a router are known.
    named: HashMap<Uuid, Vec<Box<str>>>,
    networks: HashMap<Box<str>, BTreeSet<Prefix>>,
    touched: BTreeSet<Box<str>>,
}

impl Translations {
    /// The networks that the router with this port translates; None: the Northbound has not told of such a port.
    pub fn of(&self, router_port: &str) -> Option<&BTreeSet<Prefix>> {
        self.networks.get(router_port)
    }

    /// The router ports of which that has changed since this was last called.
    pub fn take_touched(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.touched)
    }

    /// These rows and no others stand.
    pub fn replace(
        &mut self,
        routers: Replica<LogicalRouter>,
        ports: Replica<LogicalRouterPort>,
        rules: Replica<Nat>,
    ) {
        let parts = |(router, row): (&Uuid, &LogicalRouter)| {
            parts(row).map(|part| (part, *router)).collect::<Vec<_>>()
        };
        self.owners = routers.iter().flat_map(parts).collect();
        let stale = self.named.keys().chain(routers.iter().map(|(router, _)| router)).copied().collect();
        (self.routers, self.ports, self.rules) = (routers, ports, rules);
        self.tell(&stale);
    }

    /// Takes in changes.
    ///
    /// # Errors
    /// The rows here are not those that the server believes: everything has to be read anew.
    pub fn apply(&mut self, updates: &Updates) -> Result<(), ReplicaError> {
        let mut stale = HashSet::new();
        if updates.reload() {
            stale.extend(self.named.keys().copied());
            (self.routers, self.ports, self.rules) = Default::default();
            self.owners.clear();
        }
        for change in updates.iter() {
            match self.take(&change, &mut stale) {
                Err(ReplicaError::Row(error)) => tracing::warn!(%error, "a Northbound row is put aside"),
                other => other?,
            }
        }
        self.tell(&stale);
        Ok(())
    }

    fn take(&mut self, change: &RawChange<'_>, stale: &mut HashSet<Uuid>) -> Result<(), ReplicaError> {
        match change.table {
            LogicalRouter::TABLE => {
                let before = self.routers.apply(change)?;
                for part in before.iter().flat_map(parts) {
                    if self.owners.get(&part) == Some(&change.uuid) {
                        self.owners.remove(&part);
                    }
                }
                let now = self.routers.get(&change.uuid).into_iter().flat_map(parts);
                self.owners.extend(now.map(|part| (part, change.uuid)));
                stale.insert(change.uuid);
            }
            LogicalRouterPort::TABLE => {
                self.ports.apply(change)?;
                stale.extend(self.owners.get(&change.uuid));
            }
            Nat::TABLE => {
                self.rules.apply(change)?;
                stale.extend(self.owners.get(&change.uuid));
            }
            _ => {}
        }
        Ok(())
    }

    /// The networks of these routers are what the rows say by now.
    fn tell(&mut self, routers: &HashSet<Uuid>) {
        let mut before = HashMap::new();
        for name in routers.iter().filter_map(|router| self.named.remove(router)).flatten() {
            before.extend(self.networks.remove_entry(&name));
        }
        for router in routers {
            let Some(row) = self.routers.get(router) else { continue };
            let rules = row.nat.iter().filter_map(|rule| self.rules.get(rule));
            let networks: BTreeSet<Prefix> = rules.filter_map(translated).collect();
            let ports = row.ports.iter().filter_map(|port| self.ports.get(port));
            let names: Vec<Box<str>> = ports.map(|port| port.name.clone()).collect();
            self.networks.extend(names.iter().map(|name| (name.clone(), networks.clone())));
            for name in &names {
                if before.remove(name).as_ref() != Some(&networks) {
                    self.touched.insert(name.clone());
                }
            }
            self.named.insert(*router, names);
        }
        self.touched.extend(before.into_keys());
    }
}

/// A router's ports and rules.
fn parts(router: &LogicalRouter) -> impl Iterator<Item = Uuid> {
    router.ports.iter().chain(&router.nat).copied()
}

/// The network that a rule translates.
fn translated(rule: &Nat) -> Option<Prefix> {
    if *rule.kind != *SNAT {
        return None;
    }
    let text = &*rule.logical_ip;
    text.parse::<Prefix>().map(|network| network.trunc()).or_else(|_| text.parse().map(IpAddr::into)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ovsdb::updates::Origin;

    fn uuid(n: u8) -> String {
        Uuid::from_u128(n.into()).to_string()
    }

    fn refer(all: &[u8]) -> Value {
        json!(["set", all.iter().map(|n| ["uuid".to_owned(), uuid(*n)]).collect::<Vec<_>>()])
    }

    /// A router (1) with two ports (2, 3) and one rule (4).
    fn whole() -> Value {
        json!({
            "Logical_Router": {uuid(1): {"initial": {"name": "r", "ports": refer(&[2, 3]), "nat": refer(&[4])}}},
            "Logical_Router_Port": {
                uuid(2): {"initial": {"name": "lrp-gw"}},
                uuid(3): {"initial": {"name": "lrp-sub"}},
            },
            "NAT": {uuid(4): {"initial": {"type": "snat", "logical_ip": "20.0.0.0/24"}}},
        })
    }

    fn told(translations: &mut Translations, update: &Value, origin: Origin) -> Vec<String> {
        translations.apply(&Updates::told(update, origin)).unwrap();
        translations.take_touched().iter().map(ToString::to_string).collect()
    }

    fn of(translations: &Translations, port: &str) -> Option<Vec<String>> {
        Some(translations.of(port)?.iter().map(ToString::to_string).collect())
    }

    fn read() -> Translations {
        let mut translations = Translations::default();
        assert_eq!(told(&mut translations, &whole(), Origin::Reload), ["lrp-gw", "lrp-sub"]);
        translations
    }

    #[test]
    fn what_a_router_translates_is_known_by_each_of_its_ports() {
        let translations = read();
        for port in ["lrp-gw", "lrp-sub"] {
            assert_eq!(of(&translations, port), Some(vec!["20.0.0.0/24".to_owned()]));
        }
        assert_eq!(of(&translations, "lrp-other"), None);
    }

    #[test]
    fn rules_come_change_and_go() {
        let mut translations = read();
        let changes = [
            (json!({"NAT": {uuid(4): {"modify": {"logical_ip": "20.0.1.7"}}}}), "20.0.1.7/32"),
            (json!({"NAT": {uuid(4): {"modify": {"logical_ip": "20.0.2.9/24"}}}}), "20.0.2.0/24"),
            (json!({"NAT": {uuid(4): {"modify": {"logical_ip": "nonsense"}}}}), ""),
            (json!({"NAT": {uuid(4): {"modify": {"logical_ip": "20.0.0.0/24"}}}}), "20.0.0.0/24"),
            (json!({"NAT": {uuid(4): {"modify": {"type": "dnat_and_snat"}}}}), ""),
        ];
        for (update, expected) in changes {
            assert_eq!(told(&mut translations, &update, Origin::Live), ["lrp-gw", "lrp-sub"], "{update}");
            assert_eq!(of(&translations, "lrp-gw").unwrap().join(" "), expected);
        }
        let gone = json!({
            "Logical_Router": {uuid(1): {"modify": {"nat": refer(&[4])}}},
            "NAT": {uuid(4): {"delete": null}},
        });
        assert_eq!(told(&mut translations, &gone, Origin::Live), [""; 0], "it was none any more");
        let another = json!({
            "NAT": {uuid(5): {"insert": {"type": "snat", "logical_ip": "20.0.0.0/24"}}},
            "Logical_Router": {uuid(1): {"modify": {"nat": refer(&[5])}}},
        });
        assert_eq!(told(&mut translations, &another, Origin::Live), ["lrp-gw", "lrp-sub"]);
        let off = json!({"Logical_Router": {uuid(1): {"delete": null}}});
        assert_eq!(told(&mut translations, &off, Origin::Live), ["lrp-gw", "lrp-sub"]);
        assert_eq!(of(&translations, "lrp-gw"), None);
    }

    #[test]
    fn a_port_that_moves_to_another_router_is_that_ones() {
        let mut translations = read();
        let moved = json!({"Logical_Router": {
            uuid(1): {"modify": {"ports": refer(&[3])}},
            uuid(6): {"insert": {"name": "s", "ports": refer(&[3])}},
        }});
        assert_eq!(told(&mut translations, &moved, Origin::Live), ["lrp-sub"]);
        assert_eq!(of(&translations, "lrp-sub"), Some(Vec::new()));
        assert_eq!(of(&translations, "lrp-gw").unwrap(), ["20.0.0.0/24"]);
    }

    #[test]
    fn read_anew_only_what_differs_is_touched() {
        let mut translations = read();
        assert_eq!(told(&mut translations, &whole(), Origin::Reload), [""; 0]);
        let mut other = whole();
        other["Logical_Router_Port"].as_object_mut().unwrap().remove(&uuid(3));
        assert_eq!(told(&mut translations, &other, Origin::Reload), ["lrp-sub"]);
        assert_eq!(told(&mut translations, &json!({}), Origin::Reload), ["lrp-gw"]);
    }

    #[test]
    fn a_row_that_cannot_be_read_harms_no_other_and_one_never_seen_is_a_divergence() {
        let mut translations = read();
        let bad = json!({
            "NAT": {uuid(7): {"insert": {"type": 7}}, uuid(4): {"modify": {"logical_ip": "20.0.9.0/24"}}},
        });
        assert_eq!(told(&mut translations, &bad, Origin::Live), ["lrp-gw", "lrp-sub"]);
        let strange = json!({"NAT": {uuid(8): {"modify": {"logical_ip": "20.0.0.0/24"}}}});
        assert!(translations.apply(&Updates::told(&strange, Origin::Live)).is_err());
    }
}
