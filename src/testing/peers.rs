//! A node's peers as far as the reconciler sees them: objects that stand, side effects as the real ones have them,
//! refusals as the real ones make them, and faults on demand. Speaks reports and commands, no wire bytes.

mod bgp;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    config::Config,
    intent::names,
    model::{IfName, MacAddr, OfPort, Prefix, Vni},
    planes::{
        Change, Command, Operation, Outcome, Report, Verb,
        flows::object::{BridgePort, FlowsKey, FlowsObject},
        frr::{
            object::{BgpBase, FrrKey, FrrObject},
            question::Question,
        },
        kernel::object::{KernelKey, KernelObject, Link, LinkKind, NextHop, Route},
        vswitch::object::{OvsBridge, OvsPort, OvsSettings, PortName, VswitchKey, VswitchObject},
    },
    reconcile::{
        Reconciler,
        object::{Key, Object, PlaneId},
    },
};

/// The name of the provider bridge.
pub const BRIDGE: &str = "br-ex";

/// The AS of FRR's default instance.
const DEFAULT_AS: &str = "64999";

/// Ports are numbered from behind this one.
pub const FIRST_PORT: u32 = 10;

/// What a node's peers hold.
pub struct Peers {
    /// Everything that stands.
    pub objects: HashMap<Key, Object>,
    /// Every operation carried out, in order, as `verb object`.
    pub journal: Vec<(Verb, Object)>,
    /// The same by batch, since it was last emptied.
    pub batches: Vec<Vec<(Verb, Object)>>,
    /// Operations to refuse: keys.
    pub refuse: HashSet<Key>,
    /// Operations to refuse: those whose object reads like this.
    pub refuse_like: Option<String>,
    connected: HashSet<PlaneId>,
    /// A bridge that speaks no OpenFlow which the agent speaks.
    pub mute: Option<&'static str>,
    /// New addresses get their local route after it was asked to be removed, as the kernel's addrconf does.
    pub late_local_routes: bool,
    /// What BGP originates, by the dummy that has the address, or would have it if it were not a route.
    pub bgp: BTreeSet<(IfName, IpAddr)>,
    /// What was asked about prefixes.
    pub questions: Vec<Question>,
    /// These planes take what is given to them and never answer.
    pub hung: HashSet<PlaneId>,
    /// FRR has our route-maps.
    has_maps: bool,
    /// VRFs to whose L3VNI bgpd clings, since their device went while it was up.
    clings: BTreeSet<IfName>,
    /// zebra loses what the kernel tells it.
    pub deaf: bool,
    /// Answer the next batch of this plane with Unknown, having done half of it.
    pub lose: Option<PlaneId>,
    /// Answer every batch with Unknown, and do nothing of it, that has an operation whose object reads like this.
    pub die_of: Option<String>,
    /// Somebody takes this away as soon as it is there, before the batch that made it is answered.
    pub undo: Option<Key>,
    /// How many batches were answered so.
    pub deaths: usize,
    /// This bridge goes before the next batch for it is answered, which it never is.
    pub goes_meanwhile: Option<&'static str>,
    reports: BTreeMap<PlaneId, Vec<Change<Object, Key>>>,
    /// The number of the port that was numbered last.
    pub last_port: u32,
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peers {
    /// A gateway node, as OVN has set it up: br-ex with the patch port of `provnet`, a VTEP address on lo.
    pub fn new() -> Self {
        let mut peers = Self {
            objects: HashMap::new(),
            journal: Vec::new(),
            batches: Vec::new(),
            refuse_like: None,
            connected: HashSet::new(),
            mute: None,
            late_local_routes: false,
            refuse: HashSet::new(),
            bgp: BTreeSet::new(),
            questions: Vec::new(),
            hung: HashSet::new(),
            has_maps: false,
            clings: BTreeSet::new(),
            deaf: false,
            lose: None,
            die_of: None,
            undo: None,
            deaths: 0,
            goes_meanwhile: None,
            reports: BTreeMap::new(),
            last_port: FIRST_PORT,
        };
        peers.put(VswitchObject::Settings(OvsSettings {
            system_id: Some("gw1".into()),
            bridge_mappings: Some("physnet1:br-ex".into()),
            encap_ip: Some("100.65.0.1".into()),
            ..OvsSettings::default()
        }));
        let base = BgpBase { asn: DEFAULT_AS.parse().ok(), router_id: None, evpn: true };
        peers.put(FrrObject::Base(base));
        peers.bridge(BRIDGE);
        for localnet in ["provnet", "provnet-0", "provnet-1"] {
            peers.patch_port(localnet, BRIDGE);
        }
        peers
    }

    /// A setting of Open_vSwitch is this now.
    pub fn set(&mut self, key: &str, value: Option<String>) {
        let value = value.map(Into::into);
        let Some(Object::Vswitch(VswitchObject::Settings(settings))) =
            self.objects.get(&VswitchKey::Settings.into())
        else {
            panic!("no settings");
        };
        let mut settings = settings.clone();
        match key {
            "system-id" => settings.system_id = value,
            "ovn-bridge-mappings" => settings.bridge_mappings = value,
            "ovn-encap-ip" => settings.encap_ip = value,
            _ => panic!("no such setting: {key}"),
        }
        self.put(VswitchObject::Settings(settings));
    }

    /// A bridge with its own port.
    pub fn bridge(&mut self, bridge: &str) {
        self.put(VswitchObject::Bridge(OvsBridge { name: name(bridge), datapath_type: "".into() }));
        self.plain_port(bridge, bridge, None);
        self.foreign_link(bridge, LinkKind::Other("openvswitch".to_owned()));
    }

    /// A bridge goes, with its ports and flows.
    pub fn no_bridge(&mut self, bridge: &str) {
        let on_it = |object: &Object| match object {
            Object::Vswitch(VswitchObject::Port(port)) => port.bridge == name(bridge),
            object => object.key().plane() == PlaneId::Flows(name(bridge)),
        };
        self.take_all(on_it);
        self.reports.remove(&PlaneId::Flows(name(bridge)));
        self.take(&KernelKey::Link(name(bridge)).into());
        self.take(&VswitchKey::Bridge(name(bridge)).into());
    }

    fn plain_port(&mut self, port: &str, bridge: &str, localnet: Option<&str>) {
        self.last_port += 1;
        self.put(VswitchObject::Port(OvsPort {
            bridge: name(bridge),
            name: PortName::new(port),
            internal: false,
            tag: None,
            owner: None,
            localnet: localnet.map(Into::into),
            patch: localnet.is_some(),
            ofport: Some(OfPort(self.last_port)),
            error: None,
        }));
    }

    /// ovn-controller makes the patch port of a localnet.
    pub fn patch_port(&mut self, localnet: &str, bridge: &str) {
        self.plain_port(&format!("patch-{localnet}-to-br-int"), bridge, Some(localnet));
    }

    /// The patch port of a localnet goes.
    pub fn no_patch_port(&mut self, localnet: &str) {
        self.take(&VswitchKey::Port(PortName::new(&format!("patch-{localnet}-to-br-int"))).into());
    }

    /// An operator's port, as a NIC is.
    pub fn foreign_port(&mut self, port: &str, bridge: &str) {
        self.plain_port(port, bridge, None);
    }

    /// An operator's link.
    pub fn foreign_link(&mut self, link: &str, kind: LinkKind) {
        let mac = self.mac_for(link);
        self.put(KernelObject::Link(Link {
            name: name(link),
            kind,
            master: None,
            up: true,
            mtu: None,
            owner: None,
            settings: Default::default(),
            mac: Some(mac),
        }));
    }

    /// ovs-vswitchd gives a port another number.
    pub fn renumber(&mut self, port: &str) {
        let key = VswitchKey::Port(PortName::new(port)).into();
        let Some(Object::Vswitch(VswitchObject::Port(mut port))) = self.objects.get(&key).cloned() else {
            panic!("no such port: {port}");
        };
        self.last_port += 1;
        port.ofport = port.ofport.map(|_| OfPort(self.last_port));
        self.put(VswitchObject::Port(port.clone()));
        if port.owner.is_some() {
            let mac = self.mac_for(port.name.as_str());
            self.give_number(&port, mac);
        }
    }

    /// A link gets another Ethernet address.
    pub fn change_mac(&mut self, link: &str) {
        let Some(Object::Kernel(KernelObject::Link(mut link))) =
            self.objects.get(&KernelKey::Link(name(link)).into()).cloned()
        else {
            panic!("no such link: {link}");
        };
        link.mac = Some(MacAddr([2, 0, 0, 0xff, 0xff, 0xff]));
        self.put(KernelObject::Link(link));
    }

    /// Something stands now, by whoever's hand.
    pub fn put(&mut self, object: impl Into<Object>) {
        let object = object.into();
        let key = object.key();
        self.reports.entry(key.plane()).or_default().push(Change::Present(object.clone()));
        self.hear(&object, true);
        self.objects.insert(key, object);
    }

    /// The kernel takes no route by a gateway whose address a link of the same VRF has.
    fn is_refused(&self, route: &Route) -> bool {
        let NextHop::Via(IpAddr::V6(gateway), _) = route.next_hop else { return false };
        let holds = |object: &Object| {
            matches!(object, Object::Kernel(KernelObject::Address(address)) if address.ip == gateway
                && names::vni_of(&address.dev).map(Vni::get) == Some(route.table))
        };
        route.exposes() && self.objects.values().any(holds)
    }

    /// Something is gone, by whoever's hand, with what goes along with it.
    pub fn take(&mut self, key: &Key) {
        let Some(object) = self.objects.remove(key) else {
            return;
        };
        self.reports.entry(key.plane()).or_default().push(Change::Absent(key.clone()));
        self.hear(&object, false);
        match object {
            Object::Kernel(KernelObject::Link(link)) => {
                self.lose_device(link.name);
                self.take_all(|object| depends_on(object, link.name, &link.kind));
                if let LinkKind::Veth { peer: Some(peer) } = link.kind {
                    self.take(&KernelKey::Link(peer).into());
                }
                self.take_all(|object| is_vlan_of(object, link.name));
                let slaves: Vec<Object> =
                    self.objects.values().filter(|object| is_slave(object, link.name)).cloned().collect();
                for slave in slaves {
                    if let Object::Kernel(KernelObject::Link(mut slave)) = slave {
                        slave.master = None;
                        self.put(KernelObject::Link(slave));
                    }
                }
            }
            Object::Vswitch(VswitchObject::Port(port)) => {
                self.take(&FlowsKey::Port(port.bridge, port.name.as_str().into()).into());
                if port.internal {
                    self.take(&KernelKey::Link(name(port.name.as_str())).into());
                }
            }
            _ => {}
        }
    }

    fn take_all(&mut self, which: impl Fn(&Object) -> bool) {
        let keys: Vec<Key> =
            self.objects.iter().filter(|(_, object)| which(object)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.take(&key);
        }
    }

    fn give_number(&mut self, port: &OvsPort, mac: MacAddr) {
        self.last_port += 1;
        let number = OfPort(self.last_port);
        self.put(FlowsObject::Port(BridgePort {
            bridge: port.bridge,
            name: port.name.as_str().into(),
            port: number,
            mac,
        }));
    }

    /// The MAC that a device of this name gets: always the same, but for those changed by hand.
    fn mac_for(&self, device: &str) -> MacAddr {
        let sum = device.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let [high, low] = sum.to_be_bytes();
        MacAddr([2, 0, 0, 0, high, low])
    }

    /// Carries out one operation that is nobody's batch.
    pub fn carry_out(&mut self, operation: &Operation<Object>) {
        assert_eq!(self.execute(operation), Outcome::Done, "{operation:?}");
    }

    fn execute(&mut self, operation: &Operation<Object>) -> Outcome {
        let key = operation.object.key();
        let like = |text: &String| operation.object.to_string().starts_with(text.as_str());
        if self.refuse.contains(&key) || self.refuse_like.as_ref().is_some_and(like) {
            return Outcome::Failed("refused by the test".to_owned());
        }
        let outcome = match operation.verb {
            Verb::Remove => self.remove(&key, &operation.object),
            _ => self.write(&key, operation),
        };
        if outcome == Outcome::Done {
            self.journal.push((operation.verb, operation.object.clone()));
            if let Some(batch) = self.batches.last_mut() {
                batch.push((operation.verb, operation.object.clone()));
            }
        }
        outcome
    }

    fn write(&mut self, key: &Key, operation: &Operation<Object>) -> Outcome {
        match operation.object.clone() {
            Object::Kernel(KernelObject::Link(mut link)) => {
                let standing = match self.objects.get(key) {
                    Some(Object::Kernel(KernelObject::Link(standing))) => standing.mac,
                    _ => None,
                };
                let lower = match link.kind {
                    LinkKind::Vlan { of, .. } => of,
                    _ => None,
                };
                let lacks = |lower| !self.objects.contains_key(&KernelKey::Link(lower).into());
                if lower.is_some_and(lacks) || matches!(link.kind, LinkKind::Other(_)) && standing.is_none() {
                    return Outcome::Failed("no such device".to_owned());
                }
                link.mac = standing.or_else(|| Some(self.mac_for(link.name.as_str())));
                if let LinkKind::Veth { peer: Some(peer) } = link.kind
                    && !self.objects.contains_key(&KernelKey::Link(peer).into())
                {
                    let mut other = link.clone();
                    (other.name, other.owner, other.master, other.up) = (peer, None, None, false);
                    (other.kind, other.mac) =
                        (LinkKind::Veth { peer: Some(link.name) }, Some(self.mac_for(peer.as_str())));
                    self.put(KernelObject::Link(other));
                }
                self.put(KernelObject::Link(link));
                self.settle_frr();
            }
            Object::Vswitch(VswitchObject::Port(port)) => {
                if !self.objects.contains_key(&VswitchKey::Bridge(port.bridge).into()) {
                    return Outcome::Failed("no such bridge".to_owned());
                }
                let mac = self.mac_for(port.name.as_str());
                self.put(VswitchObject::Port(port.clone()));
                if port.internal {
                    self.foreign_link(port.name.as_str(), LinkKind::Other("openvswitch".to_owned()));
                }
                let number = FlowsKey::Port(port.bridge, port.name.as_str().into());
                if !self.objects.contains_key(&number.into()) {
                    self.give_number(&port, mac);
                }
            }
            Object::Frr(FrrObject::Bgp(bgp)) => {
                let standing = matches!(self.objects.get(key), Some(Object::Frr(FrrObject::Bgp(seen))) if seen.asn == bgp.asn);
                if !standing && bgp.asn != DEFAULT_AS.parse().unwrap() && self.has_vni(bgp.vrf) {
                    return Outcome::Failed("BGP is already running".to_owned());
                }
                self.put(FrrObject::Bgp(bgp));
                self.settle_maps();
            }
            Object::Kernel(KernelObject::Route(route)) if self.is_refused(&route) => {
                return Outcome::Failed("Gateway can not be a local address".to_owned());
            }
            Object::Frr(FrrObject::Vrf(mut vrf)) => {
                vrf.up = false;
                self.put(FrrObject::Vrf(vrf));
                self.settle_frr();
            }
            Object::Kernel(KernelObject::Address(mut address)) => {
                address.local_route = self.late_local_routes && operation.verb == Verb::Create;
                self.put(KernelObject::Address(address));
            }
            object => self.put(object),
        }
        Outcome::Done
    }

    fn remove(&mut self, key: &Key, object: &Object) -> Outcome {
        match object {
            Object::Frr(FrrObject::Bgp(bgp)) if self.has_vni(bgp.vrf) || self.clings(bgp.vrf) => {
                return Outcome::Failed("Please unconfigure l3vni 1001".to_owned());
            }
            Object::Frr(FrrObject::Vrf(vrf))
                if self.objects.contains_key(&KernelKey::Link(vrf.vrf).into()) =>
            {
                return Outcome::Failed("Only inactive VRFs can be deleted".to_owned());
            }
            _ => {}
        }
        self.has_maps &= *key != FrrKey::Maps.into();
        self.take(key);
        self.settle_maps();
        Outcome::Done
    }

    /// zebra's word that an L3VNI is gone does not reach an instance without a device.
    fn lose_device(&mut self, vrf: IfName) {
        let has_instance = self.objects.contains_key(&FrrKey::Bgp(vrf).into());
        let Some(Object::Frr(FrrObject::Vrf(mut block))) =
            self.objects.get(&FrrKey::Vrf(vrf).into()).filter(|_| has_instance).cloned()
        else {
            return;
        };
        if std::mem::take(&mut block.up) {
            self.clings.insert(vrf);
            self.put(FrrObject::Vrf(block));
        }
    }

    /// bgpd clings to the L3VNI of this VRF; with a device, it lets it go when it is told again.
    fn clings(&mut self, vrf: IfName) -> bool {
        let has_device = self.objects.contains_key(&KernelKey::Link(vrf).into());
        if has_device {
            self.clings.remove(&vrf);
        }
        self.clings.contains(&vrf)
    }

    fn has_vni(&self, vrf: IfName) -> bool {
        let block = self.objects.get(&FrrKey::Vrf(vrf).into());
        matches!(block, Some(Object::Frr(FrrObject::Vrf(vrf))) if vrf.vni.is_some())
    }

    /// zebra brings an L3VNI up as soon as the kernel's devices are there.
    fn settle_frr(&mut self) {
        let vrfs: Vec<Object> =
            self.objects.values().filter(|o| matches!(o, Object::Frr(FrrObject::Vrf(_)))).cloned().collect();
        for object in vrfs {
            let Object::Frr(FrrObject::Vrf(mut vrf)) = object else { continue };
            let Some(vni) = vrf.vni.and_then(Vni::new).filter(|_| !vrf.up) else { continue };
            let devices = [names::vrf(vni), names::bridge(vni), names::vxlan(vni)];
            vrf.up = !self.deaf
                && devices.iter().all(|device| self.objects.contains_key(&KernelKey::Link(*device).into()));
            if vrf.up {
                self.put(FrrObject::Vrf(vrf));
            }
        }
    }

    fn of_plane(&self, plane: PlaneId) -> Vec<Object> {
        self.objects.values().filter(|object| object.key().plane() == plane).cloned().collect()
    }

    /// All planes, as they answer a first read.
    pub fn connect(&mut self, reconciler: &mut Reconciler, now: Instant) {
        self.connect_in_turn(
            [PlaneId::Ledger, PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr],
            reconciler,
            now,
        );
    }

    /// As [`connect`](Self::connect), with the planes answering in the given order.
    pub fn connect_in_turn(&mut self, planes: [PlaneId; 4], reconciler: &mut Reconciler, now: Instant) {
        self.connected.clear();
        for plane in planes {
            self.read(reconciler, plane, now);
        }
        self.connect_bridges(reconciler, now);
    }

    fn read(&mut self, reconciler: &mut Reconciler, plane: PlaneId, now: Instant) {
        self.reports.remove(&plane);
        reconciler.report(plane, Report::Whole(self.of_plane(plane)), now);
    }

    /// Every bridge that the reconciler wants a session with has one.
    fn connect_bridges(&mut self, reconciler: &mut Reconciler, now: Instant) {
        let wanted: HashSet<PlaneId> = reconciler.flow_bridges().into_iter().map(PlaneId::Flows).collect();
        self.connected.retain(|plane| wanted.contains(plane));
        for plane in wanted {
            if self.mute.is_some_and(|bridge| plane == PlaneId::Flows(name(bridge))) {
                continue;
            }
            if self.connected.insert(plane) {
                self.read(reconciler, plane, now);
            }
        }
    }

    /// Carries commands and reports to and fro until nothing is left to do; gives the number of operations.
    pub fn run(&mut self, reconciler: &mut Reconciler, now: &mut Instant) -> usize {
        let before = self.journal.len();
        for _ in 0..10_000 {
            for (plane, changes) in std::mem::take(&mut self.reports) {
                reconciler.report(plane, Report::Changed(changes), *now);
            }
            self.connect_bridges(reconciler, *now);
            let commands = reconciler.poll(*now);
            if commands.is_empty() && self.reports.is_empty() {
                return self.journal.len() - before;
            }
            for (plane, command) in commands {
                self.answer(reconciler, plane, command, *now);
            }
            *now += Duration::from_millis(1);
        }
        panic!("no end: {:?}", &self.journal[self.journal.len().saturating_sub(10)..]);
    }

    fn answer(
        &mut self,
        reconciler: &mut Reconciler,
        plane: PlaneId,
        command: Command<Object>,
        now: Instant,
    ) {
        if self.hung.contains(&plane) {
            return;
        }
        let (id, operations) = match command {
            Command::Apply { id, operations } => (id, operations),
            Command::Read => return self.read(reconciler, plane, now),
            Command::Ask(question) => {
                for answer in self.tell(question) {
                    reconciler.report(plane, Report::Bgp(answer), now);
                }
                return;
            }
        };
        self.batches.push(Vec::new());
        if self.lose == Some(plane) {
            self.lose = None;
            for operation in &operations[..operations.len() / 2] {
                self.execute(operation);
            }
            let outcomes = vec![Outcome::Unknown; operations.len()];
            reconciler.report(plane, Report::Results { id, outcomes }, now);
            return;
        }
        if let Some(bridge) = self.goes_meanwhile.take_if(|bridge| plane == PlaneId::Flows(name(bridge))) {
            self.no_bridge(bridge);
            return;
        }
        let deadly = |text: &String| operations.iter().any(|done| done.object.to_string().starts_with(text));
        if self.die_of.as_ref().is_some_and(deadly) {
            self.deaths += 1;
            let outcomes = vec![Outcome::Unknown; operations.len()];
            reconciler.report(plane, Report::Results { id, outcomes }, now);
            return;
        }
        let outcomes = operations.iter().map(|operation| self.execute(operation)).collect();
        if let Some(key) = self.undo.clone() {
            self.take(&key);
        }
        if matches!(plane, PlaneId::Ledger | PlaneId::Flows(_)) {
            // These two acknowledge what was asked, and do not tell it again.
            self.reports.remove(&plane);
        }
        for (plane, changes) in std::mem::take(&mut self.reports) {
            reconciler.report(plane, Report::Changed(changes), now);
        }
        reconciler.report(plane, Report::Results { id, outcomes }, now);
    }
}

fn depends_on(object: &Object, device: IfName, kind: &LinkKind) -> bool {
    match object {
        Object::Kernel(KernelObject::Address(address)) => address.dev == device,
        Object::Kernel(KernelObject::Neighbour(neighbour)) => neighbour.dev == device,
        Object::Kernel(KernelObject::Route(route)) => match &route.next_hop {
            NextHop::Link(dev) | NextHop::Via(_, dev) => *dev == device,
            // A route that needs no device outlives its VRF.
            NextHop::Unreachable => false,
            NextHop::Other => *kind == LinkKind::Vrf { table: route.table },
        },
        _ => false,
    }
}

fn is_vlan_of(object: &Object, lower: IfName) -> bool {
    let is_it = |kind: &LinkKind| matches!(kind, LinkKind::Vlan { of: Some(of), .. } if *of == lower);
    matches!(object, Object::Kernel(KernelObject::Link(link)) if is_it(&link.kind))
}

fn is_slave(object: &Object, master: IfName) -> bool {
    matches!(object, Object::Kernel(KernelObject::Link(link)) if link.master == Some(master))
}

/// A reconciler for this node, with the default configuration.
pub fn reconciler() -> Reconciler {
    Reconciler::new(Config::default())
}
