//! How much zebra has still to read of what the kernel tells it.
//!
//! zebra loses the notifications that its receive buffers cannot take and never asks for them again: a burst of routes
//! leaves BGP without some of them, for good. So the plane keeps what it causes within a window of those buffers, by
//! /proc/net/netlink, and tells when something was lost all the same. A zebra that reads nothing for a while is not
//! waited for: what it misses then is made good later.
//!
//! zebra is known by what it listens to (`kernel_init` in zebra/kernel_netlink.c, the same from FRR 8 to 10.7): one
//! socket for routes, one for links and addresses. `look` reads that file and `wait` waits; the rest is pure.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

use super::{object::KernelObject, uapi::*};
use crate::{
    model::Prefix,
    planes::{Backlog, Operation},
};

/// How much of a buffer may be taken, in bytes. zebra asks for 128 KiB, of which the kernel makes 256 (`sock_setsockopt`);
/// a system's default is 208 (`rmem_default`). The rest is for what others cause.
const WINDOW: usize = 144 * 1024;

/// Less room than this is waited for, so that writes do not get tiny.
const ENOUGH: usize = WINDOW / 4;

/// Between two looks at a queue that is waited for.
const LOOK: Duration = Duration::from_millis(1);

/// A queue that has not moved for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The groups that make a socket zebra's, for routes and for links: more than any other program known to us joins.
const ROUTES: u32 = bit(RTNLGRP_IPV4_MROUTE) | bit(RTNLGRP_IPV4_ROUTE) | bit(RTNLGRP_IPV6_ROUTE);
const LINKS: u32 = bit(RTNLGRP_LINK)
    | bit(RTNLGRP_IPV4_IFADDR)
    | bit(RTNLGRP_IPV6_IFADDR)
    | bit(RTNLGRP_IPV4_NETCONF)
    | bit(RTNLGRP_IPV6_NETCONF)
    | bit(RTNLGRP_MPLS_NETCONF);

const fn bit(group: u32) -> u32 {
    1 << (group - 1)
}

/// What an operation adds to the fuller of zebra's buffers, in bytes, as measured with sockets of the same groups on Linux
/// 6.18 and rounded up. An IPv4 address is told as the address, its local route, and that route's end; an IPv6 one the
/// same, larger, and the route to its prefix with its end, which are two of an IPv6 route. A link is told anew by each of
/// the requests that make it.
pub fn weight(operation: &Operation<KernelObject>) -> usize {
    match &operation.object {
        KernelObject::Link(_) => 48 * 1024,
        KernelObject::Address(address) if address.ip.is_ipv4() => 2560,
        KernelObject::Address(_) => 4096 + 2 * 1344,
        KernelObject::Route(route) => match route.prefix {
            Prefix::V4(_) => 896,
            Prefix::V6(_) => 1344,
        },
        KernelObject::Neighbour(_) | KernelObject::Rule(_) => 896,
    }
}

/// A socket of zebra's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Queue {
    inode: u64,
    bytes: usize,
    lost: u64,
}

/// The sockets of zebra's in the text of /proc/net/netlink: `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`.
fn queues(text: &str) -> Vec<Queue> {
    text.lines().skip(1).filter_map(queue).collect()
}

fn queue(line: &str) -> Option<Queue> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, protocol, _, groups, bytes, _, _, _, lost, inode] = *fields else { return None };
    let groups = u32::from_str_radix(groups, 16).ok()?;
    let is_zebras = groups & ROUTES == ROUTES || groups & LINKS == LINKS;
    if protocol != "0" || !is_zebras {
        return None;
    }
    Some(Queue { inode: inode.parse().ok()?, bytes: bytes.parse().ok()?, lost: lost.parse().ok()? })
}

/// zebra, as seen from the kernel's side.
#[derive(Debug, Default)]
pub struct Zebra {
    queues: Vec<Queue>,
    /// Since when a buffer has been full without that anything was read from it.
    full: Option<Instant>,
    backlog: Backlog,
    /// What was last given by `news`.
    told: Backlog,
    unreadable: bool,
}

/// The netlink sockets of the network namespace that the calling thread is in.
const SOCKETS: &str = "/proc/thread-self/net/netlink";

impl Zebra {
    /// Looks at the queues. Where they cannot be read nothing is known, and nothing is waited for.
    pub fn look(&mut self) {
        let text = fs::read_to_string(SOCKETS);
        if let Err(error) = &text
            && !self.unreadable
        {
            tracing::warn!(
                "cannot read {SOCKETS} ({error}): writes do not wait for zebra, and what it loses is not noticed; is /proc \
                 mounted, and does the unit let us see it (ProcSubset=all)?"
            );
        }
        self.unreadable = text.is_err();
        self.take(queues(&text.unwrap_or_default()), Instant::now());
    }

    fn take(&mut self, queues: Vec<Queue>, now: Instant) {
        for queue in &queues {
            let before = self.queues.iter().find(|before| before.inode == queue.inode);
            self.backlog.lost += queue.lost.saturating_sub(before.map_or(0, |before| before.lost));
        }
        let bytes = queues.iter().map(|queue| queue.bytes).max().unwrap_or_default();
        self.full = match self.full {
            _ if bytes <= WINDOW - ENOUGH => None,
            Some(since) if bytes >= self.backlog.bytes => Some(since),
            _ => Some(now),
        };
        (self.queues, self.backlog.bytes) = (queues, bytes);
        self.set_stuck(self.full.is_some_and(|since| now - since >= PATIENCE));
    }

    fn set_stuck(&mut self, stuck: bool) {
        match (self.backlog.stuck, stuck) {
            (false, true) => tracing::warn!(
                "zebra has not read what the kernel tells it for {} s: writes do not wait for it any more, and what it \
                 loses is made good when it reads again",
                PATIENCE.as_secs()
            ),
            (true, false) => tracing::info!("zebra reads again what the kernel tells it"),
            _ => {}
        }
        self.backlog.stuck = stuck;
    }

    /// How many bytes may be added to zebra's buffers now, when so many are on their way to them; 0 where that is little.
    pub fn room(&self, on_the_way: usize) -> usize {
        if self.queues.is_empty() || self.backlog.stuck {
            return usize::MAX;
        }
        let room = WINDOW.saturating_sub(self.backlog.bytes + on_the_way);
        if room < ENOUGH { 0 } else { room }
    }

    /// Waits until there is enough room.
    pub async fn wait(&mut self) {
        self.look();
        if self.room(0) > 0 {
            return;
        }
        self.backlog.waits += 1;
        while self.room(0) == 0 {
            sleep(LOOK).await;
            self.look();
        }
    }

    /// How zebra keeps up, where that has changed since this was last asked.
    pub fn news(&mut self) -> Option<Backlog> {
        let changed = self.backlog != self.told;
        self.told = self.backlog;
        changed.then_some(self.backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a node with FRR 8.4, ovs-vswitchd and udev; zebra's command sockets listen to nothing.
    const SEEN: &str = "\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   1203       00000000 0        0        0     2        0        20001
0000000000000000 0   1203       100c0575 4352     0        0     2        7        20002
0000000000000000 0   2914000001 09800111 832      0        0     2        1        20003
0000000000000000 0   900        00000001 0        0        0     2        0        20004
0000000000000000 15  400        00000002 0        0        0     2        9        20005
0000000000000000 0   901        00000440 99999    0        0     2        5        20006
";

    fn one(bytes: usize, lost: u64) -> Vec<Queue> {
        vec![Queue { inode: 1, bytes, lost }]
    }

    #[test]
    fn zebra_is_known_by_its_groups() {
        let found = queues(SEEN);
        let wished = [(20002, 4352, 7), (20003, 832, 1)];
        assert_eq!(found, wished.map(|(inode, bytes, lost)| Queue { inode, bytes, lost }));
        assert_eq!(queues("sk Eth\nnonsense\n0 0 1 zz 1 1 1 1 1 1\n"), []);
    }

    #[test]
    fn losses_are_counted_over_sockets_that_come_and_go() {
        let (mut zebra, now) = (Zebra::default(), Instant::now());
        zebra.take(one(0, 5), now);
        assert_eq!(zebra.backlog.lost, 5, "lost before we looked for the first time");
        zebra.take(one(0, 8), now);
        zebra.take(Vec::new(), now);
        zebra.take(vec![Queue { inode: 2, bytes: 0, lost: 1 }], now);
        assert_eq!(zebra.backlog.lost, 9);
    }

    #[test]
    fn without_zebra_nothing_is_waited_for() {
        assert_eq!(Zebra::default().room(1 << 30), usize::MAX);
    }

    #[test]
    fn what_is_queued_or_on_the_way_takes_room() {
        let mut zebra = Zebra::default();
        zebra.take(one(1000, 0), Instant::now());
        assert_eq!(zebra.room(500), WINDOW - 1500);
        assert_eq!(zebra.room(WINDOW), 0);
    }

    #[test]
    fn who_reads_nothing_is_not_waited_for_until_he_reads() {
        let (mut zebra, start) = (Zebra::default(), Instant::now());
        zebra.take(one(WINDOW, 0), start);
        zebra.take(one(WINDOW + 4096, 0), start + PATIENCE / 2);
        assert_eq!(zebra.room(0), 0);
        zebra.take(one(WINDOW + 4096, 0), start + PATIENCE);
        assert_eq!((zebra.room(0), zebra.backlog.stuck), (usize::MAX, true));
        zebra.take(one(WINDOW, 0), start + PATIENCE * 2);
        assert_eq!((zebra.room(0), zebra.backlog.stuck), (0, false), "it has read something");
        zebra.take(one(0, 0), start + PATIENCE * 3);
        zebra.take(one(WINDOW, 0), start + PATIENCE * 9);
        assert!(!zebra.backlog.stuck, "a queue that filled up a moment ago");
    }
}
