//! The host around the agent: its rights, and other programs that would remove what is the agent's.

use std::{fs, path::Path};

use super::Findings;
use crate::{
    agent::python,
    cli::peers::{netlink, process::Process},
    config::Config,
    intent::names,
    model::Vni,
    planes::kernel::{decode::Event, dump::Question, object::LinkKind},
};

/// The number of CAP_NET_ADMIN (include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// How the names of our devices begin (intent/names.rs); a number follows.
const DEVICES: [&str; 10] =
    ["vrf-", "br-", "vxlan-", "lo-", "veth-vrf-", "veth-ovs-", "vv-", "vo-", "vlan-", "vl-"];

/// Looks at the host.
pub fn examine(config: &Config, findings: &mut Findings) {
    findings.about("host");
    rights(config, findings);
    python_agent(findings);
    networkd(findings);
    network_manager(findings);
    rules(findings);
}

fn rights(config: &Config, findings: &mut Findings) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or_default();
    match capabilities & 1 << CAP_NET_ADMIN {
        0 => findings
            .fail("this user has no CAP_NET_ADMIN", "run this as root, or as the agent's service does"),
        _ => findings.ok("CAP_NET_ADMIN is there"),
    }
    let directory = &config.state_dir;
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => findings.ok(format!("{} is there", directory.display())),
        Ok(_) => findings.fail(format!("{} is no directory", directory.display()), "set state_dir"),
        Err(error) => findings.warn(
            format!("{}: {error}", directory.display()),
            "the agent makes it at its start, where it may; or set state_dir",
        ),
    }
}

fn python_agent(findings: &mut Findings) {
    match python::beside_us() {
        Some(seen) => findings.fail(seen, "systemctl disable --now ovn-bgp-agent"),
        None => findings.ok("no Python ovn-bgp-agent runs here"),
    }
}

fn networkd(findings: &mut Findings) {
    if Process::named("systemd-networkd").is_empty() {
        findings.ok("systemd-networkd does not run");
        return;
    }
    let mut text = read("/etc/systemd/networkd.conf");
    for directory in
        ["/usr/lib/systemd/networkd.conf.d", "/run/systemd/networkd.conf.d", "/etc/systemd/networkd.conf.d"]
    {
        text += &configuration_in(Path::new(directory), "conf");
    }
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

fn network_manager(findings: &mut Findings) {
    if Process::named("NetworkManager").is_empty() {
        findings.ok("NetworkManager does not run");
        return;
    }
    let mut text = read("/etc/NetworkManager/NetworkManager.conf");
    for directory in
        ["/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"]
    {
        text += &configuration_in(Path::new(directory), "conf");
    }
    let rules = ["/usr/lib/udev/rules.d", "/run/udev/rules.d", "/etc/udev/rules.d"];
    let rules: String =
        rules.iter().map(|directory| configuration_in(Path::new(directory), "rules")).collect();
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

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn configuration_in(directory: &Path, ending: &str) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap_or_default() + "\n").collect()
}

/// New ovs-vswitchd reads a table anew at every change of it where a rule names it (lib/route-table.c).
fn rules(findings: &mut Findings) {
    let (tables, links) = match (netlink::tables_of_rules(), netlink::ask(Question::Links)) {
        (Ok(tables), Ok(links)) => (tables, links),
        (Err(error), _) | (_, Err(error)) => return findings.warn(error, "is netlink allowed here?"),
    };
    let tenants = links.into_iter().filter_map(|event| match event {
        Event::Link(_, link) => match link.kind {
            LinkKind::Vrf { table } => {
                Vni::new(table).filter(|vni| names::vrf(*vni) == link.name).map(|vni| vni.get())
            }
            _ => None,
        },
        _ => None,
    });
    let named: Vec<String> =
        tenants.filter(|table| tables.contains(table)).map(|table| table.to_string()).collect();
    match named.is_empty() {
        true => findings.ok("no rule names a tenant's table"),
        false => findings.warn(
            format!("rules name the tables of tenants: {}", named.join(", ")),
            "ip rule del table N: the l3mdev rule leads to all of them, and ovs-vswitchd reads named tables again and again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn networkd_says_yes_unless_told_otherwise() {
        assert!(!is_off("", "ManageForeignRoutes"));
        assert!(!is_off("#ManageForeignRoutes=no\n", "ManageForeignRoutes"));
        assert!(is_off("[Network]\nManageForeignRoutes = no\n", "ManageForeignRoutes"));
        assert!(!is_off("ManageForeignRoutes=no\nManageForeignRoutes=yes\n", "ManageForeignRoutes"));
    }
}
