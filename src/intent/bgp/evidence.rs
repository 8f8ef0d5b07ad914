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
    intent::{Unbound, port},
    model::Prefix,
    ovsdb::tables::PortBinding,
    southbound::{Replica, Sort, sort},
};

/// The rows at hand, asked about one address after the other.
pub struct Evidence<'a> {
    intent: &'a Intent,
    replica: &'a Replica,
    unbound: Unbound,
    spoken_of: Option<HashSet<IpAddr>>,
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
            let ports = self.replica.rows_by_uuid().flat_map(|(_, row)| self.spoken(row));
            self.spoken_of = Some(ports.chain(self.of_balancers_elsewhere()).collect());
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
    fn spoken(&self, row: &PortBinding) -> Vec<IpAddr> {
        let mut spoken: Vec<IpAddr> = nat::entries(&row.nat_addresses)
            .filter(|entry| entry.resident.is_none_or(|port| self.is_told(port)))
            .flat_map(|entry| entry.addresses)
            .collect();
        match sort(row) {
            Sort::Workload if self.is_elsewhere(row) => {
                spoken.extend(port::workload(row).map(|(_, address)| address));
            }
            Sort::ChassisRedirect if self.is_elsewhere(row) => {
                let networks = port::router(&row.mac).map(|read| read.networks).unwrap_or_default();
                spoken.extend(networks.iter().map(Prefix::addr));
            }
            _ => {}
        }
        spoken
    }

    /// The addresses of load balancers on routers whose gateway is elsewhere.
    fn of_balancers_elsewhere(&self) -> impl Iterator<Item = IpAddr> {
        let ports = self.replica.rows_by_uuid().map(|(_, row)| row);
        let gateways = ports.filter(|row| sort(row) == Sort::ChassisRedirect && self.is_elsewhere(row));
        let elsewhere: HashSet<Uuid> = gateways.map(|row| row.datapath).collect();
        let balancers = self.replica.balancers();
        let moved = balancers
            .iter()
            .filter(move |(_, row)| balancers.places(row).any(|place| elsewhere.contains(&place)));
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
