//! The program itself: what it ends with, what it says to systemd, how its log looks, and its answers in JSON. Its peers are
//! not there, which it has to bear.

#![allow(clippy::disallowed_types)]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-agent"));
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// A place of its own, with a configuration that leads to no peer of this machine.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let text = format!(
            "[DEFAULT]\novsdb_connection = unix:{at}/db.sock\n[ovn]\novn_sb_connection = unix:{at}/sb.sock\n\
             [bgp_agent]\nfrr_socket_dir = {at}\novs_rundir = {at}\nstate_dir = {at}/state\n\
             control_socket = {at}/control.sock\nmetrics_listen = none\n{more}"
        );
        fs::write(dir.path().join("agent.conf"), text).unwrap();
        Self { dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("agent.conf")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program().arg("--config-file").arg(self.file()).args(arguments).output().unwrap()
    }
}

/// A running agent and the lines of its log.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(place: &Place, environment: &[(&str, &str)]) -> Self {
        let mut command = program();
        command.arg("--config-file").arg(place.file()).envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (said, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines }
    }

    /// The lines up to the one that holds this.
    fn until(&self, part: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| line.contains(part)) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => seen.push(line),
                Err(_) => panic!("{part:?} is not said: {seen:#?}"),
            }
        }
        seen
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// How it ends after this signal.
    fn ends(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}, {}", words(output)))
}

#[test]
fn a_wrong_configuration_ends_with_its_file_and_line() {
    for (line, allowed) in
        [("bgp_AS = 0", "AS number"), ("driver = ovn_stretched_l2_bgp_driver", "ovn_evpn_driver")]
    {
        let place = Place::new(&format!("[DEFAULT]\n{line}\n"));
        let text = fs::read_to_string(place.file()).unwrap();
        let number = text.lines().position(|written| written == line).unwrap() + 1;
        let at = format!("{}:{number}: ", place.file().display());
        for (command, status) in [("run", 2), ("status", 2), ("plan", 1)] {
            let output = place.run(&[command]);
            assert_eq!(output.status.code(), Some(status), "{command}: {}", words(&output));
            let said = words(&output);
            assert!(said.contains(&at) && said.contains(allowed), "{said}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_no_plan_with_changes() {
    let place = Place::new("");
    for (line, status) in [
        ("plan --bogus", 1),
        ("plan --timeout", 1),
        ("--bogus plan", 1),
        ("status --bogus", 2),
        ("explain plan --bogus", 2),
        ("nothing-of-ours", 2),
        ("plan --help", 0),
        ("--version", 0),
    ] {
        let output = place.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(status), "{line}: {}", words(&output));
        assert_eq!(output.stdout.is_empty(), status != 0, "help is for stdout, an error is not: {line}");
    }
}

#[test]
fn the_files_of_a_directory_are_read_in_the_order_of_their_names() {
    let place = Place::new("");
    fs::rename(place.file(), place.dir.path().join("10-all.conf")).unwrap();
    fs::write(place.dir.path().join("20-wrong.conf"), "[DEFAULT]\nmtu = 1\nbgp_AS = none\n").unwrap();
    fs::write(place.dir.path().join("README"), "[DEFAULT]\nbgp_AS = 0\n").unwrap();
    let run = || program().arg("--config-dir").arg(place.dir.path()).arg("status").output().unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("20-wrong.conf:3: bgp_AS"), "{}", words(&output));
    fs::write(place.dir.path().join("20-wrong.conf"), "[DEFAULT]\nbgp_AS = 65000\n").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(3), "nobody answers at control_socket: {}", words(&output));
    assert!(words(&output).contains(&format!("{}/control.sock", place.dir.path().display())));
}

#[test]
fn sigint_and_sigterm_end_it_with_0_and_without_peers() {
    for signal in ["INT", "TERM"] {
        let place = Place::new("");
        let agent = Agent::start(&place, &[]);
        agent.until("started");
        assert_eq!(agent.ends(signal), Some(0), "{signal}");
    }
}

#[test]
fn a_second_agent_is_told_of_the_first() {
    let place = Place::new("");
    let agent = Agent::start(&place, &[]);
    agent.until("started");
    let second = place.run(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(words(&second).contains(&format!("pid {}", agent.child.id())), "{}", words(&second));
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    let place = Place::new("log_format = json\n");
    let agent = Agent::start(&place, &[]);
    let lines = agent.until("session is down");
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field} in {line}");
        }
    }
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&last["level"], last["plane"].is_string()), (&"WARN".into(), true), "{last}");
}

#[test]
fn lines_for_the_journal_begin_with_their_priority_and_have_no_time() {
    let place = Place::new("");
    let agent = Agent::start(&place, &[("JOURNAL_STREAM", "8:1")]);
    let lines = agent.until("session is down");
    assert!(lines.iter().any(|line| line.starts_with("<6>") && line.contains("started")), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("<4>bgp_agent::"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with('<') && !line.contains('\u{1b}')), "{lines:#?}");
}

#[test]
fn systemd_hears_ready_alive_reloading_and_stopping() {
    let place = Place::new("");
    let path = place.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let agent =
        Agent::start(&place, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")]);
    let hear = || {
        let mut heard = [0; 4096];
        let length = socket.recv(&mut heard).expect("systemd hears nothing");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    let hear_until = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = hear();
            if heard.starts_with(wanted) {
                return heard;
            }
            assert!(
                heard.starts_with("WATCHDOG=1\n") && Instant::now() < deadline,
                "{heard} before {wanted}"
            );
        }
    };
    assert_eq!(hear(), "READY=1");
    let alive = hear_until("WATCHDOG=1");
    assert!(alive.contains("\nSTATUS=0 tenants, 0 prefixes; no session: "), "{alive}");
    agent.signal("HUP");
    hear_until("RELOADING=1");
    hear_until("READY=1");
    agent.signal("TERM");
    hear_until("STOPPING=1");
    assert_eq!(agent.ends("TERM"), Some(0));
}

#[test]
fn a_reload_takes_what_it_can_and_names_the_rest() {
    let place = Place::new("");
    let agent = Agent::start(&place, &[]);
    agent.until("started");
    let text = fs::read_to_string(place.file()).unwrap();
    fs::write(
        place.file(),
        text.replace("metrics_listen", "mass_withdraw_limit = 7\nmtu = x\nmetrics_listen"),
    )
    .unwrap();
    agent.signal("HUP");
    agent.until("the configuration is not read again");
    fs::write(place.file(), text.replace("none", "127.0.0.1:1")).unwrap();
    agent.signal("HUP");
    let said = agent.until("the configuration is read again");
    assert!(
        said.iter().any(|line| line.contains("metrics_listen has changed: that needs a restart")),
        "{said:#?}"
    );
}

#[test]
fn status_in_json_is_the_control_sockets() {
    let place = Place::new("");
    let agent = Agent::start(&place, &[]);
    agent.until("started");
    let output = place.run(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let status = json(&output);
    assert_eq!((&status["converged"], &status["drain"]), (&false.into(), &"no".into()));
    assert_eq!(status["sessions"]["southbound"]["state"], "down");
    assert_eq!(place.run(&["wait", "--timeout", "0.1"]).status.code(), Some(1));
    let drained = place.run(&["drain", "--yes", "--wait", "0"]);
    assert_eq!(drained.status.code(), Some(0), "{}", words(&drained));
    let withdrawn = || json(&place.run(&["status", "--json"]))["drain"] == "withdrawn";
    let deadline = Instant::now() + PATIENCE;
    while !withdrawn() {
        assert!(Instant::now() < deadline);
    }
    assert!(place.dir.path().join("state/drain").exists());
}

#[test]
fn plan_doctor_and_explain_tell_in_json_what_they_cannot_read() {
    let place = Place::new("");
    let plan = place.run(&["plan", "--json", "--timeout", "1"]);
    assert_eq!(plan.status.code(), Some(1));
    let plan = json(&plan);
    assert_eq!((&plan["complete"], plan["operations"].as_array().map(Vec::len)), (&false.into(), Some(0)));
    assert!(!plan["unread"].as_array().unwrap().is_empty(), "{plan}");
    let doctor = place.run(&["doctor", "--json"]);
    assert_eq!(doctor.status.code(), Some(1));
    let findings = json(&doctor);
    let findings = findings.as_array().unwrap();
    for finding in findings {
        let level = finding["level"].as_str().unwrap();
        assert!(["ok", "warn", "fail"].contains(&level), "{finding}");
        assert!(finding["area"].is_string() && finding["seen"].is_string(), "{finding}");
        assert_eq!(level == "ok", finding["remedy"].is_null(), "what is not well has a remedy: {finding}");
    }
    let areas = ["kernel", "ovs", "frr", "host"];
    assert!(
        areas.iter().all(|area| findings.iter().any(|finding| finding["area"] == *area)),
        "{findings:#?}"
    );
    let explained = place.run(&["explain", "--json", "20.0.0.10"]);
    assert_eq!((explained.status.code(), explained.stdout.len()), (Some(3), 0));
    assert!(words(&explained).contains("db.sock"), "{}", words(&explained));
}

#[test]
fn the_shipped_configuration_is_taken_as_it_is() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/bgp-agent.conf");
    let place = Place::new("");
    let text = fs::read_to_string(shipped).unwrap() + &fs::read_to_string(place.file()).unwrap();
    fs::write(place.file(), text).unwrap();
    let agent = Agent::start(&place, &[]);
    let said = agent.until("started");
    assert!(!said.iter().any(|line| line.contains("unknown option")), "{said:#?}");
}
