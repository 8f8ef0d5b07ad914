//! One wished object against the one that stands: equal, to be changed, or not ours to change.

use super::object::Object;
use crate::planes::{
    flows::object::{Flow, FlowRule, FlowsObject},
    frr::object::{BgpVrf, FrrObject, VrfVni},
    kernel::object::{KernelObject, Link, LinkKind, Neighbour, Settings},
    vswitch::object::{OvsPort, VswitchObject},
};

/// How a wished object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As wished.
    Same,
    /// It can be made as wished in place.
    Change,
    /// It has to go first, and is ours to remove.
    Rebuild,
    /// It will be as wished without our doing; this is waited for.
    Settling(String),
    /// Somebody else's stands in its place; this is said, and nothing is done.
    Clash(String),
}

/// What is known of a wished object's past.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// The ledger holds its VNI, so what stands without a mark may be what an interrupted run left.
    pub held: bool,
    /// It stood as wished in this run, so what stands now is a change to what was ours.
    pub stood: bool,
}

/// Compares.
pub fn compare(wished: &Object, actual: &Object, past: Past) -> Verdict {
    match (wished, actual) {
        (Object::Kernel(KernelObject::Link(wished)), Object::Kernel(KernelObject::Link(actual))) => {
            link(wished, actual, past.held)
        }
        (
            Object::Kernel(KernelObject::Neighbour(wished)),
            Object::Kernel(KernelObject::Neighbour(actual)),
        ) => neighbour(wished, actual, past.stood),
        (Object::Vswitch(VswitchObject::Port(wished)), Object::Vswitch(VswitchObject::Port(actual))) => {
            port(wished, actual)
        }
        (Object::Flows(wished), Object::Flows(FlowsObject::Flow(actual))) => flow(wished, actual, past.stood),
        (Object::Frr(FrrObject::Vrf(wished)), Object::Frr(FrrObject::Vrf(actual))) => {
            vrf(wished, actual, past.stood)
        }
        (Object::Frr(FrrObject::Bgp(wished)), Object::Frr(FrrObject::Bgp(actual))) => bgp(wished, actual),
        _ => changed(wished == actual),
    }
}

fn changed(same: bool) -> Verdict {
    if same { Verdict::Same } else { Verdict::Change }
}

fn link(wished: &Link, actual: &Link, held: bool) -> Verdict {
    let made_by_ovs = matches!(wished.kind, LinkKind::Other(_));
    let ours = actual.owner == wished.owner;
    let kind = kinds(&wished.kind, &actual.kind);
    // Where no master is wished, who enslaves the link is not ours to keep: OVS does so with its ports.
    let same_master = wished.master.is_none() || wished.master == actual.master;
    if !ours && !made_by_ovs {
        let name = wished.name;
        if let Some(other) = actual.owner {
            let whose = other.vni().map_or("the BGP mode".to_owned(), |vni| format!("VNI {vni}"));
            return Verdict::Clash(format!("link {name} is marked as {whose}'s"));
        }
        let left_unfinished = held && actual.master.is_none();
        if kind != Verdict::Same || !(same_master || left_unfinished) {
            return Verdict::Clash(format!(
                "a link {name} of somebody else stands there ({}); rename or remove it",
                described(actual)
            ));
        }
    }
    if kind != Verdict::Same {
        return kind;
    }
    let settings = covers(&actual.settings, &wished.settings);
    let mtu = wished.mtu.is_none() || wished.mtu == actual.mtu;
    let mac = wished.mac.is_none() || wished.mac == actual.mac;
    changed(ours && settings && mtu && mac && same_master && wished.up == actual.up)
}

/// On a device that is not ours, another entry without our mark was there before us.
fn neighbour(wished: &Neighbour, actual: &Neighbour, stood: bool) -> Verdict {
    if wished.marked && !actual.marked && wished.mac != actual.mac && !stood {
        return Verdict::Clash(format!(
            "a permanent neighbour {} of somebody else stands on {}, with {}; remove it",
            actual.ip, actual.dev, actual.mac
        ));
    }
    changed(wished == actual)
}

fn kinds(wished: &LinkKind, actual: &LinkKind) -> Verdict {
    match (wished, actual) {
        (LinkKind::Other(_), LinkKind::Other(_)) => Verdict::Same,
        (LinkKind::Veth { .. }, LinkKind::Veth { peer: None }) => Verdict::Same,
        (LinkKind::Vxlan { id, port, local }, LinkKind::Vxlan { id: id2, port: port2, local: local2 })
            if id == id2 && port == port2 && local.is_ipv4() == local2.is_ipv4() =>
        {
            changed(local == local2)
        }
        _ if wished == actual => Verdict::Same,
        _ => Verdict::Rebuild,
    }
}

fn described(link: &Link) -> String {
    let kind = match &link.kind {
        LinkKind::Vrf { table } => format!("a VRF of table {table}"),
        LinkKind::Bridge => "a bridge".to_owned(),
        LinkKind::Vxlan { id, .. } => format!("a VXLAN device of VNI {id}"),
        LinkKind::Dummy => "a dummy".to_owned(),
        LinkKind::Vlan { tag, .. } => format!("VLAN {tag} of another link"),
        LinkKind::Veth { .. } => "a veth".to_owned(),
        LinkKind::Other(kind) => format!("of kind {kind:?}"),
    };
    match link.master {
        Some(master) => format!("{kind}, in {master}"),
        None => kind,
    }
}

/// Every setting that is wished is there; what is not wished may be either way.
fn covers(actual: &Settings, wished: &Settings) -> bool {
    let has = |wished: bool, actual: bool| !wished || actual;
    has(wished.no_ipv6_autogen, actual.no_ipv6_autogen)
        && has(wished.ipv4_forwarding, actual.ipv4_forwarding)
        && has(wished.no_rp_filter, actual.no_rp_filter)
        && has(wished.plain, actual.plain)
}

fn port(wished: &OvsPort, actual: &OvsPort) -> Verdict {
    let name = &wished.name;
    let ours = actual.owner == wished.owner;
    if !ours && (actual.owner.is_some() || actual.bridge != wished.bridge || actual.tag != wished.tag) {
        return Verdict::Clash(format!("a port {name} of somebody else stands on bridge {}", actual.bridge));
    }
    if actual.bridge != wished.bridge || actual.internal != wished.internal {
        return Verdict::Rebuild;
    }
    changed(actual.meets(wished))
}

/// What takes the place of a flow of ours that stood is a change to it, to be mended; what was there before us is not.
fn flow(wished: &FlowsObject, actual: &Flow, stood: bool) -> Verdict {
    match actual.rule {
        FlowRule::Foreign { cookie, .. } if !stood => Verdict::Clash(format!(
            "a flow of somebody else (cookie {cookie:#x}) stands in the place of our {wished}; remove it or give it another \
             priority"
        )),
        _ => changed(*wished == FlowsObject::Flow(actual.clone())),
    }
}

/// A VRF block has no mark, and we never give one another VNI than the one in its name.
fn vrf(wished: &VrfVni, actual: &VrfVni, stood: bool) -> Verdict {
    match actual.vni {
        Some(vni) if actual.vni != wished.vni && !stood => {
            Verdict::Clash(format!("FRR's vrf {} has vni {vni} from somebody else", wished.vrf))
        }
        _ if actual.vni != wished.vni => Verdict::Change,
        _ if !actual.up => Verdict::Settling(format!(
            "zebra does not have the L3VNI of {} up yet (show evpn vni)",
            wished.vrf
        )),
        _ => Verdict::Same,
    }
}

fn bgp(wished: &BgpVrf, actual: &BgpVrf) -> Verdict {
    if wished.asn != actual.asn {
        let reason = format!("FRR has router bgp {} vrf {} from somebody else", actual.asn, wished.vrf);
        return Verdict::Clash(reason);
    }
    changed(actual.meets(wished))
}
