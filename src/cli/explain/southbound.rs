//! The first links: from OVN's rows to what should be. What the agent makes of the same is its own link.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Chain, Target,
    rows::{Port, Rows},
};
use crate::{
    cli::client,
    config::Config,
    control::Request,
    intent::annotation::{self, Annotation, KEYS},
    model::{Asn, Prefix, RouteTarget, Vni},
};

const VNI: &str = "neutron_bgpvpn:vni";

/// What a limit of the whole node is put aside as.
const THIS_NODE: &str = "this node";

/// Ports and their addresses that this text names: an address, a port, or a router with its gateway.
pub fn find<'a>(rows: &'a Rows, subject: &str) -> Vec<(&'a Port, IpAddr)> {
    if let Ok(address) = subject.parse() {
        let has_it = |port: &&Port| is_end(port) && addresses(port).contains(&address);
        return rows.ports.values().filter(has_it).map(|port| (port, address)).collect();
    }
    let names_router = |datapath: &str| {
        let names = rows.datapaths.get(datapath).into_iter().flatten();
        names.into_iter().any(|name| name == subject || name.strip_prefix("neutron-") == Some(subject))
    };
    let names_port = |name: &str| {
        let bare = name.trim_start_matches("cr-").trim_start_matches("lrp-");
        name == subject || bare == subject
    };
    let all = rows.ports.values().filter(|port| is_end(port));
    let meant = all.filter(|port| {
        names_port(&port.name) || (port.kind == "chassisredirect" && names_router(&port.datapath))
    });
    meant.flat_map(|port| addresses(port).into_iter().map(move |address| (port, address))).collect()
}

/// Where a chain may begin: a VM's port, or a router gateway.
fn is_end(port: &Port) -> bool {
    matches!(&*port.kind, "" | "virtual" | "chassisredirect")
}

/// The addresses among the words of a port's `mac`, without their lengths.
fn addresses(port: &Port) -> Vec<IpAddr> {
    let address = |word: &String| word.split('/').next()?.parse().ok();
    port.mac.iter().filter_map(address).collect()
}

/// The networks among the words of a port's `mac`: a router port's.
pub(super) fn networks(port: &Port) -> Vec<Prefix> {
    port.mac.iter().filter_map(|word| word.parse::<Prefix>().ok()).collect()
}

/// Walks from a port to the target; None where a link on the way does not hold.
pub fn walk(config: &Config, rows: &Rows, port: &Port, address: IpAddr, chain: &mut Chain) -> Option<Target> {
    if port.kind == "chassisredirect" {
        chain.holds("port", format!("{} is a router's gateway", port.name));
        return gateway(config.bgp_as, rows, port, address, None, chain);
    }
    match rows.chassis_of(port) {
        Some(chassis) => chain.holds("port", format!("{} is bound on {chassis}", port.name)),
        None => {
            let remedy = "is the VM running, and its interface plugged? An unbound port is not advertised";
            chain.fails("port", format!("{} is bound on no chassis", port.name), remedy);
        }
    }
    let (switch_port, router_port, subnet) = router_port(rows, port, address, chain)?;
    let vni = annotation(switch_port, chain)?.vni;
    let redirect = redirect(rows, router_port, chain)?;
    let mut target = gateway(config.bgp_as, rows, redirect, address, Some((vni, subnet)), chain)?;
    target.ports.extend([port, switch_port, router_port].map(|port| port.name.clone()));
    Some(target)
}

/// The router port towards the network of a VM, with its peer on the network and the subnet that holds the address.
pub(super) fn router_port<'a>(
    rows: &'a Rows,
    port: &'a Port,
    address: IpAddr,
    chain: &mut Chain,
) -> Option<(&'a Port, &'a Port, Prefix)> {
    let pairs: Vec<(&Port, &Port)> = rows
        .on(&port.datapath)
        .filter_map(|peer| Some((peer, rows.ports.get(&peer.option("peer")?)?)))
        .collect();
    for (peer, router_port) in &pairs {
        if let Some(network) = networks(router_port).into_iter().find(|network| network.contains(&address)) {
            chain.holds("router port", format!("{} with {network}", router_port.name));
            return Some((peer, router_port, network.trunc()));
        }
    }
    let seen = match pairs.is_empty() {
        true => "no router has a port on its network".to_owned(),
        false => format!("{address} is in no subnet of its router's ports"),
    };
    chain.fails("router port", seen, "openstack router add subnet ROUTER SUBNET");
    None
}

/// The gateway of a router that has this port.
pub(super) fn redirect<'a>(rows: &'a Rows, router_port: &'a Port, chain: &mut Chain) -> Option<&'a Port> {
    let redirect = rows.on(&router_port.datapath).find(|port| port.kind == "chassisredirect");
    if redirect.is_none() {
        let remedy = "openstack router set ROUTER --external-gateway NETWORK";
        chain.fails("gateway", "its router has no gateway port on any chassis", remedy);
    }
    redirect
}

/// The router port that a gateway stands for, and its peer on the provider network.
pub(super) fn provider_side<'a>(
    rows: &'a Rows,
    redirect: &Port,
    chain: &mut Chain,
) -> Option<(&'a Port, &'a Port)> {
    let router_port = redirect.option("distributed-port").and_then(|name| rows.ports.get(&name));
    let sides = router_port.and_then(|port| Some((port, rows.ports.get(&port.option("peer")?)?)));
    if sides.is_none() {
        let seen = format!("{} has no port on a provider network", redirect.name);
        chain.fails("gateway", seen, "is northd running?");
    }
    sides
}

/// The annotation of a port, as the agent reads it.
fn annotation(port: &Port, chain: &mut Chain) -> Option<Annotation> {
    let annotate = format!(
        "ovn-nbctl set logical_switch_port {} external_ids:\"neutron_bgpvpn\\:vni\"=VNI, or associate it with a BGPVPN",
        port.name
    );
    let keys = KEYS.iter().filter_map(|key| Some(((*key).into(), port.external_id(key)?.into())));
    match annotation::read(&keys.collect()) {
        Ok(Some(annotation)) => {
            chain.vni = Some(annotation.vni);
            chain.holds("annotation", format!("{} has {VNI}={}", port.name, annotation.vni));
            Some(annotation)
        }
        Err(error) => {
            chain.fails("annotation", format!("{}: {error}", port.name), annotate);
            None
        }
        Ok(None) => {
            chain.fails("annotation", format!("{} has no {VNI}", port.name), annotate);
            None
        }
    }
}

/// The links at the gateway: its annotation, its chassis, its provider network.
fn gateway(
    default_as: Asn,
    rows: &Rows,
    redirect: &Port,
    address: IpAddr,
    subnet: Option<(Vni, Prefix)>,
    chain: &mut Chain,
) -> Option<Target> {
    let (router_port, peer) = provider_side(rows, redirect, chain)?;
    let annotated = annotation(peer, chain)?;
    let vni = annotated.vni;
    if let Some((of_subnet, _)) = subnet
        && of_subnet != vni
    {
        let seen = format!("the gateway has VNI {vni}, the subnet VNI {of_subnet}");
        chain.fails("annotation", seen, "annotate both with the same VNI");
        return None;
    }
    match rows.chassis_of(redirect) {
        Some(chassis) if chassis == rows.system_id => {
            chain.holds("gateway", format!("{} is on this chassis", redirect.name));
        }
        Some(chassis) => {
            let seen = format!("{} is on chassis {chassis}, this one is {}", redirect.name, rows.system_id);
            chain.fails("gateway", seen, format!("the node of {chassis} advertises it: explain it there"));
            return None;
        }
        None => {
            let remedy = "is there a chassis with enable-chassis-as-gw that is alive? ovn-nbctl lrp-get-gateway-chassis PORT";
            chain.fails("gateway", format!("{} is on no chassis", redirect.name), remedy);
            return None;
        }
    }
    let network = rows
        .localnet(&peer.datapath)
        .and_then(|port| Some((port.name.clone(), port.option("network_name")?)));
    let Some((localnet, network)) = network else {
        chain.fails("provider", "the gateway's network has no localnet port", "is it a provider network?");
        return None;
    };
    match rows.mappings.get(&network) {
        Some(bridge) => chain.holds("provider", format!("{network} is bridge {bridge} here")),
        None => {
            let remedy = "ovs-vsctl set open_vswitch . external_ids:ovn-bridge-mappings=NETWORK:BRIDGE";
            chain.fails("provider", format!("{network} is not in ovn-bridge-mappings here"), remedy);
            return None;
        }
    }
    let Some(mac) = redirect.mac.first().and_then(|mac| mac.parse().ok()) else {
        chain.fails("gateway", format!("{} has no Ethernet address", redirect.name), "is northd running?");
        return None;
    };
    let gateway = addresses(redirect);
    let subnet = subnet.map(|(_, prefix)| prefix);
    let ports = [redirect, router_port, peer].map(|port| port.name.clone()).into();
    let export = exported(annotated, default_as);
    Some(Target { vni, address, subnet, mac, gateway, localnet, network, ports, export })
}

/// The route targets that a gateway is annotated with; else the one that FRR derives.
fn exported(annotated: Annotation, default_as: Asn) -> BTreeSet<RouteTarget> {
    let derived = RouteTarget::derived(annotated.asn.unwrap_or(default_as), annotated.vni.get());
    if annotated.export.is_empty() { [derived].into() } else { annotated.export }
}

/// What the running agent says of it.
pub fn agent(config: &Config, target: &Target, chain: &mut Chain) {
    let asked = client::ask(&config.control_socket, &Request::Find { address: target.address });
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            chain.fails("agent", error.to_string(), "systemctl status bgp-agent");
            return;
        }
    };
    let vni = target.vni.get();
    let found = answer["prefixes"].as_array().into_iter().flatten().find(|prefix| prefix["vni"] == vni);
    match found {
        Some(prefix) if prefix["state"] == "kernel" => {
            chain.holds("agent", "it wishes the address, and the kernel has it")
        }
        Some(prefix) => {
            let reason = prefix["reason"].as_str().unwrap_or("it is being built");
            let seen = format!(
                "it wishes the address, which is {}: {reason}",
                prefix["state"].as_str().unwrap_or("?")
            );
            chain.fails("agent", seen, format!("bgp-agent status --vni {vni}"));
        }
        None => {
            let status = client::ask(&config.control_socket, &Request::Status).unwrap_or_default();
            chain.fails("agent", put_aside(&status, target), "the reason says what to change");
        }
    }
}

/// Why the agent does not wish it: what is put aside of its VNI, of a port on its way, or of this node as a whole.
fn put_aside(status: &serde_json::Value, target: &Target) -> String {
    let problems = status["problems"].as_array().into_iter().flatten();
    let concerns = |problem: &&serde_json::Value| {
        let port = problem["port"].as_str().unwrap_or_default();
        match problem["vni"].as_u64() {
            Some(vni) => vni == u64::from(target.vni.get()),
            None => port == THIS_NODE || target.ports.iter().any(|name| name == port),
        }
    };
    let reasons: Vec<String> = problems
        .filter(concerns)
        .filter_map(|problem| Some(format!("{}: {}", problem["port"].as_str()?, problem["reason"].as_str()?)))
        .take(3)
        .collect();
    match reasons.is_empty() {
        true => "it does not wish the address, and does not say why: its view of the Southbound may be old"
            .to_owned(),
        false => format!("it does not wish the address; put aside: {}", reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ROUTER: &str = "router";
    const TENANT: &str = "tenant";
    const PROVIDER: &str = "provider";

    fn map(pairs: &[(&str, &str)]) -> Value {
        json!(["map", pairs.iter().map(|(key, value)| json!([key, value])).collect::<Vec<_>>()])
    }

    /// The blog's router with one VM, as the Southbound has it; None leaves an annotation out.
    fn rows(gateway_vni: Option<&str>, subnet_vni: Option<&str>) -> Rows {
        let mut rows = Rows { system_id: "gw1".to_owned(), ..Rows::default() };
        rows.mappings.insert("physnet1".to_owned(), "br-ex".to_owned());
        rows.chassis.insert("c1".to_owned(), "gw1".to_owned());
        rows.datapaths.insert(ROUTER.to_owned(), vec!["neutron-r1".to_owned()]);
        let ids = |vni: Option<&str>| map(&vni.map(|vni| (VNI, vni)).into_iter().collect::<Vec<_>>());
        let bound = json!(["uuid", "c1"]);
        let none = json!(["set", []]);
        for (name, kind, datapath, chassis, mac, options, external_ids) in [
            (
                "cr-lrp-g",
                "chassisredirect",
                ROUTER,
                &bound,
                "fa:16:3e:00:00:01 172.24.4.146/24",
                map(&[("distributed-port", "lrp-g")]),
                ids(None),
            ),
            (
                "lrp-g",
                "patch",
                ROUTER,
                &none,
                "fa:16:3e:00:00:01 172.24.4.146/24",
                map(&[("peer", "g")]),
                ids(None),
            ),
            ("g", "patch", PROVIDER, &none, "router", map(&[("peer", "lrp-g")]), ids(gateway_vni)),
            (
                "provnet",
                "localnet",
                PROVIDER,
                &none,
                "unknown",
                map(&[("network_name", "physnet1")]),
                ids(None),
            ),
            (
                "lrp-s",
                "patch",
                ROUTER,
                &none,
                "fa:16:3e:00:00:02 20.0.0.1/24",
                map(&[("peer", "s")]),
                ids(None),
            ),
            ("s", "patch", TENANT, &none, "router", map(&[("peer", "lrp-s")]), ids(subnet_vni)),
            ("vm", "", TENANT, &bound, "fa:16:3e:00:00:10 20.0.0.10", map(&[]), ids(None)),
        ] {
            let row = json!({
                "logical_port": name, "type": kind, "datapath": ["uuid", datapath], "chassis": chassis,
                "mac": mac, "options": options, "external_ids": external_ids,
            });
            rows.add(row.as_object().unwrap().clone());
        }
        rows
    }

    fn walked(rows: &Rows, subject: &str) -> (Option<Target>, String) {
        let (port, address) = find(rows, subject)[0];
        let mut chain = Chain::default();
        let target = walk(&Config::default(), rows, port, address, &mut chain);
        (target, chain.broken().map(|link| link.link.to_owned()).unwrap_or_default())
    }

    #[test]
    fn an_annotated_vm_leads_to_its_vni_by_address_port_and_router() {
        let rows = rows(Some("1001"), Some("1001"));
        let (target, broken) = walked(&rows, "20.0.0.10");
        let target = target.unwrap();
        assert_eq!((target.vni.get(), broken.as_str()), (1001, ""));
        assert_eq!(target.subnet.unwrap().to_string(), "20.0.0.0/24");
        assert_eq!(walked(&rows, "vm").0.as_ref(), Some(&target));
        let (gateway, _) = walked(&rows, "r1");
        assert_eq!(gateway.unwrap().address.to_string(), "172.24.4.146");
        assert!(find(&rows, "20.0.0.99").is_empty());
        assert_eq!(target.export, ["64999:1001".parse().unwrap()].into());
    }

    #[test]
    fn of_several_segments_the_one_that_is_mapped_here_counts() {
        let mut rows = rows(Some("1001"), Some("1001"));
        let row = json!({
            "logical_port": "a-segment", "type": "localnet", "datapath": ["uuid", PROVIDER], "chassis": ["set", []],
            "mac": "unknown", "options": map(&[("network_name", "elsewhere")]), "external_ids": map(&[]),
        });
        rows.add(row.as_object().unwrap().clone());
        assert_eq!(walked(&rows, "vm").0.expect("physnet1 is br-ex here").localnet, "provnet");
    }

    #[test]
    fn a_chain_that_ends_at_another_chassis_is_one_of_its_vni() {
        let mut rows = rows(Some("1001"), Some("1001"));
        rows.system_id = "gw2".to_owned();
        let (port, address) = find(&rows, "vm")[0];
        let mut chain = Chain::default();
        assert!(walk(&Config::default(), &rows, port, address, &mut chain).is_none());
        assert!(
            chain.is_of_another(Some(7)) && !chain.is_of_another(Some(1001)) && !chain.is_of_another(None)
        );
    }

    #[test]
    fn a_plain_route_of_a_router_without_a_gateway_is_not_advertised() {
        let mut rows = rows(None, None);
        rows.ports.retain(|_, port| port.kind != "chassisredirect");
        let (port, address) = find(&rows, "vm")[0];
        let chain = super::super::plain::explain(&Config::default(), &rows, port, address);
        assert_eq!(chain.broken().map(|link| link.link), Some("gateway"));
    }

    #[test]
    fn what_is_put_aside_of_other_tenants_is_no_reason() {
        let (target, _) = walked(&rows(Some("1001"), Some("1001")), "vm");
        let target = target.unwrap();
        let problem =
            |port: &str, vni: Value, reason: &str| json!({"port": port, "vni": vni, "reason": reason});
        let said = |problems: &[Value]| put_aside(&json!({ "problems": problems }), &target);
        let others = [problem("other-vm", Value::Null, "a stray"), problem("lrp-z", json!(1002), "no")];
        assert!(said(&others).contains("does not say why"), "{}", said(&others));
        for own in [
            problem("vm", Value::Null, "20.0.0.10 is in no advertised subnet of its network"),
            problem("lrp-s", json!(1001), "twice"),
            problem(THIS_NODE, Value::Null, "max_prefixes is reached"),
        ] {
            let reason = own["reason"].as_str().unwrap().to_owned();
            assert!(said(&[others[0].clone(), own]).contains(&reason), "{reason}");
        }
    }

    #[test]
    fn the_link_that_is_missing_is_named() {
        assert_eq!(walked(&rows(Some("1001"), None), "vm"), (None, "annotation".to_owned()));
        assert_eq!(walked(&rows(Some("1001"), Some("1002")), "vm"), (None, "annotation".to_owned()));
        assert_eq!(walked(&rows(Some("x"), Some("1001")), "vm"), (None, "annotation".to_owned()));
        let mut elsewhere = rows(Some("1001"), Some("1001"));
        elsewhere.system_id = "gw2".to_owned();
        assert_eq!(walked(&elsewhere, "vm"), (None, "gateway".to_owned()));
        let mut unmapped = rows(Some("1001"), Some("1001"));
        unmapped.mappings.clear();
        assert_eq!(walked(&unmapped, "vm"), (None, "provider".to_owned()));
    }
}
