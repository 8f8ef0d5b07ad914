//! What the BGP mode has to say: its VRF, and its provider networks with their state and reasons.

use std::{collections::BTreeSet, time::Instant};

use serde::Serialize;
use uuid::Uuid;

use super::{Hops, MOST_REASONS, is_zero, state_of};
use crate::reconcile::{
    Reconciler,
    core::Unanswered,
    part::Part,
    slice::{Side, Slice, Trouble},
};

/// The BGP mode.
#[derive(Debug, Serialize)]
pub struct UnderlayStatus {
    /// The VRF that FRR's default instance takes the addresses from.
    pub vrf: String,
    /// Its routing table.
    pub table: u32,
    /// The dummy that has the addresses.
    pub nic: String,
    /// How all of this stands, and FRR's side: as a tenant's state.
    pub state: &'static str,
    /// Why it is not ok.
    pub reasons: Vec<String>,
    /// Objects that are not as wished yet.
    pub open: u32,
    /// The provider networks on which something is offered.
    pub networks: Vec<NetworkStatus>,
}

/// A provider network.
#[derive(Debug, Serialize)]
pub struct NetworkStatus {
    /// The physical network; where this node is not on it, a localnet port's or the datapath's name.
    pub network: String,
    /// Its VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// The provider bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// That bridge's routing table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// As a tenant's state, of the network and all that is offered on it.
    pub state: &'static str,
    /// Why it is not ok, the worst first.
    pub reasons: Vec<String>,
    /// How many reasons there are beyond these.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_reasons: usize,
    /// Addresses and subnets that are to be advertised, and how far they have come.
    pub prefixes: Hops,
    /// Objects wished.
    pub wished: usize,
    /// Objects that are not as wished yet.
    pub open: u32,
}

impl UnderlayStatus {
    /// Everything stands.
    pub fn is_settled(&self) -> bool {
        self.state == "ok" && self.networks.iter().all(|network| network.state == "ok")
    }

    /// What does not stand, with the first reason.
    pub fn waiting(&self) -> impl Iterator<Item = String> {
        let first =
            |reasons: &[String]| reasons.first().map(|reason| format!(": {reason}")).unwrap_or_default();
        let base =
            (self.state != "ok").then(|| format!("{} {}{}", self.vrf, self.state, first(&self.reasons)));
        let networks = self.networks.iter().filter(|network| network.state != "ok");
        base.into_iter().chain(networks.map(move |network| {
            format!("provider network {} {}{}", network.network, network.state, first(&network.reasons))
        }))
    }
}

/// None: the mode is off, and nothing of it is there.
pub fn underlay(reconciler: &Reconciler, now: Instant) -> Option<UnderlayStatus> {
    let slices = &reconciler.core.slices;
    if !reconciler.wishes_underlay()
        && !slices.keys().any(|part| part.is_some_and(|part| part.vni().is_none()))
    {
        return None;
    }
    let options = &reconciler.config.underlay;
    let unanswered = reconciler.core.unanswered(now);
    let mut base = Sum::of(slices.get(&Some(Part::Base)).into_iter());
    base.reasons.extend(unanswered.get(&Part::Base).map(|one| one.reason()));
    let mut networks: BTreeSet<Uuid> = reconciler.bgp.networks().collect();
    networks.extend(slices.keys().filter_map(|part| match part.map(Part::counted) {
        Some(Part::Network(network)) => Some(network),
        _ => None,
    }));
    let of = |network| of_network(reconciler, network, unanswered.get(&Part::Network(network)).copied(), now);
    let mut networks: Vec<_> = networks.into_iter().map(of).collect();
    networks.sort_by(|a, b| (&a.network, a.tag).cmp(&(&b.network, b.tag)));
    Some(UnderlayStatus {
        vrf: options.vrf.to_string(),
        table: options.table,
        nic: options.nic.to_string(),
        state: base.state(),
        open: base.open,
        reasons: base.reasons,
        networks,
    })
}

fn of_network(
    reconciler: &Reconciler,
    network: Uuid,
    unanswered: Option<Unanswered>,
    now: Instant,
) -> NetworkStatus {
    let part = Part::Network(network);
    let own = reconciler.core.slices.get(&Some(part)).into_iter();
    let mut sum = Sum::of(own.chain(reconciler.core.above(part).map(|(_, slice)| slice)));
    sum.reasons.extend(unanswered.map(Unanswered::reason));
    let tally = reconciler.core.tally(part);
    let more_reasons = sum.reasons.len().saturating_sub(MOST_REASONS);
    sum.reasons.truncate(MOST_REASONS);
    let tie = reconciler.underlay.tie(network);
    let localnet = || reconciler.replica.localnets_of(network).next().map(|row| row.logical_port.to_string());
    NetworkStatus {
        network: tie
            .map(|tie| tie.network.to_string())
            .or_else(localnet)
            .unwrap_or_else(|| network.to_string()),
        tag: tie.and_then(|tie| tie.tag),
        bridge: tie.map(|tie| tie.bridge.to_string()),
        table: tie.map(|tie| tie.table),
        state: sum.state(),
        more_reasons,
        prefixes: Hops::of(reconciler, part, now),
        wished: tally.objects,
        open: sum.open,
        reasons: sum.reasons,
    }
}

/// Several slices as one.
struct Sum {
    open: u32,
    worst: Option<Trouble>,
    reasons: Vec<String>,
    waits: bool,
    framed: bool,
}

impl Sum {
    fn of<'a>(slices: impl Iterator<Item = &'a Slice>) -> Self {
        let mut sum = Self { open: 0, worst: None, reasons: Vec::new(), waits: false, framed: false };
        let mut told: BTreeSet<(Trouble, &str)> = BTreeSet::new();
        for slice in slices {
            sum.open += slice.open_keys(Side::Build) + slice.open_keys(Side::Remove);
            sum.waits |= !slice.waiting.is_empty();
            sum.framed |= !slice.frame.is_empty() || slice.open_keys(Side::Build) > 0;
            told.extend(slice.troubles());
            told.extend(slice.waiting.iter().map(|reason| (Trouble::Waits, reason.as_str())));
        }
        sum.worst = told.first().map(|(trouble, _)| *trouble);
        sum.reasons = told.into_iter().map(|(_, reason)| reason.to_owned()).collect();
        sum
    }

    fn state(&self) -> &'static str {
        state_of(self.worst, self.waits, self.open, self.framed)
    }
}
