//! What the BGP mode needs of a node beyond its modules: provider bridges that are up, and a routing table for each.

use super::Findings;
use crate::{
    cli::peers::netlink,
    config::Config,
    model::IfName,
    planes::kernel::{decode::Event, dump::Question},
};

/// Looks at the provider bridges.
pub fn examine(config: &Config, bridges: &[IfName], findings: &mut Findings) {
    findings.about("underlay");
    let links = match netlink::ask(Question::Links) {
        Ok(links) => links,
        Err(error) => return findings.fail(error, "is netlink allowed here?"),
    };
    let is_up = |bridge: &IfName| {
        links.iter().find_map(|event| match event {
            Event::Link(_, link) if link.name == *bridge => Some(link.up),
            _ => None,
        })
    };
    for bridge in bridges {
        let table = config.underlay.table_of(*bridge);
        match is_up(bridge) {
            Some(true) => findings.ok(format!("{bridge} is up; its routing table is {table}")),
            Some(false) => findings.fail(
                format!("{bridge} is down: the kernel takes no route by it"),
                format!("ip link set {bridge} up, and the same at each boot"),
            ),
            None => findings.fail(
                format!("{bridge} has no device in the kernel"),
                "is ovs-vswitchd running? ovs-vsctl show",
            ),
        }
    }
}
