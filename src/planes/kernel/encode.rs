//! Operations to netlink messages.
//!
//! Owns which messages an operation takes, in which order, and which refusals of the kernel mean 'it is so already'.
//! It writes straight into one buffer and knows nothing of sockets or answers. Links have a file of their own (`link`).

mod link;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::IpAddr};

use rustix::io::Errno;

use super::{actual::Actual, object::*, uapi::*, wire::Writer};
use crate::{
    model::{IfName, Prefix},
    planes::{Operation, Verb},
};

/// Messages for one send, and what each of them is for.
#[derive(Debug)]
pub struct Requests {
    writer: Writer,
    first: u32,
    steps: Vec<Step>,
    /// What they add to zebra's buffers, in bytes.
    pub weight: usize,
}

/// One message of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Which operation of the batch.
    pub operation: usize,
    /// What this message does, for an error's text; empty where the operation says it all.
    pub doing: &'static str,
    /// Refusals that mean 'it is so already'.
    pub fine: &'static [Errno],
}

impl Requests {
    /// No messages; the first one will have this sequence number.
    pub fn new(first: u32) -> Self {
        Self { writer: Writer::default(), first, steps: Vec::new(), weight: 0 }
    }

    /// All messages, as one send takes them; they are given away.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.writer.take_bytes()
    }

    /// How many bytes there are to send.
    pub fn size(&self) -> usize {
        self.writer.bytes().len()
    }

    /// The sequence number of the next message.
    pub fn next(&self) -> u32 {
        self.first.wrapping_add(self.steps.len() as u32)
    }

    /// The sequence number of the last message, whose acknowledgement ends the answers.
    pub fn last(&self) -> u32 {
        self.next().wrapping_sub(1)
    }

    /// What each message is for.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the message of this sequence number is for.
    pub fn step(&self, sequence: u32) -> Option<Step> {
        self.steps.get(sequence.wrapping_sub(self.first) as usize).copied()
    }

    /// Asks for an acknowledgement of the last message: it is the kernel's word that all before it were carried out.
    /// Errors of the others are told unasked. None: there is nothing to send.
    pub fn closed(mut self) -> Option<Self> {
        self.writer.acknowledge_last();
        (!self.steps.is_empty()).then_some(self)
    }

    fn message(&mut self, step: Step, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) {
        let sequence = self.next();
        self.steps.push(step);
        self.writer.message(kind, NLM_F_REQUEST | flags, sequence, fill);
    }
}

/// What operations build on: the kernel's view, and what earlier operations of the same batch made of it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What the kernel is known to have.
    pub actual: &'a Actual,
    /// What this batch did to links: made or changed, or removed (None).
    pub made: &'a mut HashMap<IfName, Option<(u32, Link)>>,
    /// Where to take the index of the next new link from.
    pub indexes: &'a mut Indexes,
}

impl Scene<'_> {
    fn link(&self, name: IfName) -> Option<(u32, Link)> {
        match self.made.get(&name) {
            Some(made) => made.clone(),
            None => self.actual.link(name),
        }
    }

    fn index(&self, name: IfName) -> Option<u32> {
        match self.made.get(&name) {
            Some(made) => made.as_ref().map(|made| made.0),
            None => self.actual.index(name),
        }
    }

    fn needed(&self, name: IfName) -> Result<u32, String> {
        self.index(name).ok_or_else(|| format!("there is no link {name}"))
    }

    /// The table of the VRF that the link is in.
    fn vrf_table(&self, name: IfName) -> Option<u32> {
        let (_, link) = self.link(name)?;
        let (_, master) = self.link(link.master?)?;
        match master.kind {
            LinkKind::Vrf { table } => Some(table),
            _ => None,
        }
    }
}

/// The source of indexes for new links: far above those that the kernel hands out, and a random start so that a new run
/// does not soon use again what the last one used.
#[derive(Debug)]
pub struct Indexes(u32);

impl Default for Indexes {
    fn default() -> Self {
        Self(fastrand::u32(Self::RANGE))
    }
}

impl Indexes {
    const RANGE: std::ops::Range<u32> = 0x1000_0000..0x7000_0000;

    fn fresh(&mut self, actual: &Actual) -> u32 {
        loop {
            self.0 = if Self::RANGE.contains(&(self.0 + 1)) { self.0 + 1 } else { Self::RANGE.start };
            if !actual.has_index(self.0) {
                return self.0;
            }
        }
    }
}

/// Writes the messages of operation number `at` of its batch.
///
/// # Errors
///
/// Why it cannot be asked of the kernel as things are; nothing was written then.
pub fn operation(
    at: usize,
    operation: &Operation<KernelObject>,
    scene: &mut Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let step = Step { operation: at, doing: "", fine: &[] };
    let verb = operation.verb;
    match &operation.object {
        KernelObject::Link(object) => link::encode(step, verb, object, scene, out),
        KernelObject::Address(object) => address(step, verb, object, scene, out),
        KernelObject::Route(object) => route(step, verb, object, scene, out),
        KernelObject::Neighbour(object) => neighbour(step, verb, object, scene, out),
        KernelObject::Rule(object) => {
            rule(step, verb, object, scene, out);
            Ok(())
        }
    }
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// IPv4: the local route comes with the address, at once. IPv6: the kernel adds it a moment later from a work queue,
/// duplicate address detection asked for or not (`addrconf_dad_start` in net/ipv6/addrconf.c); what arrives then is
/// reported, and asked away by an update. The route to an IPv6 address's prefix comes with the address, and goes the same
/// way. IFA_F_NOPREFIXROUTE would spare it, but since FRR 10.0 zebra does not take such an address for a connected prefix
/// (`connected_up` in zebra/connected.c), and bgpd never hears of it.
fn address(
    step: Step,
    verb: Verb,
    object: &Address,
    scene: &Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let table = scene.vrf_table(object.dev);
    match verb {
        Verb::Create => {
            let index = scene.needed(object.dev)?;
            // Replace: on one that is there the flags are set.
            out.message(step, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, |w| write_address(w, index, object));
            drop_local_route(step, index, table, object.ip, out);
        }
        Verb::Update => drop_local_route(step, scene.needed(object.dev)?, table, object.ip, out),
        Verb::Remove => {
            let Some(index) = scene.index(object.dev) else { return Ok(()) };
            let step = Step { fine: &[Errno::ADDRNOTAVAIL, Errno::NODEV], ..step };
            out.message(step, RTM_DELADDR, 0, |w| write_address(w, index, object));
        }
    }
    Ok(())
}

fn write_address(w: &mut Writer, index: u32, object: &Address) {
    w.fixed(&[family(object.ip), object.length, 0, RT_SCOPE_UNIVERSE]);
    w.fixed(&index.to_ne_bytes());
    w.ip(IFA_LOCAL, object.ip);
    w.ip(IFA_ADDRESS, object.ip);
    if object.ip.is_ipv6() {
        w.number(IFA_FLAGS, IFA_F_NODAD);
    }
}

/// Outside a VRF the kernel's routes to an address are in the host's own tables and are left alone.
fn drop_local_route(step: Step, index: u32, table: Option<u32>, ip: IpAddr, out: &mut Requests) {
    let Some(table) = table else { return };
    let mut drop = |kind, doing| {
        let step = Step { doing, fine: &[Errno::SRCH], ..step };
        out.message(step, RTM_DELROUTE, 0, |w| {
            let head = RouteHead { protocol: RTPROT_KERNEL, scope: RT_SCOPE_NOWHERE, kind, flags: 0 };
            write_route(w, head, table, Prefix::from(ip), 0);
            w.number(RTA_OIF, index);
        });
    };
    drop(RTN_LOCAL, "remove its local route");
    if ip.is_ipv6() {
        drop(RTN_UNICAST, "remove the route to its prefix");
    }
}

/// A create does not touch what stands: what to do with that is decided when it was looked at (see `session`).
/// A gateway is not marked as on-link: its own route comes before in the batch, and a gateway without one is a mistake
/// that the kernel should refuse rather than hide. But for routes that expose an address: they come long after that route,
/// and zebra asks no other protocol's route for a gateway that is on-link (`nexthop_active` in zebra/zebra_nhg.c).
fn route(
    step: Step,
    verb: Verb,
    object: &Route,
    scene: &Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let key = (object.table, object.prefix, object.metric);
    match verb {
        Verb::Create => put_route(step, NLM_F_CREATE | NLM_F_EXCL, object, scene, out),
        // Only a route of ours may be written over unseen.
        Verb::Update if scene.actual.hop(key).is_some() => replace_route(step, object, scene, out),
        Verb::Update => put_route(step, NLM_F_CREATE | NLM_F_EXCL, object, scene, out),
        Verb::Remove => {
            remove_route(step, object, scene, out);
            Ok(())
        }
    }
}

/// Writes a route in place of the one of the same table, destination and metric.
///
/// # Errors
///
/// Its link is not there.
pub fn replace_route(
    step: Step,
    object: &Route,
    scene: &Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    put_route(step, NLM_F_CREATE | NLM_F_REPLACE, object, scene, out)
}

fn put_route(
    step: Step,
    flags: u16,
    object: &Route,
    scene: &Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    let link = match object.next_hop {
        NextHop::Link(name) | NextHop::Via(_, name) => Some(scene.needed(name)?),
        NextHop::Unreachable => None,
        NextHop::Other => return Err("a route that leads to several places is never made".to_owned()),
    };
    let on_link = object.prefix.addr().is_ipv4() && matches!(object.next_hop, NextHop::Link(_));
    let scope = if on_link { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
    let in_the_way = gateways_own_address(object, link, scene);
    for (index, address) in &in_the_way {
        let step = Step { doing: "take its gateway's address off", fine: &[Errno::ADDRNOTAVAIL], ..step };
        out.message(step, RTM_DELADDR, 0, |w| write_address(w, *index, address));
    }
    if let (true, Some(link)) = (on_link, link) {
        for (index, _) in dummies_with(object.prefix.addr(), link, scene) {
            drop_local_route(step, index, Some(object.table), object.prefix.addr(), out);
        }
    }
    out.message(step, RTM_NEWROUTE, flags, |w| write_our_route(w, scope, object, link));
    for (index, address) in &in_the_way {
        let step = Step { doing: "put its gateway's address back", ..step };
        out.message(step, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, |w| write_address(w, *index, address));
        drop_local_route(step, *index, Some(object.table), address.ip, out);
    }
    Ok(())
}

/// Our dummies in the VRF of this link with this address. A dummy that comes into a VRF, or comes up there, has its addresses'
/// local routes back, and of IPv4 such a one stands in the place of the route to a gateway that has the same address.
fn dummies_with(ip: IpAddr, link: u32, scene: &Scene<'_>) -> Vec<(u32, IfName)> {
    let holders = scene.actual.holders(link, ip).into_iter();
    let is_ours = |link: Link| link.kind == LinkKind::Dummy && link.owner.is_some();
    holders.filter(|(_, dev)| scene.link(*dev).is_some_and(|(_, link)| is_ours(link))).collect()
}

/// The kernel takes no IPv6 route by a gateway whose address a link of the same VRF has (`ip6_validate_gw` in
/// net/ipv6/route.c), as the dummy has it that advertises it. It minds only when the route is made, so the address steps
/// aside for that moment.
/// Where addresses are exposed as routes there is none; one that is still there is about to go.
fn gateways_own_address(object: &Route, link: Option<u32>, scene: &Scene<'_>) -> Vec<(u32, Address)> {
    match (&object.next_hop, link) {
        (NextHop::Via(gateway, _), Some(link)) if gateway.is_ipv6() && !object.exposes() => {
            let holders = dummies_with(*gateway, link, scene).into_iter();
            holders.map(|(index, dev)| (index, Address::host(dev, *gateway))).collect()
        }
        _ => Vec::new(),
    }
}

/// Exact in all it has, protocol included, so that never another's route is hit: the kernel takes metric 0 and what is
/// not given as 'any' (`fib_nh_match` in net/ipv4/fib_semantics.c).
fn remove_route(step: Step, object: &Route, scene: &Scene<'_>, out: &mut Requests) {
    let link = match object.next_hop {
        NextHop::Link(name) | NextHop::Via(_, name) => match scene.index(name) {
            Some(index) => Some(index),
            None => return, // routes go with their link
        },
        NextHop::Unreachable | NextHop::Other => None,
    };
    let step = Step { fine: &[Errno::SRCH, Errno::NODEV], ..step };
    out.message(step, RTM_DELROUTE, 0, |w| write_our_route(w, RT_SCOPE_NOWHERE, object, link));
}

struct RouteHead {
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

fn write_our_route(w: &mut Writer, scope: u8, object: &Route, link: Option<u32>) {
    let kind = match object.next_hop {
        NextHop::Unreachable => RTN_UNREACHABLE,
        NextHop::Link(_) | NextHop::Via(..) => RTN_UNICAST,
        NextHop::Other => RTN_UNSPEC,
    };
    let by_gateway = matches!(object.next_hop, NextHop::Via(..));
    let flags = if object.exposes() && by_gateway { RTNH_F_ONLINK } else { 0 };
    let head = RouteHead { protocol: ROUTE_PROTOCOL, scope, kind, flags };
    write_route(w, head, object.table, object.prefix, object.metric);
    if let Some(index) = link {
        w.number(RTA_OIF, index);
    }
    if let NextHop::Via(gateway, _) = object.next_hop {
        w.ip(RTA_GATEWAY, gateway);
    }
}

fn write_route(w: &mut Writer, head: RouteHead, table: u32, prefix: Prefix, metric: u32) {
    let RouteHead { protocol, scope, kind, flags } = head;
    w.fixed(&[family(prefix.addr()), prefix.prefix_len(), 0, 0, 0, protocol, scope, kind]);
    w.fixed(&flags.to_ne_bytes());
    w.number(RTA_TABLE, table);
    w.ip(RTA_DST, prefix.network());
    if metric != 0 {
        w.number(RTA_PRIORITY, metric);
    }
}

fn neighbour(
    step: Step,
    verb: Verb,
    object: &Neighbour,
    scene: &Scene<'_>,
    out: &mut Requests,
) -> Result<(), String> {
    if verb != Verb::Remove {
        let index = scene.needed(object.dev)?;
        out.message(step, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, |w| write_neighbour(w, index, object));
        return Ok(());
    }
    let Some(index) = scene.index(object.dev) else { return Ok(()) };
    if let Some(mac) = scene.actual.neighbour(index, object.ip).filter(|mac| *mac != object.mac) {
        return Err(format!("it is at {mac} by now: not ours to remove"));
    }
    let step = Step { fine: &[Errno::NOENT, Errno::NODEV], ..step };
    out.message(step, RTM_DELNEIGH, 0, |w| write_neighbour(w, index, object));
    Ok(())
}

/// Rules of different protocols stand side by side (`rule_exists` in net/core/fib_rules.c compares it), so ours is made
/// beside any other. One that does the same for somebody else, as the Python agent's, is taken over: it goes when ours is
/// there, for it would stay when ours goes.
fn rule(step: Step, verb: Verb, object: &Rule, scene: &Scene<'_>, out: &mut Requests) {
    if verb == Verb::Remove {
        let step = Step { fine: &[Errno::NOENT], ..step };
        out.message(step, RTM_DELRULE, 0, |w| write_rule(w, object, ROUTE_PROTOCOL));
        return;
    }
    let fine = &[Errno::EXIST];
    out.message(Step { fine, ..step }, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, |w| {
        write_rule(w, object, ROUTE_PROTOCOL);
    });
    for (priority, protocol) in scene.actual.rule_twins(object) {
        let step = Step { doing: "take the place of one that does the same", fine: &[Errno::NOENT], ..step };
        let twin = Rule { priority, ..object.clone() };
        out.message(step, RTM_DELRULE, 0, |w| write_rule(w, &twin, protocol));
    }
}

fn write_rule(w: &mut Writer, object: &Rule, protocol: u8) {
    w.fixed(&[family(object.to.addr()), object.to.prefix_len(), 0, 0, 0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
    w.ip(FRA_DST, object.to.addr());
    w.number(FRA_TABLE, object.table);
    w.number(FRA_PRIORITY, object.priority);
    w.attribute(FRA_PROTOCOL, &[protocol]);
}

fn write_neighbour(w: &mut Writer, index: u32, object: &Neighbour) {
    w.fixed(&[family(object.ip), 0, 0, 0]);
    w.fixed(&index.to_ne_bytes());
    let [low, high] = NUD_PERMANENT.to_ne_bytes();
    w.fixed(&[low, high, 0, 0]);
    w.ip(NDA_DST, object.ip);
    w.attribute(NDA_LLADDR, &object.mac.0);
    if object.marked {
        w.attribute(NDA_PROTOCOL, &[ROUTE_PROTOCOL]);
    }
}
