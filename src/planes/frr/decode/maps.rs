//! Our route-maps, from bgpd's running configuration: which of them are there, and whether they are as we made them.

use std::collections::BTreeMap;

use super::statements;
use crate::planes::frr::{
    line::Line,
    object::{ROUTE_MAPS, RouteMap},
};

/// What there is of our route-maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// Whether each that is there is as we made it.
    pub seen: BTreeMap<RouteMap, bool>,
}

impl Maps {
    /// All are there, as we made them.
    pub fn are_whole(&self) -> bool {
        ROUTE_MAPS.iter().all(|map| self.seen.get(map) == Some(&true))
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
    let is_whole = |map: RouteMap, lines: &[String]| {
        lines.iter().cloned().eq(Line::of_map(map).iter().map(ToString::to_string))
    };
    Maps { seen: read.into_iter().map(|(map, lines)| (map, is_whole(map, &lines))).collect() }
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
        assert_eq!(one.seen, [(RouteMap::Routes, true)].into());
        assert!(!one.are_whole());
    }

    #[test]
    fn what_was_changed_is_not_whole() {
        for (from, to) in [
            (" match metric 182\n", ""),
            ("match metric 182", "match metric 7"),
            ("set metric 0", "set metric 5"),
            ("permit 10", "deny 10"),
            (" set metric 0\n", " set metric 0\n set tag 5\n"),
            ("\nexit\n", "\nexit\n!\nroute-map bgp-agent-routes permit 20\nexit\n"),
        ] {
            let seen = maps(&OURS.replacen(from, to, 1)).seen;
            assert_eq!(seen, [(RouteMap::Routes, false), (RouteMap::Drained, true)].into(), "{from:?}");
        }
    }
}
