//! The host around the agent: other programs that would remove what is the agent's, and rules that name tenants' tables.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, root::Root};
use crate::{
    agent::python,
    cli::peers::{netlink, process::Process},
    intent::{names, reserved},
    model::{IfName, Vni},
    planes::kernel::{
        decode::Event,
        dump::{Question, Which},
        object::LinkKind,
        uapi::{AF_INET, AF_INET6},
    },
};

/// How the names of our devices begin (intent/names.rs); a number follows.
const DEVICES: [&str; 10] =
    ["vrf-", "br-", "vxlan-", "lo-", "veth-vrf-", "veth-ovs-", "vv-", "vo-", "vlan-", "vl-"];

/// The routing protocol of what ovn-controller writes for routers with `dynamic-routing` (RTPROT_OVN in
/// controller/route-exchange-netlink.h, OVN 25.03).
const ROUTES_OF_OVN: u8 = 84;

/// Looks at the host.
pub fn examine(root: &Root, findings: &mut Findings) {
    findings.about("host");
    python_agent(findings);
    networkd(root, findings);
    network_manager(root, findings);
    match vrfs() {
        Ok(vrfs) => {
            one_table_each(&vrfs, findings);
            let tenants = tenants(&vrfs);
            rules(&tenants, findings);
            ovn_routes(&tenants, findings);
        }
        Err(error) => findings.warn(error, "is netlink allowed here?"),
    }
}

fn python_agent(findings: &mut Findings) {
    match python::beside_us() {
        Some(seen) => findings.fail(seen, "systemctl disable --now ovn-bgp-agent"),
        None => findings.ok("no Python ovn-bgp-agent runs here"),
    }
}

fn networkd(root: &Root, findings: &mut Findings) {
    if Process::named(&root.path("/proc"), "systemd-networkd").is_empty() {
        findings.ok("systemd-networkd does not run");
        return;
    }
    let directories =
        ["/usr/lib/systemd/networkd.conf.d", "/run/systemd/networkd.conf.d", "/etc/systemd/networkd.conf.d"];
    let text = root.text("/etc/systemd/networkd.conf").unwrap_or_default() + "\n";
    let text = text + &root.texts_in(&directories, "conf");
    for option in ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"] {
        match is_off(&text, option) {
            true => findings.ok(format!("systemd-networkd has {option}=no")),
            false => findings.fail(
                format!(
                    "systemd-networkd has {option}=yes: it removes what it did not make when a link comes up"
                ),
                format!(
                    "[Network] {option}=no in /etc/systemd/networkd.conf.d/bgp-agent.conf, then restart it"
                ),
            ),
        }
    }
}

/// The last line that sets it says no; systemd's default is yes.
fn is_off(text: &str, option: &str) -> bool {
    let set = text.lines().filter_map(|line| line.trim().split_once('='));
    let mut values = set.filter(|(key, _)| key.trim() == option).map(|(_, value)| value.trim());
    values.next_back().is_some_and(|value| matches!(value, "no" | "false" | "off" | "0"))
}

fn network_manager(root: &Root, findings: &mut Findings) {
    if Process::named(&root.path("/proc"), "NetworkManager").is_empty() {
        findings.ok("NetworkManager does not run");
        return;
    }
    let directories =
        ["/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"];
    let text = root.text("/etc/NetworkManager/NetworkManager.conf").unwrap_or_default() + "\n";
    let text = text + &root.texts_in(&directories, "conf");
    let rules = ["/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/run/udev/rules.d", "/etc/udev/rules.d"];
    let rules = root.texts_in(&rules, "rules");
    let open = in_its_care(&text, &rules);
    match open.is_empty() {
        true => findings.ok("NetworkManager leaves the agent's devices alone"),
        false => findings.warn(
            format!("NetworkManager may take the agent's devices into its care: {}", open.join(", ")),
            "install packaging/udev-bgp-agent.rules as /etc/udev/rules.d/84-bgp-agent.rules, then udevadm control --reload",
        ),
    }
}

/// The beginnings of the names of our devices that nothing takes out of NetworkManager's care: no rule of udev's, and no
/// `unmanaged-devices` of an operator's.
fn in_its_care(configuration: &str, rules: &str) -> Vec<&'static str> {
    let named_by_rule = |prefix: &str| {
        let says_so = |line: &&str| !line.starts_with('#') && line.contains("NM_UNMANAGED}=\"1\"");
        let mut names = rules.lines().map(str::trim).filter(says_so).flat_map(|line| line.split(['"', '|']));
        names.any(|name| [format!("{prefix}[0-9]*"), format!("{prefix}*")].iter().any(|glob| glob == name))
    };
    let unmanaged = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        (key.trim_end_matches('+').trim() == "unmanaged-devices").then(|| value.to_owned())
    };
    let named: Vec<String> = configuration.lines().filter_map(unmanaged).collect();
    let named_by_operator = |prefix: &str| {
        let mut devices = named.iter().flat_map(|value| value.split([';', ',']));
        devices.any(|device| device.trim() == format!("interface-name:{prefix}*"))
    };
    DEVICES.into_iter().filter(|prefix| !named_by_rule(prefix) && !named_by_operator(prefix)).collect()
}

/// Every VRF's name with its routing table.
fn vrfs() -> Result<Vec<(IfName, u32)>, String> {
    let links = netlink::ask(Question::Links)?.into_iter();
    let vrf = |event| match event {
        Event::Link(_, link) => match link.kind {
            LinkKind::Vrf { table } => Some((link.name, table)),
            _ => None,
        },
        _ => None,
    };
    Ok(links.filter_map(vrf).collect())
}

/// The tables of those that have a tenant's name and number.
fn tenants(vrfs: &[(IfName, u32)]) -> BTreeSet<u32> {
    let is_tenant = |name, table| Vni::new(table).is_some_and(|vni| names::vrf(vni) == name);
    vrfs.iter().filter(|(name, table)| is_tenant(*name, *table)).map(|(_, table)| *table).collect()
}

/// Two VRFs with one table: zebra ends itself when it sees that, and again when it is started ("table id overlaps existing
/// vrf", zebra/if_netlink.c of FRR 8.4, zebra/interface.c of 10.3).
fn one_table_each(vrfs: &[(IfName, u32)], findings: &mut Findings) {
    let mut by_table: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (name, table) in vrfs {
        by_table.entry(*table).or_default().push(name.as_str());
    }
    by_table.retain(|_, names| names.len() > 1);
    if by_table.is_empty() {
        findings.ok("no two VRFs have one routing table");
    }
    for (table, names) in by_table {
        findings.fail(
            format!("{} have the same routing table {table}: zebra ends when it sees that", names.join(" and ")),
            "remove the one that is not needed; where OVN makes it, give its router another dynamic-routing-vrf-id",
        );
    }
}

fn rules(tenants: &BTreeSet<u32>, findings: &mut Findings) {
    match netlink::tables_of_rules() {
        Ok(tables) => judge_rules(&tables.into_iter().collect(), tenants, findings),
        Err(error) => findings.warn(error, "is netlink allowed here?"),
    }
}

/// New ovs-vswitchd reads a table anew at every change of it where a rule names it (lib/route-table.c). And where a rule
/// names a table that no tenant has yet, a tenant with that VNI would get it.
fn judge_rules(tables: &BTreeSet<u32>, tenants: &BTreeSet<u32>, findings: &mut Findings) {
    let list = |tables: Vec<u32>| tables.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let named: Vec<u32> = tables.intersection(tenants).copied().collect();
    match named.is_empty() {
        true => findings.ok("no rule names a tenant's table"),
        false => findings.warn(
            format!("rules name the tables of tenants: {}", list(named)),
            "ip rule del table N: the l3mdev rule leads to all of them, and ovs-vswitchd reads named tables again and again",
        ),
    }
    let could_be = |table: &&u32| Vni::new(**table).is_some_and(|vni| reserved(vni).is_none());
    let taken: Vec<u32> = tables.difference(tenants).filter(could_be).copied().collect();
    if !taken.is_empty() {
        findings.warn(
            format!("rules name the tables {}, which tenants with these VNIs would get", list(taken)),
            "leave these VNIs out of Neutron's range for BGPVPNs, or move the rules to tables from 16777216 on",
        );
    }
}

/// OVN's tables have numbers of routers, from 1 on, or of its own configuration: they may be a tenant's.
fn ovn_routes(tenants: &BTreeSet<u32>, findings: &mut Findings) {
    let mut shared = Vec::new();
    for &table in tenants {
        match routes_of_ovn(table) {
            Ok(0) => {}
            Ok(count) => shared.push(format!("{count} in table {table}")),
            Err(error) => return findings.warn(error, "is netlink allowed here?"),
        }
    }
    match shared.is_empty() {
        true => findings.ok("OVN keeps no routes of its own in a tenant's table"),
        false => findings.warn(
            format!(
                "OVN keeps routes of its own in tenants' tables, which are left alone: {}",
                shared.join(", ")
            ),
            "give the router with options:dynamic-routing another dynamic-routing-vrf-id; its routes lead tenants' packets away",
        ),
    }
}

fn routes_of_ovn(table: u32) -> Result<usize, String> {
    let mut count = 0;
    for family in [AF_INET, AF_INET6] {
        let routes = netlink::ask(Question::Routes { family, table: Some(table), which: Which::Any })?;
        count += routes.iter().filter(|event| matches!(event, Event::Route(.., ROUTES_OF_OVN))).count();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cli::doctor::tests::lines;

    /// What is found on a host on which these programs run, with these files.
    fn found(programs: &[&str], files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let processes = programs.iter().enumerate().map(|(pid, name)| (format!("/proc/{pid}/comm"), *name));
        for (path, text) in processes.chain(files.iter().map(|(path, text)| ((*path).to_owned(), *text))) {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut findings = Findings::default();
        networkd(&root, &mut findings);
        network_manager(&root, &mut findings);
        lines(&findings)
    }

    #[test]
    fn networkd_and_network_manager_are_judged_by_what_they_read_where_they_run() {
        assert_eq!(found(&[], &[]), ["Ok systemd-networkd does not run", "Ok NetworkManager does not run"]);
        // `comm` holds 15 bytes of a name.
        let both = ["systemd-network", "NetworkManager"];
        let levels = |found: Vec<String>| {
            let level = |line: &String| line.split(' ').next().map(str::to_owned);
            found.iter().filter_map(level).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(levels(found(&both, &[])), "Fail Fail Warn");
        let rules = include_str!("../../../packaging/udev-bgp-agent.rules");
        let ours = [
            (
                "/usr/lib/systemd/networkd.conf.d/90-bgp-agent.conf",
                include_str!("../../../packaging/networkd-bgp-agent.conf"),
            ),
            ("/usr/lib/udev/rules.d/84-bgp-agent.rules", rules),
        ];
        assert_eq!(levels(found(&both, &ours)), "Ok Ok Ok");
        let overruled = [
            ours[0],
            ours[1],
            ("/etc/systemd/networkd.conf.d/99-own.conf", "[Network]\nManageForeignRoutes=yes\n"),
        ];
        assert_eq!(levels(found(&both, &overruled)), "Fail Ok Ok");
    }

    #[test]
    fn rules_are_judged_for_the_tenants_that_are_and_those_to_come() {
        let judged = |tables: &[u32], tenants: &[u32]| {
            let mut findings = Findings::default();
            let set = |numbers: &[u32]| numbers.iter().copied().collect();
            judge_rules(&set(tables), &set(tenants), &mut findings);
            lines(&findings)
        };
        // The kernel's own tables can be no tenant's.
        assert_eq!(judged(&[253, 254, 255, 1 << 24], &[1001]), ["Ok no rule names a tenant's table"]);
        let found = judged(&[100, 254, 1001], &[1001]);
        assert_eq!(found[0], "Warn rules name the tables of tenants: 1001");
        assert!(found[1].starts_with("Warn rules name the tables 100, which"), "{found:?}");
    }

    #[test]
    fn the_packages_rules_take_our_devices_out_of_network_managers_care_and_no_others() {
        let rules = include_str!("../../../packaging/udev-bgp-agent.rules");
        assert_eq!(in_its_care("", rules), [""; 0]);
        let names =
            rules.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(['"', '|']));
        for glob in names.filter(|name| name.contains('*')) {
            assert!(glob.ends_with("-[0-9]*"), "{glob} takes an operator's own, too");
        }
        let commented = rules.replace("ACTION", "#ACTION");
        assert_eq!(in_its_care("", &commented), DEVICES);
        assert_eq!(in_its_care("#unmanaged-devices=interface-name:vrf-*\n", "").len(), DEVICES.len());
        // An operator's own configuration counts; a range in it does not, NetworkManager knows none.
        let own = "[keyfile]\nunmanaged-devices += interface-name:vrf-*;interface-name:br-[0-9]*\n";
        assert_eq!(in_its_care(own, ""), DEVICES[1..]);
    }

    #[test]
    fn vrfs_that_share_a_table_are_named() {
        let vrf = |name: &str, table| (name.parse().unwrap(), table);
        let mut findings = Findings::default();
        let vrfs = [vrf("vrf-1001", 1001), vrf("ovnvrf7", 7), vrf("ovnvrf1001", 1001), vrf("vrf-1002", 7)];
        assert_eq!(tenants(&vrfs), BTreeSet::from([1001]));
        one_table_each(&vrfs, &mut findings);
        let seen: Vec<_> = findings.all.iter().map(|finding| finding.seen.as_str()).collect();
        let said = "vrf-1001 and ovnvrf1001 have the same routing table 1001: zebra ends when it sees that";
        assert!(seen.len() == 2 && seen.contains(&said), "{seen:?}");
        one_table_each(&vrfs[..2], &mut findings);
        assert_eq!(findings.all[2].level, crate::cli::doctor::Level::Ok);
    }

    #[test]
    fn networkd_says_yes_unless_told_otherwise() {
        assert!(!is_off("", "ManageForeignRoutes"));
        assert!(!is_off("#ManageForeignRoutes=no\n", "ManageForeignRoutes"));
        assert!(is_off("[Network]\nManageForeignRoutes = no\n", "ManageForeignRoutes"));
        assert!(!is_off("ManageForeignRoutes=no\nManageForeignRoutes=yes\n", "ManageForeignRoutes"));
    }
}
