//! What messages about routes tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Event, Hop, ip, split, word};
use crate::{
    model::Prefix,
    planes::kernel::{
        object::ROUTE_PROTOCOL,
        uapi::*,
        wire::{Malformed, Message, attributes, half, number},
    },
};

/// `struct rtmsg`: family, destination length, source length, tos, table, protocol, scope, type, flags (4).
/// `any`: it is of a dump that was asked for every protocol's routes.
pub(super) fn event(message: &Message<'_>, any: bool) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<12>(message)?;
    let [family, length, _, _, _, protocol, _, kind, ..] = *head;
    let added = message.kind == RTM_NEWROUTE;
    let ours = protocol == ROUTE_PROTOCOL || any;
    let local = protocol == RTPROT_KERNEL && kind == RTN_LOCAL && !any;
    let host_prefix = family == AF_INET6 && length == 128;
    let prefix_route = protocol == RTPROT_KERNEL && kind == RTN_UNICAST && host_prefix && !any;
    // What replaces a route of ours is told without a word about ours (`fib_table_insert` in net/ipv4/fib_trie.c).
    let replaces = added && message.flags & NLM_F_REPLACE != 0;
    if !(ours || local || prefix_route || replaces)
        || !matches!(family, AF_INET | AF_INET6)
        || is_cached(head)?
    {
        return Ok(None);
    }
    let body = RouteBody::read(u32::from(head[4]), body)?;
    let destination = body.destination.unwrap_or(unspecified(family));
    if local {
        let host = Prefix::from(destination).prefix_len() == length;
        return Ok((host && body.table != RT_TABLE_LOCAL).then(|| body.local(destination, added)));
    }
    if prefix_route && body.gateway.is_none() {
        return Ok((body.table != RT_TABLE_MAIN).then(|| body.prefix_route(destination, added)));
    }
    let prefix = Prefix::new(destination, length).map_err(|_| Malformed("a prefix length"))?;
    let key = (body.table, prefix, body.metric);
    Ok(Some(if added && ours { Event::Route(key, body.hop(kind), protocol) } else { Event::RouteGone(key) }))
}

/// IPv6 shows path MTU exceptions among routes when asked for the cache; they are never routes of anybody.
fn is_cached(head: &[u8; 12]) -> Result<bool, Malformed> {
    Ok(word(&head[8..])? & RTM_F_CLONED != 0)
}

fn unspecified(family: u8) -> IpAddr {
    if family == AF_INET { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// By which gateways a route leads, one event for each, of a dump of one protocol's routes. With a next hop object the kernel
/// names the gateways, too (`nexthop_compat_mode`, 1 by default); what it does not name is not told.
pub(super) fn ways(message: &Message<'_>) -> Result<Vec<Event>, Malformed> {
    let (head, body) = split::<12>(message)?;
    let [family, length, _, _, _, protocol, ..] = *head;
    if !matches!(family, AF_INET | AF_INET6) || is_cached(head)? {
        return Ok(Vec::new());
    }
    let body = RouteBody::read(u32::from(head[4]), body)?;
    let destination = body.destination.unwrap_or(unspecified(family));
    let prefix = Prefix::new(destination, length).map_err(|_| Malformed("a prefix length"))?;
    let key = (body.table, prefix, body.metric);
    let mut ways: Vec<(IpAddr, u32)> = body.gateway.zip(body.index).into_iter().collect();
    let mut rest = body.multipath;
    while !rest.is_empty() {
        ways.extend(take_way(&mut rest)?);
    }
    let told = |(gateway, index)| Event::Route(key, Hop::Via(gateway, index), protocol);
    Ok(ways.into_iter().map(told).collect())
}

/// `struct rtnexthop`: length (2), flags, hops, index (4), then attributes.
fn take_way(rest: &mut &[u8]) -> Result<Option<(IpAddr, u32)>, Malformed> {
    const HEAD: usize = 8;
    let malformed = Malformed("a next hop");
    let length = usize::from(half(rest, 0).ok_or(malformed)?);
    let body = rest.get(HEAD..length).ok_or(malformed)?;
    let index = number(rest, 4).ok_or(malformed)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    for attribute in attributes(body) {
        if let (RTA_GATEWAY, value) = attribute? {
            return Ok(Some((ip(value)?, index)));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct RouteBody<'a> {
    table: u32,
    destination: Option<IpAddr>,
    metric: u32,
    gateway: Option<IpAddr>,
    index: Option<u32>,
    /// Several next hops.
    multipath: &'a [u8],
    /// It has several next hops, or a next hop object, or a gateway of the other family.
    unusual: bool,
}

impl<'a> RouteBody<'a> {
    /// `table` is the header's 8-bit field, which RTA_TABLE overrules.
    fn read(table: u32, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut read = Self { table, ..Self::default() };
        for attribute in attributes(body) {
            let (kind, value) = attribute?;
            match kind {
                RTA_TABLE => read.table = word(value)?,
                RTA_DST => read.destination = Some(ip(value)?),
                RTA_PRIORITY => read.metric = word(value)?,
                RTA_GATEWAY => read.gateway = Some(ip(value)?),
                RTA_OIF => read.index = Some(word(value)?),
                RTA_MULTIPATH => (read.multipath, read.unusual) = (value, true),
                RTA_VIA | RTA_NH_ID => read.unusual = true,
                _ => {}
            }
        }
        Ok(read)
    }

    fn hop(&self, kind: u8) -> Hop {
        match (kind, self.gateway, self.index) {
            _ if self.unusual => Hop::Other,
            (RTN_UNREACHABLE, ..) => Hop::Unreachable,
            (RTN_UNICAST, Some(gateway), Some(index)) => Hop::Via(gateway, index),
            (RTN_UNICAST, None, Some(index)) => Hop::Link(index),
            _ => Hop::Other,
        }
    }

    fn prefix_route(&self, address: IpAddr, added: bool) -> Event {
        let (index, route) = (self.index.unwrap_or_default(), (self.table, address));
        if added { Event::PrefixRoute(index, route) } else { Event::PrefixRouteGone(index, route) }
    }

    fn local(&self, address: IpAddr, added: bool) -> Event {
        let (index, route) = (self.index.unwrap_or_default(), (self.table, address));
        if added { Event::Local(index, route) } else { Event::LocalGone(index, route) }
    }
}
