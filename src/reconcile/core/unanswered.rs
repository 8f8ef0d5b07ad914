//! What was asked of a peer and is not answered yet: since when, by plane and by part. A peer that hangs refuses nothing
//! and loses nothing; this is what tells of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Batch, Core};
use crate::reconcile::{object::PlaneId, part::Part};

/// How long an answer may take that is no matter for an operator.
const SOON: Duration = Duration::from_secs(1);

/// A batch under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) plane: PlaneId,
    pub(super) batch: Batch,
    since: Instant,
    /// The parts, as they are counted, whose objects are in it: so that nobody has to look through a batch to tell.
    parts: BTreeSet<Part>,
}

/// What waits for a plane's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The plane.
    pub plane: PlaneId,
    /// How long it has not answered.
    pub waited: Duration,
}

impl Unanswered {
    /// The same for an operator.
    pub fn reason(self) -> String {
        format!("{} has not answered for {} s", self.plane, self.waited.as_secs())
    }
}

impl Core {
    /// A batch goes out.
    pub(super) fn take_off(&mut self, plane: PlaneId, batch: Batch, now: Instant) -> u64 {
        let of_key = |(key, _): &(_, _)| self.open.get(key).and_then(|open| open.slice);
        let parts = batch.iter().filter_map(of_key).map(Part::counted).collect();
        let id = self.next_flight;
        self.next_flight += 1;
        self.flights.insert(id, Flight { plane, batch, since: now, parts });
        id
    }

    /// How long the oldest question to each plane, operations or a read, has been without an answer, where that is long.
    pub fn silent(&self, now: Instant) -> BTreeMap<PlaneId, Duration> {
        let flights = self.flights.values().map(|flight| (flight.plane, flight.since));
        let reads = self.reading.iter().map(|(plane, since)| (*plane, *since));
        let mut silent = BTreeMap::new();
        for (plane, since) in flights.chain(reads) {
            let waited = now.saturating_duration_since(since);
            if waited > SOON {
                let longest: &mut Duration = silent.entry(plane).or_default();
                *longest = waited.max(*longest);
            }
        }
        silent
    }

    /// The parts, as they are counted, whose operations have long been without an answer, the longest of each.
    pub fn unanswered(&self, now: Instant) -> BTreeMap<Part, Unanswered> {
        let mut all: BTreeMap<Part, Unanswered> = BTreeMap::new();
        for flight in self.flights.values() {
            let one = Unanswered { plane: flight.plane, waited: now.saturating_duration_since(flight.since) };
            if one.waited <= SOON {
                continue;
            }
            for part in &flight.parts {
                let longest = all.entry(*part).or_insert(one);
                if longest.waited < one.waited {
                    *longest = one;
                }
            }
        }
        all
    }
}
