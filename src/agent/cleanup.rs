//! The removal of all that is ours: the reconciler with nothing to wish, so that order and ownership are those of the
//! running agent. It needs the agent's lock: with one running, what goes would come back.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::timeout};

use super::{ADOPTION, Agent, Event, StartError, Use, Wish, drain, rehearsal::verb_word, wait_until};
use crate::{
    config::Config,
    lock::Lock,
    planes::{Change, Command, Outcome, Report},
    reconcile::{
        Reading,
        object::{Key, Object, PlaneId},
    },
};

/// What came out.
#[derive(Debug)]
pub struct Cleaned {
    /// How many operations were done.
    pub done: usize,
    /// What is left, and why; empty: nothing of ours is there any more.
    pub left: Vec<String>,
}

/// Removes everything, and tells each operation as it is sent. Ends when nothing is left, or nothing went on for
/// `patience`.
///
/// # Errors
/// An agent runs, or the configuration cannot be used.
pub async fn remove_all(
    config: Config,
    wish: Wish,
    patience: Duration,
    tell: impl FnMut(&str),
) -> Result<Cleaned, StartError> {
    let _lock = Lock::take(&config.state_dir)?;
    let memory = drain::memory(&config.state_dir);
    let (agent, heard) = Agent::start(config, Use::Keep, wish)?;
    let adoption = if wish == Wish::NothingOfPythons { Adoption::Due } else { Adoption::Done };
    let (moved, tried, unmarked) = (Instant::now(), HashSet::new(), Vec::new());
    let mut cleaning = Cleaning { agent, heard, adoption, done: 0, moved, tried, unmarked };
    cleaning.run(patience, tell).await;
    let mut cleaned = Cleaned { done: cleaning.done, left: cleaning.left() };
    // A start after this begins anew, as on a node that never was drained.
    if cleaned.left.is_empty()
        && let Err(error) = drain::forget(&memory)
    {
        cleaned.left.push(format!("{}: {error}", memory.display()));
    }
    cleaning.agent.sessions.end().await;
    Ok(cleaned)
}

/// How far the marking of the Python agent's leftovers is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adoption {
    Due,
    /// So many commands are not answered yet.
    UnderWay(usize),
    Done,
}

struct Cleaning {
    agent: Agent,
    heard: mpsc::Receiver<Event>,
    adoption: Adoption,
    done: usize,
    /// When something was done, or tried for the first time.
    moved: Instant,
    tried: HashSet<(PlaneId, Key)>,
    /// What of the Python agent's could not be marked, and so stays.
    unmarked: Vec<String>,
}

impl Cleaning {
    async fn run(&mut self, patience: Duration, mut tell: impl FnMut(&str)) {
        loop {
            // Until every mark is there, what comes first by order may not be known as ours yet.
            let mut commands = match self.adoption {
                Adoption::UnderWay(_) => Vec::new(),
                Adoption::Due | Adoption::Done => self.agent.decide(),
            };
            if self.adoption == Adoption::Due && self.is_told() {
                commands.extend(self.adopt());
            }
            if commands.is_empty() && self.is_over() {
                return;
            }
            for (plane, command) in commands {
                self.send(plane, command, &mut tell);
            }
            let retry = self.agent.reconciler.next_timeout();
            let next = async {
                tokio::select! {
                    event = self.heard.recv() => event,
                    () = wait_until(retry) => None,
                }
            };
            match timeout(patience.saturating_sub(self.moved.elapsed()), next).await {
                Ok(Some(event)) => self.hear(event),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    fn adopt(&mut self) -> Vec<(PlaneId, Command<Object>)> {
        let commands = self.agent.adopt_leftovers();
        self.adoption = match commands.len() {
            0 => Adoption::Done,
            count => Adoption::UnderWay(count),
        };
        commands
    }

    fn send(&mut self, plane: PlaneId, command: Command<Object>, tell: &mut impl FnMut(&str)) {
        if let Command::Apply { id, operations } = &command {
            for operation in operations {
                tell(&format!("{} {plane}: {}", verb_word(operation.verb), operation.object));
                if self.tried.insert((plane, operation.object.key())) {
                    self.moved = Instant::now();
                }
            }
            if plane == PlaneId::Ledger && *id >= ADOPTION {
                // The ledger tells nothing by itself but how it ended.
                let entries = operations.iter().map(|operation| Change::Present(operation.object.clone()));
                let told = Report::Changed(entries.collect());
                self.agent.reconciler.report(plane, told, Instant::now());
            }
        }
        self.agent.write(plane, command);
    }

    fn hear(&mut self, event: Event) {
        if let Event::Plane(_, Report::Results { id, outcomes }) = &event {
            let done = outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count();
            if done > 0 {
                self.done += done;
                self.moved = Instant::now();
            }
            if let (Adoption::UnderWay(count), true) = (self.adoption, *id >= ADOPTION) {
                self.adoption = if count > 1 { Adoption::UnderWay(count - 1) } else { Adoption::Done };
                self.unmarked.extend(outcomes.iter().filter_map(unmarked));
            }
        }
        self.agent.hear(event);
    }

    fn is_told(&self) -> bool {
        self.agent.reconciler.readings().values().all(|reading| *reading != Reading::NotYet)
    }

    fn is_over(&self) -> bool {
        let reconciler = &self.agent.reconciler;
        let status = reconciler.status(Instant::now());
        let nothing_left = status.tenants.is_empty() && status.underlay.is_none();
        self.adoption == Adoption::Done && self.is_told() && reconciler.is_idle() && nothing_left
    }

    fn left(&self) -> Vec<String> {
        let status = self.agent.reconciler.status(Instant::now());
        let tenants = status.tenants.into_iter().map(|tenant| {
            format!("VNI {}: {} objects are left: {}", tenant.vni, tenant.open, tenant.reasons.join("; "))
        });
        let plain = status.underlay.iter().flat_map(|underlay| {
            let of = |what: &str, open: u32, reasons: &[String]| {
                (open > 0).then(|| format!("{what}: {open} objects are left: {}", reasons.join("; ")))
            };
            let base = of(&underlay.vrf, underlay.open, &underlay.reasons);
            let networks = underlay.networks.iter().filter_map(move |network| {
                of(&format!("provider network {}", network.network), network.open, &network.reasons)
            });
            base.into_iter().chain(networks)
        });
        let unmarked = self.unmarked.iter().cloned();
        self.agent.reconciler.unread().into_iter().chain(unmarked).chain(tenants).chain(plain).collect()
    }
}

/// Why something of the Python agent's did not get our mark.
fn unmarked(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Done => None,
        Outcome::Failed(why) => Some(format!("of the Python agent: {why}")),
        Outcome::Unknown => {
            Some("of the Python agent: what could not be marked, since the answer was lost".to_owned())
        }
    }
}
