//! The table of options: where each stands, what it takes, and which names of other programs are passed over.

use std::{net::SocketAddr, time::Duration};

use super::{Attach, Config, Expose, LogFormat, Modes, NextHopProxy};
use crate::reconcile::MassWithdrawLimit;

/// Takes a value into the configuration, or says what is allowed.
type Set = fn(&mut Config, &str) -> Result<(), String>;

/// An option of ours.
pub(super) struct Known {
    section: &'static str,
    key: &'static str,
    pub(super) set: Set,
}

const fn option(section: &'static str, key: &'static str, set: Set) -> Known {
    Known { section, key, set }
}

const OPTIONS: &[Known] = &[
    option("DEFAULT", "debug", |c, v| boolean(v).map(|v| c.debug = v)),
    option("DEFAULT", "reconcile_interval", |c, v| interval(v).map(|v| c.reconcile_interval = v)),
    option("DEFAULT", "driver", |c, v| driver(v).map(|v| c.modes = v)),
    option("DEFAULT", "ovsdb_connection", |c, v| text(v).map(|v| c.ovsdb_connection = v)),
    option("DEFAULT", "bgp_AS", |c, v| parsed(v).map(|v| c.bgp_as = v)),
    option("DEFAULT", "bgp_router_id", |c, v| router_id(v).map(|v| c.underlay.router_id = Some(v))),
    option("DEFAULT", "bgp_nic", |c, v| parsed(v).map(|v| c.underlay.nic = v)),
    option("DEFAULT", "bgp_vrf", |c, v| parsed(v).map(|v| c.underlay.vrf = v)),
    option("DEFAULT", "bgp_vrf_table_id", |c, v| table(v).map(|v| c.underlay.table = v)),
    option("DEFAULT", "expose_tenant_networks", |c, v| boolean(v).map(|v| c.underlay.all_tenants = v)),
    option("DEFAULT", "expose_ipv6_gua_tenant_networks", |c, v| {
        boolean(v).map(|v| c.underlay.global_tenants = v)
    }),
    option("DEFAULT", "advertisement_method_tenant_networks", |c, v| {
        by_subnet(v).map(|v| c.underlay.by_subnet = v)
    }),
    option("DEFAULT", "require_snat_disabled_for_tenant_networks", |c, v| {
        boolean(v).map(|v| c.underlay.without_snat = v)
    }),
    option("DEFAULT", "address_scopes", |c, v| {
        c.underlay.scopes = scopes(v);
        Ok(())
    }),
    option("DEFAULT", "evpn_local_ip", |c, v| address(v).map(|v| c.evpn_local_ip = Some(v))),
    option("DEFAULT", "evpn_nic", |c, v| parsed(v).map(|v| c.evpn_nic = Some(v))),
    option("DEFAULT", "evpn_udp_dstport", |c, v| port(v).map(|v| c.evpn_udp_dstport = v)),
    option("DEFAULT", "ovn_sb_connection", |c, v| text(v).map(|v| c.sb_connection = Some(v))),
    option("DEFAULT", "ovn_sb_private_key", |c, v| text(v).map(|v| c.tls.private_key = v.into())),
    option("DEFAULT", "ovn_sb_certificate", |c, v| text(v).map(|v| c.tls.certificate = v.into())),
    option("DEFAULT", "ovn_sb_ca_cert", |c, v| text(v).map(|v| c.tls.ca_cert = v.into())),
    option("DEFAULT", "ovn_nb_connection", |c, v| text(v).map(|v| c.nb_connection = v)),
    option("DEFAULT", "ovn_nb_private_key", |c, v| text(v).map(|v| c.nb_tls.private_key = v.into())),
    option("DEFAULT", "ovn_nb_certificate", |c, v| text(v).map(|v| c.nb_tls.certificate = v.into())),
    option("DEFAULT", "ovn_nb_ca_cert", |c, v| text(v).map(|v| c.nb_tls.ca_cert = v.into())),
    option("ovn", "ovn_nb_connection", |c, v| text(v).map(|v| c.nb_connection = v)),
    option("ovn", "ovn_nb_private_key", |c, v| text(v).map(|v| c.nb_tls.private_key = v.into())),
    option("ovn", "ovn_nb_certificate", |c, v| text(v).map(|v| c.nb_tls.certificate = v.into())),
    option("ovn", "ovn_nb_ca_cert", |c, v| text(v).map(|v| c.nb_tls.ca_cert = v.into())),
    option("ovn", "ovn_sb_connection", |c, v| text(v).map(|v| c.sb_connection = Some(v))),
    option("ovn", "ovn_sb_private_key", |c, v| text(v).map(|v| c.tls.private_key = v.into())),
    option("ovn", "ovn_sb_certificate", |c, v| text(v).map(|v| c.tls.certificate = v.into())),
    option("ovn", "ovn_sb_ca_cert", |c, v| text(v).map(|v| c.tls.ca_cert = v.into())),
    option("bgp_agent", "attach", |c, v| attach(v).map(|v| c.attach = v)),
    option("bgp_agent", "expose", |c, v| expose(v).map(|v| c.expose = v)),
    option("bgp_agent", "attributes_in_place", |c, v| boolean(v).map(|v| c.attributes_in_place = v)),
    option("bgp_agent", "mtu", |c, v| mtu(v).map(|v| c.mtu = v)),
    option("bgp_agent", "next_hop_proxy", |c, v| next_hop_proxy(v).map(|v| c.next_hop_proxy = v)),
    option("bgp_agent", "max_prefixes_per_vni", |c, v| limit(v).map(|v| c.limits.per_vni = v)),
    option("bgp_agent", "max_prefixes", |c, v| limit(v).map(|v| c.limits.per_node = v)),
    option("bgp_agent", "mass_withdraw_limit", |c, v| withdraw_limit(v).map(|v| c.mass_withdraw.limit = v)),
    option("bgp_agent", "mass_withdraw_hold", |c, v| hold(v).map(|v| c.mass_withdraw.hold = v)),
    option("bgp_agent", "rt_tables", |c, v| text(v).map(|v| c.underlay.rt_tables = v.into())),
    option("bgp_agent", "frr_socket_dir", |c, v| text(v).map(|v| c.frr_socket_dir = v.into())),
    option("bgp_agent", "ovs_rundir", |c, v| text(v).map(|v| c.ovs_rundir = v.into())),
    option("bgp_agent", "state_dir", |c, v| text(v).map(|v| c.state_dir = v.into())),
    option("bgp_agent", "control_socket", |c, v| text(v).map(|v| c.control_socket = v.into())),
    option("bgp_agent", "metrics_listen", |c, v| listen(v).map(|v| c.metrics_listen = v)),
    option("bgp_agent", "log_format", |c, v| log_format(v).map(|v| c.log_format = v)),
];

/// Options of the Python agent (ovn_bgp_agent/config.py) and of oslo.log that have no meaning here.
const ELSEWHERE: &[&str] = &[
    "anycast_evpn_gateway_mode",
    "clear_vrf_routes_on_startup",
    "default_log_levels",
    "delete_vrf_on_disconnect",
    "evpn_bridge",
    "evpn_bridge_veth",
    "evpn_vlan_devices",
    "exposing_method",
    "frr_reconcile_interval",
    "log_config_append",
    "log_date_format",
    "log_dir",
    "log_file",
    "log_options",
    "log_rotation_type",
    "logging_context_format_string",
    "logging_debug_format_suffix",
    "logging_default_format_string",
    "logging_exception_prefix",
    "max_logfile_count",
    "max_logfile_size_mb",
    "ovsdb_connection_timeout",
    "provider_networks_pool_prefixes",
    "publish_errors",
    "rate_limit_burst",
    "rate_limit_except_level",
    "rate_limit_interval",
    "syslog_log_facility",
    "use_journal",
    "use_json",
    "use_stderr",
    "use_syslog",
    "verbose",
    "watch_log_file",
];

/// Sections that belong to the Python agent's libraries as a whole.
const ELSEWHERE_SECTIONS: &[&str] =
    &["AGENT", "agent", "local_ovn_cluster", "oslo_concurrency", "oslo_reports", "ovs", "privsep"];

/// The option of this name, if it is one of ours.
pub(super) fn find(section: &str, key: &str) -> Option<&'static Known> {
    OPTIONS.iter().find(|known| known.section == section && known.key == key)
}

/// Whether the Python agent or its libraries know this option.
pub(super) fn known_elsewhere(section: &str, key: &str) -> bool {
    ELSEWHERE_SECTIONS.contains(&section)
        || (section == "DEFAULT" && ELSEWHERE.contains(&key))
        || (section == "ovn" && key == "ovsdb_connection_timeout")
}

/// The known name of this section that is nearest, if it is near enough to be meant.
pub(super) fn nearest(section: &str, key: &str) -> Option<&'static str> {
    let near = |known: &'static Known| (distance(known.key, key), known.key);
    let (far, name) = OPTIONS.iter().filter(|known| known.section == section).map(near).min()?;
    (far <= 1 + key.len() / 4).then_some(name)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("allowed are true or false".to_owned()),
    }
}

fn interval(value: &str) -> Result<Duration, String> {
    match value.parse::<u32>() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds.into())),
        _ => Err("allowed is a number of seconds, at least 1".to_owned()),
    }
}

/// IPv6 wants 1280 at least (RFC 8200, 5); the kernel's devices take 65535 at most.
fn mtu(value: &str) -> Result<u32, String> {
    let in_range = value.parse().ok().filter(|mtu| (1280..=65535).contains(mtu));
    in_range.ok_or_else(|| "allowed is a number of bytes, 1280 to 65535".to_owned())
}

fn limit(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(0) => Ok(usize::MAX),
        Ok(number) => Ok(number),
        Err(_) => Err("allowed is a number of addresses; 0 is no limit".to_owned()),
    }
}

fn withdraw_limit(value: &str) -> Result<MassWithdrawLimit, String> {
    let limit = match value.strip_suffix('%') {
        Some(percent) => {
            percent.parse().ok().filter(|percent| *percent <= 100).map(MassWithdrawLimit::Percent)
        }
        None => value.parse().ok().map(MassWithdrawLimit::Prefixes),
    };
    limit.ok_or_else(|| {
        "allowed are a percentage of the advertised prefixes (50%), which counts from 100 prefixes on, or a number of prefixes"
            .to_owned()
    })
}

fn hold(value: &str) -> Result<Option<Duration>, String> {
    match value.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
        Err(_) => Err("allowed is a number of seconds; 0 holds until `bgp-agent release`".to_owned()),
    }
}

fn driver(value: &str) -> Result<Modes, String> {
    let mut modes = Modes { evpn: false, underlay: false };
    for name in value.split(',') {
        match name.trim() {
            "osp_ovn_evpn_driver" | "ovn_evpn_driver" => modes.evpn = true,
            "osp_ovn_bgp_driver" | "ovn_bgp_driver" => modes.underlay = true,
            _ => {
                return Err("supported are ovn_evpn_driver and ovn_bgp_driver, also by their older names osp_ovn_evpn_driver and \
                            osp_ovn_bgp_driver, or both with a comma between them"
                    .to_owned());
            }
        }
    }
    Ok(modes)
}

fn by_subnet(value: &str) -> Result<bool, String> {
    match value {
        "host" => Ok(false),
        "subnet" => Ok(true),
        _ => Err("allowed are host or subnet".to_owned()),
    }
}

/// The kernel's own tables are 253 to 255, and 0 is none (include/uapi/linux/rtnetlink.h).
fn table(value: &str) -> Result<u32, String> {
    let free = value.parse().ok().filter(|table| *table != 0 && !(253..=255).contains(table));
    free.ok_or_else(|| "allowed is the number of a routing table, but for 0 and 253 to 255".to_owned())
}

fn scopes(value: &str) -> std::collections::BTreeSet<Box<str>> {
    value.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(Into::into).collect()
}

fn router_id(value: &str) -> Result<std::net::Ipv4Addr, String> {
    value.parse().map_err(|_| "allowed is a router id, A.B.C.D".to_owned())
}

fn attach(value: &str) -> Result<Attach, String> {
    match value {
        "veth" => Ok(Attach::Veth),
        "vrf" => Ok(Attach::Vrf),
        _ => Err("allowed are veth or vrf".to_owned()),
    }
}

fn expose(value: &str) -> Result<Expose, String> {
    match value {
        "dummy" => Ok(Expose::Dummy),
        "routes" => Ok(Expose::Routes),
        _ => Err("allowed are dummy or routes".to_owned()),
    }
}

fn listen(value: &str) -> Result<Option<SocketAddr>, String> {
    match value {
        "none" => Ok(None),
        address => match address.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err("allowed are ADDRESS:PORT, [IPV6]:PORT or none".to_owned()),
        },
    }
}

fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("allowed are text or json".to_owned()),
    }
}

fn next_hop_proxy(value: &str) -> Result<NextHopProxy, String> {
    match value {
        "auto" => Ok(NextHopProxy::Auto),
        "always" => Ok(NextHopProxy::Always),
        "never" => Ok(NextHopProxy::Never),
        list => match list.split(',').map(|item| item.trim().parse()).collect() {
            Ok(addresses) => Ok(NextHopProxy::Only(addresses)),
            Err(_) => {
                Err("allowed are auto, always, never, or IP addresses with commas between them".to_owned())
            }
        },
    }
}

fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("a value is missing".to_owned()) } else { Ok(value.to_owned()) }
}

fn parsed<T: std::str::FromStr<Err = crate::model::ParseError>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error: crate::model::ParseError| error.to_string())
}

fn address(value: &str) -> Result<std::net::IpAddr, String> {
    value.parse().map_err(|_| "allowed is an IP address".to_owned())
}

fn port(value: &str) -> Result<u16, String> {
    value.parse().ok().filter(|port| *port != 0).ok_or_else(|| "allowed is a UDP port, 1 to 65535".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::oslo;

    const SHIPPED: &str = include_str!("../../packaging/bgp-agent.conf");
    const README: &str = include_str!("../../README.md");

    /// The older places of [DEFAULT] are read, but not shown.
    fn shown() -> impl Iterator<Item = &'static Known> {
        OPTIONS.iter().filter(|known| known.section != "DEFAULT" || !known.key.starts_with("ovn_"))
    }

    #[test]
    fn the_shipped_configuration_shows_every_option_with_its_default() {
        let uncommented = SHIPPED.replace("\n#", "\n").replace("\n ", "\n# ");
        let entries = oslo::parse("bgp-agent.conf", &uncommented).unwrap();
        let mut config = Config::default();
        for entry in &entries {
            let known =
                find(&entry.section, &entry.key).unwrap_or_else(|| panic!("{} is no option", entry.key));
            (known.set)(&mut config, &entry.value).unwrap_or_else(|why| panic!("{}: {why}", entry.key));
        }
        for known in shown() {
            let has_it = |entry: &oslo::Entry| entry.section == known.section && entry.key == known.key;
            assert!(entries.iter().any(has_it), "[{}] {} is not shown", known.section, known.key);
        }
        // Those without a default have an example.
        let (evpn_local_ip, evpn_nic, sb_connection) = (None, None, None);
        (config.underlay.router_id, config.underlay.scopes) = Default::default();
        assert_eq!(Config { evpn_local_ip, evpn_nic, sb_connection, ..config }, Config::default());
    }

    #[test]
    fn the_readme_names_every_option() {
        for known in shown() {
            assert!(README.contains(known.key), "README.md does not name {}", known.key);
        }
    }
}
