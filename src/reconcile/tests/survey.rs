//! zebra loses what the kernel tells it, or is not told it: what BGP lacks, or has too much, is told again, and nothing else.

use std::net::IpAddr;

use super::*;
use crate::{
    config::Expose,
    model::Prefix,
    planes::{Backlog, frr::question::Question},
};

fn workload(rig: &mut Rig, last: u8) {
    let mac = format!("fa:16:3e:00:00:{last:02x} 20.0.0.{last}");
    rig.cloud.workload(&format!("vm{last}"), "net", Some("cmp1"), &[&mac]);
}

/// The kernel's addresses on the tenant's dummy.
fn held(rig: &Rig) -> BTreeSet<(IfName, IpAddr)> {
    let held = rig.peers.objects.values().filter_map(|object| match object {
        Object::Kernel(KernelObject::Address(address)) if address.dev == name("lo-1001") => {
            Some((address.dev, address.ip))
        }
        _ => None,
    });
    held.collect()
}

fn lost(rig: &mut Rig, lost: u64, bytes: usize) {
    let backlog = Backlog { lost, bytes, ..Backlog::default() };
    rig.reconciler.report(PlaneId::Kernel, Report::Backlog(backlog), rig.now);
}

/// Lets so many seconds pass, and gives what was written.
fn pass(rig: &mut Rig, seconds: u64) -> Vec<(Verb, Object)> {
    rig.peers.journal.clear();
    for _ in 0..seconds * 2 {
        rig.now += Duration::from_millis(500);
        rig.run();
    }
    std::mem::take(&mut rig.peers.journal)
}

/// A tenant whose zebra missed that `vm20` came and that `vm21` went.
fn rig() -> Rig {
    let mut rig = Rig::new(Cloud::seed());
    workload(&mut rig, 21);
    rig.run();
    rig.peers.deaf = true;
    workload(&mut rig, 20);
    rig.cloud.remove("vm21");
    rig.run();
    rig.peers.deaf = false;
    assert_ne!(rig.peers.bgp, held(&rig));
    rig
}

fn l3vni_is(rig: &mut Rig, up: bool) {
    rig.peers.put(FrrObject::Vrf(VrfVni { vrf: name("vrf-1001"), vni: Some(1001), up }));
}

/// zebra has lost something, does not have the L3VNI up, and takes nothing of what it is told.
fn without_l3vni() -> Rig {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.deaf = true;
    l3vni_is(&mut rig, false);
    rig.run();
    lost(&mut rig, 1, 0);
    rig
}

#[test]
fn what_zebra_has_lost_is_told_again_and_nothing_else() {
    let mut rig = rig();
    lost(&mut rig, 2, 0);
    let written = pass(&mut rig, 10);
    assert_eq!(rig.peers.bgp, held(&rig));
    let mut verbs: Vec<String> = written.iter().map(|(verb, object)| format!("{verb:?} {object}")).collect();
    verbs.sort();
    let address = |verb, last| format!("{verb} address 20.0.0.{last}/32 on lo-1001");
    assert_eq!(
        verbs,
        [("Create", 20), ("Create", 21), ("Remove", 20), ("Remove", 21)]
            .map(|(verb, last)| address(verb, last))
    );
    assert!(rig.status().converged, "{:?}", rig.status());
    assert_eq!(rig.status().zebra.told_again, 2);
    assert_eq!(pass(&mut rig, 10), []);
}

#[test]
fn nothing_is_told_again_while_zebra_has_still_to_read() {
    let mut rig = rig();
    lost(&mut rig, 2, 5000);
    assert_eq!(pass(&mut rig, 10), []);
    lost(&mut rig, 2, 0);
    assert!(!pass(&mut rig, 10).is_empty());
}

#[test]
fn what_comes_between_two_looks_was_only_on_its_way() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let late = (name("lo-1001"), "20.0.0.10".parse().unwrap());
    rig.peers.bgp.remove(&late);
    lost(&mut rig, 1, 0);
    assert_eq!(pass(&mut rig, 1), [], "the first look");
    rig.peers.bgp.insert(late);
    assert_eq!(pass(&mut rig, 10), []);
}

#[test]
fn prefixes_of_others_in_the_vrf_are_left_alone() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.bgp.insert((name("lo-1001"), "192.0.2.1".parse().unwrap()));
    lost(&mut rig, 1, 0);
    assert_eq!(pass(&mut rig, 10), []);
}

#[test]
fn links_are_told_again_where_zebra_has_no_l3vni() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    l3vni_is(&mut rig, false);
    rig.run();
    assert!(!rig.status().converged);
    lost(&mut rig, 1, 0);
    let written = pass(&mut rig, 3);
    let updated = |device| {
        written.iter().any(|(verb, object)| {
            *verb == Verb::Update
                && matches!(object, Object::Kernel(KernelObject::Link(link)) if link.name == name(device))
        })
    };
    for device in ["vrf-1001", "br-1001", "vxlan-1001"] {
        assert!(updated(device), "{device}: {written:?}");
    }
    assert!(rig.status().converged, "{:?}", rig.status());
}

/// The kernel drops IPv4 routes by a link that goes down without a word, say.
#[test]
fn what_bgp_lacks_or_has_too_much_is_told_again_without_a_loss_once_it_was_counted() {
    let mut rig = rig();
    assert_eq!(pass(&mut rig, 3), [], "it may be on its way");
    pass(&mut rig, 10);
    assert_eq!(rig.peers.bgp, held(&rig));
    assert_eq!((rig.status().zebra.lost, rig.status().zebra.told_again), (0, 2));
    assert!(rig.status().converged, "{:?}", rig.status());
    assert_eq!(pass(&mut rig, 600), []);
}

#[test]
fn what_bgp_has_too_much_is_seen_by_the_count_alone() {
    let mut rig = Rig::new(Cloud::seed());
    workload(&mut rig, 21);
    rig.run();
    rig.peers.deaf = true;
    rig.cloud.remove("vm21");
    rig.run();
    rig.peers.deaf = false;
    pass(&mut rig, 12);
    assert_eq!(rig.peers.bgp, held(&rig));
    assert_eq!(rig.status().zebra.told_again, 1);
}

#[test]
fn who_has_nothing_to_do_with_a_doubt_is_not_looked_at() {
    let mut rig = Rig::new(super::two_tenants());
    rig.run();
    pass(&mut rig, 5);
    rig.peers.deaf = true;
    workload(&mut rig, 20);
    rig.run();
    rig.peers.questions.clear();
    pass(&mut rig, 20);
    let asked: BTreeSet<IfName> = rig
        .peers
        .questions
        .iter()
        .flat_map(|question| match question {
            Question::Originated(vrfs) => vrfs.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(asked, BTreeSet::from([name("vrf-1001")]));
}

#[test]
fn a_prefix_that_bgp_never_takes_is_told_ever_more_rarely() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.deaf = true;
    workload(&mut rig, 20);
    rig.run();
    let mut told = Vec::new();
    for _ in 0..10 {
        let written = pass(&mut rig, 120);
        told.push(written.iter().filter(|(verb, _)| *verb == Verb::Remove).count());
    }
    assert!(told[0] >= 2, "{told:?}");
    assert!(told[5..].iter().sum::<usize>() <= 4, "{told:?}");
}

#[test]
fn while_prefixes_still_come_none_is_told_again() {
    let mut rig = Rig::new(Cloud::seed());
    (30..60).for_each(|last| workload(&mut rig, last));
    rig.peers.deaf = true;
    rig.run();
    for last in 30..60_u8 {
        rig.peers.bgp.insert((name("lo-1001"), format!("20.0.0.{last}").parse().unwrap()));
        assert_eq!(pass(&mut rig, 1), [], "{last}");
    }
}

#[test]
fn what_others_originate_in_the_vrf_is_looked_at_once_and_let_be() {
    let mut rig = Rig::new(Cloud::seed());
    pass(&mut rig, 5);
    // Somebody's route to a host of the tenant's, which is in no table that we know.
    rig.peers.bgp.insert((name("lo-1001"), "20.0.0.99".parse().unwrap()));
    workload(&mut rig, 20);
    pass(&mut rig, 600);
    rig.peers.questions.clear();
    assert_eq!(pass(&mut rig, 600), []);
    assert_eq!(rig.peers.questions, [], "it is not asked about any more");
    // What is lost after that is seen all the same.
    rig.peers.deaf = true;
    workload(&mut rig, 21);
    rig.run();
    rig.peers.deaf = false;
    pass(&mut rig, 30);
    assert!(rig.peers.bgp.contains(&(name("lo-1001"), "20.0.0.21".parse().unwrap())));
}

#[test]
fn many_tenants_in_doubt_are_looked_at_together() {
    let mut rig = Rig::new(super::two_tenants());
    pass(&mut rig, 5);
    rig.peers.bgp.clear();
    rig.reconciler.read_all();
    pass(&mut rig, 15);
    assert_eq!(rig.status().zebra.told_again, 6, "of both");
    let looks = rig.peers.questions.iter().filter(|question| matches!(question, Question::Originated(_)));
    assert_eq!(looks.count(), 2);
}

#[test]
fn a_doubt_does_not_wait_for_a_loss_that_cannot_be_mended() {
    let mut rig = without_l3vni();
    pass(&mut rig, 300);
    l3vni_is(&mut rig, true);
    workload(&mut rig, 20);
    rig.run();
    rig.peers.deaf = false;
    pass(&mut rig, 15);
    assert_eq!(rig.peers.bgp, held(&rig));
}

#[test]
fn an_answer_that_frr_takes_along_is_asked_for_again_soon() {
    let mut rig = rig();
    lost(&mut rig, 2, 0);
    rig.peers.hung.insert(PlaneId::Frr);
    pass(&mut rig, 3);
    rig.reconciler.report(PlaneId::Frr, Report::Down("bgpd: it was stopped".to_owned()), rig.now);
    rig.peers.hung.clear();
    rig.connect();
    pass(&mut rig, 8);
    assert_eq!(rig.peers.bgp, held(&rig));
}

/// Somebody's instance is in the VRF, say: that the tenant's addresses are not in BGP is no wonder.
#[test]
fn who_is_not_built_is_not_told_again() {
    let mut rig = Rig::new(Cloud::seed());
    pass(&mut rig, 5);
    rig.peers.bgp.clear();
    rig.peers.refuse.insert(address("lo-1001", "20.0.0.10").into());
    rig.peers.refuse.insert(FrrKey::Bgp(name("vrf-1001")).into());
    rig.peers.take(&FrrKey::Bgp(name("vrf-1001")).into());
    rig.run();
    let of_kernel = |(_, object): &(Verb, Object)| matches!(object, Object::Kernel(_));
    assert!(!pass(&mut rig, 60).iter().any(of_kernel));
    rig.peers.refuse.clear();
    assert!(pass(&mut rig, 60).iter().any(of_kernel), "once it is built they are told");
}

/// From when its address was on a dummy, and the device went down before that changed.
#[test]
fn a_route_that_zebra_did_not_hear_the_end_of_and_that_hides_the_one_that_exposes_is_told_again() {
    let mut rig = super::exposing::standing(Expose::Routes);
    pass(&mut rig, 5);
    let gateway = (name("lo-1001"), "172.24.4.146".parse().unwrap());
    assert!(rig.peers.bgp.remove(&gateway), "{:?}", rig.peers.bgp);
    workload(&mut rig, 20);
    let written = pass(&mut rig, 12);
    let metrics: Vec<(Verb, u32)> = written
        .iter()
        .filter_map(|(verb, object)| match object {
            Object::Kernel(KernelObject::Route(route)) if route.prefix == Prefix::from(gateway.1) => {
                Some((*verb, route.metric))
            }
            _ => None,
        })
        .collect();
    let of =
        |metric| metrics.iter().filter(|(_, one)| *one == metric).map(|(verb, _)| *verb).collect::<Vec<_>>();
    assert_eq!(of(182), [Verb::Remove, Verb::Create]);
    assert_eq!(of(0), [Verb::Create, Verb::Remove]);
    assert!(rig.status().converged, "{:?}", rig.status());
}

/// `advertise-all-vni` is missing, say: no telling helps.
#[test]
fn what_does_not_come_by_being_told_is_told_ever_more_rarely() {
    let mut rig = without_l3vni();
    let of_vrf = |written: &[(Verb, Object)]| {
        let is_it = |object: &Object| object.key() == link("vrf-1001").into();
        written.iter().filter(|(_, object)| is_it(object)).count()
    };
    let mut told = 0;
    for _ in 0..10 {
        l3vni_is(&mut rig, false);
        told += of_vrf(&pass(&mut rig, 60));
    }
    assert!((2..12).contains(&told), "{told}");
}
