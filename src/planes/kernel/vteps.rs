//! VTEPs that zebra has forgotten: BGP's routes lead by them over a bridge of ours, and the neighbour that was there is not.
//!
//! zebra puts the neighbour of a VTEP on the bridge with the first route by it and takes it away with the last. That of FRR 8.4
//! loses it when bgpd replaces a route, as it does when an attribute changes: of the removal and the addition that come
//! together it carries out the addition first (`META_QUEUE_EVPN` before `META_QUEUE_EARLY_ROUTE` in zebra/zebra_rib.c; mended
//! in 8.4.5, 8.5.3 and 9.0.1). Nothing else would tell of it but packets that do not arrive. Pure: time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    actual::Actual,
    decode::{Event, Hop},
};
use crate::model::IfName;

/// How many tables are looked at in one go: the plane does nothing else meanwhile.
const AT_ONCE: usize = 32;

/// Between two looks at a table of which a VTEP is forgotten: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

/// A neighbour: on which link, and its address.
type Neighbour = (u32, IpAddr);

/// Where the routes by a VTEP are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The table of the bridge's VRF.
    pub table: u32,
    /// The family; a VTEP is a mapped address among routes of IPv6.
    pub is_ipv4: bool,
}

/// What was seen and told last.
#[derive(Debug, Default)]
pub struct Vteps {
    before: HashSet<Neighbour>,
    /// Of these, those whose routes were looked at.
    looked: HashSet<Neighbour>,
    forgotten: BTreeSet<Neighbour>,
    /// When a table of which a VTEP is forgotten is looked at again, and the pause before that.
    pauses: HashMap<Place, (Instant, Duration)>,
    told: BTreeSet<(IfName, IpAddr)>,
}

impl Vteps {
    /// What is to be looked at now: the neighbours that were lost at the last look, too, and so are not on their way to being
    /// replaced.
    pub fn due(&mut self, actual: &Actual, now: Instant) -> Vec<(Place, Vec<Neighbour>)> {
        let before = std::mem::replace(&mut self.before, actual.lost_neighbours().iter().copied().collect());
        self.forgotten.retain(|one| self.before.contains(one));
        self.looked.retain(|one| self.before.contains(one));
        let mut places: BTreeMap<Place, Vec<Neighbour>> = BTreeMap::new();
        for &(index, vtep) in self.before.intersection(&before) {
            if let Some((_, table)) = actual.place(index) {
                places.entry(Place { table, is_ipv4: vtep.is_ipv4() }).or_default().push((index, vtep));
            }
        }
        self.pauses.retain(|place, _| places.contains_key(place));
        // Whom nobody looked at yet does not wait for others of his table, nor behind them.
        let next = |(place, lost): &(Place, Vec<Neighbour>)| {
            let is_known = lost.iter().all(|one| self.looked.contains(one));
            self.pauses.get(place).filter(|_| is_known).map(|(next, _)| *next)
        };
        let mut due: Vec<_> =
            places.into_iter().filter(|one| next(one).is_none_or(|next| next <= now)).collect();
        due.sort_by_key(next);
        due.truncate(AT_ONCE);
        due
    }

    /// The routes of a place, as far as they could be read. Gives which of the lost neighbours no route leads by.
    pub fn answered(
        &mut self,
        place: Place,
        lost: &[Neighbour],
        routes: Option<&[Event]>,
        now: Instant,
    ) -> Vec<Neighbour> {
        self.looked.extend(lost);
        let ways: Option<HashSet<Neighbour>> = routes.map(|routes| routes.iter().filter_map(way).collect());
        let (missed, unmissed): (Vec<Neighbour>, Vec<_>) =
            lost.iter().partition(|one| ways.as_ref().is_none_or(|ways| ways.contains(one)));
        self.forgotten.extend(missed.iter().filter(|_| ways.is_some()));
        unmissed.iter().for_each(|one| _ = self.forgotten.remove(one));
        if missed.is_empty() {
            self.pauses.remove(&place);
        } else {
            let pause = self.pauses.get(&place).map_or(PAUSE.0, |(_, pause)| PAUSE.1.min(*pause * 2));
            self.pauses.insert(place, (now + pause, pause));
        }
        unmissed
    }

    /// All that are forgotten, by the names of their bridges, where that has changed.
    pub fn news(&mut self, actual: &Actual) -> Option<BTreeSet<(IfName, IpAddr)>> {
        let named = |(index, vtep): &Neighbour| Some((actual.place(*index)?.0, *vtep));
        let forgotten = self.forgotten.iter().filter_map(named).collect();
        let changed = self.told != forgotten;
        self.told.clone_from(&forgotten);
        changed.then_some(forgotten)
    }
}

fn way(route: &Event) -> Option<Neighbour> {
    match *route {
        Event::Route(_, Hop::Via(gateway, index), _) => Some((index, gateway)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mark, Vni},
        planes::kernel::{decode::LinkFacts, object::LinkKind},
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A bridge of ours in a VRF, and one of somebody's.
    fn links() -> [(u32, LinkFacts); 3] {
        let link = |name: &str| LinkFacts::new(name.parse().unwrap());
        let bridge = LinkFacts { kind: LinkKind::Bridge, master: Some(1), ..link("br-7") };
        [
            (1, LinkFacts { kind: LinkKind::Vrf { table: 7 }, ..link("vrf-7") }),
            (2, LinkFacts { owner: Vni::new(7).map(Mark::Vni), ..bridge.clone() }),
            (3, LinkFacts { name: "br-8".parse().unwrap(), ..bridge }),
        ]
    }

    fn scenery() -> Actual {
        let mut actual = Actual::default();
        links().into_iter().for_each(|(index, facts)| actual.apply(Event::Link(index, Box::new(facts))));
        actual
    }

    const PLACE: Place = Place { table: 7, is_ipv4: true };

    fn route(gateway: &str, index: u32) -> Event {
        Event::Route((7, "10.99.0.0/24".parse().unwrap(), 20), Hop::Via(ip(gateway), index), 186)
    }

    #[test]
    fn what_is_lost_at_two_looks_lasts() {
        let (mut actual, mut vteps, now) = (scenery(), Vteps::default(), Instant::now());
        let vtep = ip("100.65.0.9");
        for index in [2, 3] {
            actual.hear(Event::NeighbourGone(index, vtep));
        }
        actual.hear(Event::NeighbourGone(2, ip("ff02::16")));
        assert_eq!(vteps.due(&actual, now), []);
        assert_eq!(vteps.due(&actual, now), [(PLACE, vec![(2, vtep)])], "on a bridge of ours alone");
        actual.hear(Event::NeighbourPassing(2, vtep)); // as zebra's are
        assert_eq!(vteps.due(&actual, now), []);
        actual.hear(Event::NeighbourGone(2, vtep));
        vteps.due(&actual, now);
        actual.hear(Event::LinkGone(2));
        assert_eq!(vteps.due(&actual, now), []);
    }

    #[test]
    fn who_has_left_is_missed_by_nobody() {
        let (mut actual, mut vteps, now) = (scenery(), Vteps::default(), Instant::now());
        let (left, forgotten) = (ip("100.65.0.8"), ip("100.65.0.9"));
        for vtep in [left, forgotten] {
            actual.hear(Event::NeighbourGone(2, vtep));
        }
        vteps.due(&actual, now);
        let (place, mut lost) = vteps.due(&actual, now).remove(0);
        lost.sort();
        let routes = [route("100.65.0.9", 2), route("100.65.0.8", 3), route("100.65.0.7", 2)];
        assert_eq!(vteps.answered(place, &lost, Some(&routes), now), [(2, left)]);
        actual.forget_neighbour((2, left));
        let told = BTreeSet::from([("br-7".parse().unwrap(), forgotten)]);
        assert_eq!((vteps.news(&actual), vteps.news(&actual)), (Some(told), None));

        assert_eq!(vteps.due(&actual, now), [], "not before its pause is over");
        let later = now + PAUSE.0;
        let (place, lost) = vteps.due(&actual, later).remove(0);
        assert_eq!(vteps.answered(place, &lost, Some(&routes), later), []);
        assert_eq!(vteps.due(&actual, later + PAUSE.0), []);
        actual.hear(Event::NeighbourPassing(2, forgotten));
        vteps.due(&actual, later);
        assert_eq!(vteps.news(&actual), Some(BTreeSet::new()));
    }

    #[test]
    fn a_look_that_fails_says_nothing_and_is_taken_again() {
        let (mut actual, mut vteps, now) = (scenery(), Vteps::default(), Instant::now());
        actual.hear(Event::NeighbourGone(2, ip("100.65.0.9")));
        vteps.due(&actual, now);
        let (place, lost) = vteps.due(&actual, now).remove(0);
        assert_eq!(vteps.answered(place, &lost, None, now), []);
        assert_eq!((vteps.news(&actual), vteps.due(&actual, now)), (None, Vec::new()));
        assert_eq!(vteps.due(&actual, now + PAUSE.0).len(), 1);
    }

    #[test]
    fn who_is_new_does_not_wait_for_others_of_his_table() {
        let (mut actual, mut vteps, now) = (scenery(), Vteps::default(), Instant::now());
        let (known, new) = (ip("100.65.0.8"), ip("100.65.0.9"));
        actual.hear(Event::NeighbourGone(2, known));
        vteps.due(&actual, now);
        let (place, lost) = vteps.due(&actual, now).remove(0);
        vteps.answered(place, &lost, Some(&[route("100.65.0.8", 2)]), now);
        actual.hear(Event::NeighbourGone(2, new));
        assert_eq!(vteps.due(&actual, now), []);
        assert_eq!(vteps.due(&actual, now)[0].1.len(), 2);
    }

    #[test]
    fn what_is_lost_outlives_a_new_reading_and_what_was_missed_is_lost() {
        let mut actual = scenery();
        let (lost, back, missed) = (ip("100.65.0.9"), ip("100.65.0.8"), ip("100.65.0.7"));
        actual.hear(Event::NeighbourPassing(2, missed));
        for vtep in [lost, back] {
            actual.hear(Event::NeighbourGone(2, vtep));
        }
        let mut fresh = actual.fresh();
        fresh.settle();
        assert!(fresh.lost_neighbours().is_empty(), "its bridge has gone");
        let mut fresh = actual.fresh();
        links().into_iter().for_each(|(index, facts)| fresh.apply(Event::Link(index, Box::new(facts))));
        fresh.apply(Event::NeighbourPassing(2, back));
        fresh.settle();
        assert_eq!(*fresh.lost_neighbours(), BTreeSet::from([(2, lost), (2, missed)]));
    }
}
