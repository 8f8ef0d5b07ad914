//! The patch port to OVN and the flows on the provider bridge: from the router to the VRF, from the VRF to the router, and
//! the answers to the router's question for its next hop. Read back from the bridge, with their counters.

use super::{Chain, REPAIR, Rows, Target};
use crate::{
    cli::peers::openflow,
    config::{Config, NextHopProxy},
    planes::flows::{decode, object::FlowRule},
};

/// A flow as the bridge has it.
struct Seen {
    rule: FlowRule,
    packets: u64,
    bytes: u64,
}

impl Seen {
    fn counters(&self) -> String {
        format!("{} packets, {} bytes so far", self.packets, self.bytes)
    }
}

/// Looks at the provider bridge.
pub fn examine(config: &Config, rows: &Rows, target: &Target, chain: &mut Chain) {
    let Some(bridge) = rows.mappings.get(&target.network) else { return };
    let Some(patch) = patch_port(bridge, rows, target, chain) else { return };
    let flows = match openflow::flows(&config.mgmt_socket(bridge)) {
        Ok(flows) => flows,
        Err(error) => return chain.fails("flow", error, "is ovs-vswitchd running?"),
    };
    let seen = |stats: ofproto::FlowStats| {
        let (packets, bytes) = (stats.packets, stats.bytes);
        Seen { rule: decode::rule(stats), packets, bytes }
    };
    let flows: Vec<Seen> = flows.into_iter().map(seen).collect();
    redirect(&flows, bridge, &patch, target, chain);
    inject(&flows, bridge, &patch, target, chain);
    answers(&flows, bridge, config, target, chain);
}

/// The OpenFlow number of the patch port to OVN.
fn patch_port(bridge: &str, rows: &Rows, target: &Target, chain: &mut Chain) -> Option<String> {
    let Some(patch) = rows.patches.get(&target.localnet) else {
        let remedy = "ovn-controller makes it: is it running, with this bridge in ovn-bridge-mappings?";
        chain.fails("patch port", format!("{bridge} has no patch port for {}", target.localnet), remedy);
        return None;
    };
    let trouble = match rows.interfaces.get(patch) {
        Some(Ok(number)) => {
            chain.holds("patch port", format!("{patch} is port {number} of {bridge}"));
            return Some(number.clone());
        }
        Some(Err(error)) => format!("{patch}: {error}"),
        None => format!("{patch} has no interface"),
    };
    chain.fails("patch port", trouble, "ovs-vsctl show");
    None
}

/// From OVN's router to the VRF.
fn redirect(flows: &[Seen], bridge: &str, patch: &str, target: &Target, chain: &mut Chain) {
    let Some(subnet) = target.subnet else { return };
    let found = flows.iter().find_map(|seen| match &seen.rule {
        FlowRule::Redirect { in_port, router, subnet: of, output, .. }
            if *of == subnet && *router == target.mac =>
        {
            Some((in_port.to_string(), output, seen.counters()))
        }
        _ => None,
    });
    match found {
        Some((in_port, output, counters)) if in_port == patch => {
            chain.holds("flow", format!("{subnet} of {} goes to port {output}: {counters}", target.mac));
        }
        Some((in_port, ..)) => {
            let seen = format!("the redirect of {subnet} is for port {in_port}, the patch port is {patch}");
            chain.fails("flow", seen, REPAIR);
        }
        None => {
            chain.fails("flow", format!("{bridge} has no redirect of {subnet} of {}", target.mac), REPAIR)
        }
    }
}

/// From the VRF to OVN's router.
fn inject(flows: &[Seen], bridge: &str, patch: &str, target: &Target, chain: &mut Chain) {
    let found = flows.iter().find_map(|seen| match &seen.rule {
        FlowRule::Inject { in_port, router, output, .. } if *router == target.mac => {
            Some((in_port, output.to_string(), seen.counters()))
        }
        _ => None,
    });
    match found {
        Some((in_port, output, counters)) if output == patch => {
            chain.holds(
                "flow back",
                format!("port {in_port} to {} goes to port {output}: {counters}", target.mac),
            );
        }
        Some((_, output, _)) => {
            let seen =
                format!("what goes to {} leaves by port {output}, the patch port is {patch}", target.mac);
            chain.fails("flow back", seen, REPAIR);
        }
        None => {
            chain.fails("flow back", format!("{bridge} has no flow from the VRF to {}", target.mac), REPAIR)
        }
    }
}

/// Who answers the router when it asks for its next hop.
fn answers(flows: &[Seen], bridge: &str, config: &Config, target: &Target, chain: &mut Chain) {
    let ipv4 = target.address.is_ipv4();
    let of_family = |rule: &FlowRule| match rule {
        FlowRule::ArpReply { router, .. } => ipv4 && *router == target.mac,
        FlowRule::NdReply { router, .. } => !ipv4 && *router == target.mac,
        _ => false,
    };
    let question = if ipv4 { "ARP" } else { "ND" };
    let found: Vec<&Seen> = flows.iter().filter(|seen| of_family(&seen.rule)).collect();
    let packets: u64 = found.iter().map(|seen| seen.packets).sum();
    match (found.len(), &config.next_hop_proxy) {
        (1.., _) => {
            let seen = format!("{question} of {} is answered here: {packets} packets so far", target.mac);
            chain.holds("next hop", seen);
        }
        (0, NextHopProxy::Always) => {
            let seen = format!("nothing answers {question} of {}, and next_hop_proxy = always", target.mac);
            chain.fails("next hop", seen, REPAIR);
        }
        // `auto` stays silent where a real gateway may be, `never` everywhere, a list where it has none of this family.
        _ => chain.holds(
            "next hop",
            format!("{question} of {} is left to the real gateway on {bridge} (next_hop_proxy)", target.mac),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OfPort;

    fn target(address: &str) -> Target {
        Target { address: address.parse().unwrap(), ..Target::default() }
    }

    fn judged(look: impl FnOnce(&mut Chain)) -> (bool, String) {
        let mut chain = Chain::default();
        look(&mut chain);
        let link = chain.links.remove(0);
        (link.ok, link.seen)
    }

    fn seen(rule: FlowRule) -> Vec<Seen> {
        vec![Seen { rule, packets: 3, bytes: 294 }]
    }

    #[test]
    fn the_way_back_has_to_leave_by_the_patch_port() {
        let target = target("20.0.0.10");
        let inject_to = |output| FlowRule::Inject {
            in_port: OfPort(4),
            router: target.mac,
            vlan: None,
            output: OfPort(output),
        };
        for (flows, ok, part) in [
            (seen(inject_to(2)), true, "3 packets, 294 bytes"),
            (seen(inject_to(9)), false, "leaves by port 9"),
            (Vec::new(), false, "no flow from the VRF"),
        ] {
            let (holds, words) = judged(|chain| inject(&flows, "br.ex", "2", &target, chain));
            assert!(holds == ok && words.contains(part), "{words}");
        }
    }

    #[test]
    fn next_hop_answers_are_asked_for_by_family_and_option() {
        let arp = FlowRule::ArpReply {
            in_port: OfPort(2),
            router: Default::default(),
            target: None,
            answer: Default::default(),
        };
        let with = |proxy| Config { next_hop_proxy: proxy, ..Config::default() };
        for (address, proxy, ok, part) in [
            ("20.0.0.10", NextHopProxy::Always, true, "ARP of 00:00:00:00:00:00 is answered here: 3 packets"),
            ("2001:db8::1", NextHopProxy::Always, false, "nothing answers ND"),
            ("2001:db8::1", NextHopProxy::Auto, true, "left to the real gateway on br-ex"),
        ] {
            let flows = seen(arp.clone());
            let config = with(proxy);
            let (holds, words) = judged(|chain| answers(&flows, "br-ex", &config, &target(address), chain));
            assert!(holds == ok && words.contains(part), "{words}");
        }
    }
}
