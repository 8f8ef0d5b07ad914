//! Gateways of one VNI on this node become one tenant; whoever claims what another holds is put aside with a reason.
//!
//! Who keeps an AS, a route distinguisher, a subnet or an address claimed twice: first who holds the VNI by the ledger and has
//! its AS, then others that the ledger names, then newcomers; of each, the smallest name. Route targets are no claim: the VRF
//! has those of all its gateways.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Gateway, Localnet, Problem, Tenant, TenantGateway, TenantSubnet};
use crate::{
    ledger::Entry,
    model::{Asn, Prefix, RouteTarget, Vni},
};

/// Merges the gateways of a VNI; None where none is left.
pub fn merge(
    vni: Vni,
    gateways: &[&Gateway],
    default_as: Asn,
    held: Option<&Entry>,
) -> (Option<Tenant>, Vec<Problem>) {
    if let Some(reason) = reserved(vni) {
        return (None, all_aside(vni, gateways, &reason));
    }
    let mut problems = Vec::new();
    let held_by = |gateway: &Gateway| held.filter(|entry| entry.gateways.contains(&gateway.name));
    let rank = |gateway: &Gateway| match held_by(gateway) {
        Some(entry) if entry.asn == gateway.asn.unwrap_or(default_as) => 0,
        Some(_) => 1,
        None => 2,
    };
    let mut ordered = gateways.to_vec();
    ordered.sort_by_key(|gateway| (rank(gateway), &gateway.name));
    let mut tenant: Option<Tenant> = None;
    let mut admitted = Vec::new();
    for gateway in ordered {
        let asn = gateway.asn.unwrap_or(default_as);
        let tenant = tenant.get_or_insert_with(|| Tenant::empty(vni, asn));
        match refusal(tenant, gateway, asn) {
            Some(reason) => problems.push(Problem::new(&gateway.name, Some(vni), reason)),
            None => {
                add(tenant, gateway, &mut problems);
                admitted.push(gateway);
            }
        }
    }
    let Some(mut tenant) = tenant.filter(|tenant| !tenant.gateways.is_empty()) else {
        return (None, problems);
    };
    let derived = RouteTarget::derived(tenant.asn, vni.get());
    tenant.import = shared(admitted.iter().map(|gateway| &gateway.annotation.import), derived);
    tenant.export = shared(admitted.iter().map(|gateway| &gateway.annotation.export), derived);
    (Some(tenant), problems)
}

/// None of these gateways can have the VNI.
pub fn all_aside(vni: Vni, gateways: &[&Gateway], reason: &str) -> Vec<Problem> {
    let aside = |gateway: &&Gateway| Problem::new(&gateway.name, Some(vni), reason.to_owned());
    gateways.iter().map(aside).collect()
}

/// The targets of a VRF are those of all its gateways. One that names none means the derived one, which FRR drops as soon as
/// another is configured: so it is named where others name theirs.
fn shared<'a>(
    targets: impl Iterator<Item = &'a BTreeSet<RouteTarget>> + Clone,
    derived: RouteTarget,
) -> BTreeSet<RouteTarget> {
    let mut all: BTreeSet<RouteTarget> = targets.clone().flatten().copied().collect();
    if !all.is_empty() && targets.into_iter().any(BTreeSet::is_empty) {
        all.insert(derived);
    }
    all
}

/// Why no tenant can have this VNI: a VRF's table has the VNI's number, and three tables are the kernel's own (include/uapi/linux/rtnetlink.h).
pub fn reserved(vni: Vni) -> Option<String> {
    let name = match vni.get() {
        253 => "default",
        254 => "main",
        255 => "local",
        _ => return None,
    };
    Some(format!(
        "VNI {vni} would need routing table {vni}, which is the kernel's table {name:?}: choose another VNI"
    ))
}

fn refusal(tenant: &Tenant, gateway: &Gateway, asn: Asn) -> Option<String> {
    let first = tenant.gateways.first()?;
    if asn != tenant.asn {
        return Some(format!(
            "wants AS {asn}, but {} holds VNI {} with AS {}",
            first.name, tenant.vni, tenant.asn
        ));
    }
    let taken =
        |other: &&TenantGateway| other.addresses.iter().any(|address| gateway.addresses.contains(address));
    let other = tenant.gateways.iter().find(taken)?;
    Some(format!("has the same address as {} in VNI {}", other.name, tenant.vni))
}

fn add(tenant: &mut Tenant, gateway: &Gateway, problems: &mut Vec<Problem>) {
    let index = tenant.gateways.len();
    if let (Some(held), Some(own)) = (tenant.rd, gateway.annotation.rd)
        && held != own
    {
        let reason = format!("its rd {own} is not used: VNI {} has {held} of another router", tenant.vni);
        problems.push(Problem::new(&gateway.name, Some(tenant.vni), reason));
    }
    tenant.rd = tenant.rd.or(gateway.annotation.rd);
    tenant.gateways.push(TenantGateway {
        name: gateway.name.clone(),
        mac: gateway.mac,
        addresses: gateway.addresses.clone(),
        localnet: gateway.localnet.clone(),
    });
    for subnet in &gateway.subnets {
        for &prefix in &subnet.prefixes {
            if let Err(reason) = add_prefix(tenant, index, gateway, subnet, prefix) {
                problems.push(Problem::new(&subnet.router_port, Some(tenant.vni), reason));
            }
        }
    }
}

fn add_prefix(
    tenant: &mut Tenant,
    index: usize,
    gateway: &Gateway,
    subnet: &super::Subnet,
    prefix: Prefix,
) -> Result<(), String> {
    let has_next_hop = gateway.addresses.iter().any(|address| same_family(address, &prefix));
    for standing in &mut tenant.subnets {
        if standing.router_port == subnet.router_port && standing.prefix == prefix {
            if has_next_hop {
                standing.gateways.push(index);
            }
            return Ok(());
        }
        if standing.prefix.contains(&prefix) || prefix.contains(&standing.prefix) {
            return Err(format!(
                "{prefix} overlaps with {} of {}, which holds it",
                standing.prefix, standing.router_port
            ));
        }
    }
    if !has_next_hop {
        let family = if prefix.addr().is_ipv4() { "IPv4" } else { "IPv6" };
        return Err(format!("{prefix} is not advertised: gateway {} has no {family} address", gateway.name));
    }
    tenant.subnets.push(TenantSubnet {
        router_port: subnet.router_port.clone(),
        datapath: subnet.datapath,
        prefix,
        gateways: vec![index],
    });
    Ok(())
}

/// Whether an address can be the next hop of a prefix.
pub fn same_family(address: &IpAddr, prefix: &Prefix) -> bool {
    address.is_ipv4() == prefix.addr().is_ipv4()
}

impl Tenant {
    fn empty(vni: Vni, asn: Asn) -> Self {
        Self {
            vni,
            asn,
            rd: None,
            import: BTreeSet::new(),
            export: BTreeSet::new(),
            gateways: Vec::new(),
            subnets: Vec::new(),
        }
    }

    /// The provider networks that its gateways are on, each once, in the order of the gateways.
    pub fn localnets(&self) -> Vec<&Localnet> {
        let mut localnets: Vec<&Localnet> = Vec::new();
        for gateway in &self.gateways {
            if !localnets.contains(&&gateway.localnet) {
                localnets.push(&gateway.localnet);
            }
        }
        localnets
    }
}
