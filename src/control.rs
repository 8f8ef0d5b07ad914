//! The control socket: a unix socket for owner and group, one JSON object per line in each direction.
//!
//! docs/control-socket.md has requests and answers with examples. The page and the metrics ask the same questions by the
//! same channel. The loop only gathers an answer; it is written as JSON outside of it.

use std::{
    fs,
    io::{self, ErrorKind},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::reconcile::{Drain, PrefixStatus, Status, Summary};

/// The longest request, in bytes.
const MAX_REQUEST: u64 = 4096;

/// How many addresses one answer holds at most.
pub const MAX_PREFIXES: usize = 1000;

/// How long the loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// The status as a whole.
    Status,
    /// Whether all stands, in a few numbers.
    Summary,
    /// The addresses of a VNI with their state, 1000 at a time.
    Prefixes {
        /// The VNI.
        vni: u32,
        /// Those behind this one; None: from the first.
        #[serde(default)]
        after: Option<IpAddr>,
    },
    /// Where an address stands, in every VNI that has it.
    Find {
        /// The address.
        address: IpAddr,
    },
    /// Let go of what the brake holds.
    Release,
    /// Advertise less preferred from now on.
    Drain {
        /// Withdraw after so many seconds; None: not at all.
        #[serde(default)]
        withdraw_after: Option<u32>,
    },
    /// Drain no more.
    Undrain,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `status`.
    Status(Box<Status>),
    /// To `summary`.
    Summary(Summary),
    /// To `prefixes` and `find`.
    Prefixes {
        /// The addresses.
        prefixes: Vec<PrefixStatus>,
    },
    /// To `release`.
    Released {
        /// How many prefixes are withdrawn.
        released: usize,
    },
    /// To `drain` and `undrain`.
    Drain {
        /// How far the node is drained now.
        drain: Drain,
    },
    /// There is none, for this reason.
    Error {
        /// Why.
        error: String,
    },
}

/// A question on its way to the loop.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes. Who asked may be gone.
    pub answer: oneshot::Sender<Answer>,
}

/// The way to the loop.
pub type Questions = mpsc::Sender<Asked>;

/// Asks the loop.
pub async fn ask(questions: &Questions, request: Request) -> Answer {
    let (answer, answered) = oneshot::channel();
    let error = |error: &str| Answer::Error { error: error.to_owned() };
    let asking = async {
        if questions.send(Asked { request, answer }).await.is_err() {
            return error("the agent is ending");
        }
        answered.await.unwrap_or_else(|_| error("the agent is ending"))
    };
    let late = |_| error("the agent's loop does not answer");
    timeout(PATIENCE, asking).await.unwrap_or_else(late)
}

/// An answer as JSON, written on a thread of its own: a thousand tenants are some hundred kilobytes.
pub async fn json(answer: Answer) -> String {
    let write = tokio::task::spawn_blocking(move || serde_json::to_string(&answer));
    match write.await {
        Ok(Ok(json)) => json,
        Ok(Err(error)) => serde_json::json!({ "error": error.to_string() }).to_string(),
        Err(_) => r#"{"error":"the answer could not be written"}"#.to_owned(),
    }
}

/// Listens on this path. Whoever holds the agent's lock owns the path: an old socket is replaced.
pub fn serve(path: &Path, questions: Questions) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, questions.clone()))),
                // Out of descriptors, say: that passes.
                Err(error) => {
                    tracing::warn!(%error, "control socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(mut stream: UnixStream, questions: Questions) {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        match (&mut read).take(MAX_REQUEST).read_line(&mut line).await {
            Ok(1..) => {}
            _ => return,
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => ask(&questions, request).await,
            Err(error) => Answer::Error { error: format!("not a request: {error}") },
        };
        let mut answer = json(answer).await;
        answer.push('\n');
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::status::whole_status;

    #[test]
    fn requests_are_read_as_they_are_documented() {
        let read = |text: &str| serde_json::from_str::<Request>(text).unwrap();
        assert_eq!(read(r#"{"command":"status"}"#), Request::Status);
        let prefixes = Request::Prefixes { vni: 1001, after: None };
        assert_eq!(read(r#"{"command":"prefixes","vni":1001}"#), prefixes);
        let find = Request::Find { address: [20, 0, 0, 10].into() };
        assert_eq!(read(r#"{"command":"find","address":"20.0.0.10"}"#), find);
        assert!(serde_json::from_str::<Request>(r#"{"command":"stop"}"#).is_err());
    }

    /// The fields of a JSON value with the way to each: members of lists as `[]`, names of sessions and planes as NAME,
    /// PLANE and RESULT.
    fn fields(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
        use serde_json::Value;
        let inner = |key: &str| match path {
            "" => key.to_owned(),
            "sessions" => "sessions.NAME".to_owned(),
            "operations" => "operations.PLANE".to_owned(),
            "operations.PLANE" => "operations.PLANE.RESULT".to_owned(),
            _ => format!("{path}.{key}"),
        };
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| fields(member, &inner(key), found));
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                list.iter().for_each(|member| fields(member, &format!("{path}[]"), found));
            }
            _ => drop(found.insert(path.to_owned())),
        }
    }

    #[test]
    fn every_field_of_the_status_is_documented_and_no_other() {
        let mut there = BTreeSet::new();
        fields(&serde_json::to_value(whole_status()).unwrap(), "", &mut there);
        let document = include_str!("../docs/control-socket.md");
        let table = document.split("## The status").nth(1).unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let documented: BTreeSet<String> = rows
            .flat_map(|names| names.split("`, `"))
            .map(|name| name.trim_matches('`').to_owned())
            .collect();
        assert_eq!(documented, there);
    }

    #[tokio::test]
    async fn a_loop_that_is_gone_is_an_error_and_no_silence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run").join("control.sock");
        let (questions, asked) = mpsc::channel(1);
        drop(asked);
        serve(&path, questions).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
        for (line, words) in [("{\"command\":\"status\"}\n", "ending"), ("hello\n", "not a request")] {
            stream.write_all(line.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_line(&mut answer).await.unwrap();
            assert!(answer.contains(words), "{answer}");
        }
    }
}
