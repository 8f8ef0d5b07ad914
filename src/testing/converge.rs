//! Any history of a small cloud, with faults between and during its changes, ends as wished: bytes are the history.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    peers::{BRIDGE, Peers},
    rows::{Cloud, Step},
};
use crate::{
    config::{Config, Expose},
    planes::{Report, flows::object::FlowsKey},
    reconcile::{
        MassWithdraw, Reconciler,
        object::{Key, PlaneId},
    },
};

/// Takes numbers off a history; 0 at its end.
struct History<'a>(std::slice::Iter<'a, u8>);

impl History<'_> {
    /// A number below `limit`.
    fn next(&mut self, limit: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % limit
    }

    fn is_over(&self) -> bool {
        self.0.len() == 0
    }

    fn step(&mut self) -> Step {
        match self.next(6) {
            0 => Step::Localnet { provider: self.next(2), network: 1, tag: self.next(2) == 1 },
            1 => Step::Gateway {
                name: self.next(3),
                router: self.next(2),
                chassis: self.next(3),
                provider: self.next(2),
                address: 1 + self.next(3),
            },
            2 => Step::Subnet {
                gateway: self.next(3),
                name: self.next(3),
                network: self.next(2),
                third: self.next(3),
            },
            3 => Step::Annotate {
                subnet: self.next(2) == 1,
                name: self.next(3),
                vni: self.next(4),
                asn: self.next(3),
            },
            4 => Step::Workload {
                name: self.next(4),
                network: self.next(2),
                bound: self.next(2) == 1,
                third: self.next(3),
                last: 1 + self.next(3),
            },
            _ => Step::Remove(self.next(7), self.next(3)),
        }
    }

    fn expose(&mut self) -> Expose {
        if self.next(2) == 0 { Expose::Dummy } else { Expose::Routes }
    }

    fn plane(&mut self) -> PlaneId {
        let bridge = PlaneId::Flows(BRIDGE.parse().expect("a name"));
        [PlaneId::Kernel, PlaneId::Vswitch, PlaneId::Frr, bridge][usize::from(self.next(4))]
    }
}

struct Node {
    peers: Peers,
    reconciler: Reconciler,
    cloud: Cloud,
    expose: Expose,
    now: Instant,
}

impl Node {
    fn new(cloud: Cloud, expose: Expose) -> Self {
        let (peers, now) = (Peers::new(), Instant::now());
        let mut node = Self { peers, reconciler: reconciler(expose), cloud, expose, now };
        node.start();
        node
    }

    fn start(&mut self) {
        self.reconciler = reconciler(self.expose);
        self.peers.connect(&mut self.reconciler, self.now);
        self.read_cloud();
        self.reconciler.southbound_whole();
    }

    fn read_cloud(&mut self) {
        self.cloud.tell(self.reconciler.replica_mut());
    }

    fn run(&mut self) -> usize {
        self.peers.run(&mut self.reconciler, &mut self.now)
    }

    fn ours(&self) -> Vec<Key> {
        let fresh = Peers::new();
        let is_ours = |key: &&Key| {
            !fresh.objects.contains_key(*key)
                && !matches!(key, Key::Ledger(_) | Key::Flows(FlowsKey::Port(..)))
        };
        let mut keys: Vec<Key> = self.peers.objects.keys().filter(is_ours).cloned().collect();
        keys.sort_by_key(|key| format!("{key:?}"));
        keys
    }

    /// One event; what follows from it is carried out, or not yet.
    fn suffer(&mut self, history: &mut History<'_>) {
        match history.next(13) {
            0..=4 => {
                self.cloud.apply(&history.step());
                self.read_cloud();
            }
            5 => self.peers.lose = Some(history.plane()),
            6 => self.reconciler.report(history.plane(), Report::Down("gone".to_owned()), self.now),
            7 => self.start(),
            8 | 9 => self.drift(usize::from(history.next(255))),
            10 => self.reconciler.southbound_down("gone".to_owned()),
            11 => {
                self.expose = history.expose();
                self.start();
            }
            _ => self.refuse(usize::from(history.next(255))),
        }
        if history.next(3) > 0 {
            self.run();
        }
    }

    fn drift(&mut self, at: usize) {
        let ours = self.ours();
        if let Some(key) = ours.get(at % ours.len().max(1)) {
            self.peers.take(key);
        }
    }

    fn refuse(&mut self, at: usize) {
        let ours = self.ours();
        self.peers.refuse.extend(ours.get(at % ours.len().max(1)).cloned());
    }

    /// All that was away is back, nothing is refused, and all has the time it needs.
    fn calm(&mut self) {
        self.peers.lose = None;
        self.peers.refuse.clear();
        self.reconciler.southbound_whole();
        self.reconciler.read_all();
        for _ in 0..3 {
            self.now += Duration::from_secs(600);
            self.run();
        }
    }

    fn standing(&self) -> BTreeSet<String> {
        self.ours().iter().map(|key| format!("{:?}", self.peers.objects[key])).collect()
    }
}

/// The brake has tests of its own, and waits ten minutes for what it holds.
fn reconciler(expose: Expose) -> Reconciler {
    let never = MassWithdraw { limit: crate::reconcile::MassWithdrawLimit::Percent(100), hold: None };
    Reconciler::new(Config { mass_withdraw: never, expose, ..Config::default() })
}

/// Lives through this history.
///
/// # Panics
/// If it does not end as wished: something open has no reason, a second pass or a new start writes anything, or nothing is
/// wished and something stands.
pub fn converges(history: &[u8]) {
    let mut history = History(history.iter());
    let cloud = if history.next(2) == 0 { Cloud::empty() } else { Cloud::seed() };
    let mut node = Node::new(cloud, history.expose());
    while !history.is_over() {
        node.suffer(&mut history);
    }
    node.calm();
    let status = node.reconciler.status(node.now);
    let no_reason = |state: &str, reasons: &[String]| state != "ok" && reasons.is_empty();
    assert!(!status.tenants.iter().any(|tenant| no_reason(tenant.state, &tenant.reasons)), "{status:?}");
    let standing = node.standing();
    node.reconciler.read_all();
    assert_eq!(node.run(), 0, "a second pass writes {:?}", node.peers.journal.last());
    node.start();
    node.run();
    assert_eq!(node.standing(), standing, "a new start writes {:?}", node.peers.journal.last());
    node.cloud = Cloud::empty();
    node.read_cloud();
    node.calm();
    assert_eq!(node.standing(), BTreeSet::new(), "nothing is wished: {:?}", node.reconciler.status(node.now));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: crate::testing::cases(300), ..ProptestConfig::default() })]

        #[test]
        fn any_history_with_faults_ends_as_wished(history in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::converges(&history);
        }
    }
}
