//! VTEPs that zebra has forgotten (see the kernel plane): bgpd is made to tell it the routes of the tenant again, which takes
//! nothing away. What that does not help after some tries is left to the operator. Pure: time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    Reconciler,
    object::{Object, PlaneId},
    retry,
};
use crate::{
    intent::{Tenant, names},
    model::{Asn, IfName},
    planes::{Command, frr::question::Question},
};

/// The pause after the first try, doubled with each further one, and how many there are.
const FIRST: Duration = Duration::from_secs(2);
const MOST_TRIES: u32 = 6;

/// Those that are forgotten.
#[derive(Debug, Default)]
pub struct Vteps {
    forgotten: BTreeMap<(IfName, IpAddr), Try>,
    /// How many were forgotten since the start.
    pub(super) count: u64,
}

/// How often zebra was told, and when it is to be told next.
#[derive(Debug)]
struct Try {
    times: u32,
    next: Instant,
}

impl Vteps {
    /// All that are forgotten by now, whoever's the bridges are.
    pub(super) fn heard(&mut self, forgotten: &BTreeSet<(IfName, IpAddr)>, now: Instant) {
        self.forgotten.retain(|vtep, _| forgotten.contains(vtep));
        for vtep in forgotten {
            self.forgotten.entry(*vtep).or_insert(Try { times: 0, next: now });
        }
    }

    /// zebra is to be told of this one; false: it was told often enough.
    fn try_again(&mut self, vtep: &(IfName, IpAddr), now: Instant) -> bool {
        let Some(one) = self.forgotten.get_mut(vtep) else { return false };
        let (bridge, vtep) = vtep;
        self.count += u64::from(one.times == 0);
        one.times += 1;
        one.next = now + retry::doubled(FIRST, one.times, Duration::MAX);
        let goes_on = one.times <= MOST_TRIES;
        if goes_on {
            tracing::warn!(%bridge, %vtep, times = one.times, "BGP's routes lead by a VTEP of which zebra has no neighbour: it is told them again");
        } else {
            tracing::error!(%bridge, %vtep, "zebra does not take the VTEP back: docs/troubleshooting.md says what else can be done");
        }
        goes_on
    }
}

impl Reconciler {
    /// Those on bridges of tenants that are not given up: when they are due, and of which tenant.
    fn open_vteps(&self) -> impl Iterator<Item = (&(IfName, IpAddr), Instant, &Tenant)> {
        let open = self.vteps.forgotten.iter().filter(|(_, one)| one.times <= MOST_TRIES);
        open.filter_map(|(vtep, one)| Some((vtep, one.next, self.tenant_on(vtep.0)?)))
    }

    fn tenant_on(&self, bridge: IfName) -> Option<&Tenant> {
        let tenant = self.intent.tenant(names::vni_of(&bridge)?)?;
        (names::bridge(tenant.vni) == bridge).then_some(tenant)
    }

    /// When zebra is to be told of VTEPs; None: not before FRR was read whole.
    pub(super) fn vteps_deadline(&self) -> Option<Instant> {
        self.core.is_whole(PlaneId::Frr).then(|| self.open_vteps().map(|(_, next, _)| next).min())?
    }

    /// What bgpd is to tell zebra, when it is time for it.
    pub(super) fn remind_zebra(&mut self, now: Instant) -> Option<(PlaneId, Command<Object>)> {
        if self.vteps_deadline().is_none_or(|due| due > now) {
            return None;
        }
        let due = self.open_vteps().filter(|(_, next, _)| *next <= now);
        let due = due.map(|(vtep, _, tenant)| (*vtep, (tenant.asn, names::vrf(tenant.vni))));
        let due: Vec<_> = due.collect();
        let told = due.into_iter().filter(|(vtep, _)| self.vteps.try_again(vtep, now));
        let instances: BTreeSet<(Asn, IfName)> = told.map(|(_, instance)| instance).collect();
        (!instances.is_empty()).then_some((PlaneId::Frr, Command::Ask(Question::TellZebra(instances))))
    }
}
