//! Open vSwitch and OVN's settings in its database: what ovn-controller needs, what the agent needs, and how
//! ovs-vswitchd runs.

use std::{collections::BTreeMap, path::Path};

use super::Findings;
use crate::{
    cli::peers::{
        database::{Database, Row, entry, text},
        openflow,
        process::Process,
    },
    config::{Attach, Config},
    model::IfName,
    ovsdb::Remotes,
};

/// What the other checks want to know of OVS.
#[derive(Debug, Default)]
pub struct Node {
    /// The first of `ovn-encap-ip`.
    pub encap_ip: Option<String>,
    /// The bridges of `ovn-bridge-mappings`.
    pub bridges: Vec<IfName>,
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
        rows("Bridge", &["name", "datapath_type"]),
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
    northbound(config, findings);
    node.encap_ip = entry(&switch, "external_ids", "ovn-encap-ip");
    let mappings = entry(&switch, "external_ids", "ovn-bridge-mappings").unwrap_or_default();
    let mapped = mappings.split(',').filter_map(|pair| pair.trim().split_once(':'));
    node.bridges = mapped.filter_map(|(_, bridge)| bridge.parse().ok()).collect();
    node.bridges.sort();
    node.bridges.dedup();
    mapped_bridges(config, &switch, &bridges, findings);
    node
}

/// How ovs-vswitchd runs; it may be in a container, where it is not seen.
fn vswitchd(findings: &mut Findings) {
    let running = Process::named(Path::new("/proc"), "ovs-vswitchd");
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

fn southbound(config: &Config, switch: &Row, findings: &mut Findings) {
    let Some(remotes) = southbound_remotes(config, switch) else {
        findings.fail(
            "ovn-remote is not set: where the Southbound is",
            "set it as ovn-controller needs it, or ovn_sb_connection",
        );
        return;
    };
    let opened = Database::reach(&remotes, Some(&config.tls));
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

/// Where which tenants' networks are advertised depends on it.
fn northbound(config: &Config, findings: &mut Findings) {
    if !config.asks_northbound() {
        return;
    }
    let opened = Database::reach(&config.nb_connection, Some(&config.nb_tls));
    let routers =
        opened.and_then(|mut database| database.select("OVN_Northbound", "Logical_Router", &["name"]));
    match routers {
        Err(error) => findings.fail(
            format!("the Northbound does not answer, and require_snat_disabled_for_tenant_networks is set: {error}"),
            "ovn_nb_connection and, for ssl:, the files beside it in [ovn]; until it answers no tenant network is advertised",
        ),
        Ok(routers) => findings.ok(format!("the Northbound answers, {} routers", routers.len())),
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
        let in_userspace = datapath == "netdev";
        let kind = if in_userspace { "userspace" } else { "kernel" };
        findings.ok(format!("{name} of {network} is there, on the {kind}'s datapath"));
        if config.attach == Attach::Vrf && !in_userspace {
            // netdev_rx_handler_register and IFF_NO_RX_HANDLER in drivers/net/vrf.c, since Linux 5.0.
            findings.fail(
                format!("attach = vrf, but the kernel's datapath takes no VRF as a port of {name}"),
                "attach = veth, which works on both datapaths",
            );
        }
        openflow_version(name, openflow::speaks_our_version(&config.mgmt_socket(name)), findings);
    }
}

fn openflow_version(bridge: &str, speaks: Result<bool, String>, findings: &mut Findings) {
    match speaks {
        Ok(true) => findings.ok(format!("{bridge} speaks OpenFlow 1.3")),
        Ok(false) => findings.fail(
            format!("{bridge} does not speak OpenFlow 1.3"),
            format!("ovs-vsctl add bridge {bridge} protocols OpenFlow13"),
        ),
        Err(error) => findings.fail(error, "start ovs-vswitchd, run this as root, or set ovs_rundir"),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixListener};

    use super::*;
    use crate::{cli::doctor::Level, config::Config};

    fn bridge(datapath: &str) -> Row {
        let row = serde_json::json!({"name": "br.ex", "datapath_type": datapath});
        row.as_object().unwrap().clone()
    }

    fn switch() -> Row {
        let ids = serde_json::json!(["map", [["ovn-bridge-mappings", "physnet1:br.ex"]]]);
        serde_json::json!({ "external_ids": ids }).as_object().unwrap().clone()
    }

    /// What is found of a bridge whose socket says this, in words of what fails.
    fn failures(attach: Attach, datapath: &str, hello: Option<&'static [u8]>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let socket = hello.map(|hello| {
            let listener = UnixListener::bind(dir.path().join("br.ex.mgmt")).unwrap();
            std::thread::spawn(move || listener.accept().unwrap().0.write_all(hello).unwrap())
        });
        let config = Config { attach, ovs_rundir: dir.path().to_owned(), ..Config::default() };
        let mut findings = Findings::default();
        mapped_bridges(&config, &switch(), &[bridge(datapath)], &mut findings);
        if let Some(socket) = socket {
            socket.join().unwrap();
        }
        let failed = findings.all.into_iter().filter(|finding| finding.level == Level::Fail);
        failed.map(|finding| finding.seen).collect()
    }

    /// A hello's header, and its element with the bitmap of versions (OpenFlow 1.3.5, 7.5.1).
    const UP_TO_15: &[u8] = &[6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0b0111_0010];
    const ONLY_10_AND_15: &[u8] = &[6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0b0100_0010];
    const ONLY_10: &[u8] = &[1, 0, 0, 8, 0, 0, 0, 1];

    #[test]
    fn the_openflow_version_is_what_the_bridge_says_itself() {
        assert_eq!(failures(Attach::Veth, "system", Some(UP_TO_15)), [""; 0]);
        for hello in [ONLY_10_AND_15, ONLY_10] {
            let failed = failures(Attach::Veth, "system", Some(hello));
            assert_eq!(failed, ["br.ex does not speak OpenFlow 1.3"]);
        }
        assert!(failures(Attach::Veth, "system", None)[0].contains("br.ex.mgmt"));
    }

    #[test]
    fn a_vrf_is_a_port_of_the_userspace_datapath_alone() {
        assert_eq!(failures(Attach::Vrf, "netdev", Some(UP_TO_15)), [""; 0]);
        for kernels in ["", "system"] {
            let failed = failures(Attach::Vrf, kernels, Some(UP_TO_15));
            assert!(failed.len() == 1 && failed[0].contains("attach = vrf"), "{failed:?}");
        }
    }
}
