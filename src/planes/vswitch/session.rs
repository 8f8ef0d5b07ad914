//! The dialogue with the reconciler on one side and the database client on the other, as a state machine: commands and
//! client events go in, reports and client commands come out. It opens no socket and reads no clock.
//!
//! The operations of a command become one transaction. Where the server refuses it because of one operation, that one has
//! failed and the others are tried again without it; where only the commit fails and nobody knows because of which, each
//! half is tried for itself.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use super::{
    decode::View,
    encode::{self, Step},
    object::{VswitchKey, VswitchObject},
};
use crate::{
    ovsdb::{
        ClientCommand, ClientEvent,
        transact::{Answer, Refusal},
        updates::{Origin, Updates},
    },
    planes::{self, Command, Operation, Outcome},
};

/// What this plane reports.
pub type Report = planes::Report<VswitchObject, VswitchKey>;

/// The state machine; see the module.
#[derive(Debug)]
pub struct Session {
    view: View,
    /// Why the view is not live; None: it is.
    down: Option<String>,
    work: VecDeque<Work>,
    last_transaction: u64,
    reports: VecDeque<Report>,
    commands: VecDeque<ClientCommand>,
}

/// A command that is being carried out.
#[derive(Debug)]
struct Work {
    id: u64,
    operations: Vec<Operation<VswitchObject>>,
    outcomes: Vec<Outcome>,
    /// What is still to be sent: operations by number, each list one transaction.
    batches: VecDeque<Vec<usize>>,
    sent: Option<Sent>,
}

/// A transaction that is not answered yet.
#[derive(Debug)]
struct Sent {
    transaction: u64,
    batch: Vec<usize>,
    /// For each of its steps, the operation it belongs to and what its failure means.
    meanings: Vec<(usize, Option<String>)>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            view: View::default(),
            down: Some("not connected yet".into()),
            work: VecDeque::new(),
            last_transaction: 0,
            reports: VecDeque::new(),
            commands: VecDeque::new(),
        }
    }
}

impl Session {
    /// The next report.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Whether there is a report.
    pub fn has_report(&self) -> bool {
        !self.reports.is_empty()
    }

    /// The next command for the client.
    pub fn poll_command(&mut self) -> Option<ClientCommand> {
        self.commands.pop_front()
    }

    /// The reconciler wants something.
    pub fn command(&mut self, command: Command<VswitchObject>) {
        match command {
            Command::Apply { id, operations } => {
                self.work.push_back(Work::new(id, operations));
                self.advance();
            }
            Command::Read => self.reports.push_back(match &self.down {
                None => Report::Whole(self.view.objects()),
                Some(reason) => Report::Down(reason.clone()),
            }),
            Command::Ask(_) => {}
        }
    }

    /// The client tells something.
    pub fn event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Up { .. } | ClientEvent::ConditionsApplied { .. } => {}
            ClientEvent::Updates(updates) => self.updates(&updates),
            ClientEvent::TransactReply { id, answer } => self.answer(id, answer),
            ClientEvent::Down(reason) => self.go_down(reason),
        }
    }

    fn go_down(&mut self, reason: String) {
        if self.down.as_ref() != Some(&reason) {
            self.reports.push_back(Report::Down(reason.clone()));
        }
        self.down = Some(reason);
        self.advance();
    }

    fn updates(&mut self, updates: &Updates) {
        if updates.origin == Origin::Live && self.down.is_some() {
            return;
        }
        let changes = match self.view.take(updates) {
            Ok(changes) => changes,
            Err(error) => {
                self.commands.push_back(ClientCommand::Resync);
                return self.go_down(format!("Open_vSwitch is read anew: {error}"));
            }
        };
        if updates.origin != Origin::Live {
            self.down = None;
            self.reports.push_back(Report::Whole(self.view.objects()));
        } else if !changes.is_empty() {
            self.reports.push_back(Report::Changed(changes));
        }
    }

    fn answer(&mut self, transaction: u64, answer: Answer) {
        let Some(work) = self.work.front_mut() else { return };
        let Some(sent) = work.sent.take_if(|sent| sent.transaction == transaction) else { return };
        match answer {
            Answer::Committed(_) => sent.batch.iter().for_each(|&at| work.outcomes[at] = Outcome::Done),
            Answer::Refused(refusal) => work.refused(sent, refusal),
            // The client says so only when the connection is gone, and tells why right after.
            Answer::Unknown => {
                self.down.get_or_insert_with(|| "the connection was lost".into());
            }
        }
        self.advance();
    }

    /// Sends the next transaction, if none is under way.
    fn advance(&mut self) {
        while let Some(work) = self.work.front_mut() {
            if self.down.is_some() {
                work.batches.clear();
                work.sent = None;
            }
            if work.sent.is_some() {
                return;
            }
            match work.batches.pop_front() {
                Some(batch) => {
                    self.last_transaction += 1;
                    self.commands.extend(work.send(&self.view, batch, self.last_transaction));
                }
                None => self.finish(),
            }
        }
    }

    fn finish(&mut self) {
        if let Some(Work { id, outcomes, .. }) = self.work.pop_front() {
            self.reports.push_back(Report::Results { id, outcomes });
        }
    }
}

impl Work {
    fn new(id: u64, operations: Vec<Operation<VswitchObject>>) -> Self {
        let outcomes = vec![Outcome::Unknown; operations.len()];
        let batches = batches(&operations);
        Self { id, operations, outcomes, batches, sent: None }
    }

    /// The transaction of these operations; None if all of them ended without one.
    fn send(&mut self, view: &View, batch: Vec<usize>, transaction: u64) -> Option<ClientCommand> {
        let mut operations = Vec::new();
        let mut sent = Sent { transaction, batch: Vec::new(), meanings: Vec::new() };
        for at in batch {
            match encode::steps(view, &self.operations[at], at) {
                Err(outcome) => self.outcomes[at] = outcome,
                Ok(steps) => {
                    sent.batch.push(at);
                    for Step { operation, meaning } in steps {
                        operations.push(operation);
                        sent.meanings.push((at, meaning));
                    }
                }
            }
        }
        if operations.is_empty() {
            return None;
        }
        self.sent = Some(sent);
        Some(ClientCommand::Transact { id: transaction, operations })
    }

    fn refused(&mut self, sent: Sent, refusal: Refusal) {
        let Sent { mut batch, mut meanings, .. } = sent;
        let culprit = refusal.operation.filter(|step| *step < meanings.len());
        if let Some((at, meaning)) = culprit.map(|step| meanings.swap_remove(step)) {
            self.outcomes[at] = Outcome::Failed(meaning.unwrap_or(refusal.words));
            batch.retain(|other| *other != at);
            self.batches.push_front(batch);
        } else if let [at] = *batch {
            self.outcomes[at] = Outcome::Failed(refusal.words);
        } else {
            let rest = batch.split_off(batch.len() / 2);
            self.batches.push_front(rest);
            self.batches.push_front(batch);
        }
    }
}

/// The operations in as few transactions as can be: an object that is met again belongs to a later one, since each is
/// encoded by what the database holds before it.
fn batches(operations: &[Operation<VswitchObject>]) -> VecDeque<Vec<usize>> {
    let mut batches = VecDeque::from([Vec::new()]);
    let mut met = HashSet::new();
    for (at, operation) in operations.iter().enumerate() {
        if !met.insert(operation.object.key()) {
            batches.push_back(Vec::new());
            met = HashSet::from([operation.object.key()]);
        }
        batches.back_mut().into_iter().for_each(|batch| batch.push(at));
    }
    batches
}
