//! What an operator asks of the past: since when a session is as it is, how often it came back, how long the wish took to
//! become real. Time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::sessions::SessionId;
use crate::telemetry::histogram::Histogram;

/// The past, as far as it is kept.
#[derive(Debug, Default)]
pub struct History {
    sessions: BTreeMap<SessionId, Past>,
    /// When each revision of the wish came of which something does not stand yet.
    revisions: BTreeMap<u64, Instant>,
    last_revision: u64,
    latency: Histogram,
    latency_to_bgp: Histogram,
    synced: bool,
}

#[derive(Debug)]
struct Past {
    word: &'static str,
    since: Instant,
    was_up: bool,
    reconnects: u64,
}

impl History {
    /// How the sessions are now; those not named are gone.
    pub fn sessions(&mut self, now: Instant, words: &[(SessionId, &'static str)]) {
        for &(session, word) in words {
            let fresh = Past { word, since: now, was_up: word == UP, reconnects: 0 };
            let past = self.sessions.entry(session).or_insert(fresh);
            if past.word != word {
                past.reconnects += u64::from(word == UP && past.was_up && past.word == DOWN);
                past.was_up |= word == UP;
                (past.word, past.since) = (word, now);
            }
        }
        self.sessions.retain(|session, _| words.iter().any(|(named, _)| named == session));
    }

    /// How long a session is as it is, and how often it came up again.
    pub fn session(&self, session: SessionId, now: Instant) -> (Duration, u64) {
        self.sessions
            .get(&session)
            .map_or((Duration::ZERO, 0), |past| (now.saturating_duration_since(past.since), past.reconnects))
    }

    /// The wish is at `revision`; something may have closed of `closed`. Each revision counts by itself, so that one that is
    /// held hides nothing of those after it.
    pub fn progress(
        &mut self,
        revision: u64,
        closed: BTreeSet<u64>,
        is_open: impl Fn(u64) -> bool,
        now: Instant,
    ) {
        for new in self.last_revision + 1..=revision {
            if is_open(new) || new == revision {
                self.revisions.insert(new, now);
            }
        }
        self.last_revision = revision.max(self.last_revision);
        for done in closed.into_iter().chain([revision]).filter(|closed| !is_open(*closed)) {
            if let Some(came) = self.revisions.remove(&done) {
                self.latency.observe(now.saturating_duration_since(came));
            }
        }
    }

    /// How long the oldest change of the wish that does not stand yet has been waiting.
    pub fn lag(&self, now: Instant) -> Duration {
        let oldest = self.revisions.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }

    /// How long this revision of the wish, which does not stand yet, has been waiting; zero for what stood before, as
    /// something that somebody else has changed.
    pub fn lag_of(&self, revision: u64, now: Instant) -> Duration {
        self.revisions.get(&revision).map_or(Duration::ZERO, |at| now.saturating_duration_since(*at))
    }

    /// How long changes of the wish took from the row that caused them to the last acknowledgement.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// When this revision of the wish came, of which something did not stand when that was last asked.
    pub fn came(&self, revision: u64) -> Option<Instant> {
        self.revisions.get(&revision).copied()
    }

    /// bgpd had a new prefix so long after the change that it came with.
    pub fn arrived(&mut self, took: Duration) {
        self.latency_to_bgp.observe(took);
    }

    /// How long new prefixes took from the row that caused them until bgpd had them, as far as they were followed.
    pub fn latency_to_bgp(&self) -> &Histogram {
        &self.latency_to_bgp
    }

    /// All that was wished at the start was applied once.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// It is so from now on.
    pub fn synced(&mut self) {
        self.synced = true;
    }
}

/// The word for a session that is up.
pub const UP: &str = "up";

/// The word for a session that is down.
pub const DOWN: &str = "down";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_comes_back_is_counted_and_its_first_time_is_not() {
        let start = Instant::now();
        let mut history = History::default();
        let zebra = SessionId::Daemon("zebra");
        for (at, word) in [(0, DOWN), (1, "reading"), (2, UP), (5, DOWN), (9, UP)] {
            history.sessions(start + Duration::from_secs(at), &[(zebra, word)]);
        }
        let (since, reconnects) = history.session(zebra, start + Duration::from_secs(10));
        assert_eq!((since, reconnects), (Duration::from_secs(1), 1));
        history.sessions(start, &[]);
        assert_eq!(
            history.session(zebra, start + Duration::from_secs(10)),
            (Duration::ZERO, 0),
            "it is gone"
        );
    }

    #[test]
    fn lag_is_that_of_the_oldest_change_that_does_not_stand() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::default();
        let progress = |history: &mut History, revision, open: &[u64], seconds| {
            history.progress(revision, BTreeSet::from([1, 2]), |asked| open.contains(&asked), at(seconds));
        };
        progress(&mut history, 1, &[1], 0);
        progress(&mut history, 2, &[1, 2], 4);
        assert_eq!(history.lag(at(6)), Duration::from_secs(6));
        progress(&mut history, 2, &[2], 6);
        assert_eq!(history.lag(at(7)), Duration::from_secs(3));
        progress(&mut history, 2, &[], 7);
        assert_eq!((history.lag(at(9)), history.latency().total()), (Duration::ZERO, (2, 9.0)));
    }

    #[test]
    fn a_change_that_is_held_hides_nothing_of_those_after_it() {
        let mut now = Instant::now();
        let mut history = History::default();
        history.progress(1, BTreeSet::new(), |_| true, now);
        for revision in 2..1000 {
            history.progress(revision, BTreeSet::new(), |_| true, now);
            now += Duration::from_millis(5);
            history.progress(revision, BTreeSet::from([revision]), |asked| asked == 1, now);
        }
        assert_eq!(history.revisions.len(), 1, "nothing is kept of what stands");
        let (count, seconds) = history.latency().total();
        assert!(count == 998 && seconds < 5.0, "{count} took {seconds} s");
    }
}
