//! zebra loses what the kernel tells it: what BGP lacks, or has too much, is told again, and nothing else.

use std::net::IpAddr;

use super::*;
use crate::planes::Backlog;

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
fn nothing_is_told_again_without_a_loss_or_while_zebra_has_still_to_read() {
    let mut rig = rig();
    lost(&mut rig, 0, 5000);
    assert_eq!(pass(&mut rig, 10), []);
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
    rig.peers.put(FrrObject::Vrf(VrfVni { vrf: name("vrf-1001"), vni: Some(1001), up: false }));
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

/// `advertise-all-vni` is missing, say: no telling helps.
#[test]
fn what_does_not_come_by_being_told_is_told_ever_more_rarely() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.deaf = true;
    rig.peers.put(FrrObject::Vrf(VrfVni { vrf: name("vrf-1001"), vni: Some(1001), up: false }));
    rig.run();
    lost(&mut rig, 1, 0);
    let of_vrf = |written: &[(Verb, Object)]| {
        let is_it = |object: &Object| object.key() == link("vrf-1001").into();
        written.iter().filter(|(_, object)| is_it(object)).count()
    };
    let mut told = 0;
    for _ in 0..10 {
        rig.peers.put(FrrObject::Vrf(VrfVni { vrf: name("vrf-1001"), vni: Some(1001), up: false }));
        told += of_vrf(&pass(&mut rig, 60));
    }
    assert!((2..12).contains(&told), "{told}");
}
