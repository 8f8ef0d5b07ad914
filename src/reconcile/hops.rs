//! How far the prefixes of each tenant have come behind the kernel, as bgpd was last asked: in the VRF's table, and as
//! type-5 routes.
//!
//! A VRF is counted soon after something of it has changed, and all are when FRR was read whole; then a table that has as
//! many prefixes as it had is not counted again. One that does not have what stands is counted again, ever later, and where
//! that does not change by itself it is looked at (`survey`). FRR's plane takes its time over it. Pure: time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    net::IpAddr,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Reconciler,
    doubt::Doubt,
    object::{Key, Object, PlaneId},
    part::Part,
};
use crate::{
    intent::names,
    model::IfName,
    planes::{
        Command, Report,
        frr::question::{Held, Question, ToCount},
    },
};

/// How long after a change its VRF is counted: zebra and bgpd take some 25,000 prefixes a second.
const SETTLE: Duration = Duration::from_secs(1);

/// How many VRFs are asked for at once: what changes meanwhile does not wait long.
const AT_ONCE: usize = 16;

/// How long bgpd may take for one of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many prefixes of a part were where, when last counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// In the BGP table of the VRF.
    pub bgpd: usize,
    /// As type-5 routes; None: there are none of this part.
    pub type5: Option<usize>,
    /// When that was.
    pub at: Instant,
}

/// The counts, and what is to be counted.
#[derive(Debug, Default)]
pub struct Counting {
    counts: BTreeMap<Part, Count>,
    /// How many prefixes the table of a part's VRF had, whoever's, when it was last counted.
    totals: BTreeMap<Part, usize>,
    /// The parts whose VRF does not have what stands.
    doubts: BTreeMap<Part, Doubt>,
    /// What is to be counted, since when, the longest first; and whether something of it has changed.
    due: VecDeque<(Instant, Part)>,
    has_changed: BTreeMap<Part, bool>,
    /// What was asked and is not answered, and when bgpd was last heard.
    asked: Option<(BTreeMap<IfName, Part>, Instant)>,
    /// Not before this.
    pause: Option<Instant>,
}

impl Counting {
    /// Something of a part has changed.
    pub fn changed(&mut self, part: Part, now: Instant) {
        self.look(std::iter::once(part), now);
        self.has_changed.insert(part, true);
    }

    /// A look at these parts is due.
    fn look(&mut self, parts: impl Iterator<Item = Part>, now: Instant) {
        for part in parts {
            if let Entry::Vacant(vacant) = self.has_changed.entry(part) {
                vacant.insert(false);
                self.due.push_back((now, part));
            }
        }
    }

    /// bgpd is away: what it had it has no more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// How far the prefixes of a part have come.
    pub fn count(&self, part: Part) -> Option<Count> {
        self.counts.get(&part).copied()
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some((_, heard)) = &self.asked {
            return Some(*heard + PATIENCE);
        }
        let again = self.doubts.values().filter_map(Doubt::due);
        let first = self.due.front().map(|(since, _)| *since + SETTLE);
        let first = first.into_iter().chain(again).min()?;
        Some(self.pause.map_or(first, |pause| pause.max(first)))
    }

    /// What bgpd has of a part is what stands.
    fn trust(&mut self, part: Part) {
        self.doubts.remove(&part);
    }

    /// By these hosts what bgpd has of a part differs from what stands. Gives whether that has to be looked at.
    fn doubt(&mut self, part: Part, differing: &BTreeSet<IpAddr>, now: Instant) -> bool {
        self.doubts.entry(part).or_insert_with(|| Doubt::new(now)).counted(differing, now)
    }

    /// A look at a part found nothing to be told: these hosts are others'.
    pub(super) fn accept(&mut self, part: Part, theirs: &BTreeSet<IpAddr>) {
        if let Some(doubt) = self.doubts.get_mut(&part) {
            doubt.accept(theirs);
        }
    }

    /// Whether a host of a part differs for good.
    pub(super) fn lets_be(&self, part: Part, host: IpAddr) -> bool {
        self.doubts.get(&part).is_some_and(|doubt| doubt.lets_be(host))
    }

    /// The doubts that are to be counted again are due.
    fn look_again(&mut self, now: Instant) {
        let ripe = self.doubts.iter_mut().filter(|(_, doubt)| doubt.due().is_some_and(|due| due <= now));
        let ripe = ripe.map(|(part, doubt)| {
            doubt.asked();
            *part
        });
        for part in ripe.collect::<Vec<_>>() {
            self.changed(part, now);
        }
    }

    /// The parts that were due first.
    fn take_due(&mut self, now: Instant) -> Vec<(Part, bool)> {
        let ripe = self.due.iter().take(AT_ONCE).take_while(|(since, _)| *since + SETTLE <= now).count();
        let ripe = self.due.drain(..ripe);
        ripe.map(|(_, part)| (part, self.has_changed.remove(&part).unwrap_or_default())).collect()
    }
}

impl Reconciler {
    /// What is known of prefixes in BGP goes with the session, and is asked for when all was read.
    pub(super) fn follow_frr(&mut self, report: &Report<Object, Key>, now: Instant) {
        match report {
            Report::Down(_) => {
                self.counting.forget();
                self.survey.interrupted(now);
                self.arrival = None;
            }
            Report::Whole(_) => self.look_at_hops(now),
            _ => {}
        }
    }

    /// When counting has to go on; None: not before FRR was read whole.
    pub(super) fn counting_deadline(&self) -> Option<Instant> {
        self.core.is_whole(PlaneId::Frr).then(|| self.counting.deadline())?
    }

    /// All that is wished is to be looked at.
    pub(super) fn look_at_hops(&mut self, now: Instant) {
        let tenants = self.intent.tenants().map(|tenant| Part::from(tenant.vni));
        let plain = self.wishes_underlay().then_some(Part::Base);
        self.counting.look(tenants.chain(plain), now);
    }

    /// The question to bgpd, when it is time for one: not while zebra has still to read.
    pub(super) fn ask_for_counts(&mut self, now: Instant) -> Option<(PlaneId, Command<Object>)> {
        if self.counting_deadline().is_none_or(|due| due > now) {
            return None;
        }
        if let Some((lost, _)) = self.counting.asked.take() {
            lost.into_values().for_each(|part| self.counting.changed(part, now));
        }
        if self.survey.is_behind() {
            self.counting.pause = Some(now + SETTLE);
            return None;
        }
        self.counting.look_again(now);
        let mut asked = BTreeMap::new();
        let mut vrfs = Vec::new();
        for (part, changed) in self.counting.take_due(now) {
            let (vrf, vni) = match part.vni() {
                Some(vni) => (names::vrf(vni), Some(vni.get())),
                None => (self.config.underlay.vrf, None),
            };
            if !self.core.slices.contains_key(&Some(part)) {
                self.counting.counts.remove(&part);
                self.counting.totals.remove(&part);
                self.counting.trust(part);
                continue;
            }
            if changed {
                self.counting.totals.remove(&part);
            }
            let known = self.counting.totals.get(&part).copied();
            asked.insert(vrf, part);
            vrfs.push(ToCount { vrf, vni, known });
        }
        if vrfs.is_empty() {
            return None;
        }
        self.counting.asked = Some((asked, now));
        Some((PlaneId::Frr, Command::Ask(Question::Count(vrfs))))
    }

    /// bgpd has counted a VRF.
    pub(super) fn counted(&mut self, vrf: IfName, total: Option<usize>, held: Option<Held>, now: Instant) {
        let Some((asked, heard)) = &mut self.counting.asked else { return };
        let Some(part) = asked.remove(&vrf) else { return };
        *heard = now;
        if asked.is_empty() {
            self.counting.asked = None;
        }
        let is_as_before =
            total.is_some() && held.is_none() && total == self.counting.totals.get(&part).copied();
        match total {
            Some(total) => drop(self.counting.totals.insert(part, total)),
            None => drop(self.counting.totals.remove(&part)),
        }
        let parts = self.told_by(part);
        if is_as_before {
            for part in &parts {
                self.counting.counts.entry(*part).and_modify(|count| count.at = now);
            }
            return;
        }
        let Some(held) = held else {
            for part in &parts {
                self.counting.counts.remove(part);
            }
            self.counting.trust(part);
            return;
        };
        let (bgpd, type5) = (self.by_part(part, &held.bgpd), self.by_part(part, &held.type5));
        self.compare(part, &parts, &held.bgpd, &bgpd, now);
        for one in parts {
            let of = |counts: &BTreeMap<Part, usize>| counts.get(&one).copied().unwrap_or_default();
            let count = Count { bgpd: of(&bgpd), type5: one.vni().map(|_| of(&type5)), at: now };
            self.counting.counts.insert(one, count);
        }
    }

    /// Compares what bgpd has of a VRF, by the parts that wish it too, with what stands there. A part that is still being built
    /// is not compared.
    fn compare(
        &mut self,
        part: Part,
        parts: &[Part],
        hosts: &BTreeSet<IpAddr>,
        wished: &BTreeMap<Part, usize>,
        now: Instant,
    ) {
        if !self.core.is_built(part) {
            return self.counting.trust(part);
        }
        let differing = self.differing(part, parts, hosts, wished);
        if differing.is_empty() {
            self.counting.trust(part);
        } else if self.counting.doubt(part, &differing, now) {
            self.survey.doubt(part, now);
        }
    }

    /// The hosts of a VRF that stand and that bgpd lacks, and those of the agent's that it has and that are gone. Numbers cost
    /// little; which ones they are is looked up where they differ, or may.
    fn differing(
        &self,
        part: Part,
        parts: &[Part],
        hosts: &BTreeSet<IpAddr>,
        wished: &BTreeMap<Part, usize>,
    ) -> BTreeSet<IpAddr> {
        let mut differing = BTreeSet::new();
        if wished.values().sum::<usize>() < hosts.len() {
            let is_stale = |host: &&IpAddr| {
                let key = self.exposed_of(part.vni(), **host).key();
                !self.core.wished.has(&key) && !self.core.actual.has(&key) && self.is_ours(part, **host)
            };
            differing.extend(hosts.iter().filter(is_stale));
        }
        let lacks = |one: &Part| {
            let standing = self.core.standing_hosts_of(*one);
            standing.is_none_or(|standing| wished.get(one).copied().unwrap_or_default() < standing)
        };
        if parts.iter().any(lacks) {
            let standing = self.core.standing_hosts(|one| one == part).remove(&part).unwrap_or_default();
            differing.extend(standing.difference(hosts));
        }
        differing
    }

    /// The parts that the VRF of a part tells of: the BGP mode's has all provider networks' prefixes.
    fn told_by(&self, part: Part) -> Vec<Part> {
        if part != Part::Base {
            return vec![part];
        }
        let slices = self.core.slices.range(Some(Part::Network(Uuid::nil()))..);
        let parts = slices.map_while(|(part, _)| part.filter(|part| matches!(part, Part::Network(_))));
        parts.collect()
    }

    /// How many of these hosts are wished for each part whose prefixes are in this part's VRF.
    fn by_part(&self, part: Part, hosts: &BTreeSet<IpAddr>) -> BTreeMap<Part, usize> {
        let mut counts = BTreeMap::new();
        for &host in hosts {
            if let Some(wished) = self.core.wished.get(&self.exposed_of(part.vni(), host).key()) {
                *counts.entry(wished.part().counted()).or_default() += 1;
            }
        }
        counts
    }
}
