//! What is somebody else's stays as it is, and is said where a tenant would need its place.

use super::*;
use crate::planes::frr::object::{BgpSettings, BgpVrf};

#[test]
fn foreign_objects_stay_and_a_clash_is_said() {
    let mut rig = Rig::new(Cloud::seed());
    let foreign = [
        ("br-docker0", LinkKind::Bridge),
        ("vxlan-x", LinkKind::Other("x".into())),
        ("lo-y", LinkKind::Dummy),
        ("lo-1001", LinkKind::Bridge),
    ];
    for (name, kind) in foreign.clone() {
        rig.peers.foreign_link(name, kind);
    }
    let planted: Vec<_> =
        foreign.iter().map(|(text, _)| rig.peers.objects[&link(text).into()].clone()).collect();
    rig.run();
    let status = rig.status();
    assert!(status.tenants[0].reasons.iter().any(|reason| reason.contains("lo-1001")), "{status:?}");
    assert!(!rig.has(FrrKey::Bgp(name("vrf-1001"))), "nothing further is made");
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    for object in planted {
        assert_eq!(rig.peers.objects.get(&object.key()), Some(&object));
    }
}

/// With an L3VNI bgpd refuses to take the instance away ("Please unconfigure l3vni"), so its owner could not move it.
#[test]
fn a_vrf_whose_bgp_instance_is_somebody_elses_gets_no_vni() {
    let mut rig = Rig::new(Cloud::seed());
    let vrf = name("vrf-1001");
    let foreign = BgpVrf { vrf, asn: "65099".parse().unwrap(), settings: BgpSettings::default() };
    rig.peers.put(FrrObject::Bgp(foreign));
    rig.run();
    assert!(
        rig.status().tenants[0].reasons.iter().any(|reason| reason.contains("65099")),
        "{:?}",
        rig.status()
    );
    assert!(!rig.has(FrrKey::Vrf(vrf)));
    rig.peers.take(&FrrKey::Bgp(vrf).into());
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
}
