//! What this node originates itself, from bgpd's JSON: in the table of a VRF, and as type-5 routes.
//!
//! Read as it comes, without a tree of it in memory: a table may have ten thousand prefixes.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::IpAddr,
};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::model::{Prefix, RouteTarget};

#[derive(Deserialize)]
struct Table {
    routes: HashMap<String, Vec<Path>>,
}

#[derive(Deserialize)]
struct Path {
    weight: Option<u32>,
    #[serde(rename = "peerId")]
    peer: Option<String>,
    #[serde(rename = "announceNexthopSelf")]
    imported: Option<bool>,
}

/// The weight of what is redistributed (BGP_ATTR_DEFAULT_WEIGHT in bgpd/bgp_attr.h), as nothing that was imported has it.
pub const OWN_WEIGHT: u32 = 32768;

impl Path {
    /// Redistributed routes have no neighbour: bgpd calls theirs `(unspec)`.
    fn is_own(&self) -> bool {
        self.weight == Some(OWN_WEIGHT) && self.peer.as_deref() == Some("(unspec)") && self.imported.is_none()
    }
}

/// The host prefixes that the instance originates, from `show bgp vrf X ipv4|ipv6 unicast json`; None: the text does not
/// say.
pub fn originated(text: &str) -> Option<BTreeSet<IpAddr>> {
    let table: Table = serde_json::from_str(text).ok()?;
    let own = table.routes.into_iter().filter(|(_, paths)| paths.iter().any(Path::is_own));
    Some(own.filter_map(|(prefix, _)| prefix.parse().ok().and_then(host)).collect())
}

fn host(prefix: Prefix) -> Option<IpAddr> {
    let address = prefix.addr();
    (Prefix::from(address) == prefix).then_some(address)
}

/// How many prefixes a table has, from `show bgp vrf X ipv4|ipv6 unicast statistics json`; None: the text does not say.
pub fn total(text: &str) -> Option<usize> {
    /// By family the instances; beside them, from 10.3 on, counters of the daemon.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shown {
        Instances(Vec<Instance>),
        Other(IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Instance {
        #[serde(rename = "totalPrefixes")]
        total: usize,
    }
    let shown: HashMap<String, Shown> = serde_json::from_str(text).ok()?;
    shown.into_values().find_map(|shown| match shown {
        Shown::Instances(instances) => instances.first().map(|instance| instance.total),
        Shown::Other(_) => None,
    })
}

/// Whether a route of one prefix is this node's own, from `show bgp vrf X ipv4|ipv6 unicast A/32 json`.
pub fn is_originated(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Shown {
        paths: Vec<Weighed>,
    }
    #[derive(Deserialize)]
    struct Weighed {
        weight: Option<u32>,
    }
    let shown: Result<Shown, _> = serde_json::from_str(text);
    shown.is_ok_and(|shown| shown.paths.iter().any(|path| path.weight == Some(OWN_WEIGHT)))
}

/// The route distinguisher of a VNI, from `show bgp l2vpn evpn vni N json`.
pub fn rd(text: &str) -> Option<RouteTarget> {
    #[derive(Deserialize)]
    struct Shown {
        rd: String,
    }
    let shown: Shown = serde_json::from_str(text).ok()?;
    shown.rd.parse().ok()
}

/// The hosts of which this node originates type-5 routes with this VNI (None: with any), from `show bgp l2vpn evpn route ..
/// type prefix json` or `show bgp l2vpn evpn A/32 json`; None: the text does not say.
///
/// Routes stand at the top or under their route distinguisher, the paths of each in one list or in lists of one.
pub fn type5(text: &str, vni: Option<u32>) -> Option<BTreeSet<IpAddr>> {
    let mut hosts = BTreeSet::new();
    let routes = Routes { hosts: &mut hosts, vni: vni.map(|vni| vni.to_string()) };
    routes.deserialize(&mut serde_json::Deserializer::from_str(text)).ok()?;
    Some(hosts)
}

/// A route, or what holds routes.
struct Routes<'a> {
    hosts: &'a mut BTreeSet<IpAddr>,
    vni: Option<String>,
}

impl<'de> DeserializeSeed<'de> for Routes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Routes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("routes")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let (mut ip, mut length, mut own): (Option<IpAddr>, Option<u8>, bool) = (None, None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "warning" => return Err(M::Error::custom("bgpd does not say")),
                "ip" => ip = map.next_value::<String>()?.parse().ok(),
                "ipLen" => length = Some(map.next_value()?),
                "paths" => own = map.next_value_seed(OwnPath { vni: self.vni.as_deref() })?,
                _ => {
                    map.next_value_seed(Routes { hosts: &mut *self.hosts, vni: self.vni.clone() })?;
                }
            }
        }
        let bits = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        self.hosts.extend(ip.filter(|ip| own && length.is_none_or(|length| length == bits(ip))));
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A path, or lists of paths: whether one is this node's own, with the VNI that is asked for.
#[derive(Clone, Copy)]
struct OwnPath<'a> {
    vni: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for OwnPath<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OwnPath<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paths")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<bool, S::Error> {
        let mut own = false;
        while let Some(one) = list.next_element_seed(self)? {
            own |= one;
        }
        Ok(own)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<bool, M::Error> {
        let (mut weight, mut label): (Option<u32>, Option<String>) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "weight" => weight = map.next_value()?,
                "vni" => label = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let has_vni = self.vni.is_none_or(|vni| label.as_deref() == Some(vni));
        Ok(weight == Some(OWN_WEIGHT) && has_vni)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips<const N: usize>(texts: [&str; N]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// As bgpd 8.4 shows a table: redistributed host and network, and what came from elsewhere.
    #[test]
    fn own_hosts_alone_count() {
        let own = r#"{"valid":true,"bestpath":true,"metric":0,"weight":32768,"peerId":"(unspec)","path":""}"#;
        let imported = r#"{"valid":true,"weight":32768,"peerId":"(unspec)","announceNexthopSelf":true}"#;
        let learnt = r#"{"valid":true,"weight":0,"peerId":"192.0.2.1","path":"65001"}"#;
        let text = format!(
            r#"{{"vrfId":0,"vrfName":"default","routes":{{"20.0.0.10/32":[{learnt},{own}],"20.0.1.0/24":[{own}],
            "2001:db8::1/128":[{own}],"20.0.0.11/32":[{imported}],"20.0.0.12/32":[{learnt}],"x":[{own}]}}}}"#
        );
        assert_eq!(originated(&text), Some(ips(["20.0.0.10", "2001:db8::1"])));
    }

    #[test]
    fn a_table_that_is_not_shown_is_not_an_empty_one() {
        assert_eq!(originated(r#"{"vrfId":0,"routes":{}}"#), Some(BTreeSet::new()));
        assert_eq!(type5("{}", None), Some(BTreeSet::new()));
        for text in ["", "{}", r#"{"warning":"View/Vrf is unknown"}"#, "% No such BGP instance exist", "[1"] {
            assert_eq!((originated(text), total(text), rd(text)), (None, None, None), "{text}");
            assert!(!is_originated(text), "{text}");
        }
        for text in ["", r#"{"warning":"View/Vrf is unknown"}"#, "% No such", "[1", r#"{"a":{"ipLen":999}}"#]
        {
            assert_eq!(type5(text, None), None, "{text}");
        }
    }

    /// From bgpd 8.4.4 and 10.3, shortened.
    #[test]
    fn totals_and_distinguishers_are_read() {
        let statistics = r#"{"ipv6Unicast":[{"instance":"VRF vrf-1001","totalAdvertisements":9,"totalPrefixes":7,
            "averagePrefixLength":0.0,"prefixLength":[{"32":7}]}]}"#;
        assert_eq!(total(statistics), Some(7));
        let statistics = r#"{"ipv4Unicast":[{"instance":"VRF vrf-1001","totalPrefixes":7,"prefixLength":[{"32":7}]}],
            "bgpBestPathCalls":0,"bgpNodeOnQueue":0,"bgpNodeDeferredOnQueue":0}"#;
        assert_eq!(total(statistics), Some(7), "10.3");
        let vni =
            r#"{"vni":1001,"type":"L3","inKernel":"True","rd":"172.24.4.146:3","importRts":["64999:1001"]}"#;
        assert_eq!(rd(vni), Some(RouteTarget::Ip([172, 24, 4, 146].into(), 3)));
        assert!(is_originated(r#"{"prefix":"20.0.0.10/32","paths":[{"weight":0},{"weight":32768}]}"#));
        assert!(!is_originated(r#"{"prefix":"20.0.0.10/32","paths":[{"weight":0},{}]}"#));
    }

    #[test]
    fn routes_of_others_under_the_same_rd_are_not_counted() {
        let own = ips(["20.0.0.10", "172.24.4.146", "2001:db8:1::10", "2001:db8:ffff::1"]);
        for shown in [
            include_str!("../../../../fixtures/frr/8.4/prefix-routes.json"),
            include_str!("../../../../fixtures/frr/10.3/prefix-routes.json"),
            include_str!("../../../../fixtures/frr/10.7/prefix-routes.json"),
        ] {
            assert_eq!(type5(shown, None).as_ref(), Some(&own), "two more are the leaf's");
            assert_eq!(type5(shown, Some(1001)).as_ref(), Some(&own));
            assert_eq!(type5(shown, Some(1002)), Some(BTreeSet::new()));
            let by_rd: serde_json::Value = serde_json::from_str(shown).unwrap();
            for (_, routes) in by_rd.as_object().unwrap().iter().filter(|(_, routes)| routes.is_object()) {
                let of_rd = type5(&routes.to_string(), None).unwrap();
                assert!(of_rd.is_empty() || of_rd == own, "{of_rd:?}");
            }
        }
    }
}
