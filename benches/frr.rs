//! 100,000 prefixes from our kernel plane through zebra into bgpd, with zebra's default netlink buffer: how many a second, and
//! how many are missing in the end. zebra drops what it cannot take and never notices, so the plane has to send no more.
//!
//! Prefixes are host routes of our protocol in the default VRF, redistributed by bgpd, which every kernel can do. Beside it: the
//! same plane without zebra, and the same routes when they are there before zebra starts, which is FRR's own pace.
//! `cargo bench --bench frr`; needs root and FRR.
#![allow(clippy::disallowed_types)]

mod common;
#[path = "../tests/kernel_plane/stage.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod stage;

use std::{
    fs,
    os::unix::{fs::chown, net::UnixStream},
    path::Path,
    process::{Child, Command as Program, Stdio},
    time::{Duration, Instant},
};

use bgp_agent::planes::{
    Command, Operation, Outcome, Report,
    kernel::object::{KernelObject, ROUTE_PROTOCOL},
};
use common::{Table, shown, vty};
use stage::*;

const PREFIXES: u32 = 100_000;
const TARGET: f64 = 25_000.0;
/// bgpd has all there is to come when nothing came for so long.
const STILL: Duration = Duration::from_secs(3);
/// Set in the process that runs inside the namespace.
const INSIDE: &str = "FRR_BENCH_INSIDE";

/// zebra and bgpd with sockets in a directory of their own.
struct Frr {
    directory: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Frr {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = "this needs FRR with its user frr: apt-get install frr";
        let users = fs::read_to_string("/etc/passwd").expect(missing);
        let user = users.lines().find_map(|line| line.strip_prefix("frr:x:")).expect(missing);
        let ids: Vec<u32> = user.split(':').take(2).map(|id| id.parse().expect("an id")).collect();
        chown(directory.path(), Some(ids[0]), Some(ids[1])).expect("root");
        let config = "router bgp 64999\n bgp router-id 192.0.2.1\n address-family ipv4 unicast\n  redistribute kernel\n";
        fs::write(directory.path().join("bgpd.conf"), config).expect("a file");
        fs::write(directory.path().join("zebra.conf"), "").expect("a file");
        let mut frr = Self { directory, daemons: Vec::new() };
        ["zebra", "bgpd"].into_iter().for_each(|daemon| frr.daemon(daemon));
        frr
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn daemon(&mut self, name: &str) {
        let file = |kind: &str| self.path(&format!("{name}.{kind}"));
        let socket = file("vty");
        let mut program = Program::new(format!("/usr/lib/frr/{name}"));
        program.args(["-P", "0", "-A", "127.0.0.1", "-i", &file("pid"), "-f", &file("conf")]);
        program.args(["--vty_socket", &self.path(""), "-z", &self.path("zserv.api")]);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemons.push(program.spawn().expect("this needs FRR: apt-get install frr"));
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < end, "{name} does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many prefixes bgpd has.
    fn prefixes(&self) -> u32 {
        let said =
            vty::ask(&self.path("bgpd.vty"), "show bgp ipv4 unicast statistics").expect("bgpd answers");
        let line = said.lines().find(|line| line.contains("Total Prefixes"));
        line.and_then(|line| line.rsplit(':').next()?.trim().parse().ok()).unwrap_or_default()
    }

    /// Messages that the kernel could not give to zebra, which opened its listening socket first: that has its pid as port.
    fn drops(&self) -> u64 {
        let zebra = self.daemons[0].id().to_string();
        let table = fs::read_to_string("/proc/net/netlink").unwrap_or_default();
        // Fields: sk, protocol, port, groups, Rmem, Wmem, dump, locks, drops, inode (netlink_native_seq_show).
        let sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_zebra =
            sockets.filter(|fields| fields.get(1) == Some(&"0") && fields.get(2) == Some(&&*zebra));
        of_zebra.filter_map(|fields| fields.get(8)?.parse::<u64>().ok()).sum()
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn routes() -> Vec<Operation<KernelObject>> {
    let prefix = |n: u32| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255);
    (0..PREFIXES).map(|n| create(route(254, &prefix(n), 0, on("one")))).collect()
}

/// From the command to the last outcome.
async fn write(operations: Vec<Operation<KernelObject>>) -> Duration {
    let mut plane = Plane::start().await;
    let begin = Instant::now();
    plane.commands.send(Command::Apply { id: 0, operations }).await.expect("the plane runs");
    loop {
        if let Report::Results { outcomes, .. } = plane.reports.recv().await.expect("the plane runs") {
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
            return begin.elapsed();
        }
    }
}

/// What zebra and bgpd need for routes that are there before they start: zebra reads them at its own pace and loses none.
fn by_zebras_dump() -> Duration {
    let begin = Instant::now();
    let frr = Frr::start();
    while frr.prefixes() < PREFIXES {
        assert!(begin.elapsed() < 5 * PATIENCE, "{} prefixes in bgpd", frr.prefixes());
        std::thread::sleep(Duration::from_millis(50));
    }
    begin.elapsed()
}

async fn measure() {
    run("ip link set lo up");
    run("ip link add one up type veth peer name other");
    run("ip link set other up");
    let alone = write(routes()).await;
    let dumped = by_zebras_dump();
    run(&format!("ip route flush proto {ROUTE_PROTOCOL}"));

    let frr = Frr::start();
    let begin = Instant::now();
    let (mut written, mut last) = (None, (begin, 0));
    let writing = write(routes());
    tokio::pin!(writing);
    while last.1 < PREFIXES && (written.is_none() || last.0.elapsed() < STILL) {
        tokio::select! {
            took = &mut writing, if written.is_none() => written = Some(took),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                let there = frr.prefixes();
                if there != last.1 {
                    last = (Instant::now(), there);
                    eprint!("\r{there} prefixes in bgpd");
                }
            }
        }
    }
    eprintln!();
    let took = last.0 - begin;
    let table = Table::begin("100,000 prefixes into zebra and bgpd");
    let per_second = |count: u32, took: Duration| f64::from(count) / took.as_secs_f64();
    table.note(
        "kernel plane without zebra",
        format!("{}, {:.0}/s", shown(alone), per_second(PREFIXES, alone)),
    );
    table.note(
        "FRR's own pace: started beside routes that are there, to the last in bgpd",
        format!("{}, {:.0}/s", shown(dumped), per_second(PREFIXES, dumped)),
    );
    let written = written.unwrap_or(took);
    table.note(
        "kernel plane beside zebra",
        format!("{}, {:.0}/s", shown(written), per_second(PREFIXES, written)),
    );
    let missing = PREFIXES - last.1;
    let rate = per_second(last.1, took);
    table.line(
        "to the last prefix in bgpd",
        format!("{}, {rate:.0}/s", shown(took)),
        "25,000/s",
        rate >= TARGET,
    );
    table.line("missing in bgpd", missing, "0", missing == 0);
    table.note("messages dropped at zebra's netlink sockets", frr.drops());
}

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().expect("this program");
        let status = Program::new("unshare").arg("--net").arg(program).env(INSIDE, "1").status();
        let status = status.expect("`unshare` (util-linux) is needed to make a network namespace");
        assert!(status.success(), "the benchmark failed inside its network namespace (root is needed)");
        return;
    }
    assert!(Path::new("/usr/lib/frr/zebra").exists(), "this needs FRR: apt-get install frr");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}
