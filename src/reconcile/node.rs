//! What this node is, as its peers tell: bridges and their ports, the VTEP address, OVN's settings. Facts only, no wish.

mod underlay;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
};

use super::object::{Key, Object};
use crate::{
    config::Config,
    intent::names,
    model::{IfName, MacAddr, OfPort, Vni},
    planes::{
        flows::object::{FlowsKey, FlowsObject},
        frr::object::{BgpBase, BgpVrf, FrrKey, FrrObject},
        kernel::object::{KernelKey, KernelObject, Link, LinkKind},
        vswitch::object::{OvsPort, OvsSettings, PortName, VswitchKey, VswitchObject},
    },
};

/// Whose frame a changed fact may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nobody's.
    None,
    /// This VNI's.
    One(Vni),
    /// Everybody's.
    All,
}

/// The facts.
#[derive(Debug, Default)]
pub struct Node {
    settings: OvsSettings,
    mappings: BTreeMap<Box<str>, IfName>,
    bridges: BTreeSet<IfName>,
    ports: HashMap<PortName, OvsPort>,
    /// The patch port of each localnet, by bridge and localnet.
    patches: HashMap<(IfName, Box<str>), PortName>,
    /// On each bridge, the ports that are neither its own, nor patch ports, nor ours.
    foreign: HashMap<IfName, BTreeSet<PortName>>,
    /// The ports of ours of each VNI, with their bridges.
    own: BTreeMap<Vni, BTreeMap<PortName, IfName>>,
    openflow: HashMap<(IfName, Box<str>), (OfPort, MacAddr)>,
    macs: HashMap<IfName, MacAddr>,
    /// The tables of all VRFs, and the VRFs by table.
    tables: HashMap<IfName, u32>,
    vrfs: HashMap<u32, BTreeSet<IfName>>,
    /// Addresses with their prefix lengths, in order, so that which one is taken does not depend on which came first.
    addresses: BTreeMap<IfName, BTreeSet<(IpAddr, u8)>>,
    bgp: Option<BgpBase>,
    /// The dummy of the BGP mode: its addresses are no facts of the node, and many.
    advertised: Option<IfName>,
}

impl Node {
    /// A node of which nothing is known yet, and on which this device holds what the BGP mode advertises.
    pub fn advertising_by(advertised: Option<IfName>) -> Self {
        Self { advertised, ..Self::default() }
    }

    /// Takes in an object as it is seen now, or that it is not there any more.
    pub fn learn(&mut self, key: &Key, object: Option<&Object>) -> Scope {
        match (key, object) {
            (
                Key::Vswitch(VswitchKey::Settings),
                Some(Object::Vswitch(VswitchObject::Settings(settings))),
            ) => self.learn_settings(settings),
            (Key::Vswitch(VswitchKey::Bridge(name)), object) => {
                let changed = match object {
                    Some(_) => self.bridges.insert(*name),
                    None => self.bridges.remove(name),
                };
                if changed { Scope::All } else { Scope::None }
            }
            (Key::Vswitch(VswitchKey::Port(name)), Some(Object::Vswitch(VswitchObject::Port(port)))) => {
                self.learn_port(name, Some(port))
            }
            (Key::Vswitch(VswitchKey::Port(name)), _) => self.learn_port(name, None),
            (Key::Flows(FlowsKey::Port(bridge, name)), Some(Object::Flows(FlowsObject::Port(port)))) => {
                let now = (port.port, port.mac);
                let before = self.openflow.insert((*bridge, name.clone()), now);
                port_scope(name, before != Some(now))
            }
            (Key::Flows(FlowsKey::Port(bridge, name)), _) => {
                port_scope(name, self.openflow.remove(&(*bridge, name.clone())).is_some())
            }
            (Key::Kernel(KernelKey::Link(name)), Some(Object::Kernel(KernelObject::Link(link)))) => {
                self.learn_link(*name, link)
            }
            (Key::Kernel(KernelKey::Link(name)), _) => self.forget_link(*name),
            (Key::Frr(FrrKey::Base), object) => {
                let base = match object {
                    Some(Object::Frr(FrrObject::Base(base))) => Some(base.clone()),
                    _ => None,
                };
                let changed = self.bgp != base;
                self.bgp = base;
                if changed { Scope::All } else { Scope::None }
            }
            (Key::Kernel(KernelKey::Address(dev, ip, length)), object) => {
                self.learn_address(*dev, (*ip, *length), object.is_some())
            }
            _ => Scope::None,
        }
    }

    fn learn_settings(&mut self, settings: &OvsSettings) -> Scope {
        if self.settings == *settings {
            return Scope::None;
        }
        self.settings = settings.clone();
        self.mappings = settings.bridge_mappings.as_deref().map(parse_mappings).unwrap_or_default();
        Scope::All
    }

    /// The ports of bridges that lead to no provider network, as VMs' on the integration bridge, concern nobody.
    fn learn_port(&mut self, name: &PortName, now: Option<&OvsPort>) -> Scope {
        let before = self.ports.remove(name);
        let changed = before.as_ref() != now;
        let leads_out = |port: &OvsPort| self.mappings.values().any(|bridge| *bridge == port.bridge);
        let concerns = before.as_ref().into_iter().chain(now).any(leads_out);
        if let Some(before) = before {
            if let Some(localnet) = before.localnet {
                self.patches.remove(&(before.bridge, localnet));
            }
            if let Some(foreign) = self.foreign.get_mut(&before.bridge) {
                foreign.remove(name);
            }
            if let Some(vni) = before.owner
                && let Some(own) = self.own.get_mut(&vni)
            {
                own.remove(name);
                if own.is_empty() {
                    self.own.remove(&vni);
                }
            }
        }
        if let Some(port) = now {
            self.ports.insert(name.clone(), port.clone());
            if let Some(localnet) = &port.localnet {
                self.patches.insert((port.bridge, localnet.clone()), name.clone());
            }
            if let Some(vni) = port.owner {
                self.own.entry(vni).or_default().insert(name.clone(), port.bridge);
            }
            if is_foreign(port) {
                self.foreign.entry(port.bridge).or_default().insert(name.clone());
            }
        }
        port_scope(name.as_str(), changed && concerns)
    }

    fn learn_link(&mut self, name: IfName, link: &Link) -> Scope {
        let table = match link.kind {
            LinkKind::Vrf { table } => Some(table),
            _ => None,
        };
        let has_moved = self.tables.get(&name).copied() != table;
        let tables = self.learn_table(name, table);
        let before = link.mac.and_then(|mac| self.macs.insert(name, mac));
        let has_changed = link.mac.is_some() && before != link.mac;
        // What leaves a provider network for the node itself names its bridge's MAC.
        let is_bridges = has_changed && self.provider_bridges().any(|bridge| bridge == name);
        if is_bridges || has_moved && self.is_others_vrf(name) {
            return Scope::All;
        }
        scope_of(tables.chain(names::vni_of(&name).filter(|_| has_changed)))
    }

    fn forget_link(&mut self, name: IfName) -> Scope {
        self.macs.remove(&name);
        let has_moved = self.tables.contains_key(&name);
        let tables = self.learn_table(name, None);
        if has_moved && self.is_others_vrf(name) {
            return Scope::All;
        }
        scope_of(tables.chain(names::vni_of(&name)))
    }

    /// A VRF that is no tenant's may have a table that the BGP mode needs.
    fn is_others_vrf(&self, name: IfName) -> bool {
        self.advertised.is_some() && names::vni_of(&name).is_none()
    }

    /// A link is a VRF of this table now, or none: gives the VNIs whose tables have got or lost a holder.
    fn learn_table(&mut self, name: IfName, table: Option<u32>) -> impl Iterator<Item = Vni> + use<> {
        let before = match table {
            Some(table) => self.tables.insert(name, table),
            None => self.tables.remove(&name),
        };
        let (lost, got) = if before == table { (None, None) } else { (before, table) };
        if let Some(table) = lost
            && let Some(holders) = self.vrfs.get_mut(&table)
        {
            holders.remove(&name);
            if holders.is_empty() {
                self.vrfs.remove(&table);
            }
        }
        if let Some(table) = got {
            self.vrfs.entry(table).or_default().insert(name);
        }
        lost.into_iter().chain(got).filter_map(Vni::new)
    }

    /// Only addresses that could be a VTEP's are kept: those of tenants' dummies are many.
    fn learn_address(&mut self, dev: IfName, address: (IpAddr, u8), present: bool) -> Scope {
        if names::is_dummy(&dev) || self.advertised == Some(dev) {
            return Scope::None;
        }
        let held = self.addresses.entry(dev).or_default();
        let changed = if present { held.insert(address) } else { held.remove(&address) };
        if held.is_empty() {
            self.addresses.remove(&dev);
        }
        if changed { Scope::All } else { Scope::None }
    }

    /// OVN's settings in the local database.
    pub fn settings(&self) -> &OvsSettings {
        &self.settings
    }

    /// The bridges that may get flows of ours, or have them by what else is there: those of provider networks by the
    /// mappings or by a localnet's patch port, and those with a port of ours. Never OVN's integration bridge, whose cookies
    /// are OVN's; and what other bridges there are, they are no business of ours.
    pub fn flow_bridges(&self) -> BTreeSet<IfName> {
        let mapped = self.mappings.values();
        let patched = self.patches.keys().map(|(bridge, _)| bridge);
        let own = self.own.values().flat_map(BTreeMap::values);
        mapped.chain(patched).chain(own).copied().filter(|bridge| self.may_have_flows(*bridge)).collect()
    }

    /// A bridge that is there, and is not the integration bridge.
    pub fn may_have_flows(&self, bridge: IfName) -> bool {
        let integration = self.settings.integration_bridge.as_deref().unwrap_or("br-int");
        bridge.as_str() != integration && self.bridges.contains(&bridge)
    }

    /// The bridges with a port of a VNI's: there its flows are.
    pub fn bridges_of(&self, vni: Vni) -> impl Iterator<Item = IfName> {
        self.own.get(&vni).into_iter().flat_map(BTreeMap::values).copied()
    }

    /// The VTEP address: evpn_local_ip, else the lowest address of evpn_nic, else a /32 or /128 on lo, else ovn-encap-ip.
    pub fn vtep(&self, config: &Config) -> Result<IpAddr, String> {
        if let Some(address) = config.evpn_local_ip {
            return Ok(address);
        }
        let first = |dev: &str, of: fn(&(IpAddr, u8)) -> bool| {
            let (_, addresses) = self.addresses.iter().find(|(name, _)| name.as_str() == dev)?;
            addresses.iter().filter(|address| of(address)).map(|(ip, _)| *ip).find(|ip| is_vtep(*ip))
        };
        if let Some(nic) = config.evpn_nic {
            return first(nic.as_str(), |_| true)
                .ok_or_else(|| format!("evpn_nic {nic} has no usable address"));
        }
        let encap = || {
            // A list of several addresses is OVN's way of several tunnels; the first is the one to be reached by all.
            self.settings.encap_ip.as_deref()?.split(',').next()?.trim().parse().ok()
        };
        first("lo", is_host).or_else(encap).ok_or_else(|| {
            "no VTEP address: set evpn_local_ip or evpn_nic, or put a host address on lo".to_owned()
        })
    }

    /// A router id for the tenants' BGP instances that does not change: the VTEP's address, else the default instance's.
    pub fn router_id(&self, config: &Config) -> Option<Ipv4Addr> {
        match self.vtep(config) {
            Ok(IpAddr::V4(address)) => Some(address),
            _ => self.bgp.as_ref().and_then(|base| base.router_id),
        }
    }

    /// The physical networks of ovn-bridge-mappings, in order.
    pub fn networks(&self) -> impl Iterator<Item = &Box<str>> + Clone {
        self.mappings.keys()
    }

    /// The bridge of a physical network.
    pub fn bridge_of(&self, network: &str) -> Result<IfName, String> {
        match self.mappings.get(network) {
            None => Err(format!("physical network {network:?} is not in this node's ovn-bridge-mappings")),
            Some(bridge) if !self.bridges.contains(bridge) => {
                Err(format!("bridge {bridge} of physical network {network:?} is not in Open_vSwitch"))
            }
            Some(bridge) => Ok(*bridge),
        }
    }

    /// The OpenFlow number of the patch port of a localnet on a bridge, as the database has it: OpenFlow itself shows the
    /// long names of patch ports cut, several alike.
    pub fn patch_port(&self, bridge: IfName, localnet: &str) -> Result<OfPort, String> {
        let name = self.patches.get(&(bridge, localnet.into()));
        let missing =
            || format!("ovn-controller has not made the patch port of {localnet:?} on {bridge} yet");
        let port = name.and_then(|name| self.ports.get(name)).ok_or_else(missing)?;
        port.ofport.ok_or_else(|| format!("patch port {} has no OpenFlow number yet", port.name))
    }

    /// The OpenFlow number of a port of ours, as the bridge tells it.
    pub fn openflow_port(&self, bridge: IfName, name: IfName) -> Result<OfPort, String> {
        let known = self.openflow.get(&(bridge, name.as_str().into()));
        let trouble = || match self.ports.get(&PortName::from(name)).and_then(|port| port.error.as_deref()) {
            Some(error) => format!("OVS cannot make port {name} work on {bridge}: {error}"),
            None => format!("port {name} has no OpenFlow number on {bridge} yet"),
        };
        known.map(|(port, _)| *port).ok_or_else(trouble)
    }

    /// Somebody else's VRF has the routing table of this VNI, and the VNI's own VRF is not there: it must not be made, for
    /// the two would share their routes.
    pub fn table_trouble(&self, vni: Vni) -> Option<String> {
        let own = names::vrf(vni);
        let holders = self.vrfs.get(&vni.get()).filter(|holders| !holders.contains(&own))?;
        let other = holders.first()?;
        Some(format!(
            "{other}, somebody else's VRF, has routing table {vni}, which {own} needs: move it to another table, or choose another VNI"
        ))
    }

    /// The MAC of a link.
    pub fn mac_of(&self, name: IfName) -> Result<MacAddr, String> {
        self.macs.get(&name).copied().ok_or_else(|| format!("the MAC of {name} is not known yet"))
    }

    /// Whether this instance has to be there before its VRF's VNI: once an L3VNI is up, bgpd 8.4 makes an instance of its own
    /// with the default instance's AS, and takes no other any more. That instance imports by FRR's own target at once, and
    /// to change that afterwards costs the routes' next hops (`quiet` in planes/frr/encode.rs).
    pub fn instance_first(&self, bgp: &BgpVrf) -> bool {
        let default = self.bgp.as_ref().and_then(|base| base.asn);
        !bgp.settings.import.is_empty() || default.is_some_and(|default| default != bgp.asn)
    }

    /// What is missing in FRR's own configuration, as far as it was read.
    pub fn fabric_trouble(&self) -> Option<String> {
        let base = self.bgp.as_ref()?;
        let missing =
            "has no advertise-all-vni in address-family l2vpn evpn: without it zebra keeps EVPN switched off";
        (!base.evpn).then(|| format!("FRR's default BGP instance {missing}"))
    }

    /// Whether a bridge may lead to a real gateway: it has a port that is neither its own, nor a patch port, nor ours.
    pub fn has_foreign_port(&self, bridge: IfName) -> bool {
        self.foreign.get(&bridge).is_some_and(|ports| !ports.is_empty())
    }
}

/// All that these VNIs' frames depend on has changed.
fn scope_of(vnis: impl Iterator<Item = Vni>) -> Scope {
    let vnis: BTreeSet<Vni> = vnis.collect();
    match vnis.first() {
        None => Scope::None,
        Some(vni) if vnis.len() == 1 => Scope::One(*vni),
        Some(_) => Scope::All,
    }
}

fn is_foreign(port: &OvsPort) -> bool {
    port.name.as_str() != port.bridge.as_str() && !port.patch && port.owner.is_none()
}

/// An address that is all of its prefix.
fn is_host((ip, length): &(IpAddr, u8)) -> bool {
    *length == if ip.is_ipv4() { 32 } else { 128 }
}

/// A link-local, loopback or multicast address is no VTEP's.
fn is_vtep(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_link_local() || address.is_multicast()),
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unicast_link_local() || address.is_multicast())
        }
    }
}

/// A port with a tenant's name is that tenant's; any other may be a patch port or a way to a real gateway.
fn port_scope(name: &str, changed: bool) -> Scope {
    let tenant = name.parse().ok().and_then(|name| names::vni_of(&name));
    match tenant {
        _ if !changed => Scope::None,
        Some(vni) => Scope::One(vni),
        None => Scope::All,
    }
}

/// `physnet1:br-ex,physnet2:br-two`; what is no pair is passed over, as ovn-controller does.
fn parse_mappings(text: &str) -> BTreeMap<Box<str>, IfName> {
    let pair = |item: &str| {
        let (network, bridge) = item.trim().split_once(':')?;
        Some((network.into(), bridge.parse().ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::kernel::object::Address;

    fn see(node: &mut Node, object: impl Into<Object>) -> Scope {
        let object = object.into();
        node.learn(&object.key(), Some(&object))
    }

    fn address(dev: &str, ip: &str) -> KernelObject {
        KernelObject::Address(Address::host(dev.parse().unwrap(), ip.parse().unwrap()))
    }

    #[test]
    fn the_vtep_address_is_searched_in_order() {
        let mut node = Node::default();
        let mut config = Config::default();
        assert!(node.vtep(&config).unwrap_err().contains("evpn_local_ip"));
        let settings = OvsSettings { encap_ip: Some("100.65.0.3".into()), ..Default::default() };
        see(&mut node, VswitchObject::Settings(settings));
        assert_eq!(node.vtep(&config).unwrap().to_string(), "100.65.0.3");
        let wide = Address { length: 8, ..Address::host("lo".parse().unwrap(), [100, 9, 9, 9].into()) };
        see(&mut node, KernelObject::Address(wide));
        assert_eq!(node.vtep(&config).unwrap().to_string(), "100.65.0.3", "no host address");
        see(&mut node, address("lo", "127.0.0.1"));
        see(&mut node, address("lo", "100.65.0.1"));
        assert_eq!(node.vtep(&config).unwrap().to_string(), "100.65.0.1");
        config.evpn_nic = Some("eth1".parse().unwrap());
        assert!(node.vtep(&config).unwrap_err().contains("eth1"));
        see(&mut node, address("eth1", "192.0.2.9"));
        see(&mut node, address("eth1", "192.0.2.7"));
        assert_eq!(node.vtep(&config).unwrap().to_string(), "192.0.2.7");
        config.evpn_local_ip = Some("192.0.2.8".parse().unwrap());
        assert_eq!(node.vtep(&config).unwrap().to_string(), "192.0.2.8");
        // A name like a tenant's says nothing, but for that of its dummy.
        let nic = Config { evpn_nic: Some("br-100".parse().unwrap()), ..Config::default() };
        see(&mut node, address("br-100", "192.0.2.10"));
        assert_eq!(node.vtep(&nic).unwrap().to_string(), "192.0.2.10");
    }

    #[test]
    fn tenants_addresses_are_no_facts_of_the_node() {
        let mut node = Node::default();
        assert_eq!(see(&mut node, address("lo-1001", "20.0.0.10")), Scope::None);
        assert_eq!(see(&mut node, address("lo", "100.65.0.1")), Scope::All);
        assert_eq!(see(&mut node, address("lo", "100.65.0.1")), Scope::None);
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_have_gone() {
        let mut node = Node::default();
        for number in 0..10 {
            let address: Object = address(&format!("tap{number}"), "192.0.2.7").into();
            node.learn(&address.key(), None);
            see(&mut node, address.clone());
            node.learn(&address.key(), None);
        }
        assert!(node.addresses.is_empty());
    }

    #[test]
    fn a_vrf_that_gets_another_table_frees_the_one_it_had() {
        let (mut node, vni) = (Node::default(), |number| Vni::new(number).unwrap());
        let vrf = |name: &str, table| Link {
            name: name.parse().unwrap(),
            kind: LinkKind::Vrf { table },
            master: None,
            up: true,
            mtu: None,
            owner: None,
            settings: Default::default(),
            mac: None,
        };
        let learn = |node: &mut Node, name, table| see(node, KernelObject::Link(vrf(name, table)));
        assert_eq!(learn(&mut node, "red", 1001), Scope::One(vni(1001)));
        assert!(node.table_trouble(vni(1001)).is_some());
        assert_eq!(learn(&mut node, "red", 1002), Scope::All, "both VNIs are concerned");
        assert!(node.table_trouble(vni(1001)).is_none() && node.table_trouble(vni(1002)).is_some());
        // Somebody's VRF with a name of ours, and the table of another VNI.
        assert_eq!(learn(&mut node, "vrf-1001", 1003), Scope::One(vni(1003)));
        let gone = Key::Kernel(KernelKey::Link("vrf-1001".parse().unwrap()));
        assert_eq!(node.learn(&gone, None), Scope::All);
        assert!(node.table_trouble(vni(1003)).is_none());
    }

    #[test]
    fn mappings_are_pairs() {
        let mappings = parse_mappings("physnet1:br-ex, physnet2:br-two,broken,:x,long:bridge-name-too-long");
        let pairs: Vec<_> = mappings.iter().map(|(network, bridge)| format!("{network}={bridge}")).collect();
        assert_eq!(pairs, ["=x", "physnet1=br-ex", "physnet2=br-two"]);
    }
}
