//! One router gateway on this chassis: from its cr-lrp along OVN's references to its provider network and its subnets.
//!
//! Pure. Every row that is looked at, found or not, is recorded as a `Subject`: when such a row changes, the gateway is
//! resolved again, and the Southbound is asked for just these rows.

use std::{collections::BTreeSet, net::IpAddr};

use uuid::Uuid;

use super::{
    Problem,
    annotation::{self, Annotation},
    dynamic_routing, port,
};
use crate::{
    model::{Asn, MacAddr, Prefix, Vni},
    ovsdb::tables::PortBinding,
    southbound::{Replica, Subject},
};

/// A router gateway port that this chassis holds, annotated and complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The cr-lrp's logical port.
    pub name: Box<str>,
    /// What the gateway port is annotated with.
    pub annotation: Annotation,
    /// The AS: the gateway's, else its subnets', else None (the configured one).
    pub asn: Option<Asn>,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its addresses on the provider network.
    pub addresses: Vec<IpAddr>,
    /// The way to its provider network.
    pub localnet: Localnet,
    /// Annotated subnets of its router, in the order of their names.
    pub subnets: Vec<Subnet>,
}

/// A provider network's port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Localnet {
    /// The localnet's logical port: br-ex's patch port carries it as `ovn-localnet-port`.
    pub port: Box<str>,
    /// The physical network, as in ovn-bridge-mappings.
    pub network: Box<str>,
    /// The provider network's VLAN.
    pub tag: Option<u16>,
}

/// A tenant subnet behind a router port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The router port.
    pub router_port: Box<str>,
    /// The tenant network's datapath.
    pub datapath: Uuid,
    /// Its prefixes.
    pub prefixes: Vec<Prefix>,
}

/// What a gateway turned out to be.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The gateway, if it is one to be served here.
    pub gateway: Option<Gateway>,
    /// What is wrong with it or with single subnets of it.
    pub problems: Vec<Problem>,
    /// The VNI whose VRF's name OVN uses for the routes of its router.
    pub ovn_vrf: Option<Vni>,
    /// Everything that was looked at.
    pub seen: BTreeSet<Subject>,
}

/// Reads the replica and notes what was read.
pub(super) struct Look<'a> {
    replica: &'a Replica,
    /// The physical networks that this node is on.
    networks: Option<&'a BTreeSet<Box<str>>>,
    /// What was read.
    pub(super) seen: BTreeSet<Subject>,
}

impl<'a> Look<'a> {
    pub(super) fn new(replica: &'a Replica) -> Self {
        Self { replica, networks: None, seen: BTreeSet::new() }
    }

    pub(super) fn port(&mut self, name: &str) -> Option<&'a PortBinding> {
        self.seen.insert(Subject::Port(name.into()));
        self.replica.port(name)
    }

    /// The networks that the router with this port translates, if the Northbound has told.
    pub(super) fn translated(&mut self, router_port: &str) -> Option<&'a BTreeSet<Prefix>> {
        self.seen.insert(Subject::Port(router_port.into()));
        self.replica.translations().of(router_port)
    }

    fn patches(&mut self, datapath: Uuid) -> Vec<&'a PortBinding> {
        self.seen.insert(Subject::Patches(datapath));
        in_name_order(self.replica.patches_of(datapath))
    }

    pub(super) fn localnets(&mut self, datapath: Uuid) -> Vec<&'a PortBinding> {
        self.seen.insert(Subject::Localnets(datapath));
        in_name_order(self.replica.localnets_of(datapath))
    }
}

fn in_name_order<'a>(rows: impl Iterator<Item = &'a PortBinding>) -> Vec<&'a PortBinding> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| a.logical_port.cmp(&b.logical_port));
    rows
}

/// Resolves the gateway of this cr-lrp for a chassis that is on these physical networks.
pub fn resolve(replica: &Replica, name: &str, chassis: Uuid, networks: &BTreeSet<Box<str>>) -> Resolved {
    let mut look = Look { networks: Some(networks), ..Look::new(replica) };
    let mut problems = Vec::new();
    let Some(row) = replica.port(name).filter(|row| row.chassis == Some(chassis)) else {
        return Resolved::default();
    };
    let gateway = walk(&mut look, row, &mut problems).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    Resolved { gateway, problems, ovn_vrf: dynamic_routing::vrf(row), seen: look.seen }
}

/// `Ok(None)`: nothing to do and nothing wrong: not annotated, or a row has not arrived yet.
fn walk(
    look: &mut Look<'_>,
    redirect: &PortBinding,
    problems: &mut Vec<Problem>,
) -> Result<Option<Gateway>, Problem> {
    let name = &redirect.logical_port;
    let Some(router_port) = redirect.options.get("distributed-port").and_then(|port| look.port(port)) else {
        return Ok(None);
    };
    let Some(peer) = router_port.options.get("peer").and_then(|port| look.port(port)) else {
        return Ok(None);
    };
    let interfaces = interfaces(look, router_port);
    let annotation = match annotation::read(&peer.external_ids) {
        Ok(Some(annotation)) => annotation,
        Ok(None) => {
            problems.extend(interfaces.iter().filter_map(|interface| without_gateway(interface, name)));
            return Ok(None);
        }
        Err(error) => return Err(Problem::new(&peer.logical_port, None, error.to_string())),
    };
    let vni = annotation.vni;
    let wrong = |reason| Problem::new(name, Some(vni), reason);
    dynamic_routing::conflict(redirect).map_or(Ok(()), |reason| Err(wrong(reason)))?;
    // The cr-lrp's own `mac` is a copy of the router port's; the router port is what northd keeps first.
    let addresses = port::router(&redirect.mac).or_else(|_| port::router(&router_port.mac)).map_err(wrong)?;
    let Some(localnet) = localnet(look, peer.datapath).map_err(wrong)? else {
        return Ok(None);
    };
    let asn = annotation.asn.or_else(|| interfaces.iter().find_map(|interface| asn_for(interface, vni)));
    let mut subnets = Vec::new();
    for interface in interfaces {
        match subnet(look, &interface, vni, asn) {
            Ok(found) => subnets.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    let addresses_only = addresses.networks.iter().map(|network| network.addr()).collect();
    Ok(Some(Gateway {
        name: name.clone(),
        annotation,
        asn,
        mac: addresses.mac,
        addresses: addresses_only,
        localnet,
        subnets,
    }))
}

/// A router port towards a tenant network, with its peer on that network's switch.
pub(super) struct Interface<'a> {
    pub(super) router_port: &'a PortBinding,
    pub(super) peer: &'a PortBinding,
}

pub(super) fn interfaces<'a>(look: &mut Look<'a>, gateway_port: &PortBinding) -> Vec<Interface<'a>> {
    let mut found = Vec::new();
    for router_port in look.patches(gateway_port.datapath) {
        let is_gateway = router_port.logical_port == gateway_port.logical_port
            || router_port.options.get("chassis-redirect-port").is_some();
        let Some(peer) = router_port.options.get("peer").filter(|_| !is_gateway) else {
            continue;
        };
        if let Some(peer) = look.port(peer) {
            found.push(Interface { router_port, peer });
        }
    }
    found
}

fn asn_for(interface: &Interface<'_>, vni: Vni) -> Option<Asn> {
    annotation::read(&interface.peer.external_ids).ok()?.filter(|annotation| annotation.vni == vni)?.asn
}

fn without_gateway(interface: &Interface<'_>, gateway: &str) -> Option<Problem> {
    let annotation = annotation::read(&interface.peer.external_ids).ok()??;
    let reason =
        format!("its router's gateway {gateway} has no neutron_bgpvpn:vni: annotate the gateway port too");
    Some(Problem::new(&interface.peer.logical_port, Some(annotation.vni), reason))
}

fn subnet(
    look: &mut Look<'_>,
    interface: &Interface<'_>,
    vni: Vni,
    asn: Option<Asn>,
) -> Result<Option<Subnet>, Problem> {
    let Interface { router_port, peer } = interface;
    let wrong = |vni, reason| Problem::new(&peer.logical_port, vni, reason);
    let read = annotation::read(&peer.external_ids).map_err(|error| wrong(Some(vni), error.to_string()))?;
    let Some(annotation) = read else {
        return Ok(None);
    };
    if annotation.vni != vni {
        let reason =
            format!("annotated with VNI {}, but its router's gateway with VNI {vni}", annotation.vni);
        return Err(wrong(Some(annotation.vni), reason));
    }
    if let (Some(own), Some(gateways)) = (annotation.asn, asn)
        && own != gateways
    {
        return Err(wrong(
            Some(vni),
            format!("annotated with AS {own}, but its router's gateway with AS {gateways}"),
        ));
    }
    let networks = port::router(&router_port.mac).map_err(|reason| wrong(Some(vni), reason))?.networks;
    look.seen.insert(Subject::Workloads(peer.datapath));
    let prefixes: BTreeSet<Prefix> = networks.iter().map(Prefix::trunc).collect();
    Ok(Some(Subnet {
        router_port: router_port.logical_port.clone(),
        datapath: peer.datapath,
        prefixes: prefixes.into_iter().collect(),
    }))
}

/// A localnet port of a datapath, where it has one: then it is a provider network.
pub(super) fn localnet_of(replica: &Replica, datapath: Uuid) -> Option<&PortBinding> {
    replica.localnets_of(datapath).next()
}

/// The provider network's localnet. Where it has several, as a network of segments has, the one whose physical network is
/// mapped here; else the first by name.
fn localnet(look: &mut Look<'_>, datapath: Uuid) -> Result<Option<Localnet>, String> {
    let rows = look.localnets(datapath);
    let is_here = |row: &&PortBinding| {
        let network = row.options.get("network_name");
        network.zip(look.networks).is_some_and(|(network, networks)| networks.contains(network))
    };
    let Some(row) = rows.iter().copied().find(is_here).or(rows.first().copied()) else {
        return Ok(None);
    };
    let network = row.options.get("network_name").ok_or_else(|| {
        format!("localnet {} of its provider network has no options:network_name", row.logical_port)
    })?;
    Ok(Some(Localnet {
        port: row.logical_port.clone(),
        network: network.into(),
        tag: row.tag.filter(|tag| *tag != 0),
    }))
}
