//! A real FRR in a network namespace and a directory of its own, the plane on its sockets, and an operator's vty.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::IpAddr,
    os::unix::{fs::chown, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bgp_agent::{
    model::IfName,
    planes::{
        Change, Command as Order, Operation, Outcome, Report, Verb,
        frr::{
            Options,
            object::{FrrKey, FrrObject},
            question::{Answer, Daemons, Question},
            run,
        },
    },
};
use tokio::{sync::mpsc, time::timeout};

/// How long anything that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Daemons of one FRR.
pub struct Frr {
    root: PathBuf,
    inside: PathBuf,
    name: String,
    pub netns: String,
    children: Vec<(&'static str, Child)>,
    _home: tempfile::TempDir,
}

impl Frr {
    /// Starts these daemons. `root` is where their FRR is unpacked: `/` for the installed one.
    pub fn start(root: &Path, daemons: &[&'static str]) -> Self {
        let name = format!("t{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let netns = format!("frr-{name}");
        sh(&["ip", "netns", "add", &netns]);
        sh(&["ip", "-n", &netns, "link", "set", "lo", "up"]);
        let home = tempfile::tempdir_in(root.join("tmp")).expect("a directory below the root's /tmp");
        let inside = Path::new("/").join(home.path().strip_prefix(root).expect("below the root"));
        let (user, group) = frr_user(root);
        chown(home.path(), Some(user), Some(group)).expect("the tests run as root");
        let run = root.join("run/frr");
        fs::create_dir_all(&run).expect("the root's /run/frr");
        chown(&run, Some(user), Some(group)).expect("the tests run as root");
        let mut frr = Self { root: root.to_owned(), inside, name, netns, children: Vec::new(), _home: home };
        daemons.iter().for_each(|daemon| frr.daemon(daemon));
        frr
    }

    /// Where the vty sockets are.
    pub fn sockets(&self) -> PathBuf {
        self._home.path().to_owned()
    }

    /// Starts one daemon and waits until its vty answers.
    pub fn daemon(&mut self, daemon: &'static str) {
        let file = |kind: &str| self.inside.join(format!("{daemon}.{kind}")).display().to_string();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, "chroot"]).arg(&self.root);
        command.arg(format!("/usr/lib/frr/{daemon}"));
        command.args(["-N", &self.name, "-P", "0", "-A", "127.0.0.1"]).args(["-i", &file("pid")]);
        command.arg("--vty_socket").arg(&self.inside).arg("--log").arg(format!("file:{}", file("log")));
        if daemon != "mgmtd" {
            command.arg("-z").arg(self.inside.join("zserv.api"));
        }
        let said = self.sockets().join(format!("{daemon}.said"));
        let output = fs::File::create(&said).expect("a file below /tmp");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        self.children.push((daemon, command.spawn().expect("ip and chroot are installed")));
        let path = self.sockets().join(format!("{daemon}.vty"));
        let deadline = std::time::Instant::now() + PATIENCE;
        while UnixStream::connect(&path).is_err() {
            let words = fs::read_to_string(&said).unwrap_or_default();
            assert!(std::time::Instant::now() < deadline, "{daemon} does not start in time: {words}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills one daemon.
    pub fn kill(&mut self, daemon: &str) {
        let of = self.children.iter().position(|(name, _)| *name == daemon).expect("it runs");
        let (_, mut child) = self.children.remove(of);
        child.kill().expect("it was ours");
        child.wait().expect("it was ours");
        fs::remove_file(self.sockets().join(format!("{daemon}.vty"))).expect("its socket stays behind");
    }

    /// Prints how the daemons are and what they said, for a test that fails.
    fn tell(&mut self) {
        let home = self.sockets();
        for (daemon, child) in &mut self.children {
            eprintln!("{daemon}: {}", child.try_wait().map_or_else(|error| error.to_string(), ended));
            for kind in ["said", "log"] {
                let words = fs::read_to_string(home.join(format!("{daemon}.{kind}"))).unwrap_or_default();
                eprintln!("{daemon}.{kind}: {words}");
            }
        }
    }

    /// What an operator types into the vty of one daemon, line by line: text and status of the last line.
    pub fn operator(&self, daemon: &str, lines: &[&str]) -> (String, u8) {
        let mut vty = Vty::open(&self.sockets().join(format!("{daemon}.vty")));
        lines.iter().fold(vty.say("enable"), |_, line| vty.say(line))
    }

    /// The same, but the operator stays.
    #[allow(dead_code, reason = "not in every test file")]
    pub fn hold(&self, daemon: &str, lines: &[&str]) -> Vty {
        let mut vty = Vty::open(&self.sockets().join(format!("{daemon}.vty")));
        for line in ["enable"].iter().chain(lines) {
            assert_eq!(vty.say(line).1, 0, "{line}");
        }
        vty
    }

    /// The default BGP instance with EVPN, as every gateway has it.
    pub fn base(&self) {
        let lines = ["configure terminal", "router bgp 64999", "bgp router-id 10.0.0.1"];
        self.operator("bgpd", &lines);
        let evpn =
            ["configure terminal", "router bgp 64999", "address-family l2vpn evpn", "advertise-all-vni"];
        assert_eq!(self.operator("bgpd", &evpn).1, 0);
    }
}

/// An operator at a vty.
pub struct Vty(UnixStream);

impl Vty {
    fn open(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the daemon runs");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    fn say(&mut self, line: &str) -> (String, u8) {
        self.0.write_all(format!("{line}\0").as_bytes()).expect("the daemon reads");
        let mut reply = Vec::new();
        while reply.len() < 4 || reply[reply.len() - 4..reply.len() - 1] != [0; 3] {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("the daemon answers");
            reply.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&reply[..reply.len() - 4]).into_owned();
        (text, reply[reply.len() - 1])
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).status();
        let _ = fs::remove_dir_all(self.root.join("run/frr").join(&self.name));
    }
}

fn ended(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "runs".to_owned(), |status| status.to_string())
}

/// Runs a program that must succeed.
pub fn sh(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    let status = status.unwrap_or_else(|error| panic!("{} is not installed: {error}", words[0]));
    assert!(status.success(), "{words:?}: {status}; these tests need root");
}

fn frr_user(root: &Path) -> (u32, u32) {
    let missing = "this needs FRR with its user frr: apt-get install frr";
    let users = fs::read_to_string(root.join("etc/passwd")).expect(missing);
    let line = users.lines().find(|line| line.starts_with("frr:")).expect(missing);
    let fields: Vec<_> = line.split(':').collect();
    (fields[2].parse().expect("a uid"), fields[3].parse().expect("a gid"))
}

/// The plane at work on an FRR, from the reconciler's side.
pub struct Plane {
    orders: mpsc::Sender<Order<FrrObject>>,
    reports: mpsc::Receiver<Report<FrrObject, FrrKey>>,
    next: u64,
    /// The daemons as last told.
    pub daemons: Daemons,
}

impl Plane {
    /// Starts it.
    pub fn start(frr: &Frr) -> Self {
        let (orders, inbox) = mpsc::channel(8);
        let (outbox, reports) = mpsc::channel(64);
        tokio::spawn(run(
            Options { socket_dir: frr.sockets(), evpn: true, attributes_in_place: false },
            inbox,
            outbox,
        ));
        Self { orders, reports, next: 0, daemons: Daemons::new() }
    }

    /// The next report.
    pub async fn report(&mut self) -> Report<FrrObject, FrrKey> {
        loop {
            let report = timeout(PATIENCE, self.reports.recv()).await.expect("a report in time");
            match report.expect("the plane lives") {
                Report::Daemons(daemons) => self.daemons = daemons,
                report => return report,
            }
        }
    }

    /// The next complete view; changes before it are passed over.
    pub async fn whole(&mut self) -> Vec<FrrObject> {
        loop {
            match self.report().await {
                Report::Whole(objects) => return objects,
                Report::Down(_) | Report::Changed(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Asks for a complete view.
    pub async fn read(&mut self) -> Vec<FrrObject> {
        self.orders.send(Order::Read).await.expect("the plane lives");
        self.whole().await
    }

    /// Asks, and gives as many answers.
    #[allow(dead_code, reason = "not in every test file")]
    pub async fn ask(&mut self, question: Question, count: usize) -> Vec<Answer> {
        self.orders.send(Order::Ask(question)).await.expect("the plane lives");
        let mut answers = Vec::new();
        while answers.len() < count {
            match self.report().await {
                Report::Bgp(answer) => answers.push(answer),
                Report::Changed(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        answers
    }

    /// What BGP originates in these VRFs.
    #[allow(dead_code, reason = "not in every test file")]
    pub async fn survey(&mut self, vrfs: &[IfName]) -> Vec<Option<BTreeSet<IpAddr>>> {
        let answers = self.ask(Question::Originated(vrfs.to_vec()), vrfs.len()).await;
        let told = answers.into_iter().filter_map(|answer| match answer {
            Answer::Originated { vrf, hosts } => Some((vrf, hosts)),
            _ => None,
        });
        let mut told: BTreeMap<_, _> = told.collect();
        vrfs.iter().map(|vrf| told.remove(vrf).flatten()).collect()
    }

    /// Sends a batch and does not wait.
    pub async fn send(&mut self, operations: Vec<Operation<FrrObject>>) -> u64 {
        self.next += 1;
        self.orders.send(Order::Apply { id: self.next, operations }).await.expect("the plane lives");
        self.next
    }

    /// Carries out a batch; gives the changes reported before its end, and its outcomes.
    pub async fn apply(
        &mut self,
        operations: Vec<(Verb, FrrObject)>,
    ) -> (Vec<Change<FrrObject, FrrKey>>, Vec<Outcome>) {
        let operations = operations.into_iter().map(|(verb, object)| Operation { verb, object });
        let sent = self.send(operations.collect()).await;
        let mut changes = Vec::new();
        loop {
            match self.report().await {
                Report::Changed(more) => changes.extend(more),
                Report::Results { id, outcomes } => {
                    assert_eq!(id, sent);
                    return (changes, outcomes);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Carries out a batch in which everything must succeed; gives the changes.
    pub async fn done(&mut self, operations: Vec<(Verb, FrrObject)>) -> Vec<Change<FrrObject, FrrKey>> {
        let wished = vec![Outcome::Done; operations.len()];
        let (changes, outcomes) = self.apply(operations).await;
        assert_eq!(outcomes, wished);
        changes
    }

    /// Waits for this change.
    #[allow(dead_code, reason = "not in every test file")]
    pub async fn change(&mut self, wished: &Change<FrrObject, FrrKey>) {
        loop {
            match self.report().await {
                Report::Changed(changes) if changes.contains(wished) => return,
                Report::Changed(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}
