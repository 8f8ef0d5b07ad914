//! How fast the plane is, compared with a bare loop that sends the same bytes: the least that any program needs.

use std::{
    fs,
    time::{Duration, Instant},
};

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

use crate::stage::*;

const COUNT: u32 = 100_000;
/// Addresses are spread, since the kernel walks all of a device's addresses for each new one.
const DEVICES: u32 = 50;

#[test]
#[ignore = "measures: build it with --release, and look at what it prints"]
fn pace() {
    isolated("pace::pace", || async {
        let names: Vec<_> = (0..DEVICES).map(|n| format!("one{n}")).collect();
        let lines = names.iter().map(|name| format!("link add {name} up type veth peer name x{name}\n"));
        ip_batch(&lines.collect::<String>());
        let routes = (0..COUNT).map(|n| create(route(1001, &format!("{}/32", ip(n)), 0, on("one0"))));
        let flush_routes = || _ = run("ip route flush table 1001");
        compare("routes", routes.collect(), &names, flush_routes).await;

        let addresses = (0..COUNT).map(|n| create(host(&format!("one{}", n % DEVICES), &ip(n))));
        let flush_addresses =
            || ip_batch(&names.iter().map(|name| format!("addr flush dev {name}\n")).collect::<String>());
        compare("addresses", addresses.collect(), &names, flush_addresses).await;
    });
}

fn ip(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
}

async fn compare(what: &str, operations: Vec<Operation<KernelObject>>, names: &[String], flush: impl Fn()) {
    for round in 0..5 {
        let (bare, bare_used) = bare_loop(operations.clone(), names).await;
        flush();
        let (taken, used) = by_the_plane(operations.clone()).await;
        flush();
        let ratio = taken.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{what}, round {round}: bare loop {bare:.0?} ({bare_used:?} of processors), \
             plane {taken:.0?} ({used:?}), ratio {ratio:.2}"
        );
    }
}

async fn by_the_plane(operations: Vec<Operation<KernelObject>>) -> (Duration, Duration) {
    let mut plane = Plane::start().await;
    let (start, used) = (Instant::now(), processor_time());
    plane.commands.send(Command::Apply { id: 0, operations }).await.unwrap();
    let outcomes = loop {
        if let Some(Report::Results { outcomes, .. }) = plane.reports.recv().await {
            break outcomes;
        }
    };
    let taken = (start.elapsed(), processor_time() - used);
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
    taken
}

async fn bare_loop(operations: Vec<Operation<KernelObject>>, names: &[String]) -> (Duration, Duration) {
    let mut actual = Actual::default();
    for name in names {
        let index = index_of(name).parse().unwrap();
        actual.apply(Event::Link(index, Box::new(LinkFacts::new(dev(name)))));
    }
    let mut batch = Batch::new(operations, usize::MAX);
    let (mut indexes, mut sends) = (Indexes::default(), Vec::new());
    while let Some(mut requests) = batch.fill(&actual, &mut indexes, 1, usize::MAX) {
        sends.push((requests.take_bytes(), requests.last()));
    }
    let mut asking = Asking::open().unwrap();
    let (start, used, count) = (Instant::now(), processor_time(), sends.len());
    for (bytes, last) in sends {
        asking.send(bytes, last);
    }
    for _ in 0..count {
        asking.answers().await.unwrap();
    }
    (start.elapsed(), processor_time() - used)
}

/// What this process used so far, in the kernel's ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
