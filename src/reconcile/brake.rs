//! The brake: a resynchronisation that would withdraw much, with no row that says why, is not followed at once; nor one that
//! would withdraw anything while the Southbound does not know this node.
//!
//! Owns which addresses are held and until when. Pure: time is passed in. Never holds what a row explains, nor what
//! changes in a live session; those are not asked about here.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::object::{Key, KeySet};

/// The least number of removals that `Limit::Percent` holds: below it a node is so small that half of it is everyday.
const AT_LEAST: usize = 100;

/// More unexplained withdrawals than this are held (`mass_withdraw_limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many of a hundred that the node advertises, but at least 100.
    Percent(u8),
    /// So many.
    Prefixes(usize),
}

/// When the brake acts, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// From how many on.
    pub limit: Limit,
    /// After so long it lets go by itself; None: never (`mass_withdraw_hold`).
    pub hold: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: Limit::Percent(50), hold: Some(Duration::from_secs(600)) }
    }
}

impl Limit {
    /// How many of so many advertised prefixes may go at once.
    fn of(self, advertised: usize) -> usize {
        match self {
            Self::Percent(percent) => (advertised * usize::from(percent) / 100).max(AT_LEAST),
            Self::Prefixes(prefixes) => prefixes,
        }
    }
}

/// What the brake holds; the JSON in the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrakeStatus {
    /// Prefixes that are still advertised although the Southbound has nothing of them.
    pub held_prefixes: usize,
    /// Prefixes that were advertised when it began.
    pub advertised: usize,
    /// So many could have gone.
    pub limit: usize,
    /// The Southbound had no Chassis of this node then; nothing could have gone.
    pub no_chassis: bool,
    /// Seconds until they are withdrawn all the same; None: only by `bgp-agent release`.
    #[serde(rename = "seconds_left", serialize_with = "seconds_left")]
    pub until: Option<Instant>,
}

fn seconds_left<S: Serializer>(until: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    until.map(|until| until.saturating_duration_since(Instant::now()).as_secs()).serialize(serializer)
}

/// The brake.
#[derive(Debug)]
pub struct Brake {
    options: Options,
    /// The Southbound gave everything anew, and what that withdraws was not looked at yet: nothing may be removed.
    pending: bool,
    /// When it began to hold, the Southbound had no Chassis of this node.
    no_chassis: bool,
    held: KeySet,
    advertised: usize,
    until: Option<Instant>,
}

impl Brake {
    /// A brake at a start: everything was given anew.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            pending: true,
            no_chassis: false,
            held: KeySet::default(),
            advertised: 0,
            until: None,
        }
    }

    /// Acts by these from the next resynchronisation on; what is held is held as it was begun.
    pub fn reconfigure(&mut self, options: Options) {
        self.options = options;
    }

    /// Everything was given anew: nothing is to be removed until `resynchronised`.
    pub fn resynchronising(&mut self) {
        self.pending = true;
    }

    /// Whether what a resynchronisation withdraws is still to be looked at.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// Whether something is held.
    pub fn is_on(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether this address is held.
    pub fn holds(&self, key: &Key) -> bool {
        self.held.contains(key)
    }

    /// The addresses that are held.
    pub fn held(&self) -> impl Iterator<Item = &Key> {
        self.held.iter()
    }

    /// A resynchronisation would withdraw these of so many advertised prefixes, unexplained. One that does not know this
    /// node's chassis says nothing of what it holds, so that nothing may go.
    pub fn resynchronised(
        &mut self,
        unexplained: Vec<Key>,
        advertised: usize,
        no_chassis: bool,
        now: Instant,
    ) {
        self.pending = false;
        if self.is_on() {
            self.held_anew(unexplained);
            return;
        }
        self.no_chassis = no_chassis;
        let limit = self.limit(advertised);
        if unexplained.len() <= limit {
            return;
        }
        self.held = unexplained.into_iter().collect();
        self.advertised = advertised;
        self.until = self.options.hold.map(|hold| now + hold);
        let seconds = self.options.hold.map_or(0, |hold| hold.as_secs());
        let why = match no_chassis {
            true => {
                "has no Chassis of this node's system-id and no rows that say why these prefixes are gone"
            }
            false => "has no rows of so many prefixes",
        };
        tracing::error!(
            held = self.held.len(),
            advertised,
            limit,
            mass_withdraw_hold = seconds,
            "the brake holds a withdrawal: the Southbound was read anew and {why}. They stay advertised until the rows are \
             back, `bgp-agent release`, or mass_withdraw_hold seconds (0: never)"
        );
    }

    fn limit(&self, advertised: usize) -> usize {
        if self.no_chassis { 0 } else { self.options.limit.of(advertised) }
    }

    /// Once more everything was given anew, while something is held: its time runs on.
    fn held_anew(&mut self, unexplained: Vec<Key>) {
        let unexplained: KeySet = unexplained.into_iter().collect();
        let back: Vec<Key> = self.held.difference(&unexplained).cloned().collect();
        self.held.extend(unexplained);
        back.iter().for_each(|key| self.let_go(key));
    }

    /// An address is wished again, or gone, or explained by now: it is not held any more.
    pub fn let_go(&mut self, key: &Key) {
        if self.held.remove(key) && self.held.is_empty() {
            tracing::warn!("the brake is off: all that it held is back, or a row says why it is not");
        }
    }

    /// Lets everything go; gives what was held.
    pub fn release(&mut self, why: &str) -> KeySet {
        if self.is_on() {
            tracing::warn!(released = self.held.len(), "the brake is off: {why}");
        }
        std::mem::take(&mut self.held)
    }

    /// When it lets go by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.until.filter(|_| self.is_on())
    }

    /// What is held; None: nothing.
    pub fn status(&self) -> Option<BrakeStatus> {
        self.is_on().then(|| BrakeStatus {
            held_prefixes: self.held.len(),
            advertised: self.advertised,
            limit: self.limit(self.advertised),
            no_chassis: self.no_chassis,
            until: self.until,
        })
    }
}
