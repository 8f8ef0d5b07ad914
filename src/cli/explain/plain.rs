//! The chain of an address that the BGP mode offers: from OVN's rows to the route in FRR's default instance.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Chain,
    node::REPAIR,
    rows::{Port, Rows},
    southbound,
};
use crate::{
    cli::{
        client,
        peers::{netlink, openflow, vty::Vty},
    },
    config::Config,
    control::Request,
    intent::{bgp::nat, names},
    model::{IfName, Prefix},
    ovsdb::tables::LoadBalancer,
    planes::{
        flows::{decode, object::FlowRule},
        kernel::{
            decode::Event,
            dump::{Question, Which},
            uapi::{AF_INET, AF_INET6},
        },
    },
};

/// Where an address is to be found on this node.
struct Place {
    bridge: IfName,
    device: IfName,
    localnet: String,
}

/// Ports that this text names, or that answer for it by NAT, with their addresses: those that can be plain routes.
pub fn find<'a>(rows: &'a Rows, subject: &str) -> Vec<(&'a Port, IpAddr)> {
    let mut found = southbound::find(rows, subject);
    let Ok(address) = subject.parse() else { return found };
    let answers = |port: &&Port| nat::entries(&port.nat).any(|entry| entry.addresses.contains(&address));
    found.extend(rows.ports.values().filter(answers).map(|port| (port, address)));
    found
}

/// Load balancers of this name or with this address, with their addresses.
pub fn find_balancers<'a>(rows: &'a Rows, subject: &str) -> Vec<(&'a LoadBalancer, IpAddr)> {
    let wanted = subject.parse().ok();
    let named = |balancer: &LoadBalancer| *balancer.name == *subject;
    let of = |balancer: &'a LoadBalancer| {
        let all: BTreeSet<IpAddr> = balancer.addresses().collect();
        let asked = all.into_iter().filter(move |address| wanted == Some(*address) || named(balancer));
        asked.map(move |address| (balancer, address))
    };
    rows.balancers.iter().flat_map(|(_, balancer)| of(balancer)).collect()
}

/// Whether a workload's port is on a provider network itself.
pub fn is_on_provider(rows: &Rows, port: &Port) -> bool {
    port.kind != "chassisredirect" && rows.localnet(&port.datapath).is_some()
}

/// Explains one of them.
pub fn explain(config: &Config, rows: &Rows, port: &Port, address: IpAddr) -> Chain {
    let mut chain =
        Chain { about: format!("{address} of {} as a plain route", port.name), ..Chain::default() };
    let switch_port = place(rows, port, address, &mut chain);
    on_node(config, rows, switch_port, address, chain)
}

/// Explains an address of a load balancer.
pub fn explain_balancer(config: &Config, rows: &Rows, balancer: &LoadBalancer, address: IpAddr) -> Chain {
    let about = format!("{address} of load balancer {} as a plain route", balancer.name);
    let mut chain = Chain { about, ..Chain::default() };
    let Some(gateway) = gateway_of(rows, balancer, address) else {
        let seen = format!("{} is on no router with a gateway", balancer.name);
        chain.fails(
            "balancer",
            seen,
            "ovn-nbctl lr-lb-add ROUTER LB; and is the router's gateway port there?",
        );
        return chain;
    };
    chain.holds("balancer", format!("{} is on the router of {}", balancer.name, gateway.name));
    let switch_port = place(rows, gateway, address, &mut chain);
    on_node(config, rows, switch_port, address, chain)
}

/// The gateway of the router that a load balancer is on, or of that of its switches where OVN names no router; of several one
/// whose network has the address, and rather one on this chassis.
fn gateway_of<'a>(rows: &'a Rows, balancer: &LoadBalancer, address: IpAddr) -> Option<&'a Port> {
    let mut routers: Vec<String> = rows.balancers.places(balancer).map(|uuid| uuid.to_string()).collect();
    if !balancer.names_routers() {
        let ports = routers.iter().flat_map(|switch| rows.on(switch));
        let peers = ports.filter_map(|port| rows.ports.get(&port.option("peer")?));
        routers = peers.map(|peer| peer.datapath.clone()).collect();
    }
    let on_router = |port: &&Port| port.kind == "chassisredirect" && routers.contains(&port.datapath);
    let is_near = |port: &&Port| southbound::networks(port).iter().any(|network| network.contains(&address));
    let is_here = |port: &&Port| rows.chassis_of(port) == Some(&rows.system_id);
    let gateways = rows.ports.values().filter(on_router);
    gateways.max_by_key(|port| (is_near(port), is_here(port)))
}

/// From a port on a provider network of this node to the route in BGP; None: a link before it does not hold.
fn on_node(
    config: &Config,
    rows: &Rows,
    switch_port: Option<&Port>,
    address: IpAddr,
    mut chain: Chain,
) -> Chain {
    let place = switch_port.and_then(|port| on_provider(rows, port, &mut chain));
    let Some(place) = place else { return chain };
    agent(config, address, &mut chain);
    if let Err(error) = kernel(config, &place, address, &mut chain) {
        chain.fails("device", error, "is netlink allowed here?");
    }
    flow(config, rows, &place, &mut chain);
    if let Err(error) = bgpd(config, address, &mut chain) {
        chain.fails("bgpd", error, "systemctl status frr");
    }
    chain
}

/// Whose it is, and that this is on this chassis; gives the port on the provider network by which it is reached, or None where
/// a link on the way does not hold.
fn place<'a>(rows: &'a Rows, port: &'a Port, address: IpAddr, chain: &mut Chain) -> Option<&'a Port> {
    Some(match &*port.kind {
        "chassisredirect" => {
            is_here(rows, port, "gateway", chain)?;
            southbound::provider_side(rows, port, chain)?.1
        }
        "patch" | "l3gateway" => {
            let mut entries = nat::entries(&port.nat).filter(|entry| entry.addresses.contains(&address));
            let resident = entries.next().and_then(|entry| rows.ports.get(entry.resident?)).unwrap_or(port);
            chain.holds("NAT", format!("{} answers for it, where {} is", port.name, resident.name));
            is_here(rows, resident, "resident", chain)?;
            port
        }
        _ if rows.localnet(&port.datapath).is_some() => {
            is_here(rows, port, "port", chain)?;
            port
        }
        _ => {
            let (_, router_port, subnet) = southbound::router_port(rows, port, address, chain)?;
            let redirect = southbound::redirect(rows, router_port, chain)?;
            is_here(rows, redirect, "gateway", chain)?;
            let (gateway, switch_port) = southbound::provider_side(rows, redirect, chain)?;
            is_not_translated(rows, gateway, router_port, &subnet, chain)?;
            switch_port
        }
    })
}

/// Where tenants' networks behind SNAT are not offered: that the router with this gateway does not translate this one.
fn is_not_translated(
    rows: &Rows,
    gateway: &Port,
    router_port: &Port,
    subnet: &Prefix,
    chain: &mut Chain,
) -> Option<()> {
    const REQUIRED: &str = "require_snat_disabled_for_tenant_networks";
    let Some(translations) = &rows.translations else { return Some(()) };
    let translations = match translations {
        Ok(translations) => translations,
        Err(error) => {
            let seen = format!("the Northbound does not answer, and {REQUIRED} is set: {error}");
            chain.fails("SNAT", seen, "is ovn_nb_connection right? What was read of it before holds");
            return None;
        }
    };
    let Some(networks) = translations.of(&gateway.name) else {
        let seen = format!("the Northbound has no router port {}", gateway.name);
        chain.fails("SNAT", seen, "is ovn_nb_connection the Northbound of this Southbound?");
        return None;
    };
    let own = southbound::networks(router_port).into_iter();
    let own: Vec<IpAddr> = own.filter(|own| own.trunc() == *subnet).map(|own| own.addr()).collect();
    match networks.iter().find(|network| own.iter().any(|own| network.contains(own))) {
        Some(network) => {
            let seen = format!("its router translates {network}, and {REQUIRED} is set");
            chain.fails(
                "SNAT",
                seen,
                "openstack router set ROUTER --external-gateway NETWORK --disable-snat",
            );
            None
        }
        None => {
            chain.holds("SNAT", format!("its router does not translate {subnet}"));
            Some(())
        }
    }
}

/// The provider network of a port, where it is on this node.
fn on_provider(rows: &Rows, switch_port: &Port, chain: &mut Chain) -> Option<Place> {
    let Some(localnet) = rows.localnet(&switch_port.datapath) else {
        chain.fails(
            "provider",
            "its network has no localnet port",
            "only addresses on provider networks are offered",
        );
        return None;
    };
    let network = localnet.option("network_name").unwrap_or_default();
    let bridge = rows.mappings.get(&network).and_then(|bridge| bridge.parse::<IfName>().ok());
    let Some(bridge) = bridge else {
        let remedy = "ovs-vsctl set open_vswitch . external_ids:ovn-bridge-mappings=NETWORK:BRIDGE";
        chain.fails("provider", format!("{network} is not in ovn-bridge-mappings here"), remedy);
        return None;
    };
    chain.holds("provider", format!("{network} is bridge {bridge} here"));
    let device = localnet.tag.map_or(bridge, |tag| names::vlan_of(bridge, tag));
    Some(Place { bridge, device, localnet: localnet.name.clone() })
}

fn is_here(rows: &Rows, port: &Port, link: &'static str, chain: &mut Chain) -> Option<()> {
    match rows.chassis_of(port) {
        Some(chassis) if chassis == rows.system_id => {
            chain.holds(link, format!("{} is on this chassis", port.name));
            Some(())
        }
        Some(chassis) => {
            let seen = format!("{} is on chassis {chassis}, this one is {}", port.name, rows.system_id);
            chain.fails(link, seen, format!("the node of {chassis} advertises it: explain it there"));
            None
        }
        None => {
            let remedy = "is the VM running, and its interface plugged? An unbound port is not advertised";
            chain.fails(link, format!("{} is on no chassis", port.name), remedy);
            None
        }
    }
}

/// What the running agent says of it.
fn agent(config: &Config, address: IpAddr, chain: &mut Chain) {
    let answer = match client::ask(&config.control_socket, &Request::Find { address }) {
        Ok(answer) => answer,
        Err(error) => return chain.fails("agent", error.to_string(), "systemctl status bgp-agent"),
    };
    let found = answer["prefixes"].as_array().into_iter().flatten().find(|prefix| prefix["vni"].is_null());
    match found {
        Some(prefix) if prefix["state"] == "kernel" => {
            let of = prefix["of"].as_str().unwrap_or("?");
            chain.holds("agent", format!("it wishes the address ({of}), and the kernel has it"));
        }
        Some(prefix) => {
            let (state, reason) =
                (&prefix["state"], prefix["reason"].as_str().unwrap_or("it is being built"));
            let seen = format!("it wishes the address, which is {}: {reason}", state.as_str().unwrap_or("?"));
            chain.fails("agent", seen, "bgp-agent status");
        }
        None => {
            let seen = "it does not wish the address as a plain route";
            let remedy = "a tenant's is one with expose_tenant_networks alone; bgp-agent status --problems";
            chain.fails("agent", seen, remedy);
        }
    }
}

/// The rule that leads to the bridge's table, the route there, and the address that is advertised.
fn kernel(config: &Config, place: &Place, address: IpAddr, chain: &mut Chain) -> Result<(), String> {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let table = config.underlay.table_of(place.bridge);
    let links = netlink::ask(Question::Links)?;
    let index = |name: IfName| {
        links.iter().find_map(|event| match event {
            Event::Link(index, link) if link.name == name => Some(*index),
            _ => None,
        })
    };
    let rules = netlink::ask(Question::Rules(family))?;
    let rule = rules.iter().find_map(|event| match event {
        Event::Rule(rule, _) if rule.table == table && rule.to.contains(&address) => Some(rule),
        _ => None,
    });
    match rule {
        Some(rule) => chain.holds("rule", format!("to {} lookup {table}", rule.to)),
        None => {
            chain.fails("rule", format!("none leads {address} to table {table} of {}", place.bridge), REPAIR)
        }
    }
    let device = index(place.device);
    let question = Question::Routes { family, table: Some(table), which: Which::Any };
    let routes = netlink::ask(question)?;
    let route = routes.iter().filter_map(|event| match event {
        Event::Route((_, prefix, _), hop, _) if prefix.contains(&address) => Some((*prefix, *hop)),
        _ => None,
    });
    match route.max_by_key(|(prefix, _)| prefix.prefix_len()) {
        Some((prefix, hop)) if hop.index().is_some() && hop.index() == device => {
            chain.holds("route", format!("{prefix} dev {} table {table}", place.device));
        }
        Some((prefix, _)) => {
            let seen = format!("{prefix} in table {table} does not leave by {}", place.device);
            chain.fails("route", seen, format!("ip route show table {table}: whose route is it?"));
        }
        None => chain.fails("route", format!("none to {address} in table {table}"), REPAIR),
    }
    let nic = config.underlay.nic;
    let addresses = netlink::ask(Question::Addresses)?;
    let holds = |event: &Event| match event {
        Event::Address(at, ip, length) if Some(*at) == index(nic) => {
            Prefix::new(*ip, *length).is_ok_and(|prefix| prefix.contains(&address))
        }
        _ => false,
    };
    match addresses.iter().any(holds) {
        true => chain.holds("address", format!("{address} is on {nic}")),
        false => chain.fails("address", format!("{address} is not on {nic}"), REPAIR),
    }
    Ok(())
}

/// The flow by which answers leave.
fn flow(config: &Config, rows: &Rows, place: &Place, chain: &mut Chain) {
    let bridge = place.bridge;
    let Some(patch) = rows.patches.get(&place.localnet) else {
        let remedy = "ovn-controller makes it: is it running, with this bridge in ovn-bridge-mappings?";
        return chain.fails(
            "patch port",
            format!("{bridge} has no patch port for {}", place.localnet),
            remedy,
        );
    };
    let Some(Ok(number)) = rows.interfaces.get(patch) else {
        return chain.fails("patch port", format!("{patch} has no OpenFlow number"), "ovs-vsctl show");
    };
    let flows = match openflow::flows(&config.mgmt_socket(bridge)) {
        Ok(flows) => flows,
        Err(error) => return chain.fails("flow", error, "is ovs-vswitchd running?"),
    };
    let out = flows.into_iter().find_map(|stats| {
        let packets = stats.packets;
        match decode::rule(stats) {
            FlowRule::Outgoing { in_port, to, .. } if in_port.to_string() == *number => Some((to, packets)),
            _ => None,
        }
    });
    match out {
        Some((to, packets)) => {
            chain.holds("flow", format!("what leaves by {patch} goes to {to}: {packets} packets so far"));
        }
        None => chain.fails("flow", format!("none takes what leaves by {patch} to {bridge} itself"), REPAIR),
    }
}

/// The route in the default instance, as it is told to neighbours.
fn bgpd(config: &Config, address: IpAddr, chain: &mut Chain) -> Result<(), String> {
    let mut bgpd = Vty::open(&config.frr_socket_dir, "bgpd")?;
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let shown = bgpd.json(&format!("show bgp {family} unicast {address} json"))?;
    let vrf = config.underlay.vrf;
    let mut paths = shown["paths"].as_array().into_iter().flatten();
    if !paths.any(|path| path["importedFrom"].is_string() || path["sourced"] == true || path["local"] == true)
    {
        let seen = format!("the default instance has no route to {address} from {vrf}");
        let remedy = format!(
            "is `import vrf {vrf}` in {family} unicast, and `redistribute connected` in that of {vrf}?"
        );
        chain.fails("bgpd", seen, remedy);
        return Ok(());
    }
    let told = shown["advertisedTo"].as_object().into_iter().flatten();
    let told: Vec<&str> = told.map(|(peer, _)| peer.as_str()).collect();
    let prefix = shown["prefix"].as_str().unwrap_or_default();
    match told.is_empty() {
        false => chain.holds("bgpd", format!("{prefix} of {vrf} is advertised to {}", told.join(", "))),
        true => chain.fails(
            "bgpd",
            format!("{prefix} is advertised to nobody"),
            format!(
                "is a neighbour activated for {family} unicast and established? vtysh -c 'show bgp summary'"
            ),
        ),
    }
    Ok(())
}
