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
    /// All that are forgotten by now.
    pub(super) fn heard(&mut self, forgotten: &BTreeSet<(IfName, IpAddr)>, now: Instant) {
        self.forgotten.retain(|vtep, _| forgotten.contains(vtep));
        for vtep in forgotten {
            self.forgotten.entry(*vtep).or_insert_with(|| {
                self.count += 1;
                Try { times: 0, next: now }
            });
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.forgotten.values().filter(|one| one.times < MOST_TRIES).map(|one| one.next).min()
    }

    /// The bridges of those that are to be told now, each once.
    fn take_due(&mut self, now: Instant) -> BTreeSet<IfName> {
        let is_due = |one: &Try| one.times < MOST_TRIES && one.next <= now;
        let due = self.forgotten.iter_mut().filter(|(_, one)| is_due(one));
        let due = due.map(|((bridge, vtep), one)| {
            one.times += 1;
            one.next = now + retry::doubled(FIRST, one.times, Duration::MAX);
            let tries = one.times;
            tracing::warn!(%bridge, %vtep, tries, "BGP's routes lead by a VTEP of which zebra has no neighbour: it is told them again");
            if tries == MOST_TRIES {
                tracing::error!(%bridge, %vtep, "zebra does not take the VTEP back: docs/troubleshooting.md says what else can be done");
            }
            *bridge
        });
        due.collect()
    }
}

impl Reconciler {
    /// The VTEPs that zebra has forgotten by now, on the bridges of tenants.
    pub(super) fn forgotten(&mut self, vteps: &BTreeSet<(IfName, IpAddr)>, now: Instant) {
        let bridges: BTreeSet<IfName> =
            self.intent.tenants().map(|tenant| names::bridge(tenant.vni)).collect();
        let of_tenants = vteps.iter().filter(|(bridge, _)| bridges.contains(bridge)).copied();
        self.vteps.heard(&of_tenants.collect(), now);
    }

    /// When zebra is to be told of VTEPs; None: not before FRR was read whole.
    pub(super) fn vteps_deadline(&self) -> Option<Instant> {
        self.core.is_whole(PlaneId::Frr).then(|| self.vteps.deadline())?
    }

    /// What bgpd is to tell zebra, when it is time for it.
    pub(super) fn remind_zebra(&mut self, now: Instant) -> Option<(PlaneId, Command<Object>)> {
        if self.vteps_deadline().is_none_or(|due| due > now) {
            return None;
        }
        let bridges = self.vteps.take_due(now);
        let is_due = |tenant: &&Tenant| bridges.contains(&names::bridge(tenant.vni));
        let instance = |tenant: &Tenant| (tenant.asn, names::vrf(tenant.vni));
        let instances: BTreeSet<(Asn, IfName)> = self.intent.tenants().filter(is_due).map(instance).collect();
        (!instances.is_empty()).then_some((PlaneId::Frr, Command::Ask(Question::TellZebra(instances))))
    }
}
