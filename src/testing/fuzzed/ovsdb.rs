//! What a hostile database server can send: any bytes as the stream of a session that is live, and the typed rows of
//! whatever updates come out of it. Nothing may panic, and a typed row must be the same however the stream was split.

use std::time::Instant;

use crate::ovsdb::{
    ClientEvent,
    monitor::{TableMonitor, Where},
    row::{Replica, Row},
    session::{Config, Session},
    tables::{Bridge, Chassis, Interface, OpenVSwitch, Port, PortBinding},
    transact::Operation,
};

const SCHEMA: &[u8] = br#"{"id":3,"result":{"tables":{"Port_Binding":{"columns":{"logical_port":{},"type":{},
    "datapath":{},"chassis":{},"mac":{},"options":{},"external_ids":{},"tag":{}}}}}}"#;
const FIRST: &[u8] = br#"{"id":4,"result":[false,"00000000-0000-0000-0000-000000000001",{}]}"#;

/// Takes these bytes.
///
/// # Panics
/// If it does not hold.
pub fn takes(data: &[u8]) {
    let (&split, stream) = data.split_first().unwrap_or((&0, &[]));
    let whole = replay(&[stream]);
    let (first, second) = stream.split_at(stream.len() * usize::from(split) / 256);
    assert_eq!(whole, replay(&[first, second]));
}

/// The rows that are there when all pieces were taken, or the first one that ended the session.
fn replay(pieces: &[&[u8]]) -> Vec<String> {
    let now = Instant::now();
    let monitor = vec![TableMonitor::of::<PortBinding>(Where::All)];
    let mut session = Session::new(Config { max_message: 1 << 16, ..Config::new("OVN_Southbound", monitor) });
    session.connected(now);
    let mut tables = Tables::default();
    session.buffers().0.extend_from_slice(&[SCHEMA, FIRST].concat());
    session.received(now).expect("the greeting is good");
    // So that answers with these numbers mean something: 5 to a change of conditions, 6 to a transaction.
    session.set_conditions(vec![(PortBinding::TABLE, Where::Any(vec![]))], 1);
    session.transact(1, &[Operation::Comment("fuzz".into())]);
    for piece in pieces {
        session.buffers().0.extend_from_slice(piece);
        let alive = session.received(now).is_ok();
        while let Some(event) = session.poll_event() {
            tables.take(event);
        }
        if !alive {
            break;
        }
    }
    tables.shown()
}

#[derive(Default)]
struct Tables {
    bindings: Replica<PortBinding>,
    chassis: Replica<Chassis>,
    bridges: Replica<Bridge>,
    ports: Replica<Port>,
    interfaces: Replica<Interface>,
    switches: Replica<OpenVSwitch>,
}

impl Tables {
    fn take(&mut self, event: ClientEvent) {
        let ClientEvent::Updates(updates) = event else { return };
        for change in updates.iter() {
            let _ = match change.table {
                PortBinding::TABLE => self.bindings.apply(&change).map(drop),
                Chassis::TABLE => self.chassis.apply(&change).map(drop),
                Bridge::TABLE => self.bridges.apply(&change).map(drop),
                Port::TABLE => self.ports.apply(&change).map(drop),
                Interface::TABLE => self.interfaces.apply(&change).map(drop),
                OpenVSwitch::TABLE => self.switches.apply(&change).map(drop),
                _ => Ok(()),
            };
        }
    }

    fn shown(&self) -> Vec<String> {
        let mut rows: Vec<String> = self.bindings.iter().map(|row| format!("{row:?}")).collect();
        rows.extend(self.ports.iter().map(|row| format!("{row:?}")));
        rows.sort();
        rows
    }
}
