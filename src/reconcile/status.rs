//! What the reconciler has to say to an operator: sessions, tenants with their state and reasons, what is put aside.
//!
//! Made from counts that are kept as things change: its cost is that of the number of VNIs, never of addresses.

mod underlay;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Serialize;

pub use self::underlay::{NetworkStatus, UnderlayStatus};
use super::{
    Drain, PlaneState, Reconciler,
    brake::BrakeStatus,
    core::Unanswered,
    frame::attach_of,
    history::{DOWN, UP},
    part::Part,
    sessions::SessionId,
    slice::{Side, Slice, Trouble},
};
use crate::{
    config::{Attach, Config},
    intent::{Excess, Localnet, Tenant, shown},
    model::Vni,
    planes::Backlog,
    telemetry::histogram::Histogram,
};

/// How many reasons are told of one tenant, and how many problems in all: beyond that they are counted alone.
const MOST_REASONS: usize = 8;
const MOST_PROBLEMS: usize = 1000;

/// How many addresses are named of one port that is not served.
const MOST_STRAYS: usize = 8;

/// The state of the agent at one moment; the JSON of `bgp-agent status --json`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// This program's version.
    pub version: &'static str,
    /// The chassis name of this node (system-id), where it is known.
    pub node: Option<String>,
    /// Sessions by name; each up, reading, or down with a reason.
    pub sessions: BTreeMap<String, SessionStatus>,
    /// Counts changes of the wish.
    pub revision: u64,
    /// The last revision that stands as a whole.
    pub watermark: u64,
    /// How long the oldest change that does not stand yet has been waiting, in seconds; 0: all stands.
    pub lag_seconds: f64,
    /// Every session is up and everything wished stands.
    pub converged: bool,
    /// All that was wished at the start was applied once: the node can take traffic.
    pub ready: bool,
    /// How far this node is drained: `no`, `less-preferred`, `withdrawn`.
    pub drain: Drain,
    /// What the brake holds, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeStatus>,
    /// What an operator should know of this node beyond all this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The tenants, by VNI.
    pub tenants: Vec<TenantStatus>,
    /// The BGP mode, where it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub underlay: Option<UnderlayStatus>,
    /// What is not served, and why.
    pub problems: Vec<ProblemStatus>,
    /// How many problems there are: `problems` holds no more than 1000.
    pub problems_total: usize,
    /// How zebra keeps up with what the kernel tells it.
    pub zebra: ZebraStatus,
    /// Operations by plane and outcome since the start.
    pub operations: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// How long changes took from the row to the last acknowledgement.
    #[serde(skip)]
    pub latency: Histogram,
    /// How long new prefixes took from the row until bgpd had them, as far as they were followed.
    #[serde(skip)]
    pub latency_to_bgp: Histogram,
}

/// How zebra keeps up with what the kernel tells it.
#[derive(Debug, Serialize)]
pub struct ZebraStatus {
    /// Bytes of its fuller receive buffer that are taken.
    pub backlog_bytes: usize,
    /// Notifications that it has lost, those before the agent's start included where they are known.
    pub lost: u64,
    /// Objects that were told again since BGP had not what stands.
    pub told_again: u64,
    /// How often writes waited for it.
    pub waits: u64,
    /// It reads nothing, and is not waited for.
    pub stuck: bool,
    /// VTEPs that it had forgotten.
    pub vteps_forgotten: u64,
}

/// The status in a few numbers.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Every session is up and everything wished stands.
    pub converged: bool,
    /// All that was wished at the start was applied once.
    pub ready: bool,
    /// Counts changes of the wish.
    pub revision: u64,
    /// The last revision that stands as a whole.
    pub watermark: u64,
    /// Sessions that are not up, with the reason.
    pub down: Vec<String>,
    /// Tenants that do not stand, with the first reason.
    pub waiting: Vec<String>,
}

/// One session.
#[derive(Debug, Serialize)]
pub struct SessionStatus {
    /// `up`, `reading`, or `down`.
    pub state: &'static str,
    /// How long it is so, in seconds.
    pub for_seconds: f64,
    /// How often it came up again since the start.
    pub reconnects: u64,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the oldest question to it has been without an answer, in seconds, where that is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_seconds: Option<f64>,
}

/// One tenant.
#[derive(Debug, Serialize)]
pub struct TenantStatus {
    /// Its VNI.
    pub vni: u32,
    /// Its AS.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// The router gateways that it is served by.
    pub gateways: Vec<String>,
    /// How its VRF is tied to each provider network: `veth`, `vrf` or `vlan TAG`, and the physical network.
    pub attach: Vec<String>,
    /// `ok`; `pending`: being built; `leaving`: being taken down; `held`: waits for something; `refused`: a peer refused
    /// something; `conflict`: somebody else's object is in the way. See the reasons.
    pub state: &'static str,
    /// Why it is not ok, the worst first.
    pub reasons: Vec<String>,
    /// How many reasons there are beyond these.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_reasons: usize,
    /// Addresses that are to be advertised, and how far they have come.
    pub prefixes: Hops,
    /// Objects wished.
    pub wished: usize,
    /// Objects that are not as wished yet.
    pub open: u32,
    /// The last revision of the wish that stands as a whole in it.
    pub watermark: u64,
    /// How long the oldest change of it that does not stand yet has been waiting, in seconds; 0: all stands.
    pub lag_seconds: f64,
    /// How long ago something of it was changed last, in seconds; None: not since the agent started.
    pub changed_seconds_ago: Option<f64>,
}

/// How many prefixes are where. What bgpd has is as it was last asked; left out where it was not, or has too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Hops {
    /// To be advertised.
    pub desired: usize,
    /// On the tenant's dummy device, acknowledged by the kernel.
    pub kernel: usize,
    /// In the BGP table of the VRF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgpd: Option<usize>,
    /// As type-5 routes in the EVPN table; of plain routes there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type5: Option<usize>,
    /// How long ago bgpd was asked, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_seconds_ago: Option<f64>,
}

impl Hops {
    fn of(reconciler: &Reconciler, part: Part, now: Instant) -> Self {
        let count = reconciler.counting.count(part);
        Self {
            desired: reconciler.core.tally(part).prefixes,
            kernel: reconciler.core.standing_prefixes(part),
            bgpd: count.map(|count| count.bgpd),
            type5: count.and_then(|count| count.type5),
            counted_seconds_ago: count.map(|count| rounded(now.saturating_duration_since(count.at))),
        }
    }
}

/// Something that is not served.
#[derive(Debug, Serialize)]
pub struct ProblemStatus {
    /// The logical port; for a limit that is reached, what it is of.
    pub port: String,
    /// The VNI, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// Why.
    pub reason: String,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn rounded(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// How a session is, in one word.
pub(super) fn word(state: &PlaneState) -> &'static str {
    match (&state.down, state.whole) {
        (None, true) => UP,
        (Some(_), _) => DOWN,
        (None, false) => "reading",
    }
}

/// Whether every session is up and everything wished stands; of tenants this costs no text.
pub(super) fn converged(reconciler: &Reconciler, now: Instant) -> bool {
    let core = &reconciler.core;
    let all_up = reconciler.session_states().all(|(_, state)| word(state) == UP);
    let is_ok = |slice: &Slice| state(slice, open(slice)) == "ok";
    let mut tenants = core.slices.iter().filter(|(part, _)| part.is_some_and(|part| part.vni().is_some()));
    all_up
        && core.watermark() == core.revision
        && tenants.all(|(_, slice)| is_ok(slice))
        && underlay::underlay(reconciler, now).is_none_or(|underlay| underlay.is_settled())
}

fn open(slice: &Slice) -> u32 {
    slice.open_keys(Side::Build) + slice.open_keys(Side::Remove)
}

fn session_statuses(reconciler: &Reconciler, now: Instant) -> BTreeMap<String, SessionStatus> {
    let silent = reconciler.core.silent(now);
    let silent: BTreeMap<String, f64> =
        silent.into_iter().map(|(plane, waited)| (plane.to_string(), rounded(waited))).collect();
    let status = |(session, state): (SessionId, &PlaneState)| {
        let (since, reconnects) = reconciler.history.session(session, now);
        let name = session.to_string();
        let (state, reason) = (word(state), state.down.clone());
        let unanswered_seconds = silent.get(&name).copied();
        let status =
            SessionStatus { state, for_seconds: rounded(since), reconnects, reason, unanswered_seconds };
        (name, status)
    };
    reconciler.all_sessions().map(status).collect()
}

pub(super) fn status(reconciler: &Reconciler, now: Instant) -> Status {
    let core = &reconciler.core;
    let sessions = session_statuses(reconciler, now);
    let tenants = tenants(reconciler, now);
    let underlay = underlay::underlay(reconciler, now);
    let mut operations: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for ((plane, outcome), count) in &core.operations {
        operations.entry(plane.to_string()).or_default().insert(outcome, *count);
    }
    Status {
        version: env!("CARGO_PKG_VERSION"),
        node: core.node.settings().system_id.as_deref().map(str::to_owned),
        sessions,
        revision: core.revision,
        watermark: core.watermark(),
        lag_seconds: rounded(reconciler.history.lag(now)),
        converged: converged(reconciler, now),
        ready: reconciler.history.is_synced(),
        drain: reconciler.drain(),
        brake: core.brake.status(),
        warning: warning(reconciler),
        tenants,
        underlay,
        problems: problems(reconciler).take(MOST_PROBLEMS).collect(),
        problems_total: problems_total(reconciler),
        zebra: zebra(reconciler),
        operations,
        latency: reconciler.history.latency().clone(),
        latency_to_bgp: reconciler.history.latency_to_bgp().clone(),
    }
}

fn warning(reconciler: &Reconciler) -> Option<String> {
    let warnings: Vec<&str> =
        [&reconciler.name_trouble, &reconciler.warning].into_iter().flatten().map(String::as_str).collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

fn zebra(reconciler: &Reconciler) -> ZebraStatus {
    let Backlog { bytes, lost, waits, stuck } = reconciler.survey.backlog;
    ZebraStatus {
        backlog_bytes: bytes,
        lost,
        told_again: reconciler.survey.told_again,
        waits,
        stuck,
        vteps_forgotten: reconciler.vteps.count,
    }
}

/// Costs text for what is not well alone.
pub(super) fn summary(reconciler: &Reconciler, now: Instant) -> Summary {
    let core = &reconciler.core;
    let unanswered = core.unanswered(now);
    let down = reconciler.session_states().filter(|(_, state)| word(state) != UP);
    let down = down
        .map(|(session, state)| format!("{session}: {}", state.down.as_deref().unwrap_or("not read yet")));
    let waiting = core.slices.iter().filter_map(|(part, slice)| {
        let (vni, state) = (part.as_ref()?.vni()?, state(slice, open(slice)));
        let reason =
            slice.troubles().map(|(_, reason)| reason).chain(slice.waiting.iter().map(String::as_str));
        let mut reason = reason.map(str::to_owned).chain(unanswered.get(&vni.into()).map(|one| one.reason()));
        (state != "ok").then(|| format!("VNI {vni} {state} {}", reason.next().unwrap_or_default()))
    });
    Summary {
        converged: converged(reconciler, now),
        ready: reconciler.history.is_synced(),
        revision: core.revision,
        watermark: core.watermark(),
        down: down.collect(),
        waiting: waiting
            .chain(underlay::underlay(reconciler, now).iter().flat_map(UnderlayStatus::waiting))
            .collect(),
    }
}

fn tenants(reconciler: &Reconciler, now: Instant) -> Vec<TenantStatus> {
    let unanswered = reconciler.core.unanswered(now);
    let of = |(part, slice): (&Option<Part>, _)| {
        let vni = part.as_ref()?.vni()?;
        Some(tenant(reconciler, vni, slice, unanswered.get(&vni.into()).copied(), now))
    };
    reconciler.core.slices.iter().filter_map(of).collect()
}

fn tenant(
    reconciler: &Reconciler,
    vni: Vni,
    slice: &Slice,
    unanswered: Option<Unanswered>,
    now: Instant,
) -> TenantStatus {
    let tenant = reconciler.intent.tenant(vni);
    let tally = reconciler.core.tally(vni.into());
    let open = open(slice);
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let waiting = slice.waiting.iter().map(String::as_str);
    let all = slice.troubles().map(|(_, reason)| reason).chain(waiting);
    let mut reasons: Vec<String> = all.filter(|reason| told.insert(reason)).map(str::to_owned).collect();
    reasons.extend(unanswered.map(Unanswered::reason));
    let more_reasons = reasons.len().saturating_sub(MOST_REASONS);
    reasons.truncate(MOST_REASONS);
    let oldest = slice.oldest_open();
    let lag = oldest.map_or(Duration::ZERO, |revision| reconciler.history.lag_of(revision, now));
    TenantStatus {
        vni: vni.get(),
        asn: tenant.map(|tenant| tenant.asn.get()),
        gateways: tenant
            .iter()
            .flat_map(|tenant| &tenant.gateways)
            .map(|gateway| shown(&gateway.name))
            .collect(),
        attach: tenant.map(|tenant| attach(tenant, &reconciler.config)).unwrap_or_default(),
        state: state(slice, open),
        reasons,
        more_reasons,
        prefixes: Hops::of(reconciler, vni.into(), now),
        wished: tally.objects,
        open,
        watermark: oldest.map_or(reconciler.core.revision, |revision| revision.saturating_sub(1)),
        lag_seconds: rounded(lag),
        changed_seconds_ago: slice.changed.map(|at| rounded(now.saturating_duration_since(at))),
    }
}

fn state(slice: &Slice, open: u32) -> &'static str {
    let worst = slice.troubles().map(|(trouble, _)| trouble).min();
    state_of(worst, !slice.waiting.is_empty(), open, !slice.frame.is_empty())
}

fn state_of(worst: Option<Trouble>, waits: bool, open: u32, wished: bool) -> &'static str {
    match worst {
        Some(Trouble::Conflict) => "conflict",
        Some(Trouble::Refused) => "refused",
        Some(Trouble::Waits) => "held",
        None if waits => "held",
        None if open == 0 => "ok",
        None if !wished => "leaving",
        None => "pending",
    }
}

fn attach(tenant: &Tenant, config: &Config) -> Vec<String> {
    let localnets = tenant.localnets();
    let of = |localnet: &Localnet| match (localnet.tag, attach_of(localnet, &localnets, config)) {
        (Some(tag), _) => format!("vlan {tag}"),
        (None, Attach::Veth) => "veth".to_owned(),
        (None, Attach::Vrf) => "vrf".to_owned(),
    };
    localnets.iter().map(|localnet| format!("{} to {}", of(localnet), shown(&localnet.network))).collect()
}

/// What is beyond a limit, in either mode.
fn excesses(reconciler: &Reconciler) -> impl Iterator<Item = Excess> {
    reconciler.intent.excesses().chain(reconciler.bgp.excess())
}

/// Counted where they are kept: there may be a hundred thousand, of which few are told.
fn problems_total(reconciler: &Reconciler) -> usize {
    let intent = &reconciler.intent;
    let strays = intent.strays().filter(|(uuid, _)| reconciler.replica.get(uuid).is_some());
    let put_aside = intent.problems().count() + strays.count() + reconciler.bgp.problems().count();
    put_aside + excesses(reconciler).count()
}

fn problems(reconciler: &Reconciler) -> impl Iterator<Item = ProblemStatus> {
    let put_aside = reconciler.intent.problems().map(|problem| ProblemStatus {
        port: problem.port.to_string(),
        vni: problem.vni.map(|vni| vni.get()),
        reason: problem.reason.clone(),
    });
    let strays = reconciler.intent.strays().filter_map(|(uuid, addresses)| {
        let port = reconciler.replica.get(&uuid)?;
        let list: Vec<String> = addresses.iter().take(MOST_STRAYS).map(ToString::to_string).collect();
        let more = if addresses.len() > MOST_STRAYS { ", .." } else { "" };
        let reason = format!("{}{more} is in no advertised subnet of its network", list.join(", "));
        Some(ProblemStatus { port: shown(&port.logical_port), vni: None, reason })
    });
    let excesses = excesses(reconciler).map(|excess| ProblemStatus {
        port: excess.scope.to_string(),
        vni: excess.scope.vni().map(|vni| vni.get()),
        reason: excess.to_string(),
    });
    let plain = reconciler.bgp.problems().map(|problem| ProblemStatus {
        port: problem.port.to_string(),
        vni: None,
        reason: problem.reason.clone(),
    });
    put_aside.chain(strays).chain(excesses).chain(plain)
}
