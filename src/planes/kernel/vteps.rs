//! VTEPs that zebra has forgotten: BGP's routes lead by them over a bridge of ours, and there is no neighbour.
//!
//! zebra puts the neighbour of a VTEP on the bridge with the first route by it and takes it away with the last. That of FRR 8.4
//! to 9 loses it when bgpd replaces a route, as it does when an attribute changes: of the removal and the addition that come
//! together it carries out the addition first (`META_QUEUE_EVPN` before `META_QUEUE_EARLY_ROUTE` in zebra/zebra_rib.c, mended
//! in FRR 10.0). Nothing else would tell of it but packets that do not arrive. Pure.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use super::{
    actual::Actual,
    decode::{Event, Hop},
    uapi::RTPROT_BGP,
};
use crate::model::IfName;

/// What was seen and told last.
#[derive(Debug, Default)]
pub struct Vteps {
    before: HashSet<(u32, IpAddr)>,
    told: BTreeSet<(IfName, IpAddr)>,
}

impl Vteps {
    /// The neighbours that were lost at the last look, too: not on their way to being replaced.
    pub fn lasting(&mut self, actual: &Actual) -> Vec<(u32, IpAddr)> {
        let lost: HashSet<_> = actual.lost_neighbours().iter().copied().collect();
        let before = std::mem::replace(&mut self.before, lost);
        self.before.intersection(&before).copied().collect()
    }

    /// These are forgotten now; gives them where that is new.
    pub fn news(&mut self, forgotten: BTreeSet<(IfName, IpAddr)>) -> Option<BTreeSet<(IfName, IpAddr)>> {
        let changed = self.told != forgotten;
        self.told.clone_from(&forgotten);
        changed.then_some(forgotten)
    }
}

/// Whether a route is BGP's and leads by this VTEP, or may: several next hops are not told apart.
pub fn leads_by(route: &Event, (index, vtep): (u32, IpAddr)) -> bool {
    let Event::Route(_, hop, RTPROT_BGP) = route else { return false };
    *hop == Hop::Other || *hop == Hop::Via(vtep, index)
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
    fn scenery() -> Actual {
        let link = |name: &str| LinkFacts::new(name.parse().unwrap());
        let bridge = LinkFacts { kind: LinkKind::Bridge, master: Some(1), ..link("br-7") };
        let owner = Vni::new(7).map(Mark::Vni);
        let links = [
            (1, LinkFacts { kind: LinkKind::Vrf { table: 7 }, ..link("vrf-7") }),
            (2, LinkFacts { owner, ..bridge.clone() }),
            (3, LinkFacts { name: "br-8".parse().unwrap(), ..bridge }),
        ];
        let mut actual = Actual::default();
        links.into_iter().for_each(|(index, facts)| actual.apply(Event::Link(index, Box::new(facts))));
        actual
    }

    #[test]
    fn what_is_lost_at_two_looks_lasts() {
        let (mut actual, mut vteps) = (scenery(), Vteps::default());
        let vtep = ip("100.65.0.9");
        actual.hear(Event::NeighbourGone(2, vtep));
        actual.hear(Event::NeighbourGone(3, vtep));
        assert_eq!(vteps.lasting(&actual), []);
        assert_eq!(vteps.lasting(&actual), [(2, vtep)], "on a bridge of ours alone");
        assert_eq!(actual.place(2), Some(("br-7".parse().unwrap(), 7)));
        actual.hear(Event::NeighbourPassing(2, vtep)); // as zebra's are
        assert_eq!(vteps.lasting(&actual), []);
        actual.hear(Event::NeighbourGone(2, vtep));
        vteps.lasting(&actual);
        actual.hear(Event::LinkGone(2));
        assert_eq!(vteps.lasting(&actual), []);
    }

    #[test]
    fn only_bgps_routes_lead_by_a_vtep() {
        let vtep = ip("100.65.0.9");
        let route = |hop, protocol| Event::Route((7, "10.99.0.0/24".parse().unwrap(), 20), hop, protocol);
        let leads = |hop, protocol| leads_by(&route(hop, protocol), (2, vtep));
        assert!(leads(Hop::Via(vtep, 2), RTPROT_BGP) && leads(Hop::Other, RTPROT_BGP));
        assert!(!leads(Hop::Via(vtep, 2), 4) && !leads(Hop::Via(vtep, 3), RTPROT_BGP));
        assert!(!leads(Hop::Via(ip("100.65.0.8"), 2), RTPROT_BGP) && !leads(Hop::Unreachable, RTPROT_BGP));
    }

    #[test]
    fn it_is_told_once() {
        let mut vteps = Vteps::default();
        let forgotten = BTreeSet::from([("br-7".parse().unwrap(), ip("100.65.0.9"))]);
        assert_eq!(vteps.news(BTreeSet::new()), None);
        assert_eq!(vteps.news(forgotten.clone()), Some(forgotten.clone()));
        assert_eq!(vteps.news(forgotten), None);
        assert_eq!(vteps.news(BTreeSet::new()), Some(BTreeSet::new()));
    }
}
