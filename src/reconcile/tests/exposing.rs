//! Addresses exposed as routes: what stands then, in which order it comes and goes, and that a node changes from one shape to
//! the other and back without leftovers.

use super::*;
use crate::{
    config::{Attach, Expose},
    planes::{
        Backlog,
        frr::object::{BgpVrf, Connected, Kernel},
        kernel::object::{EXPOSING_METRIC, KernelObject, NextHop, Route},
    },
};

fn exposing(expose: Expose) -> Config {
    Config { expose, ..Config::default() }
}

pub fn standing(expose: Expose) -> Rig {
    let mut rig = Rig::with(Cloud::seed(), exposing(expose));
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    rig
}

fn routes(rig: &Rig) -> BTreeSet<String> {
    let exposed = rig.peers.objects.values().filter(|object| exposed::attracts(object).is_some());
    exposed.map(ToString::to_string).collect()
}

fn instance(rig: &Rig) -> &BgpVrf {
    match &rig.peers.objects[&FrrKey::Bgp(name("vrf-1001")).into()] {
        Object::Frr(FrrObject::Bgp(bgp)) => bgp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_seeds_tenant_by_routes() {
    let mut rig = standing(Expose::Routes);
    let (by4, by6) = ("via 172.24.4.146", "via 2001:db8:ffff::1");
    let expected = [
        "172.24.4.146/32".to_owned(),
        "2001:db8:ffff::1/128".to_owned(),
        format!("20.0.0.10/32 {by4}"),
        format!("2001:db8:1::10/128 {by6}"),
    ]
    .map(|route| format!("route {route} dev veth-vrf-1001 table 1001 exposed"));
    assert_eq!(routes(&rig), expected.into());
    assert!(!rig.has(link("lo-1001")));
    let sources = instance(&rig).settings.redistribute_ipv6;
    assert_eq!((sources.connected, sources.kernel), (Connected::No, Kernel::Ours));
    // zebra tells of several routes to one prefix that of the lowest metric: the exposing one.
    for gateway in ["172.24.4.146/32", "2001:db8:ffff::1/128"] {
        let ways = rig.peers.objects.values().filter_map(|object| match object {
            Object::Kernel(KernelObject::Route(route)) if route.prefix == gateway.parse().unwrap() => {
                Some(route.metric)
            }
            _ => None,
        });
        assert_eq!(ways.collect::<BTreeSet<_>>(), [EXPOSING_METRIC, 1024].into(), "{gateway}");
    }
    rig.restart();
    assert_eq!(rig.run(), 0, "a restart adopts all: {:?}", rig.peers.journal.last());
}

#[test]
fn routes_that_attract_traffic_come_last_and_go_first() {
    let mut rig = standing(Expose::Routes);
    let exposes = |(_, object): &(Verb, Object)| exposed::attracts(object).is_some();
    let first = rig.peers.journal.iter().position(exposes).unwrap();
    assert!(rig.peers.journal[first..].iter().all(exposes), "{:#?}", rig.peers.journal);
    rig.peers.journal.clear();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new(), "the route-maps go with the last that names them");
    let last = rig.peers.journal.iter().rposition(exposes).unwrap();
    assert!(rig.peers.journal[..last].iter().all(exposes), "{:#?}", rig.peers.journal);
}

#[test]
fn one_shape_becomes_the_other_and_back_without_leftovers() {
    let (dummy, routes) = (standing(Expose::Dummy), standing(Expose::Routes));
    for (from, to) in [(Expose::Dummy, &routes), (Expose::Routes, &dummy)] {
        let mut rig = standing(from);
        rig.config = to.config.clone();
        rig.restart();
        rig.now += Duration::from_secs(5);
        rig.run();
        assert_eq!(rig.ours(), to.ours(), "at a restart from {from:?}");
        assert!(rig.status().converged, "{:?}", rig.status());
        let mut rig = standing(from);
        rig.reconciler.reconfigure(&to.config);
        rig.run();
        rig.now += Duration::from_secs(5);
        rig.run();
        assert_eq!(rig.ours(), to.ours(), "at a reload from {from:?}");
        assert!(rig.status().converged, "{:?}", rig.status());
    }
}

#[test]
fn route_maps_that_nobody_names_are_removed() {
    let mut rig = standing(Expose::Dummy);
    rig.peers.put(FrrObject::Maps(crate::planes::frr::object::UnusedMaps));
    rig.run();
    assert!(!rig.has(FrrKey::Maps));
    assert!(matches!(&rig.peers.journal.last(), Some((Verb::Remove, Object::Frr(FrrObject::Maps(_))))));
}

#[test]
fn a_drain_takes_routes_and_gives_them_back() {
    let mut rig = standing(Expose::Routes);
    let whole = rig.peers.objects.clone();
    rig.reconciler.set_drain(Drain::LessPreferred);
    rig.run();
    assert!(instance(&rig).settings.less_preferred && !routes(&rig).is_empty());
    rig.reconciler.set_drain(Drain::Withdrawn);
    rig.run();
    assert_eq!(routes(&rig), BTreeSet::new());
    let states = |rig: &Rig| {
        let prefixes = rig.reconciler.prefixes("1001".parse().unwrap(), None, 1000);
        prefixes.into_iter().map(|prefix| prefix.state).collect::<BTreeSet<_>>()
    };
    assert_eq!(states(&rig), ["drained"].into());
    rig.reconciler.set_drain(Drain::No);
    rig.run();
    assert_eq!(rig.peers.objects, whole);
    assert_eq!(states(&rig), ["kernel"].into());
}

#[test]
fn what_is_lost_of_routes_is_told_again() {
    let mut rig = standing(Expose::Routes);
    rig.peers.deaf = true;
    let gone = "20.0.0.10".parse().unwrap();
    rig.peers.bgp.remove(&(name("lo-1001"), gone));
    rig.peers.deaf = false;
    let whole = rig.peers.objects.clone();
    let backlog = Backlog { lost: 1, ..Backlog::default() };
    rig.reconciler.report(PlaneId::Kernel, Report::Backlog(backlog), rig.now);
    for _ in 0..20 {
        rig.now += Duration::from_millis(500);
        rig.run();
    }
    assert!(rig.peers.bgp.contains(&(name("lo-1001"), gone)));
    assert_eq!(rig.status().zebra.told_again, 1);
    assert_eq!(rig.peers.objects, whole);
}

#[test]
fn a_vrf_that_is_a_port_of_the_bridge_keeps_its_dummy() {
    let mut rig = Rig::with(Cloud::seed(), Config { attach: Attach::Vrf, ..exposing(Expose::Routes) });
    rig.run();
    assert!(rig.has(link("lo-1001")), "{:?}", rig.status());
    let sources = instance(&rig).settings.redistribute_ipv4;
    assert_eq!((sources.connected, sources.kernel), (Connected::Ours, Kernel::No));
}

#[test]
fn an_address_that_moves_to_another_gateways_subnet_follows() {
    let mut rig = standing(Expose::Routes);
    rig.cloud.workload("vm", "net", Some("cmp1"), &["fa:16:3e:00:00:10 20.0.0.77"]);
    rig.run();
    let at = |ip: &str| {
        let prefix: crate::model::Prefix = ip.parse().unwrap();
        KernelKey::Route(1001, prefix, EXPOSING_METRIC)
    };
    assert!(rig.has(at("20.0.0.77/32")) && !rig.has(at("20.0.0.10/32")));
    // Somebody leads it elsewhere under our protocol: that is put right.
    let route = |next_hop| Route {
        table: 1001,
        prefix: "20.0.0.77/32".parse().unwrap(),
        metric: EXPOSING_METRIC,
        next_hop,
    };
    let ours = rig.peers.objects[&at("20.0.0.77/32").into()].clone();
    rig.peers.put(KernelObject::Route(route(NextHop::Unreachable)));
    rig.run();
    assert_eq!(rig.peers.objects[&at("20.0.0.77/32").into()], ours);
}
