//! What a BGP instance originates itself, from `show bgp vrf X ipv4|ipv6 unicast json`.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use serde::Deserialize;

use crate::model::Prefix;

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
const OWN_WEIGHT: u32 = 32768;

impl Path {
    /// Redistributed routes have no neighbour: bgpd calls theirs `(unspec)`.
    fn is_own(&self) -> bool {
        self.weight == Some(OWN_WEIGHT) && self.peer.as_deref() == Some("(unspec)") && self.imported.is_none()
    }
}

/// The host prefixes that the instance originates; None: the text does not say.
pub fn originated(text: &str) -> Option<BTreeSet<IpAddr>> {
    let table: Table = serde_json::from_str(text).ok()?;
    let own = table.routes.into_iter().filter(|(_, paths)| paths.iter().any(Path::is_own));
    Some(own.filter_map(|(prefix, _)| prefix.parse().ok().and_then(host)).collect())
}

fn host(prefix: Prefix) -> Option<IpAddr> {
    let address = prefix.addr();
    (Prefix::from(address) == prefix).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let hosts = originated(&text).unwrap();
        assert!(
            hosts.iter().eq(&["20.0.0.10", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap())),
            "{hosts:?}"
        );
    }

    #[test]
    fn a_table_that_is_not_shown_is_not_an_empty_one() {
        assert_eq!(originated(r#"{"vrfId":0,"routes":{}}"#), Some(BTreeSet::new()));
        for text in ["", "{}", r#"{"warning":"View/Vrf is unknown"}"#, "% No such BGP instance exist", "[1"] {
            assert_eq!(originated(text), None, "{text}");
        }
    }
}
