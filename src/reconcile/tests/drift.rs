//! What others do to objects of ours: every kind in every way is mended, and who does it again and again is not raced.

use super::*;
use crate::{
    config::Expose,
    model::MacAddr,
    planes::{
        flows::object::Flow,
        kernel::object::{NextHop, Route},
    },
};

/// One way to spoil an object; None: this object cannot be spoilt so.
type Spoil = fn(Object) -> Option<Object>;

fn on_link(change: fn(&mut crate::planes::kernel::object::Link), object: Object) -> Option<Object> {
    match object {
        Object::Kernel(KernelObject::Link(mut link)) => {
            change(&mut link);
            Some(KernelObject::Link(link).into())
        }
        _ => None,
    }
}

/// Every way, by what an operator would call it.
const WAYS: [(&str, Spoil); 15] = [
    ("link down", |object| on_link(|link| link.up = false, object)),
    ("link without its master", |object| on_link(|link| link.master = None, object)),
    ("link of another MTU", |object| {
        // A VRF's MTU is no limit to anything, and is nobody's wish.
        on_link(|link| link.mtu = link.mtu.and(Some(1280)), object)
    }),
    ("link without its alias", |object| on_link(|link| link.owner = None, object)),
    ("link without its settings", |object| on_link(|link| link.settings = Default::default(), object)),
    ("address with its local route back", |object| match object {
        Object::Kernel(KernelObject::Address(mut address)) => {
            address.local_route = true;
            Some(KernelObject::Address(address).into())
        }
        _ => None,
    }),
    ("route to nowhere", |object| match object {
        Object::Kernel(KernelObject::Route(Route { table, prefix, metric, .. })) => {
            Some(KernelObject::Route(Route { table, prefix, metric, next_hop: NextHop::Other }).into())
        }
        _ => None,
    }),
    ("neighbour of another Ethernet address", |object| match object {
        Object::Kernel(KernelObject::Neighbour(mut neighbour)) => {
            neighbour.mac = MacAddr([2, 0xff, 0, 0, 0, 9]);
            Some(KernelObject::Neighbour(neighbour).into())
        }
        _ => None,
    }),
    ("OVS port without external_ids", |object| match object {
        Object::Vswitch(crate::planes::vswitch::object::VswitchObject::Port(mut port)) => {
            port.owner = None;
            Some(crate::planes::vswitch::object::VswitchObject::Port(port).into())
        }
        _ => None,
    }),
    ("OVS port with a tag", |object| match object {
        Object::Vswitch(crate::planes::vswitch::object::VswitchObject::Port(mut port)) => {
            port.tag = Some(7);
            Some(crate::planes::vswitch::object::VswitchObject::Port(port).into())
        }
        _ => None,
    }),
    ("flow to another port", |object| match object {
        Object::Flows(FlowsObject::Flow(Flow {
            bridge,
            rule: FlowRule::Redirect { in_port, router, subnet, vlan, to, .. },
        })) => {
            let rule = FlowRule::Redirect { in_port, router, subnet, vlan, to, output: OfPort(99) };
            Some(FlowsObject::Flow(Flow { bridge, rule }).into())
        }
        _ => None,
    }),
    ("flow replaced by somebody else's", |object| match object {
        Object::Flows(FlowsObject::Flow(flow)) => Some(foreign::taken_over(flow).into()),
        _ => None,
    }),
    ("FRR's vrf without its vni", |object| match object {
        Object::Frr(FrrObject::Vrf(mut vrf)) => {
            (vrf.vni, vrf.up) = (None, false);
            Some(FrrObject::Vrf(vrf).into())
        }
        _ => None,
    }),
    ("FRR's L3VNI down", |object| match object {
        Object::Frr(FrrObject::Vrf(mut vrf)) => {
            vrf.up = false;
            Some(FrrObject::Vrf(vrf).into())
        }
        _ => None,
    }),
    ("FRR's instance without its lines", |object| match object {
        Object::Frr(FrrObject::Bgp(mut bgp)) => {
            bgp.settings = Default::default();
            Some(FrrObject::Bgp(bgp).into())
        }
        _ => None,
    }),
];

fn ours(rig: &Rig) -> Vec<Key> {
    let fresh = Peers::new();
    let is_ours = |key: &&Key| {
        !fresh.objects.contains_key(*key) && !matches!(key, Key::Ledger(_) | Key::Flows(FlowsKey::Port(..)))
    };
    let mut keys: Vec<Key> = rig.peers.objects.keys().filter(is_ours).cloned().collect();
    keys.sort_by_key(|key| format!("{key:?}"));
    keys
}

fn standing(rig: &Rig) -> BTreeSet<String> {
    ours(rig).into_iter().map(|key| format!("{:?}", rig.peers.objects[&key])).collect()
}

#[test]
fn every_object_spoilt_in_every_way_is_mended() {
    let shapes = [Expose::Dummy, Expose::Routes];
    for ((way, spoil), expose) in WAYS.into_iter().flat_map(|way| shapes.map(|expose| (way, expose))) {
        let mut rig = Rig::with(Cloud::seed(), Config { expose, ..Config::default() });
        rig.run();
        let whole = standing(&rig);
        let mut spoilt = 0;
        for key in ours(&rig) {
            let before = rig.peers.objects[&key].clone();
            let Some(object) = spoil(before.clone()).filter(|object| *object != before) else { continue };
            spoilt += 1;
            rig.peers.put(object);
            // FRR brings an L3VNI up again by itself.
            if way == "FRR's L3VNI down" {
                rig.peers.put(before.clone());
            }
            rig.run();
            assert!(rig.status().converged, "{way}: {key:?}: {:?}", rig.status());
            assert_eq!(standing(&rig), whole, "{way}: {key:?}");
        }
        let can_be = expose == Expose::Dummy || !way.starts_with("address");
        assert!(spoilt > 0 || !can_be, "nothing can be spoilt so: {way}");
    }
}

/// `ip link set veth-ovs-1001 netns N`: the end that is left is told with the other's namespace.
#[test]
fn a_pair_of_which_one_end_is_elsewhere_is_made_anew() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let whole = standing(&rig);
    let left: Key = link("veth-vrf-1001").into();
    let Object::Kernel(KernelObject::Link(mut alone)) = rig.peers.objects[&left].clone() else { panic!() };
    alone.kind = LinkKind::Veth { peer: Some(alone.name) };
    rig.peers.put(KernelObject::Link(alone));
    rig.peers.take(&link("veth-ovs-1001").into());
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    assert_eq!(standing(&rig), whole);
}

/// Twenty times a second somebody removes an address: it comes back at once for a while, and then at a pace, and said.
#[test]
fn who_removes_it_again_and_again_is_not_raced() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.journal.clear();
    let key: Key = address("lo-1001", "20.0.0.10").into();
    let removed = |rig: &mut Rig| {
        rig.peers.take(&key);
        rig.run();
        rig.now += Duration::from_millis(50);
    };
    (0..20 * 60).for_each(|_| removed(&mut rig));
    let repairs = rig.peers.journal.len();
    assert!((30..50).contains(&repairs), "{repairs} repairs in a minute");
    // Of two removals in a row one at least is not repaired at once.
    let said = (0..2).any(|_| {
        removed(&mut rig);
        rig.status().tenants[0].reasons.iter().any(|reason| reason.contains("again and again"))
    });
    assert!(said, "{:?}", rig.status());
    rig.now += Duration::from_secs(60);
    rig.run();
    assert!(rig.status().converged);
}

/// The same by somebody so fast that it is gone before its batch is answered.
#[test]
fn who_removes_it_before_it_is_acknowledged_is_not_raced_either() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.journal.clear();
    let key: Key = address("lo-1001", "20.0.0.10").into();
    rig.peers.undo = Some(key.clone());
    rig.peers.take(&key);
    for _ in 0..60 {
        rig.run();
        rig.now += Duration::from_secs(1);
    }
    let repairs = rig.peers.journal.len();
    assert!((30..50).contains(&repairs), "{repairs} repairs in a minute");
    rig.peers.undo = None;
    rig.now += Duration::from_secs(60);
    rig.run();
    assert!(rig.status().converged);
}

/// A route whose gateway has no route yet is refused; the time for its next try is not waited for when that has come.
#[test]
fn what_was_refused_is_tried_again_as_soon_as_something_else_of_its_tenant_stands() {
    let mut rig = Rig::new(Cloud::seed());
    let route: Key = KernelKey::Route(1001, "20.0.0.0/24".parse().unwrap(), 0).into();
    rig.peers.refuse.insert(route.clone());
    rig.run();
    rig.peers.refuse.clear();
    rig.peers.journal.clear();
    rig.run();
    assert!(!rig.has(route.clone()), "it waits for its time");
    rig.peers.take(&KernelKey::Neighbour(name("veth-vrf-1001"), "172.24.4.146".parse().unwrap()).into());
    rig.run();
    assert!(rig.has(route) && rig.status().converged, "{:?}", rig.status());
}

/// Whatever else comes to stand in the tenant lets what was refused be tried at once. That must not add up.
#[test]
fn what_is_refused_for_good_is_tried_at_its_own_pace_whatever_else_was_built() {
    let mut cloud = Cloud::seed();
    cloud.subnet("gw", "sub2", "net2", "fa:16:3e:8d:c4:52 20.0.2.1/24");
    let mut rig = Rig::new(cloud);
    rig.peers.refuse.insert(address("lo-1001", "20.0.0.10").into());
    rig.run();
    for second in 0..240 {
        let annotation = [("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "64999")];
        rig.cloud.annotate("sub2", if second % 2 == 0 { &annotation } else { &[] });
        rig.now += Duration::from_secs(1);
        rig.run();
    }
    let failed = |rig: &Rig| rig.status().operations["kernel"]["failed"];
    let before = failed(&rig);
    for _ in 0..300 {
        rig.now += Duration::from_secs(1);
        rig.run();
    }
    let tried = failed(&rig) - before;
    assert!((5..=12).contains(&tried), "{tried}");
}

/// Who changes it again and again puts it back himself, and breaks it once more before its turn comes.
#[test]
fn what_waits_for_its_turn_is_mended_though_it_was_whole_meanwhile() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let key = Key::from(KernelKey::Neighbour(name("veth-vrf-1001"), "172.24.4.146".parse().unwrap()));
    let whole = rig.peers.objects[&key].clone();
    while rig.has(key.clone()) {
        rig.peers.take(&key);
        rig.run();
    }
    rig.peers.put(whole);
    rig.run();
    rig.peers.take(&key);
    rig.run();
    assert!(!rig.has(key.clone()), "it is mended at its own pace");
    for _ in 0..60 {
        rig.now += Duration::from_secs(1);
        rig.run();
    }
    assert!(rig.has(key) && rig.status().converged, "{:?}", rig.status());
}
