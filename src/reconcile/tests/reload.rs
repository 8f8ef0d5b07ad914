//! Options that change while the agent runs, and what is said of a tenant that is gone.

use super::*;
use crate::{config::Modes, intent::Limits};

fn addresses(rig: &Rig) -> usize {
    let is_address = |object: &&Object| matches!(object, Object::Kernel(KernelObject::Address(_)));
    rig.peers.objects.values().filter(is_address).count()
}

#[test]
fn a_node_is_ready_once_all_is_applied_whichever_mode_is_on() {
    for (evpn, underlay) in [(true, false), (false, true), (true, true)] {
        let modes = Modes { evpn, underlay };
        let mut rig = Rig::with(Cloud::seed(), Config { modes, ..Config::default() });
        assert!(!rig.status().ready);
        rig.run();
        assert!(rig.status().ready, "{modes:?}: {:?}", rig.status());
    }
}

#[test]
fn limits_hold_from_the_reload_on_and_give_back_what_they_took() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let all = addresses(&rig);
    let limits = Limits { per_vni: 1, ..Limits::NONE };
    rig.reconciler.reconfigure(&Config { limits, ..Config::default() });
    rig.run();
    assert_eq!(addresses(&rig), all - 1, "one of the VM's two");
    let status = rig.status();
    assert!(status.converged && status.problems[0].reason.contains("max_prefixes_per_vni"), "{status:?}");
    let limits = Limits { per_node: 0, ..Limits::NONE };
    rig.reconciler.reconfigure(&Config { limits, ..Config::default() });
    rig.run();
    assert_eq!(addresses(&rig), all - 2);
    rig.reconciler.reconfigure(&Config::default());
    rig.run();
    assert_eq!(addresses(&rig), all);
    assert!(rig.status().converged && rig.status().problems.is_empty());
}

#[test]
fn plain_routes_beyond_the_limit_go_at_a_reload_and_are_counted_among_what_is_put_aside() {
    let modes = Modes { evpn: false, underlay: true };
    let config = Config { modes, ..Config::default() };
    let mut rig = Rig::with(super::plain::provider(), config.clone());
    rig.run();
    assert_eq!(addresses(&rig), 2);
    let limits = Limits { per_node: 1, ..Limits::NONE };
    rig.reconciler.reconfigure(&Config { limits, ..config.clone() });
    rig.run();
    assert_eq!(addresses(&rig), 1);
    let status = rig.status();
    assert!(
        status.converged && status.problems[0].reason.contains("1 addresses are put aside"),
        "{status:?}"
    );
    assert_eq!(status.problems_total, 1);
    rig.reconciler.reconfigure(&config);
    rig.run();
    assert_eq!((addresses(&rig), rig.status().problems_total), (2, 0));
}

#[test]
fn why_a_tenant_is_gone_is_read_from_its_gateways_rows() {
    let mut rig = Rig::new(Cloud::seed());
    let name = ["cr-lrp-gw".into()];
    let said = |rig: &mut Rig| {
        rig.run();
        why_gone(rig.reconciler.replica(), rig.reconciler.node(), &name)
    };
    rig.cloud.annotate("gw", &[]);
    assert!(said(&mut rig).contains("cr-lrp-gw is not annotated with it any more"));
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    assert!(said(&mut rig).contains("cr-lrp-gw has moved to chassis "));
    rig.cloud.remove("cr-lrp-gw");
    assert!(said(&mut rig).contains("cr-lrp-gw is not in the Southbound any more"));
}

#[test]
fn lag_and_watermark_are_each_tenants_own() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let settled = rig.status();
    assert_eq!((settled.tenants[0].watermark, settled.tenants[0].lag_seconds), (settled.revision, 0.0));
    rig.peers.refuse_like = Some("address 20.0.0.77".to_owned());
    rig.cloud.workload("late", "net", Some("cmp1"), &["fa:16:3e:00:00:77 20.0.0.77"]);
    rig.run();
    rig.now += Duration::from_secs(7);
    let status = rig.reconciler.status(rig.now);
    let tenant = &status.tenants[0];
    assert_eq!((tenant.watermark, status.watermark), (settled.revision, settled.revision));
    assert!(tenant.lag_seconds >= 7.0 && tenant.lag_seconds == status.lag_seconds, "{tenant:?}");
}

#[test]
fn the_summary_says_what_the_status_says() {
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.refuse_like = Some("frr router bgp".to_owned());
    for _ in 0..2 {
        rig.run();
        let (status, summary) = (rig.status(), rig.reconciler.summary(rig.now));
        assert_eq!(summary.converged, status.converged);
        assert_eq!((summary.ready, summary.watermark), (status.ready, status.watermark));
        let not_ok = status.tenants.iter().filter(|tenant| tenant.state != "ok");
        let waiting: Vec<_> = not_ok
            .map(|tenant| format!("VNI {} {} {}", tenant.vni, tenant.state, tenant.reasons[0]))
            .collect();
        assert_eq!(summary.waiting, waiting);
        rig.peers.refuse_like = None;
        rig.now += Duration::from_secs(60);
    }
    assert!(rig.reconciler.summary(rig.now).converged);
}
