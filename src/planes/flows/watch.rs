//! What the bridge tells of flows that somebody else added, changed or removed, as changes of ours. Pure.
//!
//! The bridge tells of every flow, whoever's it is: of interest are those with a cookie of ours, and those that took the place
//! of one of ours (the same table, priority and match, another cookie).

use ofproto::{ChangedFlow, FlowEvent, FlowStats};

use super::{
    decode,
    object::{Cookies, Flow, FlowsKey, FlowsObject},
};
use crate::{model::IfName, planes::Change};

/// The number of our flow monitor on its connection.
pub const MONITOR: u32 = 1;

/// What a changed flow means for ours; None: nothing.
pub fn change(
    bridge: IfName,
    cookies: Cookies,
    changed: ChangedFlow,
) -> Option<Change<FlowsObject, FlowsKey>> {
    let is_gone = changed.event == FlowEvent::Deleted;
    let flow = Flow { bridge, rule: decode::seen(cookies, stats(changed))? };
    Some(match is_gone {
        true => Change::Absent(flow.key()),
        false => Change::Present(FlowsObject::Flow(flow)),
    })
}

/// The same flow as a dump would show it. An update does not tell flags; what has some is found at the next dump.
fn stats(changed: ChangedFlow) -> FlowStats {
    let ChangedFlow { table, priority, idle_timeout, hard_timeout, cookie, matches, instructions, .. } =
        changed;
    FlowStats {
        table,
        seconds: 0,
        nanoseconds: 0,
        priority,
        idle_timeout,
        hard_timeout,
        flags: 0,
        cookie,
        packets: 0,
        bytes: 0,
        matches,
        instructions,
    }
}

#[cfg(test)]
mod tests {
    use ofproto::{Field, Match};

    use super::*;
    use crate::{
        model::{MacAddr, OfPort},
        planes::flows::{
            encode,
            object::{COOKIE, FlowRule},
        },
    };

    const COOKIES: Cookies = Cookies { evpn: true, underlay: false };

    fn rule() -> FlowRule {
        FlowRule::Redirect {
            in_port: OfPort(1),
            router: MacAddr([2, 0, 0, 0, 0, 1]),
            subnet: "10.0.0.0/24".parse().unwrap(),
            vlan: false,
            to: MacAddr([2, 0, 0, 0, 0, 2]),
            output: OfPort(2),
        }
    }

    fn changed(event: FlowEvent, cookie: u64, matches: Option<Match>) -> ChangedFlow {
        let identity = encode::identity(&rule());
        ChangedFlow {
            event,
            reason: 0,
            priority: identity.priority,
            idle_timeout: 0,
            hard_timeout: 0,
            table: identity.table,
            cookie,
            matches: matches.unwrap_or(identity.matches),
            instructions: encode::instructions(&rule()).unwrap(),
        }
    }

    #[test]
    fn ours_come_and_go_and_so_does_what_takes_their_place() {
        let bridge = "br-ex".parse().unwrap();
        let ours = Flow { bridge, rule: rule() };
        let (present, absent) =
            (Some(Change::Present(FlowsObject::Flow(ours.clone()))), Some(Change::Absent(ours.key())));
        let encode::Identity { table, priority, matches } = encode::identity(&rule());
        let usurper =
            Flow { bridge, rule: FlowRule::Foreign { cookie: 7, table, priority, matches: matches.into() } };
        assert_eq!(usurper.key(), ours.key());
        let usurped = Some(Change::Present(FlowsObject::Flow(usurper)));
        let foreign = || Some(Match::new().with(Field::in_port(7)));
        for (flow, expected) in [
            (changed(FlowEvent::Added, COOKIE, None), &present),
            (changed(FlowEvent::Modified, COOKIE, None), &present),
            (changed(FlowEvent::Deleted, COOKIE, None), &absent),
            (changed(FlowEvent::Modified, 7, None), &usurped),
            (changed(FlowEvent::Deleted, 7, None), &absent),
            (changed(FlowEvent::Added, 7, foreign()), &None),
        ] {
            assert_eq!(change(bridge, COOKIES, flow.clone()), *expected, "{flow:?}");
        }
        let planted = change(bridge, COOKIES, changed(FlowEvent::Added, COOKIE, foreign()));
        assert!(matches!(
            planted,
            Some(Change::Present(FlowsObject::Flow(Flow { rule: FlowRule::Unknown { .. }, .. })))
        ));
    }
}
