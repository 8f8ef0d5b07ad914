//! How far prefixes have come in BGP: what is asked of bgpd and when, and what status says of it.

use std::net::IpAddr;

use super::*;
use crate::planes::{
    Backlog,
    frr::question::{Question, ToCount},
};

fn workload(rig: &mut Rig, last: u8) {
    let mac = format!("fa:16:3e:00:00:{last:02x} 20.0.0.{last}");
    rig.cloud.workload(&format!("vm{last}"), "net", Some("cmp1"), &[&mac]);
}

/// Lets so many seconds pass.
fn pass(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds * 2 {
        rig.now += Duration::from_millis(500);
        rig.run();
    }
}

/// Desired, in the kernel, in bgpd, as type-5.
fn hops(rig: &Rig) -> (usize, usize, Option<usize>, Option<usize>) {
    let hops = rig.status().tenants[0].prefixes;
    (hops.desired, hops.kernel, hops.bgpd, hops.type5)
}

/// How long ago the last two were counted, in seconds.
fn age(rig: &Rig) -> Option<f64> {
    rig.status().tenants[0].prefixes.counted_seconds_ago
}

/// What was asked to be counted since this was last called.
fn counted(rig: &mut Rig) -> Vec<ToCount> {
    let counts = std::mem::take(&mut rig.peers.questions).into_iter().filter_map(|question| match question {
        Question::Count(vrfs) => Some(vrfs),
        _ => None,
    });
    counts.flatten().collect()
}

fn sighted(rig: &mut Rig) -> Vec<IpAddr> {
    let sights = std::mem::take(&mut rig.peers.questions).into_iter().filter_map(|question| match question {
        Question::Sight(what) => Some(what.host),
        _ => None,
    });
    sights.collect()
}

#[test]
fn a_tenants_prefixes_are_counted_once_it_stands_and_where_bgp_lacks_some_it_shows() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    assert_eq!((hops(&rig), age(&rig)), ((4, 4, None, None), None), "not asked yet");
    pass(&mut rig, 3);
    assert_eq!(hops(&rig), (4, 4, Some(4), Some(4)));
    assert!(age(&rig).is_some_and(|age| age < 3.0));
    rig.peers.deaf = true;
    workload(&mut rig, 20);
    pass(&mut rig, 3);
    assert_eq!(hops(&rig), (5, 5, Some(4), Some(4)));
}

#[test]
fn what_is_of_others_in_the_vrf_is_not_counted() {
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.bgp.insert((name("lo-1001"), "192.0.2.1".parse().unwrap()));
    pass(&mut rig, 3);
    assert_eq!(hops(&rig).2, Some(4));
}

#[test]
fn at_rest_tables_are_only_compared_in_size_and_a_change_costs_its_own_vrf() {
    let mut rig = Rig::new(two_tenants());
    pass(&mut rig, 5);
    let vnis: BTreeSet<Option<u32>> = counted(&mut rig).iter().map(|one| one.vni).collect();
    assert_eq!(vnis, BTreeSet::from([Some(1001), Some(1002)]));
    pass(&mut rig, 60);
    assert_eq!(counted(&mut rig), [], "nothing happens, nothing is asked");
    assert!(age(&rig) > Some(59.0));

    rig.reconciler.read_all();
    pass(&mut rig, 3);
    let known: Vec<_> = counted(&mut rig).iter().map(|one| (one.vni, one.known)).collect();
    assert_eq!(known, [(Some(1001), Some(4)), (Some(1002), Some(2))]);
    assert_eq!(hops(&rig), (4, 4, Some(4), Some(4)));
    assert!(age(&rig) < Some(3.0));

    workload(&mut rig, 20);
    pass(&mut rig, 3);
    let asked: Vec<_> = counted(&mut rig).iter().map(|one| (one.vrf, one.known)).collect();
    assert_eq!(asked, [(name("vrf-1001"), None)]);
}

#[test]
fn bgp_is_not_asked_while_zebra_has_still_to_read_and_counts_go_with_the_session() {
    let mut rig = Rig::new(Cloud::seed());
    let backlog = |bytes| Report::Backlog(Backlog { bytes, ..Backlog::default() });
    rig.reconciler.report(PlaneId::Kernel, backlog(5000), rig.now);
    pass(&mut rig, 10);
    assert_eq!(counted(&mut rig), []);
    rig.reconciler.report(PlaneId::Kernel, backlog(0), rig.now);
    pass(&mut rig, 3);
    assert_eq!(hops(&rig).2, Some(4));
    rig.reconciler.report(PlaneId::Frr, Report::Down("bgpd: it was stopped".to_owned()), rig.now);
    pass(&mut rig, 10);
    assert_eq!(hops(&rig), (4, 4, None, None));
    rig.connect();
    pass(&mut rig, 3);
    assert_eq!(hops(&rig).2, Some(4));
}

#[test]
fn an_answer_that_does_not_come_is_asked_for_again() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.hung.insert(PlaneId::Frr);
    pass(&mut rig, 30);
    assert_eq!(hops(&rig).2, None);
    rig.peers.hung.clear();
    pass(&mut rig, 90);
    assert_eq!(hops(&rig).2, Some(4));
}

#[test]
fn a_tenant_that_has_gone_is_not_counted_any_more() {
    let mut rig = Rig::new(Cloud::seed());
    pass(&mut rig, 3);
    rig.cloud = Cloud::empty();
    pass(&mut rig, 5);
    counted(&mut rig);
    rig.reconciler.read_all();
    pass(&mut rig, 5);
    assert_eq!(counted(&mut rig), []);
}

#[test]
fn plain_routes_are_counted_by_provider_network_and_have_no_type5() {
    let mut rig = super::plain::plain(super::plain::provider());
    pass(&mut rig, 5);
    let status = rig.status();
    let networks = &status.underlay.as_ref().unwrap().networks;
    assert!(!networks.is_empty());
    for network in networks {
        let hops = network.prefixes;
        assert_eq!((hops.bgpd, hops.type5), (Some(hops.kernel), None), "{networks:?}");
    }
}

#[test]
fn one_new_prefix_at_a_time_is_followed_until_bgp_has_it() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    assert_eq!(sighted(&mut rig).len(), 1, "of four that came at once");
    assert_eq!(rig.status().latency_to_bgp.total().0, 1);
    rig.peers.deaf = true;
    workload(&mut rig, 20);
    rig.run();
    workload(&mut rig, 21);
    rig.run();
    assert_eq!(sighted(&mut rig), ["20.0.0.20".parse::<IpAddr>().unwrap()], "it is followed still");
    assert_eq!(rig.status().latency_to_bgp.total().0, 1, "it is not there");
    rig.reconciler.report(PlaneId::Frr, Report::Down("gone".to_owned()), rig.now);
    rig.peers.deaf = false;
    rig.connect();
    workload(&mut rig, 22);
    rig.run();
    assert_eq!(sighted(&mut rig), ["20.0.0.22".parse::<IpAddr>().unwrap()]);
    let (count, seconds) = rig.status().latency_to_bgp.total();
    assert!(count == 2 && seconds < 1.0, "{count} in {seconds} s");
    rig.restart();
    rig.run();
    assert_eq!(sighted(&mut rig), [] as [IpAddr; 0], "what is adopted came earlier");
}
