//! One line in the log when something changes for an operator: a tenant waits, stands, or is gone; a port is put aside, or
//! is not any more. Nothing per address: that would be a flood under churn.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    order,
    slice::{Side, Slice},
};
use crate::{
    intent::{Intent, Tenant},
    model::Vni,
};

/// What was said last.
#[derive(Debug, Default)]
pub struct News {
    tenants: BTreeMap<Vni, Standing>,
    /// Since when a tenant does not stand.
    began: BTreeMap<Vni, Instant>,
    problems: BTreeSet<(Box<str>, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Waits(BTreeSet<String>),
    Stands,
}

impl News {
    /// Says what became of a tenant, of which routers it is, and how long that took; no slice: nothing of it is left or
    /// wished.
    pub fn tenant(&mut self, vni: Vni, slice: Option<&Slice>, tenant: Option<&Tenant>, now: Instant) {
        let began = *self.began.entry(vni).or_insert(now);
        let took = now.saturating_duration_since(began).as_millis();
        let Some(slice) = slice else {
            self.began.remove(&vni);
            if self.tenants.remove(&vni).is_some() {
                tracing::info!(%vni, took_ms = took, "the tenant is gone from this node");
            }
            return;
        };
        let Some(standing) = standing(slice) else {
            return;
        };
        if standing == Standing::Stands {
            self.began.remove(&vni);
        }
        if self.tenants.get(&vni) == Some(&standing) {
            return;
        }
        let gateways = tenant.into_iter().flat_map(|tenant| &tenant.gateways);
        let router = gateways.map(|gateway| &*gateway.name).collect::<Vec<_>>().join(" ");
        match &standing {
            Standing::Waits(reasons) => {
                let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
                tracing::warn!(%vni, router, took_ms = took, "the tenant waits: {}", reasons.join("; "));
            }
            Standing::Stands => tracing::info!(%vni, router, took_ms = took, "the tenant stands"),
        }
        self.tenants.insert(vni, standing);
    }

    /// Says what is put aside now and was not before, and what is not any more.
    pub fn problems(&mut self, intent: &Intent) {
        let now: BTreeSet<_> =
            intent.problems().map(|problem| (problem.port.clone(), problem.reason.clone())).collect();
        for (port, reason) in now.difference(&self.problems) {
            tracing::warn!(%port, "put aside: {reason}");
        }
        for (port, reason) in self.problems.difference(&now) {
            tracing::info!(%port, "not put aside any more: {reason}");
        }
        self.problems = now;
    }
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
