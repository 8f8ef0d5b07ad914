//! The OpenFlow dialogue with one bridge, from the first hello to the end of the connection, without I/O and without a
//! clock: bytes and commands go in with the time, bytes and reports come out.
//!
//! One thing at a time: first everything is read (ports, flows), then commands are carried out in the
//! order they came. Between them, and at any time, packets are answered and changes reported: of ports, and of flows by
//! other hands.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use ofproto::{
    AsyncConfig, DecodeError, ErrorMessage, FlowMonitorRequest, FlowStatsRequest, FlowUpdate, Frame, Hello,
    Message, MultipartReply, MultipartRequest, PacketIn, PortChange, PortStatus, SwitchConfig, bundle_type,
    next_frame, packet_in_reason,
};

use super::{
    FlowsCommand, FlowsReport,
    batch::Batch,
    decode,
    encode::CONTROLLER_ID,
    neighbour,
    object::{Cookies, Flow, FlowsKey, FlowsObject},
    outbox::Outbox,
    watch,
};
use crate::{
    model::IfName,
    planes::{Change, Report},
};

/// After so long without a word from OVS it is asked whether it is there.
const QUIET: Duration = Duration::from_secs(5);
/// After so long without a word it is taken to be gone. OVS gives its own controllers as long for each half (inactivity_probe).
const SILENT: Duration = Duration::from_secs(15);
/// After so long without progress in what was asked, the connection is given up. Bundles and dumps take well under
/// a second.
const STUCK: Duration = Duration::from_secs(60);
/// Packets are answered only while no more than this waits to be sent, in bytes: routers ask again.
const CROWDED: usize = 1 << 20;

/// Why a connection is of no more use, in an operator's words.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer does not speak our version.
    #[error(
        "the bridge does not speak OpenFlow 1.3: it is probably missing in the bridge's `protocols` (ovs-vsctl get bridge \
         {0} protocols)"
    )]
    Version(IfName),
    /// The peer refused what every session needs.
    #[error("OVS refuses {0}: {1}")]
    Refused(&'static str, String),
    /// What came is not OpenFlow.
    #[error("OVS sent what is not OpenFlow 1.3: {0}")]
    Garbage(#[from] DecodeError),
    /// Nothing came.
    #[error("OVS has sent nothing for {SILENT:?}, not even an answer to an echo request: ovs-vswitchd hangs")]
    Silent,
    /// An answer did not come.
    #[error("OVS has not answered {0} for {STUCK:?}, though it is there")]
    Stuck(&'static str),
}

/// A dialogue with one bridge over one connection.
pub struct Session {
    bridge: IfName,
    cookies: Cookies,
    answers: bool,
    out: Outbox,
    reports: VecDeque<FlowsReport>,
    waiting: VecDeque<FlowsCommand>,
    job: Job,
    /// The request to be told of changed flows.
    monitor_xid: Option<u32>,
    heard: Instant,
    /// When the job last made progress.
    progress: Instant,
    probed: bool,
}

/// What the session is at.
enum Job {
    /// Waiting for the peer's hello.
    Greeting,
    /// Waiting for a command.
    Idle,
    Reading(Reading),
    Writing(Batch),
}

/// Everything as far as it was read.
struct Reading {
    ports_xid: u32,
    flows_xid: u32,
    ports_done: bool,
    flows_done: bool,
    objects: Vec<FlowsObject>,
}

impl Session {
    /// A session on a connection that was just made. Flows with these `cookies` are ours; `answers`: neighbour solicitations
    /// are answered.
    pub fn new(bridge: IfName, cookies: Cookies, answers: bool, now: Instant) -> Self {
        let mut out = Outbox::default();
        out.put(Message::Hello(Hello::only(Frame::VERSION)));
        Self {
            bridge,
            cookies,
            answers,
            out,
            reports: VecDeque::new(),
            waiting: VecDeque::new(),
            job: Job::Greeting,
            monitor_xid: None,
            heard: now,
            progress: now,
            probed: false,
        }
    }

    /// Takes what came from the bridge; an incomplete message stays in `received`.
    ///
    /// # Errors
    /// If the connection is of no more use.
    pub fn receive(&mut self, received: &mut BytesMut, now: Instant) -> Result<(), Broken> {
        self.heard = now;
        self.probed = false;
        while let Some(frame) = next_frame(received)? {
            self.handle(Frame::decode(&frame)?, now)?;
        }
        Ok(())
    }

    /// Takes a command. It is carried out when those before it are.
    pub fn command(&mut self, command: FlowsCommand, now: Instant) {
        let again =
            |last: &FlowsCommand| matches!((last, &command), (FlowsCommand::Read, FlowsCommand::Read));
        if !self.waiting.back().is_some_and(again) {
            self.waiting.push_back(command);
        }
        self.go_on(now);
    }

    /// When [`Session::elapse`] is due.
    pub fn deadline(&self) -> Instant {
        let silence = self.heard + if self.probed { SILENT } else { QUIET };
        match self.job {
            Job::Idle => silence,
            _ => silence.min(self.progress + STUCK),
        }
    }

    /// Does what is due at this time.
    ///
    /// # Errors
    /// If the bridge has been silent, or an answer due, for too long.
    pub fn elapse(&mut self, now: Instant) -> Result<(), Broken> {
        let silence = now.saturating_duration_since(self.heard);
        if silence >= SILENT {
            return Err(Broken::Silent);
        }
        if now >= self.progress + STUCK && !matches!(self.job, Job::Idle) {
            return Err(Broken::Stuck(self.job.name()));
        }
        if silence >= QUIET && !self.probed {
            self.probed = true;
            self.out.put(Message::EchoRequest(Vec::new()));
        }
        Ok(())
    }

    /// The bytes to be sent to the bridge; they are gone from here.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.out.take()
    }

    /// Whether there is something to be sent.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// The next report.
    pub fn next_report(&mut self) -> Option<FlowsReport> {
        self.reports.pop_front()
    }

    /// Whether there is a report.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// The end of the connection: the reports that are left, among them the results of all batches, which nobody knows.
    pub fn end(self) -> impl Iterator<Item = FlowsReport> {
        let current = match self.job {
            Job::Writing(batch) => Some(batch),
            _ => None,
        };
        let waiting = self.waiting.into_iter().filter_map(|command| match command {
            FlowsCommand::Apply { id, operations } => Some(Batch::new(id, operations)),
            FlowsCommand::Read | FlowsCommand::Ask(_) => None,
        });
        self.reports.into_iter().chain(current.into_iter().chain(waiting).map(results))
    }

    fn handle(&mut self, frame: Frame, now: Instant) -> Result<(), Broken> {
        let Frame { version, xid, message } = frame;
        match message {
            Message::Hello(hello) => self.greet(&hello, version, now)?,
            Message::EchoRequest(bytes) => self.echo(xid, bytes),
            Message::Error(error) => self.refused(xid, &error, now)?,
            Message::MultipartReply(MultipartReply::FlowUpdates { updates, .. }) => {
                self.flows_changed(updates);
            }
            Message::MultipartReply(reply) => self.read(xid, reply, now),
            // What changed while OVS had no room was told in part only.
            Message::FlowMonitorResumed => self.command(FlowsCommand::Read, now),
            Message::BarrierReply => self.acknowledged(xid, now),
            Message::BundleControl(control) if control.kind == bundle_type::COMMIT_REPLY => {
                self.acknowledged(xid, now);
            }
            Message::PortStatus(status) => self.port_changed(&status),
            Message::PacketIn(packet) => self.packet(&packet),
            _ => {}
        }
        Ok(())
    }

    /// OVS answers a hello of 1.3 with one of 1.5 whose bitmap has 1.3 too.
    fn greet(&mut self, hello: &Hello, version: u8, now: Instant) -> Result<(), Broken> {
        if !hello.speaks(Frame::VERSION, version) {
            return Err(Broken::Version(self.bridge));
        }
        // Over a bridge's mgmt socket nothing is sent unasked until miss_send_len is set; then only what we want.
        self.out.put(Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: ofproto::NO_BUFFER }));
        self.out.put(Message::SetAsync(AsyncConfig {
            packet_in: [1 << packet_in_reason::ACTION; 2],
            port_status: [1 << PortChange::Added as u8
                | 1 << PortChange::Deleted as u8
                | 1 << PortChange::Modified as u8; 2],
            flow_removed: [0; 2],
        }));
        self.out.put(Message::SetControllerId(CONTROLLER_ID));
        let monitor = FlowMonitorRequest::changes_by_others(watch::MONITOR);
        self.monitor_xid =
            Some(self.out.put(Message::MultipartRequest(MultipartRequest::FlowMonitor(monitor))));
        self.start_reading(now);
        Ok(())
    }

    fn echo(&mut self, xid: u32, bytes: Vec<u8>) {
        // As long as the request was, so it fits.
        let _ = self.out.answer(xid, Message::EchoReply(bytes));
    }

    fn start_reading(&mut self, now: Instant) {
        let ports_xid = self.out.put(Message::MultipartRequest(MultipartRequest::Ports));
        // Everybody's: one in the place of a rule of ours must not be replaced unseen.
        let flows = FlowStatsRequest::all();
        let flows_xid = self.out.put(Message::MultipartRequest(MultipartRequest::Flows(flows)));
        self.progress = now;
        self.job = Job::Reading(Reading {
            ports_xid,
            flows_xid,
            ports_done: false,
            flows_done: false,
            objects: Vec::new(),
        });
    }

    fn read(&mut self, xid: u32, reply: MultipartReply, now: Instant) {
        let Job::Reading(reading) = &mut self.job else { return };
        let (bridge, cookies) = (self.bridge, self.cookies);
        self.progress = now;
        match reply {
            MultipartReply::Ports { more, ports } if xid == reading.ports_xid => {
                let ports = ports.iter().map(|port| FlowsObject::Port(decode::port(bridge, port)));
                reading.objects.extend(ports);
                reading.ports_done |= !more;
            }
            MultipartReply::Flows { more, flows } if xid == reading.flows_xid => {
                let rules = flows.into_iter().filter_map(|flow| decode::seen(cookies, flow));
                reading.objects.extend(rules.map(|rule| FlowsObject::Flow(Flow { bridge, rule })));
                reading.flows_done |= !more;
            }
            _ => {}
        }
        if reading.ports_done && reading.flows_done {
            let whole = std::mem::take(&mut reading.objects);
            self.reports.push_back(Report::Whole(whole));
            self.finish_job(now);
        }
    }

    fn port_changed(&mut self, status: &PortStatus) {
        let port = decode::port(self.bridge, &status.port);
        let key = FlowsKey::Port(port.bridge, port.name.clone());
        let is_gone = status.change == PortChange::Deleted;
        let change = if is_gone { Change::Absent(key) } else { Change::Present(FlowsObject::Port(port)) };
        self.changed(vec![change], |reading| reading.ports_done);
    }

    fn flows_changed(&mut self, updates: Vec<FlowUpdate>) {
        let (bridge, cookies) = (self.bridge, self.cookies);
        let by_others = updates.into_iter().filter_map(|update| match update {
            FlowUpdate::Full(flow) => watch::change(bridge, cookies, *flow),
            FlowUpdate::Own(_) => None,
        });
        self.changed(by_others.collect(), |reading| reading.flows_done);
    }

    /// While everything is read, what changes before the answer about its kind is `done` is in that answer.
    fn changed(&mut self, changes: Vec<Change<FlowsObject, FlowsKey>>, done: impl Fn(&Reading) -> bool) {
        match &mut self.job {
            Job::Greeting => {}
            Job::Reading(reading) if !done(reading) => {}
            Job::Reading(reading) => changes.into_iter().for_each(|change| reading.change(change)),
            Job::Idle | Job::Writing(_) if changes.is_empty() => {}
            Job::Idle | Job::Writing(_) => self.reports.push_back(Report::Changed(changes)),
        }
    }

    fn packet(&mut self, packet: &PacketIn) {
        if !self.answers || self.out.len() > CROWDED {
            return;
        }
        if let Some(answer) = neighbour::answer(packet) {
            self.out.put(Message::PacketOut(answer));
        }
    }

    fn acknowledged(&mut self, xid: u32, now: Instant) {
        let Job::Writing(batch) = &mut self.job else { return };
        if !batch.acknowledged(xid) {
            return;
        }
        self.progress = now;
        if !batch.send_next(&mut self.out) {
            self.finish_job(now);
        }
    }

    fn refused(&mut self, xid: u32, error: &ErrorMessage, now: Instant) -> Result<(), Broken> {
        if self.monitor_xid == Some(xid) {
            tracing::info!(bridge = %self.bridge, %error, "OVS does not tell of changed flows: they are found when all is read back");
            return Ok(());
        }
        match &mut self.job {
            Job::Greeting => return Err(Broken::Refused("our greeting", error.to_string())),
            Job::Reading(reading) if xid == reading.ports_xid => {
                return Err(Broken::Refused("to tell its ports", error.to_string()));
            }
            Job::Reading(reading) if xid == reading.flows_xid => {
                return Err(Broken::Refused("to tell its flows", error.to_string()));
            }
            Job::Writing(batch) => {
                if batch.refused(xid, error, &mut self.out) {
                    self.progress = now;
                    return Ok(());
                }
            }
            Job::Idle | Job::Reading(_) => {}
        }
        tracing::warn!(bridge = %self.bridge, xid, %error, "OVS refuses a message that is none of a batch");
        Ok(())
    }

    /// The job is done: on with the commands that wait.
    fn finish_job(&mut self, now: Instant) {
        if let Job::Writing(batch) = std::mem::replace(&mut self.job, Job::Idle) {
            self.reports.push_back(results(batch));
        }
        self.go_on(now);
    }

    fn go_on(&mut self, now: Instant) {
        while matches!(self.job, Job::Idle) {
            match self.waiting.pop_front() {
                None => return,
                Some(FlowsCommand::Ask(_)) => {}
                Some(FlowsCommand::Read) => self.start_reading(now),
                Some(FlowsCommand::Apply { id, operations }) => {
                    let mut batch = Batch::new(id, operations);
                    self.progress = now;
                    if batch.send_next(&mut self.out) {
                        self.job = Job::Writing(batch);
                    } else {
                        self.reports.push_back(results(batch));
                    }
                }
            }
        }
    }
}

impl Reading {
    fn change(&mut self, change: Change<FlowsObject, FlowsKey>) {
        let key = match &change {
            Change::Present(object) => object.key(),
            Change::Absent(key) => key.clone(),
        };
        self.objects.retain(|object| object.key() != key);
        if let Change::Present(object) = change {
            self.objects.push(object);
        }
    }
}

impl Job {
    /// What is waited for.
    fn name(&self) -> &'static str {
        match self {
            Self::Greeting => "our hello",
            Self::Idle => "nothing",
            Self::Reading(_) => "a request for its ports and flows",
            Self::Writing(_) => "a batch of flows",
        }
    }
}

/// The report that ends a batch.
pub fn results(batch: Batch) -> FlowsReport {
    let (id, outcomes) = batch.into_results();
    Report::Results { id, outcomes }
}

#[cfg(test)]
mod tests;
