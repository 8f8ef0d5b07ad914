//! The life of one L3VNI with real devices; needs a kernel with VRFs.

use bgp_agent::planes::{
    Change, Outcome, Verb,
    frr::object::{FrrKey, FrrObject},
};

use super::{
    harness::{Frr, Plane, sh},
    objects::{bgp, name, vrf, vrf_up, vrf_with},
};

fn ip(frr: &Frr, words: &str) {
    let all: Vec<_> = ["ip", "-n", &frr.netns].into_iter().chain(words.split(' ')).collect();
    sh(&all);
}

/// Devices come, go, and come again under a configured VRF; then everything is taken away.
pub async fn one_l3vni(frr: &Frr, plane: &mut Plane) {
    ip(frr, "link add vrf-1001 type vrf table 1001");
    ip(frr, "link set vrf-1001 up");
    plane.done(vec![(Verb::Create, vrf(1001))]).await;
    ip(frr, "link add vxlan-1001 type vxlan id 1001 dstport 4789 local 10.0.0.1 nolearning");
    ip(frr, "link add br-1001 type bridge stp_state 0");
    ip(frr, "link set br-1001 master vrf-1001 up");
    ip(frr, "link set vxlan-1001 master br-1001 up");
    plane.change(&Change::Present(vrf_up(1001))).await;

    // The very target that bgpd derives by itself: it must be configured all the same.
    let instance = bgp(64999, 1001, &["64999:1001"]);
    let changes = plane.done(vec![(Verb::Create, instance.clone())]).await;
    assert_eq!(changes, [Change::Present(instance.clone())]);

    ip(frr, "link set vxlan-1001 down");
    plane.change(&Change::Present(vrf(1001))).await;
    ip(frr, "link set vxlan-1001 up");
    plane.change(&Change::Present(vrf_up(1001))).await;

    let (_, outcomes) = plane.apply(vec![(Verb::Remove, vrf(1001))]).await;
    let [Outcome::Failed(why)] = &outcomes[..] else { panic!("{outcomes:?}: an active VRF went away") };
    assert!(why.contains("Only inactive VRFs can be deleted"), "{why}");

    let gone = vec![(Verb::Update, vrf_with(1001, None)), (Verb::Remove, instance)];
    let changes = plane.done(gone).await;
    assert!(changes.contains(&Change::Absent(FrrKey::Bgp(name(1001)))), "{changes:?}");
    ["vxlan-1001", "br-1001", "vrf-1001"].iter().for_each(|device| ip(frr, &format!("link del {device}")));
    // zebra hears of the device's end by netlink.
    loop {
        let (_, outcomes) = plane.apply(vec![(Verb::Remove, vrf_with(1001, None))]).await;
        match &outcomes[..] {
            [Outcome::Done] => break,
            [Outcome::Failed(why)] if why.contains("Only inactive") => {}
            other => panic!("{other:?}"),
        }
    }
    let left = plane.read().await;
    assert!(matches!(left[..], [FrrObject::Base(_)]), "{left:?}");
}
