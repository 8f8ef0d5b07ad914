//! A node for the tests: its reconciler, fakes of its peers, and the cloud that it is part of.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::*;

/// A node with its peers, its reconciler and its cloud.
pub(in crate::reconcile) struct Rig {
    pub(in crate::reconcile) peers: Peers,
    pub(in crate::reconcile) reconciler: Reconciler,
    pub(in crate::reconcile) config: Config,
    pub(in crate::reconcile) cloud: Cloud,
    /// The Northbound answers, where it is asked.
    pub(in crate::reconcile) reads_northbound: bool,
    pub(in crate::reconcile) now: Instant,
}

impl Rig {
    pub(in crate::reconcile) fn new(cloud: Cloud) -> Self {
        Self::with(cloud, Config::default())
    }

    pub(in crate::reconcile) fn with(cloud: Cloud, config: Config) -> Self {
        let reconciler = Reconciler::new(config.clone());
        let (peers, now, reads_northbound) = (Peers::new(), Instant::now(), config.asks_northbound());
        let mut rig = Self { peers, reconciler, config, cloud, reads_northbound, now };
        rig.connect();
        rig
    }

    pub(in crate::reconcile) fn connect(&mut self) {
        self.peers.connect(&mut self.reconciler, self.now);
        self.tell();
        if self.has_name() {
            self.reconciler.southbound_whole();
        }
        if self.reads_northbound {
            self.reconciler.northbound_whole();
        }
    }

    /// The cloud's rows as they are now, and everything that follows from them.
    pub(in crate::reconcile) fn run(&mut self) -> usize {
        self.tell();
        let mut written = 0;
        loop {
            written += self.peers.run(&mut self.reconciler, &mut self.now);
            let is_whole = self.reconciler.southbound.whole || !self.has_name();
            if !self.follow() && is_whole {
                return written;
            }
            if !is_whole {
                self.reconciler.southbound_whole();
            }
        }
    }

    /// Without the chassis' name the agent has no session with the Southbound.
    fn has_name(&self) -> bool {
        self.reconciler.node().settings().system_id.is_some()
    }

    /// The server gives everything anew that the agent asks for, and what it comes to ask for by that.
    pub(in crate::reconcile) fn tell(&mut self) {
        let asked = self.asked();
        self.cloud.tell_asked(self.reconciler.replica_mut(), &asked);
        self.follow();
    }

    /// Rows come and go by what the agent asks for. Gives whether any did.
    fn follow(&mut self) -> bool {
        let mut moved = false;
        loop {
            self.reconciler.update_intent();
            let asked = self.asked();
            if !self.cloud.follow(self.reconciler.replica_mut(), &asked) {
                return moved;
            }
            moved = true;
        }
    }

    fn asked(&self) -> Vec<crate::southbound::Subject> {
        self.reconciler.subjects().map(std::borrow::Cow::into_owned).collect()
    }

    /// Whatever happened: a second pass writes nothing, and neither does an agent that comes anew to the same world, but that
    /// flows are nobody's to it while a part waits that it cannot know them to be of. Gives the status before that.
    pub(in crate::reconcile) fn rests(&mut self) -> Result<Status, TestCaseError> {
        self.now += Duration::from_secs(3600);
        self.run();
        self.reconciler.read_all();
        prop_assert_eq!(self.run(), 0);
        let status = self.status();
        self.restart();
        let writes = self.run();
        let written = &self.peers.journal[self.peers.journal.len() - writes..];
        let waits = status.tenants.iter().any(|tenant| !tenant.reasons.is_empty())
            || status.underlay.iter().any(|underlay| !underlay.is_settled());
        let is_excused = |(verb, object): &(Verb, Object)| waits && is_flow_removed(*verb, object);
        prop_assert!(written.iter().all(is_excused), "{:?}", written);
        self.reconciler.read_all();
        prop_assert_eq!(self.run(), 0);
        Ok(status)
    }

    pub(in crate::reconcile) fn restart(&mut self) {
        self.reconciler = Reconciler::new(self.config.clone());
        self.connect();
    }

    pub(in crate::reconcile) fn has(&self, key: impl Into<Key>) -> bool {
        self.peers.objects.contains_key(&key.into())
    }

    /// What stands but for what was there before the agent.
    pub(in crate::reconcile) fn ours(&self) -> BTreeSet<String> {
        let fresh = Peers::new();
        let added = self.peers.objects.iter().filter(|(key, _)| !fresh.objects.contains_key(key));
        added.map(|(_, object)| format!("{object:?}")).collect()
    }

    pub(in crate::reconcile) fn status(&self) -> Status {
        self.reconciler.status(self.now)
    }
}

pub(in crate::reconcile) fn is_flow_removed(verb: Verb, object: &Object) -> bool {
    verb == Verb::Remove && matches!(object, Object::Flows(_))
}
