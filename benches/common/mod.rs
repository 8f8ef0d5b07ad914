//! What the benchmarks share: how to compare two ways within one run, the table that is printed, and what they measure on.
//!
//! A machine has its moods, so nothing is compared with a number from another run: both ways of a comparison take turns,
//! and the shortest of each counts.
#![allow(dead_code, reason = "no benchmark needs all of it")]

pub mod cloud;
pub mod flows;
pub mod gateway;
pub mod node;
pub mod reply;
pub mod vty;
pub mod wish;
pub mod writer;

use std::{
    fmt::Display,
    fs,
    time::{Duration, Instant},
};

/// How long this takes.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed(), done)
}

/// The shortest time of each of two ways that take turns.
pub fn in_turns(
    rounds: usize,
    mut one: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let pair = |_| (one(), other());
    let least = |a: (Duration, Duration), b: (Duration, Duration)| (a.0.min(b.0), a.1.min(b.1));
    (0..rounds).map(pair).reduce(least).expect("at least one round")
}

/// `a` in units of `b`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// A duration as the tables show it.
pub fn shown(took: Duration) -> String {
    match took.as_millis() {
        0..10 => format!("{} us", took.as_micros()),
        10..10_000 => format!("{} ms", took.as_millis()),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// A table in Markdown, printed line by line as it comes to be known.
pub struct Table;

impl Table {
    /// Prints the head, with the machine.
    pub fn begin(title: &str) -> Self {
        println!("\n{title} ({}):\n", machine());
        println!("| what | measured | target | |\n|---|---|---|---|");
        Self
    }

    /// Prints a line.
    pub fn line(&self, what: &str, measured: impl Display, target: &str, reached: bool) {
        println!("| {what} | {measured} | {target} | {} |", if reached { "reached" } else { "MISSED" });
    }

    /// Prints a line that has no target.
    pub fn note(&self, what: &str, measured: impl Display) {
        println!("| {what} | {measured} | | |");
    }
}

/// Processors, memory and kernel of this machine.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let models: Vec<&str> = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name\t: ")).collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let memory = memory.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} x {model}, {memory} GiB, Linux {}", models.len(), kernel.trim())
}

/// A line of /proc/self/status in MiB: `VmRSS`, or `VmHWM` for the most there ever was.
pub fn memory(line: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib = kib.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
