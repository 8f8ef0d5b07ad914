//! Routers with their ports and networks, from Northbound rows; and what an operator's word means among them. It decides
//! nothing and writes nothing.

use std::collections::HashMap;

use uuid::Uuid;

use super::Role;
use crate::{
    model::Prefix,
    ovsdb::{
        row::{Replica, ReplicaError, Row},
        tables::{LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Nat},
        updates::Updates,
        value::Pairs,
    },
};

/// The rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Logical_Router
    pub routers: Replica<LogicalRouter>,
    /// Logical_Router_Port
    pub router_ports: Replica<LogicalRouterPort>,
    /// Logical_Switch
    pub switches: Replica<LogicalSwitch>,
    /// Logical_Switch_Port, those of type router.
    pub switch_ports: Replica<LogicalSwitchPort>,
    /// NAT, those of type snat.
    pub nats: Replica<Nat>,
}

impl Rows {
    /// Takes in changes.
    pub fn apply(&mut self, updates: &Updates) -> Result<(), ReplicaError> {
        if updates.reload() {
            *self = Self::default();
        }
        for change in updates.iter() {
            match change.table {
                LogicalRouter::TABLE => drop(self.routers.apply(&change)?),
                LogicalRouterPort::TABLE => drop(self.router_ports.apply(&change)?),
                LogicalSwitch::TABLE => drop(self.switches.apply(&change)?),
                LogicalSwitchPort::TABLE => drop(self.switch_ports.apply(&change)?),
                Nat::TABLE => drop(self.nats.apply(&change)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a router or network is called. Texts are fit for a terminal: control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its row.
    pub uuid: Uuid,
    /// Its name in OVN.
    pub ovn: String,
    /// Its name in Neutron, where it has one.
    pub neutron: Option<String>,
}

impl Name {
    fn new(uuid: Uuid, ovn: &str, neutron: Option<&str>) -> Self {
        let neutron = neutron.filter(|name| !name.is_empty()).map(plain);
        Self { uuid, ovn: plain(ovn), neutron }
    }

    /// Whether this word is its UUID, in OVN or in Neutron, or its name in OVN.
    fn is(&self, word: &str) -> bool {
        self.ovn == word || self.ovn.strip_prefix("neutron-") == Some(word) || word.parse() == Ok(self.uuid)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.neutron {
            Some(neutron) => write!(f, "{neutron} ({})", self.ovn),
            None => f.write_str(&self.ovn),
        }
    }
}

fn plain(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// A port of a router, seen from the switch: its Logical_Switch_Port carries the annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The row of the Logical_Switch_Port.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// What it is for the router.
    pub role: Role,
    /// The network that it is on.
    pub network: Uuid,
    /// The router's addresses there, each with its network's length.
    pub addresses: Vec<Prefix>,
    /// Everything that the Logical_Switch_Port carries.
    pub external_ids: Pairs,
}

/// A router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// What it is called.
    pub name: Name,
    /// Its ports: gateways first, then by name.
    pub ports: Vec<Port>,
    /// Networks inside that it hides behind an address of its gateway.
    pub snat: Vec<Prefix>,
}

impl Router {
    /// Its gateway ports.
    pub fn gateways(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.role == Role::Gateway)
    }

    /// Its ports towards tenant networks.
    pub fn interfaces(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.role == Role::Interface)
    }
}

/// All routers and networks, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The routers.
    pub routers: Vec<Router>,
    /// The networks.
    pub networks: Vec<Name>,
}

/// Why a word names no router or network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// None is called so.
    #[error("no {0} is called {1:?}, by name or UUID")]
    Nothing(&'static str, String),
    /// Several are.
    #[error("{0}s {1} have this name: say which by its UUID")]
    Several(&'static str, String),
}

impl Topology {
    /// What these rows show.
    pub fn of(rows: &Rows) -> Self {
        let mut switch_of = HashMap::new();
        for (uuid, switch) in rows.switches.iter() {
            switch_of.extend(switch.ports.iter().map(|port| (*port, *uuid)));
        }
        let mut peers: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for (uuid, port) in rows.switch_ports.iter() {
            peers.entry(port.options.get("router-port").unwrap_or_default()).or_default().push(*uuid);
        }
        let routers = rows.routers.iter().map(|(uuid, row)| {
            let mut ports: Vec<Port> = row
                .ports
                .iter()
                .filter_map(|port| rows.router_ports.get(port))
                .flat_map(|port| peers.get(&*port.name).into_iter().flatten().map(move |peer| (port, peer)))
                .filter_map(|(port, peer)| {
                    Some(of_router(port, *peer, rows.switch_ports.get(peer)?, &switch_of))
                })
                .collect();
            ports.sort_by(|a, b| (a.role != Role::Gateway, &a.name).cmp(&(b.role != Role::Gateway, &b.name)));
            let rules = row.nat.iter().filter_map(|nat| rows.nats.get(nat));
            Router {
                name: Name::new(*uuid, &row.name, row.external_ids.get("neutron:router_name")),
                ports,
                snat: rules.filter_map(|rule| prefix(&rule.logical_ip)).collect(),
            }
        });
        let mut routers: Vec<Router> = routers.collect();
        routers.sort_by(|a, b| a.name.ovn.cmp(&b.name.ovn));
        let networks = rows
            .switches
            .iter()
            .map(|(uuid, row)| Name::new(*uuid, &row.name, row.external_ids.get("neutron:network_name")));
        let mut networks: Vec<Name> = networks.collect();
        networks.sort_by(|a, b| a.ovn.cmp(&b.ovn));
        Self { routers, networks }
    }

    /// The router that this word names.
    pub fn router(&self, word: &str) -> Result<&Router, Unknown> {
        one("router", word, &self.routers, |router| &router.name)
    }

    /// The network that this word names.
    pub fn network(&self, word: &str) -> Result<&Name, Unknown> {
        one("network", word, &self.networks, |name| name)
    }

    /// What a network is called.
    pub fn network_name(&self, uuid: Uuid) -> String {
        let name = self.networks.iter().find(|name| name.uuid == uuid);
        name.map(Name::to_string).unwrap_or_default()
    }
}

fn of_router(
    router_port: &LogicalRouterPort,
    uuid: Uuid,
    port: &LogicalSwitchPort,
    switch_of: &HashMap<Uuid, Uuid>,
) -> Port {
    let is_gateway = !router_port.gateway_chassis.is_empty() || router_port.ha_chassis_group.is_some();
    Port {
        uuid,
        name: plain(&port.name),
        role: if is_gateway { Role::Gateway } else { Role::Interface },
        network: switch_of.get(&uuid).copied().unwrap_or_default(),
        addresses: router_port.networks.iter().filter_map(|network| prefix(network)).collect(),
        external_ids: port.external_ids.clone(),
    }
}

/// An address with a length, or an address alone.
fn prefix(text: &str) -> Option<Prefix> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(Prefix::from))
}

fn one<'a, T>(kind: &'static str, word: &str, all: &'a [T], name: fn(&T) -> &Name) -> Result<&'a T, Unknown> {
    let mut found: Vec<&T> = all.iter().filter(|item| name(item).is(word)).collect();
    if found.is_empty() {
        found = all.iter().filter(|item| name(item).neutron.as_deref() == Some(word)).collect();
    }
    match found.as_slice() {
        [] => Err(Unknown::Nothing(kind, word.to_owned())),
        [one] => Ok(one),
        several => {
            let names: Vec<&str> = several.iter().map(|item| &*name(item).ovn).collect();
            Err(Unknown::Several(kind, names.join(", ")))
        }
    }
}
