//! The session against messages of a real server (fixtures/ovsdb), and against messages no server should send.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ovsdb::{
    monitor::TableMonitor,
    tables::{Chassis, PortBinding},
    updates::Origin,
};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../fixtures/ovsdb/", $name, ".json"))
    };
}

fn kind(kind: &str) -> Where {
    Where::Any(vec![Condition::equal("type", kind)])
}

fn session() -> Session {
    let monitor =
        vec![TableMonitor::of::<PortBinding>(kind("patch")), TableMonitor::of::<Chassis>(Where::All)];
    Session::new(Config::new("OVN_Southbound", monitor))
}

/// What the session wants to send, as JSON values.
fn sent(session: &mut Session) -> Vec<serde_json::Value> {
    let bytes = session.buffers().1.split();
    serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect()
}

/// The server says this.
fn told(session: &mut Session, text: &str) -> Result<Vec<ClientEvent>, ProtocolError> {
    session.buffers().0.extend_from_slice(text.as_bytes());
    session.received(Instant::now())?;
    Ok(std::iter::from_fn(|| session.poll_event()).collect())
}

/// The answer with the number of the request that the session sent last under this method.
fn answer(session: &mut Session, golden: &str, method: &str) -> Result<Vec<ClientEvent>, ProtocolError> {
    let requests = sent(session);
    let request = requests.iter().rev().find(|request| request["method"] == method);
    let id = request.unwrap_or_else(|| panic!("no {method} in {requests:?}"))["id"].to_string();
    let (_, rest) = golden.strip_prefix(r#"{"id":"#).unwrap().split_once(',').unwrap();
    told(session, &format!(r#"{{"id":{id},{rest}"#))
}

/// A session whose first rows are there.
fn live() -> (Session, Replica<PortBinding>) {
    let mut session = session();
    session.connected(Instant::now());
    let events = answer(&mut session, golden!("get-schema"), "get_schema").unwrap();
    assert!(matches!(&events[..], [ClientEvent::Up { absent }] if absent.is_empty()));
    let events = answer(&mut session, golden!("monitor-reply"), "monitor_cond_since").unwrap();
    let mut ports = Replica::default();
    take(&mut ports, &events);
    (session, ports)
}

fn take(ports: &mut Replica<PortBinding>, events: &[ClientEvent]) {
    for event in events {
        let ClientEvent::Updates(updates) = event else { continue };
        for change in updates.iter().filter(|change| change.table == PortBinding::TABLE) {
            ports.apply(&change).unwrap();
        }
    }
}

fn port<'p>(ports: &'p Replica<PortBinding>, name: &str) -> &'p PortBinding {
    ports.iter().map(|(_, port)| port).find(|port| &*port.logical_port == name).unwrap()
}

#[test]
fn rows_of_a_real_server_are_read() {
    let (mut session, mut ports) = live();
    let p1 = port(&ports, "p-1");
    let macs: Vec<_> = p1.mac.iter().collect();
    assert_eq!(macs, ["fa:16:3e:00:00:02 10.0.0.1/24", "fa:16:3e:00:00:03 10.0.0.9 2001:db8::9"]);
    let annotations: Vec<_> = p1.external_ids.iter().collect();
    let expected =
        [("neutron:cidrs", "10.0.0.1/24"), ("neutron_bgpvpn:as", "64999"), ("neutron_bgpvpn:vni", "1001")];
    assert_eq!(annotations, expected);
    assert_eq!((p1.tag, p1.options.get("peer")), (None, Some("lrp-1")));
    let gateway = port(&ports, "cr-lrp-1");
    assert!(gateway.chassis.is_some());
    assert_eq!(gateway.options.iter().collect::<Vec<_>>(), [("distributed-port", "lrp-1")]);

    take(&mut ports, &told(&mut session, golden!("update3-insert")).unwrap());
    assert_eq!(ports.len(), 3);
    take(&mut ports, &told(&mut session, golden!("update3-modify")).unwrap());
    let p1 = port(&ports, "p-1");
    assert_eq!(p1.mac.iter().collect::<Vec<_>>(), ["fa:16:3e:00:00:02 10.0.0.1/24", "unknown"]);
    assert_eq!(p1.external_ids.get("neutron_bgpvpn:vni"), Some("1002"));
    assert_eq!(p1.external_ids.get("neutron_bgpvpn:type"), Some("l3"));
    assert_eq!(p1.tag, Some(7));
    let gateway = port(&ports, "cr-lrp-1");
    assert!(gateway.chassis.is_none() && gateway.mac.is_empty());
    take(&mut ports, &told(&mut session, golden!("update3-delete")).unwrap());
    assert_eq!(ports.len(), 2);
}

#[test]
fn a_changed_condition_is_applied_after_its_rows() {
    let (mut session, mut ports) = live();
    session.set_conditions(vec![("Port_Binding", kind("localnet"))], 1);
    let request = &sent(&mut session)[0];
    let expected =
        serde_json::json!(["data", "data", {"Port_Binding": [{"where": [["type", "==", "localnet"]]}]}]);
    assert_eq!(request["params"], expected);
    let (update, reply) = golden!("cond-change").split_once("}{").unwrap();
    let reply = reply.replace("\"id\":2", &format!("\"id\":{}", request["id"]));
    let events = told(&mut session, &format!("{update}}}{{{reply}")).unwrap();
    assert!(matches!(&events[..], [ClientEvent::Updates(_), ClientEvent::ConditionsApplied { serial: 1 }]));
    take(&mut ports, &events);
    assert_eq!(ports.len(), 1);
    assert_eq!(port(&ports, "quoted \"name\" \\ ü \u{1}").tag, Some(100));
}

#[test]
fn only_one_change_of_conditions_is_under_way() {
    let (mut session, _) = live();
    for serial in 1..=3 {
        session.set_conditions(vec![("Port_Binding", kind(&serial.to_string()))], serial);
    }
    let first = sent(&mut session);
    assert_eq!(first.len(), 1);
    let events = told(&mut session, &format!(r#"{{"id":{},"result":{{}}}}"#, first[0]["id"])).unwrap();
    assert!(matches!(&events[..], [ClientEvent::ConditionsApplied { serial: 1 }]));
    let next = sent(&mut session);
    assert_eq!(next[0]["params"][2]["Port_Binding"][0]["where"][0][2], "3", "the second was overtaken");
}

#[test]
fn a_reconnect_goes_on_where_it_was() {
    let (mut session, _) = live();
    told(&mut session, golden!("update3-delete")).unwrap();
    session.disconnected();
    session.set_conditions(vec![("Port_Binding", kind("localnet"))], 4);
    session.connected(Instant::now());
    answer(&mut session, golden!("get-schema"), "get_schema").unwrap();
    let events = answer(&mut session, golden!("monitor-reply-resumed"), "monitor_cond_since").unwrap();
    assert!(matches!(&events[..], [ClientEvent::Updates(updates)] if updates.origin == Origin::Resume));
    let change = &sent(&mut session)[0];
    assert_eq!(
        change["method"], "monitor_cond_change",
        "the new wish follows when the old rows are complete"
    );
}

#[test]
fn what_a_reconnect_asks_for_depends_on_what_the_server_knows() {
    let asked = |session: &mut Session| {
        session.disconnected();
        session.connected(Instant::now());
        answer(session, golden!("get-schema"), "get_schema").unwrap();
        let request = sent(session).remove(0);
        let rows = request["params"][2]["Port_Binding"][0]["where"][0][2].clone();
        (rows, request["params"][3].as_str().unwrap().to_owned())
    };
    let nil = Uuid::nil().to_string();
    let (mut session, _) = live();
    session.disconnected();
    session.set_conditions(vec![("Port_Binding", kind("new"))], 1);
    let (rows, transaction) = asked(&mut session);
    assert_eq!(rows, "patch", "the conditions that the replica was made with");
    assert_ne!(transaction, nil);

    let (mut session, _) = live();
    session.set_conditions(vec![("Port_Binding", kind("new"))], 1);
    assert_eq!(asked(&mut session), ("new".into(), nil.clone()), "a change whose answer was lost: all anew");

    let (mut session, _) = live();
    session.forget();
    assert_eq!(asked(&mut session).1, nil);
}

#[test]
fn a_member_without_its_cluster_is_left() {
    let mut session = session();
    session.connected(Instant::now());
    let reply = golden!("server-monitor-reply");
    assert_eq!(answer(&mut session, reply, "monitor_cond").unwrap().len(), 0);
    let alone = r#"{"id":null,"method":"update2","params":["server",{"Database":
        {"7909249d-5a13-4586-ae98-6e02a65e8ca6":{"modify":{"connected":false}}}}]}"#;
    let error = told(&mut session, alone).unwrap_err().to_string();
    assert!(error.contains("lost the other members"), "{error}");
}

#[test]
fn transactions_are_answered_each() {
    let (mut session, _) = live();
    let operations = vec![Operation::Comment("words".into()); 6];
    session.transact(1, &operations);
    let events = answer(&mut session, golden!("transact-reply"), "transact").unwrap();
    let [ClientEvent::TransactReply { id: 1, answer: Answer::Committed(results) }] = &events[..] else {
        panic!("{events:?}")
    };
    let counts: Vec<_> = results.iter().map(|result| result.count).collect();
    assert_eq!(counts, [None, Some(1), Some(1), Some(1), None, None]);

    let mut refused = |golden: &str, operations: usize| {
        session.transact(2, &vec![Operation::Comment("words".into()); operations]);
        let events = answer(&mut session, golden, "transact").unwrap();
        match &events[..] {
            [ClientEvent::TransactReply { answer: Answer::Refused(refusal), .. }] => {
                (refusal.operation, refusal.error.to_string())
            }
            other => panic!("{other:?}"),
        }
    };
    let violation = "constraint violation".to_owned();
    assert_eq!(refused(golden!("transact-operation-error"), 3), (Some(1), violation));
    let at_commit = (None, "referential integrity violation".to_owned());
    assert_eq!(refused(golden!("transact-commit-error"), 2), at_commit);
    assert_eq!(refused(golden!("transact-wait-error"), 1), (Some(0), "timed out".to_owned()));
    assert_eq!(refused(golden!("unknown-database"), 1).0, None);

    session.transact(3, &operations);
    session.disconnected();
    let event = session.poll_event();
    assert!(
        matches!(event, Some(ClientEvent::TransactReply { id: 3, answer: Answer::Unknown })),
        "{event:?}"
    );
}

#[test]
fn silence_is_probed_once_then_the_end() {
    let (mut session, _) = live();
    let start = Instant::now();
    let interval = Duration::from_secs(5);
    session.heard(start);
    sent(&mut session);
    session.tick(start + interval / 2).unwrap();
    assert!(sent(&mut session).is_empty());
    session.tick(start + interval).unwrap();
    assert_eq!(sent(&mut session)[0]["method"], "echo");
    assert_eq!(session.deadline(), Some(start + 2 * interval));
    let error = session.tick(start + 2 * interval).unwrap_err().to_string();
    assert!(error.contains("has not said anything for 10 s"), "{error}");
}

#[test]
fn the_time_for_silence_can_be_changed() {
    let (mut session, _) = live();
    let start = Instant::now();
    session.set_probe_interval(Some(Duration::from_secs(60)), start);
    assert_eq!(session.deadline(), Some(start + Duration::from_secs(60)));
    session.set_probe_interval(None, start);
    assert_eq!(session.deadline(), None);
    session.tick(start + Duration::from_secs(3600)).unwrap();
    assert!(sent(&mut session).is_empty());
}

#[test]
fn a_server_that_is_at_work_for_us_has_more_time_each_time() {
    let (mut session, _) = live();
    let interval = Duration::from_secs(5);
    let lasts = |session: &mut Session| {
        let start = Instant::now();
        session.heard(start);
        session.tick(start + interval).unwrap();
        session.deadline().unwrap() - start
    };
    session.requests.asked.clear();
    session.have_patience();
    assert_eq!(lasts(&mut session), 2 * interval, "nothing is asked for");
    session.transact(7, &[]);
    assert_eq!(lasts(&mut session), 3 * interval);
    assert!(session.tick(Instant::now() + 4 * interval).unwrap_err().to_string().contains("for 15 s"));
    assert!(session.was_silent() && !session.was_silent());
    for _ in 0..20 {
        session.have_patience();
    }
    assert_eq!(lasts(&mut session), 65 * interval);
    session.set_probe_interval(Some(Duration::from_secs(1)), Instant::now());
    let start = Instant::now();
    session.heard(start);
    session.tick(start + Duration::from_secs(1)).unwrap();
    assert_eq!(session.deadline(), Some(start + Duration::from_secs(1) + MOST_PATIENCE));
    let minute = Duration::from_secs(60);
    session.set_probe_interval(Some(minute), Instant::now());
    let start = Instant::now();
    session.heard(start);
    session.tick(start + minute).unwrap();
    assert_eq!(session.deadline(), Some(start + minute + MOST_PATIENCE));
}

#[test]
fn the_servers_echo_is_answered() {
    let (mut session, _) = live();
    told(&mut session, golden!("echo-request")).unwrap();
    assert_eq!(sent(&mut session), [serde_json::json!({"id": "echo", "result": [], "error": null})]);
    told(&mut session, r#"{"id":1,"method":"lock","params":[]}"#).unwrap();
    assert_eq!(sent(&mut session), [serde_json::json!({"id": 1, "result": null, "error": "unknown method"})]);
    let long = format!(r#"{{"id":1,"method":"echo","params":["{}"]}}"#, "x".repeat(MAX_REQUEST));
    assert!(told(&mut session, &long).is_err());
}

#[test]
fn one_bad_row_spoils_itself_alone() {
    let (mut session, mut ports) = live();
    let good = "11111111-1111-4111-8111-111111111111";
    let bad = "22222222-2222-4222-8222-222222222222";
    let text = format!(
        r#"{{"method":"update3","id":null,"params":["data","{good}",{{"Port_Binding":{{
            "{bad}":{{"insert":{{"logical_port":"x","tag":70000}}}},"{good}":{{"insert":{{"logical_port":"y"}}}}}}}}]}}"#
    );
    let events = told(&mut session, &text).unwrap();
    let [ClientEvent::Updates(updates)] = &events[..] else { panic!("{events:?}") };
    let errors: Vec<_> = updates.iter().filter_map(|change| ports.apply(&change).err()).collect();
    assert_eq!(errors.len(), 1);
    let words = errors[0].to_string();
    assert!(
        words.contains(&format!("row {bad} of Port_Binding, column tag")) && words.contains("70000"),
        "{words}"
    );
    assert_eq!(&*port(&ports, "y").logical_port, "y");
}

/// A first view that breaks off anywhere is none: no row of it is told.
#[test]
fn a_view_that_is_cut_is_none() {
    let golden = golden!("monitor-reply");
    for cut in (0..golden.trim_end().len()).step_by(7) {
        let mut session = session();
        session.connected(Instant::now());
        answer(&mut session, golden!("get-schema"), "get_schema").unwrap();
        let events = answer(&mut session, &golden[..cut.max(9)], "monitor_cond_since").unwrap_or_default();
        assert!(!events.iter().any(|event| matches!(event, ClientEvent::Updates(_))), "cut at {cut}");
    }
}

/// `<table-updates2>` that are none; ID is a uuid, ROW a row whose place the framer notes.
const MALFORMED: [&str; 20] = [
    "[]",
    "null",
    "{}}",
    "{},1",
    "{},",
    "{} 1",
    "",
    r#"{Port_Binding:{"ID":{"insert":{}}}}"#,
    r#"{"Port_Binding" {"ID":{"insert":{}}}}"#,
    r#"{"Port_Binding":{"ID":{"insert":{}},}}"#,
    r#"{"Port_Binding":{"ID":{"insert":{}}},}"#,
    r#"{"Port_Binding":{"ID":{"insert":{}} "ID":{"insert":{}}}}"#,
    r#"{"Port_Binding":{"ID":{"insert":{}}} "Chassis":{}}"#,
    r#"{"Port_Binding":{"ID":{"insert":ROW 1}}}"#,
    r#"{"Port_Binding":{"ID" ROW}}"#,
    r#"{"Port_Binding":{"x":{"delete":null}}}"#,
    r#"{"Port_Binding":{"ID":{}}}"#,
    r#"{"Port_Binding":{"ID":{"delete":null,"insert":ROW}}}"#,
    r#"{"Port_Binding":{"ID":{"other":ROW}}}"#,
    r#"{"Port_Binding":{},"Port_Binding":{}}"#,
];

fn filled(updates: &str) -> String {
    let row = format!(r#"{{"logical_port":"{}"}}"#, "x".repeat(100));
    updates.replace("ID", "11111111-1111-4111-8111-111111111111").replace("ROW", &row)
}

#[test]
fn malformed_updates_end_the_connection() {
    let nil = Uuid::nil();
    let update = |params: &str| format!(r#"{{"aé":0,"method":"update3","id":null,"params":{params}}}"#);
    let others = ["null", "[]", r#"["data"]"#, r#"["data","x",{}]"#, r#"["data" "ID",{}]"#].map(filled);
    let updates = MALFORMED.map(|updates| format!(r#"["data","{nil}",{}]"#, filled(updates)));
    let absent = r#"{"aé":0,"method":"update3"}"#.to_owned();
    for text in others.iter().chain(&updates).map(|params| update(params)).chain([absent]) {
        let (mut session, _) = live();
        assert!(told(&mut session, &text).is_err(), "{text}");
    }
}

#[test]
fn so_does_a_malformed_first_reply() {
    let nil = Uuid::nil();
    let updates = MALFORMED.map(|updates| format!(r#"[false,"{nil}",{}]"#, filled(updates)));
    for result in updates.iter().map(|reply| &**reply).chain(["null", "[]", "[7]", "{}"]) {
        let mut session = session();
        session.connected(Instant::now());
        answer(&mut session, golden!("get-schema"), "get_schema").unwrap();
        let reply = format!(r#"{{"id":0,"aé":0,"result":{result}}}"#);
        assert!(answer(&mut session, &reply, "monitor_cond_since").is_err(), "{result}");
        let mut session = self::session();
        session.connected(Instant::now());
        let reply = r#"{"id":0,"aé":0,"result":null}"#;
        assert!(answer(&mut session, reply, "monitor_cond").is_err());
    }
}

#[test]
fn space_between_the_parts_of_an_update_does_not_matter() {
    let (mut session, mut ports) = live();
    let updates = filled(r#" { "Port_Binding" : { "ID" : { "insert" : ROW } } , "Chassis" : { } } "#);
    let text =
        format!(r#" {{ "method" : "update3" , "params" : [ "data" , "{}" , {updates} ] }} "#, Uuid::nil());
    let events = told(&mut session, &text).unwrap();
    take(&mut ports, &events);
    port(&ports, &"x".repeat(100));
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..2000) {
        let (mut session, _) = live();
        let golden = golden!("update3-modify").as_bytes();
        let mut mixed = golden[..cut.min(golden.len())].to_vec();
        mixed.extend(bytes);
        mixed.extend(&golden[cut.min(golden.len())..]);
        session.buffers().0.extend_from_slice(&mixed);
        let _ = session.received(Instant::now());
    }
}
