//! The OVSDB client against a real ovsdb-server with OVN's Southbound schema.
#![allow(clippy::disallowed_types)]

mod ovsdb_server;

use std::time::{Duration, Instant};

use bgp_agent::ovsdb::{
    ClientCommand, ClientEvent, TlsOptions, io,
    monitor::{Condition, TableMonitor, Where},
    row::{Replica, Row},
    session::Config,
    tables::{Chassis, PortBinding},
    transact::{Answer, Operation},
    updates::{Origin, Updates},
    value::Value,
};
use ovsdb_server::{Server, free_port, path, pki::Pki};
use tokio::sync::mpsc;

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";
const DATABASE: &str = "OVN_Southbound";

/// A running client, and a replica of what it tells.
struct Client {
    commands: mpsc::Sender<ClientCommand>,
    events: mpsc::Receiver<ClientEvent>,
    ports: Replica<PortBinding>,
}

impl Client {
    fn start(remotes: &str) -> Self {
        Self::with(options(remotes))
    }

    fn with(options: io::Options) -> Self {
        let (commands, client_commands) = mpsc::channel(8);
        let (client_events, events) = mpsc::channel(8);
        tokio::spawn(io::run(options, client_commands, client_events));
        Self { commands, events, ports: Replica::default() }
    }

    async fn next(&mut self) -> ClientEvent {
        let event = tokio::time::timeout(Duration::from_secs(15), self.events.recv());
        let event = event.await.expect("no event within 15 s").expect("the client has ended");
        if let ClientEvent::Updates(updates) = &event {
            self.take(updates);
        }
        event
    }

    fn take(&mut self, updates: &Updates) {
        if updates.reload() {
            self.ports.clear();
        }
        for change in updates.iter().filter(|change| change.table == PortBinding::TABLE) {
            self.ports.apply(&change).unwrap();
        }
    }

    async fn send(&self, command: ClientCommand) {
        self.commands.send(command).await.unwrap();
    }

    /// Up to the first rows of a connection; gives how they came.
    async fn live(&mut self) -> Origin {
        loop {
            match self.next().await {
                ClientEvent::Updates(updates) => return updates.origin,
                ClientEvent::Up { .. } | ClientEvent::Down(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn down(&mut self) -> String {
        loop {
            if let ClientEvent::Down(reason) = self.next().await {
                return reason;
            }
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Replica<PortBinding>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done(&self.ports) {
            assert!(Instant::now() < deadline, "not within 10 s: {what}");
            self.next().await;
        }
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.ports.iter().map(|(_, port)| &*port.logical_port).collect();
        names.sort_unstable();
        names
    }

    fn port(&self, name: &str) -> &PortBinding {
        self.ports.iter().map(|(_, port)| port).find(|port| &*port.logical_port == name).unwrap()
    }
}

fn options(remotes: &str) -> io::Options {
    let monitor =
        vec![TableMonitor::of::<PortBinding>(kind("patch")), TableMonitor::of::<Chassis>(Where::All)];
    io::Options {
        remotes: remotes.parse().unwrap(),
        shuffle: false,
        tls: None,
        session: Config::new(DATABASE, monitor),
    }
}

fn kind(kind: &str) -> Where {
    Where::Any(vec![Condition::equal("type", kind)])
}

fn add_port(server: &Server, name: &str, kind: &str, key: u32) {
    let datapath = format!(
        r#"{{"op":"insert","table":"Datapath_Binding","uuid-name":"d","row":{{"tunnel_key":{key}}}}}"#
    );
    let port = format!(
        r#"{{"op":"insert","table":"Port_Binding","row":{{"logical_port":"{name}","type":"{kind}",
            "datapath":["named-uuid","d"],"tunnel_key":{key},"mac":["set",["a","b"]],
            "external_ids":["map",[["neutron_bgpvpn:vni","1001"],["other","x"]]]}}}}"#
    );
    server.transact(DATABASE, &format!("{datapath},{port}"));
}

#[tokio::test]
async fn rows_come_change_and_go() {
    let server = Server::standalone(SCHEMA, &[]);
    add_port(&server, "p1", "patch", 1);
    add_port(&server, "vm1", "", 2);
    let mut client = Client::start(&server.remote());
    assert!(matches!(client.next().await, ClientEvent::Up { absent } if absent.is_empty()));
    assert_eq!(client.live().await, Origin::Reload);
    assert_eq!(client.names(), ["p1"]);
    assert_eq!(client.port("p1").external_ids.iter().collect::<Vec<_>>(), [("neutron_bgpvpn:vni", "1001")]);

    server.transact(
        DATABASE,
        r#"{"op":"update","table":"Port_Binding","where":[["logical_port","==","p1"]],"row":{
            "mac":["set",["b","c"]],"tag":5,"external_ids":["map",[["neutron_bgpvpn:vni","1002"]]]}}"#,
    );
    client.until("p1 has a tag", |ports| ports.iter().any(|(_, port)| port.tag == Some(5))).await;
    let port = client.port("p1");
    assert_eq!(port.mac.iter().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(port.external_ids.get("neutron_bgpvpn:vni"), Some("1002"));

    server
        .transact(DATABASE, r#"{"op":"delete","table":"Port_Binding","where":[["logical_port","==","p1"]]}"#);
    client.until("p1 is gone", Replica::is_empty).await;
}

#[tokio::test]
async fn a_dead_remote_is_passed_over() {
    let port = free_port();
    let server = Server::standalone(SCHEMA, &[format!("--remote=ptcp:{port}:127.0.0.1")]);
    add_port(&server, "p1", "patch", 1);
    let dead = free_port();
    let mut client = Client::start(&format!("unix:/nowhere/sock,tcp:127.0.0.1:{dead},tcp:127.0.0.1:{port}"));
    assert!(matches!(client.next().await, ClientEvent::Up { .. }), "the others are tried without pause");
    client.live().await;
    assert_eq!(client.names(), ["p1"]);
}

#[tokio::test]
async fn when_no_remote_answers_the_reason_names_all() {
    let dead = free_port();
    let mut client = Client::start(&format!("unix:/nowhere/sock,tcp:127.0.0.1:{dead}"));
    let reason = client.down().await;
    assert!(reason.contains("unix:/nowhere/sock: No such file"), "{reason}");
    assert!(reason.contains(&format!("tcp:127.0.0.1:{dead}: Connection refused")), "{reason}");
}

#[tokio::test]
async fn other_remotes_can_be_told_at_run_time() {
    let (first, second) = (Server::standalone(SCHEMA, &[]), Server::standalone(SCHEMA, &[]));
    add_port(&second, "p2", "patch", 1);
    let mut client = Client::start(&first.remote());
    client.live().await;
    client.send(ClientCommand::SetRemotes(second.remote().parse().unwrap())).await;
    assert!(client.down().await.contains("other remotes are to be used"));
    assert_eq!(client.live().await, Origin::Reload);
    assert_eq!(client.names(), ["p2"]);
    let both = format!("{},{}", first.remote(), second.remote());
    client.send(ClientCommand::SetRemotes(both.parse().unwrap())).await;
    add_port(&second, "p3", "patch", 2);
    assert!(matches!(client.next().await, ClientEvent::Updates(updates) if updates.origin == Origin::Live));
}

#[tokio::test]
async fn a_server_alone_forgets_and_all_is_read_anew() {
    let mut server = Server::standalone(SCHEMA, &[]);
    add_port(&server, "p1", "patch", 1);
    let mut client = Client::start(&server.remote());
    client.live().await;
    server.stop();
    let reason = client.down().await;
    assert!(reason.contains("closed the connection") || reason.contains("reset"), "{reason}");
    server.start();
    assert_eq!(client.live().await, Origin::Reload);
    assert_eq!(client.names(), ["p1"]);
}

#[tokio::test]
async fn a_cluster_remembers_and_only_changes_are_read() {
    let mut server = Server::clustered(SCHEMA);
    add_port(&server, "p1", "patch", 1);
    let mut client = Client::start(&server.remote());
    client.live().await;
    add_port(&server, "p2", "patch", 2);
    client.until("p2", |ports| ports.len() == 2).await;
    server.stop();
    client.down().await;
    // Told while nobody listens: sent when the session is there again.
    client.send(ClientCommand::SetConditions(vec![("Port_Binding", kind("localnet"))], 7)).await;
    server.start();
    add_port(&server, "p3", "patch", 3);
    add_port(&server, "l1", "localnet", 4);
    assert_eq!(client.live().await, Origin::Resume);
    while !matches!(client.next().await, ClientEvent::ConditionsApplied { serial: 7 }) {}
    assert_eq!(client.names(), ["l1"]);
}

#[tokio::test]
async fn a_server_with_older_data_than_was_seen_is_left() {
    let mut server = Server::clustered(SCHEMA);
    let (database, older, newer) =
        (server.directory().join("db"), server.directory().join("older"), server.directory().join("newer"));
    add_port(&server, "p0", "patch", 1);
    std::fs::copy(&database, &older).unwrap();
    let mut client = Client::start(&server.remote());
    client.live().await;
    for key in 1..=9_u8 {
        add_port(&server, &format!("p{key}"), "patch", u32::from(key) + 1);
        // One by one: the client asks after each where the cluster stands.
        client.until("the new port", |ports| ports.len() == usize::from(key) + 1).await;
    }
    server.stop();
    std::fs::rename(&database, &newer).unwrap();
    std::fs::copy(&older, &database).unwrap();
    server.start();
    while !client.down().await.contains("the server is behind") {}
    assert_eq!(client.names().len(), 10);
    server.stop();
    std::fs::rename(&newer, &database).unwrap();
    server.start();
    assert_eq!(client.live().await, Origin::Resume);
    assert_eq!(client.names().len(), 10);
}

#[tokio::test]
async fn a_resync_reads_everything() {
    let server = Server::clustered(SCHEMA);
    add_port(&server, "p1", "patch", 1);
    let mut client = Client::start(&server.remote());
    client.live().await;
    client.send(ClientCommand::Resync).await;
    client.down().await;
    assert_eq!(client.live().await, Origin::Reload);
    assert_eq!(client.names(), ["p1"]);
}

#[tokio::test]
async fn conditions_change_at_run_time() {
    let server = Server::standalone(SCHEMA, &[]);
    for (name, type_, key) in [("p1", "patch", 1), ("l1", "localnet", 2), ("vm1", "", 3)] {
        add_port(&server, name, type_, key);
    }
    let mut client = Client::start(&server.remote());
    client.live().await;
    let wishes = [
        (
            Where::Any(vec![Condition::equal("type", "localnet"), Condition::equal("logical_port", "vm1")]),
            vec!["l1", "vm1"],
        ),
        (Where::Any(vec![]), vec![]),
        (Where::All, vec!["l1", "p1", "vm1"]),
        (Where::All, vec!["l1", "p1", "vm1"]),
    ];
    for (serial, (rows, names)) in (1..).zip(wishes) {
        client.send(ClientCommand::SetConditions(vec![("Port_Binding", rows)], serial)).await;
        loop {
            match client.next().await {
                ClientEvent::ConditionsApplied { serial: done } if done == serial => break,
                ClientEvent::Updates(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(client.names(), names, "rows of wish {serial} when it is said to be applied");
    }
}

#[tokio::test]
async fn newest_of_many_wishes_wins() {
    let server = Server::standalone(SCHEMA, &[]);
    for key in 1..20 {
        add_port(&server, &format!("p{key}"), "patch", key);
    }
    let mut client = Client::start(&server.remote());
    client.live().await;
    for key in 1..20 {
        let rows = Where::Any(vec![Condition::equal("logical_port", &*format!("p{key}"))]);
        client.send(ClientCommand::SetConditions(vec![("Port_Binding", rows)], key)).await;
    }
    while !matches!(client.next().await, ClientEvent::ConditionsApplied { serial: 19 }) {}
    assert_eq!(client.names(), ["p19"]);
}

fn insert_port(name: &str, tag: i64) -> Operation {
    let row = vec![
        ("logical_port", name.into()),
        ("type", "patch".into()),
        ("datapath", Value::Named("d".into())),
        ("tunnel_key", 9.into()),
        ("tag", tag.into()),
    ];
    Operation::Insert { table: "Port_Binding", name: None, row }
}

fn insert_datapath() -> Operation {
    Operation::Insert {
        table: "Datapath_Binding",
        name: Some("d".into()),
        row: vec![("tunnel_key", 9.into())],
    }
}

#[tokio::test]
async fn a_transaction_ends_committed_or_refused_with_the_culprit() {
    let server = Server::standalone(SCHEMA, &[]);
    let mut client = Client::start(&server.remote());
    client.live().await;
    let mut transact = async |operations: Vec<Operation>| {
        client.send(ClientCommand::Transact { id: 1, operations }).await;
        loop {
            if let ClientEvent::TransactReply { id: 1, answer } = client.next().await {
                return (answer, client.names().into_iter().map(str::to_owned).collect::<Vec<_>>());
            }
        }
    };
    let comment = || Operation::Comment("by a test".into());

    let (answer, names) = transact(vec![insert_datapath(), insert_port("p1", 5), comment()]).await;
    let Answer::Committed(results) = answer else { panic!("{answer:?}") };
    assert!(results[0].uuid.is_some() && results[1].uuid.is_some() && results[2].uuid.is_none());
    assert_eq!(names, ["p1"], "its rows are told before its answer");

    let (answer, _) = transact(vec![comment(), insert_datapath(), insert_port("p2", 9999)]).await;
    let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!((refusal.operation, &*refusal.error), (Some(2), "constraint violation"));
    assert!(refusal.words.contains("9999 is not in the valid range"), "{refusal}");

    let (answer, _) = transact(vec![insert_datapath(), insert_port("p3", 5)]).await;
    let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.operation, None, "two rows with one tunnel key are found at the commit: {refusal}");

    let require = Operation::Require {
        table: "Port_Binding",
        conditions: vec![Condition::equal("logical_port", "p7")],
        columns: vec!["logical_port"],
        rows: vec![vec![("logical_port", "p7".into())]],
    };
    let (answer, _) = transact(vec![require]).await;
    assert!(matches!(answer, Answer::Refused(refusal) if &*refusal.error == "timed out"));

    let delete =
        Operation::Delete { table: "Port_Binding", conditions: vec![Condition::equal("logical_port", "p1")] };
    let (answer, names) = transact(vec![delete]).await;
    assert!(matches!(answer, Answer::Committed(results) if results[0].count == Some(1)));
    assert_eq!(names, [""; 0]);
}

#[tokio::test]
async fn a_client_may_only_write() {
    let server = Server::standalone(SCHEMA, &[]);
    let mut options = options(&server.remote());
    options.session.monitor.clear();
    let mut client = Client::with(options);
    assert!(matches!(client.next().await, ClientEvent::Up { .. }));
    client.send(ClientCommand::Transact { id: 3, operations: vec![insert_datapath()] }).await;
    let event = client.next().await;
    assert!(matches!(event, ClientEvent::TransactReply { id: 3, answer: Answer::Committed(_) }), "{event:?}");
}

#[tokio::test]
async fn an_unanswered_transaction_is_unknown() {
    let mut server = Server::standalone(SCHEMA, &[]);
    let mut client = Client::start(&server.remote());
    client.live().await;
    server.signal("STOP");
    client.send(ClientCommand::Transact { id: 5, operations: vec![insert_datapath()] }).await;
    // Taken in the order of the channel, so the transaction is on its way when this is answered.
    client.send(ClientCommand::Resync).await;
    let event = client.next().await;
    assert!(matches!(event, ClientEvent::TransactReply { id: 5, answer: Answer::Unknown }), "{event:?}");
    server.stop();
}

#[tokio::test]
async fn a_deaf_server_is_left() {
    let server = Server::standalone(SCHEMA, &[]);
    let mut options = options(&server.remote());
    options.session.probe_interval = Some(Duration::from_millis(500));
    let mut client = Client::with(options);
    client.live().await;
    // Idle, but answering our probes.
    assert!(tokio::time::timeout(Duration::from_secs(2), client.events.recv()).await.is_err());
    server.signal("STOP");
    let began = Instant::now();
    let reason = client.down().await;
    assert!(reason.contains("has not said anything for 1 s"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    server.signal("CONT");
    client.live().await;
}

/// As one is that has a hundred thousand rows to tell, or a hundred clients that came at once.
#[tokio::test]
async fn a_server_that_is_long_at_work_is_read_in_the_end() {
    let server = Server::standalone(SCHEMA, &[]);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("slow");
    slow(&socket, server.remote().strip_prefix("unix:").unwrap(), Duration::from_secs(2));
    let mut options = options(&format!("unix:{}", path(&socket)));
    options.session.probe_interval = Some(Duration::from_millis(300));
    Client::with(options).live().await;
}

/// A server of whose answers each connection hears nothing for so long.
fn slow(socket: &std::path::Path, server: &str, silence: Duration) {
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = tokio::net::UnixStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                let ((mut asked, mut told), (mut answers, mut questions)) =
                    (client.into_split(), server.into_split());
                let asking = tokio::io::copy(&mut asked, &mut questions);
                let answering = async {
                    tokio::time::sleep(silence).await;
                    tokio::io::copy(&mut answers, &mut told).await
                };
                let _ = tokio::join!(asking, answering);
            });
        }
    });
}

#[tokio::test]
async fn the_servers_probe_is_answered() {
    let port = free_port();
    let server = Server::standalone(SCHEMA, &[]);
    // ovsdb-server probes TCP clients only, each 5 s unless the row says otherwise.
    server.transact(
        DATABASE,
        &format!(
            r#"{{"op":"insert","table":"SB_Global","row":{{"connections":["named-uuid","c"]}}}},
               {{"op":"insert","table":"Connection","uuid-name":"c","row":{{"target":"ptcp:{port}:127.0.0.1","inactivity_probe":2500}}}}"#
        ),
    );
    server.appctl(&["ovsdb-server/add-remote", &format!("db:{DATABASE},SB_Global,connections")]);
    let mut options = options(&format!("tcp:127.0.0.1:{port}"));
    options.session.probe_interval = None;
    let mut client = Client::with(options);
    client.live().await;
    let quiet = tokio::time::timeout(Duration::from_secs(6), client.events.recv()).await;
    assert!(
        quiet.is_err(),
        "the server closes a connection that is silent for 2.5 s and does not answer within as much: {quiet:?}"
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said() {
    let server = Server::standalone("/usr/share/openvswitch/vswitch.ovsschema", &[]);
    let mut client = Client::start(&server.remote());
    let reason = client.down().await;
    assert!(reason.contains("unknown database OVN_Southbound"), "{reason}");
}

#[tokio::test]
async fn an_older_schema_lacks_optional_columns() {
    let directory = tempfile::tempdir().unwrap();
    let mut schema: serde_json::Value = serde_json::from_slice(&std::fs::read(SCHEMA).unwrap()).unwrap();
    let columns = schema["tables"]["Port_Binding"]["columns"].as_object_mut().unwrap();
    columns.remove("nat_addresses").unwrap();
    let file = directory.path().join("schema");
    std::fs::write(&file, schema.to_string()).unwrap();
    let server = Server::standalone(path(&file), &[]);
    let mut client = Client::start(&server.remote());
    let ClientEvent::Up { absent } = client.next().await else { panic!() };
    assert_eq!(absent, [("Port_Binding", "nat_addresses")]);
    client.live().await;
}

#[tokio::test]
async fn a_server_that_is_slow_to_shake_hands_is_waited_for() {
    let pki = Pki::new();
    let port = free_port();
    let server = Server::standalone(SCHEMA, &pki.server_options(port));
    let tls = TlsOptions {
        private_key: pki.key("client"),
        certificate: pki.certificate("client"),
        ca_cert: pki.servers_ca("pki"),
    };
    server.signal("STOP");
    let mut client =
        Client::with(io::Options { tls: Some(tls), ..options(&format!("ssl:127.0.0.1:{port}")) });
    let early = tokio::time::timeout(Duration::from_secs(4), client.events.recv()).await;
    assert!(early.is_err(), "it is still waited for: {early:?}");
    server.signal("CONT");
    client.live().await;
}

#[tokio::test]
async fn tls_takes_the_chain_whatever_the_name() {
    let pki = Pki::new();
    let port = free_port();
    let server = Server::standalone(SCHEMA, &pki.server_options(port));
    add_port(&server, "p1", "patch", 1);
    let tls = TlsOptions {
        private_key: pki.key("client"),
        certificate: pki.certificate("client"),
        ca_cert: pki.servers_ca("pki"),
    };
    let remote = format!("ssl:127.0.0.1:{port}");
    let mut good = Client::with(io::Options { tls: Some(tls.clone()), ..options(&remote) });
    good.live().await;
    assert_eq!(good.names(), ["p1"]);

    let other_ca = TlsOptions { ca_cert: pki.servers_ca("other"), ..tls.clone() };
    let reason = Client::with(io::Options { tls: Some(other_ca), ..options(&remote) }).down().await;
    assert!(reason.contains("not signed by the given CA"), "{reason}");

    let stranger = TlsOptions {
        private_key: pki.key("stranger"),
        certificate: pki.certificate("stranger"),
        ..tls.clone()
    };
    let reason = Client::with(io::Options { tls: Some(stranger), ..options(&remote) }).down().await;
    assert!(reason.contains("the server refuses our certificate"), "{reason}");

    let no_key = TlsOptions { private_key: pki.key("nowhere"), ..tls };
    let reason = Client::with(io::Options { tls: Some(no_key), ..options(&remote) }).down().await;
    assert!(reason.contains("the private key in") && reason.contains("nowhere-privkey.pem"), "{reason}");

    let reason = Client::start(&remote).down().await;
    assert!(reason.contains("are needed for ssl:"), "{reason}");
}
