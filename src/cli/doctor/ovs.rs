//! Open vSwitch and OVN's settings in its database: what ovn-controller needs, what the agent needs, and how
//! ovs-vswitchd runs.

use std::{collections::BTreeMap, os::unix::net::UnixStream};

use super::Findings;
use crate::{
    cli::peers::{
        database::{Database, Row, entry, strings, text},
        process::Process,
    },
    config::Config,
    ovsdb::{Remotes, TlsOptions},
};

/// What the other checks want to know of OVS.
#[derive(Debug, Default)]
pub struct Node {
    /// The first of `ovn-encap-ip`.
    pub encap_ip: Option<String>,
}

/// The age of the machine under which OVS 3.1's lib/ovs-thread.c (`count_cpu_cores`) takes it to have no CPU: it counts
/// anew when `time_msec()` is 10 s past its last count, which begins at 0.
const OVS_COUNTS_CPUS_AFTER: f64 = 10.0;

/// Looks at OVS.
pub fn examine(config: &Config, findings: &mut Findings) -> Node {
    findings.about("ovs");
    vswitchd(findings);
    let mut node = Node::default();
    let opened = config.ovsdb_connection.parse().map_err(|error| format!("{error}"));
    let opened = opened.and_then(|remotes: Remotes| Database::open(&remotes, None));
    let mut database = match opened {
        Ok(database) => database,
        Err(error) => {
            let remedy = "start openvswitch-switch, run this as root, or set ovsdb_connection";
            findings.fail(format!("its database does not answer: {error}"), remedy);
            return node;
        }
    };
    let mut rows = |table, columns: &[&str]| database.select("Open_vSwitch", table, columns);
    let (switch, bridges) = match (
        rows("Open_vSwitch", &["external_ids", "ovs_version"]),
        rows("Bridge", &["name", "datapath_type", "protocols"]),
    ) {
        (Ok(switch), Ok(bridges)) => (switch.into_iter().next().unwrap_or_default(), bridges),
        (Err(error), _) | (_, Err(error)) => {
            findings.fail(
                format!("its database cannot be read: {error}"),
                "is ovsdb_connection an Open_vSwitch's?",
            );
            return node;
        }
    };
    if let Some(version) = text(&switch, "ovs_version") {
        findings.ok(format!("Open vSwitch {version}"));
    }
    findings.about("ovn");
    keys(&switch, findings);
    southbound(config, &switch, findings);
    node.encap_ip = entry(&switch, "external_ids", "ovn-encap-ip");
    mapped_bridges(config, &switch, &bridges, findings);
    node
}

/// How ovs-vswitchd runs; it may be in a container, where it is not seen.
fn vswitchd(findings: &mut Findings) {
    let running = Process::named("ovs-vswitchd");
    let Some(process) = running.first() else {
        findings.warn(
            "no process ovs-vswitchd is seen here",
            "start openvswitch-switch, unless it runs in a container",
        );
        return;
    };
    let started = process.started().unwrap_or(f64::MAX);
    match process.threads("handler") {
        0 if started < OVS_COUNTS_CPUS_AFTER => findings.fail(
            format!("ovs-vswitchd was started {started:.0} s after the boot and has no upcall handlers: the kernel's \
                     datapath loses every first packet"),
            "systemctl restart openvswitch-switch; OVS up to 3.1 started within 10 s of the boot counts no CPU",
        ),
        0 => findings.warn(
            "ovs-vswitchd has no upcall handlers: so it is without bridges of the kernel's datapath",
            "if there are such bridges: systemctl restart openvswitch-switch",
        ),
        handlers => findings.ok(format!("ovs-vswitchd has {handlers} upcall handlers")),
    }
}

fn keys(switch: &Row, findings: &mut Findings) {
    for (key, use_of_it) in [
        ("system-id", "the name of this chassis"),
        ("ovn-bridge-mappings", "which bridge leads to which provider network"),
        ("ovn-encap-ip", "OVN's own tunnels"),
    ] {
        match entry(switch, "external_ids", key) {
            Some(value) => findings.ok(format!("{key} = {value}")),
            None => findings.fail(
                format!("{key} is not set: {use_of_it}"),
                format!("ovs-vsctl set open_vswitch . external_ids:{key}=VALUE, as ovn-controller needs it"),
            ),
        }
    }
    let options = entry(switch, "external_ids", "ovn-cms-options").unwrap_or_default();
    match options.split(',').any(|option| option.trim() == "enable-chassis-as-gw") {
        true => findings.ok("ovn-cms-options has enable-chassis-as-gw"),
        false => findings.warn(
            "ovn-cms-options has no enable-chassis-as-gw: Neutron puts no router gateway here",
            "ovs-vsctl set open_vswitch . external_ids:ovn-cms-options=enable-chassis-as-gw",
        ),
    }
}

/// The Southbound's remotes: configured, else OVN's own.
pub fn southbound_remotes(config: &Config, switch: &Row) -> Option<String> {
    config.sb_connection.clone().or_else(|| entry(switch, "external_ids", "ovn-remote"))
}

/// The files for TLS, as the sessions take them.
pub fn tls(config: &Config) -> TlsOptions {
    TlsOptions {
        private_key: config.tls.private_key.clone(),
        certificate: config.tls.certificate.clone(),
        ca_cert: config.tls.ca_cert.clone(),
    }
}

fn southbound(config: &Config, switch: &Row, findings: &mut Findings) {
    let Some(remotes) = southbound_remotes(config, switch) else {
        findings.fail(
            "ovn-remote is not set: where the Southbound is",
            "set it as ovn-controller needs it, or ovn_sb_connection",
        );
        return;
    };
    let opened = remotes.parse().map_err(|error| format!("{error}"));
    let opened = opened.and_then(|remotes: Remotes| Database::open(&remotes, Some(&tls(config))));
    let names = opened.and_then(|mut database| database.select("OVN_Southbound", "Chassis", &["name"]));
    let own = entry(switch, "external_ids", "system-id");
    match names {
        Err(error) => findings.fail(
            format!("the Southbound does not answer: {error}"),
            "check the address, firewalls, and for ssl: the files in [ovn]",
        ),
        Ok(rows) if !rows.iter().any(|row| text(row, "name") == own) => findings.fail(
            "the Southbound has no chassis of this system-id",
            "start ovn-controller; does system-id end in a blank, or was it changed?",
        ),
        Ok(rows) => {
            findings.ok(format!("the Southbound answers, {} chassis, this one among them", rows.len()))
        }
    }
}

fn mapped_bridges(config: &Config, switch: &Row, bridges: &[Row], findings: &mut Findings) {
    findings.about("ovs");
    let by_name: BTreeMap<_, _> =
        bridges.iter().filter_map(|bridge| Some((text(bridge, "name")?, bridge))).collect();
    let mappings = entry(switch, "external_ids", "ovn-bridge-mappings").unwrap_or_default();
    for (network, name) in mappings.split(',').filter_map(|pair| pair.trim().split_once(':')) {
        let Some(bridge) = by_name.get(name) else {
            findings
                .fail(format!("bridge {name} of {network} is not there"), format!("ovs-vsctl add-br {name}"));
            continue;
        };
        let datapath = text(bridge, "datapath_type").unwrap_or_default();
        let kind = if datapath == "netdev" { "userspace" } else { "kernel" };
        findings.ok(format!("{name} of {network} is there, on the {kind}'s datapath"));
        let versions = bridge.get("protocols").map(strings).unwrap_or_default();
        if !versions.is_empty() && !versions.iter().any(|version| version == "OpenFlow13") {
            findings.fail(
                format!("{name} speaks {} alone", versions.join(", ")),
                format!("ovs-vsctl add bridge {name} protocols OpenFlow13"),
            );
        }
        let socket = config.ovs_rundir.join(format!("{name}.mgmt"));
        match UnixStream::connect(&socket) {
            Ok(_) => findings.ok(format!("{} takes connections", socket.display())),
            Err(error) => findings.fail(
                format!("{}: {error}", socket.display()),
                "start ovs-vswitchd, run this as root, or set ovs_rundir",
            ),
        }
    }
}
