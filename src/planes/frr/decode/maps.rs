//! Our route-maps, from bgpd's running configuration: which of them are there, and whether they are as we made them.

use std::collections::{BTreeMap, BTreeSet};

use super::statements;
use crate::planes::frr::{
    line::Line,
    object::{BgpSettings, Kernel, ROUTE_MAPS, RouteMap},
};

/// What there is of our route-maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// Each that is there.
    pub seen: BTreeMap<RouteMap, Seen>,
}

/// How one of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As we made it.
    Whole,
    /// With other lines or more entries; by number, whatever their action.
    Altered(BTreeSet<u16>),
}

impl Maps {
    /// All are there, as we made them.
    pub fn are_whole(&self) -> bool {
        ROUTE_MAPS.iter().all(|map| self.seen.get(map) == Some(&Seen::Whole))
    }

    /// All are there, as we made them, from now on.
    pub fn make_whole(&mut self) {
        self.seen = ROUTE_MAPS.map(|map| (map, Seen::Whole)).into();
    }

    /// Settings that name one that is not there name none any more.
    pub fn let_go(&self, settings: &mut BgpSettings) {
        if self.lack_one_of(settings) {
            (settings.redistribute_ipv4.kernel, settings.redistribute_ipv6.kernel) = (Kernel::No, Kernel::No);
        }
    }

    /// Whether an instance with these settings names one that is not there.
    pub fn lack_one_of(&self, settings: &BgpSettings) -> bool {
        let is_named = |map| map == RouteMap::Routes || settings.less_preferred;
        settings.uses_maps()
            && ROUTE_MAPS.into_iter().any(|map| is_named(map) && !self.seen.contains_key(&map))
    }
}

/// Reads them. What somebody has added to one, as a line or as an entry of another number, is a change to it.
pub fn maps(text: &str) -> Maps {
    let mut read: BTreeMap<RouteMap, Vec<String>> = BTreeMap::new();
    let mut at = None;
    for words in statements(text) {
        match words[..] {
            ["route-map", name, ..] => at = RouteMap::named(name),
            ["exit" | "end" | "router" | "vrf" | "interface", ..] => at = None,
            _ => {}
        }
        if let Some(map) = at {
            read.entry(map).or_default().push(words.join(" "));
        }
    }
    Maps { seen: read.into_iter().map(|(map, lines)| (map, seen(map, &lines))).collect() }
}

fn seen(map: RouteMap, lines: &[String]) -> Seen {
    if lines.iter().cloned().eq(Line::of_map(map).iter().map(ToString::to_string)) {
        return Seen::Whole;
    }
    let number = |line: &String| match line.split(' ').collect::<Vec<_>>()[..] {
        ["route-map", _, _, number] => number.parse().ok(),
        _ => None,
    };
    Seen::Altered(lines.iter().filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bgpd 8.4 and 10.3 show them, behind or before the instances.
    const OURS: &str = "route-map bgp-agent-routes permit 10\n match metric 182\n set metric 0\nexit\n!\n\
                        route-map bgp-agent-drained permit 10\n match metric 182\n set metric 4294967294\nexit\n!\n";

    #[test]
    fn ours_are_known_as_they_were_made() {
        let other = "route-map OTHER permit 10\n match metric 182\nexit\n";
        assert!(maps(&format!("{other}{OURS}{other}")).are_whole());
        assert_eq!(maps(other), Maps::default());
        let one = maps(OURS.split_inclusive("exit\n").next().unwrap());
        assert_eq!(one.seen, [(RouteMap::Routes, Seen::Whole)].into());
        assert!(!one.are_whole());
    }

    #[test]
    fn what_was_changed_is_not_whole() {
        for (from, to, entries) in [
            (" match metric 182\n", "", &[10][..]),
            ("match metric 182", "match metric 7", &[10]),
            ("set metric 0", "set metric 5", &[10]),
            ("permit 10", "deny 10", &[10]),
            ("permit 10", "permit 5", &[5]),
            (" set metric 0\n", " set metric 0\n set tag 5\n", &[10]),
            ("\nexit\n", "\nexit\n!\nroute-map bgp-agent-routes permit 20\nexit\n", &[10, 20]),
        ] {
            let seen = maps(&OURS.replacen(from, to, 1)).seen;
            let altered = Seen::Altered(entries.iter().copied().collect());
            let expected = [(RouteMap::Routes, altered), (RouteMap::Drained, Seen::Whole)].into();
            assert_eq!(seen, expected, "{from:?}");
        }
    }
}
