//! What is associated, as an operator reads it: `list` and `show`, and both as JSON. It decides nothing.

use serde::Serialize;

use super::{
    Role, annotated,
    topology::{Port, Router, Topology},
};
use crate::{
    intent::annotation::{self, Annotation},
    model::RouteTarget,
};

/// A router with its ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouterView {
    /// Its name in OVN.
    pub router: String,
    /// Its name in Neutron.
    pub name: Option<String>,
    /// The VNI of its gateway, else of the first port that has one.
    pub vni: Option<u32>,
    /// The AS; None: the agents' bgp_AS.
    #[serde(rename = "as")]
    pub asn: Option<u32>,
    /// Route distinguisher; None: FRR's own.
    pub rd: Option<String>,
    /// Route targets to import; empty: FRR's own.
    pub import: Vec<String>,
    /// Route targets to export; empty: FRR's own.
    pub export: Vec<String>,
    /// Its ports, gateways first.
    pub ports: Vec<PortView>,
}

/// A port of a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortView {
    /// The Logical_Switch_Port.
    pub port: String,
    /// What it is for the router.
    pub role: Role,
    /// The network that it is on.
    pub network: String,
    /// The router's addresses there.
    pub addresses: Vec<String>,
    /// Whether it has an annotation.
    pub annotated: bool,
    /// Why agents put it aside, where that can be seen from here.
    pub problem: Option<String>,
}

/// All routers with an annotated port.
pub fn list(topology: &Topology) -> Vec<RouterView> {
    let has_one = |router: &&Router| router.ports.iter().any(is_annotated);
    topology.routers.iter().filter(has_one).map(|router| view(topology, router)).collect()
}

/// A router.
pub fn view(topology: &Topology, router: &Router) -> RouterView {
    let read = |port: &Port| annotation::read(&port.external_ids).ok().flatten();
    let gateways = router.gateways().find_map(read);
    let shown = gateways.clone().or_else(|| router.ports.iter().find_map(read));
    let texts = |targets: fn(&Annotation) -> &std::collections::BTreeSet<RouteTarget>| {
        shown.iter().flat_map(targets).map(RouteTarget::to_string).collect()
    };
    let port = |port: &Port| PortView {
        port: port.name.clone(),
        role: port.role,
        network: topology.network_name(port.network),
        addresses: port.addresses.iter().map(ToString::to_string).collect(),
        annotated: is_annotated(port),
        problem: problem(port, gateways.as_ref()),
    };
    RouterView {
        router: router.name.ovn.clone(),
        name: router.name.neutron.clone(),
        vni: shown.as_ref().map(|annotation| annotation.vni.get()),
        asn: shown.as_ref().and_then(|annotation| annotation.asn).map(|asn| asn.get()),
        rd: shown.as_ref().and_then(|annotation| annotation.rd).map(|rd| rd.to_string()),
        import: texts(|annotation| &annotation.import),
        export: texts(|annotation| &annotation.export),
        ports: router.ports.iter().map(port).collect(),
    }
}

fn is_annotated(port: &Port) -> bool {
    !annotated(&port.external_ids).is_empty()
}

fn problem(port: &Port, gateway: Option<&Annotation>) -> Option<String> {
    match (annotation::read(&port.external_ids), gateway) {
        (Err(error), _) => Some(error.to_string().chars().flat_map(escaped).collect()),
        (Ok(None), _) if is_annotated(port) => Some("no neutron_bgpvpn:vni".to_owned()),
        (Ok(Some(_)), None) => Some("the router's gateway has no annotation that can be used".to_owned()),
        (Ok(Some(own)), Some(gateway)) if own.vni != gateway.vni => {
            Some(format!("VNI {}, but the router's gateway has VNI {}", own.vni, gateway.vni))
        }
        (Ok(Some(Annotation { asn: Some(own), .. })), Some(Annotation { asn: Some(gateway), .. }))
            if own != *gateway =>
        {
            Some(format!("AS {own}, but the router's gateway has AS {gateway}"))
        }
        _ => None,
    }
}

fn escaped(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// One line per router.
pub fn table(routers: &[RouterView]) -> String {
    let mut text = String::new();
    for router in routers {
        let networks: Vec<&str> = router
            .ports
            .iter()
            .filter(|port| port.annotated && port.role == Role::Interface)
            .map(|port| &*port.network)
            .collect();
        let problems = router.ports.iter().filter(|port| port.problem.is_some()).count();
        text += &format!("{}, router {}", heading(router), called(router));
        text += &format!(": {}", if networks.is_empty() { "no network".into() } else { networks.join(", ") });
        text += &if problems > 0 {
            format!(" (problems at {problems} of its ports: see show)\n")
        } else {
            "\n".into()
        };
    }
    text
}

/// Everything of one router.
pub fn details(router: &RouterView) -> String {
    let mut text = format!("router {}\n  {}\n", called(router), heading(router));
    let targets = [("import", &router.import), ("export", &router.export)];
    for (what, list) in targets.into_iter().filter(|(_, list)| !list.is_empty()) {
        text += &format!("  {what} {}\n", list.join(" "));
    }
    text += &router.rd.as_ref().map(|rd| format!("  rd {rd}\n")).unwrap_or_default();
    for port in &router.ports {
        let role = if port.role == Role::Gateway { "gateway" } else { "interface" };
        let state = if port.annotated { "annotated" } else { "not annotated" };
        let addresses = port.addresses.join(" ");
        text += &format!("  {role:<9} {} {addresses} on {}: {state}", port.port, port.network);
        text += &port.problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default();
        text.push('\n');
    }
    text
}

fn heading(router: &RouterView) -> String {
    let asn = router.asn.map_or("the agents' AS".to_owned(), |asn| format!("AS {asn}"));
    router.vni.map_or("no VNI".to_owned(), |vni| format!("VNI {vni}, {asn}"))
}

fn called(router: &RouterView) -> String {
    match &router.name {
        Some(name) => format!("{name} ({})", router.router),
        None => router.router.clone(),
    }
}
