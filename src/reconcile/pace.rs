//! How fast the same object is mended again and again: at once at first, then ever slower, so that two who disagree about
//! an object do not keep the node busy. Pure: time is passed in.

use std::time::{Duration, Instant};

use super::{
    object::{Key, KeyMap},
    retry,
};

/// So many repairs of one object are made at once. An operator who tries things out does not get there, although a device
/// that goes takes its routes with it each time.
const AT_ONCE: usize = 30;

/// After so long without a repair an object counts as at peace. More than the longest pause between two repairs.
const PEACE: Duration = Duration::from_secs(60);

/// The repairs of one object.
#[derive(Debug)]
struct Repairs {
    count: usize,
    last: Instant,
    /// The next one waits until then.
    due: Option<Instant>,
}

/// When a repair is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// Not before this, as is decided now.
    Later(Instant),
    /// Not yet, as was decided before.
    Waiting,
}

/// What was mended lately.
#[derive(Debug, Default)]
pub struct Pace {
    lately: KeyMap<Repairs>,
}

impl Pace {
    /// An object is to be mended.
    pub fn mend(&mut self, key: &Key, now: Instant) -> Turn {
        let repairs = self.lately.entry(key.clone()).or_insert(Repairs { count: 0, last: now, due: None });
        if repairs.due.is_some_and(|due| due > now) {
            return Turn::Waiting;
        }
        let waited = repairs.due.take().is_some();
        if repairs.count >= AT_ONCE && !waited {
            let due = now + retry::pause((repairs.count + 1 - AT_ONCE) as u32, fastrand::f64());
            repairs.due = Some(due);
            return Turn::Later(due);
        }
        repairs.count += 1;
        repairs.last = now;
        Turn::Now
    }

    /// Forgets what is at peace.
    pub fn forget(&mut self, now: Instant) {
        self.lately.retain(|_, repairs| now < repairs.due.unwrap_or(repairs.last) + PEACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_made_at_once_then_slower_and_after_a_while_at_once_again() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let key = Key::Ledger(crate::model::Vni::new(1).unwrap());
        let mut pauses = Vec::new();
        for _ in 0..AT_ONCE + 15 {
            let begin = now;
            while let Turn::Later(due) = pace.mend(&key, now) {
                assert_eq!(pace.mend(&key, now), Turn::Waiting, "asking does not make it later");
                now = due;
            }
            pauses.push(now - begin);
            pace.forget(now);
        }
        let (at_once, paced) = pauses.split_at(AT_ONCE);
        assert_eq!(at_once, [Duration::ZERO; AT_ONCE]);
        assert!(paced[0] > Duration::ZERO && paced[0] < Duration::from_secs(1));
        assert!(paced.is_sorted_by(|a, b| *a < *b * 2), "{pauses:?}");
        assert!(paced[14] >= Duration::from_secs(30));
        pace.forget(now + PEACE);
        assert_eq!(pace.mend(&key, now + PEACE), Turn::Now);
    }
}
