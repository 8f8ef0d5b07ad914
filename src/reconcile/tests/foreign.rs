//! What is somebody else's stays as it is, and is said where a tenant would need its place.

use super::*;
use crate::planes::{
    flows::{
        encode::{Identity, identity},
        object::Flow,
    },
    frr::object::{BgpSettings, BgpVrf},
};

/// Somebody else's flow in the place of this one.
pub(super) fn taken_over(flow: Flow) -> FlowsObject {
    let Identity { table, priority, matches } = identity(&flow.rule);
    FlowsObject::Flow(Flow {
        rule: FlowRule::Foreign { cookie: 7, table, priority, matches: matches.into() },
        ..flow
    })
}

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

/// What FRR saves with `write memory` comes back when it boots, long after the VNI has left.
#[test]
fn stanzas_that_frr_had_saved_go_and_an_operators_alike_stay() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let vrf = name("vrf-1001");
    let stanzas: Vec<Object> =
        [FrrKey::Vrf(vrf), FrrKey::Bgp(vrf)].map(|key| rig.peers.objects[&Key::from(key)].clone()).into();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    let stands =
        |rig: &Rig| stanzas.iter().filter(|stanza| rig.peers.objects.contains_key(&stanza.key())).count();
    assert_eq!(stands(&rig), 0);
    for restart in [false, true] {
        if restart {
            let entry = crate::ledger::Entry {
                vni: Vni::new(1001).unwrap(),
                asn: "64999".parse().unwrap(),
                gateways: Vec::new(),
                left: true,
            };
            rig.peers.put(Object::Ledger(entry));
            rig.restart();
            rig.run();
        }
        stanzas.iter().for_each(|stanza| rig.peers.put(stanza.clone()));
        rig.run();
        assert_eq!(stands(&rig), 0, "after a restart: {restart}");
    }
    rig.cloud.move_gateway("cr-lrp-gw", "gw1");
    rig.run();
    assert!(rig.status().converged, "it comes again: {:?}", rig.status());

    let mut rig = Rig::new(Cloud::empty());
    stanzas.iter().for_each(|stanza| rig.peers.put(stanza.clone()));
    rig.run();
    assert_eq!(stands(&rig), 2, "this node never held it");
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

#[test]
fn somebody_elses_bgp_instance_outlives_the_tenant_that_it_was_in_the_way_of() {
    let mut rig = Rig::new(Cloud::seed());
    let vrf = name("vrf-1001");
    rig.peers.put(FrrObject::Bgp(BgpVrf {
        vrf,
        asn: "65099".parse().unwrap(),
        settings: BgpSettings::default(),
    }));
    rig.run();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    assert!(rig.has(FrrKey::Bgp(vrf)) && !rig.has(link("vrf-1001")));
    rig.restart();
    rig.run();
    assert!(rig.has(FrrKey::Bgp(vrf)) && rig.status().converged, "{:?}", rig.status());
}

/// The device went first, and with it the tenant: bgpd keeps the instance until its VRF has a device again.
#[test]
fn a_bgp_instance_whose_vrf_has_lost_its_device_goes_all_the_same() {
    for restart in [false, true] {
        let mut rig = Rig::new(Cloud::seed());
        rig.run();
        rig.peers.take(&link("vrf-1001").into());
        rig.cloud.move_gateway("cr-lrp-gw", "gw2");
        if restart {
            rig.restart();
        }
        rig.run();
        assert_eq!(rig.ours(), BTreeSet::new(), "after a restart: {restart}");
        assert!(rig.status().converged, "{:?}", rig.status());
    }
}

/// OpenFlow would replace it without a word. What takes the place of a flow of ours that stood is drift: see there.
#[test]
fn a_flow_in_the_place_of_one_of_ours_stays_and_holds_the_tenant() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let is_redirect = |object: &&Object| {
        matches!(object, Object::Flows(FlowsObject::Flow(Flow { rule: FlowRule::Redirect { .. }, .. })))
    };
    let Some(Object::Flows(FlowsObject::Flow(redirect))) =
        rig.peers.objects.values().find(is_redirect).cloned()
    else {
        panic!("no redirect");
    };
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    let foreign = taken_over(redirect);
    rig.peers.put(foreign.clone());
    rig.run();
    rig.cloud.move_gateway("cr-lrp-gw", "gw1");
    rig.run();
    assert!(
        rig.status().tenants[0].reasons.iter().any(|reason| reason.contains("cookie 0x7")),
        "{:?}",
        rig.status()
    );
    assert_eq!(rig.peers.objects.get(&foreign.key().into()), Some(&foreign.clone().into()));
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    assert_eq!(rig.peers.objects.get(&foreign.key().into()), Some(&foreign.clone().into()));
    rig.cloud.move_gateway("cr-lrp-gw", "gw1");
    rig.peers.take(&foreign.key().into());
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
}
