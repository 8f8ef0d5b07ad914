//! The last links: zebra, bgpd, and the type-5 route with its VNI, route targets and router MAC.

use serde_json::Value;

use super::{Chain, Target};
use crate::{
    cli::peers::vty::Vty,
    config::{Config, Expose},
    intent::names,
    model::{MacAddr, Prefix},
    planes::{
        frr::{decode::OWN_WEIGHT, object::RouteMap},
        kernel::object::EXPOSING_METRIC,
    },
};

/// Looks at FRR.
pub fn examine(config: &Config, target: &Target, router_mac: Option<MacAddr>, chain: &mut Chain) {
    if let Err(error) = zebra(config, target, chain) {
        chain.fails("zebra", error, "systemctl status frr");
    }
    if let Err(error) = bgpd(config, target, router_mac, chain) {
        chain.fails("bgpd", error, "systemctl status frr");
    }
}

fn zebra(config: &Config, target: &Target, chain: &mut Chain) -> Result<(), String> {
    let mut zebra = Vty::open(&config.frr_socket_dir, "zebra")?;
    let (vni, vrf) = (target.vni, names::vrf(target.vni));
    let shown = zebra.json(&format!("show evpn vni {vni} json"))?;
    let state = shown["state"].as_str().unwrap_or("unknown to zebra");
    if shown["type"] != "L3" || state != "Up" {
        let remedy = format!(
            "is advertise-all-vni set, and `vrf {vrf}` / `vni {vni}` configured? Are {vrf}, br-{vni} and vxlan-{vni} up?"
        );
        chain.fails("zebra", format!("L3VNI {vni} is {state}"), remedy);
        return Ok(());
    }
    let prefix = Prefix::from(target.address);
    let family = if target.address.is_ipv4() { "ip" } else { "ipv6" };
    let routes = zebra.json(&format!("show {family} route vrf {vrf} {prefix} json"))?;
    let paths = routes[prefix.to_string()].as_array().into_iter().flatten();
    let source = |path: &Value| match path["protocol"].as_str() {
        Some("connected") => Some("connected"),
        Some("kernel") if path["metric"] == EXPOSING_METRIC => Some("a route of the kernel"),
        _ => None,
    };
    let delete = match config.expose {
        Expose::Dummy => format!("ip address del {prefix} dev {}", names::dummy(vni)),
        Expose::Routes => {
            let ip = if target.address.is_ipv4() { "ip" } else { "ip -6" };
            format!("{ip} route del {prefix} table {vni} metric {EXPOSING_METRIC}")
        }
    };
    match paths.into_iter().find_map(source) {
        Some(source) => chain.holds("zebra", format!("L3VNI {vni} is up with router MAC {}, {prefix} is {source}", word(&shown["routerMac"]))),
        None => chain.fails(
            "zebra",
            format!("L3VNI {vni} is up, but zebra does not know {prefix}: it lost the kernel's message"),
            format!("{delete}: the agent puts it back, and zebra hears of it; see zebra's netlink buffer in bgp-agent doctor"),
        ),
    }
    Ok(())
}

fn bgpd(
    config: &Config,
    target: &Target,
    router_mac: Option<MacAddr>,
    chain: &mut Chain,
) -> Result<(), String> {
    let mut bgpd = Vty::open(&config.frr_socket_dir, "bgpd")?;
    let (vni, vrf) = (target.vni, names::vrf(target.vni));
    let prefix = Prefix::from(target.address);
    let family = if target.address.is_ipv4() { "ipv4" } else { "ipv6" };
    let table = bgpd.json(&format!("show bgp vrf {vrf} {family} unicast {prefix} json"))?;
    let mut paths = table["paths"].as_array().into_iter().flatten();
    let redistribute = match config.expose {
        Expose::Dummy => "`redistribute connected`".to_owned(),
        Expose::Routes => format!("`redistribute kernel route-map {}`", RouteMap::Routes),
    };
    match paths.any(|path| path["weight"] == OWN_WEIGHT) {
        true => chain.holds("bgpd", format!("{vrf} originates {prefix}")),
        false => chain.fails(
            "bgpd",
            format!("{vrf} does not originate {prefix}"),
            format!("is `router bgp AS vrf {vrf}` there with {redistribute} in {family} unicast? vtysh -c 'show running-config'"),
        ),
    }
    let own = bgpd.json(&format!("show bgp l2vpn evpn vni {vni} json"))?;
    let routes = bgpd.json(&format!("show bgp l2vpn evpn {prefix} json"))?;
    type5(target, router_mac, &own, &routes, chain);
    Ok(())
}

/// The route that this node originates under the VNI's own route distinguisher.
fn type5(target: &Target, router_mac: Option<MacAddr>, own: &Value, routes: &Value, chain: &mut Chain) {
    let vni = target.vni.to_string();
    let rd = own["rd"].as_str().unwrap_or_default();
    let route = &routes[rd];
    let Some(path) = own_path(&route["paths"]) else {
        let remedy = "is `advertise ipv4 unicast` (ipv6) in address-family l2vpn evpn of its instance?";
        let seen = format!("this node originates no type-5 route of {} with RD {rd}", target.address);
        chain.fails("type-5", seen, remedy);
        return;
    };
    let community = word(&path["extendedCommunity"]["string"]);
    let label = word(&path["vni"]);
    let told: Vec<&String> =
        route["advertisedTo"].as_object().into_iter().flatten().map(|(peer, _)| peer).collect();
    let seen = format!("RD {rd}, VNI {label}, {community}");
    if label != vni {
        chain.fails(
            "type-5",
            format!("{seen}: the VNI is not {vni}"),
            "bgpd made it before the L3VNI was up: clear bgp l2vpn evpn *",
        );
    } else if !community.contains("Rmac:") {
        chain.fails(
            "type-5",
            format!("{seen}: without a router MAC no VTEP takes it"),
            "is br-V up, and has it a MAC?",
        );
    } else if let Some(mac) = router_mac.filter(|mac| !has(&community, &format!("Rmac:{mac}"))) {
        let bridge = names::bridge(target.vni);
        chain.fails(
            "type-5",
            format!(
                "{seen}: the router MAC is not that of {bridge}, {mac}, which alone takes its packets in"
            ),
            format!(
                "zebra missed a change of {bridge}: ip link set {bridge} down, and the agent sets it up again"
            ),
        );
    } else if let Some(target) = target.export.iter().find(|target| !has(&community, &format!("RT:{target}")))
    {
        chain.fails(
            "type-5",
            format!("{seen}: without the route target {target} that it is annotated with, or that follows from AS and VNI"),
            "vtysh -c 'show running-config': the route-target lines of its instance",
        );
    } else if told.is_empty() {
        chain.fails(
            "type-5",
            format!("{seen}: advertised to nobody"),
            "is a neighbour activated for EVPN and established? vtysh -c 'show bgp l2vpn evpn summary'",
        );
    } else {
        let told: Vec<&str> = told.into_iter().map(String::as_str).collect();
        chain.holds("type-5", format!("{seen}, advertised to {}", told.join(", ")));
    }
}

fn has(communities: &str, wanted: &str) -> bool {
    communities.split_ascii_whitespace().any(|community| community == wanted)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The path that this node originates itself, among those of a route: in one list, or in lists of one.
fn own_path(paths: &Value) -> Option<&Value> {
    let mut each = paths.as_array()?.iter().flat_map(|path| match path {
        Value::Array(one) => &**one,
        path => std::slice::from_ref(path),
    });
    each.find(|path| path["weight"] == OWN_WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From bgpd 8.4.4, shortened.
    fn shown(vni: &str, told: Value) -> Value {
        serde_json::json!({"172.24.4.146:2": {
            "advertisedTo": told,
            "paths": [
                {"vni": vni, "extendedCommunity": {"string": "RT:1:1"}, "weight": 0},
                {"vni": vni, "extendedCommunity": {"string": "ET:8 RT:64999:1001 Rmac:5e:20:21:90:2e:18"}, "weight": 32768},
            ],
        }})
    }

    #[test]
    fn a_type5_route_needs_its_vni_and_a_neighbour() {
        let target = Target {
            vni: "1001".parse().unwrap(),
            address: [20, 0, 0, 10].into(),
            export: ["64999:1001".parse().unwrap()].into(),
            ..Target::default()
        };
        let own = serde_json::json!({"rd": "172.24.4.146:2"});
        let told = serde_json::json!({"100.65.0.9": {}});
        for (routes, part) in [
            (shown("1001", told.clone()), "advertised to 100.65.0.9"),
            (shown("0", told), "the VNI is not 1001"),
            (shown("1001", serde_json::json!({})), "advertised to nobody"),
            (Value::Null, "no type-5 route"),
        ] {
            let mut chain = Chain::default();
            type5(&target, "5e:20:21:90:2e:18".parse().ok(), &own, &routes, &mut chain);
            assert!(chain.links[0].seen.contains(part), "{:?}", chain.links[0]);
        }
    }

    #[test]
    fn route_targets_and_router_mac_have_to_be_the_tenants() {
        let own = serde_json::json!({"rd": "172.24.4.146:2"});
        let routes = shown("1001", serde_json::json!({"100.65.0.9": {}}));
        for (target, mac, part) in [
            ("64999:1001", "5e:20:21:90:2e:18", "advertised to 100.65.0.9"),
            ("64999:1001", "5e:20:21:90:2e:19", "the router MAC is not that of br-1001, 5e:20:21:90:2e:19"),
            // A part of the one that it has.
            ("64999:100", "5e:20:21:90:2e:18", "without the route target 64999:100 "),
        ] {
            let target = Target {
                vni: "1001".parse().unwrap(),
                export: [target.parse().unwrap()].into(),
                ..Target::default()
            };
            let mut chain = Chain::default();
            type5(&target, mac.parse().ok(), &own, &routes, &mut chain);
            assert!(chain.links[0].seen.contains(part), "{:?}", chain.links[0]);
        }
    }
}
