//! The plane's session where a real server is no help: what it sends for each answer, and what no server should say.

use std::time::Instant;

use super::*;
use crate::{
    model::{IfName, Vni},
    ovsdb::{
        self,
        monitor::{TableMonitor, Where},
        tables::{Bridge, Interface, OpenVSwitch, Port},
        transact,
    },
    planes::{
        Verb,
        vswitch::object::{OvsPort, PortName},
    },
};

const BRIDGE: &str = "11111111-1111-4111-8111-111111111111";

/// A client's session that is live with no row, to make events of messages.
fn client() -> ovsdb::session::Session {
    let monitor = vec![
        TableMonitor::of::<OpenVSwitch>(Where::All),
        TableMonitor::of::<Bridge>(Where::All),
        TableMonitor::of::<Port>(Where::All),
        TableMonitor::of::<Interface>(Where::All),
    ];
    let mut client = ovsdb::session::Session::new(ovsdb::session::Config::new("Open_vSwitch", monitor));
    client.connected(Instant::now());
    let id = asked(&mut client, "get_schema");
    let schema = r#"{"tables":{"Open_vSwitch":{"columns":{"external_ids":{}}},
        "Bridge":{"columns":{"name":{},"ports":{},"datapath_type":{}}},
        "Port":{"columns":{"name":{},"interfaces":{},"tag":{},"external_ids":{}}},
        "Interface":{"columns":{"name":{},"type":{},"ofport":{}}}}}"#;
    client.buffers().0.extend_from_slice(format!(r#"{{"id":{id},"result":{schema}}}"#).as_bytes());
    client.received(Instant::now()).unwrap();
    client
}

/// The number under which the client asks this.
fn asked(client: &mut ovsdb::session::Session, method: &str) -> u64 {
    let sent = client.buffers().1.split();
    let mut messages = serde_json::Deserializer::from_slice(&sent).into_iter::<serde_json::Value>();
    let request = messages.find(|message| message.as_ref().unwrap()["method"] == method);
    request.expect("it is asked").unwrap()["id"].as_u64().unwrap()
}

fn pass(client: &mut ovsdb::session::Session, session: &mut Session, text: &str) {
    client.buffers().0.extend_from_slice(text.as_bytes());
    client.received(Instant::now()).unwrap();
    while let Some(event) = client.poll_event() {
        session.event(event);
    }
}

fn update(client: &mut ovsdb::session::Session, session: &mut Session, updates: &str) {
    let nil = uuid::Uuid::nil();
    let text = format!(r#"{{"id":null,"method":"update3","params":["data","{nil}",{updates}]}}"#);
    pass(client, session, &text);
}

/// A session that is live with br-ex.
fn live() -> (ovsdb::session::Session, Session) {
    let (mut client, mut session) = (client(), Session::default());
    let rows = format!(r#"{{"Bridge":{{"{BRIDGE}":{{"initial":{{"name":"br-ex"}}}}}}}}"#);
    let id = asked(&mut client, "monitor_cond_since");
    let reply = format!(r#"{{"id":{id},"result":[false,"{}",{rows}]}}"#, uuid::Uuid::nil());
    pass(&mut client, &mut session, &reply);
    assert!(matches!(session.poll_report(), Some(Report::Whole(objects)) if objects.len() == 2));
    (client, session)
}

fn create(vni: u32) -> Operation<VswitchObject> {
    let (bridge, name): (IfName, IfName) =
        ("br-ex".parse().unwrap(), format!("veth-ovs-{vni}").parse().unwrap());
    let port = OvsPort::wished(bridge, name, Vni::new(vni).unwrap());
    Operation { verb: Verb::Create, object: VswitchObject::Port(port) }
}

fn apply(session: &mut Session, vnis: std::ops::RangeInclusive<u32>) {
    session.command(Command::Apply { id: 1, operations: vnis.map(create).collect() });
}

/// The transaction that the session sends: its number, and the names of the ports it makes.
fn transaction(session: &mut Session) -> (u64, Vec<String>) {
    let Some(ClientCommand::Transact { id, operations }) = session.poll_command() else {
        panic!("nothing is sent")
    };
    assert!(session.poll_command().is_none());
    let names = operations.iter().filter_map(|operation| match operation {
        transact::Operation::Insert { table: "Port", row, .. } => Some(format!("{:?}", row[0].1)),
        _ => None,
    });
    (id, names.map(|name| name.replace("Text(\"veth-ovs-", "").replace("\")", "")).collect())
}

fn refuse(session: &mut Session, id: u64, operation: Option<usize>) {
    let refusal = Refusal { operation, error: "an error".into(), words: "in words".into() };
    session.event(ClientEvent::TransactReply { id, answer: Answer::Refused(refusal) });
}

fn commit(session: &mut Session, id: u64) {
    session.event(ClientEvent::TransactReply { id, answer: Answer::Committed(vec![]) });
}

fn results(session: &mut Session) -> Vec<Outcome> {
    match session.poll_report() {
        Some(Report::Results { id: 1, outcomes }) => outcomes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_culprit_is_left_out_and_the_others_are_tried_again() {
    let (_, mut session) = live();
    apply(&mut session, 1..=3);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["1", "2", "3"]);
    // Each takes five steps; the seventh requires that nobody else made the second port.
    refuse(&mut session, id, Some(6));
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["1", "3"]);
    commit(&mut session, id);
    let why = "somebody else made a port veth-ovs-2 at the same time".to_owned();
    assert_eq!(results(&mut session), [Outcome::Done, Outcome::Failed(why), Outcome::Done]);
}

#[test]
fn a_commit_that_fails_is_split() {
    let (_, mut session) = live();
    apply(&mut session, 1..=4);
    let (id, _) = transaction(&mut session);
    refuse(&mut session, id, None);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["1", "2"]);
    commit(&mut session, id);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["3", "4"]);
    refuse(&mut session, id, None);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["3"]);
    refuse(&mut session, id, None);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["4"]);
    commit(&mut session, id);
    let failed = Outcome::Failed("in words".into());
    assert_eq!(results(&mut session), [Outcome::Done, Outcome::Done, failed, Outcome::Done]);
}

#[test]
fn commands_are_carried_out_one_after_the_other() {
    let (_, mut session) = live();
    apply(&mut session, 1..=1);
    apply(&mut session, 2..=2);
    let (id, names) = transaction(&mut session);
    assert_eq!(names, ["1"]);
    commit(&mut session, id);
    assert_eq!(results(&mut session), [Outcome::Done]);
    assert_eq!(transaction(&mut session).1, ["2"]);
}

#[test]
fn without_a_session_everything_is_unknown() {
    let (_, mut session) = live();
    apply(&mut session, 1..=2);
    apply(&mut session, 3..=3);
    let (id, _) = transaction(&mut session);
    session.event(ClientEvent::TransactReply { id, answer: Answer::Unknown });
    assert_eq!(results(&mut session), [Outcome::Unknown, Outcome::Unknown]);
    assert_eq!(results(&mut session), [Outcome::Unknown]);
    session.event(ClientEvent::Down("gone".into()));
    assert!(matches!(session.poll_report(), Some(Report::Down(reason)) if reason == "gone"));
    session.event(ClientEvent::Down("gone".into()));
    assert!(session.poll_report().is_none(), "the same reason is told once");
    session.command(Command::Read);
    assert!(matches!(session.poll_report(), Some(Report::Down(reason)) if reason == "gone"));
}

#[test]
fn a_change_of_a_row_never_seen_reads_all_anew() {
    let (mut client, mut session) = live();
    let strange = "22222222-2222-4222-8222-222222222222";
    update(&mut client, &mut session, &format!(r#"{{"Port":{{"{strange}":{{"modify":{{"tag":5}}}}}}}}"#));
    assert!(matches!(session.poll_command(), Some(ClientCommand::Resync)));
    let Some(Report::Down(reason)) = session.poll_report() else { panic!() };
    assert!(reason.contains(&format!("row {strange} of Port changed, but was never seen")), "{reason}");
}

#[test]
fn a_row_that_cannot_be_read_is_left_out() {
    let (mut client, mut session) = live();
    let (port, interface) = ("33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444");
    let rows = format!(
        r#"{{"Bridge":{{"{BRIDGE}":{{"modify":{{"ports":["uuid","{port}"]}}}}}},
            "Interface":{{"{interface}":{{"insert":{{"name":"eth1","ofport":"three"}}}}}},
            "Port":{{"{port}":{{"insert":{{"name":"eth1","interfaces":["uuid","{interface}"]}}}}}}}}"#
    );
    update(&mut client, &mut session, &rows);
    let Some(Report::Changed(changes)) = session.poll_report() else { panic!() };
    let [planes::Change::Present(VswitchObject::Port(seen))] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&seen.name, seen.ofport), (&PortName::new("eth1"), None));
}
