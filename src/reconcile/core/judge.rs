//! Judging one key: does it stand as wished, whose is it, what is to be done about it, and when.

use super::{Core, Open};
use crate::{
    planes::{
        Operation, Verb,
        frr::{
            dialect::held_l3vni,
            object::{FrrKey, FrrObject, VrfVni},
        },
        kernel::object::{KernelKey, KernelObject, LinkKind},
    },
    reconcile::{
        compare::{Past, Verdict, compare},
        frame,
        object::{Key, Object},
        order::{self, Rank},
        owner::{Owner, owner},
        part::Part,
        slice::{Hold, Side, Slice},
    },
};

/// Where a key stands.
struct Assessment {
    slice: Option<Part>,
    side: Side,
    rank: Rank,
    hold: Option<Hold>,
}

impl Core {
    /// Judges a key anew. One whose operation is under way is judged when that lands; one that was refused waits for its
    /// time, unless something has changed.
    pub(in crate::reconcile) fn judge(&mut self, key: &Key, changed: bool) {
        self.judge_seen(key, changed, false);
    }

    /// The same for a key of which something else was seen just now. `drifts`: it was as it should be until then.
    pub(super) fn judge_seen(&mut self, key: &Key, changed: bool, drifts: bool) {
        match self.open.get(key).map(|open| &open.hold) {
            Some(Some(Hold::Flying)) => return,
            Some(Some(Hold::Refused(_))) if !changed => return,
            _ => {}
        }
        let before = self.open.remove(key);
        if let Some(open) = &before {
            self.close(key, open);
        }
        self.reopen(key, before, drifts);
    }

    /// Judges a key that was closed for it; `before`: how it was open until then.
    pub(super) fn reopen(&mut self, key: &Key, before: Option<Open>, drifts: bool) {
        let (tries, losses, retry) =
            before.as_ref().map_or((0, 0, 0), |open| (open.tries, open.losses, open.retry));
        let since = before.as_ref().map(|open| open.revision);
        let drifted = drifts || before.as_ref().is_some_and(|open| open.drifted);
        let stood = drifts && self.wished.has(key) || before.as_ref().is_some_and(|open| open.stood);
        let Some(found) = self.assess(key, stood) else {
            if !self.wished.has(key) && !self.actual.has(key) {
                self.former.remove(key);
                self.brake.let_go(key);
            }
            return;
        };
        let revision = since.unwrap_or(self.revision);
        let Assessment { slice, side, rank, hold } = found;
        let lost = before.filter(|open| open.side == side && matches!(open.hold, Some(Hold::Lost(..))));
        let hold = hold.or(lost.and_then(|open| open.hold));
        let (told, rewished) = (false, false);
        self.insert_open(
            key,
            Open { slice, side, rank, hold, told, rewished, drifted, stood, tries, losses, retry, revision },
        );
    }

    pub(super) fn insert_open(&mut self, key: &Key, open: Open) {
        let slice = self.slices.entry(open.slice).or_default();
        slice.open(open.side, open.rank, key, open.hold.as_ref(), open.revision);
        *self.open_since.entry(open.revision).or_default() += 1;
        self.activate(open.slice);
        if let Some(Hold::Clash(reason)) = &open.hold
            && self.said.is_new(open.slice, reason)
        {
            match open.slice {
                Some(part) => tracing::warn!(%part, "held: {reason}"),
                None => tracing::warn!("held: {reason}"),
            }
        }
        self.open.insert(key.clone(), open);
    }

    pub(super) fn close(&mut self, key: &Key, open: &Open) {
        if let Some(slice) = self.slices.get_mut(&open.slice) {
            slice.close(open.side, open.rank, key, open.hold.as_ref(), open.revision);
        }
        if let Some(count) = self.open_since.get_mut(&open.revision) {
            *count -= 1;
            if *count == 0 {
                self.open_since.remove(&open.revision);
                self.closed.insert(open.revision);
            }
        }
        self.activate(open.slice);
        if open.rank == order::WITHDRAW && open.side == Side::Remove {
            // Orphans wait for all withdrawals.
            self.active.insert(None);
        }
        let Some(part) = open.slice else { return };
        match open.side {
            Side::Remove => self.active.extend(part.ancestors().map(Some)),
            Side::Build => self.activate_children(part),
        }
    }

    /// What stands on this part may be built, once nothing of it is open.
    pub fn activate_children(&mut self, part: Part) {
        if self.slices.get(&Some(part)).is_none_or(|slice| slice.open_keys(Side::Build) == 0) {
            let above: Vec<_> = self.above(part).map(|(above, _)| Some(above)).collect();
            self.active.extend(above);
        }
    }

    /// The slices of what stands on a part, as far as there is something open in them.
    pub fn above(&self, part: Part) -> impl Iterator<Item = (Part, &Slice)> {
        let stands_on_it = move |(above, slice): (&Option<Part>, _)| {
            above.filter(|above| above.ancestors().any(|one| one == part)).zip(Some(slice))
        };
        let firsts = part.first_above().into_iter();
        firsts.flat_map(move |first| self.slices.range(Some(first)..).map_while(stands_on_it))
    }

    fn assess(&self, key: &Key, stood: bool) -> Option<Assessment> {
        if let Some(assessment) = self.assess_untold(key) {
            return Some(assessment);
        }
        let actual = self.actual(key);
        if let Some(entry) = self.wished.get(key) {
            let (part, wished) = (entry.part(), &*entry.object);
            let hold = match actual {
                None => missing(wished),
                Some(_) if self.steps_back(wished) => None,
                Some(actual) => match compare(wished, actual, self.past(part, stood)) {
                    Verdict::Same => return None,
                    Verdict::Change | Verdict::Rebuild => None,
                    Verdict::Settling(reason) => Some(Hold::Settling(reason)),
                    Verdict::Clash(reason) => Some(Hold::Clash(reason)),
                },
            };
            let rank = match (&hold, wished) {
                // A VRF without its VNI waits for this.
                (Some(Hold::Clash(_)), Object::Frr(FrrObject::Bgp(_))) => order::INSTANCE_FIRST,
                _ => self.build_rank(wished),
            };
            return Some(Assessment { slice: Some(part), side: Side::Build, rank, hold });
        }
        let Some(actual) = actual else {
            let (part, _) = self.device_to_let_go(key)?;
            return Some(Assessment {
                slice: Some(part),
                side: Side::Remove,
                rank: order::REMOVE_FRR,
                hold: None,
            });
        };
        let slice = match owner(actual, &self.actual, &self.ledger, self.part_of(key)) {
            Owner::Foreign => return None,
            Owner::Part(part) => Some(part),
            Owner::Orphan => None,
        };
        let hold = self.brake.holds(key).then_some(Hold::Braked);
        Some(Assessment { slice, side: Side::Remove, rank: order::remove(actual), hold })
    }

    /// The device of a VRF that is wished no longer and has lost it, if its BGP instance cannot be removed without: bgpd
    /// clings to its L3VNI. It comes for a moment and goes as ever.
    fn device_to_let_go(&self, key: &Key) -> Option<(Part, Object)> {
        let Key::Kernel(KernelKey::Link(vrf)) = key else { return None };
        let instance = self.open.get(&Key::Frr(FrrKey::Bgp(*vrf)))?;
        let (Side::Remove, Some(Hold::Refused(reason))) = (instance.side, &instance.hold) else {
            return None;
        };
        let (part, _) = instance.slice.zip(held_l3vni(reason))?;
        Some((part, frame::vrf_link(part.vni()?).into()))
    }

    /// What stands as wished, or is gone as wished, is open all the same while it is to be told again.
    fn assess_untold(&self, key: &Key) -> Option<Assessment> {
        let (part, object) = self.untold.get(key)?;
        let (side, rank) = match self.wished.has(key) {
            true => (Side::Build, order::build(object)),
            false => (Side::Remove, order::remove(object)),
        };
        Some(Assessment { slice: Some(*part), side, rank, hold: None })
    }

    fn past(&self, part: Part, stood: bool) -> Past {
        Past { held: part.vni().is_some_and(|vni| self.ledger.get(vni).is_some()), stood }
    }

    fn build_rank(&self, wished: &Object) -> Rank {
        match wished {
            Object::Frr(FrrObject::Bgp(bgp)) if self.node.instance_first(bgp) => order::INSTANCE_FIRST,
            wished if self.steps_back(wished) => order::INSTANCE_FIRST - 1,
            wished => order::build(wished),
        }
    }

    /// Whether a VRF that stands has to let its VNI go: for a while, since the instance that must come before is missing,
    /// or until somebody else has taken his instance away, which he can't while there is an L3VNI.
    fn steps_back(&self, wished: &Object) -> bool {
        let Object::Frr(FrrObject::Vrf(vrf)) = wished else {
            return false;
        };
        let has_vni = matches!(self.actual(&Key::Frr(FrrKey::Vrf(vrf.vrf))),
            Some(Object::Frr(FrrObject::Vrf(seen))) if seen.vni.is_some());
        let instance = Key::Frr(FrrKey::Bgp(vrf.vrf));
        let Some(entry) = self.wished.get(&instance).filter(|_| has_vni) else {
            return false;
        };
        let (part, wished) = (entry.part(), &*entry.object);
        match self.actual(&instance) {
            None => matches!(wished, Object::Frr(FrrObject::Bgp(bgp)) if self.node.instance_first(bgp)),
            Some(actual) => matches!(compare(wished, actual, self.past(part, false)), Verdict::Clash(_)),
        }
    }

    /// What is to be done about an open key.
    pub(super) fn operation(&self, key: &Key) -> Option<Operation<Object>> {
        let actual = self.actual(key);
        if let Some((_, object)) = self.untold.get(key) {
            let verb = match (object, actual) {
                (_, None) => Verb::Create,
                (Object::Kernel(KernelObject::Link(_)), Some(_)) => Verb::Update,
                (_, Some(_)) => Verb::Remove,
            };
            return Some(Operation { verb, object: object.clone() });
        }
        let Some(entry) = self.wished.get(key) else {
            return match actual {
                // FRR's VRF goes in two steps.
                Some(Object::Frr(FrrObject::Vrf(vrf))) if vrf.vni.is_some() => without_vni(actual?),
                Some(actual) => Some(Operation { verb: Verb::Remove, object: actual.clone() }),
                None => {
                    let (_, object) = self.device_to_let_go(key)?;
                    Some(Operation { verb: Verb::Create, object })
                }
            };
        };
        let (part, wished) = (entry.part(), &*entry.object);
        let Some(actual) = actual else {
            return Some(Operation { verb: Verb::Create, object: wished.clone() });
        };
        if self.steps_back(wished) {
            return without_vni(actual);
        }
        let stood = self.open.get(key).is_some_and(|open| open.stood);
        match compare(wished, actual, self.past(part, stood)) {
            Verdict::Rebuild => Some(Operation { verb: Verb::Remove, object: actual.clone() }),
            _ => Some(Operation { verb: Verb::Update, object: wished.clone() }),
        }
    }
}

/// A VRF of FRR lets its VNI go, and stays.
fn without_vni(actual: &Object) -> Option<Operation<Object>> {
    let Object::Frr(FrrObject::Vrf(vrf)) = actual else {
        return None;
    };
    let object = FrrObject::Vrf(VrfVni { vrf: vrf.vrf, vni: None, up: false }).into();
    Some(Operation { verb: Verb::Update, object })
}

/// What OVS makes is not made by us.
fn missing(wished: &Object) -> Option<Hold> {
    match wished {
        Object::Kernel(KernelObject::Link(link)) if matches!(link.kind, LinkKind::Other(_)) => {
            Some(Hold::Settling(format!("OVS has not made the device {} yet", link.name)))
        }
        _ => None,
    }
}
