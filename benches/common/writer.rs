//! Writes a cloud into a real Southbound, as northd and the chassis' ovn-controllers do: by transactions of the agent's own
//! OVSDB client, and each row that exists named by its uuid, as OVN's clients name it.

use std::collections::HashMap;

use bgp_agent::ovsdb::{
    ClientCommand, ClientEvent, io,
    monitor::Condition,
    session,
    transact::{Answer, Operation, OperationResult},
    value::Value,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::cloud::{Chassis, Cloud, Datapath, Port};

/// How many rows go into one transaction while the cloud is made.
const ROWS_AT_ONCE: usize = 1000;

/// The session, and what it has made.
pub struct Writer {
    commands: mpsc::Sender<ClientCommand>,
    events: mpsc::Receiver<ClientEvent>,
    last: u64,
    chassis: HashMap<&'static str, Uuid>,
    datapaths: HashMap<Datapath, Uuid>,
    ports: HashMap<String, Uuid>,
}

impl Writer {
    /// Connects to an empty Southbound at this remote.
    pub async fn connect(remote: &str) -> Self {
        // Whoever writes may do something else for long, and a deaf server is no matter of a benchmark.
        let session =
            session::Config { probe_interval: None, ..session::Config::new("OVN_Southbound", Vec::new()) };
        let remotes = remote.parse().expect("a remote");
        let (commands, taken) = mpsc::channel(8);
        let (told, events) = mpsc::channel(8);
        tokio::spawn(io::run(io::Options { remotes, shuffle: false, tls: None, session }, taken, told));
        let (chassis, datapaths, ports) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut writer = Self { commands, events, last: 0, chassis, datapaths, ports };
        writer.reconnected().await;
        writer
    }

    /// Waits until the session is there (again).
    pub async fn reconnected(&mut self) {
        while !matches!(self.events.recv().await.expect("the client runs"), ClientEvent::Up { .. }) {}
    }

    /// One transaction, which must succeed.
    pub async fn transact(&mut self, operations: Vec<Operation>) -> Vec<OperationResult> {
        self.last += 1;
        let command = ClientCommand::Transact { id: self.last, operations };
        self.commands.send(command).await.expect("the client runs");
        loop {
            match self.events.recv().await.expect("the client runs") {
                ClientEvent::TransactReply { answer: Answer::Committed(results), .. } => return results,
                ClientEvent::TransactReply { answer, .. } => panic!("a transaction failed: {answer:?}"),
                ClientEvent::Down(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// Chassis, datapaths and these ports of a cloud. `progress` is told how many ports are made.
    pub async fn make(&mut self, cloud: Cloud, ports: impl Iterator<Item = Port>, progress: impl Fn(usize)) {
        for chassis in Chassis::ALL {
            let (name, ip) = (chassis.name(), chassis.address());
            let encap = vec![("type", "geneve".into()), ("ip", ip.into()), ("chassis_name", name.into())];
            let row = vec![
                ("name", name.into()),
                ("hostname", name.into()),
                ("encaps", Value::Named("encap".into())),
            ];
            let operations = vec![
                Operation::Insert { table: "Encap", name: Some("encap".into()), row: encap },
                Operation::Insert { table: "Chassis", name: None, row },
            ];
            let made = self.transact(operations).await[1].uuid;
            self.chassis.insert(name, made.expect("a row"));
        }
        let datapaths: Vec<Datapath> = cloud.datapaths().collect();
        let insert = |(key, _): (i64, &Datapath)| Operation::Insert {
            table: "Datapath_Binding",
            name: None,
            row: vec![("tunnel_key", key.into())],
        };
        let made = self.transact((1..).zip(&datapaths).map(insert).collect()).await;
        self.datapaths =
            datapaths.into_iter().zip(made).map(|(at, made)| (at, made.uuid.expect("a row"))).collect();
        let mut waiting = Vec::with_capacity(ROWS_AT_ONCE);
        for port in ports {
            waiting.push(port);
            if waiting.len() == ROWS_AT_ONCE {
                self.insert(std::mem::take(&mut waiting)).await;
                progress(self.ports.len());
            }
        }
        self.insert(waiting).await;
        progress(self.ports.len());
    }

    async fn insert(&mut self, ports: Vec<Port>) {
        let datapath = |at| self.datapaths[&at].into();
        let chassis = |at: Chassis| self.chassis[at.name()].into();
        let operations = ports.iter().map(|port| port.insert(datapath, chassis)).collect();
        let made = self.transact(operations).await;
        let made = made.into_iter().map(|result| result.uuid.expect("a row"));
        self.ports.extend(ports.into_iter().map(|port| port.name).zip(made));
    }

    /// Binds these ports to a chassis, or to none, in one transaction, as that chassis' ovn-controller does.
    pub async fn bind(&mut self, names: impl IntoIterator<Item = String>, chassis: Option<Chassis>) {
        let place = Value::from(chassis.map(|at| self.chassis[at.name()]));
        let update = |name: String| Operation::Update {
            table: "Port_Binding",
            conditions: vec![Condition::equal("_uuid", self.ports[&name])],
            row: vec![("chassis", place.clone()), ("up", chassis.is_some().into())],
        };
        let operations: Vec<Operation> = names.into_iter().map(update).collect();
        let count = operations.len();
        let met: u64 = self.transact(operations).await.iter().filter_map(|result| result.count).sum();
        assert_eq!(met, count as u64, "ports that are not there");
    }
}
