//! What the Python agent left goes with all that hangs on it, and nothing of anybody else's does.

use super::*;
use crate::planes::{
    Operation, Verb,
    kernel::object::{KernelObject, Link, NextHop},
    vswitch::object::{OvsPort, VswitchObject},
};

/// A node on which a tenant of the Python agent's stands that nothing wishes for: our names without our marks. Its routes
/// are of another protocol, and so not seen.
fn left_by_python() -> Rig {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.objects.retain(|_, object| {
        !matches!(object, Object::Ledger(_) | Object::Kernel(KernelObject::Route(_)) | Object::Flows(_))
    });
    for object in rig.peers.objects.values_mut() {
        match object {
            Object::Kernel(KernelObject::Link(link)) => link.owner = None,
            Object::Vswitch(VswitchObject::Port(port)) => port.owner = None,
            _ => {}
        }
    }
    rig.cloud = Cloud::empty();
    rig.restart();
    rig.run();
    rig
}

fn adopt(rig: &mut Rig) -> Vec<Operation<Object>> {
    let left = rig.reconciler.python_leftovers();
    let adoption: Vec<_> = left.into_iter().flat_map(|vni| rig.reconciler.adoption(vni)).collect();
    let operations: Vec<_> = adoption.into_iter().map(|(_, operation)| operation).collect();
    operations.iter().for_each(|operation| rig.peers.carry_out(operation));
    rig.run();
    operations
}

fn planted(rig: &mut Rig, name: &str, change: impl FnOnce(&mut Link)) {
    let Some(Object::Kernel(KernelObject::Link(mut planted))) =
        rig.peers.objects.get(&link(name).into()).cloned()
    else {
        panic!("no link {name}");
    };
    change(&mut planted);
    rig.peers.put(KernelObject::Link(planted));
    rig.run();
}

#[test]
fn all_of_the_structure_goes_with_the_way_to_ovn_and_the_unreachable_defaults() {
    let mut rig = left_by_python();
    assert!(rig.has(link("vrf-1001")), "untouched until it is asked for");
    let operations = adopt(&mut rig);
    let is_default = |operation: &&Operation<Object>| {
        operation.verb == Verb::Create
            && matches!(&operation.object, Object::Kernel(KernelObject::Route(route))
                if route.next_hop == NextHop::Unreachable && route.table == 1001 && route.prefix.prefix_len() == 0)
    };
    assert_eq!(operations.iter().filter(is_default).count(), 2, "{operations:?}");
    let ours = rig.ours();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn a_veth_end_that_leads_elsewhere_stays_and_so_does_its_port() {
    let mut rig = left_by_python();
    planted(&mut rig, "veth-ovs-1001", |link| link.kind = LinkKind::Veth { peer: None });
    adopt(&mut rig);
    let port = OvsPort::wished(name("br-ex"), name("veth-ovs-1001"), crate::model::Vni::new(1001).unwrap());
    assert!(rig.has(link("veth-ovs-1001")));
    assert!(rig.has(VswitchKey::Port(port.name)));
    assert!(!rig.has(link("br-1001")));
}

#[test]
fn without_the_whole_structure_nothing_goes() {
    let mut rig = left_by_python();
    planted(&mut rig, "vxlan-1001", |link| link.master = None);
    assert_eq!(adopt(&mut rig), []);
    assert!(rig.has(link("veth-vrf-1001")));
}

/// The neighbour is on the provider bridge then, which is no device of ours.
#[test]
fn of_a_vrf_that_is_a_port_itself_nothing_is_left_after_a_restart() {
    let mut rig =
        Rig::with(Cloud::seed(), Config { attach: crate::config::Attach::Vrf, ..Config::default() });
    rig.run();
    assert!(rig.ours().iter().any(|object| object.contains("Neighbour")));
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.restart();
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new());
}
