//! One router gateway on this chassis, as the BGP mode sees it: its own addresses, and the tenants' networks behind it.

use std::{collections::BTreeSet, net::IpAddr};

use uuid::Uuid;

use super::{Claims, Exposure, Intent, Kind, Way};
use crate::{
    config::{TenantNetworks, Underlay},
    intent::{
        Problem,
        gateway::{Interface, Look, interfaces},
        port, same_family,
    },
    model::{MacAddr, Prefix},
    ovsdb::tables::PortBinding,
    southbound::{Replica, Subject},
};

/// A router whose gateway port is on this chassis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// The cr-lrp's logical port.
    pub name: Box<str>,
    /// The router's datapath.
    pub datapath: Uuid,
    /// The provider network's datapath.
    pub network: Uuid,
    /// The gateway port's MAC.
    pub mac: MacAddr,
    /// Its addresses on the provider network, each with the length of its network.
    pub networks: Vec<Prefix>,
    /// The datapaths of the networks behind it.
    pub behind: BTreeSet<Uuid>,
    /// The tenants' subnets that may be offered.
    pub subnets: Vec<RouterSubnet>,
    /// The networks that it translates to its own address, where those are not to be offered.
    pub translated: BTreeSet<Prefix>,
    /// The subnets that would be offered, had the Northbound told of the router.
    pub untold: BTreeSet<Prefix>,
    /// It is the EVPN mode's: neither its own addresses nor its subnets are offered here.
    pub is_evpns: bool,
}

impl Router {
    /// Its addresses on the provider network.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.networks.iter().map(Prefix::addr)
    }
}

/// A tenant's subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterSubnet {
    /// The router port.
    pub router_port: Box<str>,
    /// The tenant network's datapath.
    pub datapath: Uuid,
    /// The subnet.
    pub prefix: Prefix,
    /// The router's address on it.
    pub address: IpAddr,
    /// The router's address on the provider network.
    pub via: IpAddr,
}

/// What a gateway turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The router, if the gateway is here and on a provider network.
    pub router: Option<Router>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Everything that was looked at.
    pub seen: BTreeSet<Subject>,
}

impl Resolved {
    /// Its subnets, and where they are behind.
    pub fn subnets(&self) -> Option<(Uuid, &[RouterSubnet])> {
        self.router.as_ref().map(|router| (router.network, &*router.subnets))
    }

    /// The datapaths of the router and of the networks behind it.
    pub fn places(&self) -> BTreeSet<Uuid> {
        let of = |router: &Router| router.behind.iter().copied().chain([router.datapath]).collect();
        self.router.as_ref().map(of).unwrap_or_default()
    }

    /// What the gateway port itself offers.
    pub fn claims(&self) -> Claims {
        let routers = self.router.iter().filter(|router| !router.is_evpns);
        let claim = |router: &Router, address: IpAddr| {
            let (kind, port, way) = (Kind::Gateway, router.name.clone(), Way::Direct(Some(router.mac)));
            (Prefix::from(address), Exposure { kind, port, network: router.network, way })
        };
        routers.flat_map(|router| router.addresses().map(move |address| claim(router, address))).collect()
    }
}

/// Resolves the gateway of this cr-lrp for a chassis.
pub fn resolve(replica: &Replica, name: &str, chassis: Uuid, intent: &Intent) -> Resolved {
    let Some(row) = replica.port(name).filter(|row| row.chassis == Some(chassis)) else {
        return Resolved::default();
    };
    let mut look = Look::new(replica);
    let mut problems = Vec::new();
    let router = walk(&mut look, row, intent).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    Resolved { router, problems, seen: look.seen }
}

/// The addresses of the router whose port on the provider network has this peer there.
pub fn addresses(replica: &Replica, peer: &PortBinding) -> Vec<IpAddr> {
    let router_port = peer.options.get("peer").and_then(|name| replica.port(name));
    let read = router_port.and_then(|row| port::router(&row.mac).ok());
    read.into_iter().flat_map(|read| read.networks).map(|network| network.addr()).collect()
}

/// `Ok(None)`: a row has not arrived yet, or the gateway is on no provider network.
fn walk(look: &mut Look<'_>, redirect: &PortBinding, intent: &Intent) -> Result<Option<Router>, Problem> {
    let Some(router_port) = redirect.options.get("distributed-port").and_then(|port| look.port(port)) else {
        return Ok(None);
    };
    let Some(peer) = router_port.options.get("peer").and_then(|port| look.port(port)) else {
        return Ok(None);
    };
    if look.localnets(peer.datapath).is_empty() {
        return Ok(None);
    }
    let is_evpns = intent.leaves(peer);
    let read = match port::router(&redirect.mac).or_else(|_| port::router(&router_port.mac)) {
        Ok(read) => read,
        // The EVPN mode says so.
        Err(_) if is_evpns => return Ok(None),
        Err(reason) => return Err(Problem::new(&redirect.logical_port, None, reason)),
    };
    let addresses: Vec<IpAddr> = read.networks.iter().map(Prefix::addr).collect();
    let told = match intent.options.without_snat {
        true => look.translated(&router_port.logical_port).cloned(),
        false => Some(BTreeSet::new()),
    };
    let is_told = told.is_some();
    let translated = told.unwrap_or_default();
    let (mut behind, mut subnets) = (BTreeSet::new(), Vec::new());
    for interface in interfaces(look, router_port) {
        behind.insert(interface.peer.datapath);
        if intent.tenants != TenantNetworks::None && !is_evpns {
            subnets.extend(subnets_of(look, &interface, &addresses, &translated, intent));
        }
    }
    // Until the Northbound has told of the router nothing behind it is offered.
    let (subnets, untold) = if is_told { (subnets, Vec::new()) } else { (Vec::new(), subnets) };
    Ok(Some(Router {
        name: redirect.logical_port.clone(),
        datapath: redirect.datapath,
        network: peer.datapath,
        mac: read.mac,
        networks: read.networks,
        behind,
        subnets,
        translated,
        untold: untold.into_iter().map(|subnet| subnet.prefix).collect(),
        is_evpns,
    }))
}

/// The subnets of a router port. One on a provider network is none of a tenant: its ports are offered where they are.
fn subnets_of(
    look: &mut Look<'_>,
    interface: &Interface<'_>,
    gateways: &[IpAddr],
    translated: &BTreeSet<Prefix>,
    intent: &Intent,
) -> Vec<RouterSubnet> {
    let Interface { router_port, peer } = interface;
    if !look.localnets(peer.datapath).is_empty() {
        return Vec::new();
    }
    look.seen.insert(Subject::Workloads(peer.datapath));
    let networks = port::router(&router_port.mac).map(|read| read.networks).unwrap_or_default();
    let offered = |network: &Prefix| {
        let is_meant = intent.tenants == TenantNetworks::All || is_global(network.addr());
        let is_translated = translated.iter().any(|inside| inside.contains(&network.addr()));
        is_meant && !is_translated && is_in_scope(peer, network, &intent.options)
    };
    let subnet = |network: Prefix| {
        Some(RouterSubnet {
            router_port: router_port.logical_port.clone(),
            datapath: peer.datapath,
            prefix: network.trunc(),
            address: network.addr(),
            via: *gateways.iter().find(|gateway| same_family(gateway, &network))?,
        })
    };
    networks.into_iter().filter(offered).filter_map(subnet).collect()
}

/// A global unicast IPv6 address: 2000::/3 is all that is given out (RFC 4291, 2.4; IANA's registry).
fn is_global(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] >> 13 == 1)
}

/// Neutron writes the address scope of a port's subnet pool on the port.
fn is_in_scope(peer: &PortBinding, network: &Prefix, options: &Underlay) -> bool {
    let key = match network {
        Prefix::V4(_) => "neutron:subnet_pool_addr_scope4",
        Prefix::V6(_) => "neutron:subnet_pool_addr_scope6",
    };
    options.scopes.is_empty()
        || peer.external_ids.get(key).is_some_and(|scope| options.scopes.contains(scope))
}
