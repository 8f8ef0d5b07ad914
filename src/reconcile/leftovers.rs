//! What the Python ovn-bgp-agent left behind, known by its whole structure and never by a name alone: vrf-V of table V
//! that holds br-V that holds vxlan-V of id V, none of them marked as ours. What hangs on such a structure is taken over
//! with it: the dummy, the way to OVN, and the unreachable defaults. The other routes that it makes lead through the way to
//! OVN and go with that.

use super::{
    Reconciler, frame,
    object::{Key, Object, PlaneId},
};
use crate::{
    intent::names,
    ledger::Entry,
    model::{IfName, Vni},
    planes::{
        Operation, Verb,
        frr::object::{FrrKey, FrrObject},
        kernel::object::{KernelKey, KernelObject, Link, LinkKind},
        vswitch::object::{OvsPort, PortName, VswitchKey, VswitchObject},
    },
};

impl Reconciler {
    /// The VNIs of which the Python agent left a whole structure.
    pub fn python_leftovers(&self) -> Vec<Vni> {
        let links = self.core.actual_links();
        let tables = links.filter_map(|link| match link.kind {
            LinkKind::Vrf { table } => Vni::new(table).filter(|vni| names::vrf(*vni) == link.name),
            _ => None,
        });
        tables.filter(|vni| self.is_left_by_python(*vni)).collect()
    }

    fn is_left_by_python(&self, vni: Vni) -> bool {
        let (vrf, bridge) = (names::vrf(vni), names::bridge(vni));
        let unmarked = |name| self.link(name).filter(|link| link.owner.is_none());
        let is_vxlan = |link: &Link| {
            matches!(link.kind, LinkKind::Vxlan { id, .. } if id == vni.get()) && link.master == Some(bridge)
        };
        unmarked(vrf).is_some()
            && unmarked(bridge).is_some_and(|link| link.kind == LinkKind::Bridge && link.master == Some(vrf))
            && unmarked(names::vxlan(vni)).is_some_and(is_vxlan)
    }

    fn link(&self, name: IfName) -> Option<&Link> {
        match self.core.actual(&Key::Kernel(KernelKey::Link(name)))? {
            Object::Kernel(KernelObject::Link(link)) => Some(link),
            _ => None,
        }
    }

    /// What marks the leftovers of a VNI as ours, after which they are what any tenant's are that is not wished.
    pub fn adoption(&self, vni: Vni) -> Vec<(PlaneId, Operation<Object>)> {
        let mut operations = Vec::new();
        let bgp = self.core.actual(&FrrKey::Bgp(names::vrf(vni)).into());
        let asn = match bgp {
            Some(Object::Frr(FrrObject::Bgp(bgp))) => bgp.asn,
            _ => self.config.bgp_as,
        };
        let entry = Entry { vni, asn, gateways: Vec::new(), left: false };
        operations.push((PlaneId::Ledger, Operation { verb: Verb::Create, object: Object::Ledger(entry) }));
        let vrf = names::vrf(vni);
        let outer = names::veth(vni, 0).1;
        let dummy = self.link(names::dummy(vni)).filter(|link| link.master == Some(vrf));
        let core = [vrf, names::bridge(vni), names::vxlan(vni)].map(|name| self.link(name));
        let links =
            core.into_iter().chain([dummy]).flatten().chain(self.veth_pair(vni).into_iter().flatten());
        for link in links {
            let object = KernelObject::Link(Link { owner: Some(vni.into()), ..link.clone() }).into();
            operations.push((PlaneId::Kernel, Operation { verb: Verb::Update, object }));
        }
        // Where they stand by another protocol they are taken over, as a tenant's frame takes them over.
        for route in frame::unreachable_defaults(vni) {
            operations.push((PlaneId::Kernel, Operation { verb: Verb::Create, object: route.into() }));
        }
        // On the provider bridge: one end of the veth pair; on VLAN networks an internal port in the VRF; in its older
        // releases the VRF itself.
        let pair = self.veth_pair(vni).map(|_| outer);
        for name in pair.into_iter().chain([vrf, names::vlan(vni, 0)]) {
            let port = self.core.actual(&VswitchKey::Port(PortName::from(name)).into());
            if let Some(Object::Vswitch(VswitchObject::Port(port))) = port
                && port.owner.is_none()
            {
                let object = VswitchObject::Port(OvsPort { owner: Some(vni), ..port.clone() }).into();
                operations.push((PlaneId::Vswitch, Operation { verb: Verb::Update, object }));
            }
        }
        operations
    }

    /// The two ends that it puts between the VRF and the provider bridge; None: one of them is another's, or leads elsewhere.
    fn veth_pair(&self, vni: Vni) -> Option<[&Link; 2]> {
        let (inner, outer) = names::veth(vni, 0);
        let end = |name, peer| {
            let is_end =
                |link: &&Link| link.kind == LinkKind::Veth { peer: Some(peer) } && link.owner.is_none();
            self.link(name).filter(is_end)
        };
        let inside = end(inner, outer).filter(|link| link.master == Some(names::vrf(vni)))?;
        Some([inside, end(outer, inner)?])
    }
}
