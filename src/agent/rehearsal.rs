//! The agent with planes that only read: the same reconciler decides, every operation is noted and taken to be done.
//! So what it shows is what a start would do, and it writes nothing.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{Agent, Event, StartError, Use, Wish, drain::Course, pretend::Pretence};
use crate::{
    config::Config,
    planes::{Command, Operation, Outcome, Report, Verb},
    reconcile::{
        Reading, Reconciler, SessionId, Status,
        object::{Object, PlaneId},
    },
};

/// How long a session that is down may take to come up after all: a busy peer drops one now and then.
const GRACE: Duration = Duration::from_secs(3);

/// An operation that would be done.
#[derive(Debug, serde::Serialize)]
pub struct Step {
    /// By whom: `kernel`, `vswitch`, `frr`, `flows of BRIDGE` or `ledger`.
    pub plane: String,
    /// `create`, `update` or `remove`.
    pub verb: &'static str,
    /// What, in one line.
    pub object: String,
}

/// What came out.
#[derive(Debug)]
pub struct Rehearsed {
    /// The operations in their order.
    pub steps: Vec<Step>,
    /// What was not read in time, with the reason; empty: the steps are all.
    pub unread: Vec<String>,
    /// How things would stand then.
    pub status: Status,
}

/// Rehearses a start, or with [`Wish::Nothing`] a complete removal.
///
/// # Errors
/// The configuration cannot be used.
pub async fn rehearse(config: Config, wish: Wish, patience: Duration) -> Result<Rehearsed, StartError> {
    let (mut agent, heard) = Agent::start(config, Use::Look, wish)?;
    // A node that was drained starts so.
    Course::resume(&agent.config.state_dir, &mut agent.reconciler);
    let (agent, steps, pretence) = settle(agent, heard, wish, patience).await;
    let unread = agent.reconciler.unread();
    let mut status = agent.reconciler.status(std::time::Instant::now());
    for tenant in &mut status.tenants {
        tenant.reasons.iter_mut().for_each(|reason| *reason = pretence.honest(reason));
    }
    for network in status.underlay.iter_mut().flat_map(|underlay| &mut underlay.networks) {
        network.reasons.iter_mut().for_each(|reason| *reason = pretence.honest(reason));
    }
    let step = |(plane, Operation { verb, object }): (PlaneId, Operation<Object>)| Step {
        plane: plane.to_string(),
        verb: verb_word(verb),
        object: pretence.honest(&object.to_string()),
    };
    Ok(Rehearsed { steps: steps.into_iter().map(step).collect(), unread, status })
}

/// The verb as an operator says it.
pub fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Remove => "remove",
    }
}

type Steps = Vec<(PlaneId, Operation<Object>)>;

/// Hears and pretends until all is read and nothing is left to do, or patience ends.
async fn settle(
    mut agent: Agent,
    mut heard: mpsc::Receiver<Event>,
    wish: Wish,
    patience: Duration,
) -> (Agent, Steps, Pretence) {
    let deadline = Instant::now() + patience;
    let (mut steps, mut pretence) = (Vec::new(), Pretence::default());
    let mut graced = None;
    let mut adopted = wish != Wish::NothingOfPythons;
    loop {
        let mut commands = agent.decide();
        if !adopted && is_told(&agent.reconciler) {
            adopted = true;
            commands.extend(agent.adopt_leftovers());
        }
        if commands.is_empty() {
            let until = match is_told(&agent.reconciler) {
                true if agent.reconciler.unread().is_empty() => break,
                true => *graced.get_or_insert(Instant::now() + GRACE),
                false => deadline,
            };
            match timeout_at(until.min(deadline), heard.recv()).await {
                Ok(Some(event)) => agent.hear(event),
                _ => break,
            }
            while let Ok(event) = heard.try_recv() {
                agent.hear(event);
            }
        }
        for (plane, command) in commands {
            match command {
                Command::Read => agent.write(plane, command),
                // What a plan does not tell is not asked.
                Command::Ask(_) => {}
                Command::Apply { id, operations } => {
                    pretend(&mut agent.reconciler, &mut pretence, (plane, id, &operations));
                    steps.extend(operations.into_iter().map(|operation| (plane, operation)));
                }
            }
        }
    }
    (agent, steps, pretence)
}

fn pretend(
    reconciler: &mut Reconciler,
    pretence: &mut Pretence,
    (plane, id, operations): (PlaneId, u64, &[Operation<Object>]),
) {
    let now = std::time::Instant::now();
    for operation in operations {
        for (plane, change) in pretence.effects(operation) {
            reconciler.report(plane, Report::Changed(vec![change]), now);
        }
    }
    let outcomes = vec![Outcome::Done; operations.len()];
    reconciler.report(plane, Report::Results { id, outcomes }, now);
}

/// Every session has said what its peer has, or that it is down. The Southbound alone is waited for: there is no plan
/// without it.
fn is_told(reconciler: &Reconciler) -> bool {
    let mut readings = reconciler.readings();
    readings.remove(&SessionId::Southbound) == Some(Reading::Whole)
        && readings.values().all(|reading| *reading != Reading::NotYet)
}
