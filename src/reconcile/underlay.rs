//! From the intent of the BGP mode and this node's facts to objects, and from there into the bookkeeping.
//!
//! Three layers stand on each other: what the mode has once (VRF, dummy, FRR), what a provider network needs (its VLAN
//! device, the flows that lead out), and what each destination needs (rule, route, neighbour, and last its address). What
//! depends on a fact that is not known is left out with the reason, and nothing that stands is removed on its account.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use uuid::Uuid;

use super::{
    Reconciler, frame,
    frame::Frame,
    node::Node,
    object::{Key, KeySet, Object},
    part::Part,
};
use crate::{
    config::{Config, NextHopProxy},
    intent::{
        Localnet,
        bgp::{self, Exposure, Way},
        names,
    },
    model::{IfName, Mark, OfPort, Prefix},
    planes::{
        flows::object::{Flow, FlowRule, FlowsObject},
        frr::object::{BgpSettings, BgpVrf, FrrObject, Leak, Sources},
        kernel::object::{
            Address, KernelKey, KernelObject, Link, LinkKind, Neighbour, NextHop, Rule, Settings,
        },
    },
    southbound::{Replica, Touched},
};

/// The place of our rules among all: the Python agent's, behind those of VRFs (1000) and before the main table (32766).
const RULE_PRIORITY: u32 = 32_000;

/// What is to be made again, and what was made.
#[derive(Debug, Default)]
pub struct Underlay {
    base: bool,
    networks: BTreeSet<Uuid>,
    destinations: BTreeSet<Prefix>,
    ties: BTreeMap<Uuid, Tie>,
    made: HashMap<Prefix, (Part, KeySet)>,
}

/// How a provider network is reached from this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// The provider bridge.
    pub bridge: IfName,
    /// The bridge's own device, or that of the VLAN on it.
    pub device: IfName,
    /// The provider network's VLAN.
    pub tag: Option<u16>,
    /// The physical network.
    pub network: Box<str>,
    /// The bridge's routing table.
    pub table: u32,
    /// The patch port whose questions are answered, if they are.
    answers: Option<OfPort>,
}

impl Underlay {
    /// Everything is to be made again.
    pub fn all_stale(&mut self) {
        self.base = true;
        self.networks.extend(self.ties.keys());
        self.destinations.extend(self.made.keys());
    }

    /// Nothing is to be made again.
    pub fn is_settled(&self) -> bool {
        !self.base && self.networks.is_empty() && self.destinations.is_empty()
    }

    /// How a provider network is reached, where that is known.
    pub fn tie(&self, network: Uuid) -> Option<&Tie> {
        self.ties.get(&network)
    }
}

impl Reconciler {
    /// Takes in what changed in the rows.
    pub(super) fn update_bgp(&mut self, touched: &Touched, chassis: Option<&str>) {
        let delta = self.bgp.update(&self.replica, touched, chassis);
        self.subjects_changed |= delta.subjects;
        self.follow_bgp(delta);
    }

    /// What the intent offers has changed.
    pub(super) fn follow_bgp(&mut self, delta: bgp::Delta) {
        if delta.exposures.is_empty() && delta.networks.is_empty() {
            return;
        }
        self.news.problems(&self.intent, &self.bgp);
        self.core.revision += 1;
        self.underlay.networks.extend(delta.networks);
        self.underlay.destinations.extend(delta.exposures);
    }

    /// Makes again what is stale.
    pub(super) fn update_underlay(&mut self) {
        if std::mem::take(&mut self.underlay.base) {
            self.underlay.networks.extend(self.bgp.networks());
            self.put_frame(Part::Base, base(&self.core.node, &self.config));
        }
        while let Some(network) = self.underlay.networks.pop_first() {
            self.update_network(network);
        }
        for to in std::mem::take(&mut self.underlay.destinations) {
            self.update_destination(to);
        }
    }

    fn update_network(&mut self, network: Uuid) {
        let (frame, tie) = match self.bgp.uses(network) {
            true => provider_network(&localnets(&self.replica, network), &self.core.node, &self.config),
            false => Default::default(),
        };
        let (frame, tie) = match tie.as_ref().and_then(|tie| self.device_trouble(network, tie)) {
            Some(trouble) => {
                (Frame { waiting: vec![trouble], bridges: frame.bridges, objects: Vec::new() }, None)
            }
            None => (frame, tie),
        };
        self.put_frame(Part::Network(network), frame);
        let before = match tie.clone() {
            Some(tie) => self.underlay.ties.insert(network, tie),
            None => self.underlay.ties.remove(&network),
        };
        if before != tie {
            // A VLAN device that this network gives up may be another's, too, which then wishes it anew.
            let device = before.map(|tie| tie.device);
            let others = self.underlay.ties.iter().filter(|(_, tie)| Some(tie.device) == device);
            let others = others.map(|(other, _)| *other);
            // Or it is what another one waits for.
            let waiting = self.bgp.networks().filter(|other| !self.underlay.ties.contains_key(other));
            self.underlay.networks.extend(others.chain(waiting).filter(|other| *other != network));
            let on_it = self.bgp.exposures().filter(|(_, exposure)| exposure.network == network);
            self.underlay.destinations.extend(on_it.map(|(to, _)| *to));
        }
    }

    /// Why a provider network cannot have its VLAN device: names of bridges that begin alike give devices of one name.
    fn device_trouble(&self, network: Uuid, tie: &Tie) -> Option<String> {
        let is_taken = |(other, others): &(&Uuid, &Tie)| {
            **other != network && others.device == tie.device && others.bridge != tie.bridge
        };
        let (_, taken) = self.underlay.ties.iter().find(is_taken)?;
        let Tie { bridge, device, .. } = tie;
        Some(format!(
            "its VLAN device would be {device}, which is that of bridge {} already: rename {bridge} or use another VLAN",
            taken.bridge
        ))
    }

    fn update_destination(&mut self, to: Prefix) {
        let mut made = None;
        // One that has moved to a provider network that waits is not offered by what led to it on another.
        let is_reached = |exposure: &&Exposure| {
            let stands_on = self.underlay.made.get(&to).map(|(before, _)| before.counted());
            self.underlay.ties.contains_key(&exposure.network)
                || stands_on.is_none_or(|before| before == Part::Network(exposure.network))
        };
        if let Some(exposure) = self.bgp.exposure(&to).filter(is_reached) {
            let part = part(to, exposure);
            let tie = self.underlay.ties.get(&exposure.network);
            let way = tie.map(|tie| way(to, exposure, tie)).unwrap_or_default();
            let address = advertised(to, exposure, self.config.underlay.nic);
            let objects: Vec<Object> = way.into_iter().chain(address).collect();
            // Where the way is not known (any more), what stands of it stays: the provider network says why it waits. By which
            // address it is advertised is known all the same.
            let kept = self.underlay.made.get(&to).filter(|_| tie.is_none());
            let leads_there = |key: &&Key| !matches!(key, Key::Kernel(KernelKey::Address(..)));
            let mut keys: KeySet =
                kept.iter().flat_map(|(_, keys)| keys.iter().filter(leads_there)).cloned().collect();
            keys.iter().for_each(|key| self.core.hand_over(key, part));
            for object in objects.into_iter().filter_map(|object| self.drained(object)).collect::<Vec<_>>() {
                let key = object.key();
                keys.insert(key.clone());
                self.core.wish(key, Some((part, object)));
            }
            made = Some((part, keys));
        }
        let before = match made.clone() {
            Some(made) => self.underlay.made.insert(to, made),
            None => self.underlay.made.remove(&to),
        };
        let (part, before) = before.unwrap_or((Part::Base, KeySet::default()));
        let after = made.map(|(_, keys)| keys).unwrap_or_default();
        for key in before.difference(&after).cloned().collect::<Vec<_>>() {
            self.core.unwish(key, part);
        }
    }
}

/// The part that a destination is.
pub fn part(to: Prefix, exposure: &Exposure) -> Part {
    match exposure.way {
        Way::Direct(_) => Part::Host(exposure.network, to.addr()),
        Way::Router(router, _) => Part::Subnet(exposure.network, router, to),
        Way::Subnet(router, subnet) => Part::Behind(exposure.network, router, subnet, to.addr()),
    }
}

/// What the mode has once.
fn base(node: &Node, config: &Config) -> Frame {
    let mut frame = Frame::default();
    let options = &config.underlay;
    if let Some(trouble) = node.vrf_trouble(options.vrf, options.table) {
        frame.waiting.push(trouble);
        return frame;
    }
    let quiet = Settings { no_ipv6_autogen: true, ..Settings::default() };
    frame.push(link(options.vrf, LinkKind::Vrf { table: options.table }, None, quiet));
    frame.push(link(options.nic, LinkKind::Dummy, Some(options.vrf), quiet));
    let settings = BgpSettings {
        router_id: options.router_id.or_else(|| node.router_id(config)),
        ..BgpSettings::redistributing(Sources::wished(true, false))
    };
    frame.push(FrrObject::Bgp(BgpVrf { vrf: options.vrf, asn: config.bgp_as, settings }));
    frame.push(FrrObject::Leak(Leak { vrf: options.vrf, ipv4: true, ipv6: true }));
    frame.waiting.extend(node.default_instance_trouble());
    frame
}

/// The localnet ports of a provider network, by name: a network of several segments has one for each.
fn localnets(replica: &Replica, network: Uuid) -> Vec<Localnet> {
    let mut localnets: Vec<Localnet> = replica
        .localnets_of(network)
        .map(|row| Localnet {
            port: row.logical_port.clone(),
            network: row.options.get("network_name").unwrap_or_default().into(),
            tag: row.tag.filter(|tag| *tag != 0),
        })
        .collect();
    localnets.sort();
    localnets
}

/// What a provider network needs, and how it is reached: by the first of its segments that this node is on.
fn provider_network(localnets: &[Localnet], node: &Node, config: &Config) -> (Frame, Option<Tie>) {
    let mut frame = Frame::default();
    let is_here = |localnet: &&Localnet| node.bridge_of(&localnet.network).is_ok();
    let Some(localnet) = localnets.iter().find(is_here).or(localnets.first()) else {
        frame.waiting.push("its localnet port is not in the Southbound any more".to_owned());
        return (frame, None);
    };
    let Some(bridge) = frame.known(node.bridge_of(&localnet.network)) else { return (frame, None) };
    frame.bridges.insert(bridge);
    let table = config.underlay.table_of(bridge);
    if let Some(trouble) = table_trouble(bridge, table, node, config) {
        frame.waiting.push(trouble);
        return (frame, None);
    }
    let device = match localnet.tag {
        Some(tag) => names::vlan_of(bridge, tag),
        None => bridge,
    };
    if let Some(tag) = localnet.tag {
        let routing = Settings { ipv4_forwarding: true, no_rp_filter: true, ..Settings::default() };
        frame.push(link(device, LinkKind::Vlan { of: Some(bridge), tag }, None, routing));
    }
    let mut answers = None;
    let in_port = frame.known(node.patch_port(bridge, &localnet.port));
    let mac = frame.known(node.mac_of(bridge));
    if let (Some(in_port), Some(mac)) = (in_port, mac) {
        let mut flow = |rule| frame.push(FlowsObject::Flow(Flow { bridge, rule }));
        for ipv6 in [false, true] {
            flow(FlowRule::Outgoing { in_port, ipv6, to: mac });
        }
        for advertised in [false, true] {
            flow(FlowRule::Discovery { in_port, advertised });
        }
        let targets: Vec<Option<IpAddr>> = match &config.next_hop_proxy {
            NextHopProxy::Always => vec![None],
            NextHopProxy::Auto if !node.has_foreign_port(bridge) => vec![None],
            NextHopProxy::Auto | NextHopProxy::Never => Vec::new(),
            NextHopProxy::Only(targets) => targets.iter().copied().map(Some).collect(),
        };
        for target in &targets {
            let (ipv4, ipv6) = (target.is_none_or(|ip| ip.is_ipv4()), target.is_none_or(|ip| ip.is_ipv6()));
            for ipv6 in [(ipv4, false), (ipv6, true)].into_iter().filter(|(is, _)| *is).map(|(_, ipv6)| ipv6)
            {
                flow(FlowRule::AnyReply { in_port, ipv6, target: *target, answer: mac });
            }
        }
        answers = (!targets.is_empty()).then_some(in_port);
        if let Some(in_port) = answers {
            flow(FlowRule::Probe { in_port });
        }
    }
    let network = localnet.network.clone();
    (frame, Some(Tie { bridge, device, tag: localnet.tag, network, table, answers }))
}

/// Why a bridge cannot have this routing table.
fn table_trouble(bridge: IfName, table: u32, node: &Node, config: &Config) -> Option<String> {
    let options = &config.underlay;
    let whose = match table {
        0 | 253..=255 => "the kernel's".to_owned(),
        _ if table == options.table => format!("that of {}", options.vrf),
        _ => {
            let same = |other: &IfName| *other != bridge && options.table_of(*other) == table;
            let other = node.provider_bridges().find(same).map(|other| format!("that of {other}, too"));
            other.or_else(|| node.vrf_of(table).map(|vrf| format!("that of the VRF {vrf}")))?
        }
    };
    let file = options.rt_tables.display();
    Some(format!(
        "{bridge}'s routing table is {table} by {file}, which is {whose}: give it another number there"
    ))
}

/// What leads to a destination.
fn way(to: Prefix, exposure: &Exposure, tie: &Tie) -> Vec<Object> {
    let (table, ip) = (tie.table, to.addr());
    let by = |next_hop| {
        let rule = KernelObject::Rule(Rule { to, table, priority: RULE_PRIORITY });
        [rule, frame::route(table, to, next_hop)].map(Object::from)
    };
    match exposure.way {
        Way::Direct(mac) => {
            let neighbour =
                |mac| KernelObject::Neighbour(Neighbour { dev: tie.device, ip, mac, marked: true }).into();
            let behind = |in_port| {
                let rule = FlowRule::Behind { in_port, address: ip };
                FlowsObject::Flow(Flow { bridge: tie.bridge, rule }).into()
            };
            let rest = mac.map(neighbour).into_iter().chain(tie.answers.map(behind));
            by(NextHop::Link(tie.device)).into_iter().chain(rest).collect()
        }
        Way::Router(router, _) => by(NextHop::Via(router, tie.device)).into(),
        Way::Subnet(..) => Vec::new(),
    }
}

/// The address by which a destination is advertised.
fn advertised(to: Prefix, exposure: &Exposure, nic: IfName) -> Option<Object> {
    let address = match exposure.way {
        Way::Direct(_) | Way::Subnet(..) => Address::host(nic, to.addr()),
        Way::Router(_, own) => Address { dev: nic, ip: own?, length: to.prefix_len(), local_route: false },
    };
    Some(KernelObject::Address(address).into())
}

fn link(name: IfName, kind: LinkKind, master: Option<IfName>, settings: Settings) -> KernelObject {
    let owner = Some(Mark::Underlay);
    KernelObject::Link(Link { name, kind, master, up: true, mtu: None, owner, settings, mac: None })
}
