//! The FRR plane against FRR 10 (VRF blocks belong to mgmtd), in a root file system that lab/mkroot makes.
#![allow(clippy::disallowed_types, missing_docs)]

#[path = "frr/harness.rs"]
mod harness;
#[path = "frr/hops.rs"]
mod hops;
#[path = "frr/life.rs"]
mod life;
#[path = "frr/objects.rs"]
mod objects;
#[path = "frr/routes.rs"]
mod routes;

use std::path::PathBuf;

use bgp_agent::planes::{
    Change, Outcome, Report, Verb,
    frr::object::{FrrKey, FrrObject},
};
use harness::{Frr, Plane};
use objects::{bgp, name, vrf, vrf_with};

async fn started() -> (Frr, Plane) {
    let missing = "FRR10_ROOT must name a root file system with FRR 10, as `lab/mkroot trixie` makes it";
    let root = PathBuf::from(std::env::var_os("FRR10_ROOT").expect(missing));
    assert!(root.join("usr/lib/frr/mgmtd").exists(), "{} has no mgmtd: {missing}", root.display());
    let frr = Frr::start(&root, &["mgmtd", "zebra", "bgpd"]);
    frr.base();
    let mut plane = Plane::start(&frr);
    plane.whole().await;
    (frr, plane)
}

fn failed(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?} where a failure was due"),
    }
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn routes_that_expose_pass_the_route_maps_and_no_others() {
    let (frr, mut plane) = started().await;
    routes::through_route_maps(&frr, &mut plane).await;
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn one_vrf_comes_changes_and_goes() {
    let (frr, mut plane) = started().await;
    let instance = bgp(64999, 1001, &["64999:1001", "64999:7"]);
    let changes = plane.done(vec![(Verb::Create, vrf(1001)), (Verb::Create, instance.clone())]).await;
    assert_eq!(changes, [Change::Present(vrf(1001)), Change::Present(instance)]);
    let changed = bgp(64999, 1001, &["64999:7", "4200000000:8"]);
    assert_eq!(plane.done(vec![(Verb::Update, changed.clone())]).await, [Change::Present(changed.clone())]);
    let other = vrf_with(1001, Some(1002));
    assert_eq!(plane.done(vec![(Verb::Update, other.clone())]).await, [Change::Present(other)]);
    let empty = vrf_with(1001, None);
    assert_eq!(plane.done(vec![(Verb::Update, empty.clone())]).await, [Change::Present(empty.clone())]);
    let changes = plane.done(vec![(Verb::Remove, changed), (Verb::Remove, empty)]).await;
    assert_eq!(changes, [Change::Absent(FrrKey::Vrf(name(1001))), Change::Absent(FrrKey::Bgp(name(1001)))]);
    assert!(!frr.operator("zebra", &["show vrf"]).0.contains("vrf-1001"));
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn a_refused_operation_spoils_no_other() {
    let (_frr, mut plane) = started().await;
    let batch = vec![
        (Verb::Create, vrf(1)),
        (Verb::Create, vrf_with(2, Some(1))),
        (Verb::Create, vrf_with(3, Some(16_777_216))),
        (Verb::Create, vrf(4)),
    ];
    let (_, outcomes) = plane.apply(batch).await;
    assert_eq!(outcomes[0], Outcome::Done);
    assert!(failed(&outcomes[1]).starts_with("mgmtd refused the commit: "), "{:?}", outcomes[1]);
    assert!(failed(&outcomes[2]).contains("Unknown command: vni 16777216"), "{:?}", outcomes[2]);
    assert_eq!(outcomes[3], Outcome::Done);
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn a_locked_configuration_is_waited_for_and_named() {
    let (frr, mut plane) = started().await;
    let lock = frr.hold("mgmtd", &["configure terminal file-lock"]);
    let (_, outcomes) = plane.apply(vec![(Verb::Create, vrf(1))]).await;
    let why = failed(&outcomes[0]);
    assert!(
        why.contains("locked by another session") && why.contains("somebody else is configuring FRR"),
        "{why}"
    );
    drop(lock);
    plane.done(vec![(Verb::Create, vrf(1))]).await;
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn two_hundred_vrfs_are_one_batch() {
    let (_frr, mut plane) = started().await;
    let all = || (5000..5200).flat_map(|n| [vrf(n), bgp(64999, n, &[&format!("64999:{n}")])]);
    plane.done(all().map(|object| (Verb::Create, object)).collect()).await;
    let objects = plane.read().await;
    assert!(all().all(|object| objects.contains(&object)));
    plane.done(all().map(|object| (Verb::Remove, object)).collect()).await;
    assert_eq!(plane.read().await.len(), 1, "only the default instance is left");
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn a_restarted_mgmtd_is_told_and_filled_again() {
    let (mut frr, mut plane) = started().await;
    plane.done(vec![(Verb::Create, vrf(1))]).await;
    frr.kill("mgmtd");
    let Report::Down(why) = plane.report().await else { panic!("no word about mgmtd") };
    assert!(why.starts_with("mgmtd: the connection was closed"), "{why}");
    assert!(plane.daemons["mgmtd"].is_some() && plane.daemons["bgpd"].is_none(), "{:?}", plane.daemons);
    frr.daemon("mgmtd");
    let objects = plane.whole().await;
    assert!(!objects.iter().any(|object| matches!(object, FrrObject::Vrf(_))), "{objects:?}");
    plane.done(vec![(Verb::Create, vrf(1))]).await;
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT, run by make test-full"]
async fn prefixes_are_counted_and_waited_for() {
    let (frr, mut plane) = started().await;
    hops::prefixes(&frr, &mut plane).await;
}

#[tokio::test]
#[ignore = "needs FRR10_ROOT and a kernel with VRF devices, run in the guest"]
async fn one_l3vni_comes_and_goes_with_its_devices() {
    let (frr, mut plane) = started().await;
    life::one_l3vni(&frr, &mut plane).await;
}
