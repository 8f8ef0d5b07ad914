//! The hops behind the kernel, asked of bgpd at this moment, however many prefixes there are: how many its VRF originates,
//! and how many of these are type-5 routes. The agent itself counts them from time to time.

use serde_json::{Value, json};

use crate::{cli::peers::vty::Vty, config::Config, intent::names, model::Vni, planes::frr::decode};

/// Puts `bgpd` and `type5` into the prefixes of every tenant in this status.
pub fn add(status: &mut Value, config: &Config) -> Result<(), String> {
    let mut bgpd = Vty::open(&config.frr_socket_dir, "bgpd")?;
    for tenant in status["tenants"].as_array_mut().into_iter().flatten() {
        let number = tenant["vni"].as_u64().and_then(|vni| Vni::new(vni.try_into().ok()?));
        let Some(vni) = number else { continue };
        let (in_bgpd, type5) = (originated(&mut bgpd, vni)?, type5_routes(&mut bgpd, vni)?);
        tenant["prefixes"]["bgpd"] = json!(in_bgpd);
        tenant["prefixes"]["type5"] = json!(type5);
        tenant["prefixes"]["counted_seconds_ago"] = json!(0.0);
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
    let shown = bgpd.show(&format!("show bgp l2vpn evpn vni {vni} json"))?;
    let Some(rd) = decode::rd(&shown) else { return Ok(0) };
    let routes = bgpd.show(&format!("show bgp l2vpn evpn route rd {rd} type prefix json"))?;
    Ok(decode::type5(&routes, Some(vni.get())).map_or(0, |hosts| hosts.len()))
}
