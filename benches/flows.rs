//! 50,000 flows into a real ovs-vswitchd: the flows plane, compared with `ovs-ofctl --bundle add-flows` from a prepared file.
//!
//! `cargo bench --bench flows`; needs openvswitch-switch installed.
#![allow(clippy::disallowed_types)]

mod common;
#[path = "../tests/flows_plane/ovs.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod ovs;

use std::{
    fmt::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use bgp_agent::{
    model::{MacAddr, OfPort},
    planes::{
        Operation, Outcome, Report, Verb,
        flows::{
            self, FlowsCommand, Options,
            object::{COOKIE, Cookies, Flow, FlowRule, FlowsObject},
        },
    },
};
use common::{Table, ratio, shown};
use ovs::{BRIDGE, Ovs};
use tokio::sync::mpsc;

const FLOWS: u32 = 50_000;
const ROUNDS: usize = 5;
const ROUTER: MacAddr = MacAddr([0xfa, 0x16, 0x3e, 0x7f, 0x59, 0x7f]);
const ATTACH: MacAddr = MacAddr([0x1e, 0x8b, 0xac, 0x5d, 0x98, 0x4a]);

fn subnet(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
}

fn operations() -> Vec<Operation<FlowsObject>> {
    let bridge = BRIDGE.parse().expect("a name");
    let rule = |n| FlowRule::Redirect {
        in_port: OfPort(1),
        router: ROUTER,
        subnet: format!("{}/32", subnet(n)).parse().expect("a prefix"),
        vlan: false,
        to: ATTACH,
        output: OfPort(2),
    };
    let create =
        |n| Operation { verb: Verb::Create, object: FlowsObject::Flow(Flow { bridge, rule: rule(n) }) };
    (0..FLOWS).map(create).collect()
}

fn file() -> String {
    let mut text = String::new();
    for n in 0..FLOWS {
        let _ = writeln!(
            text,
            "cookie={COOKIE:#x},priority=1000,ip,in_port=1,dl_src={ROUTER},nw_src={},actions=set_field:{ATTACH}->eth_dst,output:2",
            subnet(n)
        );
    }
    text
}

/// From the command to the last outcome, the session being there.
async fn by_the_plane(ovs: &Ovs, operations: Vec<Operation<FlowsObject>>) -> Duration {
    let (commands, taken) = mpsc::channel(16);
    let (told, mut reports) = mpsc::channel(16);
    let socket = PathBuf::from(ovs.path(&format!("{BRIDGE}.mgmt")));
    let cookies = Cookies { evpn: true, underlay: false };
    let options = Options { bridge: BRIDGE.parse().expect("a name"), socket, cookies, answers: true };
    tokio::spawn(flows::run(options, taken, told));
    while !matches!(reports.recv().await, Some(Report::Whole(_))) {}
    let begin = Instant::now();
    commands.send(FlowsCommand::Apply { id: 1, operations }).await.expect("the plane runs");
    loop {
        if let Report::Results { outcomes, .. } = reports.recv().await.expect("the plane runs") {
            let taken = begin.elapsed();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
            return taken;
        }
    }
}

fn by_ofctl(ovs: &Ovs, file: &str) -> Duration {
    let begin = Instant::now();
    ovs.ofctl("add-flows", &["--bundle", file]);
    begin.elapsed()
}

/// All of them are there; then none.
fn check_and_clear(ovs: &Ovs) {
    let count = ovs.ofctl("dump-aggregate", &["cookie=0x3e6/-1"]);
    assert!(count.contains(&format!("flow_count={FLOWS}")), "{count}");
    ovs.ofctl("del-flows", &[]);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ovs = Ovs::start();
    let path = ovs.path("flows");
    std::fs::write(&path, file()).expect("a file");
    let (mut plane, mut ofctl) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        ofctl = ofctl.min(by_ofctl(&ovs, &path));
        check_and_clear(&ovs);
        plane = plane.min(runtime.block_on(by_the_plane(&ovs, operations())));
        check_and_clear(&ovs);
    }
    let table = Table::begin("Flows plane, 50,000 flows into ovs-vswitchd");
    let ratio = ratio(plane, ofctl);
    table.note("ovs-ofctl --bundle add-flows", shown(ofctl));
    table.line("the plane", format!("{}, {ratio:.2} x", shown(plane)), "1 x", ratio <= 1.0);
}
