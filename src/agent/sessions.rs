//! The tasks that own the planes' sessions: started and ended here, commands handed to each, reports gathered in one
//! channel.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::{Event, Use};
use crate::{
    config::Config,
    ledger,
    model::IfName,
    ovsdb::Remotes,
    planes::{
        Command, Outcome, Report,
        flows::{self, object::Cookies},
        frr, kernel, vswitch,
    },
    reconcile::object::{Key, Misdirected, Object, PlaneId},
};

/// How many commands may wait for a plane. The reconciler has at most a few under way; more means that the plane's task
/// has stopped taking them.
const QUEUE: usize = 1024;

/// A plane's task.
struct Session {
    commands: Box<dyn Fn(Command<Object>) -> bool + Send>,
    task: JoinHandle<()>,
}

/// All planes' tasks.
pub struct Sessions {
    config: Config,
    purpose: Use,
    events: mpsc::Sender<Event>,
    running: BTreeMap<PlaneId, Session>,
}

impl Sessions {
    /// Starts the sessions that every node has.
    pub fn start(config: &Config, ovsdb: Remotes, events: mpsc::Sender<Event>, purpose: Use) -> Self {
        let mut sessions = Self { config: config.clone(), purpose, events, running: BTreeMap::new() };
        let state_dir = config.state_dir.clone();
        sessions.spawn(PlaneId::Ledger, async move |commands, reports| {
            ledger::io::run(&state_dir, commands, reports).await;
        });
        sessions.spawn(PlaneId::Kernel, |commands, reports| {
            kernel::run(kernel::Options::default(), commands, reports)
        });
        let options = vswitch::Options { connection: ovsdb };
        sessions.spawn(PlaneId::Vswitch, |commands, reports| vswitch::run(options, commands, reports));
        let options = frr::Options {
            socket_dir: config.frr_socket_dir.clone(),
            evpn: config.modes.evpn,
            attributes_in_place: config.attributes_in_place,
        };
        sessions.spawn(PlaneId::Frr, |commands, reports| frr::run(options, commands, reports));
        sessions
    }

    /// Bridges come and go: each has one OpenFlow session.
    pub fn follow(&mut self, bridges: &BTreeSet<IfName>) {
        let is_wanted =
            |plane: &PlaneId| !matches!(plane, PlaneId::Flows(bridge) if !bridges.contains(bridge));
        self.running.retain(|plane, session| {
            let wanted = is_wanted(plane);
            if !wanted {
                session.task.abort();
            }
            wanted
        });
        for &bridge in bridges {
            if !self.running.contains_key(&PlaneId::Flows(bridge)) {
                let socket = self.config.mgmt_socket(bridge);
                let modes = self.config.modes;
                let cookies = Cookies { evpn: modes.evpn, underlay: modes.underlay };
                let options = flows::Options { bridge, socket, cookies, answers: self.purpose == Use::Keep };
                self.spawn(PlaneId::Flows(bridge), |commands, reports| {
                    flows::run(options, commands, reports)
                });
            }
        }
    }

    /// Lets every session end in order: no more commands, and what is under way is finished. A session with FRR that is cut
    /// in the middle of a commit can leave mgmtd locked.
    pub async fn end(self) {
        for (_, Session { commands, task }) in self.running {
            drop(commands);
            // A task that panicked has nothing to finish.
            let _ = task.await;
        }
    }

    /// Hands a command to its plane. One that cannot be handed over ends as unknown.
    pub fn send(&self, plane: PlaneId, command: Command<Object>) -> Option<Report<Object, Key>> {
        let lost = match &command {
            Command::Apply { id, operations } => {
                Some(Report::Results { id: *id, outcomes: vec![Outcome::Unknown; operations.len()] })
            }
            Command::Read | Command::Ask(_) => None,
        };
        let taken = self.running.get(&plane).is_some_and(|session| (session.commands)(command));
        if taken { None } else { lost }
    }

    fn spawn<O, K, F>(
        &mut self,
        plane: PlaneId,
        run: impl FnOnce(mpsc::Receiver<Command<O>>, mpsc::Sender<Report<O, K>>) -> F,
    ) where
        O: TryFrom<Object, Error = Misdirected> + Send + 'static,
        K: Send + 'static,
        Object: From<O>,
        Key: From<K>,
        F: Future<Output = ()> + Send + 'static,
    {
        let (commands, commands_in) = mpsc::channel::<Command<O>>(QUEUE);
        let (reports, mut reports_out) = mpsc::channel(QUEUE);
        let session = run(commands_in, reports);
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            let forward = async {
                while let Some(report) = reports_out.recv().await {
                    if events.send(Event::Plane(plane, report.map())).await.is_err() {
                        return;
                    }
                }
            };
            tokio::join!(session, forward);
        });
        let commands = move |command: Command<Object>| match command.try_map() {
            Ok(command) => commands.try_send(command).is_ok(),
            Err(Misdirected) => false,
        };
        self.running.insert(plane, Session { commands: Box::new(commands), task });
    }
}
