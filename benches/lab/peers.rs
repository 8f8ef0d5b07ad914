//! The lab's peers as the benchmark asks them: FRR's vty sockets, the agent's control socket, the kernel's notifications, and
//! what a process has used. Paths are those of lab/.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use serde_json::Value;

use crate::common::{
    cloud::{Cloud, On},
    vty,
};

/// The leaf's bgpd.
pub const LEAF: &str = "/run/frr/leaf/bgpd.vty";
/// This node's bgpd.
pub const BGPD: &str = "/run/frr/bgpd.vty";
/// The agent's control socket.
pub const CONTROL: &str = "/run/lab/agent/control.sock";

/// Tables of plain routes, each with the address by which this node tells the leaf of them (lab/underlay.sh).
const PLAIN: [(&str, &str); 2] = [("ipv4 unicast", "100.65.0.1"), ("ipv6 unicast", "2001:db8:64:1::1")];

/// How many prefixes the leaf has from this node: bgpd keeps that number, so asking costs it nothing.
pub fn at_leaf(cloud: Cloud) -> Option<u64> {
    let received = |(table, peer): (&str, &str)| {
        let summary = json(LEAF, &format!("show bgp {table} summary json"))?;
        summary["peers"][peer]["pfxRcd"].as_u64()
    };
    match cloud.on {
        On::Tenants => received(("l2vpn evpn", "100.65.0.1")),
        On::Provider => PLAIN.into_iter().map(received).sum(),
    }
}

fn json(socket: &str, question: &str) -> Option<Value> {
    serde_json::from_str(&vty::ask(socket, question).ok()?).ok()
}

/// The prefixes of this node in a bgpd's table, sorted.
pub fn told(cloud: Cloud, socket: &str) -> Vec<String> {
    match cloud.on {
        On::Tenants => type5(socket),
        On::Provider if socket == LEAF => plain(socket, "", |path, peer| path["peerId"] == peer),
        On::Provider => plain(socket, "vrf bgp-vrf ", |path, _| path["peerId"] == "(unspec)"),
    }
}

/// The prefixes of plain routes with a path that counts; that is asked with this node's address there.
fn plain(socket: &str, vrf: &str, counts: impl Fn(&Value, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (table, peer) in PLAIN {
        let shown = json(socket, &format!("show bgp {vrf}{table} json")).expect("bgpd answers");
        let routes = shown["routes"].as_object().into_iter().flatten();
        let is_ours = |paths: &Value| paths.as_array().into_iter().flatten().any(|path| counts(path, peer));
        found.extend(routes.filter(|(_, paths)| is_ours(paths)).map(|(prefix, _)| prefix.clone()));
    }
    found.sort();
    found
}

/// The type-5 prefixes in a bgpd's EVPN table, sorted.
fn type5(socket: &str) -> Vec<String> {
    let said = vty::ask(socket, "show bgp l2vpn evpn route type prefix").expect("bgpd answers");
    // *>i[5]:[0]:[32]:[10.0.1.0] RD ..
    let prefix = |line: &str| {
        let (_, rest) = line.split_once("[5]:[0]:[")?;
        let (length, rest) = rest.split_once("]:[")?;
        Some(format!("{}/{length}", rest.split_once(']')?.0))
    };
    let mut found: Vec<String> = said.lines().filter_map(prefix).collect();
    found.sort();
    found
}

/// The agent, asked.
pub struct Agent;

impl Agent {
    /// The answer to a question of one word; Null while nobody answers.
    pub fn ask(command: &str) -> Value {
        let ask = || -> io::Result<Value> {
            let mut stream = UnixStream::connect(CONTROL)?;
            stream.write_all(format!("{{\"command\":\"{command}\"}}\n").as_bytes())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(serde_json::from_str(&line)?)
        };
        ask().unwrap_or_default()
    }

    /// All that is wished stands; the revision of the wish.
    pub fn converged() -> Option<u64> {
        let summary = Self::ask("summary");
        (summary["converged"] == true).then(|| summary["revision"].as_u64()).flatten()
    }

    /// Prefixes that the kernel has acknowledged.
    pub fn in_kernel() -> u64 {
        let status = Self::ask("status");
        let of = |list: &Value| -> u64 {
            let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
            all.iter().filter_map(|one| one["prefixes"]["kernel"].as_u64()).sum()
        };
        of(&status["tenants"]) + of(&status["underlay"]["networks"])
    }

    /// Operations that were done since its start, on all planes.
    pub fn operations() -> u64 {
        let status = Self::ask("status");
        let planes = status["operations"].as_object().into_iter().flatten();
        planes.filter_map(|(_, plane)| plane["done"].as_u64()).sum()
    }
}

/// When the kernel told last that an address or a route came or went.
#[derive(Clone)]
pub struct Kernel {
    last: Arc<Mutex<Instant>>,
}

impl Kernel {
    /// RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE (linux/rtnetlink.h).
    const GROUPS: [u32; 4] = [5, 7, 9, 11];

    /// Listens from now on.
    pub fn listen() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).expect("a netlink socket");
        socket.bind(&SocketAddr::new(0, 0)).expect("a netlink socket");
        let _ = socket.set_rx_buf_sz(64 << 20);
        Self::GROUPS.iter().for_each(|group| socket.add_membership(*group).expect("a multicast group"));
        let kernel = Self { last: Arc::new(Mutex::new(Instant::now())) };
        let heard = kernel.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                // An overrun says, too, that something has changed.
                let _ = socket.recv(&mut &mut buffer[..], 0);
                *heard.last.lock().expect("no panic") = Instant::now();
            }
        });
        kernel
    }

    /// When it told last.
    pub fn last(&self) -> Instant {
        *self.last.lock().expect("no panic")
    }
}

/// Processor time that a process has used: in its own code, and in the kernel for it. In the kernel's ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// In its own code.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl Used {
    /// By this process until now.
    pub fn by(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let time = |at| Duration::from_millis(10 * ticks(at));
        Self { user: time(11), system: time(12) }
    }

    /// Since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }

    /// Both.
    pub fn all(self) -> Duration {
        self.user + self.system
    }
}

/// Resident memory of a process in MiB.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() >> 10
}
