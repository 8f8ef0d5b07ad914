//! A status as the agent tells it, for tests of who shows it.

use std::time::Instant;

use super::peers::reconciler;
use crate::reconcile::{
    BrakeStatus, Hops, NetworkStatus, ProblemStatus, SessionStatus, Status, TenantStatus, UnderlayStatus,
};

/// A status in which nothing is left out.
pub fn whole_status() -> Status {
    let session = SessionStatus {
        state: "down",
        for_seconds: 1.0,
        reconnects: 1,
        reason: Some("bgpd: it does not run".to_owned()),
        unanswered_seconds: Some(3.0),
    };
    let tenant = TenantStatus {
        vni: 1001,
        asn: Some(64999),
        gateways: vec!["cr-lrp".to_owned()],
        attach: vec!["veth to physnet1".to_owned()],
        state: "held",
        reasons: vec!["why".to_owned()],
        more_reasons: 1,
        prefixes: Hops { bgpd: Some(0), type5: Some(0), counted_seconds_ago: Some(1.0), ..Hops::default() },
        wished: 1,
        open: 1,
        watermark: 1,
        lag_seconds: 1.0,
        changed_seconds_ago: Some(1.0),
    };
    let problem = ProblemStatus { port: "lrp".to_owned(), vni: Some(1001), reason: "why".to_owned() };
    let network = NetworkStatus {
        network: "physnet1".to_owned(),
        tag: Some(100),
        bridge: Some("br-ex".to_owned()),
        table: Some(201),
        state: "held",
        reasons: vec!["why".to_owned()],
        more_reasons: 1,
        prefixes: Hops { bgpd: Some(0), counted_seconds_ago: Some(1.0), ..Hops::default() },
        wished: 1,
        open: 1,
    };
    let underlay = UnderlayStatus {
        vrf: "bgp-vrf".to_owned(),
        table: 10,
        nic: "bgp-nic".to_owned(),
        state: "held",
        reasons: vec!["why".to_owned()],
        open: 1,
        networks: vec![network],
    };
    let brake = BrakeStatus { held_prefixes: 1, advertised: 2, limit: 1, no_chassis: false, until: None };
    Status {
        brake: Some(brake),
        warning: Some("a Python agent runs".to_owned()),
        sessions: [("frr".to_owned(), session)].into(),
        tenants: vec![tenant],
        underlay: Some(underlay),
        problems: vec![problem],
        operations: [("kernel".to_owned(), [("done", 1)].into())].into(),
        ..reconciler().status(Instant::now())
    }
}
