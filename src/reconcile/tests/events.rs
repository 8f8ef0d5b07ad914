//! What may happen to a node and its cloud, for histories that a property test makes up.

use super::*;
use crate::config::Expose;

#[derive(Clone, Debug)]
pub enum Event {
    Cloud(Step),
    Lose(u8),
    Restart,
    /// The agent starts anew and exposes by routes, or by dummies.
    Expose(bool),
    Drift(prop::sample::Index),
    ReadAll,
    Node(NodeStep),
}

/// What an operator, OVS or the kernel may do to the node itself.
#[derive(Clone, Debug)]
pub enum NodeStep {
    Bridge(bool),
    SecondBridge(bool),
    PatchPort(bool),
    Mapping(Option<&'static str>),
    /// The chassis whose name the node has; gw2 is one of those that the gateways move between.
    SystemId(Option<&'static str>),
    ForeignPort(bool),
    ForeignLink(&'static str),
    Renumber(prop::sample::Index),
    NewMac(prop::sample::Index),
}

fn node_step() -> impl Strategy<Value = NodeStep> {
    use NodeStep::*;
    let link = prop::sample::select(&["vrf-1001", "vxlan-1001", "veth-ovs-1002", "br-docker0"][..]);
    let mappings = ["physnet1:br-ex", "physnet1:br-ex,physnet2:br-two", "physnet2:br-ex", "physnet1:br-two"];
    let mapping = prop::option::of(prop::sample::select(Vec::from(mappings)));
    let system_id = prop::option::of(prop::sample::select(&["gw1", "gw1", "gw2"][..]));
    prop_oneof![
        any::<bool>().prop_map(Bridge),
        any::<bool>().prop_map(SecondBridge),
        any::<bool>().prop_map(PatchPort),
        mapping.prop_map(Mapping),
        system_id.prop_map(SystemId),
        any::<bool>().prop_map(ForeignPort),
        link.prop_map(ForeignLink),
        any::<prop::sample::Index>().prop_map(Renumber),
        any::<prop::sample::Index>().prop_map(NewMac),
    ]
}

impl Rig {
    fn node_step(&mut self, step: &NodeStep) {
        let peers = &mut self.peers;
        let stands = |peers: &Peers, port: &str| {
            peers.objects.contains_key(&VswitchKey::Port(PortName::new(port)).into())
        };
        let bridge = peers.objects.contains_key(&VswitchKey::Bridge(name("br-ex")).into());
        match step {
            NodeStep::Bridge(false) => peers.no_bridge("br-ex"),
            NodeStep::Bridge(true) if !bridge => {
                peers.bridge("br-ex");
                peers.patch_port("provnet-0", "br-ex");
            }
            NodeStep::PatchPort(true) if bridge && !stands(peers, "patch-provnet-1-to-br-int") => {
                peers.patch_port("provnet-1", "br-ex");
            }
            NodeStep::PatchPort(false) => peers.no_patch_port("provnet-1"),
            NodeStep::SecondBridge(false) => peers.no_bridge("br-two"),
            NodeStep::SecondBridge(true) => {
                if !peers.objects.contains_key(&VswitchKey::Bridge(name("br-two")).into()) {
                    peers.bridge("br-two");
                }
                if !stands(peers, "patch-provnet-1-to-br-int") {
                    peers.patch_port("provnet-1", "br-two");
                }
            }
            NodeStep::Mapping(mapping) => peers.set("ovn-bridge-mappings", mapping.map(str::to_owned)),
            NodeStep::SystemId(id) => peers.set("system-id", id.map(str::to_owned)),
            NodeStep::ForeignPort(true) if bridge && !stands(peers, "eth9") => {
                peers.foreign_port("eth9", "br-ex");
            }
            NodeStep::ForeignPort(false) => peers.take(&VswitchKey::Port(PortName::new("eth9")).into()),
            NodeStep::ForeignLink(link)
                if !peers.objects.contains_key(&KernelKey::Link(name(link)).into()) =>
            {
                peers.foreign_link(link, LinkKind::Dummy);
            }
            NodeStep::Renumber(index) => {
                if let Some(port) = self.pick(*index, "port ") {
                    self.peers.renumber(&port);
                }
            }
            NodeStep::NewMac(index) => {
                if let Some(link) = self.pick(*index, "link ") {
                    self.peers.change_mac(&link);
                }
            }
            _ => {}
        }
    }

    pub fn expose(&mut self, by_routes: bool) {
        self.config.expose = if by_routes { Expose::Routes } else { Expose::Dummy };
        self.restart();
    }

    pub fn suffer(&mut self, event: Event) {
        match event {
            Event::Node(step) => self.node_step(&step),
            Event::Cloud(step) => self.cloud.apply(&step),
            Event::Lose(at) => {
                let bridge = PlaneId::Flows(name("br-ex"));
                let planes = [PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr, bridge, PlaneId::Ledger];
                self.peers.lose = planes.get(usize::from(at)).copied();
            }
            Event::Restart => self.restart(),
            Event::Expose(by_routes) => self.expose(by_routes),
            Event::Drift(index) => {
                let fresh = Peers::new();
                let ours = |key: &&Key| {
                    !fresh.objects.contains_key(*key)
                        && !matches!(key, Key::Ledger(_) | Key::Flows(FlowsKey::Port(..)))
                };
                let mut keys: Vec<Key> = self.peers.objects.keys().filter(ours).cloned().collect();
                keys.sort_by_key(|key| format!("{key:?}"));
                if !keys.is_empty() {
                    self.peers.take(&keys[index.index(keys.len())]);
                }
            }
            Event::ReadAll => self.reconciler.read_all(),
        }
    }

    /// The name of one of what stands and reads like this.
    fn pick(&self, index: prop::sample::Index, like: &str) -> Option<String> {
        let texts = self.peers.objects.values().map(ToString::to_string);
        let mut names: Vec<String> =
            texts.filter_map(|text| Some(text.strip_prefix(like)?.split(' ').next()?.to_owned())).collect();
        names.sort();
        (!names.is_empty()).then(|| names[index.index(names.len())].clone())
    }
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => step().prop_map(Event::Cloud),
        1 => (0..5u8).prop_map(Event::Lose),
        1 => Just(Event::Restart),
        1 => any::<bool>().prop_map(Event::Expose),
        2 => any::<prop::sample::Index>().prop_map(Event::Drift),
        1 => Just(Event::ReadAll),
        3 => node_step().prop_map(Event::Node),
    ]
}
