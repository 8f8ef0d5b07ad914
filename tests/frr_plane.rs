//! The FRR plane against the installed zebra and bgpd (the dialect up to FRR 9), each test in a namespace of its own.
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

use std::path::Path;

use bgp_agent::{
    model::IfName,
    planes::{
        Change, Operation, Outcome, Report, Verb,
        frr::{
            object::{BgpBase, BgpSettings, FrrKey, FrrObject},
            question::{Answer, COUNT_AT_MOST, Daemons, Question, ToCount},
        },
    },
};
use harness::{Frr, Plane};
use objects::{bgp, bgp_with, name, vrf, vrf_with};

async fn started() -> (Frr, Plane) {
    let frr = Frr::start(Path::new("/"), &["zebra", "bgpd"]);
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
async fn routes_that_expose_pass_the_route_maps_and_no_others() {
    let (frr, mut plane) = started().await;
    routes::through_route_maps(&frr, &mut plane).await;
}

#[tokio::test]
async fn a_fresh_frr_is_told_whole() {
    let frr = Frr::start(Path::new("/"), &["zebra", "bgpd"]);
    let mut plane = Plane::start(&frr);
    assert_eq!(plane.whole().await, [FrrObject::Base(BgpBase::default())]);
    frr.base();
    let base =
        BgpBase { asn: bgp_agent::model::Asn::new(64999), router_id: Some([10, 0, 0, 1].into()), evpn: true };
    plane.change(&Change::Present(FrrObject::Base(base))).await;
}

#[tokio::test]
async fn one_vrf_comes_changes_and_goes() {
    let (frr, mut plane) = started().await;
    let instance = bgp(64999, 1001, &["64999:1001", "64999:7"]);
    let changes = plane.done(vec![(Verb::Create, vrf(1001)), (Verb::Create, instance.clone())]).await;
    assert_eq!(changes, [Change::Present(vrf(1001)), Change::Present(instance)]);

    let changed = bgp(64999, 1001, &["64999:7", "4200000000:8", "10.0.0.9:9"]);
    assert_eq!(plane.done(vec![(Verb::Update, changed.clone())]).await, [Change::Present(changed)]);

    let bare = bgp_with(64999, 1001, BgpSettings::default());
    assert_eq!(plane.done(vec![(Verb::Update, bare.clone())]).await, [Change::Present(bare.clone())]);

    let other = vrf_with(1001, Some(1002));
    assert_eq!(plane.done(vec![(Verb::Update, other.clone())]).await, [Change::Present(other)]);
    let empty = vrf_with(1001, None);
    assert_eq!(plane.done(vec![(Verb::Update, empty.clone())]).await, [Change::Present(empty.clone())]);

    let changes = plane.done(vec![(Verb::Remove, bare.clone()), (Verb::Remove, empty.clone())]).await;
    assert_eq!(changes, [Change::Absent(FrrKey::Vrf(name(1001))), Change::Absent(FrrKey::Bgp(name(1001)))]);
    assert_eq!(plane.done(vec![(Verb::Remove, bare), (Verb::Remove, empty)]).await, []);
    assert!(!frr.operator("bgpd", &["show running-config"]).0.contains("vrf-1001"));
    assert!(!frr.operator("zebra", &["show vrf"]).0.contains("vrf-1001"));
}

#[tokio::test]
async fn what_bgp_originates_is_told_when_asked() {
    let (frr, mut plane) = started().await;
    let net = |words: &str| {
        let words: Vec<&str> = ["ip", "-n", &frr.netns].into_iter().chain(words.split(' ')).collect();
        harness::sh(&words);
    };
    net("link add one up type veth peer name two");
    net("link set two up");
    for address in ["20.0.0.10/32", "20.0.1.1/24", "2001:db8:1::10/128"] {
        net(&format!("addr add {address} dev one"));
    }
    for family in ["ipv4", "ipv6"] {
        let family = format!("address-family {family} unicast");
        let lines = ["configure terminal", "router bgp 64999", &family, "redistribute connected"];
        assert_eq!(frr.operator("bgpd", &lines).1, 0);
    }
    let wished: [std::net::IpAddr; 2] = ["20.0.0.10", "2001:db8:1::10"].map(|ip| ip.parse().unwrap());
    let asked = ["default", "vrf-1001"].map(|vrf| vrf.parse().unwrap());
    let end = std::time::Instant::now() + harness::PATIENCE;
    loop {
        let told = plane.survey(&asked).await;
        assert_eq!(told[1], None, "a VRF without an instance");
        // A /24 is no host prefix.
        if told[0].as_ref().is_some_and(|hosts| hosts.iter().eq(&wished)) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{told:?}");
    }
}

#[tokio::test]
async fn prefixes_are_counted_and_waited_for() {
    let (frr, mut plane) = started().await;
    hops::prefixes(&frr, &mut plane).await;
}

#[tokio::test]
async fn a_table_that_is_too_large_is_not_listed() {
    let (frr, mut plane) = started().await;
    let vrf: IfName = "default".parse().unwrap();
    let all = (0..=COUNT_AT_MOST).map(|n| format!("network 20.0.{}.{}/32", n >> 8, n & 255));
    let lines = [
        "configure terminal",
        "router bgp 64999",
        "no bgp network import-check",
        "address-family ipv4 unicast",
    ];
    let lines: Vec<String> = lines.map(str::to_owned).into_iter().chain(all).collect();
    frr.operator("bgpd", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let end = std::time::Instant::now() + harness::PATIENCE;
    let total = Some(COUNT_AT_MOST + 1);
    let ask = || Question::Count(vec![ToCount { vrf, vni: None, known: None }]);
    while plane.ask(ask(), 1).await != [Answer::Counted { vrf, total, held: None }] {
        assert!(std::time::Instant::now() < end);
    }
}

#[tokio::test]
async fn lines_of_the_operator_stay_in_our_instance() {
    let (frr, mut plane) = started().await;
    plane.done(vec![(Verb::Create, vrf(1001)), (Verb::Create, bgp(64999, 1001, &["64999:1"]))]).await;
    let own = [
        "configure terminal",
        "router bgp 64999 vrf vrf-1001",
        "bgp router-id 10.9.9.9",
        "address-family ipv4 unicast",
        "redistribute static",
        "redistribute connected metric 5",
        "maximum-paths 3",
    ];
    assert_eq!(frr.operator("bgpd", &own).1, 0);
    plane.done(vec![(Verb::Update, bgp(64999, 1001, &["64999:2"]))]).await;
    let running = frr.operator("bgpd", &["show running-config"]).0;
    let kept = [
        "bgp router-id 10.9.9.9",
        "redistribute static",
        "redistribute connected metric 5",
        "maximum-paths 3",
    ];
    for line in kept {
        assert!(running.contains(line), "{line} is gone from {running}");
    }
    assert!(running.contains("route-target import 64999:2") && !running.contains("64999:1\n"), "{running}");
}

/// bgpd goes on with an rd after `no rd`, and passes over without a word when it is told the same one again.
#[tokio::test]
async fn an_rd_that_an_operator_took_away_comes_back() {
    let (frr, mut plane) = started().await;
    let instance = bgp(64999, 1001, &[]);
    plane.done(vec![(Verb::Create, vrf(1001)), (Verb::Create, instance.clone())]).await;
    let family = "address-family l2vpn evpn";
    let lines = ["configure terminal", "router bgp 64999 vrf vrf-1001", family, "no rd 10.0.0.1:1001"];
    assert_eq!(frr.operator("bgpd", &lines).1, 0);
    assert!(!plane.read().await.contains(&instance));
    assert_eq!(plane.done(vec![(Verb::Update, instance.clone())]).await, [Change::Present(instance)]);
}

#[tokio::test]
async fn a_refused_operation_spoils_no_other() {
    let (frr, mut plane) = started().await;
    frr.operator("bgpd", &["configure terminal", "router bgp 65005 vrf vrf-3"]);
    let batch = vec![
        (Verb::Create, vrf(1)),
        (Verb::Create, vrf_with(2, Some(1))),
        (Verb::Create, vrf_with(3, Some(16_777_216))),
        (Verb::Create, vrf(4)),
        (Verb::Create, bgp(64999, 1, &["64999:1"])),
        (Verb::Create, bgp(64999, 3, &["64999:3"])),
        (Verb::Create, bgp(64999, 4, &["64999:4"])),
    ];
    let (changes, outcomes) = plane.apply(batch).await;
    assert_eq!(outcomes[0], Outcome::Done);
    assert_eq!(
        failed(&outcomes[1]),
        "zebra refused 'vni 1': Error type: validation Error description: VNI 1 is already configured as L3-VNI"
    );
    assert_eq!(failed(&outcomes[2]), "zebra refused 'vni 16777216': [ZEBRA] Unknown command: vni 16777216");
    assert_eq!((&outcomes[3], &outcomes[4]), (&Outcome::Done, &Outcome::Done));
    assert_eq!(
        failed(&outcomes[5]),
        "bgpd runs AS 65005 for vrf vrf-3, not AS 64999; FRR cannot change it in place"
    );
    assert_eq!(outcomes[6], Outcome::Done);
    assert!(changes.contains(&Change::Present(bgp(64999, 4, &["64999:4"]))), "{changes:?}");
    assert!(frr.operator("bgpd", &["show running-config"]).0.contains("router bgp 65005 vrf vrf-3"));
}

#[tokio::test]
async fn a_vni_of_somebody_else_is_not_overwritten() {
    let (frr, mut plane) = started().await;
    frr.operator("zebra", &["configure terminal", "vrf vrf-1", "vni 77"]);
    let (_, outcomes) = plane.apply(vec![(Verb::Create, vrf(1))]).await;
    assert_eq!(failed(&outcomes[0]), "vrf vrf-1 has `vni 77` by now, from somebody else");
    assert!(frr.operator("zebra", &["show running-config"]).0.contains(" vni 77\n"));
}

#[tokio::test]
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
async fn a_restarted_bgpd_is_told_and_read_again() {
    let (mut frr, mut plane) = started().await;
    plane.done(vec![(Verb::Create, vrf(1)), (Verb::Create, bgp(64999, 1, &[]))]).await;
    frr.kill("bgpd");
    let Report::Down(why) = plane.report().await else { panic!("no word about bgpd") };
    assert!(why.starts_with("bgpd: the connection was closed"), "{why}");
    assert_eq!(plane.daemons.get("zebra"), Some(&None), "zebra is another's session");
    assert!(plane.daemons["bgpd"].is_some());
    let id = plane.send(vec![Operation { verb: Verb::Create, object: bgp(64999, 1, &[]) }]).await;
    let outcomes = loop {
        match plane.report().await {
            Report::Down(why) => {
                assert!(why.contains("cannot connect") && why.contains("it does not run"), "{why}");
            }
            Report::Results { id: of, outcomes } if of == id => break outcomes,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(outcomes, [Outcome::Unknown]);
    frr.daemon("bgpd");
    assert_eq!(plane.whole().await, [FrrObject::Base(BgpBase::default()), vrf(1)]);
    assert_eq!(plane.daemons, Daemons::from([("bgpd", None), ("zebra", None)]));
}

#[tokio::test]
#[ignore = "needs a kernel with VRF devices, run in the guest"]
async fn one_l3vni_comes_and_goes_with_its_devices() {
    let (frr, mut plane) = started().await;
    life::one_l3vni(&frr, &mut plane).await;
}
