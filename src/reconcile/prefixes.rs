//! Where single addresses stand: those of one VNI in pages, or one address wherever it is offered. Costs what is told.

use std::net::IpAddr;

use serde::Serialize;

use super::{Drain, Reconciler, slice::Trouble};
use crate::model::{Prefix, Vni};

/// Why an address of a drained node does not stand.
const DRAINED: &str = "this node is drained; `bgp-agent undrain` takes it back";

/// One address that is to be advertised.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct PrefixStatus {
    /// The VNI; None: a plain route of the BGP mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The address.
    pub address: IpAddr,
    /// `gateway`, or `vm`; of a plain route also `port`, `floating IP`, `load balancer`, `subnet` or
    /// `tenant`.
    pub of: &'static str,
    /// `kernel`: it stands where BGP takes it from; `pending`; `drained`: this node is, and so it is
    /// withdrawn; `held`, `refused` or `conflict`, see the reason.
    pub state: &'static str,
    /// Why it does not stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Reconciler {
    /// The addresses of a VNI in order, `most` of them, from the first behind `after`.
    pub fn prefixes(&self, vni: Vni, after: Option<IpAddr>, most: usize) -> Vec<PrefixStatus> {
        let gateways = self.gateway_addresses(vni).map(|ip| (ip, "gateway"));
        let vms = self.intent.addresses_of(vni, after).map(|ip| (ip, "vm"));
        let gateways = gateways.filter(|(ip, _)| after.is_none_or(|after| *ip > after));
        let mut found: Vec<_> = gateways.chain(vms.take(most)).collect();
        found.sort_unstable();
        found.dedup_by_key(|(ip, _)| *ip);
        found.into_iter().take(most).map(|(ip, of)| self.prefix(Some(vni), ip, of)).collect()
    }

    /// An address in every VNI that is to advertise it, and as a plain route.
    pub fn find(&self, address: IpAddr) -> Vec<PrefixStatus> {
        let mut found = Vec::new();
        for tenant in self.intent.tenants() {
            if self.gateway_addresses(tenant.vni).any(|ip| ip == address) {
                found.push(self.prefix(Some(tenant.vni), address, "gateway"));
            } else if self.intent.wishes(tenant.vni, address) {
                found.push(self.prefix(Some(tenant.vni), address, "vm"));
            }
        }
        let plain = self.bgp.exposure(&Prefix::from(address));
        found.extend(plain.map(|exposure| self.prefix(None, address, exposure.kind.word())));
        found
    }

    fn gateway_addresses(&self, vni: Vni) -> impl Iterator<Item = IpAddr> {
        let gateways = self.intent.tenant(vni).into_iter().flat_map(|tenant| &tenant.gateways);
        gateways.flat_map(|gateway| gateway.addresses.iter().copied())
    }

    fn prefix(&self, vni: Option<Vni>, address: IpAddr, of: &'static str) -> PrefixStatus {
        let key = self.exposed_of(vni, address).key();
        let stands = self.core.actual(&key).is_some();
        let (state, reason) = match self.core.standing(&key) {
            None if stands => ("kernel", None),
            _ if self.drain == Drain::Withdrawn => ("drained", Some(DRAINED)),
            // Nothing is open where its VNI is not served yet: what has another AS goes first.
            None | Some(None) => ("pending", None),
            Some(Some((Trouble::Conflict, reason))) => ("conflict", Some(reason)),
            Some(Some((Trouble::Refused, reason))) => ("refused", Some(reason)),
            Some(Some((Trouble::Waits, reason))) => ("held", Some(reason)),
        };
        PrefixStatus { vni: vni.map(Vni::get), address, of, state, reason: reason.map(str::to_owned) }
    }
}
