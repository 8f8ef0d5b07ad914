//! The bookkeeping of wished and actual objects: what is wished, what stands, and which keys are open between the two.
//! `judge` says of one key what is to be done; `flight` says when, and what became of it.
//!
//! Pure: no I/O; time is passed in. Level-triggered: whatever changed, the keys that it touches are judged again from
//! what is wished and what stands, so a lost or doubled event does no harm.

mod braking;
mod flight;
mod judge;
mod said;
mod unanswered;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

pub use self::{braking::Leaving, unanswered::Unanswered};
use self::{said::Said, unanswered::Flight};
use super::{
    brake::Brake,
    exposed,
    node::{Node, Scope},
    object::{Key, KeyMap, KeySet, Object, PlaneId},
    order::{self, Rank},
    pace::Pace,
    part::Part,
    slice::{Hold, Side, Slice, Trouble},
    table::{Table, Wished},
};
use crate::{
    intent::names,
    ledger::Ledger,
    model::{IfName, Mark, Vni},
    planes::{
        Change, Operation, Report,
        flows::object::{FlowRule, FlowsObject},
        frr::object::FrrKey,
        kernel::object::{KernelKey, KernelObject, Link, LinkKind},
    },
};

/// What is known of a plane's session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneState {
    /// Its whole view was read since the last (re)connect, and nothing is unknown since.
    pub whole: bool,
    /// Why it is down.
    pub down: Option<String>,
}

/// An open key.
#[derive(Debug)]
pub(super) struct Open {
    slice: Option<Part>,
    side: Side,
    rank: Rank,
    pub(super) hold: Option<Hold>,
    /// While an operation is under way: the plane has told since how the object stands.
    told: bool,
    /// Likewise: something else is wished since.
    rewished: bool,
    /// It is open since somebody else changed the object, not since something else is wished.
    drifted: bool,
    /// It stood as wished before.
    stood: bool,
    /// How often it was refused, and how often its answer was lost.
    tries: u32,
    losses: u32,
    /// Which of the tries to come counts.
    retry: u64,
    revision: u64,
}

/// Operations under way, with the keys that they are for.
type Batch = Vec<(Key, Operation<Object>)>;

/// The bookkeeping.
#[derive(Debug)]
pub struct Core {
    pub(super) brake: Brake,
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    pub(super) planes: BTreeMap<PlaneId, PlaneState>,
    pub(super) wished: Table<Wished>,
    tallies: BTreeMap<Part, Tally>,
    /// What stands as wished is held once: here and in the wish it is the same.
    pub(super) actual: Table<Arc<Object>>,
    /// Keys that this run wished and wishes no more, until they are gone: what carries no mark of its part is known by this.
    former: KeyMap<Part>,
    pub(super) open: KeyMap<Open>,
    /// Objects that the kernel is to tell again, since zebra has lost it, with the part and, where it does not stand, what
    /// it was.
    pub(super) untold: KeyMap<(Part, Object)>,
    open_since: BTreeMap<u64, u32>,
    /// Revisions of which the last key closed since it was last asked; one may be open again.
    closed: BTreeSet<u64>,
    pub(super) slices: BTreeMap<Option<Part>, Slice>,
    active: BTreeSet<Option<Part>>,
    /// Slices for which there was no room in the kernel's batches any more, until one of these is answered.
    crowded: BTreeSet<Option<Part>>,
    /// The slice that comes first in a round.
    first: Option<Part>,
    /// Slices in which something was opened or closed since it was last asked.
    changed: BTreeSet<Part>,
    flights: HashMap<u64, Flight>,
    next_flight: u64,
    /// Slices whose operations go to a plane in batches of their own: answers to them were lost again and again, so that
    /// its peer may be dying of one of them.
    alone: BTreeSet<(PlaneId, Option<Part>)>,
    retries: BTreeMap<(Instant, u64), Key>,
    pace: Pace,
    last_retry: u64,
    /// Planes to be asked for everything, and those that were and have not answered yet, with when that was.
    unread: BTreeSet<PlaneId>,
    reading: BTreeMap<PlaneId, Instant>,
    said: Said,
    /// Prefixes that were wished and not wished any more since this was last taken, by VNI.
    moved: BTreeMap<Vni, (u64, u64)>,
    /// A new address that the kernel has acknowledged, with the revision of the wish that it came with: the first one since
    /// this was last taken.
    arrived: Option<(KernelKey, u64)>,
    /// Nothing of the BGP mode's is removed.
    withholds_underlay: bool,
    /// Counts changes of the wish.
    pub(super) revision: u64,
    /// Operations by plane and outcome.
    pub(super) operations: BTreeMap<(PlaneId, &'static str), u64>,
}

/// What a report led to beyond the bookkeeping.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Tenants whose frame has to be made again.
    pub frames: BTreeSet<Vni>,
    /// All of them.
    pub all_frames: bool,
    /// VNIs whose ledger entry changed.
    pub ledger: BTreeSet<Vni>,
}

impl Learned {
    fn scope(&mut self, scope: Scope) {
        match scope {
            Scope::None => {}
            Scope::One(vni) => drop(self.frames.insert(vni)),
            Scope::All => self.all_frames = true,
        }
    }
}

impl Core {
    /// A bookkeeping that knows nothing yet.
    pub fn new(brake: Brake, node: Node) -> Self {
        Self {
            brake,
            node,
            ledger: Ledger::default(),
            planes: BTreeMap::new(),
            wished: Table::default(),
            tallies: BTreeMap::new(),
            actual: Table::default(),
            former: KeyMap::default(),
            open: KeyMap::default(),
            untold: KeyMap::default(),
            open_since: BTreeMap::new(),
            closed: BTreeSet::new(),
            slices: BTreeMap::new(),
            active: BTreeSet::new(),
            crowded: BTreeSet::new(),
            first: None,
            changed: BTreeSet::new(),
            flights: HashMap::new(),
            next_flight: 0,
            alone: BTreeSet::new(),
            retries: BTreeMap::new(),
            pace: Pace::default(),
            last_retry: 0,
            unread: BTreeSet::new(),
            reading: BTreeMap::new(),
            said: Said::default(),
            moved: BTreeMap::new(),
            arrived: None,
            withholds_underlay: false,
            revision: 0,
            operations: BTreeMap::new(),
        }
    }

    /// Wishes an object for a part, or none under this key any more.
    pub fn wish(&mut self, key: Key, wished: Option<(Part, Object)>) {
        let same = match (self.wished.get(&key), &wished) {
            (Some(before), Some((part, object))) => before.part() == *part && *before.object == *object,
            (before, wished) => before.is_none() && wished.is_none(),
        };
        if same {
            return;
        }
        let wished = wished.map(|(part, object)| Wished::new(part, shared(object, self.actual.get(&key))));
        let before = match wished.clone() {
            Some(wished) => {
                self.brake.let_go(&key);
                self.former.remove(&key);
                self.wished.put(wished)
            }
            None => self.wished.take(&key),
        };
        if let (Some(before), None) = (&before, &wished) {
            self.former.insert(key.clone(), before.part());
        }
        self.count(before.as_ref(), wished.as_ref());
        self.no_longer_lost(&key);
        if let Some(open) = self.open.get_mut(&key) {
            open.rewished = true;
        }
        self.judge(&key, true);
        self.judge_vrf_of(&key, true);
    }

    /// Whether a VRF may have its VNI can depend on its instance: on what stands, and on what is wished.
    fn judge_vrf_of(&mut self, key: &Key, changed: bool) {
        if let Key::Frr(FrrKey::Bgp(vrf)) = *key {
            self.judge(&FrrKey::Vrf(vrf).into(), changed);
        }
    }

    /// A part wishes nothing under this key any more; another may by now.
    pub fn unwish(&mut self, key: Key, part: Part) {
        if self.wished.get(&key).is_some_and(|wished| wished.part() == part) {
            self.wish(key, None);
        }
    }

    /// What is wished under this key is another part's from now on.
    pub fn hand_over(&mut self, key: &Key, part: Part) {
        if let Some(wished) = self.wished.get(key).filter(|wished| wished.part() != part) {
            let object = Object::clone(&wished.object);
            self.wish(key.clone(), Some((part, object)));
        }
    }

    /// A part's slice may be worked on again: its frame changed.
    pub fn activate(&mut self, slice: Option<Part>) {
        self.active.insert(slice);
        self.changed.extend(slice);
    }

    /// Whether nothing of the BGP mode's, and nothing that may be its, is removed from now on.
    pub fn withhold_underlay(&mut self, withholds: bool) {
        if self.withholds_underlay != withholds {
            self.withholds_underlay = withholds;
            let waiting = self.slices.keys().copied().filter(is_underlays);
            self.active.extend(waiting);
        }
    }

    /// The parts in which something changed since this was last called.
    pub fn take_changed(&mut self) -> BTreeSet<Part> {
        std::mem::take(&mut self.changed)
    }

    /// Takes in what a plane says.
    pub fn report(&mut self, plane: PlaneId, report: Report<Object, Key>, now: Instant) -> Learned {
        let mut learned = Learned::default();
        // The last words of a session whose bridge is gone.
        if matches!(plane, PlaneId::Flows(_)) && !self.planes.contains_key(&plane) {
            return learned;
        }
        match report {
            Report::Down(reason) => {
                tracing::warn!(%plane, reason, "session is down");
                self.reading.remove(&plane);
                self.planes.insert(plane, PlaneState { whole: false, down: Some(reason) });
            }
            Report::Whole(objects) => self.whole(plane, objects, &mut learned),
            Report::Changed(changes) => {
                for change in changes {
                    match change {
                        Change::Present(object) => self.see(object.key(), Some(object), &mut learned),
                        Change::Absent(key) => self.see(key, None, &mut learned),
                    }
                }
            }
            Report::Results { id, outcomes } => self.land(id, outcomes, now, &mut learned),
            // No business of the bookkeeping.
            Report::Backlog(_) | Report::Forgotten(_) | Report::Bgp(_) | Report::Daemons(_) => {}
        }
        if plane == PlaneId::Vswitch {
            self.follow_bridges(&mut learned);
        }
        learned
    }

    /// The bridges that need an OpenFlow session.
    pub fn flow_bridges(&self) -> BTreeSet<IfName> {
        let bridge = |plane: &PlaneId| match plane {
            PlaneId::Flows(bridge) => Some(*bridge),
            _ => None,
        };
        self.planes.keys().filter_map(bridge).collect()
    }

    /// Every bridge that matters has a flows plane, not read yet when it is new, and keeps it while flows of ours are there.
    /// Where the bridge is gone its flows are gone too.
    fn follow_bridges(&mut self, learned: &mut Learned) {
        let mut bridges = self.node.flow_bridges();
        let before = self.flow_bridges();
        bridges
            .extend(before.difference(&bridges).copied().filter(|b| self.has_flows(*b)).collect::<Vec<_>>());
        for bridge in &bridges {
            self.planes.entry(PlaneId::Flows(*bridge)).or_default();
        }
        let is_gone = |plane: &PlaneId| matches!(plane, PlaneId::Flows(bridge) if !bridges.contains(bridge));
        let gone: Vec<PlaneId> = self.planes.keys().copied().filter(is_gone).collect();
        for plane in gone {
            self.cancel_flights(plane);
            self.whole(plane, Vec::new(), learned);
            self.planes.remove(&plane);
        }
    }

    fn has_flows(&self, bridge: IfName) -> bool {
        let is_ours = |object: &Arc<Object>| match &**object {
            Object::Flows(FlowsObject::Flow(flow)) => {
                flow.bridge == bridge && !matches!(flow.rule, FlowRule::Foreign { .. })
            }
            _ => false,
        };
        self.node.may_have_flows(bridge) && self.actual.iter().any(is_ours)
    }

    fn whole(&mut self, plane: PlaneId, mut objects: Vec<Object>, learned: &mut Learned) {
        let before = self.planes.insert(plane, PlaneState { whole: true, down: None });
        if !before.is_some_and(|state| state.whole) {
            tracing::info!(%plane, objects = objects.len(), "whole view read");
        }
        self.unread.remove(&plane);
        self.reading.remove(&plane);
        let mut gone: KeySet = self.actual.keys().filter(|key| key.plane() == plane).collect();
        // Links first: whether an address or a neighbour is ours depends on its link's mark.
        objects.sort_by_key(|object| !matches!(object, Object::Kernel(KernelObject::Link(_))));
        for object in objects {
            let key = object.key();
            gone.remove(&key);
            self.see(key, Some(object), learned);
        }
        for key in gone {
            self.see(key, None, learned);
        }
        let wished: Vec<Key> = self.wished.keys().filter(|key| key.plane() == plane).collect();
        for key in wished {
            self.judge(&key, false);
        }
        self.active.extend(self.slices.keys());
    }

    fn see(&mut self, key: Key, object: Option<Object>, learned: &mut Learned) {
        learned.scope(self.node.learn(&key, object.as_ref()));
        if let Key::Ledger(vni) = key {
            learned.ledger.insert(vni);
            learned.frames.insert(vni);
            match &object {
                Some(Object::Ledger(entry)) => self.ledger.put(entry.clone()),
                _ => self.ledger.remove(vni),
            }
        }
        if let Some(open) = self.open.get_mut(&key) {
            open.told = true;
        }
        let changed = self.actual.get(&key).map(Arc::as_ref) != object.as_ref();
        match object {
            Some(object) if changed => {
                let object = shared(object, self.wished.get(&key).map(|wished| &wished.object));
                self.actual.put(object);
            }
            Some(_) => {}
            None => drop(self.actual.take(&key)),
        }
        let was_open = self.open.contains_key(&key);
        self.judge_seen(&key, changed, changed && !was_open);
        self.judge_vrf_of(&key, changed);
        if changed {
            self.judge_stanzas_of(&key);
            self.judge_routes_of(&key);
            self.judge_addresses_of(&key);
        }
    }

    /// Whose FRR's stanzas are depends on the ledger and on the VRF's device.
    fn judge_stanzas_of(&mut self, key: &Key) {
        let Some(vrf) = vrf_of(key) else { return };
        for key in [FrrKey::Vrf(vrf).into(), FrrKey::Bgp(vrf).into(), FrrKey::Leak(vrf).into()] {
            if self.actual.has(&key) {
                self.judge(&key, true);
            }
        }
    }

    /// And so does whose the routes in its table are, that were nobody's until now.
    fn judge_routes_of(&mut self, key: &Key) {
        let Some(vni) = vrf_of(key).and_then(|vrf| names::vni_of(&vrf)) else { return };
        let Some(orphans) = self.slices.get(&None) else { return };
        let is_there =
            |key: &&Key| matches!(key, Key::Kernel(KernelKey::Route(table, ..)) if *table == vni.get());
        let routes: Vec<Key> = orphans.removable().filter(is_there).cloned().collect();
        routes.iter().for_each(|key| self.judge(key, true));
    }

    /// What stands on the dummy of the BGP mode becomes ours with it, when that is adopted.
    fn judge_addresses_of(&mut self, key: &Key) {
        let Some(Object::Kernel(KernelObject::Link(link))) = self.actual(key) else { return };
        if link.owner != Some(Mark::Underlay) || link.kind != LinkKind::Dummy {
            return;
        }
        let dev = link.name;
        let is_on_it = |key: &Key| matches!(key, Key::Kernel(KernelKey::Address(on, ..)) if *on == dev);
        let addresses: Vec<Key> = self.actual.keys().filter(is_on_it).collect();
        addresses.iter().for_each(|key| self.judge(key, true));
    }

    /// Everything of every plane is to be read again; of the ledger, which nobody else writes, only where it could not be
    /// read yet.
    pub fn read_all(&mut self) {
        let is_due = |(plane, state): &(&PlaneId, &PlaneState)| **plane != PlaneId::Ledger || !state.whole;
        self.unread.extend(self.planes.iter().filter(is_due).map(|(plane, _)| *plane));
    }

    /// The last revision of the wish that stands as a whole.
    pub fn watermark(&self) -> u64 {
        self.open_since.first_key_value().map_or(self.revision, |(revision, _)| revision.saturating_sub(1))
    }

    /// Whether something of a revision of the wish does not stand yet.
    pub fn is_open_since(&self, revision: u64) -> bool {
        self.open_since.contains_key(&revision)
    }

    /// The revisions of which the last key closed, for a while at least, since this was last called.
    pub fn take_closed(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.closed)
    }

    /// An object as it stands.
    pub fn actual(&self, key: &Key) -> Option<&Object> {
        self.actual.get(key).map(Arc::as_ref)
    }

    /// The part that wishes a key, or did until now.
    fn part_of(&self, key: &Key) -> Option<Part> {
        self.wished.get(key).map(Wished::part).or_else(|| self.former.get(key).copied())
    }

    /// Every link that stands.
    pub fn actual_links(&self) -> impl Iterator<Item = &Link> {
        self.actual.iter().filter_map(|object| match &**object {
            Object::Kernel(KernelObject::Link(link)) => Some(link),
            _ => None,
        })
    }

    /// What is wished for a part that is counted by itself, and all that is counted with it.
    pub fn tally(&self, part: Part) -> Tally {
        self.tallies.get(&part).copied().unwrap_or_default()
    }

    /// How many prefixes of a part that is counted by itself are wished and stand.
    pub fn standing_prefixes(&self, part: Part) -> usize {
        self.tally(part).prefixes.saturating_sub(self.prefixes_away(part))
    }

    /// How many of them are hosts, where all stand: else what does not stand may be a subnet.
    pub fn standing_hosts_of(&self, part: Part) -> Option<usize> {
        (self.prefixes_away(part) == 0).then(|| self.tally(part).hosts)
    }

    fn prefixes_away(&self, part: Part) -> usize {
        let own = self.slices.get(&Some(part)).into_iter();
        let slices = own.chain(self.above(part).map(|(_, slice)| slice));
        // A frame that is not complete keeps the addresses back, which are open then: they are counted as such.
        slices.map(|slice| slice.open_at(Side::Build, order::ADVERTISE) as usize).sum()
    }

    /// Whether all that a part's addresses depend on stands as wished.
    pub fn is_built(&self, part: Part) -> bool {
        self.slices.get(&Some(part)).is_some_and(Slice::is_built)
    }

    /// How a key stands: its trouble and the reason, or that it is on its way; None where it stands as wished.
    pub fn standing(&self, key: &Key) -> Option<Option<(Trouble, &str)>> {
        self.open.get(key).map(|open| open.hold.as_ref().and_then(Hold::trouble))
    }

    /// The first new address that the kernel has acknowledged since this was last called, with its revision of the wish.
    pub fn take_arrived(&mut self) -> Option<(KernelKey, u64)> {
        self.arrived.take()
    }

    /// How many prefixes came and went by VNI since this was last called.
    pub fn take_moved(&mut self) -> BTreeMap<Vni, (u64, u64)> {
        std::mem::take(&mut self.moved)
    }

    fn count(&mut self, before: Option<&Wished>, now: Option<&Wished>) {
        let vni = |of: Option<&Wished>| {
            of.filter(|wished| is_prefix(&wished.object)).and_then(|wished| wished.part().vni())
        };
        match (before, now) {
            (None, Some(_)) => {
                if let Some(vni) = vni(now) {
                    self.moved.entry(vni).or_default().0 += 1;
                }
            }
            (Some(_), None) => {
                if let Some(vni) = vni(before) {
                    self.moved.entry(vni).or_default().1 += 1;
                }
            }
            _ => {}
        }
        if let Some(wished) = before
            && let Some(tally) = self.tallies.get_mut(&wished.part().counted())
        {
            tally.objects -= 1;
            tally.prefixes -= usize::from(is_prefix(&wished.object));
            tally.hosts -= usize::from(exposed::host(&wished.object).is_some());
            if tally.objects == 0 {
                self.tallies.remove(&wished.part().counted());
            }
        }
        if let Some(wished) = now {
            let tally = self.tallies.entry(wished.part().counted()).or_default();
            tally.objects += 1;
            tally.prefixes += usize::from(is_prefix(&wished.object));
            tally.hosts += usize::from(exposed::host(&wished.object).is_some());
        }
    }
}

/// What is wished for one tenant or provider network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All objects.
    pub objects: usize,
    /// Of these, addresses that attract traffic.
    pub prefixes: usize,
    /// Of these, those that attract it for a host.
    pub hosts: usize,
}

/// An object to be kept: the other one that is kept of the same key, where they are equal.
fn shared(object: Object, other: Option<&Arc<Object>>) -> Arc<Object> {
    other.filter(|other| ***other == object).cloned().unwrap_or_else(|| Arc::new(object))
}

/// Whether a slice is the BGP mode's, or of nobody that is known, and so perhaps the BGP mode's.
fn is_underlays(slice: &Option<Part>) -> bool {
    slice.is_none_or(|part| part.vni().is_none())
}

/// The VRF that a ledger entry is for, or that a link may be.
fn vrf_of(key: &Key) -> Option<IfName> {
    match key {
        Key::Ledger(vni) => Some(names::vrf(*vni)),
        Key::Kernel(KernelKey::Link(name)) => Some(*name),
        _ => None,
    }
}

fn is_prefix(object: &Object) -> bool {
    exposed::attracts(object).is_some()
}
