//! How fast the kernel plane is with 100,000 routes and addresses, compared with a bare loop that sends the same prepared
//! bytes: the least that any program needs.
//!
//! `cargo bench --bench kernel`; needs root, for a network namespace of its own.
#![allow(clippy::disallowed_types)]

mod common;
#[path = "../tests/kernel_plane/stage.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod stage;

use std::time::{Duration, Instant};

use bgp_agent::planes::{
    Command, Operation, Outcome, Report,
    kernel::{
        actual::Actual,
        decode::{Event, LinkFacts},
        encode::Indexes,
        io::Asking,
        object::*,
        session::Batch,
    },
};
use common::{Table, ratio, shown};
use stage::*;

const COUNT: u32 = 100_000;
/// Addresses are spread, since the kernel walks all of a device's addresses for each new one.
const DEVICES: u32 = 50;
const ROUNDS: usize = 5;
/// Set in the process that runs inside the namespace.
const INSIDE: &str = "KERNEL_BENCH_INSIDE";

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().expect("this program");
        let status =
            std::process::Command::new("unshare").arg("--net").arg(program).env(INSIDE, "1").status();
        let status = status.expect("`unshare` (util-linux) is needed to make a network namespace");
        assert!(status.success(), "the benchmark failed inside its network namespace (root is needed)");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(compare_all());
}

async fn compare_all() {
    run("ip link set lo up");
    let names: Vec<_> = (0..DEVICES).map(|n| format!("one{n}")).collect();
    let lines = names.iter().map(|name| format!("link add {name} up type veth peer name x{name}\n"));
    ip_batch(&lines.collect::<String>());
    let table = Table::begin("Kernel plane, 100,000 objects");

    let routes = (0..COUNT).map(|n| create(route(1001, &format!("{}/32", ip4(n)), 0, on("one0"))));
    let flush = || _ = run("ip route flush table 1001");
    compare(&table, "IPv4 routes", routes.collect(), &names, flush).await;

    let routes = (0..COUNT).map(|n| create(route(1001, &format!("{}/128", ip6(n)), 1024, on("one0"))));
    let flush = || _ = run("ip -6 route flush table 1001");
    compare(&table, "IPv6 routes", routes.collect(), &names, flush).await;

    let addresses = (0..COUNT).map(|n| create(host(&format!("one{}", n % DEVICES), &ip4(n))));
    let flush = || ip_batch(&names.iter().map(|name| format!("addr flush dev {name}\n")).collect::<String>());
    compare(&table, "IPv4 addresses on 50 devices", addresses.collect(), &names, flush).await;
}

fn ip4(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
}

fn ip6(n: u32) -> String {
    format!("2001:db8::{:x}:{:x}", n >> 16, n & 0xffff)
}

async fn compare(
    table: &Table,
    what: &str,
    operations: Vec<Operation<KernelObject>>,
    names: &[String],
    flush: impl Fn(),
) {
    let (mut bare, mut taken) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        bare = bare.min(bare_loop(operations.clone(), names).await);
        flush();
        taken = taken.min(by_the_plane(operations.clone()).await);
        flush();
    }
    let ratio = ratio(taken, bare);
    table.note(&format!("{what}: bare loop"), shown(bare));
    table.line(
        &format!("{what}: the plane"),
        format!("{}, {ratio:.2} x", shown(taken)),
        "1.15 x",
        ratio <= 1.15,
    );
}

async fn by_the_plane(operations: Vec<Operation<KernelObject>>) -> Duration {
    let mut plane = Plane::start().await;
    let begin = Instant::now();
    plane.commands.send(Command::Apply { id: 0, operations }).await.expect("the plane runs");
    let outcomes = loop {
        if let Report::Results { outcomes, .. } = plane.reports.recv().await.expect("the plane runs") {
            break outcomes;
        }
    };
    let taken = begin.elapsed();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
    taken
}

async fn bare_loop(operations: Vec<Operation<KernelObject>>, names: &[String]) -> Duration {
    let mut actual = Actual::default();
    for name in names {
        let index = index_of(name).parse().expect("an index");
        actual.apply(Event::Link(index, Box::new(LinkFacts::new(dev(name)))));
    }
    let mut batch = Batch::new(operations, usize::MAX);
    let (mut indexes, mut sends) = (Indexes::default(), Vec::new());
    while let Some(mut requests) = batch.fill(&actual, &mut indexes, 1, usize::MAX) {
        sends.push((requests.take_bytes(), requests.last()));
    }
    let mut asking = Asking::open().expect("a netlink socket");
    let (begin, count) = (Instant::now(), sends.len());
    for (bytes, last) in sends {
        asking.send(bytes, last);
    }
    for _ in 0..count {
        asking.answers().await.expect("answers");
    }
    begin.elapsed()
}
