//! Tenant networks are offered to BGP VPNs by hand: which ports of a router or network are annotated, and with what.
//!
//! ```text
//! Northbound rows ─► topology (routers, their ports and networks) ─► plan (what is written, or why not) ─► northbound
//!                                         └─► view (list, show)          advertised (what bgpd here has of it) ◄─ --wait
//! ```
//!
//! Only external_ids of Logical_Switch_Port are ever written, and of these only `neutron_bgpvpn:*`; northd copies them to
//! the Southbound, where agents find them. docs/bgpvpn.md has the rules in words; the Neutron driver follows the same.

pub mod advertised;
pub mod northbound;
pub mod plan;
pub mod topology;
pub mod view;

use serde::Serialize;

use crate::{
    intent::annotation::KEYS,
    model::{Asn, RouteTarget, Vni},
    ovsdb::value::Pairs,
};

/// What ports are annotated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// `:vni`
    pub vni: Vni,
    /// `:as`; None: the agents' bgp_AS.
    pub asn: Option<Asn>,
    /// `:rt`, for import and export.
    pub both: Vec<RouteTarget>,
    /// `:it`
    pub import: Vec<RouteTarget>,
    /// `:et`
    pub export: Vec<RouteTarget>,
    /// `:rd`
    pub rd: Option<RouteTarget>,
}

impl Values {
    /// The annotation as pairs, sorted by key.
    pub fn pairs(&self) -> Pairs {
        let lists = [("rt", &self.both), ("it", &self.import), ("et", &self.export)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let lists = lists.map(|(key, list)| (key, json(list)));
        let rd = self.rd.map(|rd| ("rd", json(&[rd])));
        let asn = self.asn.map(|asn| ("as", asn.to_string()));
        let all = lists.chain(rd).chain(asn).chain([("vni", self.vni.to_string())]);
        all.map(|(key, value)| (format!("neutron_bgpvpn:{key}").into(), value.into())).collect()
    }
}

fn json(list: &[RouteTarget]) -> String {
    let texts: Vec<String> = list.iter().map(RouteTarget::to_string).collect();
    serde_json::Value::from(texts).to_string()
}

/// The pairs of an annotation among external_ids, whether they make sense or not.
pub fn annotated(external_ids: &Pairs) -> Pairs {
    let ours = external_ids.iter().filter(|(key, _)| KEYS.contains(key));
    ours.map(|(key, value)| (key.into(), value.into())).collect()
}

/// What a port is for its router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Towards the provider network.
    Gateway,
    /// Towards a tenant network.
    Interface,
}
