//! The links on this node: devices, routes, the neighbour, and what exposes the address, read back from the kernel; `flows` has what
//! lies between them and OVN.

mod flows;

use std::net::IpAddr;

use super::{Chain, Target, rows::Rows};
use crate::{
    cli::peers::netlink,
    config::{Attach, Config, Expose},
    intent::names,
    model::{IfName, MacAddr, Prefix},
    planes::kernel::{
        decode::{Event, Hop, LinkFacts},
        dump::{Question, Which},
        object::EXPOSING_METRIC,
        uapi::{AF_INET, AF_INET6},
    },
};

/// What the agent repairs by itself is rarely missing for long: then the agent is held.
pub(super) const REPAIR: &str = "the agent makes it by itself; if it does not, bgp-agent status says why";

/// Looks at this node; gives the Ethernet address of the tenant's bridge, which its type-5 routes are to carry.
pub fn examine(config: &Config, rows: &Rows, target: &Target, chain: &mut Chain) -> Option<MacAddr> {
    let kernel = match Kernel::read(target) {
        Ok(kernel) => kernel,
        Err(error) => {
            chain.fails("device", error, "is netlink allowed here?");
            return None;
        }
    };
    let attach = devices(&kernel, config, way_out(config, rows, target), target, chain);
    if let Some((index, device)) = attach {
        routes(&kernel, target, index, device, chain);
        neighbour(&kernel, target, index, device, chain);
    }
    flows::examine(config, rows, target, chain);
    exposed(&kernel, config, target, chain);
    kernel.link(names::bridge(target.vni)).and_then(|(_, bridge)| bridge.mac)
}

/// What the kernel has.
struct Kernel {
    links: Vec<(u32, LinkFacts)>,
    events: Vec<Event>,
}

impl Kernel {
    fn read(target: &Target) -> Result<Self, String> {
        let links = netlink::ask(Question::Links)?.into_iter().filter_map(|event| match event {
            Event::Link(index, link) => Some((index, *link)),
            _ => None,
        });
        let mut events = netlink::ask(Question::Addresses)?;
        events.extend(netlink::ask(Question::Neighbours)?);
        let table = Some(target.vni.get());
        for family in [AF_INET, AF_INET6] {
            for which in [Which::Any, Which::Local] {
                events.extend(netlink::ask(Question::Routes { family, table, which })?);
            }
        }
        Ok(Self { links: links.collect(), events })
    }

    fn link(&self, name: IfName) -> Option<(u32, &LinkFacts)> {
        let found = self.links.iter().find(|(_, link)| link.name == name);
        found.map(|(index, link)| (*index, link))
    }
}

/// The device that the routes leave by where none of the VRF's own leads to the provider bridge: with attach = vrf the
/// VRF is itself a port of the bridge, and its routes leave by the bridge's device.
fn way_out(config: &Config, rows: &Rows, target: &Target) -> Option<IfName> {
    let bridge = rows.mappings.get(&target.network)?;
    if config.attach == Attach::Vrf { bridge.parse().ok() } else { None }
}

/// The VNI's devices, each where it belongs; gives the one that leads to the provider bridge, `otherwise` where the VRF
/// has none.
fn devices(
    kernel: &Kernel,
    config: &Config,
    otherwise: Option<IfName>,
    target: &Target,
    chain: &mut Chain,
) -> Option<(u32, IfName)> {
    let vni = target.vni;
    let vrf = names::vrf(vni);
    let Some((vrf_index, _)) = kernel.link(vrf) else {
        chain.fails("device", format!("{vrf} is not there"), REPAIR);
        return None;
    };
    let bridge_index = kernel.link(names::bridge(vni)).map(|(index, _)| index);
    let mut wrong = Vec::new();
    // Where addresses are exposed as routes, only a VRF that is itself a port of the bridge has one.
    let by_dummy = config.expose == Expose::Dummy;
    let dummy = by_dummy.then_some((names::dummy(vni), Some(vrf_index)));
    let others = [(vrf, None), (names::bridge(vni), Some(vrf_index)), (names::vxlan(vni), bridge_index)];
    for (name, master) in others.into_iter().chain(dummy) {
        match kernel.link(name) {
            None => wrong.push(format!("{name} is not there")),
            Some((_, link)) if !link.up => wrong.push(format!("{name} is down")),
            Some((_, link)) if master.is_some() && link.master != master => {
                wrong.push(format!("{name} is not in its master"));
            }
            Some(_) => {}
        }
    }
    let own = [names::bridge(vni), names::dummy(vni)];
    let leads_out = |(_, link): &&(u32, LinkFacts)| {
        link.master == Some(vrf_index)
            && names::vni_of(&link.name) == Some(vni)
            && !own.contains(&link.name)
            && !link.name.as_str().starts_with("lo-")
    };
    let inside = kernel.links.iter().find(leads_out).map(|(index, link)| (*index, link.name));
    let attach = inside.or_else(|| otherwise.and_then(|name| Some((kernel.link(name)?.0, name))));
    if attach.is_none() {
        wrong.push(format!("no device of {vrf} leads to the provider bridge"));
    }
    match wrong.is_empty() {
        true if by_dummy => {
            chain.holds("device", format!("{vrf} with bridge, VXLAN device and dummy, all up"));
        }
        true => chain.holds("device", format!("{vrf} with bridge and VXLAN device, all up")),
        false => chain.fails("device", wrong.join("; "), REPAIR),
    }
    attach
}

fn routes(kernel: &Kernel, target: &Target, index: u32, device: IfName, chain: &mut Chain) {
    let table = target.vni.get();
    let wanted = target.subnet.unwrap_or_else(|| Prefix::from(target.address));
    let hop = kernel.events.iter().find_map(|event| match event {
        Event::Route((of_table, prefix, metric), hop, _)
            if *of_table == table && *prefix == wanted && *metric != EXPOSING_METRIC =>
        {
            Some(*hop)
        }
        _ => None,
    });
    match hop {
        Some(Hop::Via(gateway, at)) if at == index && target.gateway.contains(&gateway) => {
            chain.holds("route", format!("{wanted} via {gateway} dev {device} table {table}"));
        }
        Some(Hop::Link(at)) if at == index => {
            chain.holds("route", format!("{wanted} dev {device} table {table}"));
        }
        Some(_) => {
            let seen = format!("{wanted} in table {table} leads elsewhere than to the gateway on {device}");
            chain.fails("route", seen, format!("ip route show table {table}: whose route is it?"));
        }
        None => chain.fails("route", format!("{wanted} is not in table {table}"), REPAIR),
    }
}

fn neighbour(kernel: &Kernel, target: &Target, index: u32, device: IfName, chain: &mut Chain) {
    let same_family = |ip: &&IpAddr| ip.is_ipv4() == target.address.is_ipv4();
    let Some(gateway) = target.gateway.iter().find(same_family) else {
        chain.fails(
            "neighbour",
            "the router's gateway has no address of this family",
            "add a subnet of it to the provider network",
        );
        return;
    };
    let mac = kernel.events.iter().find_map(|event| match event {
        Event::Neighbour(at, ip, mac, _) if *at == index && ip == gateway => Some(*mac),
        _ => None,
    });
    match mac {
        Some(mac) if mac == target.mac => {
            chain.holds("neighbour", format!("{gateway} is at {mac} on {device}"))
        }
        Some(mac) => {
            let seen = format!("{gateway} is at {mac} on {device}, the router at {}", target.mac);
            chain.fails("neighbour", seen, REPAIR);
        }
        None => chain.fails("neighbour", format!("{gateway} has no permanent entry on {device}"), REPAIR),
    }
}

/// What FRR takes the address from: a route that exposes it, or the address on the dummy.
fn exposed(kernel: &Kernel, config: &Config, target: &Target, chain: &mut Chain) {
    let prefix = Prefix::from(target.address);
    let wanted = (target.vni.get(), prefix, EXPOSING_METRIC);
    if kernel.events.iter().any(|event| matches!(event, Event::Route(key, ..) if *key == wanted)) {
        chain.holds(
            "exposed",
            format!("{prefix} is a route of metric {EXPOSING_METRIC} in table {}", wanted.0),
        );
    } else if config.expose == Expose::Dummy || kernel.link(names::dummy(target.vni)).is_some() {
        address(kernel, target, chain);
    } else {
        let seen = format!("{prefix} is no route of metric {EXPOSING_METRIC} in table {}", wanted.0);
        chain.fails("exposed", seen, REPAIR);
    }
}

fn address(kernel: &Kernel, target: &Target, chain: &mut Chain) {
    let dummy = names::dummy(target.vni);
    let address = target.address;
    let Some((index, _)) = kernel.link(dummy) else { return };
    let has = |event: &Event| matches!(event, Event::Address(at, ip, _) if *at == index && *ip == address);
    let local = |event: &Event| matches!(event, Event::Local(_, (table, ip)) if *table == target.vni.get() && *ip == address);
    match (kernel.events.iter().any(has), kernel.events.iter().any(local)) {
        (true, false) => chain.holds("address", format!("{address} is on {dummy}")),
        (true, true) => chain.fails(
            "address",
            format!("{address} is on {dummy}, with a local route that swallows its packets"),
            REPAIR,
        ),
        (false, _) => chain.fails("address", format!("{address} is not on {dummy}"), REPAIR),
    }
}
