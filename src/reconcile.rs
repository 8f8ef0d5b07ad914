//! The reconciler: keeps what stands equal to what is wished, on all planes, without I/O of its own.
//!
//! It holds the Southbound's replica, the intent computed from it and the bookkeeping of objects. Rows and reports go
//! in, commands for the planes come out; time is passed in.

mod arrival;
mod brake;
mod compare;
mod core;
mod doubt;
mod drain;
mod exposed;
mod frame;
mod history;
mod hops;
mod leftovers;
mod news;
mod node;
pub mod object;
mod order;
mod owner;
mod pace;
mod part;
mod prefixes;
#[cfg(test)]
mod python_agent;
mod retry;
#[cfg(test)]
mod scenarios;
mod sessions;
mod slice;
mod status;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod underlay;
mod vteps;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use self::{
    arrival::Arrival,
    brake::Brake,
    core::{Core, Learned, Leaving},
    exposed::Ways,
    history::History,
    hops::Counting,
    news::{News, why_gone},
    object::{Key, Object, PlaneId},
    part::Part,
    slice::Slice,
    survey::Survey,
    underlay::Underlay,
    vteps::Vteps,
};
pub use self::{
    brake::{BrakeStatus, Limit as MassWithdrawLimit, Options as MassWithdraw},
    core::PlaneState,
    drain::Drain,
    node::Node,
    prefixes::PrefixStatus,
    sessions::{Reading, SessionId},
    status::{
        Hops, NetworkStatus, ProblemStatus, SessionStatus, Status, Summary, TenantStatus, UnderlayStatus,
        ZebraStatus,
    },
};
use crate::{
    config::Config,
    intent::{Evidence, Intent, Unbound, bgp, shown},
    model::{IfName, Vni},
    planes::{Command, Report, frr::question::Answer},
    southbound::{Replica, Subject, Touched},
};

/// The reconciler.
#[derive(Debug)]
pub struct Reconciler {
    config: Config,
    replica: Replica,
    intent: Intent,
    bgp: bgp::Intent,
    core: Core,
    southbound: PlaneState,
    /// The Southbound was read whole once since the start.
    southbound_read: bool,
    /// None: it is not read.
    northbound: Option<PlaneState>,
    /// The Northbound was read whole once since the start.
    northbound_read: bool,
    /// Tenants whose frame has to be made again.
    stale: BTreeSet<Vni>,
    /// How the addresses of tenants are exposed, of those that are so by routes.
    ways: BTreeMap<Vni, Ways>,
    underlay: Underlay,
    ledger_changed: BTreeSet<Vni>,
    subjects_changed: bool,
    /// Rows changed since the brake last looked at what it holds.
    rows_changed: bool,
    news: News,
    history: History,
    drain: Drain,
    survey: Survey,
    counting: Counting,
    vteps: Vteps,
    /// The new prefix that is followed until bgpd has it.
    arrival: Option<Arrival>,
    /// FRR's daemons, each a session of its own to an operator.
    daemons: BTreeMap<&'static str, PlaneState>,
    /// What an operator should know of this node, beyond what is wished and stands.
    warning: Option<String>,
    /// What is wrong with this node's chassis name.
    name_trouble: Option<String>,
    /// Nothing is to be wished, whatever the configuration says: all that is ours goes.
    wishless: bool,
}

impl Reconciler {
    /// A reconciler that knows nothing yet.
    pub fn new(config: Config) -> Self {
        let intent = Intent::new(config.bgp_as, config.limits);
        let brake = Brake::new(config.mass_withdraw);
        let bgp = bgp::Intent::new(&config.underlay, config.limits.per_node, config.modes.evpn);
        let node = Node::advertising_by(config.modes.underlay.then_some(config.underlay.nic));
        let mut underlay = Underlay::default();
        underlay.all_stale();
        let unconnected = || PlaneState { whole: false, down: Some("not connected yet".to_owned()) };
        let northbound = config.asks_northbound().then(unconnected);
        Self {
            config,
            replica: Replica::default(),
            intent,
            bgp,
            underlay,
            core: Core::new(brake, node),
            southbound: unconnected(),
            southbound_read: false,
            northbound,
            northbound_read: false,
            stale: BTreeSet::new(),
            ways: BTreeMap::new(),
            ledger_changed: BTreeSet::new(),
            subjects_changed: false,
            rows_changed: false,
            news: News::default(),
            history: History::default(),
            drain: Drain::default(),
            survey: Survey::default(),
            counting: Counting::default(),
            vteps: Vteps::default(),
            arrival: None,
            daemons: BTreeMap::new(),
            warning: None,
            name_trouble: None,
            wishless: false,
        }
    }

    /// Nothing is wished from now on, as if the Southbound was read and had nothing.
    pub fn wish_nothing(&mut self) {
        self.wishless = true;
        self.northbound = None;
        self.southbound_whole();
    }

    /// Options have changed: every tenant's frame is made again. The AS stays that of the start.
    pub fn reconfigure(&mut self, config: &Config) {
        self.config = config.clone();
        self.core.brake.reconfigure(config.mass_withdraw);
        let tenants: Vec<Vni> = self.intent.tenants().map(|tenant| tenant.vni).collect();
        tenants.iter().for_each(|vni| self.update_ways(*vni));
        self.stale.extend(tenants);
        let moved = self.intent.set_limits(config.limits);
        if !moved.is_empty() {
            self.core.revision += 1;
        }
        for (vni, ip) in moved {
            self.update_address(vni, ip);
        }
        let delta = self.bgp.set_limit(config.limits.per_node);
        self.follow_bgp(delta);
        self.underlay.all_stale();
        self.say_limits();
    }

    /// The replica, to be brought up to date; `poll` takes in what changed.
    pub fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The Southbound was read whole since the last (re)connect.
    pub fn southbound_whole(&mut self) {
        if !self.southbound.whole {
            tracing::info!(ports = self.replica.len(), "Southbound is read");
        }
        self.southbound = PlaneState { whole: true, down: None };
        self.southbound_read = true;
    }

    /// The Southbound is away. What was read stays the wish; until it was read whole again nothing new is decided.
    pub fn southbound_down(&mut self, reason: String) {
        self.southbound = PlaneState { whole: false, down: Some(reason) };
    }

    /// The Northbound was read whole since the last (re)connect. It may have come back empty: what that would withdraw goes
    /// through the brake.
    pub fn northbound_whole(&mut self) {
        let before = self.northbound.replace(PlaneState { whole: true, down: None });
        if before.is_none_or(|before| !before.whole) {
            self.core.brake.resynchronising();
        }
        self.northbound_read = true;
    }

    /// The Northbound is away. What was read of it is kept.
    pub fn northbound_down(&mut self, reason: String) {
        self.northbound = Some(PlaneState { whole: false, down: Some(reason) });
    }

    /// Whether it is known which tenants' networks may be plain routes. Until it is, of what stands nothing goes.
    fn knows_translations(&self) -> bool {
        self.northbound.is_none() || self.northbound_read
    }

    /// Takes in what a plane says.
    pub fn report(&mut self, plane: PlaneId, report: Report<Object, Key>, now: Instant) {
        match report {
            Report::Backlog(backlog) => self.backlog(backlog, now),
            Report::Forgotten(vteps) => self.vteps.heard(&vteps, now),
            Report::Bgp(Answer::Originated { vrf, hosts }) => self.originated(vrf, hosts, now),
            Report::Bgp(Answer::Counted { vrf, total, held }) => self.counted(vrf, total, held, now),
            Report::Bgp(Answer::Sighted { what, seen }) => self.sighted(what, seen, now),
            Report::Daemons(daemons) => self.hear_of(daemons),
            report => {
                if plane == PlaneId::Frr {
                    self.follow_frr(&report, now);
                }
                let learned = self.core.report(plane, report, now);
                self.learn(learned);
            }
        }
    }

    fn learn(&mut self, learned: Learned) {
        self.stale.extend(learned.frames);
        self.ledger_changed.extend(learned.ledger);
        if learned.all_frames {
            self.stale.extend(self.intent.tenants().map(|tenant| tenant.vni));
            self.underlay.all_stale();
        }
    }

    /// Takes in all that changed and gives the next commands.
    pub fn poll(&mut self, now: Instant) -> Vec<(PlaneId, Command<Object>)> {
        self.update_intent();
        self.look_at_sessions(now);
        // Before the first whole view of the Southbound there is no wish to compare with.
        if !self.southbound_read {
            return Vec::new();
        }
        for vni in std::mem::take(&mut self.stale) {
            self.update_frame(vni);
        }
        if self.wishes_underlay() {
            self.update_underlay();
        }
        self.look_at_withdrawals(now);
        self.core.withhold_underlay(!self.knows_translations());
        let mut commands = self.core.poll(now);
        commands.extend(self.ask_for_survey(now));
        commands.extend(self.remind_zebra(now));
        commands.extend(self.follow_arrival());
        self.tell_news(now);
        commands.extend(self.ask_for_counts(now));
        let closed = self.core.take_closed();
        self.history.progress(self.core.revision, closed, |revision| self.core.is_open_since(revision), now);
        if !self.history.is_synced() && self.is_applied() {
            tracing::info!("ready: all that was wished at the start is applied");
            self.history.synced();
        }
        commands
    }

    fn tell_news(&mut self, now: Instant) {
        for (vni, moved) in self.core.take_moved() {
            self.news.moved(vni, moved, now);
        }
        let mut changed = self.core.take_changed();
        for part in &changed {
            self.counting.changed(if part.vni().is_some() { *part } else { Part::Base }, now);
        }
        changed.extend(self.news.overdue(now).into_iter().map(Part::Vni));
        for part in changed {
            let slice = self.core.slices.get(&Some(part));
            let Part::Vni(vni) = part else {
                self.news.plain(part, slice);
                continue;
            };
            let why_gone = |gateways: &[Box<str>]| why_gone(&self.replica, &self.core.node, gateways);
            self.news.tenant(vni, slice, self.intent.tenant(vni), now, why_gone);
        }
    }

    /// Takes in what changed in the Southbound's rows, the ledger and this node's name; `poll` does so too.
    pub fn update_intent(&mut self) {
        // A name that is gone is not known any more: it says nothing of what this node holds.
        let chassis = self.core.node.settings().system_id.clone();
        if let Some(name) = &chassis {
            self.intent.set_chassis(name);
        }
        self.intent.set_networks(self.core.node.networks());
        let touched = self.replica.take_touched();
        if touched.anew {
            self.core.brake.resynchronising();
        }
        self.rows_changed |= !touched.is_empty();
        if self.config.modes.evpn {
            self.update_tenants(&touched);
        }
        if self.config.modes.underlay {
            self.update_bgp(&touched, chassis.as_deref());
        }
        self.say_limits();
    }

    fn say_limits(&mut self) {
        self.news.limits(self.intent.excesses().chain(self.bgp.excess()));
    }

    /// Whether the Southbound has told which chassis this node is; who wants nothing need not know.
    fn knows_chassis(&self) -> bool {
        self.wishless || self.intent.knows_chassis() || self.bgp.knows_chassis()
    }

    /// What the BGP mode has once is wished while the mode is on, but by who wants nothing at all.
    fn wishes_underlay(&self) -> bool {
        self.config.modes.underlay && !self.wishless
    }

    fn update_tenants(&mut self, touched: &Touched) {
        let ledger_changed = std::mem::take(&mut self.ledger_changed);
        let delta = self.intent.update(&self.replica, touched, &self.core.ledger, ledger_changed);
        self.subjects_changed |= delta.subjects;
        self.look_at_name();
        if !touched.gateways.is_empty() || !touched.subjects.is_empty() || !delta.tenants.is_empty() {
            self.news.problems(&self.intent, &self.bgp);
        }
        if delta.tenants.is_empty() && delta.addresses.is_empty() {
            return;
        }
        self.core.revision += 1;
        // What goes has the shape that it was wished in.
        let (come, gone): (Vec<_>, Vec<_>) =
            delta.addresses.into_iter().partition(|(vni, ip)| self.intent.wishes(*vni, *ip));
        gone.into_iter().for_each(|(vni, ip)| self.update_address(vni, ip));
        delta.tenants.iter().for_each(|vni| self.update_ways(*vni));
        come.into_iter().for_each(|(vni, ip)| self.update_address(vni, ip));
        self.stale.extend(delta.tenants);
    }

    /// Says where this node's name is not what it was, and what it holds stays nevertheless.
    fn look_at_name(&mut self) {
        let name = self.core.node.settings().system_id.as_deref();
        let trouble = match (self.intent.chassis_name(), name) {
            _ if !self.knows_node() => None,
            (None, _) => Some(
                "external_ids:system-id is not set in Open_vSwitch: until it is, this node offers nothing new, and what it \
                 held before stays"
                    .to_owned(),
            ),
            (Some(held), None) => Some(format!(
                "external_ids:system-id is gone from Open_vSwitch: until it is set again this node stays chassis {held}"
            )),
            (Some(held), Some(_)) if self.intent.is_being_renamed() => Some(format!(
                "the Southbound has no Chassis named {held}, which is this node's system-id now: until it has, what was \
                 held under the name before stays"
            )),
            (Some(_), Some(_)) => None,
        };
        let trouble = trouble.map(|trouble| shown(&trouble));
        if let Some(trouble) = trouble.as_ref().filter(|_| self.name_trouble != trouble) {
            tracing::warn!("{trouble}");
        }
        self.name_trouble = trouble;
    }

    /// What a resynchronisation withdraws goes through the brake; and so does, while it holds, what rows say by now.
    fn look_at_withdrawals(&mut self, now: Instant) {
        // Who has no name yet cannot read from rows what is his: until then nothing is removed.
        let has_name = self.wishless || self.intent.chassis_name().is_some();
        let mut looked = false;
        if self.southbound.whole && has_name && self.core.can_judge_resync() {
            let (advertised, leaving) = self.core.advertised();
            let unbound = if self.core.brake.is_on() { Unbound::NotClaimedYet } else { Unbound::LetGo };
            let unexplained = self.by_evidence(leaving, unbound, false);
            self.core.resynchronised(unexplained, advertised, !self.knows_chassis(), now);
            looked = true;
        } else if self.core.brake.is_on() && std::mem::take(&mut self.rows_changed) {
            let explained = self.by_evidence(self.core.braked(), Unbound::NotClaimedYet, true);
            self.core.explained(explained);
            looked = true;
        }
        self.rows_changed = false;
        if self.config.modes.underlay && (looked || !self.core.brake.is_on()) {
            let plain = self.core.braked().into_iter().filter(|held| held.part.vni().is_none());
            let lost = plain.map(|held| held.ip).collect();
            self.subjects_changed |= self.bgp.look_for(&self.replica, &lost);
        }
    }

    /// Those of these addresses that a row explains, or those that none does.
    fn by_evidence(&self, leaving: Vec<Leaving>, unbound: Unbound, explained: bool) -> Vec<Key> {
        let mut evidence = Evidence::new(&self.intent, &self.replica, &self.core.ledger, unbound);
        let mut plain = bgp::Evidence::new(&self.bgp, &self.replica, unbound);
        let mut explains = |leaving: &Leaving| match leaving.part.vni() {
            Some(vni) => evidence.explains(vni, leaving.ip),
            None => !self.knows_translations() || plain.explains(leaving.ip),
        };
        let matching = leaving.into_iter().filter(|leaving| explains(leaving) == explained);
        matching.map(|leaving| leaving.key).collect()
    }

    /// Lets go of what the brake holds, on an operator's word; gives how many prefixes that are.
    pub fn release(&mut self) -> usize {
        self.core.release("an operator has released it; what was held is withdrawn")
    }

    /// Whether a VNI is to be built: not while what the ledger holds for it has another AS and has to go first.
    fn is_served(&self, vni: Vni) -> bool {
        let Some(tenant) = self.intent.tenant(vni) else {
            return false;
        };
        self.core.ledger.get(vni).is_none_or(|entry| entry.asn == tenant.asn)
    }

    fn update_address(&mut self, vni: Vni, ip: std::net::IpAddr) {
        let object = self.exposed(vni, ip);
        let key = object.key();
        let framed = self.core.slices.get(&Some(vni.into())).is_some_and(|slice| slice.frame.contains(&key));
        if framed {
            return;
        }
        let wished = self.drain != Drain::Withdrawn && self.is_served(vni) && self.intent.wishes(vni, ip);
        self.core.wish(key, wished.then_some((vni.into(), object)));
    }

    fn update_frame(&mut self, vni: Vni) {
        let served = self.is_served(vni);
        let frame = match self.intent.tenant(vni).filter(|_| served) {
            Some(tenant) => frame::frame(tenant, self.ways_of(vni), &self.core.node, &self.config),
            None => frame::Frame::default(),
        };
        let was_served = self.put_frame(vni.into(), frame);
        if served != was_served {
            self.update_addresses_of(vni);
        }
    }

    /// A part's frame is this now; true where it had one before.
    fn put_frame(&mut self, part: Part, frame: frame::Frame) -> bool {
        let before = std::mem::take(&mut self.core.slices.entry(Some(part)).or_default().frame);
        let mut after = object::KeySet::default();
        for object in frame.objects.into_iter().filter_map(|object| self.drained(object)).collect::<Vec<_>>()
        {
            let key = object.key();
            after.insert(key.clone());
            self.core.wish(key, Some((part, object)));
        }
        let gone: Vec<Key> = before.difference(&after).cloned().collect();
        let was_served = !before.is_empty();
        let slice = self.core.slices.entry(Some(part)).or_default();
        slice.frame = after;
        slice.waiting = frame.waiting.into_iter().collect();
        slice.bridges = frame.bridges;
        for key in gone {
            self.core.unwish(key, part);
        }
        self.core.activate(Some(part));
        self.core.activate(None);
        self.core.activate_children(part);
        was_served
    }

    /// A VNI is served now, or is not any more: its VMs' addresses follow.
    fn update_addresses_of(&mut self, vni: Vni) {
        let addresses: Vec<_> = self.intent.addresses_of(vni, None).collect();
        for ip in addresses {
            self.update_address(vni, ip);
        }
    }

    /// When `poll` should be called again at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        // Until then `poll` does nothing about what is due.
        if !self.southbound_read {
            return None;
        }
        let looks = self.survey.deadline().into_iter().chain(self.counting_deadline());
        let others = looks.chain(self.vteps_deadline()).chain(self.news.due());
        self.core.next_timeout().into_iter().chain(others).min()
    }

    /// Everything is to be read back and compared.
    pub fn read_all(&mut self) {
        self.core.read_all();
    }

    /// Whether what the Southbound should be asked for has changed since the last call.
    pub fn subjects_changed(&mut self) -> bool {
        std::mem::take(&mut self.subjects_changed)
    }

    /// What the Southbound should be asked for.
    pub fn subjects(&self) -> impl Iterator<Item = Cow<'_, Subject>> {
        let plain = Some(&self.bgp).filter(|_| self.config.modes.underlay);
        let plain = plain.into_iter().flat_map(|bgp| bgp.subjects()).map(Cow::Owned);
        self.intent.subjects().map(Cow::Borrowed).chain(plain)
    }

    /// Whether this node's Open_vSwitch settings were read.
    pub fn knows_node(&self) -> bool {
        self.core.planes.get(&PlaneId::Vswitch).is_some_and(|state| state.whole)
    }

    /// This node's facts.
    pub fn node(&self) -> &Node {
        &self.core.node
    }

    /// The bridges that need an OpenFlow session now.
    pub fn flow_bridges(&self) -> BTreeSet<IfName> {
        self.core.flow_bridges()
    }

    /// What an operator should know of this node, in log and status; None: nothing any more.
    pub fn warn(&mut self, warning: Option<String>) {
        if let Some(warning) = warning.as_ref().filter(|_| self.warning != warning) {
            tracing::warn!("{warning}");
        }
        self.warning = warning;
    }

    /// What there is to say to an operator.
    pub fn status(&self, now: Instant) -> Status {
        status::status(self, now)
    }

    /// The same in a few numbers, for who asks often.
    pub fn summary(&self, now: Instant) -> Summary {
        status::summary(self, now)
    }

    /// All was read, and what is open still is so for a reason that an operator has to look at: nothing is on its way.
    fn is_applied(&self) -> bool {
        let all_read = self.session_states().all(|(_, state)| state.whole);
        all_read
            && self.stale.is_empty()
            && (!self.wishes_underlay() || self.underlay.is_settled())
            && self.core.slices.values().all(Slice::is_at_rest)
    }

    /// Nothing is under way or may be done now.
    pub fn is_idle(&self) -> bool {
        self.core.is_idle()
    }
}
