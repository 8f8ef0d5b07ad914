//! What is open in one VNI: objects that are not as wished yet, by rank, so that the next round is found without a search.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    object::{Key, KeySet},
    order::{self, RANKS, Rank},
};
use crate::model::IfName;

/// Whether a key is to be built or to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It is wished and does not stand so.
    Build,
    /// It stands and is not wished.
    Remove,
}

/// Why an open key is not worked on right now; None where it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An operation is under way.
    Flying,
    /// It was refused with this reason and is tried again later.
    Refused(String),
    /// Its answer was lost again and again, as this reason says; whatever changes, it is not tried again before this.
    Lost(String, Instant),
    /// It comes by itself.
    Settling(String),
    /// Somebody else's object stands there.
    Clash(String),
    /// The brake holds it.
    Braked,
}

/// Why a tenant is held by the brake.
const BRAKED: &str = "the Southbound was read anew and has no rows of some of its addresses: they stay advertised \
                         until the rows are back, or `bgp-agent release`";

/// What sort of trouble a key is in, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Somebody else's object stands in its place.
    Conflict,
    /// Its peer refused it.
    Refused,
    /// It waits for something that comes by itself, or from elsewhere.
    Waits,
}

impl Hold {
    /// The trouble and its reason; None where it is only on its way.
    pub fn trouble(&self) -> Option<(Trouble, &str)> {
        match self {
            Self::Flying => None,
            Self::Refused(reason) | Self::Lost(reason, _) => Some((Trouble::Refused, reason)),
            Self::Settling(reason) => Some((Trouble::Waits, reason)),
            Self::Clash(reason) => Some((Trouble::Conflict, reason)),
            Self::Braked => Some((Trouble::Waits, BRAKED)),
        }
    }
}

/// The open keys of one side by rank.
#[derive(Debug, Default)]
struct Open {
    count: [u32; RANKS],
    ready: [KeySet; RANKS],
}

/// One VNI's bookkeeping.
#[derive(Debug, Default)]
pub struct Slice {
    build: Open,
    remove: Open,
    /// The frame's keys that are wished.
    pub frame: KeySet,
    /// Why the frame is not complete.
    pub waiting: BTreeSet<String>,
    /// The bridges of the tenant's provider networks, as far as they are known.
    pub bridges: BTreeSet<IfName>,
    /// The troubles of open keys, and how many keys are in each: counted as they come and go, so that nobody has to look
    /// through all keys to tell.
    troubles: BTreeMap<(Trouble, String), u32>,
    /// Of which revisions of the wish keys are open, and how many of each.
    revisions: BTreeMap<u64, u32>,
    /// When the last operation was done.
    pub changed: Option<Instant>,
}

/// How many keys there is always room for.
const SPARE: usize = 64;

/// A set that was large once does not keep its room for ever.
fn give_back(set: &mut KeySet) {
    if set.is_empty() && set.capacity() > SPARE {
        *set = KeySet::default();
    }
}

impl Slice {
    fn side(&mut self, side: Side) -> &mut Open {
        match side {
            Side::Build => &mut self.build,
            Side::Remove => &mut self.remove,
        }
    }

    fn of(&self, side: Side) -> &Open {
        match side {
            Side::Build => &self.build,
            Side::Remove => &self.remove,
        }
    }

    /// A key is open since this revision of the wish.
    pub fn open(&mut self, side: Side, rank: Rank, key: &Key, hold: Option<&Hold>, revision: u64) {
        *self.revisions.entry(revision).or_default() += 1;
        let open = self.side(side);
        let rank = usize::from(rank);
        open.count[rank] += 1;
        if hold.is_none() {
            open.ready[rank].insert(key.clone());
        }
        if let Some((trouble, reason)) = hold.and_then(Hold::trouble) {
            *self.troubles.entry((trouble, reason.to_owned())).or_default() += 1;
        }
    }

    /// A key that was open since this revision is so no longer.
    pub fn close(&mut self, side: Side, rank: Rank, key: &Key, hold: Option<&Hold>, revision: u64) {
        if let Some(count) = self.revisions.get_mut(&revision) {
            *count -= 1;
            if *count == 0 {
                self.revisions.remove(&revision);
            }
        }
        let open = self.side(side);
        let rank = usize::from(rank);
        open.count[rank] -= 1;
        if open.ready[rank].remove(key) {
            give_back(&mut open.ready[rank]);
        }
        let Some((trouble, reason)) = hold.and_then(Hold::trouble) else { return };
        let at = (trouble, reason.to_owned());
        if let Some(count) = self.troubles.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.troubles.remove(&at);
            }
        }
    }

    /// The keys that are to be removed, as far as nothing holds them.
    pub fn removable(&self) -> impl Iterator<Item = &Key> {
        self.remove.ready.iter().flatten()
    }

    /// Why keys are held, the worst first.
    pub fn troubles(&self) -> impl Iterator<Item = (Trouble, &str)> {
        self.troubles.keys().map(|(trouble, reason)| (*trouble, reason.as_str()))
    }

    /// Takes the ready keys of the lowest open rank, if that is below `limit`, whose peers may be written to.
    pub fn take_ready(
        &mut self,
        side: Side,
        mut writable: impl FnMut(&Key) -> bool,
        limit: Rank,
    ) -> Vec<Key> {
        let open = self.side(side);
        match open.count.iter().position(|count| *count > 0) {
            Some(rank) if rank < usize::from(limit) => {
                let ready = open.ready[rank].extract_if(|key| writable(key)).collect();
                give_back(&mut open.ready[rank]);
                ready
            }
            _ => Vec::new(),
        }
    }

    /// How many keys are open on a side.
    pub fn open_keys(&self, side: Side) -> u32 {
        self.of(side).count.iter().sum()
    }

    /// How many keys of this rank are open on a side.
    pub fn open_at(&self, side: Side, rank: Rank) -> u32 {
        self.of(side).count[usize::from(rank)]
    }

    /// The oldest revision of the wish of which a key is open.
    pub fn oldest_open(&self) -> Option<u64> {
        self.revisions.first_key_value().map(|(revision, _)| *revision)
    }

    /// All that addresses depend on stands as wished.
    pub fn is_built(&self) -> bool {
        self.waiting.is_empty() && self.open_keys(Side::Build) == self.open_at(Side::Build, order::ADVERTISE)
    }

    /// Nothing is open, or something is in the way that is known.
    pub fn is_at_rest(&self) -> bool {
        let open = self.open_keys(Side::Build) + self.open_keys(Side::Remove);
        open == 0 || !self.waiting.is_empty() || !self.troubles.is_empty()
    }

    /// Nothing open, nothing wished.
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty()
            && self.waiting.is_empty()
            && self.open_keys(Side::Build) == 0
            && self.open_keys(Side::Remove) == 0
    }
}
