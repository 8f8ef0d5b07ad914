//! The session with the Northbound for one command: reads what is needed once, and writes plans, each in one transaction
//! that the server refuses if a port is not any more what the plan was made from.

use std::{fmt, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::{
    plan::{Plan, Write},
    topology::{Rows, Topology},
};
use crate::{
    intent::annotation::KEYS,
    ovsdb::{
        ClientCommand, ClientEvent, Remotes, TlsOptions, io,
        monitor::{Condition, TableMonitor, Where},
        row::{ReplicaError, Row},
        session,
        tables::{LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Nat},
        transact::{Answer, Mutation, Operation},
        value::{Pairs, Value},
    },
};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the Northbound could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NorthboundError {
    /// No server can be reached.
    #[error("Northbound: {0} (is ovn_nb_connection, or --nb, right?)")]
    Down(String),
    /// A server says nothing.
    #[error("Northbound: no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// A row makes no sense.
    #[error("Northbound: {0}")]
    Row(#[from] ReplicaError),
    /// The server does not want it.
    #[error("Northbound: the transaction was refused: {0}")]
    Refused(String),
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// Nothing was done, or nobody knows: plan anew from what is there now.
    Outdated,
}

/// The session.
pub struct Northbound {
    commands: mpsc::Sender<ClientCommand>,
    events: mpsc::Receiver<ClientEvent>,
    rows: Rows,
    last: u64,
}

impl fmt::Debug for Northbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Northbound").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Northbound {
    /// Connects, and reads routers, their ports and networks.
    pub async fn open(remotes: Remotes, tls: TlsOptions) -> Result<Self, NorthboundError> {
        let of_type = |kind: &str| Where::Any(vec![Condition::equal("type", kind)]);
        let monitor = vec![
            TableMonitor::of::<LogicalRouter>(Where::All),
            TableMonitor::of::<LogicalRouterPort>(Where::All),
            TableMonitor::of::<LogicalSwitch>(Where::All),
            TableMonitor::of::<LogicalSwitchPort>(of_type("router")),
            TableMonitor::of::<Nat>(of_type("snat")),
        ];
        let session = session::Config::new("OVN_Northbound", monitor);
        let options = io::Options { remotes, shuffle: true, tls: Some(tls), session };
        let (commands, commands_in) = mpsc::channel(1);
        let (events_out, events) = mpsc::channel(16);
        tokio::spawn(io::run(options, commands_in, events_out));
        let mut northbound = Self { commands, events, rows: Rows::default(), last: 0 };
        northbound.read().await?;
        Ok(northbound)
    }

    /// What is there.
    pub fn topology(&self) -> Topology {
        Topology::of(&self.rows)
    }

    /// Writes a plan in one transaction.
    pub async fn write(&mut self, plan: &Plan<'_>) -> Result<Written, NorthboundError> {
        if plan.writes.is_empty() {
            return Ok(Written::Done);
        }
        self.last += 1;
        let id = self.last;
        let operations = plan.writes.iter().flat_map(operations).collect();
        let closed = |_| NorthboundError::Silent;
        self.commands.send(ClientCommand::Transact { id, operations }).await.map_err(closed)?;
        loop {
            match self.next().await? {
                ClientEvent::TransactReply { answer: Answer::Committed(_), .. } => return Ok(Written::Done),
                ClientEvent::TransactReply { answer: Answer::Refused(refusal), .. } => {
                    // An operation that requires what is not so any more `timed out`.
                    return match &*refusal.error {
                        "timed out" => Ok(Written::Outdated),
                        _ => Err(NorthboundError::Refused(refusal.words)),
                    };
                }
                ClientEvent::TransactReply { answer: Answer::Unknown, .. } => {
                    self.read_anew().await?;
                    return Ok(Written::Outdated);
                }
                _ => {}
            }
        }
    }

    /// Up to the first rows of a connection.
    async fn read(&mut self) -> Result<(), NorthboundError> {
        loop {
            match self.next().await? {
                ClientEvent::Updates(_) => return Ok(()),
                ClientEvent::Down(reason) => return Err(NorthboundError::Down(reason)),
                _ => {}
            }
        }
    }

    /// Up to the first rows of the next connection, to whichever server. A Down is no end here: the first one is told of the
    /// connection that was lost.
    async fn read_anew(&mut self) -> Result<(), NorthboundError> {
        let mut failure = NorthboundError::Silent;
        let reading = async {
            loop {
                match self.next().await? {
                    ClientEvent::Updates(_) => return Ok(()),
                    ClientEvent::Down(reason) => failure = NorthboundError::Down(reason),
                    _ => {}
                }
            }
        };
        let read = timeout(PATIENCE, reading).await;
        read.unwrap_or(Err(failure))
    }

    async fn next(&mut self) -> Result<ClientEvent, NorthboundError> {
        let event = timeout(PATIENCE, self.events.recv()).await;
        let event = event.ok().flatten().ok_or(NorthboundError::Silent)?;
        if let ClientEvent::Updates(updates) = &event {
            self.rows.apply(updates)?;
        }
        Ok(event)
    }
}

/// The steps of one port: it must be what it was, then the old annotation goes and the new one comes.
fn operations(write: &Write<'_>) -> Vec<Operation> {
    let this = || vec![Condition::equal("_uuid", write.port.uuid)];
    let keys = Value::Set(KEYS.into_iter().map(Value::from).collect());
    let mut mutations = vec![Mutation::Delete("external_ids", keys)];
    if !write.pairs.is_empty() {
        mutations.push(Mutation::Insert("external_ids", map(&write.pairs)));
    }
    vec![
        Operation::Require {
            table: LogicalSwitchPort::TABLE,
            conditions: this(),
            columns: vec!["external_ids"],
            rows: vec![vec![("external_ids", map(&write.port.external_ids))]],
        },
        Operation::Mutate { table: LogicalSwitchPort::TABLE, conditions: this(), mutations },
    ]
}

fn map(pairs: &Pairs) -> Value {
    pairs.iter().collect()
}
