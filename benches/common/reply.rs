//! A server's answer with all ports of a cloud, and the agent's session that takes it, without I/O.

use std::{collections::HashMap, time::Instant};

use bgp_agent::{
    ovsdb::{
        ClientEvent,
        monitor::TableMonitor,
        row::Row,
        session::{Config, Session},
        tables::PortBinding,
    },
    southbound::feed,
};
use uuid::Uuid;

use super::cloud::{Cloud, port_uuid};

/// The bytes of a server's answers up to and including the one with all ports, cut where the client has to ask again.
pub struct Server {
    greetings: Vec<String>,
    /// The answer with all ports.
    pub reply: String,
    rows: usize,
}

impl Server {
    /// A server with this cloud.
    pub fn new(cloud: Cloud) -> Self {
        let column = |name: &&str| format!(r#""{name}":{{"type":"string"}}"#);
        let table = |asked: TableMonitor| {
            let columns: Vec<String> = [asked.columns, asked.optional].concat().iter().map(column).collect();
            format!(r#""{}":{{"columns":{{{}}}}}"#, asked.table, columns.join(","))
        };
        let tables: Vec<String> = feed::monitors(None).into_iter().map(table).collect();
        let schema =
            format!(r#"{{"name":"OVN_Southbound","version":"20.27.0","tables":{{{}}}}}"#, tables.join(","));
        let answer = |id, result: &str| format!(r#"{{"id":{id},"result":{result},"error":null}}"#);
        let rows: Vec<String> = (0..)
            .zip(cloud.ports())
            .map(|(number, port)| format!(r#""{}":{{"initial":{}}}"#, port_uuid(number), port.json()))
            .collect();
        let updates =
            format!(r#"[false,"{}",{{"Port_Binding":{{{}}}}}]"#, Uuid::from_u128(7), rows.join(","));
        Self {
            greetings: vec![answer(1, "{}"), answer(2, "[{\"rows\":[]}]"), answer(3, &schema)],
            reply: answer(4, &updates),
            rows: rows.len(),
        }
    }

    /// The agent's session, as far as the answer with all ports is the next thing that comes.
    pub fn greeted(&self) -> Session {
        let now = Instant::now();
        let mut session = Session::new(Config::new("OVN_Southbound", feed::monitors(Some("gw1"))));
        session.connected(now);
        for greeting in &self.greetings {
            session.buffers().0.extend_from_slice(greeting.as_bytes());
            session.received(now).expect("a greeting");
        }
        session.buffers().0.extend_from_slice(self.reply.as_bytes());
        session
    }

    /// From there to every row typed, as the replica takes it.
    pub fn decode(&self, mut session: Session) -> HashMap<Uuid, PortBinding> {
        session.received(Instant::now()).expect("a reply");
        let mut rows = HashMap::new();
        while let Some(event) = session.poll_event() {
            let ClientEvent::Updates(updates) = event else { continue };
            for change in updates.iter() {
                rows.insert(change.uuid, PortBinding::from_row(&change.row).expect("a port"));
            }
        }
        assert_eq!(rows.len(), self.rows);
        rows
    }
}
