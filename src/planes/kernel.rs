//! The kernel plane: links, addresses, routes and neighbours over netlink.
//!
//! ```text
//!  commands ─► run ─► session (a batch: what to send, what the answers mean) ─► encode ─► io: the socket that asks
//!               ▲                                                                             │ answers, dumps
//!  reports  ◄───┴──── actual (the mirror of the kernel) ◄── decode ◄── io: the socket that listens
//! ```
//!
//! Owns the order of things: listen first, then read everything, then keep up by what is heard. Whenever something may
//! have been missed (an overrun, a message that cannot be read, an answer that did not come), everything is read again
//! and told as a new `Whole`; never a part. What a batch changed is told before its results.

pub mod actual;
pub mod decode;
pub mod dump;
pub mod encode;
pub mod io;
pub mod object;
pub mod session;
pub mod uapi;
mod vteps;
pub mod wire;
pub mod zebra;

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use self::{
    actual::Actual,
    decode::Event,
    dump::{Question, Unread, Which},
    encode::{Indexes, Requests},
    io::{Asking, Deaf, Listening},
    object::{KernelKey, KernelObject, ROUTE_PROTOCOL},
    session::Batch,
    uapi::{AF_INET, AF_INET6, RTPROT_KERNEL},
    vteps::Vteps,
    wire::Writer,
    zebra::Zebra,
};
use super::{Command, Operation, Outcome, Report};

/// What the plane is told by configuration.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Receive buffer for notifications, in bytes. A route takes about 1 KiB of it.
    pub listen_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen_buffer: 32 * 1024 * 1024 }
    }
}

/// How often what changes while it is read, or is heard too fast, is read again before the plane gives up for a while.
const TRIES: usize = 10;

/// How long to wait after the first dump that was interrupted, doubled with each further one: five seconds in all.
const INTERRUPTED: Duration = Duration::from_millis(5);

/// How often zebra's buffers are looked at when nothing is written: others fill them, too.
const LOOK_AT_ZEBRA: Duration = Duration::from_secs(1);

/// How long to wait after the first failure, doubled up to the longest with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

type Commands = Receiver<Command<KernelObject>>;
type Reports = Sender<Report<KernelObject, KernelKey>>;

/// Runs the plane until nobody gives commands or takes reports any more. Its sockets belong to the network namespace of
/// the thread that polls it.
pub async fn run(options: Options, mut commands: Commands, reports: Reports) {
    let mut pause = FIRST_PAUSE;
    // What zebra has lost or forgotten counts on when our sockets are opened anew.
    let (mut zebra, mut vteps, mut actual) = (Zebra::default(), Vteps::default(), Actual::default());
    loop {
        let why = match Plane::open(options, &mut zebra, &mut vteps, &mut actual).await {
            Ok(mut plane) => {
                pause = FIRST_PAUSE;
                match plane.serve(&mut commands, &reports).await {
                    Ok(()) => return,
                    Err(Ended::Closed) => return,
                    Err(Ended::Trouble(why)) => why,
                }
            }
            Err(why) => why,
        };
        tracing::warn!("kernel: {why}; trying again in {} s", pause.as_secs());
        if wait(Instant::now() + pause, &why, &mut commands, &reports).await.is_err() {
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Why the plane stops serving.
enum Ended {
    /// Nobody gives commands or takes reports any more.
    Closed,
    /// It has to begin anew, for this reason.
    Trouble(String),
}

impl From<String> for Ended {
    fn from(why: String) -> Self {
        Self::Trouble(why)
    }
}

/// Tells that the session is down, and answers commands accordingly until `end`.
async fn wait(end: Instant, why: &str, commands: &mut Commands, reports: &Reports) -> Result<(), Ended> {
    tell(reports, Report::Down(why.to_owned())).await?;
    loop {
        let command = tokio::select! {
            () = sleep_until(end) => return Ok(()),
            command = commands.recv() => command.ok_or(Ended::Closed)?,
        };
        let answer = match command {
            Command::Apply { id, operations } => {
                Report::Results { id, outcomes: vec![Outcome::Unknown; operations.len()] }
            }
            Command::Read => Report::Down(why.to_owned()),
            Command::Ask(_) => continue,
        };
        tell(reports, answer).await?;
    }
}

async fn tell(reports: &Reports, report: Report<KernelObject, KernelKey>) -> Result<(), Ended> {
    reports.send(report).await.map_err(|_| Ended::Closed)
}

/// The open session.
struct Plane<'a> {
    asking: Asking,
    listening: Listening,
    actual: &'a mut Actual,
    indexes: Indexes,
    zebra: &'a mut Zebra,
    vteps: &'a mut Vteps,
    /// Of the next request.
    sequence: u32,
}

impl<'a> Plane<'a> {
    async fn open(
        options: Options,
        zebra: &'a mut Zebra,
        vteps: &'a mut Vteps,
        actual: &'a mut Actual,
    ) -> Result<Self, String> {
        let why = |error| format!("cannot open a netlink socket: {error}");
        let asking = Asking::open().map_err(why)?;
        let listening = Listening::open(options.listen_buffer, asking.port()).map_err(why)?;
        let indexes = Indexes::default();
        let mut plane = Self { asking, listening, actual, indexes, zebra, vteps, sequence: 1 };
        plane.read_everything().await?;
        Ok(plane)
    }

    async fn serve(&mut self, commands: &mut Commands, reports: &Reports) -> Result<(), Ended> {
        tell(reports, Report::Whole(self.actual.whole())).await?;
        let mut look = interval(LOOK_AT_ZEBRA);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let command = tokio::select! {
                command = commands.recv() => command.ok_or(Ended::Closed)?,
                _ = look.tick() => {
                    self.zebra.look();
                    self.tell_backlog(reports).await?;
                    self.look_for_vteps(reports).await?;
                    continue;
                }
                heard = self.listening.hear(self.actual) => {
                    self.keep_up(heard, reports).await?;
                    continue;
                }
            };
            match command {
                Command::Apply { id, operations } => self.apply(id, operations, reports).await?,
                Command::Read => self.tell_everything(reports).await?,
                Command::Ask(_) => {}
            }
        }
    }

    async fn tell_backlog(&mut self, reports: &Reports) -> Result<(), Ended> {
        match self.zebra.news() {
            Some(backlog) => tell(reports, Report::Backlog(backlog)).await,
            None => Ok(()),
        }
    }

    /// Looks whether zebra has forgotten VTEPs, and tells which where that has changed. A look that fails is taken again later.
    async fn look_for_vteps(&mut self, reports: &Reports) -> Result<(), Ended> {
        let now = Instant::now();
        for (place, lost) in self.vteps.due(self.actual, now) {
            let family = if place.is_ipv4 { AF_INET } else { AF_INET6 };
            let question = Question::Routes { family, table: Some(place.table), which: Which::Bgp };
            let routes = match self.ask_once(question).await {
                Ok(Ok(routes)) => Some(routes),
                Ok(Err(why)) => {
                    tracing::debug!("kernel: reading {question:?}: {why}");
                    None
                }
                Err(why) => {
                    tracing::warn!("kernel: {why}");
                    break;
                }
            };
            for unmissed in self.vteps.answered(place, &lost, routes.as_deref(), now) {
                self.actual.forget_neighbour(unmissed);
            }
        }
        match self.vteps.news(self.actual) {
            Some(forgotten) => tell(reports, Report::Forgotten(forgotten)).await,
            None => Ok(()),
        }
    }

    /// Tells what changed by what was heard.
    async fn keep_up(&mut self, heard: Result<(), Deaf>, reports: &Reports) -> Result<(), Ended> {
        if let Err(why) = heard {
            tracing::warn!("kernel: {why}; reading everything again");
            return self.tell_everything(reports).await;
        }
        self.read_stale_tables().await?;
        let changes = self.actual.flush();
        if changes.is_empty() { Ok(()) } else { tell(reports, Report::Changed(changes)).await }
    }

    async fn tell_everything(&mut self, reports: &Reports) -> Result<(), Ended> {
        self.read_everything().await?;
        tell(reports, Report::Whole(self.actual.whole())).await
    }

    /// Answers a batch whatever becomes of the session: what was not sent any more is unknown.
    async fn apply(
        &mut self,
        id: u64,
        operations: Vec<Operation<KernelObject>>,
        reports: &Reports,
    ) -> Result<(), Ended> {
        let mut batch = Batch::new(operations, self.asking.room());
        let ended = self.apply_and_tell(&mut batch, reports).await;
        tell(reports, Report::Results { id, outcomes: batch.outcomes() }).await?;
        ended
    }

    async fn apply_and_tell(&mut self, batch: &mut Batch, reports: &Reports) -> Result<(), Ended> {
        let heard = self.listening.drain(self.actual);
        self.keep_up(heard, reports).await?;
        self.keep_vrfs_in_use(batch).await?;
        let heard = self.carry_out(batch, reports).await?;
        if batch.is_in_doubt() {
            self.tell_everything(reports).await
        } else {
            self.keep_up(heard, reports).await
        }
    }

    /// A VRF is not removed while somebody else has routes in its table: zebra's, which it is about to withdraw, or an
    /// operator's. zebra 8.4 frees the VRF's table when the device goes, and dies of the route that it still has on its
    /// way (`rib_process_dplane_results`); an operator's route would lose its VRF.
    async fn keep_vrfs_in_use(&mut self, batch: &mut Batch) -> Result<(), Ended> {
        for (at, table) in batch.leaving_vrfs() {
            for family in [AF_INET, AF_INET6] {
                let question = Question::Routes { family, table: Some(table), which: Which::Any };
                let foreign = |event: Event| match event {
                    Event::Route((_, prefix, _), _, protocol) => {
                        (![ROUTE_PROTOCOL, RTPROT_KERNEL].contains(&protocol)).then_some((prefix, protocol))
                    }
                    _ => None,
                };
                if let Some((prefix, protocol)) = self.ask(question).await?.into_iter().find_map(foreign) {
                    let stays = "the VRF stays until they are gone";
                    let seen = format!("{prefix} of protocol {protocol}");
                    batch
                        .refuse(at, &format!("table {table} still has routes of others, as {seen}; {stays}"));
                }
            }
        }
        Ok(())
    }

    /// Sends a batch, no faster than zebra reads what it causes, with one send ready behind the one that the kernel is at,
    /// and tells what each changed. Gives whether all of it was heard.
    async fn carry_out(&mut self, batch: &mut Batch, reports: &Reports) -> Result<Result<(), Deaf>, Ended> {
        let mut under_way = VecDeque::new();
        let mut heard = Ok(());
        loop {
            if !batch.is_sent() && under_way.is_empty() {
                self.zebra.wait().await;
            }
            self.fill(batch, &mut under_way);
            let Some(sent) = under_way.pop_front() else { break };
            self.absorb(batch, &sent).await;
            if heard.is_ok() {
                heard = self.listening.drain(self.actual);
            }
            // Tables cannot be read again while requests are under way: then all is told in the end.
            if heard.is_ok() && !self.actual.is_stale() {
                self.keep_up(Ok(()), reports).await?;
            }
        }
        self.tell_backlog(reports).await?;
        if let Some(standing) = self.look_at(batch).await
            && let Some(requests) = batch.resolve(&standing, self.actual, &mut self.indexes, self.sequence)
        {
            let sent = self.send(requests);
            self.absorb(batch, &sent).await;
        }
        Ok(heard.and_then(|()| self.listening.drain(self.actual)))
    }

    /// Sends as much as may be under way.
    fn fill(&mut self, batch: &mut Batch, under_way: &mut VecDeque<Requests>) {
        while under_way.len() < 2 && !batch.is_sent() {
            // With nothing under way it was looked at just before.
            if !under_way.is_empty() {
                self.zebra.look();
            }
            let on_the_way = under_way.iter().map(|sent: &Requests| sent.weight).sum();
            let room = self.zebra.room(on_the_way);
            if room == 0 && !under_way.is_empty() {
                return;
            }
            let Some(requests) = batch.fill(self.actual, &mut self.indexes, self.sequence, room) else {
                return;
            };
            under_way.push_back(self.send(requests));
        }
    }

    fn send(&mut self, mut requests: Requests) -> Requests {
        self.sequence = requests.next();
        self.asking.send(requests.take_bytes(), requests.last());
        requests
    }

    async fn absorb(&mut self, batch: &mut Batch, sent: &Requests) {
        match self.asking.answers().await {
            Ok(answers) => batch.absorb(sent, &answers, self.actual),
            Err(error) => {
                tracing::warn!("kernel: the answers to {} requests are lost: {error}", sent.steps().len());
                batch.lost(sent);
            }
        }
    }

    /// What stands where routes of the batch could not be made; None: nothing is in the way, or it cannot be read.
    async fn look_at(&mut self, batch: &Batch) -> Option<Vec<Event>> {
        let questions = batch.clashes();
        if questions.is_empty() {
            return None;
        }
        let mut standing = Vec::new();
        for question in questions {
            match self.ask(question).await {
                Ok(events) => standing.extend(events),
                Err(why) => {
                    tracing::warn!("kernel: {why}");
                    return None;
                }
            }
        }
        Some(standing)
    }

    /// Reads all that the kernel has into a new mirror, and then what was heard since it began to listen. A stale
    /// notification does no harm: all that follows it, up to the state that was read, is heard as well.
    async fn read_everything(&mut self) -> Result<(), String> {
        let mut heard = Ok(());
        for _ in 0..TRIES {
            let mut fresh = self.actual.fresh();
            for question in Question::everything() {
                self.ask(question).await?.into_iter().for_each(|event| fresh.apply(event));
            }
            fresh.take_stale();
            heard = self.listening.drain(&mut fresh);
            if heard.is_ok() {
                fresh.settle();
                *self.actual = fresh;
                return self.read_stale_tables().await;
            }
        }
        heard.map_err(|why| why.to_string())
    }

    async fn read_stale_tables(&mut self) -> Result<(), String> {
        for table in self.actual.take_stale() {
            let mut read = Vec::new();
            for question in Question::tables(Some(table)) {
                read.extend(self.ask(question).await?);
            }
            self.actual.replace_table(table, read);
        }
        Ok(())
    }

    /// Reads, and reads again what has changed meanwhile: who changes much at once, as a routing daemon that starts, is
    /// given the time to end.
    async fn ask(&mut self, question: Question) -> Result<Vec<Event>, String> {
        for tries in 0..TRIES {
            match self.ask_once(question).await? {
                Err(Unread::Interrupted) => sleep(INTERRUPTED * (1 << tries)).await,
                answer => return answer.map_err(|why| format!("reading {question:?}: {why}")),
            }
        }
        Err(format!("reading {question:?}: {}", Unread::Interrupted))
    }

    async fn ask_once(&mut self, question: Question) -> Result<Result<Vec<Event>, Unread>, String> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let mut writer = Writer::default();
        question.write(sequence, &mut writer);
        self.asking.send(writer.take_bytes(), sequence);
        match self.asking.answers().await {
            Ok(answers) => Ok(question.read(sequence, &answers)),
            Err(error) => Err(format!("reading {question:?}: {error}")),
        }
    }
}
