//! A peer that takes what it is given and never answers: status and metrics say so within a second or two, of whom it
//! concerns.

use super::*;
use crate::telemetry::metrics;

fn rig() -> Rig {
    let mut rig = Rig::new(two_tenants());
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    rig
}

/// State and reasons of a tenant.
fn told(rig: &Rig, vni: u32) -> (&'static str, Vec<String>) {
    let status = rig.status();
    let tenant = status.tenants.iter().find(|tenant| tenant.vni == vni).unwrap();
    (tenant.state, tenant.reasons.clone())
}

#[test]
fn an_operation_without_an_answer_is_told_of_its_tenant_and_of_the_session() {
    let mut rig = rig();
    rig.peers.hung.insert(PlaneId::Kernel);
    rig.cloud.workload("vm20", "net", Some("cmp1"), &["fa:16:3e:00:00:20 20.0.0.20"]);
    rig.run();
    rig.now += Duration::from_millis(900);
    assert_eq!(told(&rig, 1001), ("pending", Vec::new()), "that may take a moment");
    assert_eq!(rig.status().sessions["kernel"].unanswered_seconds, None);
    rig.now += Duration::from_millis(2200);
    let reason = "kernel has not answered for 3 s";
    assert_eq!(told(&rig, 1001), ("pending", vec![reason.to_owned()]));
    assert_eq!(told(&rig, 1002), ("ok", Vec::new()));
    let status = rig.status();
    let waited = status.sessions["kernel"].unanswered_seconds;
    assert!(waited.is_some_and(|seconds| (3.0..4.0).contains(&seconds)), "{waited:?}");
    assert_eq!(status.sessions["frr"].unanswered_seconds, None);
    let text = metrics::text(&status);
    assert!(text.contains("bgp_agent_session_unanswered_seconds{session=\"kernel\"} 3."), "{text}");
    assert!(text.contains("bgp_agent_tenants{state=\"pending\"} 1\n"), "{text}");
    let summary = rig.reconciler.summary(rig.now);
    assert_eq!(summary.waiting, [format!("VNI 1001 pending {reason}")]);
}

#[test]
fn a_read_without_an_answer_is_told_of_the_session() {
    let mut rig = rig();
    rig.peers.hung.insert(PlaneId::Frr);
    rig.reconciler.read_all();
    rig.run();
    rig.now += Duration::from_secs(5);
    assert!(rig.status().sessions["frr"].unanswered_seconds.is_some());
    assert_eq!(told(&rig, 1001), ("ok", Vec::new()));
    rig.peers.connect(&mut rig.reconciler, rig.now);
    assert_eq!(rig.status().sessions["frr"].unanswered_seconds, None);
}

#[test]
fn plain_routes_tell_it_of_their_provider_network() {
    let mut rig = super::plain::plain(super::plain::provider());
    rig.run();
    rig.peers.hung.insert(PlaneId::Kernel);
    rig.cloud.workload("pvm2", "prov", Some("gw1"), &["fa:16:3e:01:00:33 172.24.4.51"]);
    rig.run();
    rig.now += Duration::from_secs(4);
    let status = rig.status();
    let reasons: Vec<_> =
        status.underlay.iter().flat_map(|underlay| &underlay.networks).flat_map(|n| &n.reasons).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("kernel has not answered for")), "{reasons:?}");
}

#[test]
fn frrs_daemons_are_sessions_of_their_own() {
    let mut rig = rig();
    let told = |rig: &mut Rig, bgpd: Option<&str>| {
        let daemons = [("zebra", None), ("bgpd", bgpd.map(str::to_owned))].into();
        rig.reconciler.report(PlaneId::Frr, Report::Daemons(daemons), rig.now);
        rig.run();
    };
    told(&mut rig, None);
    rig.now += Duration::from_secs(10);
    told(&mut rig, Some("it was stopped"));
    rig.now += Duration::from_secs(5);
    let sessions = rig.status().sessions;
    let (zebra, bgpd) = (&sessions["zebra"], &sessions["bgpd"]);
    assert_eq!((zebra.state, bgpd.state, bgpd.reason.as_deref()), ("up", "down", Some("it was stopped")));
    assert!(zebra.for_seconds > 14.0 && bgpd.for_seconds < 6.0, "{sessions:?}");
    told(&mut rig, None);
    let sessions = rig.status().sessions;
    assert_eq!(
        (sessions["bgpd"].state, sessions["bgpd"].reconnects, sessions["zebra"].reconnects),
        ("up", 1, 0)
    );
}
