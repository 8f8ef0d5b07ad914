//! Whose an object is that stands without being wished: the marks of the ownership table, and nothing on a name alone.

use std::sync::Arc;

use super::{
    object::{Key, Object},
    part::Part,
    table::Table,
};
use crate::{
    intent::names,
    ledger::Ledger,
    model::{IfName, Mark, Vni},
    planes::{
        flows::object::{Flow, FlowRule, FlowsObject},
        frr::object::FrrObject,
        kernel::object::{KernelKey, KernelObject, Link, LinkKind},
        vswitch::object::VswitchObject,
    },
};

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Somebody else's: never touched.
    Foreign,
    /// This part's.
    Part(Part),
    /// Ours by its mark, of no part that is known any more.
    Orphan,
}

/// Decides by the marks. `former` names what this run itself has wished until now.
pub fn owner(object: &Object, actual: &Table<Arc<Object>>, ledger: &Ledger, former: Option<Part>) -> Owner {
    let marked = match object {
        // What was held once is kept in mind.
        Object::Ledger(entry) => Some(entry.vni.into()).filter(|_| !entry.left),
        Object::Kernel(object) => return kernel(object, actual, ledger, former),
        Object::Flows(FlowsObject::Flow(Flow { rule: FlowRule::Foreign { .. }, .. })) => None,
        // Our cookie is the mark; a flow does not say which VNI it was for.
        Object::Flows(FlowsObject::Flow(_)) => return former.map_or(Owner::Orphan, Owner::Part),
        Object::Flows(FlowsObject::Port(_)) => None,
        Object::Vswitch(VswitchObject::Port(port)) => port.owner.map(Part::from),
        Object::Vswitch(_) | Object::Frr(FrrObject::Base(_)) => None,
        Object::Frr(FrrObject::Vrf(vrf)) => {
            let own = |vni: &Vni| vrf.vni.is_none_or(|seen| seen == vni.get());
            // A block of a VRF that somebody else has is his, but for a VNI in it that only we give it.
            let free = !actual.has(&KernelKey::Link(vrf.vrf).into()) || vrf.vni.is_some();
            let left = |vni: &Vni| free && ledger.left(*vni).is_some();
            frr(vrf.vrf, actual, ledger, former)
                .or(tenant_of(vrf.vrf).filter(left))
                .filter(own)
                .map(Part::from)
        }
        // Their names are the mark; an instance that names them has them with it.
        Object::Frr(FrrObject::Maps(_)) => return Owner::Orphan,
        Object::Frr(FrrObject::Leak(leak)) => base(leak.vrf, actual, former),
        Object::Frr(FrrObject::Bgp(bgp)) if base(bgp.vrf, actual, former).is_some() => Some(Part::Base),
        Object::Frr(FrrObject::Bgp(bgp)) => {
            // With another AS than the VNI is or was held with it is somebody else's, though it stood in our way.
            let own = |vni: &Vni| match ledger.get(*vni).map(|entry| entry.asn).or(ledger.left(*vni)) {
                Some(asn) => asn == bgp.asn,
                None => frr(bgp.vrf, actual, ledger, former).is_some(),
            };
            tenant_of(bgp.vrf).filter(own).map(Part::from)
        }
    };
    marked.map_or(Owner::Foreign, Owner::Part)
}

fn kernel(
    object: &KernelObject,
    actual: &Table<Arc<Object>>,
    ledger: &Ledger,
    former: Option<Part>,
) -> Owner {
    let part = match object {
        // What OVS made goes with its port.
        KernelObject::Link(Link { kind: LinkKind::Other(_), .. }) => None,
        KernelObject::Link(link) => link.owner.map(|mark| former.unwrap_or(part_of(mark))),
        KernelObject::Address(address) => {
            let host = address.length == if address.ip.is_ipv4() { 32 } else { 128 };
            match marked_link(address.dev, actual, |kind| *kind == LinkKind::Dummy) {
                Some(Mark::Vni(vni)) => host.then_some(vni.into()),
                Some(Mark::Underlay) => former.or(Some(Part::Base)),
                None => None,
            }
        }
        // Reported only with our routing protocol number, which is the mark. A VNI's table has its number, but a provider
        // bridge's may be the same: it counts where we hold the VNI. Others are known by what this run wished, or have the
        // mark alone.
        KernelObject::Route(route) => {
            let held = Vni::new(route.table).filter(|vni| is_held(*vni, actual, ledger));
            match former.or(held.map(Part::from)) {
                None => return Owner::Orphan,
                part => part,
            }
        }
        KernelObject::Rule(_) => former.or(Some(Part::Base)),
        KernelObject::Neighbour(neighbour) => {
            let attaches = |kind: &LinkKind| {
                matches!(kind, LinkKind::Veth { .. } | LinkKind::Vlan { .. } | LinkKind::Other(_))
            };
            // On a device that is not ours one without our mark is somebody else's, though it may have been in our way.
            let device = marked_link(neighbour.dev, actual, attaches).map(part_of);
            let own = device.or(neighbour.marked.then_some(Part::Base));
            own.map(|own| former.unwrap_or(own))
        }
    };
    part.map_or(Owner::Foreign, Owner::Part)
}

fn part_of(mark: Mark) -> Part {
    match mark {
        Mark::Vni(vni) => vni.into(),
        Mark::Underlay => Part::Base,
    }
}

/// FRR's side of the BGP mode's VRF carries no mark either: it is known by the VRF, whatever its name.
fn base(vrf: IfName, actual: &Table<Arc<Object>>, former: Option<Part>) -> Option<Part> {
    let is_vrf = |kind: &LinkKind| matches!(kind, LinkKind::Vrf { .. });
    let marked = marked_link(vrf, actual, is_vrf) == Some(Mark::Underlay);
    (marked || former == Some(Part::Base)).then_some(Part::Base)
}

fn marked_link(dev: IfName, actual: &Table<Arc<Object>>, is: impl Fn(&LinkKind) -> bool) -> Option<Mark> {
    match &**actual.get(&Key::Kernel(KernelKey::Link(dev)))? {
        Object::Kernel(KernelObject::Link(link)) if is(&link.kind) => link.owner,
        _ => None,
    }
}

/// FRR's stanzas carry no mark: ours are those of a VNI in the ledger, or of a VRF that carries our mark. With another VNI, or
/// another AS than the ledger's, they are somebody else's. Those of a VNI that has left come from a file that FRR had saved.
fn frr(vrf: IfName, actual: &Table<Arc<Object>>, ledger: &Ledger, former: Option<Part>) -> Option<Vni> {
    tenant_of(vrf).filter(|vni| former == Some((*vni).into()) || is_held(*vni, actual, ledger))
}

/// We hold a VNI by the ledger, or by our mark on its VRF where that was lost.
fn is_held(vni: Vni, actual: &Table<Arc<Object>>, ledger: &Ledger) -> bool {
    let is_vrf = |kind: &LinkKind| matches!(kind, LinkKind::Vrf { .. });
    ledger.get(vni).is_some() || marked_link(names::vrf(vni), actual, is_vrf) == Some(vni.into())
}

/// The VNI whose VRF this is by its name.
fn tenant_of(vrf: IfName) -> Option<Vni> {
    names::vni_of(&vrf).filter(|vni| names::vrf(*vni) == vrf)
}
