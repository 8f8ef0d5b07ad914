//! In which order a part of the wish is built and taken down: what attracts traffic last in, first out.
//!
//! An object of a rank is worked on only when all lower ranks of its part stand as wished (or are gone, when removing).

use super::object::Object;
use crate::planes::{
    frr::object::FrrObject,
    kernel::object::{KernelObject, LinkKind, NextHop},
};

/// A place in the order, counted from 0.
pub type Rank = u8;

/// How many ranks there are, for building and for removing alike.
pub const RANKS: usize = 9;

/// The rank of the addresses that attract traffic, when building: the last.
pub const ADVERTISE: Rank = 6;

/// The rank of the same addresses, when removing: the first.
pub const WITHDRAW: Rank = 0;

/// The rank of flows, when removing.
pub const REMOVE_FLOWS: Rank = 1;

/// The rank of routes, rules and neighbours, when removing.
pub const REMOVE_WAYS: Rank = 2;

/// The rank of the first of FRR's objects, when removing.
pub const REMOVE_FRR: Rank = 3;

/// The rank of a BGP instance that has to be there before its VRF's VNI, when building.
pub const INSTANCE_FIRST: Rank = 2;

/// When an object is built: ledger, links, OVS ports and FRR's VNI, links that OVS makes, BGP, the way through, addresses.
pub fn build(object: &Object) -> Rank {
    match object {
        Object::Ledger(_) => 0,
        Object::Kernel(KernelObject::Link(link)) if matches!(link.kind, LinkKind::Other(_)) => 3,
        Object::Kernel(KernelObject::Link(_)) => 1,
        Object::Vswitch(_) => 2,
        Object::Frr(FrrObject::Vrf(_)) => 3,
        Object::Frr(FrrObject::Leak(_)) => 5,
        Object::Frr(_) => 4,
        Object::Kernel(KernelObject::Route(route)) if route.exposes() => ADVERTISE,
        Object::Kernel(KernelObject::Route(_) | KernelObject::Neighbour(_) | KernelObject::Rule(_))
        | Object::Flows(_) => 5,
        Object::Kernel(KernelObject::Address(_)) => ADVERTISE,
    }
}

/// When an object as it stands is removed. FRR's VRF goes in two steps: first its VNI, last its block, since FRR removes
/// only VRFs that the kernel has no more.
pub fn remove(object: &Object) -> Rank {
    match object {
        Object::Kernel(KernelObject::Address(_)) => WITHDRAW,
        Object::Flows(_) => REMOVE_FLOWS,
        Object::Kernel(KernelObject::Route(route)) if route.exposes() || route.is_passing() => WITHDRAW,
        Object::Kernel(KernelObject::Route(_) | KernelObject::Neighbour(_) | KernelObject::Rule(_)) => {
            REMOVE_WAYS
        }
        Object::Frr(FrrObject::Leak(_)) => REMOVE_FRR,
        Object::Frr(FrrObject::Vrf(vrf)) if vrf.vni.is_some() => REMOVE_FRR,
        Object::Frr(FrrObject::Vrf(_)) => 7,
        Object::Frr(_) => 4,
        Object::Vswitch(_) => 5,
        Object::Kernel(KernelObject::Link(_)) => 6,
        Object::Ledger(_) => 8,
    }
}

/// The order within one batch of building: masters before slaves, on-link routes before those that go through them.
pub fn within_build(object: &Object) -> u8 {
    match object {
        Object::Kernel(KernelObject::Link(link)) => match link.kind {
            LinkKind::Vrf { .. } => 0,
            LinkKind::Bridge => 1,
            LinkKind::Vxlan { .. } => 2,
            LinkKind::Dummy => 3,
            LinkKind::Vlan { .. } | LinkKind::Veth { .. } | LinkKind::Other(_) => 4,
        },
        Object::Kernel(KernelObject::Route(route)) => match route.next_hop {
            NextHop::Link(_) => 5,
            NextHop::Via(..) | NextHop::Unreachable | NextHop::Other => 6,
        },
        // A rule leads into its table when the way there is made.
        Object::Kernel(KernelObject::Rule(_)) => 8,
        _ => 7,
    }
}
