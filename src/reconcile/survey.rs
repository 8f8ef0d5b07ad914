//! What zebra has lost of what the kernel told it, or was never told: what BGP originates is compared with what stands, and
//! only what differs is told again. After a loss that is done for all VRFs, and for one where what bgpd has was counted and
//! is not what stands (`hops`).
//!
//! An address (or the route that exposes it) that BGP lacks is taken away and put back; one that it has though it is gone is
//! put back and taken away; the kernel tells both anew. Where zebra does not have a tenant's L3VNI up, the tenant's links are
//! told again. Two looks must agree, so that what is only on its way is left alone. Pure: time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    Reconciler,
    core::Core,
    exposed,
    object::{Key, KeyMap, KeySet, Object, PlaneId},
    part::Part,
    retry,
    slice::Hold,
    table::Wished,
};
use crate::{
    intent::{Tenant, names},
    model::{IfName, Vni},
    planes::{
        Backlog, Command,
        frr::{
            object::{FrrKey, FrrObject},
            question::Question,
        },
        kernel::object::{KernelKey, KernelObject, NextHop, Route},
    },
};

/// How long after the last loss the first look is taken, and the second after the first. zebra and bgpd take some 25,000
/// prefixes a second.
const SETTLE: Duration = Duration::from_secs(1);

/// The longest pause between two tellings.
const LONGEST: Duration = Duration::from_secs(256);

/// How long bgpd may take to answer for all VRFs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How zebra keeps up, and what was done about what it lost.
#[derive(Debug, Default)]
pub struct Survey {
    pub(super) backlog: Backlog,
    /// Objects told again since the start.
    pub(super) told_again: u64,
    /// How often something was told again since the last loss.
    rounds: u32,
    state: State,
    /// Parts that are to be looked at by themselves.
    doubts: BTreeSet<Part>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Quiet,
    /// The next look is due.
    Due(Instant, Round),
    Asked(Look),
}

/// Two looks at the same parts.
#[derive(Debug, Default)]
struct Round {
    /// Those that are in doubt; None: something was lost, so all are.
    parts: Option<BTreeSet<Part>>,
    /// What the first look found, if that was taken.
    first: Option<KeySet>,
}

impl Round {
    fn has(&self, part: Part) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.contains(&part))
    }
}

/// A look that is being taken.
#[derive(Debug)]
struct Look {
    since: Instant,
    /// The VRFs that have not been told of yet, and what stood there as wished when they were asked for.
    owed: BTreeMap<IfName, (Part, BTreeSet<IpAddr>)>,
    /// All addresses and exposing routes that stood by VRF, whoever's.
    held: HashSet<(IfName, IpAddr)>,
    round: Round,
    /// The parts that were compared, with what bgpd has there and is not ours to keep; others were still being built, or bgpd
    /// did not tell of them.
    compared: BTreeMap<Part, BTreeSet<IpAddr>>,
    found: KeyMap<(Part, Object)>,
}

impl Survey {
    /// How zebra keeps up by now.
    fn heard(&mut self, backlog: Backlog, now: Instant) {
        if backlog.lost > self.backlog.lost {
            let lost = backlog.lost - self.backlog.lost;
            tracing::warn!(
                lost,
                "zebra has lost notifications of the kernel: BGP is compared with what stands"
            );
            self.rounds = 0;
            self.doubts.clear();
            self.state = State::Due(now + SETTLE, Round::default());
        }
        self.backlog = backlog;
    }

    /// What bgpd has of a part is not what stands, by its count.
    pub(super) fn doubt(&mut self, part: Part, now: Instant) {
        self.doubts.insert(part);
        self.begin(now);
    }

    /// Looks at what is in doubt, once nothing else is looked at; soon, so that others that are counted now come along.
    fn begin(&mut self, now: Instant) {
        if self.doubts.is_empty() {
            return;
        }
        match &mut self.state {
            State::Quiet => {
                let parts = Some(std::mem::take(&mut self.doubts));
                self.state = State::Due(now + SETTLE, Round { parts, first: None });
            }
            State::Due(_, Round { parts: Some(parts), first: None }) => parts.append(&mut self.doubts),
            // All are to be looked at, some time.
            State::Due(at, Round { parts: None, first: None }) => {
                self.doubts.clear();
                *at = (*at).min(now + SETTLE);
            }
            State::Due(..) | State::Asked(_) => {}
        }
    }

    /// FRR is away: an answer does not come any more.
    pub(super) fn interrupted(&mut self, now: Instant) {
        if let State::Asked(look) = &mut self.state {
            let round = Round { parts: look.round.parts.take(), first: None };
            self.state = State::Due(now + SETTLE, round);
        }
    }

    /// zebra has still to read, and will.
    pub fn is_behind(&self) -> bool {
        self.backlog.bytes > 0 && !self.backlog.stuck
    }

    /// When something is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Quiet => None,
            State::Due(at, _) => Some(*at),
            State::Asked(look) => Some(look.since + PATIENCE),
        }
    }
}

impl Reconciler {
    /// How zebra keeps up by now.
    pub(super) fn backlog(&mut self, backlog: Backlog, now: Instant) {
        self.survey.heard(backlog, now);
    }

    /// The question to FRR, when it is time for one: not while zebra has still to read.
    pub(super) fn ask_for_survey(&mut self, now: Instant) -> Option<(PlaneId, Command<Object>)> {
        let due = self.survey.deadline().is_some_and(|due| due <= now);
        if !due {
            return None;
        }
        let round = match std::mem::take(&mut self.survey.state) {
            State::Due(_, round) => round,
            State::Quiet => Round::default(),
            // bgpd has not answered: the first look again.
            State::Asked(look) => Round { first: None, ..look.round },
        };
        let all_read = self.core.is_whole(PlaneId::Frr) && self.core.is_whole(PlaneId::Kernel);
        if self.survey.backlog.bytes > 0 || !all_read {
            self.survey.state = State::Due(now + SETTLE, round);
            return None;
        }
        let mut standing = self.core.standing_hosts(|part| round.has(part));
        let tenants = self.intent.tenants().map(|tenant| tenant.vni);
        let vrfs = tenants.map(|vni| (names::vrf(vni), Part::from(vni)));
        let plain = self.wishes_underlay().then_some((self.config.underlay.vrf, Part::Base));
        let mut with_hosts = |(vrf, part)| (vrf, (part, standing.remove(&part).unwrap_or_default()));
        let vrfs = vrfs.chain(plain).filter(|(_, part)| round.has(*part));
        let owed: BTreeMap<_, _> = vrfs.map(&mut with_hosts).collect();
        if owed.is_empty() {
            self.survey.begin(now);
            return None;
        }
        let vrfs = owed.keys().copied().collect();
        let held = self.core.held_addresses(|vrf| owed.contains_key(vrf));
        self.survey.state = State::Asked(Look {
            since: now,
            owed,
            held,
            round,
            compared: BTreeMap::new(),
            found: KeyMap::default(),
        });
        Some((PlaneId::Frr, Command::Ask(Question::Originated(vrfs))))
    }

    /// What BGP originates in a VRF.
    pub(super) fn originated(&mut self, vrf: IfName, hosts: Option<BTreeSet<IpAddr>>, now: Instant) {
        let State::Asked(look) = &mut self.survey.state else { return };
        let Some((part, stood)) = look.owed.remove(&vrf) else { return };
        let mut found = Vec::new();
        // What is still being built would not tell before it stands; then it is counted.
        if let Some(hosts) = hosts.filter(|_| self.core.is_built(part)) {
            look.compared.insert(part, hosts.difference(&stood).copied().collect());
            let State::Asked(look) = &self.survey.state else { return };
            let is_stale = |ip: &&IpAddr| !look.held.contains(&(vrf, **ip)) && self.is_ours(part, **ip);
            let stale = hosts.difference(&stood).filter(is_stale);
            let is_new = |ip: &&IpAddr| look.round.parts.is_none() || !self.counting.lets_be(part, **ip);
            found.extend(stood.difference(&hosts).chain(stale).filter(is_new).copied());
        }
        let found: Vec<Object> = found.into_iter().flat_map(|ip| self.tellers(part.vni(), ip)).collect();
        let State::Asked(look) = &mut self.survey.state else { return };
        look.found.extend(found.into_iter().map(|object| (object.key(), (part, object))));
        if look.owed.is_empty() {
            self.surveyed(now);
        }
    }

    /// The look is complete.
    fn surveyed(&mut self, now: Instant) {
        let State::Asked(mut look) = std::mem::take(&mut self.survey.state) else { return };
        for (key, part, link) in self.core.links_of_l3vnis_down() {
            if look.round.has(part) {
                look.found.insert(key, (part, link));
            }
        }
        let Round { parts, first } = look.round;
        if parts.is_some() {
            let differ: BTreeSet<Part> = look.found.values().map(|(part, _)| *part).collect();
            let settled = look.compared.iter().filter(|(part, _)| !differ.contains(part));
            settled.for_each(|(part, theirs)| self.counting.accept(*part, theirs));
        }
        if look.found.is_empty() {
            if parts.is_none() {
                tracing::info!("BGP has all that stands");
            }
            self.survey.begin(now);
            return;
        }
        let Some(first) = first else {
            let first = Some(look.found.into_keys().collect());
            self.survey.state = State::Due(now + SETTLE, Round { parts, first });
            return;
        };
        let agreed = look.found.into_iter().filter(|(key, _)| first.contains(key));
        let mut count = 0;
        for (key, (part, object)) in agreed {
            count += u64::from(self.core.tell_again(key, part, object));
        }
        self.survey.told_again += count;
        if count > 0 {
            tracing::warn!(
                count,
                "BGP has not what stands: what zebra has lost, or never heard, is told again"
            );
        }
        if parts.is_some() {
            // Whether that helped the next count says.
            self.survey.begin(now);
            return;
        }
        // Until two looks find nothing: this may be lost, too. What does not come by being told lacks something else.
        self.survey.rounds += 1;
        let pause = retry::doubled(SETTLE, self.survey.rounds, LONGEST);
        self.survey.state = State::Due(now + pause, Round::default());
    }

    /// Whether a host that a part's VRF originates is the agent's: all that is in the BGP mode's VRF is, of a tenant's what
    /// is the tenant's.
    pub(super) fn is_ours(&self, part: Part, ip: IpAddr) -> bool {
        part.vni().is_none_or(|vni| self.intent.tenant(vni).is_some_and(|tenant| is_of(tenant, ip)))
    }

    /// What is told again for a host that BGP lacks, or has too much.
    ///
    /// zebra prefers the route with the smaller metric, and does not hear of the end of IPv4 routes by a link that goes down. If
    /// the route to a gateway was such a one, from when its address was on a dummy, it hides the one that exposes it: one like
    /// it has to come and go.
    fn tellers(&self, vni: Option<Vni>, ip: IpAddr) -> Vec<Object> {
        let exposed = self.exposed_of(vni, ip);
        let hides = match (vni, &exposed) {
            (
                Some(vni),
                Object::Kernel(KernelObject::Route(Route { next_hop: NextHop::Link(device), .. })),
            ) => ip.is_ipv4().then(|| KernelObject::Route(Route::passing(vni.get(), ip, *device)).into()),
            _ => None,
        };
        std::iter::once(exposed).chain(hides).collect()
    }
}

/// Whether an address is the tenant's: others may have prefixes of their own in the VRF.
fn is_of(tenant: &Tenant, ip: IpAddr) -> bool {
    tenant.subnets.iter().any(|subnet| subnet.prefix.contains(&ip))
        || tenant.gateways.iter().any(|gateway| gateway.addresses.contains(&ip))
}

impl Core {
    /// An object is to be told again: taken away and put back; a link in place; an address that does not stand put there
    /// and taken away. Gives whether it is still as it was found.
    fn tell_again(&mut self, key: Key, part: Part, object: Object) -> bool {
        let wished = self.wished.has(&key);
        let part = self.wished.get(&key).map_or(part, Wished::part);
        if self.open.contains_key(&key) || wished != self.actual.has(&key) {
            return false;
        }
        self.untold.insert(key.clone(), (part, object));
        self.judge(&key, true);
        true
    }

    /// Addresses by the VRF that their link is in, and exposing routes by that of their table.
    fn held_addresses(&self, is_asked_for: impl Fn(&IfName) -> bool) -> HashSet<(IfName, IpAddr)> {
        let held = self.actual.keys().filter_map(|key| match key {
            Key::Kernel(key) => self.attracted(&key),
            _ => None,
        });
        held.filter(|(vrf, _)| is_asked_for(vrf)).collect()
    }

    /// The links of tenants whose L3VNI is wished and that zebra does not have up.
    fn links_of_l3vnis_down(&self) -> Vec<(Key, Part, Object)> {
        let down = self.wished.iter().filter_map(|wished| {
            let Object::Frr(FrrObject::Vrf(vrf)) = &*wished.object else { return None };
            let open = self.open.get(&FrrKey::Vrf(vrf.vrf).into())?;
            matches!(open.hold, Some(Hold::Settling(_))).then_some(wished.part())
        });
        let frames = down.filter_map(|part| Some((part, &self.slices.get(&Some(part))?.frame)));
        let links = frames.flat_map(|(part, frame)| frame.iter().map(move |key| (part, key)));
        let standing = links.filter(|(_, key)| matches!(key, Key::Kernel(KernelKey::Link(_))));
        standing
            .filter_map(|(part, key)| Some((key.clone(), part, (*self.wished.get(key)?.object).clone())))
            .collect()
    }

    /// The host addresses that stand as wished, by tenant; those of the BGP mode are its base's.
    pub(super) fn standing_hosts(
        &self,
        is_asked_for: impl Fn(Part) -> bool,
    ) -> BTreeMap<Part, BTreeSet<IpAddr>> {
        let mut hosts: BTreeMap<Part, BTreeSet<IpAddr>> = BTreeMap::new();
        for wished in self.wished.iter() {
            let (part, object) = (wished.part().vni().map_or(Part::Base, Part::Vni), &*wished.object);
            if is_asked_for(part)
                && let Some(ip) = exposed::host(object)
                && !self.open.contains_key(&object.key())
            {
                hosts.entry(part).or_default().insert(ip);
            }
        }
        hosts
    }
}
