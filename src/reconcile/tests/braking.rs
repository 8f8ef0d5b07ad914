//! The brake: what a resynchronisation takes away without a word is held; what rows say, and what changes live, is not.

use super::*;
use crate::{
    reconcile::{MassWithdraw, MassWithdrawLimit},
    testing::rows::uuid_of,
};

/// How many VMs, so that their addresses are above the least limit.
const VMS: usize = 150;

/// The seed's tenant with many VMs.
fn many() -> Cloud {
    let mut cloud = Cloud::seed();
    for vm in 0..VMS {
        let mac = format!("fa:16:3e:00:01:{vm:02x} 20.0.0.{}", vm + 50);
        cloud.workload(&format!("vm-{vm}"), "net", Some("cmp1"), &[&mac]);
    }
    cloud
}

fn standing(cloud: Cloud) -> Rig {
    let mut rig = Rig::new(cloud);
    rig.run();
    rig.peers.journal.clear();
    rig
}

/// The Southbound comes back with nothing but the chassis.
fn emptied() -> Rig {
    let mut rig = standing(many());
    rig.cloud = Cloud::empty();
    rig.run();
    rig
}

fn advertised(rig: &Rig) -> BTreeSet<String> {
    let addresses = rig.peers.objects.values().filter_map(|object| match object {
        object @ Object::Kernel(KernelObject::Address(_)) => Some(object.to_string()),
        _ => None,
    });
    addresses.collect()
}

#[test]
fn an_empty_southbound_withdraws_nothing_and_is_said() {
    let rig = emptied();
    assert_eq!(rig.peers.journal, []);
    let status = rig.status();
    let brake = status.brake.as_ref().expect("the brake is on");
    assert_eq!((brake.held_prefixes, brake.advertised, brake.limit), (VMS + 4, VMS + 4, 100));
    assert!(!status.converged && status.tenants[0].state == "held", "{status:?}");
    assert!(status.tenants[0].reasons.iter().any(|reason| reason.contains("bgp-agent release")));
}

#[test]
fn an_empty_southbound_at_a_start_withdraws_nothing_either() {
    let mut rig = standing(many());
    rig.cloud = Cloud::empty();
    rig.restart();
    assert_eq!(rig.run(), 0);
    assert!(rig.status().brake.is_some());
}

#[test]
fn the_datas_return_ends_it_without_a_write() {
    let mut rig = emptied();
    rig.cloud = many();
    assert_eq!(rig.run(), 0, "{:?}", rig.peers.journal);
    let status = rig.status();
    assert!(status.brake.is_none() && status.converged, "{status:?}");
}

#[test]
fn it_lets_go_after_its_time_or_on_an_operators_word() {
    let mut rig = emptied();
    rig.now += Duration::from_secs(599);
    assert_eq!(rig.run(), 0);
    assert!(rig.reconciler.next_timeout().is_some());
    rig.now += Duration::from_secs(1);
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new());

    let mut rig = emptied();
    assert_eq!(rig.reconciler.release(), VMS + 4);
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(rig.ours(), BTreeSet::new());
    assert!(rig.status().brake.is_none());
    assert_eq!(rig.reconciler.release(), 0);
}

#[test]
fn without_a_time_it_never_lets_go_by_itself() {
    let options = MassWithdraw { limit: MassWithdrawLimit::Prefixes(3), hold: None };
    let mut rig = Rig::with(Cloud::seed(), Config { mass_withdraw: options, ..Config::default() });
    rig.run();
    rig.cloud = Cloud::empty();
    rig.run();
    rig.now += Duration::from_secs(1_000_000);
    assert_eq!(rig.run(), 0);
    assert_eq!(rig.status().brake.map(|brake| (brake.held_prefixes, brake.until)), Some((4, None)));
}

/// A start while ovn-controller has not registered this node (again): nothing is known of what the node holds.
#[test]
fn a_start_without_the_nodes_chassis_withdraws_nothing_until_it_is_there() {
    let mut rig = standing(Cloud::seed());
    let unknown = |rig: &mut Rig| {
        let mut chassis = rig.cloud.chassis();
        chassis.retain(|_, name| **name != *"gw1");
        let mut rows: std::collections::HashMap<_, _> = rig.cloud.rows().into_iter().collect();
        rows.values_mut()
            .filter(|row| row.chassis == Some(uuid_of("gw1")))
            .for_each(|row| row.chassis = None);
        rig.reconciler.replica_mut().replace(rows, chassis);
        rig.peers.run(&mut rig.reconciler, &mut rig.now)
    };
    rig.reconciler = Reconciler::new(rig.config.clone());
    unknown(&mut rig);
    rig.reconciler.southbound_whole();
    rig.peers.connect(&mut rig.reconciler, rig.now);
    assert_eq!(unknown(&mut rig), 0, "{:?}", rig.peers.journal);
    let brake = rig.status().brake.expect("the brake is on");
    assert_eq!((brake.held_prefixes, brake.limit, brake.no_chassis), (4, 0, true));

    assert_eq!(rig.run(), 0, "the node is registered again, and all is as it was");
    assert!(rig.status().brake.is_none() && rig.status().converged, "{:?}", rig.status());
}

#[test]
fn a_start_without_a_system_id_withdraws_nothing() {
    let mut rig = standing(Cloud::seed());
    rig.peers.set("system-id", None);
    rig.restart();
    assert_eq!(rig.run(), 0);
    rig.peers.set("system-id", Some("gw1".to_owned()));
    assert_eq!(rig.run(), 0);
    assert!(rig.status().converged, "{:?}", rig.status());
}

/// What another chassis holds is not this node's, whether or not the node is registered.
#[test]
fn a_start_without_the_nodes_chassis_lets_go_of_what_another_one_holds() {
    let mut rig = standing(Cloud::seed());
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    let mut chassis = rig.cloud.chassis();
    chassis.retain(|_, name| **name != *"gw1");
    rig.reconciler = Reconciler::new(rig.config.clone());
    rig.connect();
    rig.reconciler.replica_mut().replace(rig.cloud.rows().into_iter().collect(), chassis);
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(rig.ours(), BTreeSet::new());
    assert!(rig.status().brake.is_none());
}

/// ovn-controller registers the node first and binds its ports later. What has no row even then is held as all that is not
/// explained.
#[test]
fn the_nodes_chassis_alone_explains_nothing() {
    let mut rig = standing(Cloud::seed());
    rig.cloud.remove("vm");
    rig.reconciler = Reconciler::new(rig.config.clone());
    rig.connect();
    for (registered, bound) in [(false, false), (true, false), (true, true)] {
        let mut rows: std::collections::HashMap<_, _> = rig.cloud.rows().into_iter().collect();
        rows.get_mut(&uuid_of("cr-lrp-gw")).expect("the gateway's row").chassis =
            bound.then(|| uuid_of("gw1"));
        let chassis = if registered { rig.cloud.chassis() } else { Default::default() };
        rig.reconciler.replica_mut().replace(rows, chassis);
        assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0, "{registered} {bound}");
    }
    assert_eq!(rig.status().brake.map(|brake| brake.held_prefixes), Some(2), "of the VM that is gone");
    rig.now += Duration::from_secs(600);
    rig.run();
    assert!(rig.status().converged && advertised(&rig).len() == 2, "{:?}", advertised(&rig));
}

#[test]
fn few_unexplained_withdrawals_pass() {
    let mut rig = standing(many());
    for vm in 0..100 {
        rig.cloud.remove(&format!("vm-{vm}"));
    }
    assert_eq!(rig.run(), 100);
    assert!(rig.status().brake.is_none());
}

#[test]
fn what_a_row_says_passes_at_once() {
    type Change = fn(&mut Cloud);
    let changes: [(&str, Change); 4] = [
        ("bound elsewhere", |cloud| cloud.move_gateway("cr-lrp-gw", "gw2")),
        ("annotation gone", |cloud| cloud.annotate("gw", &[])),
        ("subnet's annotation gone", |cloud| cloud.annotate("sub", &[])),
        ("ports unbound", |cloud| {
            for vm in 0..VMS {
                let mac = format!("fa:16:3e:00:01:{vm:02x} 20.0.0.{}", vm + 50);
                cloud.workload(&format!("vm-{vm}"), "net", None, &[&mac]);
            }
        }),
    ];
    for (what, change) in changes {
        for restarts in [false, true] {
            let mut rig = standing(many());
            change(&mut rig.cloud);
            if restarts {
                rig.restart();
            }
            rig.run();
            assert!(advertised(&rig).len() <= 6, "{what}: {:?}", advertised(&rig));
            assert!(rig.status().brake.is_none(), "{what}");
        }
    }
}

#[test]
fn what_changes_in_a_live_session_passes_at_once() {
    let mut rig = standing(many());
    for (uuid, _) in rig.cloud.rows() {
        rig.reconciler.replica_mut().remove_port(uuid);
    }
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(rig.ours(), BTreeSet::new());
}

/// A database made anew is filled by northd, and its ports are bound later: nothing of that is a reason to withdraw.
#[test]
fn rows_that_come_back_unbound_explain_nothing_and_bound_elsewhere_all() {
    let mut unbound = many();
    unbound.gateway(&crate::testing::rows::GatewaySpec {
        name: "gw",
        router: "router",
        mac: "fa:16:3e:7f:59:7f 172.24.4.146/24 2001:db8:ffff::1/64",
        chassis: None,
        provider: "prov",
    });
    let mut rig = emptied();
    for (uuid, row) in unbound.rows() {
        rig.reconciler.replica_mut().put_port(uuid, row);
    }
    assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0);
    assert!(rig.status().brake.is_some());
    let mut elsewhere = many();
    elsewhere.move_gateway("cr-lrp-gw", "gw2");
    for (uuid, row) in elsewhere.rows() {
        rig.reconciler.replica_mut().put_port(uuid, row);
    }
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(rig.ours(), BTreeSet::new());
    assert!(rig.status().brake.is_none());
}

/// The same where the rows are made anew before the agent is connected again.
#[test]
fn rows_made_anew_and_not_bound_yet_explain_nothing() {
    let mut rig = standing(many());
    let mut rows: std::collections::HashMap<_, _> = rig.cloud.rows().into_iter().collect();
    let redirect = rows.remove(&uuid_of("cr-lrp-gw")).expect("the gateway's row");
    rows.insert(uuid_of("another uuid"), crate::ovsdb::tables::PortBinding { chassis: None, ..redirect });
    rig.reconciler.replica_mut().replace(rows, rig.cloud.chassis());
    assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0);
    assert!(rig.status().brake.is_some());
}

#[test]
fn nothing_is_removed_between_new_rows_and_the_whole_of_them() {
    let mut rig = standing(Cloud::seed());
    rig.reconciler.southbound_down("closed".to_owned());
    rig.reconciler.replica_mut().replace(Default::default(), rig.cloud.chassis());
    assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0);
    rig.reconciler.southbound_whole();
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(rig.ours(), BTreeSet::new(), "four prefixes are below the limit");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::cases(200), ..ProptestConfig::default() })]

    /// Whatever rows are simply gone when the Southbound is read anew: with a limit of 0 no address goes. One annotated
    /// gateway: another one that takes the VNI over is an explanation.
    #[test]
    fn rows_that_are_gone_withdraw_nothing(
        steps in proptest::collection::vec(step(), 1..30),
        lost in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        restarts in any::<bool>(),
    ) {
        let mut cloud = Cloud::seed();
        let annotates_gateway = |step: &&Step| matches!(step, Step::Annotate { subnet: false, .. });
        steps.iter().filter(|step| !annotates_gateway(step)).for_each(|step| cloud.apply(step));
        let options = MassWithdraw { limit: MassWithdrawLimit::Prefixes(0), hold: None };
        let mut rig = Rig::with(cloud, Config { mass_withdraw: options, ..Config::default() });
        rig.run();
        let before = advertised(&rig);
        for index in lost {
            let names: Vec<Box<str>> = rig.cloud.rows().into_iter().map(|(_, row)| row.logical_port).collect();
            if !names.is_empty() {
                rig.cloud.remove(&names[index.index(names.len())]);
            }
        }
        if restarts {
            rig.restart();
        }
        rig.run();
        let after = advertised(&rig);
        prop_assert!(before.is_subset(&after), "gone: {:?}", before.difference(&after).collect::<Vec<_>>());
    }
}
