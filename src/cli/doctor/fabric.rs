//! The way to the fabric: the VTEP address, and what a tenant's packet may weigh on it.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Findings, frr::Neighbour, ovs::Node, root::Root};
use crate::{
    cli::peers::netlink,
    config::Config,
    planes::kernel::{decode::Event, dump::Question},
};

/// What VXLAN adds (RFC 7348, section 5): Ethernet 14, VXLAN 8, UDP 8, and IPv4's 20 or IPv6's 40 bytes.
const OVERHEAD_IPV4: u32 = 50;
const OVERHEAD_IPV6: u32 = 70;

/// The MTU that tenants have where nobody says otherwise.
const USUAL_MTU: u32 = 1500;

/// The flag of a route that leads nowhere (include/uapi/linux/route.h).
const RTF_REJECT: u32 = 0x0200;

/// What /proc/net/route has in place of the device of such a route, and of a blackhole, which has no flag.
const NO_DEVICE: &str = "*";

/// Looks at the way to these neighbours.
pub fn examine(config: &Config, root: &Root, node: &Node, neighbours: &[Neighbour], findings: &mut Findings) {
    findings.about("fabric");
    let addresses = match host_addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            findings.fail(error, "is netlink allowed here?");
            return;
        }
    };
    let remedy = "set evpn_local_ip or evpn_nic, or put a host address on lo";
    let vtep = match vtep(config, node, &addresses) {
        Some((vtep, why)) if addresses.iter().any(|(_, address)| *address == vtep) => {
            findings.ok(format!("the VTEP address is {vtep} ({why})"));
            vtep
        }
        Some((vtep, why)) => {
            findings.fail(format!("the VTEP address {vtep} ({why}) is not on this host"), remedy);
            vtep
        }
        None => {
            findings.fail("there is no VTEP address", remedy);
            return;
        }
    };
    let overhead = if vtep.is_ipv4() { OVERHEAD_IPV4 } else { OVERHEAD_IPV6 };
    for neighbour in neighbours {
        mtu(root, neighbour, overhead, findings);
    }
}

type Addresses = Vec<(String, IpAddr)>;

fn host_addresses() -> Result<Addresses, String> {
    let links = netlink::ask(Question::Links)?;
    let name = |index| {
        links.iter().find_map(|event| match event {
            Event::Link(at, link) if *at == index => Some(link.name.to_string()),
            _ => None,
        })
    };
    let address = |event: &Event| match event {
        Event::Address(index, address, _) => Some((name(*index)?, *address)),
        _ => None,
    };
    Ok(netlink::ask(Question::Addresses)?.iter().filter_map(address).collect())
}

/// Searched as the agent does it, with where it was found.
fn vtep(config: &Config, node: &Node, addresses: &Addresses) -> Option<(IpAddr, &'static str)> {
    let is_usable = |address: &IpAddr| !address.is_loopback() && !address.is_multicast();
    let first = |device: &str| {
        let of_device = addresses.iter().filter(|(name, _)| name == device);
        of_device.map(|(_, address)| *address).find(is_usable)
    };
    let encap = || node.encap_ip.as_deref()?.split(',').next()?.trim().parse().ok();
    match (config.evpn_local_ip, config.evpn_nic) {
        (Some(address), _) => Some((address, "evpn_local_ip")),
        (None, Some(nic)) => first(nic.as_str()).map(|address| (address, "evpn_nic")),
        (None, None) => first("lo")
            .map(|address| (address, "on lo"))
            .or_else(|| encap().map(|address| (address, "ovn-encap-ip"))),
    }
}

fn mtu(root: &Root, neighbour: &Neighbour, overhead: u32, findings: &mut Findings) {
    let table = |path| root.text(path).unwrap_or_default();
    let device = match neighbour {
        Neighbour::At(IpAddr::V4(address)) => device_to(&table("/proc/net/route"), *address),
        Neighbour::At(IpAddr::V6(address)) => device_to_v6(&table("/proc/net/ipv6_route"), *address),
        Neighbour::On(device) => Some(device.clone()),
    };
    let Some(device) = device else {
        findings.warn(
            format!("no route in the table `main` leads to {neighbour}"),
            "is the fabric in a VRF, or down?",
        );
        return;
    };
    let mtu =
        root.text(format!("/sys/class/net/{device}/mtu")).and_then(|mtu| mtu.trim().parse::<u32>().ok());
    let Some(mtu) = mtu else {
        findings
            .warn(format!("the MTU of {device}, which leads to {neighbour}, cannot be read"), "ip link show");
        return;
    };
    let budget = mtu.saturating_sub(overhead);
    if budget >= USUAL_MTU {
        findings.ok(format!("{device} to {neighbour} has MTU {mtu}: tenants may have {budget}"));
    } else {
        findings.warn(
            format!(
                "{device} to {neighbour} has MTU {mtu}: tenants' packets over {budget} bytes do not pass"
            ),
            format!(
                "give the fabric {} or more, or the tenants' networks an MTU of {budget}",
                USUAL_MTU + overhead
            ),
        );
    }
}

/// A route that holds an address.
struct Route {
    length: u32,
    metric: u32,
    flags: u32,
    device: String,
}

/// The device of the route that the kernel takes: of the longest prefix, and among those of the lowest metric. None where that
/// one leads nowhere: then a shorter one does not count either.
fn device_of(routes: impl Iterator<Item = Route>) -> Option<String> {
    let best = routes.max_by_key(|route| (route.length, Reverse(route.metric)))?;
    (best.flags & RTF_REJECT == 0 && best.device != NO_DEVICE).then_some(best.device)
}

/// The device to this address by /proc/net/route: destination and mask are hexadecimal in network order, as this machine's
/// integers show them, flags are hexadecimal, and the metric is decimal.
fn device_to(table: &str, address: Ipv4Addr) -> Option<String> {
    let wanted = u32::from(address);
    let route = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let in_order = |at: usize| Some(u32::from_be_bytes(number(at)?.to_ne_bytes()));
        let (destination, mask) = (in_order(1)?, in_order(7)?);
        // Kernels that show it with a sign show the highest ones as negative.
        let metric = words.get(6)?.parse().unwrap_or(u32::MAX);
        let (length, flags, device) = (mask.count_ones(), number(3)?, (*words.first()?).to_owned());
        (wanted & mask == destination).then_some(Route { length, metric, flags, device })
    };
    device_of(table.lines().skip(1).filter_map(route))
}

/// The same for /proc/net/ipv6_route: destination and its length, source and its length, next hop, metric, two counters,
/// flags, device; all numbers hexadecimal.
fn device_to_v6(table: &str, address: Ipv6Addr) -> Option<String> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let destination = u128::from_str_radix(words.first()?, 16).ok()?;
        let (length, metric, flags) = (number(1)?, number(5)?, number(8)?);
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
        let device = (*words.last()?).to_owned();
        (u128::from(address) & mask == destination).then_some(Route { length, metric, flags, device })
    };
    device_of(table.lines().filter_map(route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::tests::lines;

    #[test]
    fn the_mtu_is_looked_up_for_neighbours_of_each_kind() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let to_fab = "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 \
                      00000000000000000000000000000000 00000400 00000001 00000000 00000001      fab\n";
        let lo = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                  00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
        for (path, text) in [
            ("/proc/net/ipv6_route", format!("{lo}{to_fab}")),
            ("/sys/class/net/fab/mtu", "9000\n".to_owned()),
            ("/sys/class/net/swp1/mtu", "1500\n".to_owned()),
        ] {
            std::fs::create_dir_all(root.path(path).parent().unwrap()).unwrap();
            std::fs::write(root.path(path), text).unwrap();
        }
        let at = |address: &str| Neighbour::At(address.parse().unwrap());
        for (neighbour, line) in [
            (at("2001:db8::9"), "Ok fab to 2001:db8::9 has MTU 9000: tenants may have 8930"),
            (at("fd00::9"), "Warn no route in the table `main` leads to fd00::9"),
            (at("100.65.0.9"), "Warn no route in the table `main` leads to 100.65.0.9"),
            (
                Neighbour::On("swp1".to_owned()),
                "Warn swp1 to swp1 has MTU 1500: tenants' packets over 1430 bytes",
            ),
        ] {
            let mut findings = Findings::default();
            mtu(&root, &neighbour, OVERHEAD_IPV6, &mut findings);
            let found = lines(&findings);
            assert!(found.len() == 1 && found[0].starts_with(line), "{found:?}");
        }
    }

    #[test]
    fn the_longest_prefix_leads() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     fab\t09004164\t02004064\t0007\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
        if cfg!(target_endian = "little") {
            assert_eq!(device_to(table, Ipv4Addr::new(100, 65, 0, 9)).as_deref(), Some("fab"));
            assert_eq!(device_to(table, Ipv4Addr::new(100, 65, 0, 8)).as_deref(), Some("eth0"));
        }
        assert_eq!(device_to("", Ipv4Addr::new(100, 65, 0, 8)), None);
    }

    #[test]
    fn among_equal_prefixes_the_lowest_metric_leads_and_a_reject_leads_nowhere() {
        let line = |device, destination: &str, flags: &str, metric: &str| {
            let mask = if destination == "00000000" { "00000000" } else { "FFFFFFFF" };
            format!("{device}\t{destination}\t00000000\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let table = [
            line("Iface", "Destination", "Flags", "Metric"),
            line("fab", "00000000", "0003", "20"),
            line("mgmt", "00000000", "0003", "100"),
            line("far", "00000000", "0003", "-6"),
            line("*", "01010101", "0205", "0"),
            line("*", "02020202", "0005", "0"),
            line("*", "03030303", "0205", "4294967290"),
            line("fab", "03030303", "0005", "20"),
        ]
        .concat();
        let device = |digit| device_to(&table, Ipv4Addr::from([digit; 4]));
        assert_eq!(device(9).as_deref(), Some("fab"));
        assert_eq!((device(1), device(2)), (None, None), "unreachable, and a blackhole");
        assert_eq!(device(3).as_deref(), Some("fab"), "the last resort is not needed");
    }

    #[test]
    fn a_reject_hides_a_shorter_prefix_in_ipv6_too() {
        let line = |destination: &str, length, metric, flags, device| {
            let zero = "0".repeat(32);
            format!("{destination} {length} {zero} 00 {zero} {metric} 00000001 00000000 {flags} {device}\n")
        };
        let host = "20010db8000000000000000000000009";
        let default = line(&"0".repeat(32), "00", "00000400", "00000003", "fab");
        let reject = line(host, "80", "00000400", "00200200", "lo");
        let address = u128::from_str_radix(host, 16).unwrap().into();
        assert_eq!(device_to_v6(&default, address).as_deref(), Some("fab"));
        assert_eq!(device_to_v6(&(reject + &default), address), None);
    }
}
