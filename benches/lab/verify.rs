//! What must be there in the end, from the cloud alone, and what is: kernel, flows, FRR and the leaf, to the last prefix.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use bgp_agent::planes::kernel::object::{EXPOSING_METRIC, ROUTE_PROTOCOL};

use crate::{
    common::cloud::{Cloud, Family, On, gateway4, gateway6},
    peers::{BGPD, LEAF, told},
};

/// All prefixes with so many VMs of each tenant, sorted.
pub fn prefixes(cloud: Cloud, vms: u32) -> Vec<String> {
    let (v4, v6) = (cloud.family != Family::V6, cloud.family != Family::V4);
    let has_gateways = cloud.on == On::Tenants;
    let mut all = Vec::new();
    for tenant in 0..cloud.tenants {
        if v4 {
            all.extend(has_gateways.then(|| format!("{}/32", gateway4(tenant))));
            all.extend((0..vms).map(|vm| format!("{}/32", cloud.vm4(tenant, vm))));
        }
        if v6 {
            all.extend(has_gateways.then(|| format!("{}/128", gateway6(tenant))));
            all.extend((0..vms).map(|vm| format!("{}/128", cloud.vm6(tenant, vm))));
        }
    }
    all.sort();
    all
}

/// Flows of ours on br-ex, by the families. Tenants': redirects of subnet and gateway, ARP and ND answers, inject, guard,
/// stray. Plain routes': a question about each address that is let pass, the answers to others, what leaves and what passes.
fn flows(cloud: Cloud) -> usize {
    if cloud.on == On::Provider {
        return (cloud.all_vms() * cloud.family.addresses()) as usize + 7;
    }
    let v4 = if cloud.family == Family::V6 { 0 } else { 3 };
    let v6 = if cloud.family == Family::V4 { 0 } else { 2 };
    (v4 + v6 + 5) * cloud.tenants as usize
}

fn output(line: &str) -> String {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    let output = command.args(words).stdin(Stdio::null()).output().expect("the lab has all programs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Host addresses on the dummies, and the routes that expose others, sorted.
fn in_kernel() -> Vec<String> {
    let text = output("ip -o address show");
    let exposing = format!(" metric {EXPOSING_METRIC} ");
    let exposed = |words: &str, length| {
        let routes = output(&format!("{words} route show table all proto {ROUTE_PROTOCOL}"));
        let hosts = routes.lines().filter(|line| format!("{line} ").contains(&exposing));
        let host = |line: &str| format!("{}/{length}", line.split(' ').next().unwrap_or_default());
        hosts.map(host).collect::<Vec<_>>()
    };
    let dummy = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, device, _, address, ..] = words[..] else { return None };
        (device.starts_with("lo-") || device == "bgp-nic").then(|| address.to_owned())
    };
    let addresses = text.lines().filter_map(dummy);
    let mut found: Vec<String> = addresses.chain(exposed("ip -4", 32)).chain(exposed("ip -6", 128)).collect();
    found.sort();
    found
}

/// Compares everything with what must be there; says each difference, and gives whether there is none.
pub fn verify(cloud: Cloud, vms: u32) -> bool {
    let wished = prefixes(cloud, vms);
    let seen =
        [("kernel", in_kernel()), ("this node's bgpd", told(cloud, BGPD)), ("leaf", told(cloud, LEAF))];
    let mut good = true;
    for (place, seen) in seen {
        let (wish, see): (BTreeSet<_>, BTreeSet<_>) = (wished.iter().collect(), seen.iter().collect());
        let missing: Vec<_> = wish.difference(&see).take(3).collect();
        let more: Vec<_> = see.difference(&wish).take(3).collect();
        let all = (wish.difference(&see).count(), see.difference(&wish).count());
        if all != (0, 0) || seen.len() != wished.len() {
            println!(
                "FAILED: {place}: {} prefixes of {}: {} missing {missing:?}, {} too many {more:?}",
                seen.len(),
                wished.len(),
                all.0,
                all.1
            );
            good = false;
        }
    }
    let cookie = if cloud.on == On::Provider { "cookie=0x3e7" } else { "cookie=0x3e6" };
    let dump = output(&format!("ovs-ofctl -O OpenFlow13 --no-stats dump-flows br-ex {cookie}/-1"));
    let there = dump.lines().filter(|line| line.contains(cookie)).count();
    if there != flows(cloud) {
        println!("FAILED: {there} flows, not {}", flows(cloud));
        good = false;
    }
    // Routes, neighbours, ports and FRR's lines: what an agent that began anew would change.
    let plan = Command::new("/run/work/bgp-agent")
        .args(["--config-file", "/run/lab/agent.conf", "plan", "--timeout", "600"])
        .output();
    let plan = plan.expect("the agent");
    if !plan.status.success() {
        let _ = fs::write("/run/work/plan", &plan.stdout);
        println!("FAILED: the agent's own plan is not empty: {}", plan.status);
        good = false;
    }
    if good {
        println!(
            "        exact: {} prefixes in kernel, bgpd and at the leaf, {there} flows, nothing planned",
            wished.len()
        );
    }
    good
}
