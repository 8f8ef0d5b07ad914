//! An ovsdb-server and an ovs-vswitchd in a directory of their own, with a userspace datapath whose ports are files.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The bridge.
pub const BRIDGE: &str = "br-ex";

/// An Open vSwitch of our own, with a bridge that has port 1 `patch` and port 2 `attach`.
pub struct Ovs {
    dir: TempDir,
}

impl Ovs {
    pub fn start() -> Self {
        let ovs = Self { dir: TempDir::new().unwrap() };
        let database = ovs.path("conf.db");
        run("ovsdb-tool", &["create", &database, "/usr/share/openvswitch/vswitch.ovsschema"], &ovs);
        let (remote, control) = (format!("--remote=p{}", ovs.database()), ovs.unixctl("ovsdb-server"));
        ovs.daemon("ovsdb-server", &[&database, &remote, &control]);
        ovs.vsctl(&["--no-wait", "init"]);
        ovs.start_vswitchd();
        let patch = format!("options:tx_pcap={}", ovs.path("patch.pcap"));
        ovs.vsctl(&["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=dummy"]);
        ovs.add_port("patch", 1, &[&patch]);
        ovs.add_port("attach", 2, &[]);
        ovs
    }

    pub fn start_vswitchd(&self) {
        let (database, control) = (self.database(), self.unixctl("ovs-vswitchd"));
        self.daemon("ovs-vswitchd", &[&database, &control, "--enable-dummy"]);
    }

    pub async fn stop_vswitchd(&self) {
        run("ovs-appctl", &["-t", &self.path("ovs-vswitchd.ctl"), "exit"], self);
        wait_until("ovs-vswitchd to end", || !Path::new(&self.path("ovs-vswitchd.pid")).exists()).await;
    }

    fn daemon(&self, name: &str, arguments: &[&str]) {
        let own = [format!("--pidfile={}", self.path(&format!("{name}.pid"))), self.log(name)];
        let own = own.iter().map(String::as_str).chain(["--detach", "--no-chdir", "-vconsole:off"]);
        run(name, &arguments.iter().copied().chain(own).collect::<Vec<_>>(), self);
    }

    pub fn add_port(&self, name: &str, number: u32, options: &[&str]) {
        let request = format!("ofport_request={number}");
        let mut arguments =
            vec!["add-port", BRIDGE, name, "--", "set", "interface", name, "type=dummy", &request];
        arguments.extend(options);
        self.vsctl(&arguments);
    }

    pub fn vsctl(&self, arguments: &[&str]) {
        let database = format!("--db={}", self.database());
        run("ovs-vsctl", &[&[database.as_str()], arguments].concat(), self);
    }

    pub fn ofctl(&self, command: &str, arguments: &[&str]) -> String {
        let bridge = self.path(&format!("{BRIDGE}.mgmt"));
        run("ovs-ofctl", &[&["-O", "OpenFlow13", command, &bridge], arguments].concat(), self)
    }

    /// As if the packet came in by port `patch`.
    pub fn receive(&self, packet: &str) {
        let control = self.path("ovs-vswitchd.ctl");
        run("ovs-appctl", &["-t", &control, "netdev-dummy/receive", "patch", packet], self);
    }

    /// The packets that went out by port `patch`, as hexadecimal digits.
    pub fn sent(&self) -> Vec<String> {
        let file = std::fs::read(self.path("patch.pcap")).unwrap_or_default();
        let mut packets = Vec::new();
        let mut rest = file.get(24..).unwrap_or_default();
        while let Some((head, body)) = rest.split_first_chunk::<16>() {
            let length = u32::from_ne_bytes(head[8..12].try_into().unwrap()) as usize;
            let Some((packet, next)) = body.split_at_checked(length) else { break };
            packets.push(packet.iter().map(|byte| format!("{byte:02x}")).collect());
            rest = next;
        }
        packets
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn database(&self) -> String {
        format!("unix:{}", self.path("db.sock"))
    }

    fn unixctl(&self, name: &str) -> String {
        format!("--unixctl={}", self.path(&format!("{name}.ctl")))
    }

    fn log(&self, name: &str) -> String {
        format!("--log-file={}", self.path(&format!("{name}.log")))
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        for name in ["ovs-vswitchd", "ovsdb-server"] {
            if let Ok(pid) = std::fs::read_to_string(self.path(&format!("{name}.pid"))) {
                let _ = Command::new("kill").arg(pid.trim()).status();
            }
        }
    }
}

/// Runs a program to its end and gives what it wrote.
fn run(program: &str, arguments: &[&str], ovs: &Ovs) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("OVS_RUNDIR", ovs.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install openvswitch-switch"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    out.into_owned()
}

pub async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
