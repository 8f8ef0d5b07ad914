//! One vty socket of one daemon: lines out, replies in, and the words for what goes wrong.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep_until},
};

use crate::planes::frr::{
    dialect::Daemon,
    line::Line,
    session::{Reply, Session, SessionError},
};

/// A session that cannot go on: which daemon, and why in an operator's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", daemon.name())]
pub struct Lost {
    daemon: Daemon,
    why: String,
}

impl Lost {
    /// The daemon's name.
    pub fn daemon(&self) -> &'static str {
        self.daemon.name()
    }

    /// The reason.
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// A connected daemon.
#[derive(Debug)]
pub struct Peer {
    daemon: Daemon,
    stream: UnixStream,
    session: Session,
}

impl Peer {
    /// Connects to the socket of this daemon.
    pub async fn connect(directory: &Path, daemon: Daemon) -> Result<Self, Lost> {
        let path = directory.join(daemon.name()).with_extension("vty");
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Self { daemon, stream, session: Session::default() }),
            Err(error) => {
                let (path, cause) = (path.display(), likely(error.kind()));
                Err(Lost { daemon, why: format!("cannot connect to {path}: {error}; {cause}") })
            }
        }
    }

    /// Which daemon this is.
    pub fn daemon(&self) -> Daemon {
        self.daemon
    }

    /// The end of this session, for a reason of the caller's.
    pub fn lost_for(&self, why: impl Into<String>) -> Lost {
        Lost { daemon: self.daemon, why: why.into() }
    }

    /// Says these lines and waits for all their replies, which come in the same order.
    ///
    /// All at once, except to mgmtd: a line that it answers later (locks and commits in every FRR 10, any line up to 10.3)
    /// makes it drop what it has read behind that line (`mgmt_req_pending_cmd` in lib/vty.c).
    pub async fn ask(&mut self, lines: &[Line]) -> Result<Vec<Reply>, Lost> {
        let window = if self.daemon == Daemon::Mgmtd { 1 } else { usize::MAX };
        let mut replies = Vec::with_capacity(lines.len());
        for some in lines.chunks(window) {
            self.exchange(some, &mut replies).await?;
        }
        Ok(replies)
    }

    /// Writes and reads at the same time, so that neither side's full buffer can stop both.
    async fn exchange(&mut self, lines: &[Line], replies: &mut Vec<Reply>) -> Result<(), Lost> {
        let daemon = self.daemon;
        let lost = |why: String| Lost { daemon, why };
        let mut out = self.session.send(lines, Instant::now().into_std());
        let (mut reader, mut writer) = self.stream.split();
        let mut block = vec![0; 64 << 10];
        while let Some(deadline) = self.session.deadline() {
            tokio::select! {
                read = reader.read(&mut block) => {
                    let length = read.map_err(|error| lost(closed(&error.to_string())))?;
                    if length == 0 {
                        return Err(lost(closed("end of file")));
                    }
                    let news = self.session.receive(&block[..length], Instant::now().into_std());
                    replies.extend(news.map_err(|error| lost(error.to_string()))?);
                }
                written = writer.write(&out), if !out.is_empty() => {
                    out.drain(..written.map_err(|error| lost(closed(&error.to_string())))?);
                }
                () = sleep_until(deadline.into()) => {
                    self.session.check(Instant::now().into_std()).map_err(|error| lost(error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// Waits, while nothing is owed, until this daemon goes away or breaks the rules.
    pub async fn lost(&self) -> Lost {
        loop {
            if let Err(error) = self.stream.readable().await {
                return self.lost_for(closed(&error.to_string()));
            }
            match self.stream.try_read(&mut [0]) {
                Ok(0) => return self.lost_for(closed("end of file")),
                Ok(_) => return self.lost_for(SessionError::Unasked.to_string()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return self.lost_for(closed(&error.to_string())),
            }
        }
    }
}

fn closed(how: &str) -> String {
    format!("the connection was closed ({how}); it was stopped or restarted")
}

/// The likely cause of a failed connect.
fn likely(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "it does not run, or its vty sockets are in another directory",
        io::ErrorKind::ConnectionRefused => "it does not run any more",
        io::ErrorKind::PermissionDenied => "the agent's user must be in the group frrvty",
        _ => "is this FRR's vty socket?",
    }
}
