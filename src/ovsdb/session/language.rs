//! What a client is for, what it can be told and what it tells: types alone.

use std::time::Duration;

use crate::ovsdb::{
    Remotes,
    frame::MAX_SIZE,
    monitor::{TableMonitor, Where},
    transact::{Answer, Operation},
    updates::Updates,
};

/// What a session is for.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database: `OVN_Southbound`, `Open_vSwitch`, ..
    pub database: Box<str>,
    /// What to replicate; nothing for a session that only writes.
    pub monitor: Vec<TableMonitor>,
    /// Silence after which the server is asked for a sign of life, and again the time it has for it. None: never.
    pub probe_interval: Option<Duration>,
    /// The largest message taken, in bytes.
    pub max_message: usize,
}

impl Config {
    /// What OVS's own clients take (RECONNECT_DEFAULT_PROBE_INTERVAL).
    pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);

    /// A session with this database.
    pub fn new(database: &str, monitor: Vec<TableMonitor>) -> Self {
        let probe_interval = Some(Self::PROBE_INTERVAL);
        Self { database: database.into(), monitor, probe_interval, max_message: MAX_SIZE }
    }
}

/// What a client is told to do.
#[derive(Clone, Debug)]
pub enum ClientCommand {
    /// Other rows of these tables are wanted from now on; other tables keep theirs. The number grows with each of these
    /// commands, from 1. Answered by [`ClientEvent::ConditionsApplied`], if need be after a reconnect; one that is
    /// overtaken by a newer one may get no answer of its own.
    SetConditions(Vec<(&'static str, Where)>, u64),
    /// Do these operations, all or none. Answered by one [`ClientEvent::TransactReply`] with the same id.
    Transact {
        /// Names the transaction in the answer.
        id: u64,
        /// What to do.
        operations: Vec<Operation>,
    },
    /// Connect anew, and read everything: the replica does not fit what the server tells.
    Resync,
    /// The database is served here from now on. A live session with one of these goes on.
    SetRemotes(Remotes),
    /// From now on [`Config::probe_interval`] is this.
    SetProbeInterval(Option<Duration>),
}

/// What a client tells.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// There is no session, for this reason. What was known stays the best guess.
    Down(String),
    /// The server answers and has what is needed; transactions can be made. `Updates` follow if anything is monitored.
    Up {
        /// Optional columns that its schema lacks, by table: rows have their defaults.
        absent: Vec<(&'static str, &'static str)>,
    },
    /// Rows changed. The first ones after `Up` have another origin than `Live`, and come even when empty.
    Updates(Updates),
    /// The rows wanted by the `SetConditions` of this serial, and by all before it, are all delivered.
    ConditionsApplied {
        /// As given in the command.
        serial: u64,
    },
    /// What became of a transaction. All changes it made to monitored rows were delivered before.
    TransactReply {
        /// As given in the command.
        id: u64,
        /// What became of it.
        answer: Answer,
    },
}
