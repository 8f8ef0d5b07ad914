//! The other end of the control socket: one question, one answer.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::text::plain;
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
    /// The agent has no answer, for this reason.
    #[error("the agent says: {0}")]
    Refused(String),
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
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    match answer["error"].as_str() {
        Some(error) => Err(AskError::Refused(plain(error))),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_error_in_place_of_an_answer_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let agent = std::thread::spawn(move || {
            for line in
                ["{\"error\":\"the agent's loop does not answer\\u001b\"}\n", "{\"converged\":true}\n"]
            {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = BufReader::new(stream);
                stream.read_line(&mut String::new()).unwrap();
                stream.get_mut().write_all(line.as_bytes()).unwrap();
            }
        });
        let error = ask(&path, &Request::Status).unwrap_err().to_string();
        assert_eq!(error, "the agent says: the agent's loop does not answer\\u{1b}");
        assert_eq!(ask(&path, &Request::Summary).unwrap()["converged"], true);
        agent.join().unwrap();
    }
}
