//! The other end of the control socket: one question, one answer.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::control::Request;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("{0}: {1} (is bgp-agent running, and is this its control_socket?)")]
    Connect(std::path::PathBuf, io::Error),
    /// The conversation broke off.
    #[error("control socket: {0}")]
    Talk(#[from] io::Error),
    /// What came is no JSON of the expected shape.
    #[error("control socket: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Asks the agent that listens on this socket.
pub fn ask(socket: &Path, request: &Request) -> Result<serde_json::Value, AskError> {
    let mut stream =
        UnixStream::connect(socket).map_err(|error| AskError::Connect(socket.to_owned(), error))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
