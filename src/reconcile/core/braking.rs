//! The brake's part in the bookkeeping: what a resynchronisation would withdraw, and what is held of it.

use std::{net::IpAddr, time::Instant};

use super::Core;
use crate::reconcile::{
    exposed,
    object::{Key, PlaneId},
    owner::{Owner, owner},
    part::Part,
};

/// An address of ours that stands and is not wished.
pub struct Leaving {
    /// Its key.
    pub key: Key,
    /// Whose it is.
    pub part: Part,
    /// The address.
    pub ip: IpAddr,
}

impl Core {
    /// Whether what a resynchronisation withdraws is to be looked at and can be: what is ours was read.
    pub fn can_judge_resync(&self) -> bool {
        self.brake.is_pending() && self.is_whole(PlaneId::Ledger) && self.is_whole(PlaneId::Kernel)
    }

    /// How many addresses of ours stand, and those of them that are not wished.
    pub fn advertised(&self) -> (usize, Vec<Leaving>) {
        let mut count = 0;
        let mut leaving = Vec::new();
        for object in self.actual.iter() {
            let Some(ip) = exposed::attracts(object) else { continue };
            let key = object.key();
            let Owner::Part(part) = owner(object, &self.actual, &self.ledger, self.part_of(&key)) else {
                continue;
            };
            count += 1;
            if !self.wished.has(&key) {
                leaving.push(Leaving { key, part, ip });
            }
        }
        (count, leaving)
    }

    /// The addresses that are held.
    pub fn braked(&self) -> Vec<Leaving> {
        let leaving = |key: &Key| {
            let Key::Kernel(kernel) = key else { return None };
            let part = self.open.get(key).and_then(|open| open.slice)?;
            Some(Leaving { key: key.clone(), part, ip: exposed::attracting(kernel)? })
        };
        self.brake.held().filter_map(leaving).collect()
    }

    /// A resynchronisation would withdraw these, unexplained, of so many that are advertised.
    pub fn resynchronised(
        &mut self,
        unexplained: Vec<Key>,
        advertised: usize,
        no_chassis: bool,
        now: Instant,
    ) {
        let mut touched: Vec<Key> = self.brake.held().cloned().collect();
        self.brake.resynchronised(unexplained, advertised, no_chassis, now);
        touched.extend(self.brake.held().cloned());
        touched.iter().for_each(|key| self.judge(key, true));
        // Removals waited for this.
        self.active.extend(self.slices.keys());
    }

    /// These are explained by now.
    pub fn explained(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.brake.let_go(&key);
            self.judge(&key, true);
        }
    }

    /// Lets go of all that is held, for this reason; gives how many prefixes that are.
    pub fn release(&mut self, why: &str) -> usize {
        let released = self.brake.release(why);
        released.iter().for_each(|key| self.judge(key, true));
        released.len()
    }

    /// Lets go when it is time.
    pub(super) fn release_in_time(&mut self, now: Instant) {
        if self.brake.deadline().is_some_and(|deadline| deadline <= now) {
            self.release("mass_withdraw_hold has passed; what was held is withdrawn");
        }
    }
}
