//! The task that owns the socket of one bridge: connects, carries bytes between it and the session, and connects again.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    FlowsCommand, FlowsReport,
    batch::Batch,
    object::Cookies,
    session::{Session, results},
};
use crate::{model::IfName, planes::Report};

/// Where a bridge is found.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bridge.
    pub bridge: IfName,
    /// Its OpenFlow socket, `BRIDGE.mgmt` in the run directory of OVS.
    pub socket: PathBuf,
    /// Whose flows are ours.
    pub cookies: Cookies,
    /// Whether neighbour solicitations are answered; a session that only reads leaves them to the one that keeps the flows.
    pub answers: bool,
}

/// The first wait between two attempts to connect; it doubles up to [`LONGEST_WAIT`].
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait between two attempts to connect.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// As much is read at once, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// Keeps a session to the bridge until `commands` is closed or nobody takes `reports`.
pub async fn run(
    options: Options,
    commands: mpsc::Receiver<FlowsCommand>,
    reports: mpsc::Sender<FlowsReport>,
) {
    let mut task = Task { options, commands, reports, left: VecDeque::new(), down: None };
    // Ends only by Closed.
    let Err(Closed) = task.keep_connected().await;
}

/// The agent has gone: there is nobody to work for.
struct Closed;

/// The end of one connection.
enum Ended {
    Closed,
    Lost(String),
}

struct Task {
    options: Options,
    commands: mpsc::Receiver<FlowsCommand>,
    reports: mpsc::Sender<FlowsReport>,
    /// Reports of ended connections, still to be sent.
    left: VecDeque<FlowsReport>,
    /// The reason last given for being down.
    down: Option<String>,
}

impl Task {
    async fn keep_connected(&mut self) -> Result<std::convert::Infallible, Closed> {
        let mut wait = SHORTEST_WAIT;
        loop {
            let reason = match UnixStream::connect(&self.options.socket).await {
                Ok(stream) => {
                    let Options { bridge, cookies, answers, .. } = self.options;
                    let mut session = Session::new(bridge, cookies, answers, Instant::now().into_std());
                    let ended = self.converse(stream, &mut session, &mut wait).await;
                    self.left.extend(session.end());
                    match ended {
                        Ended::Closed => return Err(Closed),
                        Ended::Lost(reason) => reason,
                    }
                }
                Err(error) => self.no_connection(&error),
            };
            self.tell_down(reason);
            // Between half of it and all of it, so that many bridges do not come at once.
            let jitter = 0.5 + fastrand::f64() / 2.0;
            self.stay_down_until(Instant::now() + wait.mul_f64(jitter)).await?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Carries bytes, commands and reports until the connection ends.
    async fn converse(&mut self, stream: UnixStream, session: &mut Session, wait: &mut Duration) -> Ended {
        let (mut reader, mut writer) = stream.into_split();
        let mut received = BytesMut::new();
        let mut sending = Bytes::new();
        loop {
            if sending.is_empty() && session.has_output() {
                sending = Bytes::from(session.take_output());
            }
            received.reserve(READ_SIZE);
            let has_reports = !self.left.is_empty() || session.has_reports();
            let step = tokio::select! {
                read = reader.read_buf(&mut received) => match read {
                    Ok(0) => return Ended::Lost("ovs-vswitchd closed the connection".to_owned()),
                    Ok(_) => session.receive(&mut received, Instant::now().into_std()),
                    Err(error) => return Ended::Lost(format!("the connection to ovs-vswitchd broke: {error}")),
                },
                written = writer.write(&sending), if sending.has_remaining() => match written {
                    Ok(length) => {
                        sending.advance(length);
                        Ok(())
                    }
                    Err(error) => return Ended::Lost(format!("the connection to ovs-vswitchd broke: {error}")),
                },
                command = self.commands.recv() => match command {
                    Some(command) => {
                        session.command(command, Instant::now().into_std());
                        Ok(())
                    }
                    None => return Ended::Closed,
                },
                permit = self.reports.reserve(), if has_reports => {
                    let Ok(permit) = permit else { return Ended::Closed };
                    if let Some(report) = self.left.pop_front().or_else(|| session.next_report()) {
                        if matches!(report, Report::Whole(_)) {
                            self.down = None;
                            *wait = SHORTEST_WAIT;
                        }
                        permit.send(report);
                    }
                    Ok(())
                },
                () = sleep_until(session.deadline().into()) => session.elapse(Instant::now().into_std()),
            };
            if let Err(broken) = step {
                return Ended::Lost(broken.to_string());
            }
        }
    }

    /// Waits, and answers meanwhile: that nothing was done, and that nothing can be read.
    async fn stay_down_until(&mut self, end: Instant) -> Result<(), Closed> {
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                command = self.commands.recv() => match command.ok_or(Closed)? {
                    FlowsCommand::Apply { id, operations } => self.left.push_back(results(Batch::new(id, operations))),
                    FlowsCommand::Read => {
                        let reason = self.down.clone().unwrap_or_default();
                        self.left.push_back(Report::Down(reason));
                    }
                    FlowsCommand::Ask(_) => {}
                },
                permit = self.reports.reserve(), if !self.left.is_empty() => {
                    let permit = permit.map_err(|_| Closed)?;
                    if let Some(report) = self.left.pop_front() {
                        permit.send(report);
                    }
                }
            }
        }
    }

    fn tell_down(&mut self, reason: String) {
        if self.down.as_ref() != Some(&reason) {
            tracing::warn!(bridge = %self.options.bridge, %reason, "no OpenFlow session");
            self.down = Some(reason.clone());
            self.left.push_back(Report::Down(reason));
        }
    }

    fn no_connection(&self, error: &io::Error) -> String {
        let Options { bridge, socket, .. } = &self.options;
        let cause = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no bridge {bridge}, or OVS has another run directory")
            }
            io::ErrorKind::ConnectionRefused => "ovs-vswitchd does not run".to_owned(),
            io::ErrorKind::PermissionDenied => "the agent may not open it".to_owned(),
            _ => "see the error".to_owned(),
        };
        format!("cannot connect to {}: {error} ({cause})", socket.display())
    }
}
