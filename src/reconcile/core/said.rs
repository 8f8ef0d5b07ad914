//! What was warned of already, by part: a reason that a thousand objects share, or that comes back with every try, is one line
//! in the log. It may be said again once nothing of the part is open any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::reconcile::part::Part;

/// How many reasons of one part are said. Each may name another object: then the status tells the rest.
const MOST: usize = 32;

/// What was said, and how much was not.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<Option<Part>, Reasons>);

#[derive(Debug, Default)]
struct Reasons {
    said: BTreeSet<String>,
    unsaid: u64,
}

impl Said {
    /// Whether this is to be said now, for the first time; else it is counted.
    pub(super) fn is_new(&mut self, slice: Option<Part>, reason: &str) -> bool {
        let reasons = self.0.entry(slice).or_default();
        if reasons.said.len() < MOST && reasons.said.insert(reason.to_owned()) {
            return true;
        }
        reasons.unsaid += 1;
        false
    }

    /// Nothing of this VNI is open any more; gives how often something was not said.
    pub(super) fn settled(&mut self, slice: Option<Part>) -> u64 {
        self.0.remove(&slice).map_or(0, |reasons| reasons.unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_until_all_of_its_part_stands_and_never_without_end() {
        let mut said = Said::default();
        let [one, two] = [1001, 1002].map(|vni| crate::model::Vni::new(vni).map(Part::Vni));
        assert!(said.is_new(one, "no buffer space") && said.is_new(two, "no buffer space"));
        assert!((0..1000).all(|_| !said.is_new(one, "no buffer space")));
        let new = (0..1000).filter(|n| said.is_new(one, &format!("object {n}"))).count();
        assert_eq!(new, MOST - 1);
        assert_eq!(said.settled(one), 1000 + 1000 - (MOST as u64 - 1));
        assert!(said.is_new(one, "no buffer space") && !said.is_new(two, "no buffer space"));
    }
}
