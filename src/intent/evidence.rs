//! Whether a row of the Southbound says why an address is not offered (any more), or whether the rows that offered it are
//! simply not there. What the brake counts is decided here.
//!
//! Pure. Nothing is remembered from before: the ledger names the gateways of a VNI, the rows at hand say the rest, so that
//! a start and a reconnect are judged alike.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use super::{Intent, port};
use crate::{
    ledger::Ledger,
    model::Vni,
    ovsdb::tables::PortBinding,
    southbound::{Replica, Subject},
};

/// What a port that is bound nowhere says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// That it was let go, unless its row was made anew: then nobody has claimed it yet.
    LetGo,
    /// Nothing: rows are being made anew, and who claims them comes later.
    NotClaimedYet,
}

/// The rows at hand, asked about one address after the other.
pub struct Evidence<'a> {
    intent: &'a Intent,
    replica: &'a Replica,
    ledger: &'a Ledger,
    unbound: Unbound,
    /// The addresses that rows of a VNI's networks speak of.
    spoken_of: BTreeMap<Vni, HashSet<IpAddr>>,
}

impl<'a> Evidence<'a> {
    /// What can be said with these rows.
    pub fn new(intent: &'a Intent, replica: &'a Replica, ledger: &'a Ledger, unbound: Unbound) -> Self {
        Self { intent, replica, ledger, unbound, spoken_of: BTreeMap::new() }
    }

    /// Whether some row says why a VNI does not offer this address.
    pub fn explains(&mut self, vni: Vni, address: IpAddr) -> bool {
        let Some(tenant) = self.intent.tenant(vni) else {
            let held = self.ledger.get(vni).map(|entry| &entry.gateways[..]).unwrap_or_default();
            return !held.is_empty() && held.iter().all(|gateway| self.gateway_says(gateway));
        };
        let of_gateway = || tenant.gateways.iter().any(|gateway| gateway.addresses.contains(&address));
        // Wished after all: it is held back for a reason of our own.
        if self.intent.wishes(vni, address) || of_gateway() {
            return true;
        }
        if tenant.subnets.iter().any(|subnet| subnet.prefix.contains(&address)) {
            return self.workload_says(vni, address);
        }
        self.subnet_says(vni, address) || self.other_gateway_says(vni)
    }

    /// A gateway's row is there, and says that it is elsewhere, nowhere, or not to be offered. Where this node's name has no
    /// chassis it can't have been let go by it, but what a chassis holds is elsewhere.
    fn gateway_says(&self, name: &str) -> bool {
        let Some(row) = self.replica.port(name) else {
            return false;
        };
        match (row.chassis, self.intent.chassis) {
            (None, None) => false,
            (None, Some(_)) => self.was_let_go(row),
            (Some(bound), here) => here != Some(bound) || self.is_complete(name),
        }
    }

    fn was_let_go(&self, row: &PortBinding) -> bool {
        self.unbound == Unbound::LetGo && !self.replica.is_unclaimed(&row.logical_port)
    }

    /// Every row on the way from a gateway to its networks is there.
    fn is_complete(&self, gateway: &str) -> bool {
        let there = |subject: &Subject| match subject {
            Subject::Port(name) => self.replica.port(name).is_some(),
            Subject::Localnets(datapath) => self.replica.localnets_of(*datapath).next().is_some(),
            Subject::Patches(_) | Subject::Workloads(_) | Subject::OnChassis(_) | Subject::Nat => true,
            Subject::Balancers | Subject::Group(_) => true,
        };
        self.intent.resolved.get(gateway).is_some_and(|resolved| resolved.seen.iter().all(there))
    }

    fn workload_says(&mut self, vni: Vni, address: IpAddr) -> bool {
        if !self.spoken_of.contains_key(&vni) {
            let spoken_of = self.workload_addresses(vni);
            self.spoken_of.insert(vni, spoken_of);
        }
        self.spoken_of.get(&vni).is_some_and(|addresses| addresses.contains(&address))
    }

    fn workload_addresses(&self, vni: Vni) -> HashSet<IpAddr> {
        let subnets = self.intent.tenant(vni).into_iter().flat_map(|tenant| &tenant.subnets);
        let rows = subnets
            .flat_map(|subnet| self.replica.workloads_of(subnet.datapath))
            .filter_map(|uuid| self.replica.get(&uuid))
            .filter(|row| row.chassis.is_some() || self.was_let_go(row));
        rows.flat_map(port::workload).map(|(_, address)| address).collect()
    }

    /// A router port with this subnet is still there, and its peer: what became of it is said by the peer's annotation.
    fn subnet_says(&self, vni: Vni, address: IpAddr) -> bool {
        let tenant = self.intent.tenant(vni);
        let gateways = tenant.into_iter().flat_map(|tenant| &tenant.gateways);
        let routers = gateways.filter_map(|gateway| self.replica.port(&gateway.name)).map(|row| row.datapath);
        routers.flat_map(|router| self.replica.patches_of(router)).any(|row| {
            let has_peer = row.options.get("peer").is_some_and(|peer| self.replica.port(peer).is_some());
            let is_gateway = row.options.get("chassis-redirect-port").is_some();
            let networks = port::router(&row.mac).map(|addresses| addresses.networks).unwrap_or_default();
            has_peer && !is_gateway && networks.iter().any(|network| network.contains(&address))
        })
    }

    /// Another gateway of this VNI is there and serves no more; the address may have been behind it.
    fn other_gateway_says(&self, vni: Vni) -> bool {
        let serving = |name: &str| {
            self.intent
                .tenant(vni)
                .is_some_and(|tenant| tenant.gateways.iter().any(|gateway| *gateway.name == *name))
        };
        let held = self.ledger.get(vni).into_iter().flat_map(|entry| &entry.gateways);
        held.filter(|name| !serving(name)).any(|name| self.gateway_says(name))
    }
}
