//! Questions to an OVSDB server: one `select` after the other (RFC 7047, 5.2.2), answered as JSON. Nothing is written.

use std::{
    io::{self, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};

use crate::ovsdb::{Remote, Remotes, TlsOptions, tls};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of any kind.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connected server.
pub struct Database {
    remote: Remote,
    stream: BufReader<Box<dyn Stream>>,
    next: u64,
}

/// A row, by column.
pub type Row = serde_json::Map<String, Value>;

impl Database {
    /// Connects to the first of these that answers.
    ///
    /// # Errors
    /// None does; why each does not.
    pub fn open(remotes: &Remotes, tls: Option<&TlsOptions>) -> Result<Self, String> {
        let mut failed = Vec::new();
        for remote in remotes.as_slice() {
            match connect(remote, tls) {
                Ok(stream) => {
                    return Ok(Self { remote: remote.clone(), stream: BufReader::new(stream), next: 0 });
                }
                Err(error) => failed.push(format!("{remote}: {error}")),
            }
        }
        Err(failed.join("; "))
    }

    /// The same, of remotes as they are configured.
    ///
    /// # Errors
    /// They are no remotes, or none answers.
    pub fn reach(remotes: &str, tls: Option<&TlsOptions>) -> Result<Self, String> {
        let remotes: Remotes = remotes.parse().map_err(|error| format!("{error}"))?;
        Self::open(&remotes, tls)
    }

    /// All rows of a table, with these columns; none named: with all.
    ///
    /// # Errors
    /// The server refuses it or is gone.
    pub fn select(&mut self, database: &str, table: &str, columns: &[&str]) -> Result<Vec<Row>, String> {
        let mut operation = json!({ "op": "select", "table": table, "where": [] });
        if !columns.is_empty() {
            operation["columns"] = json!(columns);
        }
        self.next += 1;
        let request = json!({ "method": "transact", "params": [database, operation], "id": self.next });
        let failed = |error: &dyn std::fmt::Display| format!("{}: {table}: {error}", self.remote);
        let stream = self.stream.get_mut();
        stream.write_all(request.to_string().as_bytes()).map_err(|error| failed(&error))?;
        stream.flush().map_err(|error| failed(&error))?;
        loop {
            let mut values = serde_json::Deserializer::from_reader(&mut self.stream).into_iter::<Value>();
            let answer = match values.next() {
                Some(Ok(answer)) => answer,
                Some(Err(error)) => return Err(failed(&error)),
                None => return Err(failed(&"the connection was closed")),
            };
            // A server may ask for an echo meanwhile; it waits longer for that than this takes.
            if answer["id"] != self.next {
                continue;
            }
            let result = &answer["result"][0];
            return match result["rows"].as_array() {
                Some(rows) => Ok(rows.iter().filter_map(|row| row.as_object().cloned()).collect()),
                None => Err(failed(&format!("{} {}", answer["error"], result["error"]))),
            };
        }
    }
}

fn connect(remote: &Remote, tls: Option<&TlsOptions>) -> Result<Box<dyn Stream>, String> {
    let words = |error: io::Error| error.to_string();
    match remote {
        Remote::Unix(path) => {
            let stream = UnixStream::connect(path).map_err(words)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
            stream.set_write_timeout(Some(PATIENCE)).map_err(words)?;
            Ok(Box::new(stream))
        }
        Remote::Tcp(host, port) => Ok(Box::new(tcp(host, *port)?)),
        Remote::Ssl(host, port) => {
            let options = tls.ok_or("no files for ssl: are configured")?;
            let config = tls::client_config(options).map_err(|error| error.to_string())?;
            let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
            let session =
                ClientConnection::new(Arc::clone(&config), name).map_err(|error| error.to_string())?;
            Ok(Box::new(StreamOwned::new(session, tcp(host, *port)?)))
        }
    }
}

/// Connects to the first address of a host that takes it; one behind a firewall that says nothing is given up in time.
fn tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let words = |error: io::Error| error.to_string();
    let mut failed = format!("{host} has no address");
    for address in (host, port).to_socket_addrs().map_err(words)? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
                stream.set_write_timeout(Some(PATIENCE)).map_err(words)?;
                return Ok(stream);
            }
            Err(error) => failed = words(error),
        }
    }
    Err(failed)
}

/// A column's text; of a set, its first element's.
pub fn text(row: &Row, column: &str) -> Option<String> {
    strings(row.get(column)?).into_iter().next()
}

/// All strings, numbers and UUIDs of a value: an atom, a set, or a UUID (RFC 7047, 5.1).
pub fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(flag) => vec![flag.to_string()],
        Value::Array(pair) => match &**pair {
            [Value::String(kind), Value::String(uuid)] if kind.contains("uuid") => vec![uuid.clone()],
            [Value::String(kind), Value::Array(set)] if kind == "set" => {
                set.iter().flat_map(strings).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The value of a key in a map column.
pub fn entry(row: &Row, column: &str, key: &str) -> Option<String> {
    let pairs = row.get(column)?.as_array()?.get(1)?.as_array()?;
    let found = pairs.iter().find(|pair| pair[0] == key)?;
    found[1].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn rows_are_read_past_a_servers_own_question() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
            let rows = json!([{ "rows": [{
                "name": "br-ex",
                "ports": ["set", [["uuid", "u1"], ["uuid", "u2"]]],
                "external_ids": ["map", [["a", "1"], ["b", "2"]]],
            }] }]);
            write!(
                stream,
                "{}{}",
                json!({"id": "echo", "method": "echo", "params": []}),
                json!({"id": 1, "result": rows})
            )
            .unwrap();
        });
        let remotes: Remotes = format!("unix:{}", path.display()).parse().unwrap();
        let rows = Database::open(&remotes, None).unwrap().select("D", "Bridge", &["name"]).unwrap();
        assert_eq!(text(&rows[0], "name").as_deref(), Some("br-ex"));
        assert_eq!(strings(&rows[0]["ports"]), ["u1", "u2"]);
        assert_eq!(entry(&rows[0], "external_ids", "b").as_deref(), Some("2"));
        server.join().unwrap();
    }
}
