//! A gateway node whose peers do at once what they are told: the reconciler's side of everything, and nobody else's time.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use bgp_agent::{
    config::Config,
    model::{Asn, IfName, MacAddr, OfPort},
    ovsdb::tables::PortBinding,
    planes::{
        Change, Command, Operation, Outcome, Report, Verb,
        flows::object::{BridgePort, FlowsObject},
        frr::object::{BgpBase, FrrObject, VrfVni},
        kernel::object::{KernelObject, Link},
        vswitch::object::{OvsBridge, OvsPort, OvsSettings, PortName, VswitchObject},
    },
    reconcile::{
        Reconciler,
        object::{Key, Object, PlaneId},
    },
};
use uuid::Uuid;

use super::cloud::{Chassis, Cloud, LOCALNET, chassis_uuid, port_uuid};

/// The provider bridge.
const BRIDGE: &str = "br-ex";

/// What peers tell.
pub type Reports = Vec<(PlaneId, Report<Object, Key>)>;

/// The node.
pub struct Node {
    /// What decides.
    pub reconciler: Reconciler,
    /// All that stands, by plane.
    standing: BTreeMap<PlaneId, HashMap<Key, Object>>,
    /// What is written from now on is not kept: a real agent's peers are not in its memory.
    forgets: bool,
    next_port: u32,
    now: Instant,
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

fn ethernet(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr([2, 0, a, b, c, d])
}

impl Node {
    /// A node that nothing was written to, its peers read.
    pub fn new() -> Self {
        let settings = OvsSettings {
            system_id: Some(Chassis::Gateway.name().into()),
            bridge_mappings: Some(format!("physnet1:{BRIDGE}").into()),
            encap_ip: Some(Chassis::Gateway.address().into()),
            ..OvsSettings::default()
        };
        let port = |name: &str, localnet: Option<&str>| OvsPort {
            bridge: BRIDGE.parse().expect("a name"),
            name: PortName::new(name),
            internal: localnet.is_none(),
            tag: None,
            owner: None,
            localnet: localnet.map(Into::into),
            patch: localnet.is_some(),
            ofport: Some(OfPort(1)),
            error: None,
        };
        let vswitch: [VswitchObject; 4] = [
            VswitchObject::Settings(settings),
            VswitchObject::Bridge(OvsBridge { name: name(BRIDGE), datapath_type: "".into() }),
            VswitchObject::Port(port(BRIDGE, None)),
            VswitchObject::Port(port("patch-provnet", Some(LOCALNET))),
        ];
        let base = BgpBase { asn: Asn::new(64999), router_id: None, evpn: true };
        let planes =
            [PlaneId::Ledger, PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr, PlaneId::Flows(name(BRIDGE))];
        let standing = planes.map(|plane| (plane, HashMap::new())).into();
        let reconciler = Reconciler::new(Config::default());
        let mut node = Self { reconciler, standing, forgets: false, next_port: 10, now: Instant::now() };
        vswitch.into_iter().for_each(|object| node.stands(object.into()));
        node.stands(FrrObject::Base(base).into());
        for (plane, report) in node.whole_reports() {
            node.reconciler.report(plane, report, node.now);
        }
        node
    }

    /// A node with this cloud's rows, on which nothing is left to do.
    pub fn standing(cloud: Cloud) -> Self {
        let mut node = Self::new();
        let replica = node.reconciler.replica_mut();
        replica.put_chassis(chassis_uuid(Chassis::Gateway), Chassis::Gateway.name().into());
        for (number, port) in (0..).zip(cloud.ports()) {
            replica.put_port(port_uuid(number), port.row());
        }
        node.reconciler.southbound_whole();
        node.settle();
        node
    }

    /// Peers that do what they are told and forget it.
    pub fn forgetful(self) -> Self {
        Self { forgets: true, ..self }
    }

    fn stands(&mut self, object: Object) {
        if self.forgets {
            return;
        }
        let key = object.key();
        self.standing.entry(key.plane()).or_default().insert(key, object);
    }

    /// What the peers tell when all is read from them: at a start, or to look whether something differs.
    pub fn whole_reports(&self) -> Reports {
        let whole = |objects: &HashMap<Key, Object>| Report::Whole(objects.values().cloned().collect());
        self.standing.iter().map(|(plane, objects)| (*plane, whole(objects))).collect()
    }

    /// Takes in what all peers tell; gives what is to be done then.
    pub fn resynchronise(&mut self, reports: Reports) -> Vec<(PlaneId, Command<Object>)> {
        for (plane, report) in reports {
            self.reconciler.report(plane, report, self.now);
        }
        self.reconciler.poll(self.now)
    }

    /// Everything that stands.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.standing.values().flat_map(HashMap::values)
    }

    /// Carries out commands until there are none; gives how many operations that were.
    pub fn settle(&mut self) -> usize {
        let mut operations = 0;
        loop {
            let commands = self.reconciler.poll(self.now);
            if commands.is_empty() {
                return operations;
            }
            for (plane, command) in commands {
                let Command::Apply { id, operations: batch } = command else { continue };
                operations += batch.len();
                let effects: Vec<_> =
                    batch.iter().filter_map(|operation| self.side_effect(operation)).collect();
                for Operation { verb, object } in batch.iter().cloned() {
                    match verb {
                        Verb::Create | Verb::Update => self.stands(object),
                        Verb::Remove => drop(self.standing.entry(plane).or_default().remove(&object.key())),
                    }
                }
                effects.into_iter().for_each(|object| self.tell(object));
                let outcomes = vec![Outcome::Done; batch.len()];
                self.reconciler.report(plane, Report::Results { id, outcomes }, self.now);
            }
        }
    }

    fn tell(&mut self, object: Object) {
        let plane = object.key().plane();
        self.stands(object.clone());
        self.reconciler.report(plane, Report::Changed(vec![Change::Present(object)]), self.now);
    }

    /// What a peer adds to what it was told: a link's Ethernet address, a port's number, a working L3VNI.
    fn side_effect(&mut self, operation: &Operation<Object>) -> Option<Object> {
        if operation.verb == Verb::Remove {
            return None;
        }
        self.next_port += 1;
        let number = self.next_port;
        match &operation.object {
            Object::Kernel(KernelObject::Link(link)) => {
                Some(KernelObject::Link(Link { mac: Some(ethernet(number)), ..link.clone() }).into())
            }
            Object::Vswitch(VswitchObject::Port(port)) => Some(
                FlowsObject::Port(BridgePort {
                    bridge: port.bridge,
                    name: port.name.as_str().into(),
                    port: OfPort(number),
                    mac: ethernet(number),
                })
                .into(),
            ),
            Object::Frr(FrrObject::Vrf(vrf)) => {
                Some(FrrObject::Vrf(VrfVni { up: true, ..vrf.clone() }).into())
            }
            _ => None,
        }
    }

    /// One change of one VM's row, to the one operation that it leads to, and its answer.
    pub fn change(&mut self, uuid: Uuid, row: PortBinding) {
        self.reconciler.replica_mut().put_port(uuid, row);
        let commands = self.reconciler.poll(self.now);
        let [(plane, Command::Apply { id, operations })] = &commands[..] else {
            panic!("not one command: {commands:?}");
        };
        assert_eq!(operations.len(), 1);
        let report = Report::Results { id: *id, outcomes: vec![Outcome::Done] };
        self.reconciler.report(*plane, report, self.now);
    }

    /// Whether the kernel has all addresses of this cloud's VMs and gateways.
    pub fn has_all_addresses(&self, cloud: Cloud) -> bool {
        let is_address = |object: &&Object| matches!(object, Object::Kernel(KernelObject::Address(_)));
        self.objects().filter(is_address).count()
            == ((cloud.all_vms() + cloud.tenants) * cloud.family.addresses()) as usize
    }
}
