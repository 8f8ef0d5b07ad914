//! How long a new prefix takes from the Southbound's row until bgpd has it. One prefix at a time is followed, so that bgpd is
//! asked no more however many come. Pure: time is passed in.

use std::time::Instant;

use super::{
    Reconciler,
    object::{Object, PlaneId},
};
use crate::{
    intent::names,
    model::Vni,
    planes::{
        Command,
        frr::question::{Question, Sight},
        kernel::object::KernelKey,
    },
};

/// A prefix that is followed.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    what: Sight,
    /// When the change of the wish came that it belongs to.
    came: Instant,
}

impl Reconciler {
    /// The question to bgpd when the kernel has acknowledged a new prefix, unless one is followed already.
    pub(super) fn follow_arrival(&mut self) -> Option<(PlaneId, Command<Object>)> {
        let (key, revision) = self.core.take_arrived()?;
        if self.arrival.is_some() || !self.core.is_whole(PlaneId::Frr) {
            return None;
        }
        let came = self.history.came(revision)?;
        let what = self.sight_of(&key)?;
        self.arrival = Some(Arrival { what, came });
        Some((PlaneId::Frr, Command::Ask(Question::Sight(what))))
    }

    /// What bgpd is to have of what attracts traffic by this key.
    fn sight_of(&self, key: &KernelKey) -> Option<Sight> {
        let (vrf, host) = self.core.attracted(key)?;
        let is_plain = vrf == self.config.underlay.vrf;
        let vni = names::vni_of(&vrf).filter(|_| !is_plain).map(Vni::get);
        Some(Sight { vrf, host, vni })
    }

    /// bgpd has it, or it is not waited for any longer.
    pub(super) fn sighted(&mut self, what: Sight, seen: bool, now: Instant) {
        if let Some(arrival) = self.arrival.take_if(|arrival| arrival.what == what)
            && seen
        {
            self.history.arrived(now.saturating_duration_since(arrival.came));
        }
    }
}
