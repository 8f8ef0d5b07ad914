//! The hops behind the kernel, read back from bgpd: how many prefixes its VRF originates, and how many of these are
//! type-5 routes. bgpd shows them all, so this is done where it is asked for, never by the agent's loop.

use serde_json::{Value, json};

use crate::{cli::peers::vty::Vty, config::Config, intent::names, model::Vni, planes::frr::decode};

/// The weight of what an instance originates itself (BGP_ATTR_DEFAULT_WEIGHT in bgpd/bgp_attr.h).
const OWN_WEIGHT: u64 = 32768;

/// Adds `bgpd` and `type5` to the prefixes of every tenant in this status.
pub fn add(status: &mut Value, config: &Config) -> Result<(), String> {
    let mut bgpd = Vty::open(&config.frr_socket_dir, "bgpd")?;
    for tenant in status["tenants"].as_array_mut().into_iter().flatten() {
        let number = tenant["vni"].as_u64().and_then(|vni| Vni::new(vni.try_into().ok()?));
        let Some(vni) = number else { continue };
        let (in_bgpd, type5) = (originated(&mut bgpd, vni)?, type5_routes(&mut bgpd, vni)?);
        tenant["prefixes"]["bgpd"] = json!(in_bgpd);
        tenant["prefixes"]["type5"] = json!(type5);
    }
    Ok(())
}

/// How many host prefixes the VRF's instance originates itself; what it imported is somebody else's.
fn originated(bgpd: &mut Vty, vni: Vni) -> Result<usize, String> {
    let vrf = names::vrf(vni);
    let mut count = 0;
    for family in ["ipv4", "ipv6"] {
        let table = bgpd.show(&format!("show bgp vrf {vrf} {family} unicast json"))?;
        count += decode::originated(&table).map_or(0, |hosts| hosts.len());
    }
    Ok(count)
}

/// How many type-5 routes stand under the route distinguisher of the VNI.
fn type5_routes(bgpd: &mut Vty, vni: Vni) -> Result<usize, String> {
    let shown = bgpd.json(&format!("show bgp l2vpn evpn vni {vni} json"))?;
    let Some(rd) = shown["rd"].as_str().filter(|rd| is_rd(rd)) else { return Ok(0) };
    let routes = bgpd.json(&format!("show bgp l2vpn evpn route rd {rd} type prefix json"))?;
    Ok(own_routes(&routes))
}

/// How many routes of an answer this node originates: another node may use the same route distinguisher. They stand at the
/// top or under their route distinguisher; the paths of each in one list, or in lists of one.
fn own_routes(shown: &Value) -> usize {
    let Some(fields) = shown.as_object() else { return 0 };
    match fields.get("paths") {
        Some(paths) => usize::from(own_path(paths).is_some()),
        None => fields.values().map(own_routes).sum(),
    }
}

/// The path that this node originates itself, among those of a route.
pub fn own_path(paths: &Value) -> Option<&Value> {
    let mut each = paths.as_array()?.iter().flat_map(|path| match path {
        Value::Array(one) => &**one,
        path => std::slice::from_ref(path),
    });
    each.find(|path| path["weight"] == OWN_WEIGHT)
}

/// Only digits, dots and one colon: it goes into a command.
pub fn is_rd(rd: &str) -> bool {
    rd.contains(':') && rd.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_others_under_the_same_rd_are_not_counted() {
        let shown = include_str!("../../../fixtures/frr/8.4/prefix-routes.json");
        let mut shown: Value = serde_json::from_str(shown).unwrap();
        assert_eq!(own_routes(&shown), 4, "two more are the leaf's");
        let of_others = shown["10.99.0.1:2"].take();
        assert_eq!(own_routes(&of_others), 0);
        assert_eq!(own_routes(&shown["172.24.4.146:3"]), 4);
    }
}
