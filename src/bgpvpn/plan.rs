//! What an association or its end writes, or why it must not be made. Pure: from a topology to writes of ports.

use std::collections::BTreeSet;

use super::{
    Role, Values, annotated,
    topology::{Port, Router, Topology, Unknown},
};
use crate::{
    intent::{annotation, reserved},
    model::{Asn, Prefix, Vni},
    ovsdb::value::Pairs,
};

/// What is associated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A router: all its interfaces and its gateway.
    Router(String),
    /// A network: its router interfaces, and the gateways of their routers.
    Network(String),
}

/// A new annotation of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The port as it is.
    pub port: &'a Port,
    /// Its annotation from now on; empty: none.
    pub pairs: Pairs,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan<'a> {
    /// Ports that change.
    pub writes: Vec<Write<'a>>,
    /// Ports that are as wished already.
    pub standing: Vec<&'a Port>,
    /// The gateway ports that are annotated, now or before.
    pub gateways: Vec<&'a Port>,
    /// The VNIs that came or went.
    pub vnis: BTreeSet<Vni>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// Why an association is not made. Nothing is written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The router or network is not there.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// No agent would serve this VNI.
    #[error("{0}")]
    Reserved(String),
    /// Nothing leads out of the network.
    #[error("network {0} is on no router: add a router interface first")]
    NoRouter(String),
    /// Nothing leads out of the router.
    #[error("router {0} has no gateway: set its external gateway first")]
    NoGateway(String),
    /// A port carries one VNI.
    #[error("port {port} of router {router} has VNI {vni} already: disassociate it first")]
    OtherVni {
        /// The router.
        router: String,
        /// The port.
        port: String,
        /// What it has.
        vni: Vni,
    },
    /// The router's gateway cannot have two sets of values.
    #[error(
        "another network of router {0} has VNI {1} with another AS, rd or route targets: associate the router, or disassociate that network"
    )]
    OtherValues(String, Vni),
    /// A VNI is one BGP instance per node.
    #[error("router {0} has VNI {1} with AS {2}, not AS {3}")]
    OtherAs(String, Vni, Asn, Asn),
    /// One of two annotations names an AS, the other means the agents', which nobody has told.
    #[error(
        "VNI {1} is router {0}'s too, and of the two only one names an AS ({2}); the other means the agents' bgp_AS, which is \
         not known here: give the agents' configuration by --config-file"
    )]
    UnknownAs(String, Vni, Asn),
    /// A VNI is one routing table.
    #[error("{0} of router {1} overlaps with {2} of router {3} in VNI {4}")]
    Overlap(Prefix, String, Prefix, String, Vni),
}

/// A router, and which of its interfaces are meant.
struct Part<'a> {
    router: &'a Router,
    interfaces: Vec<&'a Port>,
}

/// Annotates what is meant with these values. `agents_as` is what an annotation without AS stands for, where
/// that is known.
pub fn associate<'a>(
    topology: &'a Topology,
    target: &Target,
    values: &Values,
    agents_as: Option<Asn>,
) -> Result<Plan<'a>, Refusal> {
    if let Some(reason) = reserved(values.vni) {
        return Err(Refusal::Reserved(reason));
    }
    let parts = parts(topology, target)?;
    if let (true, Target::Network(word)) = (parts.is_empty(), target) {
        return Err(Refusal::NoRouter(word.clone()));
    }
    let pairs = values.pairs();
    for part in &parts {
        fits_router(part, values.vni, &pairs)?;
    }
    fits_others(topology, &parts, values, agents_as)?;
    let mut plan = Plan { vnis: BTreeSet::from([values.vni]), ..Plan::default() };
    for part in &parts {
        plan.gateways.extend(part.router.gateways());
        for port in part.router.gateways().chain(part.interfaces.iter().copied()) {
            plan.put(port, pairs.clone());
        }
        plan.notes.extend(notes(part));
    }
    Ok(plan)
}

/// Takes the annotation off what is meant; off a gateway with the last of its router's networks.
pub fn disassociate<'a>(topology: &'a Topology, target: &Target) -> Result<Plan<'a>, Refusal> {
    let mut plan = Plan::default();
    for Part { router, interfaces } in parts(topology, target)? {
        let stays = |port: &&Port| !interfaces.contains(port) && !annotated(&port.external_ids).is_empty();
        let last = !router.interfaces().any(|port| stays(&port));
        let gateways: Vec<&Port> = router.gateways().filter(|_| last).collect();
        for port in gateways.iter().copied().chain(interfaces) {
            plan.vnis.extend(vni_of(port));
            plan.put(port, Pairs::default());
        }
        plan.gateways.extend(gateways);
    }
    Ok(plan)
}

impl<'a> Plan<'a> {
    fn put(&mut self, port: &'a Port, pairs: Pairs) {
        match annotated(&port.external_ids) == pairs {
            true => self.standing.push(port),
            false => self.writes.push(Write { port, pairs }),
        }
    }
}

fn parts<'a>(topology: &'a Topology, target: &Target) -> Result<Vec<Part<'a>>, Unknown> {
    match target {
        Target::Router(word) => {
            let router = topology.router(word)?;
            Ok(vec![Part { router, interfaces: router.interfaces().collect() }])
        }
        Target::Network(word) => {
            let network = topology.network(word)?.uuid;
            let on_it = |router: &'a Router| Part {
                router,
                interfaces: router.interfaces().filter(|port| port.network == network).collect(),
            };
            let parts = topology.routers.iter().map(on_it);
            Ok(parts.filter(|part| !part.interfaces.is_empty()).collect())
        }
    }
}

/// The routers that are meant: the one, or those of the network.
pub fn routers<'a>(topology: &'a Topology, target: &Target) -> Result<Vec<&'a Router>, Unknown> {
    Ok(parts(topology, target)?.into_iter().map(|part| part.router).collect())
}

fn vni_of(port: &Port) -> Option<Vni> {
    Some(annotation::read(&port.external_ids).ok()??.vni)
}

/// A router carries one VNI, and its gateway one set of values.
fn fits_router(part: &Part<'_>, vni: Vni, pairs: &Pairs) -> Result<(), Refusal> {
    let router = || part.router.name.to_string();
    if part.router.gateways().next().is_none() {
        return Err(Refusal::NoGateway(router()));
    }
    for port in &part.router.ports {
        let meant = port.role == Role::Gateway || part.interfaces.contains(&port);
        match vni_of(port) {
            Some(other) if other != vni && meant => {
                return Err(Refusal::OtherVni { router: router(), port: port.name.clone(), vni: other });
            }
            Some(same) if same == vni && !meant && annotated(&port.external_ids) != *pairs => {
                return Err(Refusal::OtherValues(router(), vni));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Routers that share a VNI share its AS, and no address is on two of them.
fn fits_others(
    topology: &Topology,
    parts: &[Part<'_>],
    values: &Values,
    agents_as: Option<Asn>,
) -> Result<(), Refusal> {
    let mut taken: Vec<(&Router, Prefix)> = Vec::new();
    let is_part = |router: &Router| parts.iter().any(|part| part.router.name.uuid == router.name.uuid);
    let asn = values.asn.or(agents_as);
    for router in topology.routers.iter().filter(|router| !is_part(router)) {
        for port in &router.ports {
            let Ok(Some(other)) = annotation::read(&port.external_ids) else { continue };
            if other.vni != values.vni {
                continue;
            }
            match (other.asn.or(agents_as), asn) {
                (Some(theirs), Some(asn)) if theirs != asn => {
                    return Err(Refusal::OtherAs(router.name.to_string(), values.vni, theirs, asn));
                }
                (Some(named), None) | (None, Some(named)) => {
                    return Err(Refusal::UnknownAs(router.name.to_string(), values.vni, named));
                }
                _ => {}
            }
            if port.role == Role::Interface {
                taken.extend(port.addresses.iter().map(|address| (router, address.trunc())));
            }
        }
    }
    for part in parts {
        let ours: Vec<Prefix> =
            part.interfaces.iter().flat_map(|port| &port.addresses).map(Prefix::trunc).collect();
        for (router, theirs) in &taken {
            if let Some(own) = ours.iter().find(|own| overlap(own, theirs)) {
                let (own_name, name) = (part.router.name.to_string(), router.name.to_string());
                return Err(Refusal::Overlap(*own, own_name, *theirs, name, values.vni));
            }
        }
        taken.extend(ours.into_iter().map(|own| (part.router, own)));
    }
    Ok(())
}

fn overlap(a: &Prefix, b: &Prefix) -> bool {
    a.contains(b) || b.contains(a)
}

fn notes(part: &Part<'_>) -> Vec<String> {
    let name = &part.router.name;
    let mut notes = Vec::new();
    if part.interfaces.is_empty() {
        notes.push(format!("router {name} has no interface yet: associate it again when it has"));
    }
    let inside: Vec<Prefix> = part.interfaces.iter().flat_map(|port| port.addresses.clone()).collect();
    let hidden = part.router.snat.iter().find(|snat| inside.iter().any(|own| overlap(&own.trunc(), snat)));
    if let Some(hidden) = hidden {
        notes.push(format!(
            "router {name} has SNAT for {hidden}: what its VMs begin leaves with the gateway's address, and not \
             into the VPN; disable SNAT on the router"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{bgpvpn::topology::Name, model::RouteTarget};

    const AS: u32 = 64999;

    fn uuid(name: &str) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Uuid::from_bytes(bytes)
    }

    fn name(ovn: &str, neutron: &str) -> Name {
        Name { uuid: uuid(ovn), ovn: ovn.to_owned(), neutron: Some(neutron.to_owned()) }
    }

    fn port(name: &str, role: Role, network: &str, address: &str) -> Port {
        let addresses = vec![address.parse().unwrap()];
        let external_ids = [("neutron:revision_number".into(), "4".into())].into_iter().collect();
        Port {
            uuid: uuid(name),
            name: name.to_owned(),
            role,
            network: uuid(network),
            addresses,
            external_ids,
        }
    }

    /// Router `a` on `net1` and `net2`, router `b` on `net3`, router `c` without a gateway; all routers are called `r`.
    fn topology() -> Topology {
        let router = |ovn: &str, ports| Router { name: name(ovn, "r"), ports, snat: vec![] };
        let a = vec![
            port("gw-a", Role::Gateway, "ext", "172.24.4.1/24"),
            port("if-1", Role::Interface, "net1", "10.0.1.1/24"),
            port("if-2", Role::Interface, "net2", "10.0.2.1/24"),
        ];
        let b = vec![
            port("gw-b", Role::Gateway, "ext", "172.24.4.2/24"),
            port("if-3", Role::Interface, "net3", "10.0.3.1/24"),
        ];
        let c = vec![port("if-4", Role::Interface, "net4", "10.0.4.1/24")];
        Topology {
            routers: vec![router("a", a), router("b", b), router("c", c)],
            networks: ["ext", "net1", "net2", "net3", "net4", "net5"].map(|net| name(net, net)).into(),
        }
    }

    fn values(vni: u32) -> Values {
        let vni = Vni::new(vni).unwrap();
        Values { vni, asn: None, both: vec![], import: vec![], export: vec![], rd: None }
    }

    fn router(word: &str) -> Target {
        Target::Router(word.to_owned())
    }

    fn network(word: &str) -> Target {
        Target::Network(word.to_owned())
    }

    fn plan<'a>(topology: &'a Topology, target: &Target, values: &Values) -> Result<Plan<'a>, Refusal> {
        associate(topology, target, values, Asn::new(AS))
    }

    fn refusal(topology: &Topology, target: &Target, values: &Values) -> String {
        plan(topology, target, values).unwrap_err().to_string()
    }

    fn written<'a>(plan: &Plan<'a>) -> Vec<&'a str> {
        plan.writes.iter().map(|write| &*write.port.name).collect()
    }

    /// The topology after a plan was carried out.
    fn done(topology: &Topology, plan: &Plan<'_>) -> Topology {
        let mut after = topology.clone();
        for port in after.routers.iter_mut().flat_map(|router| &mut router.ports) {
            let Some(write) = plan.writes.iter().find(|write| write.port.uuid == port.uuid) else { continue };
            let others = port.external_ids.iter().filter(|(key, _)| !annotation::KEYS.contains(key));
            let all = others.chain(write.pairs.iter()).map(|(key, value)| (key.into(), value.into()));
            port.external_ids = all.collect();
        }
        after
    }

    fn after(topology: &Topology, target: &Target, values: &Values) -> Topology {
        done(topology, &plan(topology, target, values).unwrap())
    }

    #[test]
    fn a_router_is_all_its_ports_and_a_network_its_own_and_the_gateway() {
        let before = topology();
        assert_eq!(written(&plan(&before, &router("a"), &values(7)).unwrap()), ["gw-a", "if-1", "if-2"]);
        assert_eq!(written(&plan(&before, &network("net2"), &values(7)).unwrap()), ["gw-a", "if-2"]);
        // A second network finds the gateway annotated; again is nothing.
        let one = after(&before, &network("net2"), &values(7));
        assert_eq!(written(&plan(&one, &network("net1"), &values(7)).unwrap()), ["if-1"]);
        assert!(plan(&one, &network("net2"), &values(7)).unwrap().writes.is_empty());
    }

    #[test]
    fn the_annotation_is_written_as_the_agent_reads_it() {
        let targets =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<RouteTarget>>();
        let values = Values {
            asn: Asn::new(4_200_000_000),
            both: targets(&["64999:7"]),
            import: targets(&["192.0.2.1:1", "64999:8"]),
            rd: targets(&["64999:70"]).pop(),
            ..values(7)
        };
        let texts: Vec<String> = values.pairs().iter().map(|(key, value)| format!("{key}={value}")).collect();
        let wished = [
            "neutron_bgpvpn:as=4200000000",
            r#"neutron_bgpvpn:it=["192.0.2.1:1","64999:8"]"#,
            r#"neutron_bgpvpn:rd=["64999:70"]"#,
            r#"neutron_bgpvpn:rt=["64999:7"]"#,
            "neutron_bgpvpn:vni=7",
        ];
        assert_eq!(texts, wished);
        let read = annotation::read(&values.pairs()).unwrap().unwrap();
        assert_eq!((read.import.len(), read.export.len(), read.asn), (3, 1, values.asn));
    }

    #[test]
    fn the_gateway_goes_with_the_last_network() {
        let all = after(&topology(), &router("a"), &values(7));
        let one = disassociate(&all, &network("net1")).unwrap();
        assert_eq!(written(&one), ["if-1"]);
        let rest = done(&all, &one);
        assert_eq!(written(&disassociate(&rest, &network("net2")).unwrap()), ["gw-a", "if-2"]);
        assert_eq!(written(&disassociate(&rest, &router("a")).unwrap()), ["gw-a", "if-2"]);
        assert_eq!(done(&rest, &disassociate(&rest, &router("a")).unwrap()), topology());
        assert!(disassociate(&topology(), &router("c")).unwrap().writes.is_empty());
    }

    #[test]
    fn what_is_not_there_or_leads_nowhere_is_refused() {
        let topology = topology();
        for (target, words) in [
            (router("x"), "no router is called \"x\""),
            (network("x"), "no network is called \"x\""),
            (router("r"), "routers a, b, c have this name"),
            (router("c"), "router r (c) has no gateway"),
            (network("net4"), "router r (c) has no gateway"),
            (network("net5"), "network net5 is on no router"),
        ] {
            let error = refusal(&topology, &target, &values(7));
            assert!(error.contains(words), "{error}");
        }
        assert!(refusal(&topology, &router("a"), &values(254)).contains("kernel's table"));
    }

    #[test]
    fn what_would_conflict_is_refused() {
        let seven = after(&topology(), &network("net1"), &values(7));
        let other_as = Values { asn: Asn::new(65001), ..values(7) };
        let cases = [
            (network("net2"), values(8), "port gw-a of router r (a) has VNI 7 already"),
            (network("net2"), other_as.clone(), "another network of router r (a) has VNI 7"),
            (router("b"), other_as.clone(), "router r (a) has VNI 7 with AS 64999, not AS 65001"),
        ];
        for (target, values, words) in cases {
            let error = refusal(&seven, &target, &values);
            assert!(error.contains(words), "{error}");
        }
        // The router as a whole may change; so may a network that is alone.
        assert_eq!(plan(&seven, &router("a"), &other_as).unwrap().writes.len(), 3);
        assert_eq!(plan(&seven, &network("net1"), &other_as).unwrap().writes.len(), 2);
        // An AS that says what is meant anyway is no other AS.
        let said = Values { asn: Asn::new(AS), ..values(7) };
        assert!(plan(&seven, &router("b"), &said).is_ok());

        // Where no agent is configured that cannot be known, and two that name none mean the same.
        let unknown = associate(&seven, &router("b"), &said, None).unwrap_err().to_string();
        assert!(unknown.contains("only one names an AS (64999)"), "{unknown}");
        assert!(associate(&seven, &router("b"), &values(7), None).is_ok());

        let mut overlapping = seven.clone();
        overlapping.routers[1].ports[1].addresses = vec!["10.0.1.128/25".parse().unwrap()];
        let error = refusal(&overlapping, &router("b"), &values(7));
        assert!(
            error.contains("10.0.1.128/25 of router r (b) overlaps with 10.0.1.0/24 of router r (a)"),
            "{error}"
        );
        assert!(plan(&overlapping, &router("b"), &values(8)).is_ok());
    }

    #[test]
    fn snat_that_hides_the_network_is_told() {
        let mut topology = topology();
        topology.routers[0].snat = vec!["10.0.1.0/24".parse().unwrap()];
        let notes = plan(&topology, &router("a"), &values(7)).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains("SNAT for 10.0.1.0/24"), "{notes:?}");
        assert!(plan(&topology, &network("net2"), &values(7)).unwrap().notes.is_empty());
    }
}
