//! What the Python ovn-bgp-agent left behind, known by its whole structure and never by a name alone: vrf-V of table V
//! that holds br-V that holds vxlan-V of id V, none of them marked as ours.

use super::{
    Reconciler,
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
        let (vrf, dummy) = (names::vrf(vni), names::dummy(vni));
        for name in [vrf, names::bridge(vni), names::vxlan(vni), dummy] {
            let inside = |link: &&Link| name != dummy || link.master == Some(vrf);
            if let Some(link) = self.link(name).filter(inside) {
                let object = KernelObject::Link(Link { owner: Some(vni), ..link.clone() }).into();
                operations.push((PlaneId::Kernel, Operation { verb: Verb::Update, object }));
            }
        }
        // The VRF itself is a port of the provider bridge; on VLAN networks an internal port in it is.
        for name in [vrf, names::vlan(vni, 0)] {
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
}
