//! The rules that have a destination and no other selector, everybody's: several that do the same can stand side by side,
//! of different protocols or at different priorities.

use std::collections::{BTreeSet, HashMap};

use crate::{
    model::Prefix,
    planes::kernel::object::{ROUTE_PROTOCOL, Rule},
};

/// The rules, by destination and table; of each its priority and protocol.
#[derive(Debug, Default)]
pub struct Rules(HashMap<(Prefix, u32), BTreeSet<(u32, u8)>>);

impl Rules {
    /// One is there.
    pub fn put(&mut self, rule: &Rule, protocol: u8) {
        self.0.entry((rule.to, rule.table)).or_default().insert((rule.priority, protocol));
    }

    /// One is not there any more.
    pub fn remove(&mut self, rule: &Rule, protocol: u8) {
        let at = (rule.to, rule.table);
        if let Some(same) = self.0.get_mut(&at) {
            same.remove(&(rule.priority, protocol));
            if same.is_empty() {
                self.0.remove(&at);
            }
        }
    }

    /// Whether one of our protocol is there.
    pub fn has_ours(&self, rule: &Rule) -> bool {
        self.0.get(&(rule.to, rule.table)).is_some_and(|same| same.contains(&(rule.priority, ROUTE_PROTOCOL)))
    }

    /// All of our protocol.
    pub fn ours(&self) -> impl Iterator<Item = Rule> {
        let all = self.0.iter().flat_map(|(at, same)| same.iter().map(move |one| (*at, *one)));
        let ours = all.filter(|(_, (_, protocol))| *protocol == ROUTE_PROTOCOL);
        ours.map(|((to, table), (priority, _))| Rule { to, table, priority })
    }

    /// Those of other protocols that do the same as this one, at whatever priority: priority and protocol.
    pub fn twins(&self, rule: &Rule) -> impl Iterator<Item = (u32, u8)> {
        let same = self.0.get(&(rule.to, rule.table)).into_iter().flatten();
        same.copied().filter(|(_, protocol)| *protocol != ROUTE_PROTOCOL)
    }
}
