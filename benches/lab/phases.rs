//! What happens to the cloud, phase by phase, and how long the agent takes with each.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Progress,
    common::{
        cloud::{Chassis, Cloud, On, Port, redirect_name, vm_name},
        shown,
        writer::Writer,
    },
    leaf_has, patience,
    peers::{Agent, Kernel, Used, resident},
    verify::{prefixes, verify},
};

/// The Southbound.
const SOUTHBOUND: &str = "unix:/run/ovn/ovnsb_db.sock";
/// The agent's configuration.
const CONFIG: &str = "/run/lab/agent.conf";
/// How many binds come in one transaction in the burst.
const BURST: u32 = 500;
/// Binds elsewhere, and how many of them in one transaction.
const ELSEWHERE: (u32, usize) = (10_000, 100);
/// How often one bind is measured.
const SINGLES: u32 = 10;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(1500);

/// A running agent.
struct Process(Child);

impl Process {
    fn start() -> Self {
        let log =
            fs::File::options().create(true).append(true).open("/run/lab/log/agent.log").expect("a log");
        let mut command = Command::new("/run/work/bgp-agent");
        command.args(["--config-file", CONFIG]).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        Self(command.spawn().expect("the agent"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn end(&mut self) {
        signal("TERM", self.pid());
        let _ = self.0.wait();
    }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
}

/// System calls of the agent while something happens.
struct Strace(Option<Child>);

impl Strace {
    const FILE: &str = "/run/lab/strace";

    fn attach(pid: u32, wanted: bool) -> Self {
        if !wanted {
            return Self(None);
        }
        let arguments = ["-f", "-c", "-o", Self::FILE, "-p", &pid.to_string()];
        let strace = Command::new("strace").args(arguments).stderr(Stdio::null()).spawn().expect("strace");
        let traced = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        while !traced().lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(Some(strace))
    }

    /// Ends it: how many there were, and which the most.
    fn count(self) -> Option<(u64, String)> {
        let mut strace = self.0?;
        signal("INT", strace.id());
        let _ = strace.wait();
        let text = fs::read_to_string(Self::FILE).unwrap_or_default();
        let calls = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            Some((fields.get(3)?.parse::<u64>().ok()?, (*fields.last()?).to_owned()))
        };
        let mut all: Vec<(u64, String)> =
            text.lines().filter_map(calls).filter(|(_, name)| name != "total").collect();
        all.sort_by(|a, b| b.cmp(a));
        let most: Vec<String> = all.iter().take(4).map(|(count, name)| format!("{name} {count}")).collect();
        Some((all.iter().map(|(count, _)| count).sum(), most.join(", ")))
    }
}

/// What one phase came to.
struct Line {
    what: String,
    /// Rows that changed, or prefixes that followed from one that did.
    events: u64,
    kernel: Option<Duration>,
    leaf: Option<Duration>,
    processor: Used,
    operations: u64,
    missing: u64,
    calls: Option<(u64, String)>,
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    writer: Writer,
    cloud: Cloud,
    kernel: Kernel,
    agent: Process,
    counts_calls: bool,
    lines: Vec<Line>,
}

/// VMs that come later, dealt out to the tenants in turn.
fn spares(cloud: Cloud, from: u32, count: u32) -> Vec<String> {
    (from..from + count).map(|n| vm_name(n % cloud.tenants, cloud.vms + n / cloud.tenants)).collect()
}

fn all_vms(cloud: Cloud) -> Vec<String> {
    (0..cloud.tenants).flat_map(|tenant| (0..cloud.vms).map(move |vm| vm_name(tenant, vm))).collect()
}

/// VMs on a network that no router of this node has.
fn elsewhere(cloud: Cloud) -> Vec<String> {
    (0..ELSEWHERE.0).map(|vm| vm_name(cloud.tenants, vm)).collect()
}

/// The cloud with its VMs bound, those that come later, and those elsewhere.
fn ports(cloud: Cloud) -> impl Iterator<Item = Port> {
    let spare = move |n| cloud.vm(n % cloud.tenants, cloud.vms + n / cloud.tenants, None);
    let far = move |vm| cloud.vm(cloud.tenants, vm, None);
    cloud.ports().chain((0..BURST + SINGLES).map(spare)).chain((0..ELSEWHERE.0).map(far))
}

/// All phases; with `counts_calls` under strace, which makes the times worth nothing.
pub fn run(cloud: Cloud, counts_calls: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let writer = runtime.block_on(write(cloud));
    let (kernel, began, agent) = (Kernel::listen(), Instant::now(), Process::start());
    let mut bench = Bench { runtime, writer, cloud, kernel, agent, counts_calls, lines: Vec::new() };
    let good = bench.all_phases(began);
    bench.print();
    bench.agent.end();
    assert!(good, "not everything was exact");
}

/// Writes the cloud into the Southbound.
async fn write(cloud: Cloud) -> Writer {
    let begin = Instant::now();
    let mut writer = Writer::connect(SOUTHBOUND).await;
    let with_elsewhere = Cloud { tenants: cloud.tenants + 1, ..cloud };
    let progress = |made: usize| {
        if made % 10_000 < 1000 {
            println!("        {made} ports written");
        }
    };
    writer.make(with_elsewhere, ports(cloud), progress).await;
    println!("cloud of {} x {} written in {}", cloud.tenants, cloud.vms, shown(begin.elapsed()));
    writer
}

impl Bench {
    fn all_phases(&mut self, began: Instant) -> bool {
        let (cloud, home) = (self.cloud, self.cloud.home());
        let families = u64::from(cloud.family.addresses());
        let (none, all) = (prefixes(cloud, 0).len() as u64, prefixes(cloud, cloud.vms).len() as u64);
        self.phase("cold start", all, all, |_| began);
        let mut good = self.check();
        self.single_binds(all);
        let burst = spares(cloud, SINGLES, BURST);
        let with_burst = all + families * u64::from(BURST);
        self.phase("burst of 500 binds, one transaction", BURST.into(), with_burst, |bench| {
            bench.bind(&burst, Some(home))
        });
        self.phase("500 unbinds, one transaction", BURST.into(), all, |bench| bench.bind(&burst, None));
        self.binds_elsewhere();
        let vms = all_vms(cloud);
        let bound = vms.len() as u64;
        self.phase("unbind all", bound, none, |bench| bench.bind_in_parts(&vms, None));
        self.phase("bind all", bound, all, |bench| bench.bind_in_parts(&vms, Some(home)));
        good &= self.check();
        // Tenants move with their gateways; VMs of the provider network each for itself.
        let movers = match cloud.on {
            On::Tenants => (0..cloud.tenants).map(redirect_name).collect(),
            On::Provider => vms,
        };
        let other = Some(Chassis::OtherGateway);
        self.phase("failover away", all, 0, |bench| bench.bind_in_parts(&movers, other));
        self.phase("failover back", all, all, |bench| bench.bind_in_parts(&movers, Some(Chassis::Gateway)));
        good &= self.check();
        self.southbound_anew();
        self.read_back();
        self.restart(all);
        good & self.check()
    }

    fn check(&self) -> bool {
        println!("        memory of the agent: {} MiB", resident(self.agent.pid()));
        verify(self.cloud, self.cloud.vms)
    }

    /// Binds in one transaction; gives when it was committed.
    fn bind(&mut self, names: &[String], chassis: Option<Chassis>) -> Instant {
        self.runtime.block_on(self.writer.bind(names.iter().cloned(), chassis));
        Instant::now()
    }

    /// Binds in several; gives when that began.
    fn bind_in_parts(&mut self, names: &[String], chassis: Option<Chassis>) -> Instant {
        let begin = Instant::now();
        for some in names.chunks(1000) {
            self.bind(some, chassis);
        }
        begin
    }

    /// A change, until all that follows from it stands and the leaf has so many prefixes.
    fn phase(&mut self, what: &str, events: u64, prefixes: u64, change: impl FnOnce(&mut Self) -> Instant) {
        println!("{what}");
        let (revision, operations) = (revision(), Agent::operations());
        let (strace, used) = (self.strace(), Used::by(self.agent.pid()));
        let begin = change(self);
        self.settle(|now| now > revision);
        let kernel = self.kernel.last().saturating_duration_since(begin);
        let (leaf, there) = leaf_has(self.cloud, prefixes);
        let line = Line {
            what: what.to_owned(),
            events,
            kernel: Some(kernel),
            leaf: Some(leaf.saturating_duration_since(begin)),
            processor: Used::by(self.agent.pid()).since(used),
            operations: Agent::operations() - operations,
            missing: there.abs_diff(prefixes),
            calls: strace.count(),
        };
        self.end(line);
    }

    /// Until all that is wished stands, and its revision is as it should be.
    fn settle(&self, revision: impl Fn(u64) -> bool) {
        let (begin, mut progress) = (Instant::now(), Progress::begin());
        while !Agent::converged().is_some_and(&revision) {
            let waits = Agent::ask("summary");
            assert!(begin.elapsed() < PATIENCE, "the agent does not settle: {waits}");
            progress.at(
                "prefixes in the kernel",
                Agent::in_kernel(),
                prefixes(self.cloud, self.cloud.vms).len() as u64,
            );
            std::thread::sleep(patience(begin));
        }
    }

    fn strace(&self) -> Strace {
        Strace::attach(self.agent.pid(), self.counts_calls)
    }

    fn end(&mut self, line: Line) {
        let time = |took: Option<Duration>| took.map_or("-".to_owned(), shown);
        println!(
            "        kernel {}, leaf {}, {} operations, {} missing",
            time(line.kernel),
            time(line.leaf),
            line.operations,
            line.missing
        );
        self.lines.push(line);
    }

    /// Binds one by one, and what a process of `ip` takes for the same.
    fn single_binds(&mut self, before: u64) {
        let (families, home) = (u64::from(self.cloud.family.addresses()), self.cloud.home());
        let first = self.lines.len();
        for n in 0..SINGLES {
            let one = spares(self.cloud, n, 1);
            let then = before + families * u64::from(n + 1);
            self.phase("one bind", 1, then, |bench| bench.bind(&one, Some(home)));
        }
        let mut lines = self.lines.split_off(first);
        lines.sort_by_key(|line| line.kernel);
        let processes: Vec<Duration> = (1..=SINGLES).map(ip_process).collect();
        let all = spares(self.cloud, 0, SINGLES);
        self.phase("ten unbinds, one transaction", SINGLES.into(), before, |bench| bench.bind(&all, None));
        let median = lines.remove(lines.len() / 2);
        let shortest = processes.iter().min().copied().unwrap_or_default();
        let what = format!("one bind (median of {SINGLES}; a process of ip: {})", shown(shortest));
        self.lines.insert(first, Line { what, ..median });
    }

    /// Nothing of these comes to the agent, so there is nothing to wait for but their commit.
    fn binds_elsewhere(&mut self) {
        let what = "10,000 binds elsewhere, 100 transactions";
        println!("{what}");
        let (before, operations) = (revision(), Agent::operations());
        let (strace, used) = (self.strace(), Used::by(self.agent.pid()));
        for some in elsewhere(self.cloud).chunks(ELSEWHERE.1) {
            self.bind(some, Some(Chassis::Compute));
        }
        let processor = Used::by(self.agent.pid()).since(used);
        let calls = strace.count();
        self.settle(|now| now == before);
        let operations = Agent::operations() - operations;
        self.end(line(what, ELSEWHERE.0.into(), None, processor, operations, calls));
    }

    /// The Southbound drops all sessions and tells everything anew: nothing has changed.
    fn southbound_anew(&mut self) {
        let what = "no-op resync: the Southbound anew";
        println!("{what}");
        let (before, operations) = (revision(), Agent::operations());
        let (strace, used) = (self.strace(), Used::by(self.agent.pid()));
        let begin = Instant::now();
        let dropped =
            Command::new("ovs-appctl").args(["-t", "/run/ovn/sb.ctl", "ovsdb-server/reconnect"]).status();
        assert!(dropped.is_ok_and(|status| status.success()));
        while Agent::converged().is_some() && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.settle(|now| now == before);
        let took = begin.elapsed();
        let processor = Used::by(self.agent.pid()).since(used);
        let calls = strace.count();
        let operations = Agent::operations() - operations;
        self.end(line(what, 1, Some(took), processor, operations, calls));
        self.runtime.block_on(self.writer.reconnected());
    }

    /// Kernel, OVS, flows and FRR are read back and compared, as every `reconcile_interval`.
    fn read_back(&mut self) {
        let what = "no-op resync: everything read back";
        println!("{what}");
        let operations = Agent::operations();
        let strace = self.strace();
        self.reconcile_every(5);
        let pid = self.agent.pid();
        let idle = Used::by(pid);
        while Used::by(pid).since(idle).all() < Duration::from_millis(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (begin, mut last) = (Instant::now(), (Instant::now(), idle));
        while last.0.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(20));
            let used = Used::by(pid);
            if used.since(last.1).all() > Duration::ZERO {
                last = (Instant::now(), used);
            }
        }
        self.reconcile_every(3600);
        let operations = Agent::operations() - operations;
        self.end(line(what, 1, Some(last.0 - begin), last.1.since(idle), operations, strace.count()));
    }

    fn reconcile_every(&self, seconds: u32) {
        let config = fs::read_to_string(CONFIG).expect("a configuration");
        let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
        let line = lines.iter_mut().find(|line| line.starts_with("reconcile_interval="));
        *line.expect("an interval") = format!("reconcile_interval={seconds}");
        fs::write(CONFIG, lines.join("\n") + "\n").expect("a configuration");
        signal("HUP", self.agent.pid());
    }

    /// The agent ends and starts again, and finds all as it left it.
    fn restart(&mut self, prefixes: u64) {
        let what = "agent restart";
        println!("{what}");
        self.agent.end();
        let begin = Instant::now();
        self.agent = Process::start();
        self.settle(|_| true);
        let took = begin.elapsed();
        let processor = Used::by(self.agent.pid());
        let missing = leaf_has(self.cloud, prefixes).1.abs_diff(prefixes);
        let restarted = line(what, 1, Some(took), processor, Agent::operations(), None);
        self.end(Line { missing, ..restarted });
    }

    fn print(&self) {
        let Cloud { tenants, vms, family, .. } = self.cloud;
        println!(
            "\n| agent, {tenants} x {vms} {family:?} | to the last kernel write | to the leaf | processor, own + kernel | operations | missing |"
        );
        println!("|---|---|---|---|---|---|");
        let time = |took: Option<Duration>| took.map_or("-".to_owned(), shown);
        for line in &self.lines {
            let (kernel, leaf, processor) = (
                time(line.kernel),
                time(line.leaf),
                format!("{} + {}", shown(line.processor.user), shown(line.processor.system)),
            );
            println!(
                "| {} | {kernel} | {leaf} | {processor} | {} | {} |",
                line.what, line.operations, line.missing
            );
        }
        if !self.counts_calls {
            return;
        }
        println!(
            "\n| system calls of the agent, {tenants} x {vms} | all | per event | the most |\n|---|---|---|---|"
        );
        for line in &self.lines {
            let Some((all, most)) = &line.calls else { continue };
            println!("| {} | {all} | {:.1} | {most} |", line.what, *all as f64 / line.events as f64);
        }
    }
}

fn revision() -> u64 {
    Agent::ask("summary")["revision"].as_u64().unwrap_or_default()
}

fn line(
    what: &str,
    events: u64,
    kernel: Option<Duration>,
    processor: Used,
    operations: u64,
    calls: Option<(u64, String)>,
) -> Line {
    Line { what: what.to_owned(), events, kernel, leaf: None, processor, operations, missing: 0, calls }
}

/// How long one `ip address add` takes.
fn ip_process(n: u32) -> Duration {
    let begin = Instant::now();
    let status =
        Command::new("ip").args(["address", "add", &format!("192.0.2.{n}/32"), "dev", "lo"]).status();
    assert!(status.is_ok_and(|status| status.success()));
    begin.elapsed()
}
