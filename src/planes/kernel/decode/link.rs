//! What messages about links tell.

use std::net::{IpAddr, Ipv4Addr};

use super::{Event, LinkFacts, ip, mac, owner, split, word};
use crate::{
    model::IfName,
    planes::kernel::{
        object::{LinkKind, Settings},
        uapi::*,
        wire::{self, Malformed, Message, attributes, half, number},
    },
};

/// `struct ifinfomsg`: family, pad, type (2), index (4), flags (4), change (4).
pub(super) fn event(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<16>(message)?;
    // Other families tell of a port's membership in a bridge, or of IPv6: not of the link as such.
    if head[0] != AF_UNSPEC {
        return Ok(None);
    }
    let index = word(&head[4..])?;
    if message.kind == RTM_DELLINK {
        return Ok(Some(Event::LinkGone(index)));
    }
    // A name that we could not write either is no link for us; it may have had another name before.
    let Some(name) = link_name(body)? else { return Ok(Some(Event::LinkGone(index))) };
    let up = word(&head[8..])? & IFF_UP != 0;
    Ok(Some(Event::Link(index, Box::new(link_facts(name, up, body)?))))
}

fn link_name(body: &[u8]) -> Result<Option<IfName>, Malformed> {
    for attribute in attributes(body) {
        if let (IFLA_IFNAME, value) = attribute? {
            return Ok(wire::text(value).and_then(|text| text.parse().ok()));
        }
    }
    Err(Malformed("a link without a name"))
}

fn link_facts(name: IfName, up: bool, body: &[u8]) -> Result<LinkFacts, Malformed> {
    let mut facts = LinkFacts { up, ..LinkFacts::new(name) };
    let (mut lower, mut elsewhere, mut inet6) = (0, false, false);
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            IFLA_ADDRESS => facts.mac = mac(value),
            IFLA_MTU => facts.mtu = word(value)?,
            IFLA_LINK => lower = word(value)?,
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_MASTER => facts.master = Some(word(value)?).filter(|index| *index != 0),
            IFLA_IFALIAS => facts.owner = wire::text(value).and_then(owner),
            IFLA_LINKINFO => (facts.kind, facts.settings.plain) = link_kind(value)?,
            IFLA_AF_SPEC => inet6 = read_settings(value, &mut facts.settings)?,
            _ => {}
        }
    }
    // Without IPv6 on the device no address of it appears by itself either.
    facts.settings.no_ipv6_autogen |= !inet6;
    if matches!(facts.kind, LinkKind::Veth { .. } | LinkKind::Vlan { .. }) {
        facts.elsewhere = elsewhere;
        facts.peer = Some(lower).filter(|lower| !elsewhere && *lower != 0);
    }
    Ok(facts)
}

/// Reads IFLA_AF_SPEC; true: the link has IPv6.
fn read_settings(value: &[u8], settings: &mut Settings) -> Result<bool, Malformed> {
    let mut inet6 = false;
    for family in attributes(value) {
        let (family, value) = family?;
        for attribute in attributes(value) {
            match (family, attribute?) {
                (INET, (IFLA_INET_CONF, conf)) => {
                    // `inet_fill_link_af` in net/ipv4/devinet.c: an array of all numbers, the first has number 1.
                    let conf = |index: u16| number(conf, usize::from(index - 1) * 4);
                    settings.ipv4_forwarding = conf(IPV4_DEVCONF_FORWARDING).is_some_and(|value| value != 0);
                    settings.no_rp_filter = conf(IPV4_DEVCONF_RP_FILTER) == Some(0);
                }
                (INET6, (IFLA_INET6_ADDR_GEN_MODE, mode)) => {
                    settings.no_ipv6_autogen = mode == [IN6_ADDR_GEN_MODE_NONE];
                }
                _ => {}
            }
        }
        inet6 |= family == INET6;
    }
    Ok(inet6)
}

const INET: u16 = AF_INET as u16;
const INET6: u16 = AF_INET6 as u16;

/// The kind, and whether it is plain.
fn link_kind(info: &[u8]) -> Result<(LinkKind, bool), Malformed> {
    let (mut kind, mut data) = ("", &[][..]);
    for attribute in attributes(info) {
        match attribute? {
            (IFLA_INFO_KIND, value) => kind = wire::text(value).unwrap_or("?"),
            (IFLA_INFO_DATA, value) => data = value,
            _ => {}
        }
    }
    let plain = match kind {
        "bridge" => is_plain_bridge(data)?,
        "vxlan" => is_off(data, IFLA_VXLAN_LEARNING)?,
        _ => false,
    };
    let kind = match kind {
        "vrf" => LinkKind::Vrf { table: vrf_table(data)? },
        "vxlan" => vxlan(data)?,
        "bridge" => LinkKind::Bridge,
        "dummy" => LinkKind::Dummy,
        "vlan" => LinkKind::Vlan { of: None, tag: vlan_tag(data)? },
        "veth" => LinkKind::Veth { peer: None },
        other => LinkKind::Other(other.to_owned()),
    };
    Ok((kind, plain))
}

/// A kernel without VLAN filtering does not name the VLAN.
fn is_plain_bridge(data: &[u8]) -> Result<bool, Malformed> {
    Ok(is_off(data, IFLA_BR_STP_STATE)? && is_off(data, IFLA_BR_VLAN_DEFAULT_PVID)?)
}

/// Every byte of the attribute is 0, or it is not there.
fn is_off(data: &[u8], kind: u16) -> Result<bool, Malformed> {
    for attribute in attributes(data) {
        let (found, value) = attribute?;
        if found == kind {
            return Ok(value.iter().all(|byte| *byte == 0));
        }
    }
    Ok(true)
}

fn vrf_table(data: &[u8]) -> Result<u32, Malformed> {
    for attribute in attributes(data) {
        if let (IFLA_VRF_TABLE, value) = attribute? {
            return word(value);
        }
    }
    Err(Malformed("a VRF without a table"))
}

fn vlan_tag(data: &[u8]) -> Result<u16, Malformed> {
    for attribute in attributes(data) {
        if let (IFLA_VLAN_ID, value) = attribute? {
            return half(value, 0).ok_or(Malformed("a VLAN's number"));
        }
    }
    Err(Malformed("a VLAN without a number"))
}

/// A VXLAN device without a local address picks one by route: that shows as 0.0.0.0.
fn vxlan(data: &[u8]) -> Result<LinkKind, Malformed> {
    let (mut id, mut port, mut local) = (0, 0, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    for attribute in attributes(data) {
        let (kind, value) = attribute?;
        match kind {
            IFLA_VXLAN_ID => id = word(value)?,
            IFLA_VXLAN_PORT => port = half(value, 0).map(u16::from_be).ok_or(Malformed("a VXLAN port"))?,
            IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => local = ip(value)?,
            _ => {}
        }
    }
    Ok(LinkKind::Vxlan { id, port, local })
}
