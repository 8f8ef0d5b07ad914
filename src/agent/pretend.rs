//! Peers that take every operation and keep none: what each would tell of it, so that the reconciler goes on as it would
//! with the real ones. Pure.
//!
//! Numbers and Ethernet addresses that only the real peer could give are made up, and known again in a text.

use std::collections::BTreeMap;

use crate::{
    model::{IfName, MacAddr, OfPort},
    planes::{
        Change, Operation, Verb,
        flows::object::{BridgePort, FlowsKey, FlowsObject},
        frr::object::{FrrObject, VrfVni},
        kernel::object::{KernelKey, KernelObject, Link, LinkKind, Settings},
        vswitch::object::{OvsPort, VswitchObject},
    },
    reconcile::object::{Key, Object, PlaneId},
};

/// The first port number that is made up: beyond what OVS gives to ports (OFPP_MAX is 0xffffff00, its own are small).
const FIRST_PORT: u32 = 0xff00_0000;

/// What was made up so far.
#[derive(Debug, Default)]
pub struct Pretence {
    macs: BTreeMap<IfName, MacAddr>,
    ports: BTreeMap<IfName, OfPort>,
}

/// What a plane would tell.
type Told = (PlaneId, Change<Object, Key>);

impl Pretence {
    /// What the peers would tell if this were done, beyond that it is done.
    pub fn effects(&mut self, operation: &Operation<Object>) -> Vec<Told> {
        let Operation { verb, object } = operation;
        match (verb, object) {
            (Verb::Create | Verb::Update, Object::Ledger(_)) => {
                vec![(PlaneId::Ledger, Change::Present(object.clone()))]
            }
            (Verb::Create | Verb::Update, Object::Kernel(KernelObject::Link(link))) => self.link(link),
            (Verb::Create, Object::Kernel(KernelObject::Route(_))) => {
                vec![(PlaneId::Kernel, Change::Present(object.clone()))]
            }
            (Verb::Create | Verb::Update, Object::Vswitch(VswitchObject::Port(port))) => self.port(port),
            (Verb::Remove, Object::Vswitch(VswitchObject::Port(port))) => gone(port),
            (Verb::Create | Verb::Update, Object::Frr(FrrObject::Vrf(vrf))) => {
                let seen = FrrObject::Vrf(VrfVni { up: vrf.vni.is_some(), ..vrf.clone() });
                vec![(PlaneId::Frr, Change::Present(seen.into()))]
            }
            _ => Vec::new(),
        }
    }

    fn link(&mut self, link: &Link) -> Vec<Told> {
        // What stands has its own address, which the reconciler keeps.
        let mac = link.mac.unwrap_or_else(|| self.mac(link.name));
        let seen = KernelObject::Link(Link { mac: Some(mac), ..link.clone() });
        vec![(PlaneId::Kernel, Change::Present(seen.into()))]
    }

    fn port(&mut self, port: &OvsPort) -> Vec<Told> {
        let Some(name) = port.name.interface() else { return Vec::new() };
        let number = *self.ports.entry(name).or_insert(OfPort(port_number(&name)));
        let mac = self.mac(name);
        let seen = OvsPort { ofport: Some(number), ..port.clone() };
        let bridge_port = BridgePort { bridge: port.bridge, name: name.as_str().into(), port: number, mac };
        let mut told = vec![
            (PlaneId::Vswitch, Change::Present(VswitchObject::Port(seen).into())),
            (PlaneId::Flows(port.bridge), Change::Present(FlowsObject::Port(bridge_port).into())),
        ];
        if port.internal {
            let device = Link {
                name,
                kind: LinkKind::Other("openvswitch".to_owned()),
                master: None,
                up: false,
                mtu: None,
                owner: None,
                settings: Settings::default(),
                mac: Some(mac),
            };
            told.push((PlaneId::Kernel, Change::Present(KernelObject::Link(device).into())));
        }
        told
    }

    fn mac(&mut self, name: IfName) -> MacAddr {
        // Locally administered, and of the name alone, so that plans can be compared.
        let [a, b, c, d] = fingerprint(&name).to_be_bytes();
        *self.macs.entry(name).or_insert(MacAddr([0x06, 0xff, a, b, c, d]))
    }

    /// A text of an object in which what was made up is said to be so.
    pub fn honest(&self, text: &str) -> String {
        let macs = self.macs.iter().map(|(name, mac)| (mac.to_string(), format!("<MAC of {name}>")));
        let ports = self.ports.iter().map(|(name, port)| (port.to_string(), format!("<{name}>")));
        macs.chain(ports).fold(text.to_owned(), |text, (made_up, words)| text.replace(&made_up, &words))
    }
}

fn port_number(name: &IfName) -> u32 {
    FIRST_PORT | fingerprint(name) >> 8
}

/// FNV-1a (RFC 9923) of a name.
fn fingerprint(name: &IfName) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.as_str().bytes().fold(0x811c_9dc5, step)
}

fn gone(port: &OvsPort) -> Vec<Told> {
    let Some(name) = port.name.interface() else { return Vec::new() };
    let number: Key = FlowsKey::Port(port.bridge, name.as_str().into()).into();
    let mut told = vec![(PlaneId::Flows(port.bridge), Change::Absent(number))];
    if port.internal {
        told.push((PlaneId::Kernel, Change::Absent(KernelKey::Link(name).into())));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Vni;

    #[test]
    fn what_is_made_up_is_said_to_be_so() {
        let name: IfName = "veth-ovs-1001".parse().unwrap();
        let port = OvsPort::wished("br-ex".parse().unwrap(), name, Vni::new(1001).unwrap());
        let object = VswitchObject::Port(port).into();
        let mut pretence = Pretence::default();
        let told = pretence.effects(&Operation { verb: Verb::Create, object });
        let number = told.iter().find_map(|(_, change)| match change {
            Change::Present(Object::Flows(FlowsObject::Port(port))) => Some(port.port),
            _ => None,
        });
        let text = pretence.honest(&format!("output {}", number.unwrap()));
        assert_eq!(text, "output <veth-ovs-1001>");
    }
}
