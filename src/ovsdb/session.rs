//! The dialogue with one database as a state machine: received bytes and commands go in, events and bytes to send come
//! out, and time is told to it. It opens no socket and reads no clock.
//!
//! ```text
//! connected ─► monitor_cond _Server, get_schema ─► Up ─► monitor_cond_since ─► Updates ─► live: update3 ─► Updates
//!                                                                               ▲    monitor_cond_change ─► ConditionsApplied
//! disconnected ─► Down ── the last transaction id is kept ──────────────────────┘    transact ─► TransactReply
//! ```

mod conditions;
mod freshness;
mod language;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    ProtocolError,
    frame::{Frame, Framer},
    monitor::{Condition, TableRequest, Where},
    row::{Replica, Row},
    rpc::{self, Message, parse},
    schema::Schema,
    tables::Database,
    transact::{Answer, Operation, Params},
    updates::{Origin, Updates},
    value::decode::Text,
};
use conditions::{Conditions, Next};
use freshness::Freshness;
pub use language::{ClientCommand, ClientEvent, Config};

/// The name of the monitor in the messages.
const MONITOR: &str = "data";

/// The name of the monitor of the server's own state.
const SERVER_MONITOR: &str = "server";

/// The longest request of the server that is answered: its id and parameters, in bytes, since an answer repeats them.
/// ovsdb-server sends `echo` with `[]`.
const MAX_REQUEST: usize = 4096;

/// A request that is not answered yet.
#[derive(Debug)]
enum Asked {
    Schema,
    ServerState,
    Place,
    Monitor,
    Conditions,
    Transact { id: u64, operations: usize },
    Echo,
}

/// The most that patience comes to, unless the probe interval itself is longer.
const MOST_PATIENCE: Duration = Duration::from_secs(320);

/// How many doublings lead there from a probe interval of a second.
const MOST_DOUBLINGS: u32 = 9;

/// What was asked and is not answered yet, and the bytes that are to be sent.
#[derive(Debug, Default)]
struct Requests {
    output: BytesMut,
    asked: BTreeMap<u64, Asked>,
    last: u64,
}

impl Requests {
    fn send(&mut self, asked: Asked, method: &str, params: impl Serialize) {
        self.last += 1;
        rpc::request(&mut self.output, self.last, method, params);
        self.asked.insert(self.last, asked);
    }
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Idle,
    /// The schema was asked for.
    Greeting,
    /// The server can be used; the rows are not there yet.
    Up,
    /// The rows are there, and changes come.
    Live,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    framer: Framer,
    requests: Requests,
    events: VecDeque<ClientEvent>,
    conditions: Conditions,
    /// The columns of the running monitor, per table in the order of the configuration.
    columns: Vec<Vec<&'static str>>,
    /// The transaction that the replica stands at; nil: none.
    last_transaction: Uuid,
    server: Replica<Database>,
    freshness: Freshness,
    deadline: Option<Instant>,
    probing: bool,
    /// How often the time is doubled that the server may be silent with a question of ours: one that has much to tell, or many
    /// to serve, says nothing while it works, and would begin anew each time it is left.
    patience: u32,
    /// The connection was left for the server's silence.
    was_silent: bool,
    /// Why there is no session, as it was told last.
    down: Option<String>,
}

impl Session {
    /// A session without a connection.
    pub fn new(config: Config) -> Self {
        Self {
            state: State::Idle,
            framer: Framer::new(config.max_message),
            requests: Requests::default(),
            events: VecDeque::new(),
            conditions: Conditions::new(&config.monitor),
            columns: Vec::new(),
            last_transaction: Uuid::nil(),
            server: Replica::default(),
            freshness: Freshness::default(),
            deadline: None,
            probing: false,
            patience: 0,
            was_silent: false,
            down: None,
            config,
        }
    }

    /// A connection is there.
    pub fn connected(&mut self, now: Instant) {
        self.state = State::Greeting;
        self.heard(now);
        // The answers come before the schema's, so a server without its cluster, or one that is behind, is left before
        // anybody relies on it.
        let rows = Where::Any(vec![Condition::equal("name", &*self.config.database)]);
        let request = TableRequest { columns: Some(Database::COLUMNS), rows: &rows };
        let tables = BTreeMap::from([(Database::TABLE, [request])]);
        self.requests.send(Asked::ServerState, "monitor_cond", ("_Server", SERVER_MONITOR, tables));
        let place = self.freshness.first_question(&self.config.database);
        self.requests.send(Asked::Place, "transact", place);
        self.requests.send(Asked::Schema, "get_schema", [&self.config.database]);
    }

    /// The connection is gone, if there was one. Who waits for an answer gets [`Answer::Unknown`].
    pub fn disconnected(&mut self) {
        self.state = State::Idle;
        self.framer = Framer::new(self.config.max_message);
        self.server.clear();
        self.deadline = None;
        self.requests.output.clear();
        let lost = std::mem::take(&mut self.requests.asked);
        let answers = lost.into_values().filter_map(|asked| match asked {
            Asked::Transact { id, .. } => Some(ClientEvent::TransactReply { id, answer: Answer::Unknown }),
            _ => None,
        });
        self.events.extend(answers);
    }

    /// Tell that there is no session, unless that was told with the same reason already.
    pub fn down(&mut self, reason: String) {
        if self.down.as_ref() != Some(&reason) {
            self.down = Some(reason.clone());
            self.events.push_back(ClientEvent::Down(reason));
        }
    }

    /// Where received bytes are to be appended, then to call [`Session::received`]; and bytes that are to be sent, to be
    /// taken from the front.
    pub fn buffers(&mut self) -> (&mut BytesMut, &mut BytesMut) {
        (self.framer.buffer(), &mut self.requests.output)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Whether there is an event.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether the server can be used.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up | State::Live)
    }

    /// When [`Session::tick`] is to be called, if at all.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The server said something, or could have and was not listened to.
    pub fn heard(&mut self, now: Instant) {
        self.probing = false;
        self.deadline = self.config.probe_interval.map(|interval| now + interval);
    }

    /// How long the server may be silent is another time now; see [`Config::probe_interval`].
    pub fn set_probe_interval(&mut self, interval: Option<Duration>, now: Instant) {
        self.config.probe_interval = interval;
        if self.state != State::Idle {
            self.heard(now);
        }
    }

    /// Time has passed. After an error the connection is of no use.
    pub fn tick(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let Some(interval) = self.config.probe_interval else { return Ok(()) };
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let patience = if self.awaits() { self.patience } else { 0 };
        let wait = (interval * (1 << patience)).min(MOST_PATIENCE.max(interval));
        if self.probing {
            self.was_silent = true;
            let seconds = (interval + wait).as_secs_f32();
            return Err(ProtocolError(format!("the server has not said anything for {seconds} s")));
        }
        self.requests.send(Asked::Echo, "echo", [(); 0]);
        self.probing = true;
        self.deadline = Some(now + wait);
        Ok(())
    }

    /// Whether the server owes an answer, beside that it is alive.
    fn awaits(&self) -> bool {
        self.requests.asked.values().any(|asked| !matches!(asked, Asked::Echo))
    }

    /// Whether the connection that has ended was left for the server's silence.
    pub fn was_silent(&mut self) -> bool {
        std::mem::take(&mut self.was_silent)
    }

    /// No server has said anything in time: from now on each has twice the time for what it is asked, up to some five minutes.
    pub fn have_patience(&mut self) {
        self.patience = (self.patience + 1).min(MOST_DOUBLINGS);
    }

    /// Bytes were appended to the input. After an error the connection is of no use.
    pub fn received(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.heard(now);
        let awaited = self.awaits();
        while let Some(frame) = self.framer.next_frame()? {
            self.message(&frame, now)?;
        }
        if awaited && !self.awaits() && self.state == State::Live {
            self.patience = self.patience.saturating_sub(1);
        }
        Ok(())
    }

    /// Other rows are wanted.
    pub fn set_conditions(&mut self, wishes: Vec<(&'static str, Where)>, serial: u64) {
        for table in self.conditions.want(wishes, serial) {
            tracing::warn!(table, "conditions for a table that is not monitored");
        }
        self.advance_conditions();
    }

    /// Make a transaction.
    pub fn transact(&mut self, id: u64, operations: &[Operation]) {
        if !self.is_up() {
            return self.events.push_back(ClientEvent::TransactReply { id, answer: Answer::Unknown });
        }
        let asked = Asked::Transact { id, operations: operations.len() };
        self.requests.send(asked, "transact", Params { database: &self.config.database, operations });
    }

    /// Read everything at the next connect.
    pub fn forget(&mut self) {
        self.last_transaction = Uuid::nil();
    }

    fn message(&mut self, frame: &Frame, now: Instant) -> Result<(), ProtocolError> {
        match Message::parse(frame)? {
            Message::Request { method, params, id } => self.request(&method, params, id),
            Message::Notification { method, params } => self.notification(frame, &method, params),
            Message::Reply { id, result } => match id.and_then(|id| self.requests.asked.remove(&id)) {
                Some(asked) => self.answer(frame, asked, result, now),
                None => Ok(()),
            },
        }
    }

    fn request(&mut self, method: &str, params: &str, id: &str) -> Result<(), ProtocolError> {
        if id.len() + params.len() > MAX_REQUEST {
            return Err(ProtocolError(format!("a request of the server has more than {MAX_REQUEST} bytes")));
        }
        let id = parse("id", id)?;
        match method {
            "echo" => rpc::reply(&mut self.requests.output, id, parse("echo", params)?),
            _ => rpc::refuse(&mut self.requests.output, id, "unknown method"),
        }
        Ok(())
    }

    fn notification(&mut self, frame: &Frame, method: &str, params: &str) -> Result<(), ProtocolError> {
        match method {
            "update3" if self.state == State::Live => {
                let (name, transaction, updates) =
                    Updates::parse_told::<Text<'_>>(frame, params, |_| Origin::Live)?;
                if name.0 == MONITOR {
                    self.updates(transaction, updates);
                }
                Ok(())
            }
            "update2" => {
                let (name, updates) = parse::<(Text<'_>, &RawValue)>("update", params)?;
                if name.0 == SERVER_MONITOR {
                    self.server_state(frame, updates.get())?;
                }
                Ok(())
            }
            "monitor_canceled" => Err(ProtocolError("the server has taken the database away".into())),
            _ => Ok(()),
        }
    }

    fn answer(
        &mut self,
        frame: &Frame,
        asked: Asked,
        result: Result<&str, &str>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        match (asked, result) {
            (Asked::Schema, Ok(schema)) => self.schema(parse("schema", schema)?),
            (Asked::ServerState, Ok(updates)) => self.server_state(frame, updates),
            (Asked::Place, Ok(rows)) => {
                self.freshness.answered(rows, now)?;
                self.ask_place();
                Ok(())
            }
            // A server of before OVS 2.9 has no _Server.
            (Asked::ServerState | Asked::Place, Err(_)) => Ok(()),
            (Asked::Monitor, Ok(reply)) => self.monitored(frame, reply),
            (Asked::Conditions, Ok(_)) => {
                self.conditions_answered();
                Ok(())
            }
            (Asked::Transact { id, operations }, result) => {
                let answer = match result {
                    Ok(results) => Answer::parse(results, operations)?,
                    Err(error) => Answer::error(rpc::error_words(error)),
                };
                self.events.push_back(ClientEvent::TransactReply { id, answer });
                Ok(())
            }
            (Asked::Echo, _) => Ok(()),
            (Asked::Schema, Err(error)) => Err(refused("get_schema", error)),
            (Asked::Monitor, Err(error)) => Err(refused("monitor_cond_since (since OVS 2.12)", error)),
            (Asked::Conditions, Err(error)) => Err(refused("monitor_cond_change", error)),
        }
    }

    fn schema(&mut self, schema: Schema<'_>) -> Result<(), ProtocolError> {
        let mut columns = Vec::new();
        let mut absent = Vec::new();
        for monitor in &self.config.monitor {
            let (present, lacking) = schema.columns(monitor)?;
            columns.push(present);
            absent.extend(lacking.into_iter().map(|column| (monitor.table, column)));
        }
        if columns != self.columns {
            self.forget();
        }
        self.columns = columns;
        self.state = State::Up;
        self.down = None;
        self.events.push_back(ClientEvent::Up { absent });
        if !self.config.monitor.is_empty() {
            self.monitor();
        }
        Ok(())
    }

    fn monitor(&mut self) {
        if !self.conditions.resume(!self.last_transaction.is_nil()) {
            self.forget();
        }
        let names = self.config.monitor.iter().map(|monitor| monitor.table);
        let requests = self.columns.iter().zip(self.conditions.told());
        let requests = requests.map(|(columns, rows)| [TableRequest { columns: Some(columns), rows }]);
        let tables: BTreeMap<_, _> = names.zip(requests).collect();
        let params = (&self.config.database, MONITOR, tables, self.last_transaction.hyphenated().to_string());
        self.requests.send(Asked::Monitor, "monitor_cond_since", params);
    }

    fn monitored(&mut self, frame: &Frame, reply: &str) -> Result<(), ProtocolError> {
        let origin = |found: &bool| if *found { Origin::Resume } else { Origin::Reload };
        let (_, transaction, updates) = Updates::parse_told(frame, reply, origin)?;
        self.updates(transaction, updates);
        self.state = State::Live;
        self.conditions_answered();
        Ok(())
    }

    fn updates(&mut self, transaction: Uuid, updates: Updates) {
        self.last_transaction = transaction;
        self.freshness.changed();
        self.ask_place();
        if updates.origin != Origin::Live || !updates.is_empty() {
            self.events.push_back(ClientEvent::Updates(updates));
        }
    }

    fn ask_place(&mut self) {
        if let Some(place) = self.freshness.question(&self.config.database) {
            self.requests.send(Asked::Place, "transact", place);
        }
    }

    fn conditions_answered(&mut self) {
        if let Some(serial) = self.conditions.answered() {
            self.events.push_back(ClientEvent::ConditionsApplied { serial });
        }
        self.advance_conditions();
    }

    fn advance_conditions(&mut self) {
        if self.state != State::Live {
            return;
        }
        match self.conditions.next() {
            Next::Nothing => {}
            Next::Applied(serial) => self.events.push_back(ClientEvent::ConditionsApplied { serial }),
            Next::Send(tables) => {
                let request = |rows| [TableRequest { columns: None, rows }];
                let tables: BTreeMap<_, _> =
                    tables.into_iter().map(|(name, rows)| (name, request(rows))).collect();
                self.requests.send(Asked::Conditions, "monitor_cond_change", (MONITOR, MONITOR, tables));
            }
        }
    }

    /// A member of a cluster that lost the others answers with old rows for ever.
    fn server_state(&mut self, frame: &Frame, updates: &str) -> Result<(), ProtocolError> {
        for change in Updates::parse(frame, updates, Origin::Live)?.iter() {
            self.server.apply(&change).map_err(|error| ProtocolError(error.to_string()))?;
        }
        let lost = |database: &Database| database.name == self.config.database && !database.connected;
        match self.server.iter().any(|(_, database)| lost(database)) {
            true => Err(ProtocolError("the server has lost the other members of its cluster".into())),
            false => Ok(()),
        }
    }
}

fn refused(what: &str, error: &str) -> ProtocolError {
    ProtocolError(format!("the server refuses {what}: {}", rpc::error_words(error)))
}
