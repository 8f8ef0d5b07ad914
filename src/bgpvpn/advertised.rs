//! Whether a VNI is advertised, by the EVPN table of this node's bgpd: it holds what this node advertises itself, and what
//! it learnt from other gateways. It only reads.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use serde_json::Value;

use crate::{
    model::Vni,
    planes::frr::{Peer, dialect::Daemon, line::Line},
};

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// bgpd does not answer.
    #[error("{0}; --wait asks the bgpd of the node it runs on: run it on a gateway node")]
    Bgpd(String),
    /// Its answer is not understood.
    #[error("bgpd: {0}")]
    Answer(#[from] serde_json::Error),
}

/// The addresses that are advertised with this VNI as host routes, by any gateway that bgpd knows.
pub async fn addresses(socket_dir: &Path, vni: Vni) -> Result<BTreeSet<IpAddr>, AskError> {
    let refused = |why: &dyn std::fmt::Display| AskError::Bgpd(why.to_string());
    let mut peer = Peer::connect(socket_dir, Daemon::Bgpd).await.map_err(|lost| refused(&lost))?;
    let replies = peer.ask(&[Line::Enable, Line::ShowPrefixRoutes]).await.map_err(|lost| refused(&lost))?;
    let text = replies.last().map(|reply| reply.text.as_str()).unwrap_or_default();
    Ok(hosts(&serde_json::from_str(text)?, vni))
}

/// Host routes with this VNI as label: `{RD: {PREFIX: {"ip": .., "ipLen": .., "paths": [[{"vni": ".."}]]}}}`.
fn hosts(answer: &Value, vni: Vni) -> BTreeSet<IpAddr> {
    let routes = answer.as_object().into_iter().flat_map(|all| all.values());
    let routes = routes.filter_map(Value::as_object).flat_map(|of_rd| of_rd.values());
    routes.filter_map(|route| host(route, vni)).collect()
}

fn host(route: &Value, vni: Vni) -> Option<IpAddr> {
    let address: IpAddr = route["ip"].as_str()?.parse().ok()?;
    let is_host = route["ipLen"].as_u64() == Some(if address.is_ipv4() { 32 } else { 128 });
    let paths = route["paths"].as_array()?.iter().filter_map(Value::as_array).flatten();
    let mut labels = paths.filter_map(|path| path["vni"].as_str());
    let label = vni.to_string();
    (is_host && labels.any(|one| one == label)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_routes_of_the_vni_count_and_networks_do_not() {
        for answer in [
            include_str!("../../fixtures/frr/8.4/prefix-routes.json"),
            include_str!("../../fixtures/frr/10.3/prefix-routes.json"),
            include_str!("../../fixtures/frr/10.7/prefix-routes.json"),
        ] {
            let of = |vni| hosts(&serde_json::from_str(answer).unwrap(), Vni::new(vni).unwrap());
            let seen: Vec<String> = of(1001).iter().map(ToString::to_string).collect();
            assert_eq!(seen, ["20.0.0.10", "172.24.4.146", "2001:db8:1::10", "2001:db8:ffff::1"]);
            assert!(of(1002).is_empty());
        }
        assert!(hosts(&serde_json::json!({"warning": "no BGP"}), Vni::new(1001).unwrap()).is_empty());
    }
}
