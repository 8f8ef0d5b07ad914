//! A real ovsdb-server in a directory of its own, for tests that speak to one.
#![allow(clippy::disallowed_types, dead_code)]

pub mod pki;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// A running server; it and its files go with this.
pub struct Server {
    directory: tempfile::TempDir,
    child: Child,
    extra: Vec<String>,
}

impl Server {
    /// A server alone, with a new database of this schema.
    pub fn standalone(schema: &str, extra: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        run("ovsdb-tool", &["create", path(&directory.path().join("db")), schema]);
        Self::start_in(directory, extra)
    }

    /// A cluster of one, which remembers its transactions.
    pub fn clustered(schema: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let raft = format!("unix:{}", path(&directory.path().join("raft")));
        run("ovsdb-tool", &["create-cluster", path(&directory.path().join("db")), schema, &raft]);
        Self::start_in(directory, &[])
    }

    fn start_in(directory: tempfile::TempDir, extra: &[String]) -> Self {
        let child = spawn(directory.path(), extra);
        Self { directory, child, extra: extra.to_vec() }
    }

    /// Ends it, leaving its files.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its files.
    pub fn start(&mut self) {
        self.child = spawn(self.directory.path(), &self.extra);
    }

    /// Makes it deaf, or lets it go on.
    pub fn signal(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.child.id().to_string()]);
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    /// The same as a remote.
    pub fn remote(&self) -> String {
        format!("unix:{}", path(&self.socket()))
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Tells it something by its control socket.
    pub fn appctl(&self, words: &[&str]) -> String {
        let control = self.directory.path().join("ctl");
        run("ovs-appctl", &[&["-t", path(&control)], words].concat())
    }

    /// Makes a transaction with another client.
    pub fn transact(&self, database: &str, operations: &str) -> String {
        let transaction = match operations {
            "" => format!("[\"{database}\"]"),
            some => format!("[\"{database}\",{some}]"),
        };
        run("ovsdb-client", &["transact", &self.remote(), &transaction])
    }

    /// Runs `ovs-vsctl` on it, without waiting for an ovs-vswitchd.
    pub fn vsctl(&self, words: &[&str]) -> String {
        run("ovs-vsctl", &[&["--no-wait", "--db", &self.remote()], words].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, extra: &[String]) -> Child {
    let socket = directory.join("sock");
    let _ = std::fs::remove_file(&socket);
    let child = Command::new("ovsdb-server")
        .arg(format!("--remote=punix:{}", path(&socket)))
        .arg(format!("--unixctl={}", path(&directory.join("ctl"))))
        .arg(format!("--log-file={}", path(&directory.join("log"))))
        .args(extra)
        .arg(directory.join("db"))
        .stderr(Stdio::null())
        .spawn()
        .expect("ovsdb-server cannot be started: install openvswitch-switch (or openvswitch-common)");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !listens(directory) {
        assert!(Instant::now() < deadline, "ovsdb-server does not listen: {}", log(directory));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!log(directory).contains("listen failed"), "{}", log(directory));
    child
}

/// It answers its control socket from its main loop, so when it has opened all that it listens on; its first socket is there
/// before the others are.
fn listens(directory: &Path) -> bool {
    let control = directory.join("ctl");
    let words = ["--timeout=5", "-t", path(&control), "version"];
    Command::new("ovs-appctl").args(words).output().is_ok_and(|output| output.status.success())
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// A TCP port that nobody has: given once by this process, and below those that the kernel gives to clients (from 32768 on,
/// `net.ipv4.ip_local_port_range`).
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time have numbers that are near.
    let first = 20_000 + 10 * u16::try_from(std::process::id() % 1_200).unwrap();
    loop {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a program to its end, and gives what it printed.
pub fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {}", shown(&output.stderr));
    shown(&output.stdout)
}

/// A path as text.
pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
