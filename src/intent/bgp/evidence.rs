//! Whether a row says why the BGP mode does not offer an address (any more): what the brake counts.
//!
//! Pure. Where this node's own chassis is not known, nothing is explained: the Southbound is not filled.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use uuid::Uuid;

use super::{Intent, nat, router::Router};
use crate::{
    config::TenantNetworks,
    intent::{Unbound, port},
    model::Prefix,
    ovsdb::tables::PortBinding,
    southbound::{Replica, Sort, Subject, sort},
};

/// The rows at hand, asked about one address after the other.
pub struct Evidence<'a> {
    intent: &'a Intent,
    replica: &'a Replica,
    unbound: Unbound,
    spoken_of: Option<HashSet<IpAddr>>,
}

/// What may say what became of these addresses: the ports of provider networks, and of tenants' networks that have one of
/// them behind a router whose gateway is elsewhere. Some of it shows only when some has come.
pub fn wanted(intent: &Intent, replica: &Replica, lost: &BTreeSet<IpAddr>) -> BTreeSet<Subject> {
    if lost.is_empty() {
        return BTreeSet::new();
    }
    let mut wanted: BTreeSet<Subject> = replica.localnet_datapaths().map(Subject::Workloads).collect();
    if intent.tenants == TenantNetworks::None {
        return wanted;
    }
    for router in routers(replica, |row| row.chassis != intent.chassis) {
        wanted.insert(Subject::Patches(router));
        for port in replica.patches_of(router) {
            let Some(peer) = port.options.get("peer") else { continue };
            let networks = port::router(&port.mac).map(|read| read.networks).unwrap_or_default();
            let has_one =
                |network: &Prefix| lost.range(network.network()..=network.broadcast()).next().is_some();
            if !networks.iter().any(has_one) {
                continue;
            }
            wanted.insert(Subject::Port(peer.into()));
            wanted.extend(replica.port(peer).map(|peer| Subject::Workloads(peer.datapath)));
        }
    }
    wanted
}

/// The datapaths of the routers whose gateway is like that.
fn routers(replica: &Replica, is: impl Fn(&PortBinding) -> bool) -> HashSet<Uuid> {
    let ports = replica.rows_by_uuid().map(|(_, row)| row);
    ports.filter(|row| sort(row) == Sort::ChassisRedirect && is(row)).map(|row| row.datapath).collect()
}

impl<'a> Evidence<'a> {
    /// What can be said with these rows.
    pub fn new(intent: &'a Intent, replica: &'a Replica, unbound: Unbound) -> Self {
        Self { intent, replica, unbound, spoken_of: None }
    }

    /// Whether some row says why this address is not offered.
    pub fn explains(&mut self, address: IpAddr) -> bool {
        // Wished after all: it is held back for a reason of our own.
        if self.intent.claims.contains_key(&Prefix::from(address)) {
            return true;
        }
        if self.intent.chassis.is_none() || self.is_in(address, |router| &router.untold) {
            return false;
        }
        if self.spoken_of.is_none() {
            // What is on a router of this node is wished for.
            let elsewhere = routers(self.replica, |row| self.is_elsewhere(row));
            let ports = self.replica.rows_by_uuid().flat_map(|(_, row)| self.spoken(row, &elsewhere));
            self.spoken_of = Some(ports.chain(self.of_balancers(&elsewhere)).collect());
        }
        self.spoken_of.as_ref().is_some_and(|addresses| addresses.contains(&address))
            || self.is_in(address, |router| &router.translated)
    }

    /// Whether a router here has these networks, and one of them the address.
    fn is_in(&self, address: IpAddr, networks: fn(&Router) -> &BTreeSet<Prefix>) -> bool {
        let routers = self.intent.resolved.values().filter_map(|resolved| resolved.router.as_ref());
        routers.flat_map(networks).any(|network| network.contains(&address))
    }

    /// The addresses that a row says something about.
    fn spoken(&self, row: &PortBinding, elsewhere: &HashSet<Uuid>) -> Vec<IpAddr> {
        let mut spoken: Vec<IpAddr> = nat::entries(&row.nat_addresses)
            .filter(|entry| entry.resident.is_none_or(|port| self.is_told(port)))
            .flat_map(|entry| entry.addresses)
            .collect();
        match sort(row) {
            Sort::Workload if self.is_elsewhere(row) => {
                spoken.extend(port::workload(row).map(|(_, address)| address));
            }
            Sort::ChassisRedirect | Sort::Patch if elsewhere.contains(&row.datapath) => {
                let networks = port::router(&row.mac).map(|read| read.networks).unwrap_or_default();
                spoken.extend(networks.iter().map(Prefix::addr));
            }
            _ => {}
        }
        spoken
    }

    /// The addresses of load balancers on these routers.
    fn of_balancers(&self, elsewhere: &HashSet<Uuid>) -> impl Iterator<Item = IpAddr> {
        let balancers = self.replica.balancers();
        let moved =
            balancers.iter().filter(|(_, row)| balancers.places(row).any(|place| elsewhere.contains(&place)));
        moved.flat_map(|(_, row)| row.addresses())
    }

    /// A port that is not among those of this chassis is bound elsewhere, or nowhere.
    fn is_told(&self, port: &str) -> bool {
        self.replica.port(port).map_or(self.unbound == Unbound::LetGo, |row| self.is_elsewhere(row))
    }

    fn is_elsewhere(&self, row: &PortBinding) -> bool {
        let let_go = self.unbound == Unbound::LetGo && !self.replica.is_unclaimed(&row.logical_port);
        row.chassis.is_some() || let_go
    }
}
