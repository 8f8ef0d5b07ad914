//! Operations on their way: which keys may be worked on now, batches to the planes, and what comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{Batch, Core, Learned, Open, is_prefix, is_underlays, unanswered::Flight};
use crate::{
    model::IfName,
    planes::{
        Command, Operation, Outcome, Verb,
        frr::object::{FrrKey, FrrObject, VrfVni},
        kernel::object::{KernelKey, KernelObject},
    },
    reconcile::{
        exposed::attracting,
        object::{Key, Object, PlaneId},
        order::{self, Rank},
        pace::Turn,
        part::Part,
        retry,
        slice::{Hold, Side, Slice},
    },
};

/// How many open keys there is always room for.
const SPARE: usize = 4096;

/// With how many operations under way to the kernel no further prefix is added, and how many go in one batch: what comes
/// meanwhile waits behind no more than that, and how far a large change is shows as it goes. Of what the way for prefixes is made
/// of there is little, and its order is that of its batch.
const UNDER_WAY: usize = 2 * LARGEST;
const LARGEST: usize = 2048;

/// How many of these a slice may have at least, where many want some.
const SHARE: usize = 64;

/// Batches that are being put together, by plane; a slice that goes alone has one of its own, behind that of all others.
type Batches = BTreeMap<(PlaneId, Option<Option<Part>>), Batch>;

/// What is being put together, and for how many prefixes there is room: in all and for each slice.
struct Round {
    batches: Batches,
    room: usize,
    share: usize,
    /// The first slice that got less than its share.
    first_short: Option<Option<Part>>,
}

impl Core {
    /// The next commands; empty where nothing can be done now.
    pub fn poll(&mut self, now: Instant) -> Vec<(PlaneId, Command<Object>)> {
        self.release_in_time(now);
        self.pace.forget(now);
        while let Some(entry) = self.retries.first_entry().filter(|entry| entry.key().0 <= now) {
            let (_, retry) = *entry.key();
            let key = entry.remove();
            // One that was opened anew meanwhile waits for this one still.
            let counts = |open: &&Open| open.retry == retry || open.retry == 0;
            match self.open.get(&key).filter(counts).map(|open| &open.hold) {
                Some(Some(Hold::Refused(_))) => self.judge(&key, true),
                Some(Some(Hold::Lost(_, until))) if *until <= now => self.no_longer_lost(&key),
                _ => {}
            }
        }
        let mut commands: Vec<_> = Vec::new();
        for plane in std::mem::take(&mut self.unread) {
            self.reading.insert(plane, now);
            commands.push((plane, Command::Read));
        }
        if !self.basics_known() {
            return commands;
        }
        let mut active = std::mem::take(&mut self.active);
        let mut round = self.round(active.len());
        // Who got less than his share the last time comes first.
        let first = active.split_off(&self.first);
        for slice in first.into_iter().chain(active) {
            self.ready_of(slice, now, &mut round);
            self.say_what_was_not_said(slice);
            if self.slices.get(&slice).is_some_and(Slice::is_empty) {
                self.slices.remove(&slice);
            }
        }
        self.first = round.first_short.unwrap_or(self.first);
        for ((plane, alone), mut batch) in round.batches {
            batch.sort_by_key(|(_, operation)| within_batch(operation));
            while !batch.is_empty() {
                let goes_in_parts = plane == PlaneId::Kernel && alone.is_none();
                let most = if goes_in_parts { LARGEST } else { usize::MAX };
                let rest = batch.split_off(most.min(batch.len()));
                let operations: Vec<_> = batch.iter().map(|(_, operation)| operation.clone()).collect();
                let id = self.take_off(plane, batch, now);
                commands.push((plane, Command::Apply { id, operations }));
                batch = rest;
            }
        }
        // Nothing is under way that their turn could come with.
        if !self.flights.values().any(|flight| flight.plane == PlaneId::Kernel) {
            self.active.append(&mut self.crowded);
        }
        commands
    }

    fn round(&self, slices: usize) -> Round {
        let under_way = self.flights.values().filter(|flight| flight.plane == PlaneId::Kernel);
        let room = UNDER_WAY.saturating_sub(under_way.map(|flight| flight.batch.len()).sum());
        let share = SHARE.max(room / slices.max(1));
        Round { batches: Batches::new(), room, share, first_short: None }
    }

    fn say_what_was_not_said(&mut self, slice: Option<Part>) {
        let is_open = |slice: &Slice| slice.open_keys(Side::Build) + slice.open_keys(Side::Remove) > 0;
        if self.slices.get(&slice).is_some_and(is_open) {
            return;
        }
        let unsaid = self.said.settled(slice);
        if unsaid > 0 {
            let part = slice.map(|part| part.to_string());
            tracing::info!(part, unsaid, "nothing is refused any more; so often it was not said");
        }
    }

    /// Without the ledger and the local database nothing is ours and nothing has a place.
    fn basics_known(&self) -> bool {
        self.is_whole(PlaneId::Ledger) && self.is_whole(PlaneId::Vswitch)
    }

    pub(in crate::reconcile) fn is_whole(&self, plane: PlaneId) -> bool {
        self.planes.get(&plane).is_some_and(|state| state.whole)
    }

    /// The planes that this slice has to wait for: nothing is sent behind a batch that its peer may die of, and of such
    /// batches one at a time.
    fn kept_from(&self, slice: Option<Part>, batches: &Batches) -> BTreeSet<PlaneId> {
        let is_alone = |plane: &PlaneId, slice| self.alone.contains(&(*plane, slice));
        let in_flight = self.flights.values().filter(|Flight { plane, batch, .. }| {
            let open = batch.first().and_then(|(key, _)| self.open.get(key));
            open.is_some_and(|open| is_alone(plane, open.slice))
        });
        let begun = batches.keys().filter(|(plane, alone)| alone.is_some() && is_alone(plane, slice));
        in_flight.map(|flight| flight.plane).chain(begun.map(|(plane, _)| *plane)).collect()
    }

    /// Where a tenant that waits has a port, or will have one: a flow that is nobody's yet may turn out to be its.
    fn adopting_bridges(&self) -> BTreeSet<IfName> {
        let waiting = self.slices.iter().filter(|(_, slice)| !slice.waiting.is_empty());
        let all = || {
            self.planes.keys().filter_map(|plane| match plane {
                PlaneId::Flows(bridge) => Some(*bridge),
                _ => None,
            })
        };
        let bridges = |(part, slice): (&Option<Part>, &Slice)| match part {
            // Which bridge a provider network is on may be just what is not known.
            Some(Part::Network(_)) if slice.bridges.is_empty() => all().collect::<Vec<_>>(),
            part => {
                let vni = part.and_then(Part::vni);
                let stands = vni.iter().flat_map(|vni| self.node.bridges_of(*vni));
                stands.chain(slice.bridges.iter().copied()).collect()
            }
        };
        waiting.flat_map(bridges).collect()
    }

    fn ready_of(&mut self, slice: Option<Part>, now: Instant, round: &mut Round) {
        let removable = self.removable_to(slice);
        let founded = slice.is_none_or(|part| self.is_founded(part));
        let kept =
            if self.alone.is_empty() { BTreeSet::new() } else { self.kept_from(slice, &round.batches) };
        if !kept.is_empty() {
            self.active.insert(slice);
        }
        let adopting = if slice.is_none() { self.adopting_bridges() } else { BTreeSet::new() };
        // What is read before an operation and told behind it would be taken for what became of it.
        let (planes, reading) = (&self.planes, &self.reading);
        let share = round.share.min(round.room);
        let (mut room, mut crowded) = (share, false);
        let mut writable = |key: &Key| {
            let plane = key.plane();
            let may_be_adopted = matches!(plane, PlaneId::Flows(bridge) if adopting.contains(&bridge));
            let is_known =
                planes.get(&plane).is_some_and(|state| state.whole) && !reading.contains_key(&plane);
            if !is_known || kept.contains(&plane) || may_be_adopted {
                return false;
            }
            if !matches!(key, Key::Kernel(key) if attracting(key).is_some()) {
                return true;
            }
            let fits = room > 0;
            crowded |= !fits;
            room -= usize::from(fits);
            fits
        };
        let Some(held) = self.slices.get_mut(&slice) else {
            return;
        };
        // What attracts traffic waits until the way for it is complete.
        let buildable = match held.waiting.is_empty() {
            _ if !founded => 0,
            true => order::RANKS as Rank,
            false => order::ADVERTISE,
        };
        let mut ready = held.take_ready(Side::Remove, &mut writable, removable);
        ready.extend(held.take_ready(Side::Build, &mut writable, buildable));
        round.room -= share - room;
        if crowded {
            self.crowded.insert(slice);
        }
        if crowded && share < round.share && round.first_short.is_none() {
            round.first_short = Some(slice);
        }
        for key in ready {
            if self.waits_its_turn(&key, now) {
                continue;
            }
            let Some(operation) = self.operation(&key) else {
                // What it was open for has changed since.
                self.judge(&key, true);
                continue;
            };
            if let Some(open) = self.open.get_mut(&key) {
                open.hold = Some(Hold::Flying);
                (open.told, open.rewished) = (false, false);
            }
            let plane = key.plane();
            let alone = self.alone.contains(&(plane, slice)).then_some(slice);
            round.batches.entry((plane, alone)).or_default().push((key, operation));
        }
    }

    /// An object that somebody else changes again and again is mended at a slower pace.
    fn waits_its_turn(&mut self, key: &Key, now: Instant) -> bool {
        if !self.open.get(key).is_some_and(|open| open.drifted) {
            return false;
        }
        let turn = self.pace.mend(key, now);
        if turn == Turn::Now {
            return false;
        }
        let wished = self.wished.get(key).map(|wished| &*wished.object);
        let object = wished.or_else(|| self.actual(key));
        let object = object.map(ToString::to_string).unwrap_or_default();
        if let Some(mut open) = self.open.remove(key) {
            self.close(key, &open);
            open.hold = Some(Hold::Refused(format!(
                "{object}: somebody else changes it again and again, so it is mended slowly"
            )));
            if let Turn::Later(due) = turn {
                open.retry = self.retry_at(due, key);
            }
            self.insert_open(key, open);
        }
        true
    }

    /// A key is to be tried again then; gives the number by which this one counts, and not those before.
    fn retry_at(&mut self, at: Instant, key: &Key) -> u64 {
        self.last_retry += 1;
        self.retries.insert((at, self.last_retry), key.clone());
        self.last_retry
    }

    /// The first rank of a slice that may not be removed now: nothing goes while something that must go before it may
    /// still be there unseen, and of a tenant whose frame is not complete only addresses go. What is no tenant's waits for
    /// all withdrawals.
    fn removable_to(&self, slice: Option<Part>) -> Rank {
        let Some(held) = self.slices.get(&slice) else {
            return 0;
        };
        let is_withheld = self.withholds_underlay && is_underlays(&slice);
        if !self.is_whole(PlaneId::Kernel) || self.brake.is_pending() || is_withheld {
            return 0;
        }
        // Where a provider network's way is not known, what leads to its addresses may be what stands.
        let waits = |part: &Option<Part>, held: &Slice| {
            matches!(part, Some(Part::Network(_))) && !held.waiting.is_empty()
        };
        let a_network_waits = || self.slices.iter().any(|(part, held)| waits(part, held));
        let Some(part) = slice else {
            let withdraws = |(part, slice): (&Option<Part>, &Slice)| {
                part.is_some() && slice.open_at(Side::Remove, order::WITHDRAW) > 0
            };
            return match self.slices.iter().any(withdraws) {
                true => 0,
                false if a_network_waits() => order::REMOVE_WAYS,
                false => order::RANKS as Rank,
            };
        };
        if !held.waiting.is_empty() {
            return order::WITHDRAW + 1;
        }
        if part == Part::Base && a_network_waits() {
            return order::WITHDRAW + 1;
        }
        if self.above(part).any(|(_, above)| above.open_keys(Side::Remove) > 0) {
            return order::WITHDRAW + 1;
        }
        if !self.are_flows_known(part) {
            return order::REMOVE_FLOWS;
        }
        if !self.is_whole(PlaneId::Frr) { order::REMOVE_FRR } else { order::RANKS as Rank }
    }

    /// Flows of a part that are known are open themselves. A VNI has none on bridges where it has no port; of the BGP mode,
    /// any bridge may have some.
    fn are_flows_known(&self, part: Part) -> bool {
        let is_whole = |bridge| self.is_whole(PlaneId::Flows(bridge));
        match part {
            Part::Vni(vni) => self.node.bridges_of(vni).all(is_whole),
            _ => self.planes.iter().all(|(plane, state)| !matches!(plane, PlaneId::Flows(_)) || state.whole),
        }
    }

    /// All that this part stands on stands.
    fn is_founded(&self, part: Part) -> bool {
        part.ancestors().all(|one| match self.slices.get(&Some(one)) {
            Some(slice) => slice.waiting.is_empty() && slice.open_keys(Side::Build) == 0,
            None => true,
        })
    }

    pub(super) fn land(&mut self, id: u64, outcomes: Vec<Outcome>, now: Instant, learned: &mut Learned) {
        let Some(Flight { plane, batch, .. }) = self.flights.remove(&id) else {
            return;
        };
        if plane == PlaneId::Kernel {
            self.active.append(&mut self.crowded);
        }
        let is_answered = outcomes.len() == batch.len() && !outcomes.contains(&Outcome::Unknown);
        let lost = std::iter::repeat(Outcome::Unknown);
        let mut moved = BTreeSet::new();
        // What was lost together is tried again together.
        let chance = fastrand::f64();
        for ((key, operation), outcome) in batch.into_iter().zip(outcomes.into_iter().chain(lost)) {
            let Some(mut open) = self.open.remove(&key) else {
                continue;
            };
            self.close(&key, &open);
            open.hold = None;
            if outcome != Outcome::Unknown {
                open.losses = 0;
            }
            if is_answered {
                self.alone.remove(&(plane, open.slice));
            }
            self.untold.remove(&key);
            let count = self.operations.entry((plane, outcome_word(&outcome))).or_default();
            *count += 1;
            match outcome {
                Outcome::Done => {
                    if let Some(slice) = self.slices.get_mut(&open.slice) {
                        slice.changed = Some(now);
                    }
                    let is_built = open.side == Side::Build || operation.verb == Verb::Create;
                    if is_built && open.rank < order::ADVERTISE {
                        moved.insert(open.slice);
                    }
                    tracing::debug!(%plane, verb = ?operation.verb, "done: {}", operation.object);
                    self.note_arrival(&open, &operation);
                    match open.told {
                        true => self.told_meanwhile(&key, open, &operation),
                        false => self.done(key, operation, learned),
                    }
                }
                // What is wished by now was not refused.
                Outcome::Failed(_) if open.rewished => {
                    self.reopen(&key, Some(Open { tries: 0, ..open }), false);
                }
                Outcome::Failed(reason) => {
                    if self.said.is_new(open.slice, &reason) {
                        tracing::warn!(%plane, verb = ?operation.verb, reason, "refused: {}", operation.object);
                    } else {
                        tracing::debug!(%plane, verb = ?operation.verb, reason, "refused: {}", operation.object);
                    }
                    open.tries += 1;
                    open.retry = self.retry_at(now + retry::pause(open.tries, fastrand::f64()), &key);
                    open.hold = Some(Hold::Refused(reason));
                    self.insert_open(&key, open);
                    // It may be for its device.
                    if let Key::Frr(FrrKey::Bgp(vrf)) = key {
                        self.judge(&KernelKey::Link(vrf).into(), false);
                    }
                }
                Outcome::Unknown => {
                    self.planes.entry(plane).or_default().whole = false;
                    self.unread.insert(plane);
                    self.lost(plane, key, &operation, open, now, chance);
                }
            }
        }
        // After a burst the room that it took is given back.
        if self.open.capacity() > SPARE.max(4 * self.open.len()) {
            self.open.shrink_to(2 * self.open.len());
        }
        if !moved.is_empty() && !self.retries.is_empty() {
            self.try_again(&moved);
        }
    }

    /// A prefix that came with a change of the wish stands in the kernel from now on.
    fn note_arrival(&mut self, open: &Open, done: &Operation<Object>) {
        if self.arrived.is_none()
            && done.verb == Verb::Create
            && !open.drifted
            && is_prefix(&done.object)
            && let Key::Kernel(key) = done.object.key()
        {
            self.arrived = Some((key, open.revision));
        }
    }

    /// What the plane itself has told while an operation was under way is nearer to the truth than what was asked for. Where
    /// the same would have to be done again, somebody else has undone it as fast as it was done, and is not raced.
    fn told_meanwhile(&mut self, key: &Key, open: Open, done: &Operation<Object>) {
        self.reopen(key, Some(Open { drifted: false, ..open }), false);
        let same = |due: Operation<Object>| {
            due.verb == done.verb && (due.verb == Verb::Remove || due.object == done.object)
        };
        let undone = self.operation(key).is_some_and(same);
        if let Some(open) = self.open.get_mut(key).filter(|open| open.hold.is_none()) {
            open.drifted = undone;
        }
    }

    /// What was under way to a plane is not answered any more: the plane is gone, and what stood there with it.
    pub(super) fn cancel_flights(&mut self, plane: PlaneId) {
        let cancelled: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.plane == plane).map(|(id, _)| *id).collect();
        let batches = cancelled.into_iter().filter_map(|id| self.flights.remove(&id));
        for (key, _) in batches.flat_map(|flight| flight.batch).collect::<Vec<_>>() {
            let Some(mut open) = self.open.remove(&key) else { continue };
            self.close(&key, &open);
            open.hold = None;
            self.reopen(&key, Some(open), false);
        }
    }

    /// Nobody knows what became of an operation. It is done again as soon as its plane was read; where that ends so, too,
    /// the peer may be dying of it: then it waits, ever longer, and its slice goes alone.
    fn lost(
        &mut self,
        plane: PlaneId,
        key: Key,
        operation: &Operation<Object>,
        mut open: Open,
        now: Instant,
        chance: f64,
    ) {
        open.losses += 1;
        if open.losses > 1 {
            let until = now + retry::pause_after_loss(open.losses - 1, chance);
            let reason = format!(
                "{}: the answer was lost {} times, as if {plane} died of it, so it is tried ever more slowly",
                operation.object, open.losses
            );
            tracing::warn!(%plane, verb = ?operation.verb, "{reason}");
            open.hold = Some(Hold::Lost(reason, until));
            self.alone.insert((plane, open.slice));
            open.retry = self.retry_at(until, &key);
        }
        self.reopen(&key, Some(open), false);
    }

    /// What waits since its answer was lost may be tried again.
    pub(super) fn no_longer_lost(&mut self, key: &Key) {
        let is_lost = |open: &Open| matches!(open.hold, Some(Hold::Lost(..)));
        if self.open.get(key).is_some_and(is_lost)
            && let Some(mut open) = self.open.remove(key)
        {
            self.close(key, &open);
            open.hold = None;
            self.reopen(key, Some(open), false);
        }
    }

    /// Something of these slices stands that did not: what was refused may have lacked just that, as a route whose gateway
    /// had no route yet. It does not wait for its time.
    fn try_again(&mut self, slices: &BTreeSet<Option<Part>>) {
        let refused = |key: &&Key| {
            self.open.get(*key).is_some_and(|open| {
                slices.contains(&open.slice) && matches!(open.hold, Some(Hold::Refused(_)))
            })
        };
        let keys: Vec<Key> = self.retries.values().filter(refused).cloned().collect();
        keys.iter().for_each(|key| self.judge(key, true));
    }

    fn done(&mut self, key: Key, operation: Operation<Object>, learned: &mut Learned) {
        match operation.verb {
            Verb::Remove => self.see(key, None, learned),
            Verb::Create | Verb::Update => {
                let object = acknowledged(operation.object, self.actual(&key));
                self.see(key, Some(object), learned);
            }
        }
    }

    /// No operation is under way, and nothing waits to be read again.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.unread.is_empty() && self.reading.is_empty()
    }

    /// When `poll` should be called again at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        let retry = self.retries.first_key_value().map(|((at, _), _)| *at);
        retry.into_iter().chain(self.brake.deadline()).min()
    }
}

/// An object as it stands after it was acknowledged: what the peer adds (MAC, L3VNI state) is kept as last seen.
fn acknowledged(wished: Object, actual: Option<&Object>) -> Object {
    match (wished, actual) {
        (Object::Frr(FrrObject::Vrf(wished)), actual) => {
            let up = match actual {
                Some(Object::Frr(FrrObject::Vrf(seen))) => seen.up && seen.vni == wished.vni,
                _ => false,
            };
            FrrObject::Vrf(VrfVni { up, ..wished }).into()
        }
        (Object::Kernel(KernelObject::Link(mut wished)), Some(Object::Kernel(KernelObject::Link(seen)))) => {
            wished.mac = wished.mac.or(seen.mac);
            wished.mtu = wished.mtu.or(seen.mtu);
            wished.master = wished.master.or(seen.master);
            KernelObject::Link(wished).into()
        }
        (wished, _) => wished,
    }
}

/// Removals first, the later built the sooner; then what is built, masters before slaves.
fn within_batch(operation: &Operation<Object>) -> (bool, u8) {
    let place = order::within_build(&operation.object);
    match operation.verb {
        Verb::Remove => (false, u8::MAX - place),
        Verb::Create | Verb::Update => (true, place),
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown => "unknown",
    }
}
