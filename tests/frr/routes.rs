//! Addresses exposed as routes, in a real bgpd: what passes the route-maps, and that these come and go with their use.

use bgp_agent::planes::{
    Change, Verb,
    frr::object::{BgpSettings, FrrKey, FrrObject, Sources, UnusedMaps},
};

use super::{
    harness::{self, Frr, Plane, sh},
    objects::{bgp_with, name},
};

/// The instance of vrf-1001 as it is wished.
fn wish(less_preferred: bool) -> FrrObject {
    let shape = BgpSettings::redistributing(Sources::wished(false, true));
    bgp_with(64999, 1001, BgpSettings { less_preferred, ..shape })
}

/// Made, used, drained, broken, mended, and gone.
pub async fn through_route_maps(frr: &Frr, plane: &mut Plane) {
    assert_eq!(plane.done(vec![(Verb::Create, wish(false))]).await, [Change::Present(wish(false))]);
    only_what_exposes_passes(frr, plane).await;
    assert_eq!(plane.done(vec![(Verb::Update, wish(true))]).await, [Change::Present(wish(true))]);

    for harm in
        [&["no route-map bgp-agent-drained"][..], &["route-map bgp-agent-drained permit 10", "set metric 5"]]
    {
        broken_and_mended(frr, plane, harm).await;
    }

    let unused = FrrObject::Maps(UnusedMaps);
    let changes = plane.done(vec![(Verb::Remove, wish(true))]).await;
    assert_eq!(changes, [Change::Absent(FrrKey::Bgp(name(1001))), Change::Present(unused.clone())]);
    assert_eq!(plane.done(vec![(Verb::Remove, unused)]).await, [Change::Absent(FrrKey::Maps)]);
    let running = frr.operator("bgpd", &["show running-config"]).0;
    assert!(!running.contains("route-map bgp-agent-routes permit"), "{running}");
}

/// An operator does this to the route-map that the instance names. bgpd 8.4 died of the mending, one time in ten, when the
/// instance was removed within seconds.
async fn broken_and_mended(frr: &Frr, plane: &mut Plane, harm: &[&str]) {
    let harm: Vec<&str> = ["configure terminal"].iter().chain(harm).copied().collect();
    assert_eq!(frr.operator("bgpd", &harm).1, 0);
    let broken = plane.read().await;
    assert!(!broken.contains(&wish(true)), "{broken:?}");
    assert_eq!(plane.done(vec![(Verb::Update, wish(true))]).await, [Change::Present(wish(true))]);
}

/// The default instance takes the kernel's routes through the same route-map, where no kernel with VRFs is needed.
async fn only_what_exposes_passes(frr: &Frr, plane: &mut Plane) {
    let net = |words: &str| {
        let words: Vec<&str> = ["ip", "-n", &frr.netns].into_iter().chain(words.split(' ')).collect();
        sh(&words);
    };
    net("link add one up type veth peer name two");
    net("link set two up");
    for family in ["ipv4", "ipv6"] {
        let family = format!("address-family {family} unicast");
        let line = "redistribute kernel route-map bgp-agent-routes";
        let lines = ["configure terminal", "router bgp 64999", &family, line];
        assert_eq!(frr.operator("bgpd", &lines).1, 0);
    }
    for route in [
        "unreachable default metric 4278198272",
        "20.0.0.0/24 dev one",
        "20.0.0.9/32 dev one",
        "20.0.0.10/32 dev one metric 182",
        "2001:db8:1::/64 dev one metric 1024",
        "2001:db8:1::9/128 dev one metric 1024",
        "2001:db8:1::10/128 dev one metric 182",
    ] {
        net(&format!("route add {route} proto 182"));
    }
    let wished: [std::net::IpAddr; 2] = ["20.0.0.10", "2001:db8:1::10"].map(|ip| ip.parse().unwrap());
    let end = std::time::Instant::now() + harness::PATIENCE;
    loop {
        let told = plane.survey(&["default".parse().unwrap()]).await;
        if told[0].as_ref().is_some_and(|hosts| hosts.iter().eq(&wished)) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{told:?}");
    }
}
