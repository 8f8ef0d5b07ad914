//! Draining: what this node offers is made less preferred, and later withdrawn, without anything else being taken down, so
//! that it is undone as fast.

use serde::{Deserialize, Serialize};

use super::{Reconciler, exposed, object::Object};
use crate::planes::frr::object::FrrObject;

/// How far a node is drained.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drain {
    /// Not at all.
    #[default]
    No,
    /// Its prefixes are advertised with the worst MED.
    LessPreferred,
    /// Its prefixes are withdrawn; all else stands.
    Withdrawn,
}

impl Reconciler {
    /// How far this node is drained.
    pub fn drain(&self) -> Drain {
        self.drain
    }

    /// Drains this node so far, or no more.
    pub fn set_drain(&mut self, drain: Drain) {
        if self.drain == drain {
            return;
        }
        tracing::warn!(from = ?self.drain, to = ?drain, "drain");
        self.drain = drain;
        self.core.revision += 1;
        let vnis: Vec<_> = self.intent.tenants().map(|tenant| tenant.vni).collect();
        for vni in vnis {
            self.stale.insert(vni);
            self.update_addresses_of(vni);
        }
        self.underlay.all_stale();
    }

    /// An object of a tenant's frame as this node offers it now; None: it does not.
    pub(super) fn drained(&self, object: Object) -> Option<Object> {
        match (self.drain, object) {
            (Drain::Withdrawn, object) if exposed::attracts(&object).is_some() => None,
            (drain, Object::Frr(FrrObject::Bgp(mut bgp))) => {
                bgp.settings.less_preferred = drain != Drain::No;
                Some(FrrObject::Bgp(bgp).into())
            }
            (_, object) => Some(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        planes::{Verb, kernel::object::KernelObject},
        reconcile::tests::Rig,
        testing::rows::Cloud,
    };

    fn is_address(object: &Object) -> bool {
        matches!(object, Object::Kernel(KernelObject::Address(address)) if address.dev.as_str() == "lo-1001")
    }

    #[test]
    fn a_drain_takes_addresses_alone_and_gives_them_back() {
        let mut rig = Rig::new(Cloud::seed());
        rig.run();
        let whole = rig.peers.objects.clone();
        rig.peers.journal.clear();
        rig.reconciler.set_drain(Drain::LessPreferred);
        rig.run();
        let [(Verb::Update, Object::Frr(FrrObject::Bgp(bgp)))] = &rig.peers.journal[..] else {
            panic!("{:?}", rig.peers.journal);
        };
        assert!(bgp.settings.less_preferred);
        rig.peers.journal.clear();
        rig.reconciler.set_drain(Drain::Withdrawn);
        rig.run();
        assert!(rig.peers.journal.iter().all(|(verb, object)| *verb == Verb::Remove && is_address(object)));
        assert!(!rig.peers.objects.values().any(is_address));
        assert!(rig.reconciler.status(rig.now).converged);
        let states = |rig: &Rig| {
            let prefixes = rig.reconciler.prefixes("1001".parse().unwrap(), None, 1000);
            prefixes.into_iter().map(|prefix| prefix.state).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(states(&rig), ["drained"].into());
        rig.reconciler.set_drain(Drain::No);
        rig.run();
        assert_eq!(rig.peers.objects, whole);
        assert_eq!(states(&rig), ["kernel"].into());
    }
}
