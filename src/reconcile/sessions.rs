//! Sessions as an operator sees them: the Southbound's, the planes', and FRR's daemons.

use std::collections::BTreeMap;

use super::{PlaneState, Reconciler, SOUTHBOUND, object::PlaneId};
use crate::planes::frr::question::Daemons;

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
    pub(super) fn session_states(&self) -> impl Iterator<Item = (String, &PlaneState)> {
        let planes = self.core.planes.iter().map(|(plane, state)| (plane.to_string(), state));
        planes.chain(std::iter::once((SOUTHBOUND.to_owned(), &self.southbound)))
    }

    /// Every session as an operator sees it: FRR's daemons too, each by itself.
    pub(super) fn all_sessions(&self) -> impl Iterator<Item = (String, &PlaneState)> {
        let daemons = self.daemons.iter().map(|(name, state)| ((*name).to_owned(), state));
        self.session_states().chain(daemons)
    }

    /// How far every session has come, by its name, those too that have not said a word yet.
    pub fn readings(&self) -> BTreeMap<String, Reading> {
        let always = [PlaneId::Ledger, PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr];
        let silent = always.map(|plane| (plane.to_string(), Reading::NotYet));
        let heard = self.session_states().map(|(name, state)| {
            let reading = match (&state.down, state.whole) {
                (Some(reason), _) => Reading::Down(reason.clone()),
                (None, true) => Reading::Whole,
                (None, false) => Reading::NotYet,
            };
            (name, reading)
        });
        silent.into_iter().chain(heard).collect()
    }
}
