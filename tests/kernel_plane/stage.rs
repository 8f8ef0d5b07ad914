//! What the tests stand on: a namespace each, a running plane with the view that its reports make, and short words for
//! objects.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    net::IpAddr,
    process::{Command as Program, Stdio},
    time::Duration,
};

use bgp_agent::{
    model::{IfName, Mark, Vni},
    planes::{
        Backlog, Change, Command, Operation, Outcome, Report, Verb,
        kernel::{self, Options, object::*},
    },
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, timeout, timeout_at},
};

/// Long enough for a slow machine: nothing waits this long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` in a network namespace of its own, by starting this program again as its only test.
pub fn isolated<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    const INSIDE: &str = "KERNEL_PLANE_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(test());
    }
    let program = std::env::current_exe().unwrap();
    let output = Program::new("unshare")
        .arg("--net")
        .arg(program)
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("`unshare` (util-linux) is needed to make a network namespace");
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    // No test has a name that is misspelt, and that is no failure.
    let passed = output.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "{name} failed inside its network namespace (root is needed)");
}

/// Runs a command line and gives its output; fails loudly if it fails.
pub fn run(line: &str) -> String {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let output = Program::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("`{line}` cannot be started: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "`{line}`: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

pub fn index_of(name: &str) -> String {
    run(&format!("ip -o link show {name}")).split(':').next().unwrap_or_default().to_owned()
}

/// Runs many lines of `ip` at once.
pub fn ip_batch(lines: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines).unwrap();
    run(&format!("ip -batch {}", file.path().display()));
}

/// A running plane, and the view of the kernel that its reports make.
pub struct Plane {
    pub commands: Sender<Command<KernelObject>>,
    pub reports: Receiver<Report<KernelObject, KernelKey>>,
    pub view: HashMap<KernelKey, KernelObject>,
    pub wholes: usize,
    pub backlog: Backlog,
    /// VTEPs that zebra has forgotten, as last told.
    pub forgotten: BTreeSet<(IfName, IpAddr)>,
    batches: u64,
}

impl Plane {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let (commands, taken) = channel(8);
        let (told, reports) = channel(64);
        tokio::spawn(kernel::run(options, taken, told));
        let (view, backlog) = (HashMap::new(), Backlog::default());
        let forgotten = BTreeSet::new();
        let mut plane = Self { commands, reports, view, wholes: 0, backlog, forgotten, batches: 0 };
        plane.until("the first view", |plane| plane.wholes > 0).await;
        plane
    }

    pub async fn next(&mut self) -> Option<Vec<Outcome>> {
        match timeout(PATIENCE, self.reports.recv()).await.expect("a report").expect("the plane runs") {
            Report::Down(why) => panic!("the plane is down: {why}"),
            Report::Whole(objects) => {
                self.view = objects.into_iter().map(|object| (object.key(), object)).collect();
                self.wholes += 1;
            }
            Report::Changed(changes) => {
                for change in changes {
                    match change {
                        Change::Present(object) => self.view.insert(object.key(), object),
                        Change::Absent(key) => self.view.remove(&key),
                    };
                }
            }
            Report::Results { outcomes, .. } => return Some(outcomes),
            Report::Backlog(backlog) => self.backlog = backlog,
            Report::Forgotten(vteps) => self.forgotten = vteps,
            Report::Bgp(_) | Report::Daemons(_) => panic!("the kernel knows no BGP"),
        }
        None
    }

    /// Carries out a batch. The view holds what it changed when this returns.
    pub async fn apply(&mut self, operations: Vec<Operation<KernelObject>>) -> Vec<Outcome> {
        self.batches += 1;
        let count = operations.len();
        self.commands.send(Command::Apply { id: self.batches, operations }).await.unwrap();
        loop {
            if let Some(outcomes) = self.next().await {
                assert_eq!(outcomes.len(), count);
                return outcomes;
            }
        }
    }

    pub async fn done(&mut self, operations: Vec<Operation<KernelObject>>) {
        for (operation, outcome) in operations.clone().into_iter().zip(self.apply(operations).await) {
            assert_eq!(outcome, Outcome::Done, "{operation:?}");
        }
    }

    pub async fn failed(&mut self, operation: Operation<KernelObject>) -> String {
        match self.apply(vec![operation]).await.remove(0) {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Takes reports until the view is as wished.
    pub async fn until(&mut self, what: &str, wished: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !wished(self) {
            let next = timeout_at(end, self.next()).await;
            assert!(next.is_ok(), "waited in vain for: {what}; the view is {:#?}", self.view);
        }
    }

    pub fn has(&self, object: impl Into<KernelObject>) -> bool {
        let object = object.into();
        self.view.get(&object.key()) == Some(&object)
    }

    pub fn lacks(&self, object: impl Into<KernelObject>) -> bool {
        !self.view.contains_key(&object.into().key())
    }

    pub fn link(&self, name: &str) -> Option<&Link> {
        match self.view.get(&KernelKey::Link(dev(name)))? {
            KernelObject::Link(link) => Some(link),
            _ => None,
        }
    }

    pub fn count(&self, wanted: impl Fn(&KernelObject) -> bool) -> usize {
        self.view.values().filter(|object| wanted(object)).count()
    }
}

pub fn dev(name: &str) -> IfName {
    name.parse().unwrap()
}

pub fn create(object: impl Into<KernelObject>) -> Operation<KernelObject> {
    Operation { verb: Verb::Create, object: object.into() }
}

pub fn update(object: impl Into<KernelObject>) -> Operation<KernelObject> {
    Operation { verb: Verb::Update, object: object.into() }
}

pub fn remove(object: impl Into<KernelObject>) -> Operation<KernelObject> {
    Operation { verb: Verb::Remove, object: object.into() }
}

pub const SETTINGS: Settings =
    Settings { no_ipv6_autogen: true, ipv4_forwarding: true, no_rp_filter: true, plain: false };

pub fn link(name: &str, kind: LinkKind) -> Link {
    Link {
        name: dev(name),
        kind,
        master: None,
        up: true,
        mtu: None,
        owner: Vni::new(1001).map(Mark::Vni),
        settings: SETTINGS,
        mac: None,
    }
}

pub fn inside(master: &str, link: Link) -> Link {
    Link { master: Some(dev(master)), ..link }
}

pub fn vxlan(local: &str) -> LinkKind {
    LinkKind::Vxlan { id: 1001, port: 4789, local: local.parse().unwrap() }
}

pub fn veth(peer: &str) -> LinkKind {
    LinkKind::Veth { peer: Some(dev(peer)) }
}

pub fn route(table: u32, prefix: &str, metric: u32, next_hop: NextHop) -> Route {
    Route { table, prefix: prefix.parse().unwrap(), metric, next_hop }
}

pub fn on(name: &str) -> NextHop {
    NextHop::Link(dev(name))
}

pub fn via(gateway: &str, name: &str) -> NextHop {
    NextHop::Via(gateway.parse().unwrap(), dev(name))
}

pub fn neighbour(name: &str, ip: &str, mac: &str) -> Neighbour {
    Neighbour { dev: dev(name), ip: ip.parse().unwrap(), mac: mac.parse().unwrap(), marked: false }
}

pub fn host(name: &str, ip: &str) -> Address {
    Address::host(dev(name), ip.parse().unwrap())
}

/// What is seen of a link, reduced to what was wished.
pub fn as_wished(wished: &Link, seen: &Link) -> Link {
    let settings = Settings { plain: wished.settings.plain && seen.settings.plain, ..seen.settings };
    Link { mtu: wished.mtu.and(seen.mtu), mac: wished.mac.and(seen.mac), settings, ..seen.clone() }
}

/// What the kernel of any Linux machine can hold of a VNI: two ends of a pair, a bridge with a VXLAN device, and on one
/// end a gateway in both families.
pub fn small_tree() -> Vec<Operation<KernelObject>> {
    vec![
        create(link("br-1001", LinkKind::Bridge)),
        create(inside("br-1001", link("vxlan-1001", vxlan("100.65.0.1")))),
        create(link("veth-vrf-1001", veth("veth-ovs-1001"))),
        create(Link { mtu: Some(1400), ..link("veth-ovs-1001", veth("veth-vrf-1001")) }),
        create(route(1001, "172.24.4.146/32", 0, on("veth-vrf-1001"))),
        create(route(1001, "20.0.0.0/24", 0, via("172.24.4.146", "veth-vrf-1001"))),
        create(route(1001, "0.0.0.0/0", 4_278_198_272, NextHop::Unreachable)),
        create(route(1001, "2001:db8:ffff::1/128", 1024, on("veth-vrf-1001"))),
        create(route(1001, "2001:db8:1::/64", 1024, via("2001:db8:ffff::1", "veth-vrf-1001"))),
        create(route(1001, "::/0", 4_278_198_272, NextHop::Unreachable)),
        create(neighbour("veth-vrf-1001", "172.24.4.146", "fa:16:3e:7f:59:7f")),
        create(neighbour("veth-vrf-1001", "2001:db8:ffff::1", "fa:16:3e:7f:59:7f")),
    ]
}

/// Everything of `operations` is in the view, as wished.
pub fn stands(plane: &Plane, operations: &[Operation<KernelObject>]) {
    for Operation { object, .. } in operations {
        let Some(seen) = plane.view.get(&object.key()) else { panic!("{object:?} is not seen") };
        match (object, seen) {
            (KernelObject::Link(wished), KernelObject::Link(seen)) => {
                assert_eq!(*wished, as_wished(wished, seen));
            }
            _ => assert_eq!(object, seen),
        }
    }
}

pub fn reversed(operations: &[Operation<KernelObject>]) -> Vec<Operation<KernelObject>> {
    operations.iter().rev().map(|operation| remove(operation.object.clone())).collect()
}
