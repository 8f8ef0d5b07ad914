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

/// How long for its first answer, where there are others to turn to.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A connection of any kind.
trait Stream: Read + Write {
    /// From now on no read and no write takes longer.
    fn limit(&self, patience: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

impl Stream for TcpStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

impl Stream for TlsStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.sock.limit(patience)
    }
}

/// A connected server.
pub struct Database {
    remote: Remote,
    stream: BufReader<Box<dyn Stream>>,
    next: u64,
}

/// A row, by column.
pub type Row = serde_json::Map<String, Value>;

impl Database {
    /// Connects to the first of these that answers, and has not lost its cluster.
    ///
    /// # Errors
    /// None does; why each does not.
    pub fn open(remotes: &Remotes, tls: Option<&TlsOptions>) -> Result<Self, String> {
        let mut failed = Vec::new();
        for remote in remotes.as_slice() {
            let is_last = remotes.as_slice().last() == Some(remote);
            match Self::at(remote, tls, if is_last { PATIENCE } else { FIRST_PATIENCE }) {
                Ok(database) => return Ok(database),
                Err(error) => failed.push(format!("{remote}: {error}")),
            }
        }
        Err(failed.join("; "))
    }

    /// Connects to this one, and asks it something: a kernel takes connections for a process that hangs, too.
    fn at(remote: &Remote, tls: Option<&TlsOptions>, patience: Duration) -> Result<Self, String> {
        let stream = BufReader::new(connect(remote, tls, patience)?);
        let mut database = Self { remote: remote.clone(), stream, next: 0 };
        let lost = json!({
            "op": "select", "table": "Database", "where": [["connected", "==", false]], "columns": ["name"],
        });
        // A server of before OVS 2.9 has no _Server, and says so.
        let answer = database.transact("_Server", &lost).map_err(words)?;
        if let Some(name) = answer["result"][0]["rows"][0]["name"].as_str() {
            return Err(format!("it has lost the other members of its cluster for {name}"));
        }
        database.stream.get_ref().limit(PATIENCE).map_err(words)?;
        Ok(database)
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
        let answer = self.transact(database, &operation);
        let failed = |error: String| format!("{}: {table}: {error}", self.remote);
        let answer = answer.map_err(|error| failed(words(error)))?;
        let result = &answer["result"][0];
        match result["rows"].as_array() {
            Some(rows) => Ok(rows.iter().filter_map(|row| row.as_object().cloned()).collect()),
            None => Err(failed(format!("{} {}", answer["error"], result["error"]))),
        }
    }

    /// The answer to a transaction of one operation.
    fn transact(&mut self, database: &str, operation: &Value) -> io::Result<Value> {
        self.next += 1;
        let request = json!({ "method": "transact", "params": [database, operation], "id": self.next });
        let stream = self.stream.get_mut();
        stream.write_all(request.to_string().as_bytes())?;
        stream.flush()?;
        loop {
            let mut values = serde_json::Deserializer::from_reader(&mut self.stream).into_iter::<Value>();
            let closed = || io::Error::other("the connection was closed");
            let answer = values.next().ok_or_else(closed)??;
            // A server may ask for an echo meanwhile; it waits longer for that than this takes.
            if answer["id"] == self.next {
                return Ok(answer);
            }
        }
    }
}

/// An error as an operator understands it: a limit that has passed is `Resource temporarily unavailable` otherwise.
fn words(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        _ => format!("{error}{}", tls::hint(&error)),
    }
}

fn connect(remote: &Remote, tls: Option<&TlsOptions>, patience: Duration) -> Result<Box<dyn Stream>, String> {
    let stream: Box<dyn Stream> = match remote {
        Remote::Unix(path) => Box::new(UnixStream::connect(path).map_err(words)?),
        Remote::Tcp(host, port) => Box::new(tcp(host, *port, patience)?),
        Remote::Ssl(host, port) => {
            let options = tls.ok_or("no files for ssl: are configured")?;
            let config = tls::client_config(options).map_err(|error| error.to_string())?;
            let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
            let session =
                ClientConnection::new(Arc::clone(&config), name).map_err(|error| error.to_string())?;
            Box::new(TlsStream::new(session, tcp(host, *port, patience)?))
        }
    };
    stream.limit(patience).map_err(words)?;
    Ok(stream)
}

/// Connects to the first address of a host that takes it; one behind a firewall that says nothing is given up in time.
fn tcp(host: &str, port: u16, patience: Duration) -> Result<TcpStream, String> {
    let mut failed = format!("{host} has no address");
    for address in (host, port).to_socket_addrs().map_err(words)? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
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
    use std::net::TcpListener;

    use super::*;

    /// A server that takes one connection, says one of these to each question, and then closes it; gives its remote.
    fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = format!("tcp:{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        remote
    }

    fn rows(id: u64, rows: Value) -> String {
        json!({ "id": id, "error": null, "result": [{ "rows": rows }] }).to_string()
    }

    fn open(remotes: &[String]) -> Result<Database, String> {
        Database::reach(&remotes.join(","), None)
    }

    #[test]
    fn rows_are_read_past_a_servers_own_question() {
        let bridge = json!([{
            "name": "br-ex",
            "ports": ["set", [["uuid", "u1"], ["uuid", "u2"]]],
            "external_ids": ["map", [["a", "1"], ["b", "2"]]],
        }]);
        let echo = json!({"id": "echo", "method": "echo", "params": []}).to_string();
        let remote = server(vec![rows(1, json!([])), echo + &rows(2, bridge)]);
        let rows = open(&[remote]).unwrap().select("D", "Bridge", &["name"]).unwrap();
        assert_eq!(text(&rows[0], "name").as_deref(), Some("br-ex"));
        assert_eq!(strings(&rows[0]["ports"]), ["u1", "u2"]);
        assert_eq!(entry(&rows[0], "external_ids", "b").as_deref(), Some("2"));
    }

    #[test]
    fn one_that_says_nothing_or_has_lost_its_cluster_is_passed_over() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = (format!("tcp:{}", silent.local_addr().unwrap()), silent);
        let closes = server(vec![]);
        let lost = server(vec![rows(1, json!([{ "name": "OVN_Southbound" }]))]);
        let serves = server(vec![rows(1, json!([])), rows(2, json!([{ "name": "gw1" }]))]);
        let mut database = open(&[silent.0.clone(), closes, lost, serves]).unwrap();
        assert_eq!(database.select("OVN_Southbound", "Chassis", &["name"]).unwrap().len(), 1);
    }

    #[test]
    fn where_none_serves_each_ones_reason_is_said() {
        let closes = server(vec![]);
        let lost = server(vec![rows(1, json!([{ "name": "OVN_Southbound" }]))]);
        let error = open(&[closes.clone(), lost.clone()]).err().unwrap();
        let reasons = [
            format!("{closes}: "),
            format!("; {lost}: it has lost the other members of its cluster for OVN_Southbound"),
        ];
        assert!(reasons.iter().all(|reason| error.contains(reason)), "{error}");
    }

    #[test]
    fn a_server_without_a_database_of_its_own_state_is_taken() {
        let unknown =
            json!({ "id": 1, "result": null, "error": { "error": "unknown database" } }).to_string();
        let mut database = open(&[server(vec![unknown, rows(2, json!([{ "name": "gw1" }]))])]).unwrap();
        assert_eq!(database.select("OVN_Southbound", "Chassis", &["name"]).unwrap().len(), 1);
    }
}
