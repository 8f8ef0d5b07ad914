//! One line in the log when something changes for an operator: a tenant or a provider network waits, stands, or is gone and
//! why; how many prefixes of a standing tenant came and went; a port is put aside, or is not any more. Nothing per address,
//! and of a tenant's prefixes a line a second at most: more would be a flood under churn.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    node::Node,
    order,
    part::Part,
    slice::{Side, Slice},
};
use crate::{
    intent::{Excess, Intent, Problem, Scope, Tenant, bgp, shown},
    model::Vni,
    southbound::Replica,
};

/// How soon after a line on a tenant's prefixes the next one may follow.
const PREFIX_PAUSE: Duration = Duration::from_secs(1);

/// What was said last.
#[derive(Debug, Default)]
pub struct News {
    tenants: BTreeMap<Vni, Standing>,
    /// The gateways of each tenant that was there.
    gateways: BTreeMap<Vni, Vec<Box<str>>>,
    /// Prefixes that came and went and were not told yet.
    moved: BTreeMap<Vni, Moved>,
    /// When a tenant's prefixes were told last.
    told: BTreeMap<Vni, Instant>,
    /// Since when a tenant does not stand.
    began: BTreeMap<Vni, Instant>,
    /// How the parts of the BGP mode stand.
    plain: BTreeMap<Part, Standing>,
    problems: BTreeSet<(Box<str>, String)>,
    /// The limits that were reached.
    reached: BTreeSet<Scope>,
}

#[derive(Debug)]
struct Moved {
    came: u64,
    went: u64,
    since: Instant,
    /// When all of it stood.
    settled: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Waits(BTreeSet<String>),
    Stands,
}

impl News {
    /// So many prefixes of a VNI are wished now, and so many not any more.
    pub fn moved(&mut self, vni: Vni, (came, went): (u64, u64), now: Instant) {
        let fresh = Moved { came: 0, went: 0, since: now, settled: None };
        let moved = self.moved.entry(vni).or_insert(fresh);
        moved.came += came;
        moved.went += went;
        moved.settled = None;
    }

    /// When prefixes that stand are to be told at the latest.
    pub fn due(&self) -> Option<Instant> {
        let settled = self.moved.iter().filter(|(_, moved)| moved.settled.is_some());
        settled.filter_map(|(vni, _)| Some(*self.told.get(vni)? + PREFIX_PAUSE)).min()
    }

    /// The VNIs whose prefixes stand and are to be told now.
    pub fn overdue(&self, now: Instant) -> Vec<Vni> {
        let settled = self.moved.iter().filter(|(_, moved)| moved.settled.is_some());
        settled.map(|(vni, _)| *vni).filter(|vni| self.may_tell(*vni, now)).collect()
    }

    fn may_tell(&self, vni: Vni, now: Instant) -> bool {
        self.told.get(&vni).is_none_or(|told| now.saturating_duration_since(*told) >= PREFIX_PAUSE)
    }

    /// Says how many prefixes of a tenant that stood before came and went.
    fn prefixes(&mut self, vni: Vni, slice: &Slice, router: &str, now: Instant) {
        let under_way =
            slice.open_at(Side::Build, order::ADVERTISE) + slice.open_at(Side::Remove, order::WITHDRAW);
        if under_way > 0 {
            return self.unsettle(vni);
        }
        let Some(moved) = self.moved.get_mut(&vni) else { return };
        let settled = *moved.settled.get_or_insert(now);
        let took = settled.saturating_duration_since(moved.since).as_millis();
        let (came, went) = (moved.came, moved.went);
        if self.may_tell(vni, now) {
            tracing::info!(%vni, router, took_ms = took, "+{came} -{went} prefixes");
            self.moved.remove(&vni);
            self.told.insert(vni, now);
        }
    }

    /// What was settled is not so any more, and nothing is due until it is again.
    fn unsettle(&mut self, vni: Vni) {
        if let Some(moved) = self.moved.get_mut(&vni) {
            moved.settled = None;
        }
    }

    /// Says what became of a tenant, of which routers it is, and how long that took; no slice: nothing of it is left or
    /// wished. `why_gone` is asked why gateways of these names do not serve it here any more.
    pub fn tenant(
        &mut self,
        vni: Vni,
        slice: Option<&Slice>,
        tenant: Option<&Tenant>,
        now: Instant,
        why_gone: impl FnOnce(&[Box<str>]) -> String,
    ) {
        let began = *self.began.entry(vni).or_insert(now);
        let took = now.saturating_duration_since(began).as_millis();
        let Some(slice) = slice else {
            self.began.remove(&vni);
            self.moved.remove(&vni);
            self.told.remove(&vni);
            let gateways = self.gateways.remove(&vni).unwrap_or_default();
            if self.tenants.remove(&vni).is_some() {
                let why = why_gone(&gateways);
                tracing::info!(%vni, router = gateways.join(" "), took_ms = took, "the tenant is gone from this node: {why}");
            }
            return;
        };
        if let Some(tenant) = tenant {
            let names = tenant.gateways.iter().map(|gateway| gateway.name.clone());
            self.gateways.insert(vni, names.collect());
        }
        let Some(standing) = standing(slice) else {
            return self.unsettle(vni);
        };
        if standing == Standing::Stands {
            self.began.remove(&vni);
        }
        let router = self.gateways.get(&vni).map(|names| names.join(" ")).unwrap_or_default();
        if self.tenants.get(&vni) == Some(&standing) {
            self.prefixes(vni, slice, &router, now);
            return;
        }
        match &standing {
            Standing::Waits(reasons) => {
                tracing::warn!(%vni, router, took_ms = took, "the tenant waits: {}", words(reasons));
            }
            Standing::Stands => tracing::info!(%vni, router, took_ms = took, "the tenant stands"),
        }
        self.tenants.insert(vni, standing);
    }

    /// Says what became of a part of the BGP mode; of its single destinations nothing.
    pub fn plain(&mut self, part: Part, slice: Option<&Slice>) {
        if part.counted() != part {
            return;
        }
        let Some(slice) = slice else {
            if self.plain.remove(&part).is_some() {
                tracing::info!("{part} is gone from this node");
            }
            return;
        };
        let Some(standing) = standing(slice) else { return };
        if self.plain.get(&part) == Some(&standing) {
            return;
        }
        match &standing {
            Standing::Waits(reasons) => tracing::warn!("{part} waits: {}", words(reasons)),
            Standing::Stands => tracing::info!("{part} stands"),
        }
        self.plain.insert(part, standing);
    }

    /// Says what is put aside now and was not before, and what is not any more.
    pub fn problems(&mut self, intent: &Intent, bgp: &bgp::Intent) {
        let said = |problem: &Problem| (problem.port.clone(), problem.reason.clone());
        let plain = bgp.problems();
        let now: BTreeSet<_> =
            intent.problems().map(said).chain(plain.map(|problem| said(&problem))).collect();
        for (port, reason) in now.difference(&self.problems) {
            tracing::warn!(%port, "put aside: {reason}");
        }
        for (port, reason) in self.problems.difference(&now) {
            tracing::info!(%port, "not put aside any more: {reason}");
        }
        self.problems = now;
    }

    /// Says which limits are reached for the first time. Who is at a limit would otherwise be told of with every change; how
    /// many addresses are beyond it is the status's to tell.
    pub fn limits(&mut self, excesses: impl Iterator<Item = Excess>) {
        for Excess { scope, .. } in excesses {
            if self.reached.insert(scope) {
                let option = scope.option();
                tracing::warn!("{option} is reached on {scope}: the largest addresses are put aside");
            }
        }
    }
}

fn words(reasons: &BTreeSet<String>) -> String {
    reasons.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// None: it is on its way to the one or the other. Addresses that come and go do not change how a tenant stands.
fn standing(slice: &Slice) -> Option<Standing> {
    if !slice.waiting.is_empty() {
        return Some(Standing::Waits(slice.waiting.clone()));
    }
    let building = slice.open_keys(Side::Build) - slice.open_at(Side::Build, order::ADVERTISE);
    let removing = slice.open_keys(Side::Remove) - slice.open_at(Side::Remove, order::WITHDRAW);
    (building + removing == 0 && !slice.frame.is_empty()).then_some(Standing::Stands)
}

/// Why these gateways do not serve a tenant here any more, as far as their rows tell.
pub fn why_gone(replica: &Replica, node: &Node, gateways: &[Box<str>]) -> String {
    let own = node.settings().system_id.as_deref().and_then(|name| replica.chassis_named(name));
    let why = |name: &str| match replica.port(name).map(|row| row.chassis) {
        None => format!("{name} is not in the Southbound any more"),
        Some(None) => format!("{name} is bound to no chassis"),
        Some(chassis) if chassis == own => format!("{name} is not annotated with it any more, or put aside"),
        Some(Some(chassis)) => format!("{name} has moved to chassis {chassis}"),
    };
    let all: Vec<String> = gateways.iter().map(|name| shown(&why(name))).collect();
    if all.is_empty() { "nothing wishes it".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::object::Key;

    #[test]
    fn prefixes_are_told_once_they_stand_and_once_a_second_at_most() {
        let (vni, start) = (Vni::new(1001).unwrap(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut news = News::default();
        let slice = Slice::default();
        let look = |news: &mut News, now| news.prefixes(vni, &slice, "cr-lrp-gw", now);
        news.moved(vni, (3, 1), at(0));
        assert_eq!(news.due(), None, "nothing stands yet");
        look(&mut news, at(5));
        assert!(news.moved.is_empty(), "told at once");
        news.moved(vni, (1, 0), at(10));
        look(&mut news, at(12));
        news.moved(vni, (0, 2), at(20));
        look(&mut news, at(25));
        assert_eq!(news.due(), Some(at(1005)));
        assert!(news.overdue(at(1004)).is_empty());
        assert_eq!(news.overdue(at(1005)), [vni]);
        let moved = &news.moved[&vni];
        assert_eq!((moved.came, moved.went, moved.since, moved.settled), (1, 2, at(10), Some(at(25))));
        // Whatever is under way again is not due: the loop would wake for it without end.
        let mut busy = Slice::default();
        let key = Key::Ledger(vni);
        busy.open(Side::Build, order::ADVERTISE, &key, None, 1);
        news.prefixes(vni, &busy, "cr-lrp-gw", at(1004));
        assert_eq!(news.due(), None);
        look(&mut news, at(1004));
        busy = Slice::default();
        busy.open(Side::Build, 0, &key, None, 1);
        news.tenant(vni, Some(&busy), None, at(1004), |_| String::new());
        assert_eq!(news.due(), None);
        look(&mut news, at(1005));
        assert_eq!((news.moved.len(), news.due()), (0, None));
    }
}
