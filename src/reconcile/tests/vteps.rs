//! zebra forgets the neighbour of a VTEP: bgpd is to tell it the tenant's routes again, and nobody else's.

use std::net::IpAddr;

use super::*;
use crate::planes::frr::question::Question;

const VTEP: &str = "100.65.0.9";

fn forgotten(rig: &mut Rig, bridges: &[&str]) {
    let vtep: IpAddr = VTEP.parse().unwrap();
    let vteps = bridges.iter().map(|bridge| (name(bridge), vtep)).collect();
    rig.reconciler.report(PlaneId::Kernel, Report::Forgotten(vteps), rig.now);
    rig.run();
}

/// The VRFs of which zebra was to be told since this was last called.
fn told(rig: &mut Rig) -> Vec<IfName> {
    let told = std::mem::take(&mut rig.peers.questions).into_iter().filter_map(|question| match question {
        Question::TellZebra(instances) => Some(instances),
        _ => None,
    });
    told.flatten().map(|(_, vrf)| vrf).collect()
}

fn pass(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds {
        rig.now += Duration::from_secs(1);
        rig.run();
    }
}

#[test]
fn its_tenants_routes_are_told_at_once_and_once() {
    let mut rig = Rig::new(super::two_tenants());
    rig.run();
    rig.peers.journal.clear();
    forgotten(&mut rig, &["br-1001", "br-9999"]);
    assert_eq!(told(&mut rig), [name("vrf-1001")], "the other one is no tenant's");
    forgotten(&mut rig, &[]);
    pass(&mut rig, 600);
    assert_eq!(told(&mut rig), []);
    assert_eq!((rig.status().zebra.vteps_forgotten, rig.peers.journal.len()), (1, 0));
}

#[test]
fn where_that_does_not_help_it_is_left_to_the_operator() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    forgotten(&mut rig, &["br-1001"]);
    pass(&mut rig, 64);
    assert_eq!(told(&mut rig).len(), 6, "at 0, 2, 6, 14, 30 and 62 s");
    pass(&mut rig, 1000);
    assert_eq!(told(&mut rig), []);
    forgotten(&mut rig, &[]);
    forgotten(&mut rig, &["br-1001"]);
    assert_eq!(told(&mut rig), [name("vrf-1001")], "it is another time");
}

#[test]
fn frr_is_told_when_it_is_there() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.reconciler.report(PlaneId::Frr, Report::Down("gone".to_owned()), rig.now);
    forgotten(&mut rig, &["br-1001"]);
    pass(&mut rig, 5);
    assert_eq!(told(&mut rig), []);
    rig.connect();
    rig.run();
    assert_eq!(told(&mut rig), [name("vrf-1001")]);
}

/// As after a restart: the kernel is read before the Southbound.
#[test]
fn what_is_heard_before_its_tenant_is_known_is_told_then() {
    let mut rig = Rig::new(Cloud::empty());
    rig.run();
    forgotten(&mut rig, &["br-1001"]);
    pass(&mut rig, 300);
    assert_eq!(told(&mut rig), []);
    rig.cloud = Cloud::seed();
    rig.run();
    assert_eq!(told(&mut rig), [name("vrf-1001")]);
    assert_eq!(rig.status().zebra.vteps_forgotten, 1);
}
