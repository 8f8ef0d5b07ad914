//! What an operator asks of the past: since when a session is as it is, how often it came back, how long the wish took to
//! become real. Time is passed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::telemetry::histogram::Histogram;

/// The past, as far as it is kept.
#[derive(Debug, Default)]
pub struct History {
    sessions: BTreeMap<String, Session>,
    /// When each revision of the wish came that does not stand yet.
    revisions: BTreeMap<u64, Instant>,
    last_revision: u64,
    latency: Histogram,
    synced: bool,
}

#[derive(Debug)]
struct Session {
    word: &'static str,
    since: Instant,
    was_up: bool,
    reconnects: u64,
}

impl History {
    /// How the sessions are now; those not named are gone.
    pub fn sessions(&mut self, now: Instant, words: impl Iterator<Item = (String, &'static str)>) {
        let mut before = std::mem::take(&mut self.sessions);
        for (name, word) in words {
            let fresh = || Session { word, since: now, was_up: word == UP, reconnects: 0 };
            let mut session = before.remove(&name).unwrap_or_else(fresh);
            if session.word != word {
                session.reconnects += u64::from(word == UP && session.was_up && session.word == DOWN);
                session.was_up |= word == UP;
                (session.word, session.since) = (word, now);
            }
            self.sessions.insert(name, session);
        }
    }

    /// How long a session is as it is, and how often it came up again.
    pub fn session(&self, name: &str, now: Instant) -> (Duration, u64) {
        self.sessions.get(name).map_or((Duration::ZERO, 0), |session| {
            (now.saturating_duration_since(session.since), session.reconnects)
        })
    }

    /// The wish is at `revision`, and stands up to `watermark`.
    pub fn progress(&mut self, revision: u64, watermark: u64, now: Instant) {
        if revision > self.last_revision {
            self.last_revision = revision;
            self.revisions.insert(revision, now);
        }
        while let Some(entry) = self.revisions.first_entry().filter(|entry| *entry.key() <= watermark) {
            self.latency.observe(now.saturating_duration_since(entry.remove()));
        }
    }

    /// How long the oldest change of the wish that does not stand yet has been waiting.
    pub fn lag(&self, now: Instant) -> Duration {
        let oldest = self.revisions.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }

    /// How long changes of the wish took from the row that caused them to the last acknowledgement.
    pub fn latency(&self) -> &Histogram {
        &self.latency
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
        for (at, word) in [(0, DOWN), (1, "reading"), (2, UP), (5, DOWN), (9, UP)] {
            history.sessions(start + Duration::from_secs(at), [("frr".to_owned(), word)].into_iter());
        }
        let (since, reconnects) = history.session("frr", start + Duration::from_secs(10));
        assert_eq!((since, reconnects), (Duration::from_secs(1), 1));
    }

    #[test]
    fn lag_is_that_of_the_oldest_change_that_does_not_stand() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::default();
        history.progress(1, 0, at(0));
        history.progress(2, 0, at(4));
        assert_eq!(history.lag(at(6)), Duration::from_secs(6));
        history.progress(2, 1, at(6));
        assert_eq!(history.lag(at(7)), Duration::from_secs(3));
        history.progress(2, 2, at(7));
        assert_eq!((history.lag(at(9)), history.latency().total()), (Duration::ZERO, (2, 9.0)));
    }
}
