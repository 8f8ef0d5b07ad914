//! From a tenant and this node's facts to the objects of its frame: everything but the VMs' addresses.
//!
//! Pure. What depends on a fact that is not known yet is left out, with the reason; such a frame is incomplete, and
//! nothing of the tenant's is removed on its account.

use std::{collections::BTreeSet, net::IpAddr};

use super::{exposed::Ways, node::Node, object::Object};
use crate::{
    config::{Attach, Config, Expose, NextHopProxy},
    intent::{Localnet, Tenant, TenantGateway, names, same_family, shown},
    ledger::Entry,
    model::{IfName, MacAddr, OfPort, Prefix, Vni},
    planes::{
        flows::object::{Flow, FlowRule, FlowsObject},
        frr::object::{BgpSettings, BgpVrf, FrrObject, Sources, VrfVni},
        kernel::object::{KernelObject, Link, LinkKind, Neighbour, NextHop, Route, Settings},
        vswitch::object::{OvsPort, VswitchObject},
    },
};

/// The metric of the unreachable default: so large that any other default is preferred (the kernel's documentation of
/// VRF, Documentation/networking/vrf.rst, uses the same number).
const UNREACHABLE_METRIC: u32 = 4_278_198_272;

/// The metric of our IPv6 routes, which is what the kernel gives where none is named (IP6_RT_PRIO_USER).
const IPV6_METRIC: u32 = 1024;

/// The metric of the route to a gateway whose address is exposed as a route: a larger one than that, so that of the two
/// zebra tells the exposed one.
const BESIDE_METRIC: u32 = 1024;

/// What one tenant's frame is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The objects that should exist.
    pub objects: Vec<Object>,
    /// Why the frame is not complete; empty: it is.
    pub waiting: Vec<String>,
    /// The bridges of its provider networks, as far as they are known.
    pub bridges: BTreeSet<IfName>,
}

/// How a gateway is tied to its provider bridge, with what is known of it.
struct Tie {
    bridge: IfName,
    /// The device in (or of) the VRF that leads to the bridge.
    device: IfName,
    /// The name of that device's port on the bridge.
    port: IfName,
    /// The port by which the VRF's packets come to the bridge: that one, but for a VRF that is a port itself.
    source: IfName,
    vlan: Option<u16>,
}

/// The frame of a tenant whose addresses are exposed like this.
pub fn frame(tenant: &Tenant, ways: &Ways, node: &Node, config: &Config) -> Frame {
    let localnets = tenant.localnets();
    let bridges = localnets.iter().filter_map(|localnet| node.bridge_of(&localnet.network).ok()).collect();
    let mut frame = Frame { bridges, ..Frame::default() };
    if let Some(trouble) = node.underlay_trouble(tenant.vni, config).or(node.table_trouble(tenant.vni)) {
        frame.waiting.push(trouble);
        return frame;
    }
    frame.push(ledger_entry(tenant));
    let addresses = || tenant.gateways.iter().flat_map(|gateway| &gateway.addresses);
    let by_dummy = config.expose == Expose::Dummy || addresses().any(|ip| !ways.leads_to(*ip));
    frame.vrf(tenant, by_dummy, node, config);
    frame.fabric(tenant, Sources::wished(by_dummy, !ways.is_empty()), node, config);
    let ties: Vec<Option<Tie>> = localnets
        .iter()
        .enumerate()
        .map(|(n, localnet)| {
            let attach = attach_of(localnet, &localnets, config);
            frame.tie(tenant.vni, n, localnet, attach, node)
        })
        .collect();
    for (index, gateway) in tenant.gateways.iter().enumerate() {
        for &ip in &gateway.addresses {
            frame.push(ways.object(tenant.vni, ip));
        }
        let n = localnets.iter().position(|localnet| **localnet == gateway.localnet).unwrap_or_default();
        if let Some(tie) = &ties[n] {
            frame.gateway(tenant, index, ways, tie, node, config);
        }
    }
    frame.set_mtu(config.mtu);
    frame
}

/// How a localnet of these is tied, where it has no VLAN: a VRF can be a port of one bridge alone, that of the first
/// physical network; the others get a veth pair, whatever is configured.
pub fn attach_of(localnet: &Localnet, localnets: &[&Localnet], config: &Config) -> Attach {
    let first = localnets.iter().find(|localnet| localnet.tag.is_none());
    let is_first = first.is_some_and(|first| first.network == localnet.network);
    if is_first { config.attach } else { Attach::Veth }
}

fn ledger_entry(tenant: &Tenant) -> Entry {
    let gateways = tenant.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    Entry { vni: tenant.vni, asn: tenant.asn, gateways, left: false }
}

impl Frame {
    pub(super) fn push(&mut self, object: impl Into<Object>) {
        self.objects.push(object.into());
    }

    pub(super) fn known<T>(&mut self, fact: Result<T, String>) -> Option<T> {
        fact.map_err(|reason| self.waiting.push(shown(&reason))).ok()
    }

    /// A VRF's MTU is no limit to what passes it, and that of a device of OVS is OVS's to set.
    fn set_mtu(&mut self, mtu: u32) {
        for object in &mut self.objects {
            if let Object::Kernel(KernelObject::Link(link)) = object
                && !matches!(link.kind, LinkKind::Vrf { .. } | LinkKind::Other(_))
            {
                link.mtu = Some(mtu);
            }
        }
    }

    /// The VRF with its bridge, VXLAN device and, where it is needed, dummy; its unreachable defaults keep tenants' packets
    /// in it.
    fn vrf(&mut self, tenant: &Tenant, by_dummy: bool, node: &Node, config: &Config) {
        let vni = tenant.vni;
        let (vrf, bridge) = (names::vrf(vni), names::bridge(vni));
        let quiet = Settings { no_ipv6_autogen: true, ..Settings::default() };
        let routing = Settings { ipv4_forwarding: true, no_rp_filter: true, ..quiet };
        self.push(vrf_link(vni));
        self.push(link(vni, bridge, LinkKind::Bridge, Some(vrf), Settings { plain: true, ..routing }));
        if by_dummy {
            self.push(link(vni, names::dummy(vni), LinkKind::Dummy, Some(vrf), quiet));
        }
        if let Some(local) = self.known(node.vtep(config)) {
            let kind = LinkKind::Vxlan { id: vni.get(), port: config.evpn_udp_dstport, local };
            self.push(link(vni, names::vxlan(vni), kind, Some(bridge), Settings { plain: true, ..quiet }));
        }
        unreachable_defaults(vni).into_iter().for_each(|route| self.push(route));
    }

    /// FRR's side: the VNI of the VRF, and its BGP instance.
    fn fabric(&mut self, tenant: &Tenant, sources: Sources, node: &Node, config: &Config) {
        self.waiting.extend(node.fabric_trouble());
        let vrf = names::vrf(tenant.vni);
        self.push(FrrObject::Vrf(VrfVni { vrf, vni: Some(tenant.vni.get()), up: true }));
        let settings = BgpSettings {
            router_id: node.router_id(config),
            rd: tenant.rd,
            import: tenant.import.clone(),
            export: tenant.export.clone(),
            ..BgpSettings::advertising(sources)
        };
        self.push(FrrObject::Bgp(BgpVrf { vrf, asn: tenant.asn, settings }));
    }

    /// The devices between the VRF and the provider bridge of the `n`th localnet.
    fn tie(&mut self, vni: Vni, n: usize, localnet: &Localnet, attach: Attach, node: &Node) -> Option<Tie> {
        let vrf = names::vrf(vni);
        let quiet = Settings { no_ipv6_autogen: true, ..Settings::default() };
        let routing = Settings { ipv4_forwarding: true, no_rp_filter: true, ..quiet };
        let bridge = self.known(node.bridge_of(&localnet.network));
        let wished = |bridge, name| OvsPort::wished(bridge, name, vni);
        if let Some(tag) = localnet.tag {
            let device = names::vlan(vni, n);
            self.push(link(vni, device, LinkKind::Other(String::new()), Some(vrf), routing));
            let port = OvsPort { internal: true, tag: Some(tag), ..wished(bridge?, device) };
            self.push(VswitchObject::Port(port));
            return Some(Tie { bridge: bridge?, device, port: device, source: device, vlan: Some(tag) });
        }
        if attach == Attach::Vrf {
            self.push(VswitchObject::Port(wished(bridge?, vrf)));
            return Some(Tie { bridge: bridge?, device: bridge?, port: vrf, source: bridge?, vlan: None });
        }
        let (inner, outer) = names::veth(vni, n);
        self.push(link(vni, inner, LinkKind::Veth { peer: Some(outer) }, Some(vrf), routing));
        // Enslaving by OVS shows as a master on the kernel's datapath only; it is OVS's to keep, not ours.
        self.push(link(vni, outer, LinkKind::Veth { peer: Some(inner) }, None, quiet));
        self.push(VswitchObject::Port(wished(bridge?, outer)));
        Some(Tie { bridge: bridge?, device: inner, port: outer, source: outer, vlan: None })
    }

    /// The way through one gateway: routes, neighbours and flows.
    fn gateway(
        &mut self,
        tenant: &Tenant,
        index: usize,
        ways: &Ways,
        tie: &Tie,
        node: &Node,
        config: &Config,
    ) {
        let (table, gateway) = (tenant.vni.get(), &tenant.gateways[index]);
        for &ip in &gateway.addresses {
            let (prefix, next_hop) = (Prefix::from(ip), NextHop::Link(tie.device));
            self.push(match ways.leads_to(ip) {
                true => KernelObject::Route(Route { table, prefix, metric: BESIDE_METRIC, next_hop }),
                false => route(table, prefix, next_hop),
            });
            // The bridge itself is no device of ours.
            let marked = tie.device == tie.bridge;
            let (dev, mac) = (tie.device, gateway.mac);
            self.push(KernelObject::Neighbour(Neighbour { dev, ip, mac, marked }));
        }
        for subnet in &tenant.subnets {
            let next_hop = gateway.addresses.iter().find(|address| same_family(address, &subnet.prefix));
            if let (Some(&index_of_first), Some(&ip)) = (subnet.gateways.first(), next_hop)
                && index_of_first == index
            {
                self.push(route(table, subnet.prefix, NextHop::Via(ip, tie.device)));
            }
        }
        self.flows(tenant, index, gateway, tie, node, config);
    }

    fn flows(
        &mut self,
        tenant: &Tenant,
        index: usize,
        gateway: &TenantGateway,
        tie: &Tie,
        node: &Node,
        config: &Config,
    ) {
        let in_port = self.known(node.patch_port(tie.bridge, &gateway.localnet.port));
        let output = self.known(node.openflow_port(tie.bridge, tie.port));
        let source = self.known(node.openflow_port(tie.bridge, tie.source));
        let mac = self.known(node.mac_of(tie.device));
        let (Some(in_port), Some(output), Some(source), Some(to)) = (in_port, output, source, mac) else {
            return;
        };
        let mut flow = |rule| self.objects.push(FlowsObject::Flow(Flow { bridge: tie.bridge, rule }).into());
        let is_only_way = match config.next_hop_proxy {
            NextHopProxy::Always => true,
            NextHopProxy::Auto => !node.has_foreign_port(tie.bridge),
            NextHopProxy::Never | NextHopProxy::Only(_) => false,
        };
        let behind_it = tenant.subnets.iter().filter(|subnet| subnet.gateways.contains(&index));
        // What the router says itself goes to the VRF, too, unless a real gateway may be meant.
        let own = gateway.addresses.iter().filter(|_| is_only_way).map(|ip| Prefix::from(*ip));
        for subnet in behind_it.map(|subnet| subnet.prefix).chain(own) {
            let (router, vlan) = (gateway.mac, tie.vlan.is_some());
            flow(FlowRule::Redirect { in_port, router, subnet, vlan, to, output });
        }
        for rule in answers(gateway, in_port, to, is_only_way, &config.next_hop_proxy) {
            flow(rule);
        }
        flow(FlowRule::Inject { in_port: source, router: gateway.mac, vlan: tie.vlan, output: in_port });
        // The bridge's own port and MAC have other users.
        if tie.source != tie.bridge {
            flow(FlowRule::Guard { in_port: source });
            // Where the router may mean a real gateway, too, what it says itself is not redirected, and would be dropped.
            if is_only_way {
                flow(FlowRule::Stray { in_port, router: gateway.mac, to });
            }
        }
    }
}

/// The flows that answer OVN's router when it asks for its next hop.
fn answers(
    gateway: &TenantGateway,
    in_port: OfPort,
    answer: MacAddr,
    is_only_way: bool,
    proxy: &NextHopProxy,
) -> Vec<FlowRule> {
    let router = gateway.mac;
    let arp = |target| FlowRule::ArpReply { in_port, router, target, answer };
    let nd = |target| FlowRule::NdReply { in_port, router, target, answer };
    match proxy {
        NextHopProxy::Only(targets) => targets
            .iter()
            .map(|target| match target {
                IpAddr::V4(target) => arp(Some(*target)),
                IpAddr::V6(target) => nd(Some(*target)),
            })
            .collect(),
        _ if is_only_way => {
            let own = gateway.addresses.iter().filter_map(|address| match *address {
                IpAddr::V4(address) => Some(FlowRule::OwnArp { in_port, router, address }),
                IpAddr::V6(_) => None,
            });
            own.chain([arp(None), nd(None)]).collect()
        }
        _ => Vec::new(),
    }
}

fn link(vni: Vni, name: IfName, kind: LinkKind, master: Option<IfName>, settings: Settings) -> KernelObject {
    KernelObject::Link(Link {
        name,
        kind,
        master,
        up: true,
        mtu: None,
        owner: Some(vni.into()),
        settings,
        mac: None,
    })
}

/// The VRF of a tenant.
pub fn vrf_link(vni: Vni) -> KernelObject {
    let settings =
        Settings { no_ipv6_autogen: true, ipv4_forwarding: true, no_rp_filter: true, ..Settings::default() };
    link(vni, names::vrf(vni), LinkKind::Vrf { table: vni.get() }, None, settings)
}

/// What keeps packets without another way in the VRF, of each family.
pub fn unreachable_defaults(vni: Vni) -> [KernelObject; 2] {
    [Prefix::V4(ipnet::Ipv4Net::default()), Prefix::V6(ipnet::Ipv6Net::default())].map(|prefix| {
        let (table, metric, next_hop) = (vni.get(), UNREACHABLE_METRIC, NextHop::Unreachable);
        KernelObject::Route(Route { table, prefix, metric, next_hop })
    })
}

/// A route with the metric that the kernel would show.
pub(super) fn route(table: u32, prefix: Prefix, next_hop: NextHop) -> KernelObject {
    let metric = if prefix.addr().is_ipv4() { 0 } else { IPV6_METRIC };
    KernelObject::Route(Route { table, prefix, metric, next_hop })
}
