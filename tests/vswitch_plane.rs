//! The vswitch plane against a real ovsdb-server with Open vSwitch's schema; `ovs-vsctl` plays the others who write there.
#![allow(clippy::disallowed_types)]

mod ovsdb_server;

use std::time::Duration;

use bgp_agent::{
    model::{IfName, OfPort, Vni},
    planes::{
        Change, Command, Operation, Outcome, Report, Verb,
        vswitch::{
            self, Options,
            object::{OvsBridge, OvsPort, OvsSettings, PortName, VswitchKey, VswitchObject},
        },
    },
};
use ovsdb_server::Server;
use tokio::sync::mpsc;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

type PlaneReport = Report<VswitchObject, VswitchKey>;

struct Plane {
    commands: mpsc::Sender<Command<VswitchObject>>,
    reports: mpsc::Receiver<PlaneReport>,
    last: u64,
}

impl Plane {
    fn start(server: &Server) -> Self {
        let (commands, plane_commands) = mpsc::channel(4);
        let (plane_reports, reports) = mpsc::channel(4);
        let connection = server.remote().parse().unwrap();
        tokio::spawn(vswitch::run(Options { connection }, plane_commands, plane_reports));
        Self { commands, reports, last: 0 }
    }

    async fn next(&mut self) -> PlaneReport {
        let report = tokio::time::timeout(Duration::from_secs(15), self.reports.recv()).await;
        report.expect("no report within 15 s").expect("the plane has ended")
    }

    async fn whole(&mut self) -> Vec<VswitchObject> {
        loop {
            if let Report::Whole(objects) = self.next().await {
                return objects;
            }
        }
    }

    /// Up to the next changes.
    async fn changed(&mut self) -> Vec<Change<VswitchObject, VswitchKey>> {
        match self.next().await {
            Report::Changed(changes) => changes,
            other => panic!("{other:?}"),
        }
    }

    /// Carries out, and gives what changed before the results.
    async fn apply(
        &mut self,
        operations: Vec<(Verb, OvsPort)>,
    ) -> (Vec<Outcome>, Vec<Change<VswitchObject, VswitchKey>>) {
        self.last += 1;
        let operations =
            operations.into_iter().map(|(verb, port)| Operation { verb, object: VswitchObject::Port(port) });
        self.commands.send(Command::Apply { id: self.last, operations: operations.collect() }).await.unwrap();
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Report::Changed(changes) => all.extend(changes),
                Report::Results { id, outcomes } if id == self.last => return (outcomes, all),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn port(bridge: &str, port: &str, vni: u32) -> OvsPort {
    OvsPort::wished(name(bridge), name(port), Vni::new(vni).unwrap())
}

fn present(port: OvsPort) -> Change<VswitchObject, VswitchKey> {
    Change::Present(VswitchObject::Port(port))
}

fn absent(port: &str) -> Change<VswitchObject, VswitchKey> {
    Change::Absent(VswitchKey::Port(PortName::new(port)))
}

fn words(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed(words) => words,
        other => panic!("{other:?} is no failure"),
    }
}

/// A server with br-ex.
fn server() -> Server {
    let server = Server::standalone(SCHEMA, &[]);
    server.vsctl(&["init"]);
    server.vsctl(&["add-br", "br-ex"]);
    server
}

#[tokio::test]
async fn all_that_others_made_is_reported() {
    let server = server();
    server.vsctl(&["set", "open", ".", "external_ids:system-id=gw1", "external_ids:ovn-encap-ip=192.0.2.1"]);
    server.vsctl(&["set", "bridge", "br-ex", "datapath_type=netdev"]);
    server.vsctl(&["set", "interface", "br-ex", "ofport=65534"]);
    let patch = "patch-provnet-3f0c9ba0-5d0c-4a0a-9d54-000000000001-to-br-int";
    server.vsctl(&[
        "add-port",
        "br-ex",
        patch,
        "--",
        "set",
        "interface",
        patch,
        "type=patch",
        "ofport=7",
        "--",
        "set",
        "port",
        patch,
        "external_ids:ovn-localnet-port=provnet-1",
    ]);
    server.vsctl(&["add-port", "br-ex", "eth1", "tag=5"]);
    server.vsctl(&["add-bond", "br-ex", "bond0", "eth2", "eth3"]);
    let mut plane = Plane::start(&server);
    let objects = plane.whole().await;
    let find = |key: VswitchKey| objects.iter().find(|object| object.key() == key).unwrap();
    let find_port = |name: &str| match find(VswitchKey::Port(PortName::new(name))) {
        VswitchObject::Port(port) => port,
        other => panic!("{other:?}"),
    };

    let settings = OvsSettings {
        system_id: Some("gw1".into()),
        encap_ip: Some("192.0.2.1".into()),
        ..OvsSettings::default()
    };
    assert_eq!(find(VswitchKey::Settings), &VswitchObject::Settings(settings));
    let bridge = OvsBridge { name: name("br-ex"), datapath_type: "netdev".into() };
    assert_eq!(find(VswitchKey::Bridge(name("br-ex"))), &VswitchObject::Bridge(bridge));
    let found = find_port(patch);
    assert!(found.patch && !found.internal && found.owner.is_none());
    assert_eq!((found.localnet.as_deref(), found.ofport), (Some("provnet-1"), Some(OfPort(7))));
    assert_eq!(find_port("eth1").tag, Some(5));
    let local = find_port("br-ex");
    assert!(local.internal);
    assert_eq!(local.ofport, Some(OfPort(0xffff_fffe)), "OFPP_LOCAL of OpenFlow 1.3");
    assert!(!find_port("bond0").internal);
    assert_eq!(objects.len(), 6);

    plane.commands.send(Command::Read).await.unwrap();
    assert_eq!(plane.whole().await.len(), 6);
}

#[tokio::test]
async fn what_others_do_is_reported() {
    let server = server();
    let mut plane = Plane::start(&server);
    plane.whole().await;
    server.vsctl(&["add-port", "br-ex", "eth1"]);
    let eth1 = OvsPort { owner: None, ..port("br-ex", "eth1", 1) };
    assert_eq!(plane.changed().await, [present(eth1.clone())]);
    server.vsctl(&["set", "interface", "eth1", "ofport=-1", "error=no\\ such\\ device"]);
    let broken = OvsPort { error: Some("no such device".into()), ..eth1.clone() };
    assert_eq!(plane.changed().await, [present(broken)]);
    server.vsctl(&["del-port", "eth1", "--", "add-port", "br-ex", "eth1", "tag=9"]);
    assert_eq!(plane.changed().await, [present(OvsPort { tag: Some(9), ..eth1.clone() })]);
    server.vsctl(&["add-br", "br-int", "--", "del-port", "eth1", "--", "add-port", "br-int", "eth1"]);
    let changes = plane.changed().await;
    assert!(changes.contains(&present(OvsPort { bridge: name("br-int"), ..eth1 })), "{changes:?}");
    assert_eq!(changes.len(), 3, "br-int, its own port, and eth1 there: {changes:?}");
    server.vsctl(&["del-br", "br-int"]);
    let changes = plane.changed().await;
    let gone = Change::Absent(VswitchKey::Bridge(name("br-int")));
    assert_eq!(changes, [absent("br-int"), absent("eth1"), gone]);
    server.vsctl(&["set", "open", ".", "external_ids:ovn-remote=tcp:192.0.2.1:6642"]);
    let settings = OvsSettings { ovn_remote: Some("tcp:192.0.2.1:6642".into()), ..OvsSettings::default() };
    assert_eq!(plane.changed().await, [Change::Present(VswitchObject::Settings(settings))]);
}

#[tokio::test]
async fn ports_are_made_changed_and_removed() {
    let server = server();
    let mut plane = Plane::start(&server);
    plane.whole().await;
    let veth = port("br-ex", "veth-ovs-7", 7);
    let vlan = OvsPort { internal: true, tag: Some(101), ..port("br-ex", "vlan-8", 8) };
    let both = vec![(Verb::Create, veth.clone()), (Verb::Create, vlan.clone())];
    let (outcomes, changes) = plane.apply(both.clone()).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(changes, [present(veth.clone()), present(vlan.clone())]);
    assert_eq!(server.vsctl(&["list-ports", "br-ex"]), "veth-ovs-7\nvlan-8\n");
    assert_eq!(server.vsctl(&["get", "interface", "vlan-8", "type"]), "internal\n");
    assert_eq!(server.vsctl(&["get", "port", "vlan-8", "external_ids", "tag"]), "{bgp-agent=\"8\"}\n101\n");

    let (outcomes, changes) = plane.apply(both).await;
    assert_eq!((outcomes, changes), (vec![Outcome::Done, Outcome::Done], vec![]), "there already");

    server.vsctl(&["set", "port", "veth-ovs-7", "external_ids:theirs=1"]);
    let changed = OvsPort { tag: Some(5), owner: Vni::new(9), ..veth };
    let (outcomes, changes) = plane.apply(vec![(Verb::Update, changed.clone())]).await;
    assert_eq!((outcomes, changes), (vec![Outcome::Done], vec![present(changed.clone())]));
    let ids = server.vsctl(&["get", "port", "veth-ovs-7", "external_ids"]);
    assert_eq!(ids, "{bgp-agent=\"9\", theirs=\"1\"}\n", "keys of others stay");

    let gone = port("br-ex", "veth-ovs-1", 1);
    let (outcomes, changes) = plane.apply(vec![(Verb::Remove, changed), (Verb::Remove, gone)]).await;
    assert_eq!((outcomes, changes), (vec![Outcome::Done, Outcome::Done], vec![absent("veth-ovs-7")]));
    assert_eq!(server.vsctl(&["list-ports", "br-ex"]), "vlan-8\n");
    let rows = server.vsctl(&["--columns=name", "--format=csv", "--no-headings", "list", "interface"]);
    assert!(!rows.contains("veth-ovs-7"), "{rows}");
}

#[tokio::test]
async fn one_bad_operation_fails_alone() {
    let server = server();
    server.vsctl(&["add-br", "br-int", "--", "add-port", "br-int", "veth-ovs-5"]);
    let mut plane = Plane::start(&server);
    plane.whole().await;
    let (outcomes, _) = plane
        .apply(vec![
            (Verb::Create, port("br-ex", "veth-ovs-1", 1)),
            (Verb::Create, port("br-none", "veth-ovs-2", 2)),
            (Verb::Create, OvsPort { tag: Some(4097), ..port("br-ex", "veth-ovs-3", 3) }),
            (Verb::Update, port("br-ex", "veth-ovs-4", 4)),
            (Verb::Create, port("br-ex", "veth-ovs-5", 5)),
            (Verb::Create, port("br-ex", "veth-ovs-6", 6)),
        ])
        .await;
    assert_eq!((&outcomes[0], &outcomes[5]), (&Outcome::Done, &Outcome::Done));
    assert!(words(&outcomes[1]).contains("bridge br-none is not in Open_vSwitch"), "{outcomes:?}");
    assert!(words(&outcomes[2]).contains("4097 is not in the valid range"), "{outcomes:?}");
    assert!(words(&outcomes[3]).contains("veth-ovs-4 is no longer in Open_vSwitch"), "{outcomes:?}");
    assert!(words(&outcomes[4]).contains("is on bridge br-int already"), "{outcomes:?}");
    assert_eq!(server.vsctl(&["list-ports", "br-ex"]), "veth-ovs-1\nveth-ovs-6\n");
}

#[tokio::test]
async fn what_only_the_commit_refuses_is_found_by_halves() {
    let server = server();
    // An interface of a bond has the name already: only the commit finds that names are unique.
    server.vsctl(&["add-bond", "br-ex", "bond0", "veth-ovs-3", "eth3"]);
    let mut plane = Plane::start(&server);
    plane.whole().await;
    let ports = (1..=5).map(|vni| (Verb::Create, port("br-ex", &format!("veth-ovs-{vni}"), vni))).collect();
    let (outcomes, _) = plane.apply(ports).await;
    assert!(words(&outcomes[2]).contains("veth-ovs-3"), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count(), 4, "{outcomes:?}");
    assert_eq!(
        server.vsctl(&["list-ports", "br-ex"]),
        "bond0\nveth-ovs-1\nveth-ovs-2\nveth-ovs-4\nveth-ovs-5\n"
    );
}

#[tokio::test]
async fn only_marked_ports_are_removed() {
    let server = server();
    server.vsctl(&["add-port", "br-ex", "veth-ovs-1"]);
    let mut plane = Plane::start(&server);
    plane.whole().await;
    let (outcomes, _) = plane.apply(vec![(Verb::Remove, port("br-ex", "veth-ovs-1", 1))]).await;
    assert!(words(&outcomes[0]).contains("external_ids:bgp-agent"), "{outcomes:?}");
    let (outcomes, _) = plane.apply(vec![(Verb::Update, port("br-ex", "veth-ovs-1", 1))]).await;
    assert_eq!(outcomes, [Outcome::Done], "an unmarked one can be adopted");
    let (outcomes, _) = plane.apply(vec![(Verb::Remove, port("br-ex", "veth-ovs-1", 2))]).await;
    assert!(words(&outcomes[0]).contains("is not what it was"), "{outcomes:?}");
    let (outcomes, _) = plane.apply(vec![(Verb::Remove, port("br-ex", "veth-ovs-1", 1))]).await;
    assert_eq!(outcomes, [Outcome::Done]);
}

#[tokio::test]
async fn an_object_met_twice_in_a_command_is_done_in_order() {
    let server = server();
    server.vsctl(&["add-br", "br-two"]);
    let mut plane = Plane::start(&server);
    plane.whole().await;
    let here = port("br-ex", "veth-ovs-1", 1);
    let there = port("br-two", "veth-ovs-1", 1);
    let operations = vec![(Verb::Create, here.clone()), (Verb::Remove, here), (Verb::Create, there)];
    let (outcomes, _) = plane.apply(operations).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::Done]);
    assert_eq!(server.vsctl(&["list-ports", "br-two"]), "veth-ovs-1\n");
}

#[tokio::test]
async fn a_lost_session_is_down_then_whole() {
    let mut server = server();
    let mut plane = Plane::start(&server);
    plane.whole().await;
    server.stop();
    assert!(matches!(plane.next().await, Report::Down(_)));
    plane.last = 41;
    plane
        .commands
        .send(Command::Apply {
            id: 42,
            operations: vec![Operation {
                verb: Verb::Create,
                object: VswitchObject::Port(port("br-ex", "veth-ovs-1", 1)),
            }],
        })
        .await
        .unwrap();
    let outcomes = loop {
        match plane.next().await {
            Report::Results { id: 42, outcomes } => break outcomes,
            Report::Down(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(outcomes, [Outcome::Unknown]);
    server.start();
    assert_eq!(plane.whole().await.len(), 3, "settings, br-ex and its port");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unknown() {
    let server = server();
    let mut plane = Plane::start(&server);
    plane.whole().await;
    server.signal("STOP");
    plane
        .commands
        .send(Command::Apply {
            id: 1,
            operations: vec![Operation {
                verb: Verb::Create,
                object: VswitchObject::Port(port("br-ex", "veth-ovs-1", 1)),
            }],
        })
        .await
        .unwrap();
    let report = plane.next().await;
    assert!(
        matches!(&report, Report::Results { id: 1, outcomes } if *outcomes == [Outcome::Unknown]),
        "{report:?}"
    );
    assert!(matches!(plane.next().await, Report::Down(_)));
    server.signal("CONT");
    plane.whole().await;
}
