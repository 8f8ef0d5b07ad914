//! A sorted set of which only the first so many count, kept without a search: what comes and what falls out is known at
//! every change. Which ones count depends on what is in it alone, never on the order in which it came.

use std::{collections::BTreeSet, fmt, ops::Bound};

use crate::model::Vni;

/// The set.
#[derive(Debug)]
pub struct Limited<T> {
    all: BTreeSet<T>,
    limit: usize,
    /// How many count, and the last of them.
    counting: usize,
    last: Option<T>,
}

/// What a change did to the items that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shift<T> {
    /// Counts now.
    pub entered: Option<T>,
    /// Does not count any more.
    pub left: Option<T>,
}

/// Addresses beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Whose limit it is.
    pub scope: Scope,
    /// How many are put aside.
    pub count: usize,
}

/// Whose a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A VNI's.
    Vni(Vni),
    /// The node's for the EVPN mode.
    Node,
    /// The node's for the BGP mode.
    Plain,
}

impl Scope {
    /// The option that sets the limit.
    pub fn option(self) -> &'static str {
        match self {
            Self::Vni(_) => "max_prefixes_per_vni",
            Self::Node | Self::Plain => "max_prefixes",
        }
    }
}

impl Scope {
    /// The VNI whose limit it is.
    pub fn vni(self) -> Option<Vni> {
        match self {
            Self::Vni(vni) => Some(vni),
            Self::Node | Self::Plain => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => write!(f, "VNI {vni}"),
            Self::Node => write!(f, "this node"),
            Self::Plain => write!(f, "this node's plain routes"),
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, option) = (self.count, self.scope.option());
        write!(f, "{count} addresses are put aside: {option} is reached; the smallest are advertised")
    }
}

impl<T: Ord + Copy> Limited<T> {
    /// An empty one, of which the first `limit` count.
    pub fn new(limit: usize) -> Self {
        Self { all: BTreeSet::new(), limit, counting: 0, last: None }
    }

    /// Whether this item is in it and counts.
    pub fn counts(&self, item: &T) -> bool {
        self.last.is_some_and(|last| *item <= last) && self.all.contains(item)
    }

    /// How many are in it without counting.
    pub fn excess(&self) -> usize {
        self.all.len() - self.counting
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that count, in order.
    pub fn counting(&self) -> impl Iterator<Item = &T> {
        self.all.iter().take(self.counting)
    }

    /// Those that count, in order, from the first behind `after`.
    pub fn counting_after(&self, after: Option<T>) -> impl Iterator<Item = &T> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let last = self.last;
        self.all
            .range((from, Bound::Unbounded))
            .take_while(move |item| last.is_some_and(|last| **item <= last))
    }

    /// Puts an item in.
    pub fn insert(&mut self, item: T) -> Shift<T> {
        if !self.all.insert(item) || self.limit == 0 {
            return Shift { entered: None, left: None };
        }
        if self.counting < self.limit {
            self.counting += 1;
            self.last = self.last.max(Some(item));
            return Shift { entered: Some(item), left: None };
        }
        match self.last {
            Some(last) if item < last => {
                self.last = self.all.range(..last).next_back().copied();
                Shift { entered: Some(item), left: Some(last) }
            }
            _ => Shift { entered: None, left: None },
        }
    }

    /// Takes an item out.
    pub fn remove(&mut self, item: T) -> Shift<T> {
        let counted = self.counts(&item);
        if !self.all.remove(&item) || !counted {
            return Shift { entered: None, left: None };
        }
        let Some(last) = self.last else {
            return Shift { entered: None, left: Some(item) };
        };
        // The next one behind the last takes the free place.
        let next =
            self.all.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next().copied();
        match next {
            Some(_) => self.last = next,
            None => {
                self.counting -= 1;
                self.last = self.all.last().copied();
            }
        }
        Shift { entered: next, left: Some(item) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_ones_count_and_every_change_is_told(limit in 0usize..5, steps in proptest::collection::vec((any::<bool>(), 0u8..12), 0..80)) {
            let mut limited = Limited::new(limit);
            let mut told = BTreeSet::new();
            let mut all = BTreeSet::new();
            for (insert, item) in steps {
                let shift = if insert { all.insert(item); limited.insert(item) } else { all.remove(&item); limited.remove(item) };
                told.extend(shift.entered);
                if let Some(left) = shift.left {
                    told.remove(&left);
                }
                let first: BTreeSet<u8> = all.iter().take(limit).copied().collect();
                prop_assert_eq!(&told, &first);
                prop_assert_eq!(limited.counting().copied().collect::<BTreeSet<u8>>(), first.clone());
                prop_assert!(all.iter().all(|item| limited.counts(item) == first.contains(item)));
                prop_assert_eq!(limited.excess(), all.len() - first.len());
            }
        }
    }
}
