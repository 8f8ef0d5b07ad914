//! The vty dialogue as a state machine without I/O: lines become bytes, bytes become replies.
//!
//! Owns the framing and the bookkeeping of which reply answers which line. Never opens a socket, never reads a clock, never
//! judges what a reply means.
//!
//! On the wire (lib/vty.c, `vtysh_read`): a line ends with a NUL; many may be sent in one write and are carried out in
//! order. Each is answered by text without NUL, then three NULs and one byte of status.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::line::Line;

/// The longest reply taken, in bytes. A running configuration of 10,000 VRFs has about 4 MB.
pub const REPLY_MAX: usize = 64 << 20;

/// How long a daemon may be silent while it owes a reply. bgpd has been seen busy for seconds with a full table.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What ends every reply, before the status.
const END: [u8; 3] = [0; 3];

/// How a line was taken (`CMD_*` in lib/command.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// It was carried out; the text may still hold a warning.
    pub const SUCCESS: Self = Self(0);
    /// No command of this node begins like this.
    pub const UNKNOWN: Self = Self(2);
    /// A command begins like this, but more words are needed.
    pub const INCOMPLETE: Self = Self(4);
}

/// The answer to one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The line that is answered.
    pub line: Line,
    /// What the daemon says, as it would print it.
    pub text: String,
    /// How it ended.
    pub status: Status,
}

impl Reply {
    /// The line was carried out.
    pub fn accepted(&self) -> bool {
        self.status == Status::SUCCESS
    }
}

/// Why a dialogue cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Bytes where nothing was asked.
    #[error("it said something without being asked; is this FRR's vty socket?")]
    Unasked,
    /// The three NULs are broken.
    #[error("a reply does not end as FRR's do; is this FRR's vty socket?")]
    Framing,
    /// More than [`REPLY_MAX`].
    #[error("a reply is longer than {limit} MiB", limit = REPLY_MAX >> 20)]
    TooLong,
    /// Silence for [`PATIENCE`].
    #[error("no answer to `{0}` for {seconds} seconds; the daemon hangs or is overloaded", seconds = PATIENCE.as_secs())]
    Silent(Line),
}

/// One dialogue with one daemon.
#[derive(Debug, Default)]
pub struct Session {
    waiting: VecDeque<Line>,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no NUL.
    scanned: usize,
    heard: Option<Instant>,
}

impl Session {
    /// The bytes that say these lines; their replies are owed from now on.
    pub fn send(&mut self, lines: &[Line], now: Instant) -> Vec<u8> {
        self.heard = Some(now);
        self.waiting.extend(lines);
        lines.iter().flat_map(|line| format!("{line}\0").into_bytes()).collect()
    }

    /// Takes bytes as they came and gives the replies that are now complete, in the order of their lines.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Vec<Reply>, SessionError> {
        self.heard = Some(now);
        self.buffer.extend_from_slice(bytes);
        let mut replies = Vec::new();
        let mut start = 0;
        while let Some((text, status, rest)) = self.next_reply(start)? {
            let line = self.waiting.pop_front().ok_or(SessionError::Unasked)?;
            replies.push(Reply { line, text, status });
            start = rest;
        }
        self.buffer.drain(..start);
        self.scanned = self.scanned.saturating_sub(start);
        if self.buffer.len() > REPLY_MAX {
            return Err(SessionError::TooLong);
        }
        if self.waiting.is_empty() && !self.buffer.is_empty() {
            return Err(SessionError::Unasked);
        }
        Ok(replies)
    }

    /// The complete reply that begins at `start`, if there is one: its text, its status, and where the next one begins.
    fn next_reply(&mut self, start: usize) -> Result<Option<(String, Status, usize)>, SessionError> {
        let from = self.scanned.max(start);
        let Some(length) = self.buffer[from..].iter().position(|byte| *byte == 0) else {
            self.scanned = self.buffer.len();
            return Ok(None);
        };
        let end = from + length;
        self.scanned = end;
        let tail = &self.buffer[end..];
        if !END.starts_with(&tail[..tail.len().min(END.len())]) {
            return Err(SessionError::Framing);
        }
        let Some(status) = tail.get(END.len()) else { return Ok(None) };
        let text = String::from_utf8_lossy(&self.buffer[start..end]).into_owned();
        let rest = end + END.len() + 1;
        self.scanned = rest;
        Ok(Some((text, Status(*status), rest)))
    }

    /// How many replies are owed.
    pub fn owed(&self) -> usize {
        self.waiting.len()
    }

    /// When to give up, unless something is heard before; None while nothing is owed.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.front().and(self.heard).map(|heard| heard + PATIENCE)
    }

    /// The end of patience, if it has come.
    pub fn check(&self, now: Instant) -> Result<(), SessionError> {
        match (self.waiting.front(), self.deadline()) {
            (Some(line), Some(deadline)) if now >= deadline => Err(SessionError::Silent(*line)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[Line]) -> (Session, Instant) {
        let mut session = Session::default();
        let now = Instant::now();
        session.send(lines, now);
        (session, now)
    }

    #[test]
    fn lines_end_with_a_nul_and_go_out_together() {
        let bytes = Session::default().send(&[Line::Enable, Line::Vni(1001)], Instant::now());
        assert_eq!(bytes, b"enable\0vni 1001\0");
    }

    #[test]
    fn replies_are_the_same_however_the_bytes_are_cut() {
        let wire = b"\0\0\0\0% Unknown\n\0\0\0\x02\0\0\0\0";
        for cut in 0..wire.len() {
            let (mut session, now) = asked(&[Line::Enable, Line::VrfProbe, Line::End]);
            let mut replies = session.receive(&wire[..cut], now).unwrap();
            replies.extend(session.receive(&wire[cut..], now).unwrap());
            let seen: Vec<_> = replies.iter().map(|r| (r.line, r.text.as_str(), r.status.0)).collect();
            let wished = [(Line::Enable, "", 0), (Line::VrfProbe, "% Unknown\n", 2), (Line::End, "", 0)];
            assert_eq!(seen, wished, "cut at {cut}");
            assert_eq!((session.owed(), session.deadline()), (0, None));
        }
    }

    #[test]
    fn broken_replies_end_the_dialogue() {
        let (mut session, now) = asked(&[Line::Enable]);
        assert_eq!(session.receive(b"\0\0x", now), Err(SessionError::Framing));
        let (mut session, now) = asked(&[Line::Enable]);
        assert_eq!(session.receive(b"\0\0\0\0\0\0\0\0", now), Err(SessionError::Unasked));
        assert_eq!(Session::default().receive(b"hello", now), Err(SessionError::Unasked));
    }

    #[test]
    fn a_reply_without_end_is_not_gathered_for_ever() {
        let (mut session, now) = asked(&[Line::ShowRunning]);
        let block = vec![b'x'; REPLY_MAX / 2];
        assert_eq!(session.receive(&block, now), Ok(vec![]));
        assert_eq!(session.receive(&block, now), Ok(vec![]));
        assert_eq!(session.receive(b"x", now), Err(SessionError::TooLong));
    }

    #[test]
    fn patience_is_renewed_by_every_byte_and_ends() {
        let (mut session, start) = asked(&[Line::ShowRunning]);
        let later = start + PATIENCE / 2;
        session.receive(b"frr version", later).unwrap();
        assert_eq!(session.check(start + PATIENCE), Ok(()));
        assert_eq!(session.check(later + PATIENCE), Err(SessionError::Silent(Line::ShowRunning)));
    }
}
