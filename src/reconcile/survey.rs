//! What zebra has lost of what the kernel told it: after a loss, what BGP originates is compared with what stands, and only
//! what differs is told again.
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
    model::IfName,
    planes::{
        Backlog, Command,
        frr::{
            object::{FrrKey, FrrObject},
            question::Question,
        },
        kernel::object::{Address, KernelKey, KernelObject},
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
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Quiet,
    /// The next look is due. What the first look found, if that was taken.
    Due(Instant, Option<KeySet>),
    Asked(Look),
}

/// A look that is being taken.
#[derive(Debug)]
struct Look {
    since: Instant,
    /// The VRFs that have not been told of yet, and what stood there as wished when they were asked for.
    owed: BTreeMap<IfName, (Part, BTreeSet<IpAddr>)>,
    /// All addresses and exposing routes that stood by VRF, whoever's.
    held: HashSet<(IfName, IpAddr)>,
    first: Option<KeySet>,
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
            self.state = State::Due(now + SETTLE, None);
        }
        self.backlog = backlog;
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
        let first = match std::mem::take(&mut self.survey.state) {
            State::Due(_, first) => first,
            State::Quiet | State::Asked(_) => None,
        };
        let all_read = self.core.is_whole(PlaneId::Frr) && self.core.is_whole(PlaneId::Kernel);
        if self.survey.backlog.bytes > 0 || !all_read {
            self.survey.state = State::Due(now + SETTLE, first);
            return None;
        }
        let mut standing = self.core.standing_hosts();
        let tenants = self.intent.tenants().map(|tenant| tenant.vni);
        let vrfs = tenants.map(|vni| (names::vrf(vni), Part::from(vni)));
        let plain = self.wishes_underlay().then_some((self.config.underlay.vrf, Part::Base));
        let mut with_hosts = |(vrf, part)| (vrf, (part, standing.remove(&part).unwrap_or_default()));
        let owed: BTreeMap<_, _> = vrfs.chain(plain).map(&mut with_hosts).collect();
        let vrfs = owed.keys().copied().collect();
        let held = self.core.held_addresses();
        self.survey.state = State::Asked(Look { since: now, owed, held, first, found: KeyMap::default() });
        Some((PlaneId::Frr, Command::Ask(Question::Originated(vrfs))))
    }

    /// What BGP originates in a VRF.
    pub(super) fn originated(&mut self, vrf: IfName, hosts: Option<BTreeSet<IpAddr>>, now: Instant) {
        let State::Asked(look) = &mut self.survey.state else { return };
        let Some((part, stood)) = look.owed.remove(&vrf) else { return };
        let mut found = Vec::new();
        if let Some(hosts) = hosts {
            // All that is in the BGP mode's VRF is the agent's.
            let tenant = part.vni().map(|vni| self.intent.tenant(vni));
            let is_stale = |ip: &&IpAddr| {
                let is_ours = tenant.is_none_or(|tenant| tenant.is_some_and(|tenant| is_of(tenant, **ip)));
                !look.held.contains(&(vrf, **ip)) && is_ours
            };
            let stale = hosts.difference(&stood).filter(is_stale);
            found.extend(stood.difference(&hosts).chain(stale).copied());
        }
        let found: Vec<Object> = found.into_iter().map(|ip| self.exposed_of(part.vni(), ip)).collect();
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
            look.found.insert(key, (part, link));
        }
        if look.found.is_empty() {
            tracing::info!("BGP has all that stands");
            return;
        }
        let Some(first) = look.first else {
            self.survey.state = State::Due(now + SETTLE, Some(look.found.into_keys().collect()));
            return;
        };
        let agreed = look.found.into_iter().filter(|(key, _)| first.contains(key));
        let mut count = 0;
        for (key, (part, object)) in agreed {
            count += u64::from(self.core.tell_again(key, part, object));
        }
        self.survey.told_again += count;
        tracing::warn!(count, "what zebra has lost is told again");
        // Until two looks find nothing: this may be lost, too. What does not come by being told lacks something else.
        self.survey.rounds += 1;
        self.survey.state = State::Due(now + retry::doubled(SETTLE, self.survey.rounds, LONGEST), None);
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
    fn held_addresses(&self) -> HashSet<(IfName, IpAddr)> {
        let held = self.actual.keys().filter_map(|key| match key {
            Key::Kernel(key) => self.attracted(&key),
            _ => None,
        });
        held.collect()
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
    fn standing_hosts(&self) -> BTreeMap<Part, BTreeSet<IpAddr>> {
        let mut hosts: BTreeMap<Part, BTreeSet<IpAddr>> = BTreeMap::new();
        for wished in self.wished.iter() {
            let (part, object) = (wished.part(), &*wished.object);
            let is_subnet = matches!(object, Object::Kernel(KernelObject::Address(address))
                if *address != Address::host(address.dev, address.ip));
            if let Some(ip) = exposed::attracts(object)
                && !is_subnet
                && !self.open.contains_key(&object.key())
            {
                hosts.entry(part.vni().map_or(Part::Base, Part::Vni)).or_default().insert(ip);
            }
        }
        hosts
    }
}
