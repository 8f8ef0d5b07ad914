//! What FRR has, as last read: the view that changes are told from and that outcomes are judged by.
//!
//! Owns the comparison of what was asked with what stands. Never asks, never reads a clock.

use std::collections::BTreeMap;

use super::{
    decode::{self, Maps},
    object::{BgpBase, BgpSettings, BgpVrf, FrrKey, FrrObject, Leak, UnusedMaps, VrfVni},
};
use crate::{
    model::IfName,
    planes::{Change, Operation, Verb},
};

/// Everything of interest that FRR has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The default BGP instance.
    pub base: BgpBase,
    /// The VRF blocks.
    pub vrfs: BTreeMap<IfName, VrfVni>,
    /// The BGP instances of VRFs.
    pub bgp: BTreeMap<IfName, BgpVrf>,
    /// What the default instance imports, by VRF.
    pub leaks: BTreeMap<IfName, Leak>,
    /// Our route-maps.
    pub maps: Maps,
}

/// The texts that a view is made of, as FRR showed them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// `show running-config` of the daemon that owns VRF blocks.
    pub vrf_running: &'a str,
    /// `show vrf` of zebra where it owns the VRF blocks, since it does not write empty ones; else empty.
    pub vrf_list: &'a str,
    /// `show running-config` of bgpd.
    pub bgp_running: &'a str,
    /// `show evpn vni detail json` of zebra.
    pub l3vnis: &'a str,
}

impl View {
    /// The view that these texts show.
    pub fn read(texts: Texts<'_>) -> Self {
        let decode::Bgp { base, vrfs: bgp, leaks, maps } = decode::bgp(texts.bgp_running);
        let mut blocks = decode::vrf_blocks(texts.vrf_running);
        for vrf in decode::vrf_list(texts.vrf_list) {
            blocks.entry(vrf).or_insert(None);
        }
        let vrfs = blocks.into_iter().map(|(vrf, vni)| (vrf, VrfVni { vrf, vni, up: false })).collect();
        let mut view = Self { base, vrfs, bgp, leaks, maps };
        view.set_states(&decode::l3vnis(texts.l3vnis));
        view
    }

    /// Takes over which L3VNIs are up; one that is not listed is not up.
    pub fn set_states(&mut self, up: &BTreeMap<u32, bool>) {
        for block in self.vrfs.values_mut() {
            block.up = block.vni.and_then(|vni| up.get(&vni)).copied().unwrap_or(false);
        }
    }

    /// Takes over that these L3VNIs are up and leaves the others as they are. Gives the changes.
    pub fn raise(&mut self, up: &BTreeMap<u32, bool>) -> Vec<Change<FrrObject, FrrKey>> {
        let news =
            |block: &&mut VrfVni| !block.up && block.vni.is_some_and(|vni| up.get(&vni) == Some(&true));
        let raised = self.vrfs.values_mut().filter(news).map(|block| {
            block.up = true;
            Change::Present(FrrObject::Vrf(block.clone()))
        });
        raised.collect()
    }

    /// The VNIs that are configured and not up.
    pub fn waiting(&self) -> Vec<u32> {
        self.vrfs.values().filter(|block| !block.up).filter_map(|block| block.vni).collect()
    }

    /// Every object.
    pub fn objects(&self) -> Vec<FrrObject> {
        let base = FrrObject::Base(self.base.clone());
        let vrfs = self.vrfs.values().cloned().map(FrrObject::Vrf);
        let bgp = self.bgp.values().cloned().map(FrrObject::Bgp);
        let leaks = self.leaks.values().cloned().map(FrrObject::Leak);
        let maps = self.unused_maps().map(FrrObject::Maps);
        std::iter::once(base).chain(vrfs).chain(bgp).chain(leaks).chain(maps).collect()
    }

    /// What is left of our route-maps, where no instance names them.
    fn unused_maps(&self) -> Option<UnusedMaps> {
        let unused = !self.bgp.values().any(|instance| instance.settings.uses_maps());
        (unused && !self.maps.seen.is_empty()).then_some(UnusedMaps)
    }

    /// What leads from this view to a newer one.
    pub fn changes(&self, newer: &Self) -> Vec<Change<FrrObject, FrrKey>> {
        let mut changes = Vec::new();
        if self.base != newer.base {
            changes.push(Change::Present(FrrObject::Base(newer.base.clone())));
        }
        compare(&self.vrfs, &newer.vrfs, FrrObject::Vrf, FrrKey::Vrf, &mut changes);
        compare(&self.bgp, &newer.bgp, FrrObject::Bgp, FrrKey::Bgp, &mut changes);
        compare(&self.leaks, &newer.leaks, FrrObject::Leak, FrrKey::Leak, &mut changes);
        match (self.unused_maps(), newer.unused_maps()) {
            (None, Some(maps)) => changes.push(Change::Present(FrrObject::Maps(maps))),
            (Some(_), None) => changes.push(Change::Absent(FrrKey::Maps)),
            _ => {}
        }
        changes
    }

    /// What was asked stands. The state of an L3VNI is no part of it: it follows the kernel's devices.
    pub fn holds(&self, operation: &Operation<FrrObject>) -> bool {
        match (operation.verb, &operation.object) {
            (Verb::Remove, FrrObject::Vrf(block)) => !self.vrfs.contains_key(&block.vrf),
            (Verb::Remove, FrrObject::Bgp(instance)) => !self.bgp.contains_key(&instance.vrf),
            (Verb::Remove, FrrObject::Leak(leak)) => !self.leaks.contains_key(&leak.vrf),
            (_, FrrObject::Leak(wish)) => self.leaks.get(&wish.vrf) == Some(wish),
            (_, FrrObject::Vrf(wish)) => self.vrfs.get(&wish.vrf).and_then(|block| block.vni) == wish.vni,
            (_, FrrObject::Bgp(wish)) => self.bgp.get(&wish.vrf).is_some_and(|seen| seen.meets(wish)),
            (Verb::Remove, FrrObject::Maps(_)) => self.unused_maps().is_none(),
            (_, FrrObject::Maps(_) | FrrObject::Base(_)) => false,
        }
    }

    /// The view as it will be if this operation succeeds, so that the next one of a batch is encoded for that.
    pub fn assume(&mut self, operation: &Operation<FrrObject>) {
        match (operation.verb, &operation.object) {
            (Verb::Remove, FrrObject::Vrf(block)) => drop(self.vrfs.remove(&block.vrf)),
            (Verb::Remove, FrrObject::Bgp(instance)) => drop(self.bgp.remove(&instance.vrf)),
            (Verb::Remove, FrrObject::Leak(leak)) => drop(self.leaks.remove(&leak.vrf)),
            (_, FrrObject::Leak(wish)) => drop(self.leaks.insert(wish.vrf, wish.clone())),
            (_, FrrObject::Vrf(wish)) => drop(self.vrfs.insert(wish.vrf, wish.clone())),
            (_, FrrObject::Bgp(wish)) => {
                if wish.settings.uses_maps() {
                    self.make_maps_whole();
                }
                let wish = self.beside_standing(wish);
                self.bgp.insert(wish.vrf, wish);
            }
            (Verb::Remove, FrrObject::Maps(_)) => self.maps = Maps::default(),
            (_, FrrObject::Maps(_) | FrrObject::Base(_)) => {}
        }
    }

    /// Instances let a route-map go before it is made anew.
    fn make_maps_whole(&mut self) {
        if self.maps.are_whole() {
            return;
        }
        self.bgp.values_mut().for_each(|instance| self.maps.let_go(&mut instance.settings));
        self.maps.make_whole();
    }

    /// A wish as [`BgpVrf::beside`] what stands; itself where nothing does.
    pub fn beside_standing(&self, wish: &BgpVrf) -> BgpVrf {
        self.bgp.get(&wish.vrf).map_or_else(|| wish.clone(), |standing| wish.beside(standing))
    }

    /// What a BGP instance says now; nothing for one that is not there.
    pub fn settings(&self, vrf: IfName) -> BgpSettings {
        self.bgp.get(&vrf).map(|instance| instance.settings.clone()).unwrap_or_default()
    }
}

fn compare<T: Clone + PartialEq>(
    older: &BTreeMap<IfName, T>,
    newer: &BTreeMap<IfName, T>,
    object: fn(T) -> FrrObject,
    key: fn(IfName) -> FrrKey,
    changes: &mut Vec<Change<FrrObject, FrrKey>>,
) {
    let gone = older.keys().filter(|vrf| !newer.contains_key(vrf));
    changes.extend(gone.map(|vrf| Change::Absent(key(*vrf))));
    let news = newer.iter().filter(|(vrf, value)| older.get(vrf) != Some(*value));
    changes.extend(news.map(|(_, value)| Change::Present(object(value.clone()))));
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEBRA: &str = "frr version 8.4.4\nvrf a\n vni 1\nexit-vrf\nvrf b\n vni 2\nexit-vrf\n";

    fn block(vrf: &str, vni: Option<u32>, up: bool) -> VrfVni {
        VrfVni { vrf: vrf.parse().unwrap(), vni, up }
    }

    fn view(l3vnis: &str) -> View {
        View::read(Texts {
            vrf_running: ZEBRA,
            vrf_list: "vrf c inactive (configured)",
            l3vnis,
            ..Texts::default()
        })
    }

    #[test]
    fn a_view_joins_blocks_and_states() {
        let view = view(r#"[{"vni":1,"type":"L3","state":"Up"},{"vni":2,"type":"L3","state":"Down"}]"#);
        let blocks: Vec<_> = view.vrfs.values().cloned().collect();
        assert_eq!(blocks, [block("a", Some(1), true), block("b", Some(2), false), block("c", None, false)]);
        assert_eq!(view.waiting(), [2]);
    }

    #[test]
    fn changes_lead_from_one_view_to_the_next() {
        let older = view("[]");
        let mut newer = view(r#"[{"vni":1,"type":"L3","state":"Up"}]"#);
        newer.vrfs.remove(&"c".parse().unwrap());
        newer.base.evpn = true;
        let changes = older.changes(&newer);
        let wished = [
            Change::Present(FrrObject::Base(newer.base.clone())),
            Change::Absent(FrrKey::Vrf("c".parse().unwrap())),
            Change::Present(FrrObject::Vrf(block("a", Some(1), true))),
        ];
        assert_eq!(changes, wished);
    }

    #[test]
    fn only_what_came_up_is_raised() {
        let mut view = view(r#"[{"vni":1,"type":"L3","state":"Up"}]"#);
        let changes = view.raise(&BTreeMap::from([(2, true)]));
        assert_eq!(changes, [Change::Present(FrrObject::Vrf(block("b", Some(2), true)))]);
        assert!(view.waiting().is_empty(), "a is still up, although nothing was said about it");
    }

    #[test]
    fn a_vrf_stands_whether_it_is_up_or_not() {
        let wish = |vrf, vni| Operation { verb: Verb::Update, object: FrrObject::Vrf(block(vrf, vni, true)) };
        let view = view("[]");
        assert!(view.holds(&wish("a", Some(1))) && !view.holds(&wish("a", Some(2))));
        assert!(
            view.holds(&wish("c", None))
                && view.holds(&wish("unknown", None))
                && !view.holds(&wish("a", None))
        );
    }
}
