//! Netlink messages to what they tell us, still by ifindex; and the kernel's answers to requests.
//!
//! Owns the meaning of message bodies. It looks at the few attributes that matter and passes over the rest, so that the
//! thousands of routes per second that a routing daemon may write cost next to nothing here. It knows no names of other
//! links (see `actual`), and never panics: what the kernel would not send is `Malformed`.

mod link;
mod route;
mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{
    object::{LinkKind, ROUTE_PROTOCOL, Rule, Settings},
    uapi::*,
    wire::{self, Malformed, Message, attributes, half, number},
};
use crate::model::{IfName, MacAddr, Mark, Prefix};

/// What one message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The link of this index is there, like this.
    Link(u32, Box<LinkFacts>),
    /// The link of this index is not there any more.
    LinkGone(u32),
    /// Settings of IPv4 of the link of this index are these now.
    Ipv4(u32, Ipv4Settings),
    /// An address is on the link of this index, with this prefix length.
    Address(u32, IpAddr, u8),
    /// An address is not there any more.
    AddressGone(u32, IpAddr, u8),
    /// A route of our protocol is there (in a dump that was asked for all protocols: any).
    Route(RouteKey, Hop, u8),
    /// No route of our protocol is there: it was deleted, or another protocol's stands in its place.
    RouteGone(RouteKey),
    /// The kernel's own route to an address of the link of this index, where it is not in the table for all such routes:
    /// that of a VRF.
    Local(u32, LocalRoute),
    /// That route is not there any more.
    LocalGone(u32, LocalRoute),
    /// The kernel's own route to the prefix of an IPv6 host address of the link of this index, where it is not in the main
    /// table: that of a VRF, again.
    PrefixRoute(u32, LocalRoute),
    /// That route is not there any more.
    PrefixRouteGone(u32, LocalRoute),
    /// A permanent neighbour, and whether it carries our protocol number.
    Neighbour(u32, IpAddr, MacAddr, bool),
    /// A neighbour of this address is there that is not permanent.
    NeighbourPassing(u32, IpAddr),
    /// None is there, or it has not answered yet.
    NeighbourGone(u32, IpAddr),
    /// A rule that sends a destination to a table, and its protocol.
    Rule(Rule, u8),
    /// That rule is not there any more.
    RuleGone(Rule, u8),
}

/// A link as its message has it: other links by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its name.
    pub name: IfName,
    /// Its kind; a veth's peer, and what a VLAN is of, are in `peer`.
    pub kind: LinkKind,
    /// Index of the other end of a veth pair, or of the link that a VLAN is of, where that is in this namespace.
    pub peer: Option<u32>,
    /// The other end of a veth pair is in another namespace.
    pub elsewhere: bool,
    /// Index of its master.
    pub master: Option<u32>,
    /// Administratively up.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// From an alias of ours.
    pub owner: Option<Mark>,
    /// Per-device settings.
    pub settings: Settings,
    /// Ethernet address.
    pub mac: Option<MacAddr>,
}

impl LinkFacts {
    /// A plain device that is down, of which nothing but the name is known.
    pub fn new(name: IfName) -> Self {
        Self {
            name,
            kind: LinkKind::Other(String::new()),
            peer: None,
            elsewhere: false,
            master: None,
            up: false,
            mtu: 0,
            owner: None,
            settings: Settings::default(),
            mac: None,
        }
    }
}

/// Settings of IPv4 of a link, those that are told; see [`Settings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Settings {
    /// `forwarding`.
    pub forwarding: Option<bool>,
    /// `rp_filter` is 0.
    pub no_rp_filter: Option<bool>,
}

/// What names a route: table, destination, metric.
pub type RouteKey = (u32, Prefix, u32);

/// A local route, or one to a prefix of one address: table and address.
pub type LocalRoute = (u32, IpAddr);

/// Where a route leads, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// On the link.
    Link(u32),
    /// By a gateway on a link.
    Via(IpAddr, u32),
    /// ICMP unreachable.
    Unreachable,
    /// Some other kind of route, or several next hops: nothing that we make.
    Other,
}

/// The alias that marks a link as ours.
pub fn alias(owner: Mark) -> String {
    format!("bgp-agent {owner}")
}

fn owner(text: &str) -> Option<Mark> {
    let mark = text.strip_prefix("bgp-agent ")?.parse().ok()?;
    (alias(mark) == text).then_some(mark)
}

/// What a notification or a part of a dump tells; None: nothing for us.
pub fn event(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    match message.kind {
        RTM_NEWLINK | RTM_DELLINK => link::event(message),
        RTM_NEWADDR | RTM_DELADDR => address(message),
        RTM_NEWROUTE | RTM_DELROUTE => route::event(message, false),
        RTM_NEWNEIGH | RTM_DELNEIGH => neighbour(message),
        RTM_NEWRULE | RTM_DELRULE => rule::event(message),
        RTM_NEWNETCONF => ipv4_settings(message),
        _ => Ok(None),
    }
}

/// What a part of a route dump tells that was asked for every protocol's routes.
pub fn any_route(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    if message.kind == RTM_NEWROUTE { route::event(message, true) } else { Ok(None) }
}

/// By which gateways a route leads that is a part of a dump of one protocol's routes, one event for each.
pub fn ways(message: &Message<'_>) -> Result<Vec<Event>, Malformed> {
    if message.kind == RTM_NEWROUTE { route::ways(message) } else { Ok(Vec::new()) }
}

/// The fixed header of a message's body, and the attributes behind it.
fn split<'a, const N: usize>(message: &Message<'a>) -> Result<(&'a [u8; N], &'a [u8]), Malformed> {
    message.payload.split_first_chunk().ok_or(Malformed("a header"))
}

fn word(value: &[u8]) -> Result<u32, Malformed> {
    number(value, 0).ok_or(Malformed("a number"))
}

fn ip(value: &[u8]) -> Result<IpAddr, Malformed> {
    wire::ip(value).ok_or(Malformed("an address"))
}

fn mac(value: &[u8]) -> Option<MacAddr> {
    value.try_into().ok().map(MacAddr)
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index (4). With a peer IFA_ADDRESS is the peer's and
/// IFA_LOCAL ours; IPv6 without a peer has IFA_ADDRESS only.
fn address(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<8>(message)?;
    let (mut local, mut address) = (None, None);
    for attribute in attributes(body) {
        match attribute? {
            (IFA_LOCAL, value) => local = Some(ip(value)?),
            (IFA_ADDRESS, value) => address = Some(ip(value)?),
            _ => {}
        }
    }
    let Some(ip) = local.or(address) else { return Ok(None) };
    let (index, length) = (word(&head[4..])?, head[1]);
    Ok(Some(match message.kind {
        RTM_NEWADDR => Event::Address(index, ip, length),
        _ => Event::AddressGone(index, ip, length),
    }))
}

/// `struct ndmsg`: family, pad (3), index (4), state (2), flags, type.
fn neighbour(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<12>(message)?;
    // Bridges tell of their forwarding entries by the same messages.
    if !matches!(head[0], AF_INET | AF_INET6) || head[10] & NTF_PROXY != 0 {
        return Ok(None);
    }
    let (index, state) = (word(&head[4..])?, half(head, 8).unwrap_or_default());
    let (mut destination, mut address, mut marked) = (None, None, false);
    for attribute in attributes(body) {
        match attribute? {
            (NDA_PROTOCOL, value) => marked = value == [ROUTE_PROTOCOL],
            (NDA_DST, value) => destination = Some(ip(value)?),
            (NDA_LLADDR, value) => address = mac(value),
            _ => {}
        }
    }
    let Some(ip) = destination else { return Ok(None) };
    let gone = message.kind == RTM_DELNEIGH || state & NUD_VALID == 0;
    Ok(Some(match address {
        _ if gone => Event::NeighbourGone(index, ip),
        Some(mac) if state & NUD_PERMANENT != 0 => Event::Neighbour(index, ip, mac, marked),
        _ => Event::NeighbourPassing(index, ip),
    }))
}

/// `struct netconfmsg`: family, then pad to 4 bytes. The index is -1 or -2 for what is no link (all, default), which no
/// link has.
fn ipv4_settings(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<4>(message)?;
    let (mut link, mut settings) = (None, Ipv4Settings::default());
    for attribute in attributes(body) {
        match attribute? {
            (NETCONFA_IFINDEX, value) => link = Some(word(value)?),
            (NETCONFA_FORWARDING, value) => settings.forwarding = Some(word(value)? != 0),
            (NETCONFA_RP_FILTER, value) => settings.no_rp_filter = Some(word(value)? == 0),
            _ => {}
        }
    }
    let of_ours = head[0] == AF_INET && settings != Ipv4Settings::default();
    Ok(link.filter(|_| of_ours).map(|index| Event::Ipv4(index, settings)))
}

/// How the kernel answered a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or the error number.
    pub errno: i32,
    /// The kernel's own words for it (extended ACK), where it has some.
    pub words: Option<String>,
}

/// The answer in an NLMSG_ERROR or NLMSG_DONE message; None: the message is neither.
///
/// NLMSG_ERROR is a negative error number, the request's header, its body too unless NLM_F_CAPPED says not, then
/// attributes if NLM_F_ACK_TLVS says so; NLMSG_DONE is a number and then such attributes (`netlink_ack` and
/// `netlink_dump_done` in net/netlink/af_netlink.c).
pub fn answer(message: &Message<'_>) -> Result<Option<Answer>, Malformed> {
    let echoed = match message.kind {
        NLMSG_ERROR if message.flags & NLM_F_CAPPED != 0 => wire::HEADER,
        NLMSG_ERROR => number(message.payload, 4).ok_or(Malformed("an answer"))? as usize,
        NLMSG_DONE => 0,
        _ => return Ok(None),
    };
    let errno = word(message.payload)? as i32;
    let rest = message.payload.get(4 + echoed.next_multiple_of(4)..).unwrap_or_default();
    let mut words = None;
    if message.flags & NLM_F_ACK_TLVS != 0 {
        for attribute in attributes(rest) {
            if let (NLMSGERR_ATTR_MSG, value) = attribute? {
                words = wire::text(value).map(str::to_owned);
            }
        }
    }
    Ok(Some(Answer { errno: errno.checked_neg().unwrap_or(i32::MAX), words }))
}
