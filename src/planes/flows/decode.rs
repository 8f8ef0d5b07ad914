//! Flows that a bridge has, as our rules. Pure.
//!
//! A flow is one of our rules only if encoding that rule gives the same flow again; so what is read back equals what
//! was wished, or it is not ours to trust.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use ofproto::{Action, Field, FlowStats, Match, Oxm};

use super::{
    encode::{self, Identity},
    object::{BridgePort, Cookies, FlowRule},
};
use crate::model::{IfName, MacAddr, OfPort, Prefix};

/// What a flow is to us: with a cookie of ours a rule, with another one something in the place of a rule; None: nothing.
pub fn seen(cookies: Cookies, flow: FlowStats) -> Option<FlowRule> {
    if cookies.hold(flow.cookie) {
        return Some(rule(flow));
    }
    let FlowStats { cookie, table, priority, matches, .. } = flow;
    let identity = Identity { table, priority, matches };
    // The places of a mode that is off are nobody's business.
    rule_matching(&identity).filter(|rule| cookies.hold(rule.cookie()))?;
    let Identity { table, priority, matches } = identity;
    Some(FlowRule::Foreign { cookie, table, priority, matches: matches.into() })
}

/// What a flow with a cookie of ours is for.
pub fn rule(flow: FlowStats) -> FlowRule {
    let cookie = flow.cookie;
    let identity = Identity { table: flow.table, priority: flow.priority, matches: flow.matches };
    let is_plain = flow.idle_timeout == 0 && flow.hard_timeout == 0 && flow.flags == 0;
    rule_matching(&identity)
        .map(|rule| with_targets(rule, &flow.instructions.apply))
        .filter(|rule| {
            is_plain
                && rule.cookie() == cookie
                && encode::instructions(rule).as_ref() == Some(&flow.instructions)
        })
        .unwrap_or_else(|| {
            let Identity { table, priority, matches } = identity;
            FlowRule::Unknown { cookie, table, priority, matches: matches.into() }
        })
}

/// The rule whose flow has this identity; what the flow does is not told by it, so MACs and ports in that are zero.
pub fn rule_matching(identity: &Identity) -> Option<FlowRule> {
    let seen = Seen::of(&identity.matches);
    let in_port = seen.in_port?;
    let nobody = MacAddr::default();
    let router = seen.eth_src.or(seen.eth_dst).unwrap_or(nobody);
    let redirect = |subnet| FlowRule::Redirect {
        in_port,
        router,
        subnet,
        vlan: seen.vlan,
        to: nobody,
        output: OfPort(0),
    };
    let own = seen.arp_tpa.map(|address| FlowRule::OwnArp { in_port, router, address });
    let target = seen.arp_tpa.map(IpAddr::V4).or(seen.nd_target.map(IpAddr::V6));
    let behind = target.map(|address| FlowRule::Behind { in_port, address });
    let any_reply = |ipv6| FlowRule::AnyReply { in_port, ipv6, target, answer: nobody };
    let candidates = [
        FlowRule::ArpReply { in_port, router, target: seen.arp_tpa, answer: nobody },
        FlowRule::NdReply { in_port, router, target: seen.nd_target, answer: nobody },
        redirect(Prefix::V4(seen.ipv4_src)),
        redirect(Prefix::V6(seen.ipv6_src)),
        FlowRule::Inject { in_port, router, vlan: None, output: OfPort(0) },
        FlowRule::Guard { in_port },
        FlowRule::Outgoing { in_port, ipv6: false, to: nobody },
        FlowRule::Outgoing { in_port, ipv6: true, to: nobody },
        FlowRule::Stray { in_port, router, to: seen.eth_dst.unwrap_or(nobody) },
        FlowRule::Discovery { in_port, advertised: false },
        FlowRule::Discovery { in_port, advertised: true },
        FlowRule::Probe { in_port },
        any_reply(false),
        any_reply(true),
    ];
    candidates.into_iter().chain(own).chain(behind).find(|rule| encode::identity(rule) == *identity)
}

/// A port of a bridge.
pub fn port(bridge: IfName, port: &ofproto::Port) -> BridgePort {
    BridgePort { bridge, name: port.name().into(), port: OfPort(port.number), mac: port.mac }
}

/// What our rules may say in a match.
#[derive(Default)]
struct Seen {
    in_port: Option<OfPort>,
    eth_src: Option<MacAddr>,
    eth_dst: Option<MacAddr>,
    vlan: bool,
    ipv4_src: Ipv4Net,
    ipv6_src: Ipv6Net,
    arp_tpa: Option<Ipv4Addr>,
    nd_target: Option<Ipv6Addr>,
}

impl Seen {
    fn of(matches: &Match) -> Self {
        let mut seen = Self::default();
        for oxm in matches.fields() {
            let Oxm::Known(field) = oxm else { continue };
            match field {
                Field::InPort(port) => seen.in_port = Some(OfPort(port.value())),
                Field::EthSrc(mac) => seen.eth_src = Some(mac.value()),
                Field::EthDst(mac) => seen.eth_dst = Some(mac.value()),
                Field::VlanVid(_) => seen.vlan = true,
                Field::Ipv4Src(source) => {
                    let length = source.prefix_length().unwrap_or(0);
                    seen.ipv4_src = Ipv4Net::new(source.value(), length).unwrap_or_default();
                }
                Field::Ipv6Src(source) => {
                    let length = source.prefix_length().unwrap_or(0);
                    seen.ipv6_src = Ipv6Net::new(source.value(), length).unwrap_or_default();
                }
                Field::ArpTpa(target) => seen.arp_tpa = Some(target.value()),
                Field::NdTarget(target) => seen.nd_target = Some(target.value()),
                _ => {}
            }
        }
        seen
    }
}

/// The rule with the MACs, ports and tag that these actions use.
fn with_targets(mut rule: FlowRule, actions: &[Action]) -> FlowRule {
    for action in actions {
        match (&mut rule, action) {
            (FlowRule::Redirect { to: mac, .. }, Action::SetField(Field::EthDst(value)))
            | (FlowRule::Outgoing { to: mac, .. }, Action::SetField(Field::EthDst(value)))
            | (
                FlowRule::NdReply { answer: mac, .. } | FlowRule::AnyReply { ipv6: true, answer: mac, .. },
                Action::SetField(Field::EthDst(value)),
            )
            | (
                FlowRule::ArpReply { answer: mac, .. } | FlowRule::AnyReply { ipv6: false, answer: mac, .. },
                Action::SetField(Field::EthSrc(value)),
            ) => {
                *mac = value.value();
            }
            (
                FlowRule::Redirect { output, .. } | FlowRule::Inject { output, .. },
                Action::Output { port, .. },
            ) => {
                *output = OfPort(*port);
            }
            (FlowRule::Inject { vlan, .. }, Action::SetField(field)) => *vlan = field.vlan_tag(),
            _ => {}
        }
    }
    rule
}
