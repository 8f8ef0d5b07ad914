//! Our rules as OpenFlow flows, and operations as flow mods. Pure; never decides what should exist.

use ofproto::{
    Action, Field, FlowCommand, FlowMod, Header, Instructions, Masked, Match, NO_BUFFER, packet_in_reason,
    reserved_port,
};

use std::net::{IpAddr, Ipv4Addr};

use super::object::FlowRule;
use crate::{
    model::{MacAddr, Prefix},
    planes::Verb,
};

/// The id of our connections. Packets that our flows send to the controller reach only connections that gave
/// themselves this id, and those of flows with other ids (OVN and most others use 0) do not reach us.
pub const CONTROLLER_ID: u16 = 0x3e6;

const REDIRECT_PRIORITY: u16 = 1000;
const REPLY_PRIORITY: u16 = 1001;
const OWN_PRIORITY: u16 = 1002;
const INJECT_PRIORITY: u16 = 1000;
const GUARD_PRIORITY: u16 = 900;
const STRAY_PRIORITY: u16 = 899;
/// The Python agent's.
const OUTGOING_PRIORITY: u16 = 900;
const DISCOVERY_PRIORITY: u16 = 901;
const ANY_REPLY_PRIORITY: u16 = 902;
const PASS_PRIORITY: u16 = 903;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// The Ethernet type of an 802.1Q tag.
const VLAN: u16 = 0x8100;
const ICMPV6: u8 = 58;
/// RFC 4861, 4.3 and 4.4.
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Which bits of the cookie a flow must have that we remove: all but one. With all bits OVS looks through all flows with
/// that cookie for each removal (ofproto/ofproto.c, `collect_rules_strict`), so that it takes 6 s for 8,000; otherwise
/// it looks the flow up by its match. A foreign flow could be hit only if its cookie differs in that one bit alone and
/// it has taken the place (table, priority, match) of a flow that we saw with our own cookie.
const REMOVAL_MASK: u64 = u64::MAX >> 1;

/// What OpenFlow takes for the identity of a flow: to add another one with the same replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The table.
    pub table: u8,
    /// The priority.
    pub priority: u16,
    /// The match.
    pub matches: Match,
}

/// The flow mod that does this with the flow of this rule. None: a rule that we do not know cannot be made.
pub fn flow_mod(verb: Verb, rule: &FlowRule) -> Option<FlowMod> {
    let Identity { table, priority, matches } = identity(rule);
    let flow = FlowMod { cookie: rule.cookie(), table, priority, matches, ..FlowMod::default() };
    match verb {
        // An addition replaces the flow of the same identity, whatever it does.
        Verb::Create | Verb::Update => Some(FlowMod { instructions: instructions(rule)?, ..flow }),
        Verb::Remove => {
            Some(FlowMod { command: FlowCommand::DeleteStrict, cookie_mask: REMOVAL_MASK, ..flow })
        }
    }
}

/// Table, priority and match of a rule.
pub fn identity(rule: &FlowRule) -> Identity {
    let (priority, matches) = match rule {
        FlowRule::Redirect { in_port, router, subnet, vlan, .. } => {
            let matches = from_router(in_port.0, *router);
            // OVS takes pop_vlan only where the match says that there is a tag (OFPBAC_MATCH_INCONSISTENT).
            let matches = if *vlan { matches.with(Field::any_vlan()) } else { matches };
            (REDIRECT_PRIORITY, from_subnet(matches, subnet))
        }
        FlowRule::ArpReply { in_port, router, target, .. } => {
            (REPLY_PRIORITY, with(arp_requests(in_port.0, *router), target.map(Field::arp_tpa)))
        }
        FlowRule::OwnArp { in_port, router, address } => {
            (OWN_PRIORITY, arp_requests(in_port.0, *router).with(Field::arp_tpa(*address)))
        }
        FlowRule::NdReply { in_port, router, target, .. } => {
            let asked = solicitations(from_router(in_port.0, *router));
            (REPLY_PRIORITY, with(asked, target.map(Field::nd_target)))
        }
        FlowRule::Inject { in_port, router, .. } => {
            let matches = Match::new().with(Field::in_port(in_port.0)).with(Field::eth_dst(*router));
            (INJECT_PRIORITY, matches)
        }
        FlowRule::Guard { in_port } => (GUARD_PRIORITY, Match::new().with(Field::in_port(in_port.0))),
        FlowRule::Outgoing { in_port, ipv6, .. } => {
            (OUTGOING_PRIORITY, from_port(in_port.0).with(Field::eth_type(if *ipv6 { IPV6 } else { IPV4 })))
        }
        FlowRule::AnyReply { in_port, ipv6, target, .. } => {
            (ANY_REPLY_PRIORITY, questions(in_port.0, *ipv6, *target))
        }
        FlowRule::Behind { in_port, address } => {
            (PASS_PRIORITY, questions(in_port.0, address.is_ipv6(), Some(*address)))
        }
        FlowRule::Probe { in_port } => {
            let asked = questions(in_port.0, false, None);
            (PASS_PRIORITY, asked.with(Field::arp_spa(Ipv4Addr::UNSPECIFIED)))
        }
        FlowRule::Stray { in_port, router, to } => {
            (STRAY_PRIORITY, from_router(in_port.0, *router).with(Field::eth_dst(*to)))
        }
        FlowRule::Discovery { in_port, advertised } => {
            let kind = if *advertised { NEIGHBOUR_ADVERTISEMENT } else { NEIGHBOUR_SOLICITATION };
            (DISCOVERY_PRIORITY, discovery(from_port(in_port.0), kind))
        }
        FlowRule::Unknown { table, priority, matches, .. }
        | FlowRule::Foreign { table, priority, matches, .. } => {
            return Identity { table: *table, priority: *priority, matches: (**matches).clone() };
        }
    };
    Identity { table: 0, priority, matches }
}

/// What the flow of a rule does with its packets; None if we do not know.
pub fn instructions(rule: &FlowRule) -> Option<Instructions> {
    let actions = match rule {
        FlowRule::Redirect { vlan, to, output, .. } => {
            let pop = vlan.then_some(Action::PopVlan);
            let rest = [Action::SetField(Field::eth_dst(*to)), Action::output(output.0)];
            pop.into_iter().chain(rest).collect()
        }
        FlowRule::ArpReply { answer, .. } | FlowRule::AnyReply { ipv6: false, answer, .. } => {
            arp_reply(*answer)
        }
        FlowRule::Outgoing { to, .. } => {
            vec![Action::SetField(Field::eth_dst(*to)), Action::output(reserved_port::NORMAL)]
        }
        FlowRule::OwnArp { .. }
        | FlowRule::Behind { .. }
        | FlowRule::Probe { .. }
        | FlowRule::Discovery { .. } => vec![Action::output(reserved_port::NORMAL)],
        // The packet reaches us with the answer as its Ethernet destination: see `neighbour`.
        FlowRule::NdReply { answer, .. } | FlowRule::AnyReply { answer, .. } => vec![
            Action::SetField(Field::eth_dst(*answer)),
            Action::Controller { max_len: NO_BUFFER, id: CONTROLLER_ID, reason: packet_in_reason::ACTION },
        ],
        FlowRule::Inject { vlan, output, .. } => {
            let push = vlan.map(|tag| [Action::PushVlan(VLAN), Action::SetField(Field::vlan(tag))]);
            push.into_iter().flatten().chain([Action::output(output.0)]).collect()
        }
        // Without any instruction a packet is dropped.
        FlowRule::Guard { .. } | FlowRule::Stray { .. } => return Some(Instructions::default()),
        FlowRule::Unknown { .. } | FlowRule::Foreign { .. } => return None,
    };
    Some(Instructions::apply(actions))
}

/// Turns a request round: who asked is told that the target is at `answer` (RFC 826). A VLAN tag stays as it is.
fn arp_reply(answer: MacAddr) -> Vec<Action> {
    vec![
        Action::copy(Header::NXM_ETH_SRC, Header::NXM_ETH_DST),
        Action::SetField(Field::eth_src(answer)),
        Action::SetField(Field::arp_op(2)),
        Action::copy(Header::NXM_ARP_SHA, Header::NXM_ARP_THA),
        Action::SetField(Field::arp_sha(answer)),
        Action::copy(Header::NXM_ARP_TPA, Header::REG0),
        Action::copy(Header::NXM_ARP_SPA, Header::NXM_ARP_TPA),
        Action::copy(Header::REG0, Header::NXM_ARP_SPA),
        Action::output(reserved_port::IN_PORT),
    ]
}

fn from_port(in_port: u32) -> Match {
    Match::new().with(Field::in_port(in_port))
}

fn from_router(in_port: u32, router: MacAddr) -> Match {
    from_port(in_port).with(Field::eth_src(router))
}

/// What anybody asks by ARP or ND, for whatever target or for this one.
fn questions(in_port: u32, ipv6: bool, target: Option<IpAddr>) -> Match {
    let asked = match ipv6 {
        false => from_port(in_port).with(Field::eth_type(ARP)).with(Field::arp_op(1)),
        true => solicitations(from_port(in_port)),
    };
    match target {
        Some(IpAddr::V4(target)) => asked.with(Field::arp_tpa(target)),
        Some(IpAddr::V6(target)) => asked.with(Field::nd_target(target)),
        None => asked,
    }
}

fn solicitations(matches: Match) -> Match {
    discovery(matches, NEIGHBOUR_SOLICITATION)
}

fn discovery(matches: Match, kind: u8) -> Match {
    matches
        .with(Field::eth_type(IPV6))
        .with(Field::ip_proto(ICMPV6))
        .with(Field::icmpv6_type(kind))
        .with(Field::icmpv6_code(0))
}

fn arp_requests(in_port: u32, router: MacAddr) -> Match {
    from_router(in_port, router).with(Field::eth_type(ARP)).with(Field::arp_op(1))
}

fn from_subnet(matches: Match, subnet: &Prefix) -> Match {
    match subnet {
        Prefix::V4(net) => matches
            .with(Field::eth_type(IPV4))
            .with(Field::ipv4_src(Masked::prefix(net.addr(), net.prefix_len()))),
        Prefix::V6(net) => matches
            .with(Field::eth_type(IPV6))
            .with(Field::ipv6_src(Masked::prefix(net.addr(), net.prefix_len()))),
    }
}

fn with(matches: Match, field: Option<Field>) -> Match {
    match field {
        Some(field) => matches.with(field),
        None => matches,
    }
}
