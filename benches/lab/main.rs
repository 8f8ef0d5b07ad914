//! The lab's benchmark: a Southbound of any size, and how long the agent takes from each change of it to the kernel and to the
//! leaf's BGP table, compared with prepared files that are written by `ip -batch` and its like.
//!
//! lab/bench starts it, once as `reference` and once for each way to expose addresses, or as `plain-reference` and `plain` for the
//! BGP mode, each in namespaces of its own with real OVS, FRR and a leaf;
//! benches/in-lab starts that. It is nothing to be run by hand.
#![allow(clippy::disallowed_types)]

#[path = "../common/mod.rs"]
mod common;
mod peers;
mod phases;
mod reference;
mod verify;

use std::time::{Duration, Instant};

use common::{
    cloud::{Cloud, Family, On},
    shown,
};

/// How long bgpd's count may stand still before what is missing counts as lost.
const STILL: Duration = Duration::from_secs(40);

/// How far a wait has come, said every few seconds.
pub struct Progress {
    begin: Instant,
    said: Instant,
}

impl Progress {
    const PERIOD: Duration = Duration::from_secs(5);

    /// Begins to wait.
    pub fn begin() -> Self {
        Self { begin: Instant::now(), said: Instant::now() }
    }

    /// Says how far it is, if it is time.
    pub fn at(&mut self, what: &str, done: u64, all: u64) {
        if self.said.elapsed() > Self::PERIOD {
            self.said = Instant::now();
            println!("  {:>5.0?} s  {what}: {done} of {all}", self.begin.elapsed().as_secs());
        }
    }
}

/// How long to wait before the next question: asking costs, too, so what takes long is asked for seldom, within 2 %.
pub fn patience(begin: Instant) -> Duration {
    (begin.elapsed() / 50).clamp(Duration::from_millis(5), Duration::from_millis(500))
}

/// Waits until the leaf has so many prefixes; gives when that was and how many there are in the end.
pub fn leaf_has(cloud: Cloud, prefixes: u64) -> (Instant, u64) {
    let (begin, mut progress) = (Instant::now(), Progress::begin());
    let mut last = (Instant::now(), u64::MAX);
    loop {
        let there = peers::at_leaf(cloud).unwrap_or_default();
        if there != last.1 {
            last = (Instant::now(), there);
        }
        if there == prefixes || last.0.elapsed() > STILL {
            return last;
        }
        progress.at("prefixes at the leaf", there, prefixes);
        std::thread::sleep(patience(begin));
    }
}

fn by_reference(cloud: Cloud) {
    let reference = reference::Reference::prepare(cloud);
    println!("reference: {} tenants with {} VMs each", cloud.tenants, cloud.vms);
    let begin = Instant::now();
    let steps = reference.write();
    let written = begin.elapsed();
    let prefixes = verify::prefixes(cloud, cloud.vms);
    let (last, there) = leaf_has(cloud, prefixes.len() as u64);
    println!("\n| reference writer, {} x {} {:?} | |\n|---|---|", cloud.tenants, cloud.vms, cloud.family);
    for (what, took) in steps {
        println!("| {what} | {} |", shown(took));
    }
    println!("| all written | {} |", shown(written));
    println!("| to the leaf's last prefix | {} |", shown(last - begin));
    println!("| missing at the leaf | {} of {} |\n", prefixes.len() as u64 - there, prefixes.len());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [way, tenants, vms, family] = words[..] else {
        println!("the lab's benchmark is run by `make bench` (benches/in-lab)");
        return;
    };
    let number = |text: &str| text.parse().expect("a number");
    let family = match family {
        "4" => Family::V4,
        "6" => Family::V6,
        _ => Family::Both,
    };
    let on = if way.starts_with("plain") { On::Provider } else { On::Tenants };
    let cloud = Cloud { tenants: number(tenants), vms: number(vms), family, on };
    match way {
        "reference" | "plain-reference" => by_reference(cloud),
        "dummy" | "routes" | "plain" => phases::run(cloud, false),
        "system-calls" => phases::run(cloud, true),
        _ => panic!("reference, dummy, routes, plain-reference, plain or system-calls"),
    }
}
