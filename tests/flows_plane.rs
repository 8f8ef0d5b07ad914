//! The flows plane against a real ovs-vswitchd, with a userspace datapath whose ports are files (`dummy`).
//!
//! Needs openvswitch-switch installed; each test runs its own ovsdb-server and ovs-vswitchd in a directory of its own.

#![allow(clippy::disallowed_types)]

#[path = "flows_plane/ovs.rs"]
mod ovs;

use std::{collections::HashSet, path::PathBuf};

use bgp_agent::{
    model::{IfName, MacAddr, OfPort},
    planes::{
        Change, Operation, Outcome, Report, Verb,
        flows::{
            self, FlowsCommand, FlowsReport, Options,
            object::{BridgePort, Cookies, Flow, FlowRule, FlowsKey, FlowsObject},
        },
    },
};
use ovs::{BRIDGE, Ovs, PATIENCE, wait_until};
use tokio::sync::mpsc;

const ROUTER: MacAddr = MacAddr([0xfa, 0x16, 0x3e, 0x7f, 0x59, 0x7f]);
const ATTACH: MacAddr = MacAddr([0x1e, 0x8b, 0xac, 0x5d, 0x98, 0x4a]);

/// The plane, and the reconciler's end of its channels.
struct Plane {
    commands: mpsc::Sender<FlowsCommand>,
    reports: mpsc::Receiver<FlowsReport>,
    next: u64,
}

impl Plane {
    fn start(ovs: &Ovs) -> Self {
        let (commands, command_receiver) = mpsc::channel(16);
        let (report_sender, reports) = mpsc::channel(16);
        let socket = PathBuf::from(ovs.path(&format!("{BRIDGE}.mgmt")));
        let cookies = Cookies { evpn: true, underlay: false };
        let options = Options { bridge: bridge(), socket, cookies, answers: true };
        tokio::spawn(flows::run(options, command_receiver, report_sender));
        Self { commands, reports, next: 0 }
    }

    async fn report(&mut self) -> FlowsReport {
        let report = tokio::time::timeout(PATIENCE, self.reports.recv()).await;
        report.expect("no report came").expect("the plane has ended")
    }

    async fn whole(&mut self) -> Vec<FlowsObject> {
        match self.report().await {
            Report::Whole(objects) => objects,
            other => panic!("not a whole: {other:?}"),
        }
    }

    async fn changed(&mut self) -> Vec<Change<FlowsObject, FlowsKey>> {
        match self.report().await {
            Report::Changed(changes) => changes,
            other => panic!("not a change: {other:?}"),
        }
    }

    async fn read(&mut self) -> HashSet<FlowRule> {
        self.commands.send(FlowsCommand::Read).await.unwrap();
        rules(self.whole().await)
    }

    async fn apply(&mut self, verb: Verb, rules: &[FlowRule]) -> Vec<Outcome> {
        self.next += 1;
        let operations = rules.iter().map(|rule| Operation { verb, object: flow(rule) }).collect();
        self.commands.send(FlowsCommand::Apply { id: self.next, operations }).await.unwrap();
        match self.report().await {
            Report::Results { id, outcomes } if id == self.next => outcomes,
            other => panic!("not the results: {other:?}"),
        }
    }
}

fn bridge() -> IfName {
    BRIDGE.parse().unwrap()
}

fn flow(rule: &FlowRule) -> FlowsObject {
    FlowsObject::Flow(Flow { bridge: bridge(), rule: rule.clone() })
}

fn rules(objects: Vec<FlowsObject>) -> HashSet<FlowRule> {
    let rules = objects.into_iter().filter_map(|object| match object {
        FlowsObject::Flow(flow) => Some(flow.rule),
        FlowsObject::Port(_) => None,
    });
    rules.collect()
}

fn ports(objects: &[FlowsObject]) -> HashSet<(String, u32)> {
    let ports = objects.iter().filter_map(|object| match object {
        FlowsObject::Flow(_) => None,
        FlowsObject::Port(port) => Some((port.name.to_string(), port.port.0)),
    });
    ports.collect()
}

fn redirect(subnet: &str, output: u32) -> FlowRule {
    FlowRule::Redirect {
        in_port: OfPort(1),
        router: ROUTER,
        subnet: subnet.parse().unwrap(),
        vlan: false,
        to: ATTACH,
        output: OfPort(output),
    }
}

fn many(count: u32) -> Vec<FlowRule> {
    (0..count).map(|n| redirect(&format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255), 2)).collect()
}

/// One of each kind, with and without what is optional.
fn assortment() -> Vec<FlowRule> {
    let arp = |target| FlowRule::ArpReply { in_port: OfPort(1), router: ROUTER, target, answer: ATTACH };
    let nd = |target| FlowRule::NdReply { in_port: OfPort(1), router: ROUTER, target, answer: ATTACH };
    let inject = |in_port, vlan| FlowRule::Inject {
        in_port: OfPort(in_port),
        router: ROUTER,
        vlan,
        output: OfPort(1),
    };
    let mut all = vec![
        FlowRule::OwnArp { in_port: OfPort(1), router: ROUTER, address: [172, 24, 4, 146].into() },
        inject(2, None),
        inject(3, Some(1)),
        inject(4, Some(4094)),
        FlowRule::Guard { in_port: OfPort(2) },
        FlowRule::Stray { in_port: OfPort(1), router: ROUTER, to: ATTACH },
        arp(None),
        arp(Some([172, 24, 4, 1].into())),
        nd(None),
        nd(Some("2001:db8:ffff::fffe".parse().unwrap())),
    ];
    for subnet in ["20.0.0.0/24", "20.0.0.7/32", "0.0.0.0/0", "2001:db8:1::/64", "2001:db8:1::7/128", "::/0"]
    {
        let mut tagged = redirect(subnet, 2);
        all.push(tagged.clone());
        if let FlowRule::Redirect { vlan, .. } = &mut tagged {
            *vlan = true;
        }
        all.push(tagged);
    }
    all
}

/// Compares, and shows no more than what differs.
fn assert_rules(have: &HashSet<FlowRule>, wished: &[FlowRule]) {
    let wished: HashSet<FlowRule> = wished.iter().cloned().collect();
    let (more, less) =
        (have.difference(&wished).collect::<Vec<_>>(), wished.difference(have).collect::<Vec<_>>());
    assert!(more.is_empty() && less.is_empty(), "not wished: {more:#?}\nmissing: {less:#?}");
}

fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| *outcome == Outcome::Done)
}

#[tokio::test]
async fn what_is_written_is_read_back_and_foreign_flows_stay() {
    let ovs = Ovs::start();
    ovs.ofctl("add-flow", &["cookie=0x3e7,priority=900,ip,in_port=1,actions=NORMAL"]);
    ovs.ofctl("add-flow", &["cookie=0x10000000000003e6,priority=900,ipv6,in_port=1,actions=NORMAL"]);
    let mut plane = Plane::start(&ovs);
    let whole = plane.whole().await;
    let expected =
        [("br-ex", 0xffff_fffe), ("patch", 1), ("attach", 2)].map(|(name, port)| (name.to_owned(), port));
    assert_eq!(ports(&whole), HashSet::from(expected));
    assert_eq!(rules(whole), HashSet::new());

    let wished = [assortment(), many(1000)].concat();
    assert!(all_done(&plane.apply(Verb::Create, &wished).await));
    assert_rules(&plane.read().await, &wished);

    // Again is as good, and so is one alone.
    assert!(all_done(&plane.apply(Verb::Create, &wished).await));
    assert!(all_done(&plane.apply(Verb::Update, &[redirect("20.0.0.0/24", 1)]).await));
    assert!(plane.read().await.contains(&redirect("20.0.0.0/24", 1)));

    assert!(all_done(&plane.apply(Verb::Remove, &wished).await));
    assert!(all_done(&plane.apply(Verb::Remove, &wished).await), "what is gone is removed");
    assert_rules(&plane.read().await, &[]);
    let left = ovs.ofctl("dump-flows", &["in_port=1"]);
    assert!(left.contains("cookie=0x3e7,") && left.contains("cookie=0x10000000000003e6,"), "{left}");
}

#[tokio::test]
async fn flows_of_the_python_agent_are_adopted_and_others_with_our_cookie_are_known() {
    let ovs = Ovs::start();
    let router = "in_port=1,dl_src=fa:16:3e:7f:59:7f";
    for flow in [
        format!(
            "cookie=0x3e6,priority=1000,ip,{router},nw_src=20.0.0.0/24,actions=mod_dl_dst:1e:8b:ac:5d:98:4a,output:2"
        ),
        format!("cookie=0x3e6,priority=1000,ip,{router},nw_src=20.0.1.0/24,actions=drop"),
        format!("cookie=0x3e6,priority=1000,ip,{router},nw_src=20.0.2.0/24,tp_src=7,nw_proto=6,actions=drop"),
        format!("cookie=0x3e6,table=7,priority=5,{router},reg3=7,actions=learn(table=8),resubmit(,9)"),
        format!("cookie=0x3e6,table=7,priority=6,ip,{router},nw_ttl=64,idle_timeout=600,actions=drop"),
    ] {
        ovs.ofctl("add-flow", &[&flow]);
    }
    let mut plane = Plane::start(&ovs);
    let whole = rules(plane.whole().await);
    assert_eq!(whole.len(), 5);
    assert!(whole.contains(&redirect("20.0.0.0/24", 2)));

    let bridge = bridge();
    let wrong = whole
        .iter()
        .find(|rule| Flow { bridge, rule: (*rule).clone() }.key() == flow(&redirect("20.0.1.0/24", 2)).key());
    assert!(matches!(wrong, Some(FlowRule::Unknown { .. })), "counts as the rule with its match: {wrong:?}");
    assert!(all_done(&plane.apply(Verb::Update, &[redirect("20.0.1.0/24", 2)]).await));
    let unknown: Vec<FlowRule> =
        plane.read().await.into_iter().filter(|rule| matches!(rule, FlowRule::Unknown { .. })).collect();
    assert_eq!(unknown.len(), 3);
    assert!(all_done(&plane.apply(Verb::Remove, &unknown).await));
    assert_eq!(plane.read().await, HashSet::from([redirect("20.0.0.0/24", 2), redirect("20.0.1.0/24", 2)]));
}

#[tokio::test]
async fn one_refused_flow_does_not_refuse_the_others() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;

    // A port that OpenFlow keeps for itself: refused when it is added to the bundle.
    let mut wished = many(100);
    wished[50] = redirect("20.0.0.0/24", 0xffff_ff00);
    let outcomes = plane.apply(Verb::Create, &wished).await;
    let Outcome::Failed(why) = &outcomes[50] else { panic!("{:?}", outcomes[50]) };
    assert!(why.contains("OFPBAC_BAD_OUT_PORT"), "{why}");
    assert!(all_done(&outcomes[..50]) && all_done(&outcomes[51..]));
    assert_eq!(plane.read().await.len(), 99);
    let alone = plane.apply(Verb::Create, &wished[50..51]).await;
    assert_eq!(alone, [Outcome::Failed(why.clone())]);
}

#[tokio::test]
async fn a_bundle_that_fails_at_its_commit_goes_again_one_by_one() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    // One flow is there already, NORMAL: so 60 of ours fit in.
    ovs.vsctl(&[
        "--",
        "--id=@t",
        "create",
        "flow_table",
        "flow_limit=61",
        "overflow_policy=refuse",
        "--",
        "set",
        "bridge",
        BRIDGE,
        "flow_tables:0=@t",
    ]);
    let wished = many(100);
    let outcomes = plane.apply(Verb::Create, &wished).await;
    assert!(all_done(&outcomes[..60]), "{outcomes:?}");
    let full = Outcome::Failed("OVS refuses the flow: OFPFMFC_TABLE_FULL".to_owned());
    assert_eq!(outcomes[60..], vec![full; 40]);
    assert_rules(&plane.read().await, &wished[..60]);
}

#[tokio::test]
async fn ports_are_told_as_they_come_and_go() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    ovs.add_port("late", 9, &[]);
    // OVS may tell more than once of the same port, as its link comes up.
    let is = |report: &FlowsReport, wanted: &str| match report {
        Report::Changed(changes) => changes.iter().any(|change| match change {
            Change::Present(FlowsObject::Port(BridgePort { name, port, .. })) => {
                format!("{name}={}", port.0) == wanted
            }
            Change::Absent(FlowsKey::Port(_, name)) => format!("{name} gone") == wanted,
            _ => false,
        }),
        other => panic!("not a change: {other:?}"),
    };
    while !is(&plane.report().await, "late=9") {}
    ovs.vsctl(&["del-port", "late"]);
    while !is(&plane.report().await, "late gone") {}
}

#[tokio::test]
async fn what_others_do_to_our_flows_is_told_at_once() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    // What is done over our own connection is told by its results alone (`apply` takes no other report).
    let (first, second) = (redirect("20.0.0.0/24", 2), redirect("20.0.1.0/24", 2));
    assert!(all_done(&plane.apply(Verb::Create, &[first.clone(), second.clone()]).await));
    let is = "priority=1000,ip,in_port=1,dl_src=fa:16:3e:7f:59:7f,nw_src=";
    let gone = |rule: &FlowRule| vec![Change::Absent(flow(rule).key())];

    ovs.ofctl("add-flow", &["cookie=0x3e7,priority=900,ip,in_port=1,actions=NORMAL"]); // nobody's business
    ovs.ofctl("del-flows", &["--strict", &format!("{is}20.0.0.0/24")]);
    assert_eq!(plane.changed().await, gone(&first));
    assert!(all_done(&plane.apply(Verb::Create, std::slice::from_ref(&first)).await));

    ovs.ofctl("mod-flows", &[&format!("{is}20.0.0.0/24,actions=drop")]);
    let changes = plane.changed().await;
    let [Change::Present(modified)] = &changes[..] else { panic!("{changes:?}") };
    assert!(modified.key() == flow(&first).key() && *modified != flow(&first), "{modified:?}");
    assert!(all_done(&plane.apply(Verb::Update, std::slice::from_ref(&first)).await));

    ovs.ofctl("add-flow", &[&format!("cookie=0x7,{is}20.0.1.0/24,actions=drop")]);
    let changes = plane.changed().await;
    let [Change::Present(usurper)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(usurper.key(), flow(&second).key(), "another's flow is in its place");
    assert!(matches!(usurper, FlowsObject::Flow(Flow { rule: FlowRule::Foreign { cookie: 7, .. }, .. })));
    let FlowsObject::Flow(Flow { rule: usurper, .. }) = usurper.clone() else { panic!("{usurper}") };

    ovs.ofctl("add-flow", &["cookie=0x3e6,priority=5,tcp,in_port=1,actions=drop"]);
    let changes = plane.changed().await;
    let [Change::Present(FlowsObject::Flow(Flow { rule, .. }))] = &changes[..] else { panic!("{changes:?}") };
    assert!(matches!(rule, FlowRule::Unknown { priority: 5, .. }), "{rule:?}");
    assert_rules(&plane.read().await, &[first, usurper, rule.clone()]);
}

/// More than fits in one message, and less than what OVS gives up telling of one by one.
#[tokio::test]
async fn what_others_do_to_many_flows_at_once_is_told_of_each() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    let wished = many(1500);
    assert!(all_done(&plane.apply(Verb::Create, &wished).await));
    ovs.ofctl("del-flows", &["ip,in_port=1"]);
    let mut left: HashSet<FlowsKey> = wished.iter().map(|rule| flow(rule).key()).collect();
    while !left.is_empty() {
        for change in plane.changed().await {
            let Change::Absent(key) = change else { panic!("{change:?}") };
            assert!(left.remove(&key), "{key:?} is told of twice");
        }
    }
}

#[tokio::test]
async fn a_restart_of_ovs_is_down_and_then_whole() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    assert!(all_done(&plane.apply(Verb::Create, &assortment()).await));
    ovs.stop_vswitchd().await;
    let why = loop {
        match plane.report().await {
            Report::Down(why) => break why,
            // ovs-vswitchd takes all flows away before it ends, and says so.
            Report::Changed(_) => {}
            other => panic!("neither down nor changed: {other:?}"),
        }
    };
    assert!(why.contains("ovs-vswitchd"), "{why}");
    let outcomes = loop {
        plane.commands.send(FlowsCommand::Apply { id: 77, operations: vec![] }).await.unwrap();
        match plane.report().await {
            Report::Down(_) => {}
            Report::Results { outcomes, .. } => break outcomes,
            other => panic!("neither down nor results: {other:?}"),
        }
    };
    assert_eq!(outcomes, []);
    ovs.start_vswitchd();
    let whole = loop {
        match plane.report().await {
            Report::Whole(whole) => break whole,
            // More than one batch may have been asked for while it was down.
            Report::Down(_) | Report::Results { .. } => {}
            other => panic!("neither down nor whole: {other:?}"),
        }
    };
    assert!(ports(&whole).contains(&("patch".to_owned(), 1)));
    assert_eq!(rules(whole), HashSet::new());
}

const TAG: &str = "81000005";

/// An ARP request of the router for 172.24.4.1.
fn arp_request(tag: &str) -> String {
    format!(
        "fffffffffffffa163e7f597f{tag}08060001080006040001fa163e7f597fac180492000000000000ac180401{}",
        "00".repeat(18)
    )
}

fn arp_reply(tag: &str) -> String {
    format!(
        "fa163e7f597f1e8bac5d984a{tag}080600010800060400021e8bac5d984aac180401fa163e7f597fac180492{}",
        "00".repeat(18)
    )
}

#[tokio::test]
async fn arp_and_neighbour_solicitations_are_answered_in_their_vlan() {
    let ovs = Ovs::start();
    let mut plane = Plane::start(&ovs);
    plane.whole().await;
    assert!(all_done(&plane.apply(Verb::Create, &assortment()).await));
    for tag in ["", TAG] {
        ovs.receive(&arp_request(tag));
        wait_until("an ARP reply", || ovs.sent().contains(&arp_reply(tag))).await;
        ovs.receive(&solicitation(tag, "20010db8ffff00000000000000000001"));
        wait_until("an advertisement", || ovs.sent().contains(&advertisement(tag))).await;
    }
    // A host that asks whether an address is free is not answered. The answer to what follows shows that it was seen.
    let answered = ovs.sent().len();
    ovs.receive(&solicitation("", "00000000000000000000000000000000"));
    ovs.receive(&solicitation("", "20010db8ffff00000000000000000001"));
    wait_until("the last advertisement", || ovs.sent().len() > answered).await;
    assert_eq!(ovs.sent()[answered..], [advertisement("")]);
}

/// A solicitation of the router for 2001:db8:ffff::fffe.
fn solicitation(tag: &str, source: &str) -> String {
    let group = "ff0200000000000000000001ff00fffe";
    let icmp = "870000000000000020010db8ffff0000000000000000fffe0101fa163e7f597f";
    format!("3333ff00fffefa163e7f597f{tag}86dd6000000000203aff{source}{group}{icmp}")
}

/// The answer to it, its checksum reckoned by hand.
fn advertisement(tag: &str) -> String {
    let (target, router) = ("20010db8ffff0000000000000000fffe", "20010db8ffff00000000000000000001");
    let icmp = format!("8800a945e0000000{target}02011e8bac5d984a");
    format!("fa163e7f597f1e8bac5d984a{tag}86dd6000000000203aff{target}{router}{icmp}")
}
