//! Sessions as an operator sees them: the Southbound's, the planes', and FRR's daemons.

use std::{collections::BTreeMap, fmt, time::Instant};

use super::{PlaneState, Reconciler, object::PlaneId, status};
use crate::planes::frr::question::Daemons;

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionId {
    /// That of a plane.
    Plane(PlaneId),
    /// That with the Southbound.
    Southbound,
    /// That with the Northbound, where it is read.
    Northbound,
    /// That with one of FRR's daemons.
    Daemon(&'static str),
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plane(plane) => plane.fmt(f),
            Self::Southbound => f.write_str("southbound"),
            Self::Northbound => f.write_str("northbound"),
            Self::Daemon(name) => f.write_str(name),
        }
    }
}

/// How far a session has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All that its peer has was read.
    Whole,
    /// It is down, for this reason.
    Down(String),
    /// It has not said anything yet.
    NotYet,
}

impl Reconciler {
    /// Which of FRR's daemons can be spoken with.
    pub(super) fn hear_of(&mut self, daemons: Daemons) {
        let state = |(name, down): (_, Option<String>)| (name, PlaneState { whole: down.is_none(), down });
        self.daemons = daemons.into_iter().map(state).collect();
    }

    /// The sessions on which it depends whether all is read and stands.
    pub(super) fn session_states(&self) -> impl Iterator<Item = (SessionId, &PlaneState)> {
        let planes = self.core.planes.iter().map(|(plane, state)| (SessionId::Plane(*plane), state));
        let northbound = self.northbound.as_ref().map(|state| (SessionId::Northbound, state));
        planes.chain([(SessionId::Southbound, &self.southbound)]).chain(northbound)
    }

    /// Every session as an operator sees it: FRR's daemons too, each by itself.
    pub(super) fn all_sessions(&self) -> impl Iterator<Item = (SessionId, &PlaneState)> {
        let daemons = self.daemons.iter().map(|(name, state)| (SessionId::Daemon(name), state));
        self.session_states().chain(daemons)
    }

    /// Keeps in mind how they are.
    pub(super) fn look_at_sessions(&mut self, now: Instant) {
        let words: Vec<_> =
            self.all_sessions().map(|(session, state)| (session, status::word(state))).collect();
        self.history.sessions(now, &words);
    }

    /// How far every session has come, those too that have not said a word yet.
    pub fn readings(&self) -> BTreeMap<SessionId, Reading> {
        let always = [PlaneId::Ledger, PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr];
        let silent = always.map(|plane| (SessionId::Plane(plane), Reading::NotYet));
        let heard = self.session_states().map(|(session, state)| {
            let reading = match (&state.down, state.whole) {
                (Some(reason), _) => Reading::Down(reason.clone()),
                (None, true) => Reading::Whole,
                (None, false) => Reading::NotYet,
            };
            (session, reading)
        });
        silent.into_iter().chain(heard).collect()
    }

    /// What is not read whole, with the reason.
    pub fn unread(&self) -> Vec<String> {
        let said = |(session, reading)| match reading {
            Reading::Whole => None,
            Reading::Down(reason) => Some(format!("{session}: {reason}")),
            Reading::NotYet => Some(format!("{session}: it did not answer in time")),
        };
        self.readings().into_iter().filter_map(said).collect()
    }
}
