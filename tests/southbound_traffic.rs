//! What a gateway receives of a large cloud's Southbound, in bytes, from a real ovsdb-server: the rows of the routers that it
//! hosts, and nothing of what happens elsewhere.
//!
//! PORTS=100000 sets the size of the cloud, of which 1,000 ports matter here; the default is small enough for every run.
#![allow(clippy::disallowed_types)]

mod ovsdb_server;

use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bgp_agent::{
    config::Config,
    ovsdb::{ClientCommand, ClientEvent, io, session},
    planes::{
        Report,
        vswitch::object::{OvsSettings, VswitchObject},
    },
    reconcile::{Reconciler, object::PlaneId},
    southbound::feed,
};
use ovsdb_server::{Server, path};
use serde_json::{Deserializer, Value, json};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::UnixListener, sync::mpsc};

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";
const DATABASE: &str = "OVN_Southbound";
/// Ports of each network.
const PER_NETWORK: usize = 1000;
/// The network that matters here is the first one.
const HERE: usize = 0;

/// A plain JSON-RPC client, as northd and the chassis' controllers are.
struct Writer {
    stream: UnixStream,
    id: u64,
}

impl Writer {
    fn new(server: &Server) -> Self {
        Self { stream: UnixStream::connect(server.socket()).unwrap(), id: 0 }
    }

    fn transact(&mut self, operations: Vec<Value>) -> Vec<Value> {
        self.id += 1;
        let params: Vec<Value> = std::iter::once(json!(DATABASE)).chain(operations).collect();
        let request = json!({ "method": "transact", "params": params, "id": self.id });
        self.stream.write_all(request.to_string().as_bytes()).unwrap();
        let mut replies = Deserializer::from_reader(&self.stream).into_iter::<Value>();
        let reply = replies.next().unwrap().unwrap();
        let results = reply["result"].as_array().unwrap_or_else(|| panic!("{reply}")).clone();
        assert!(results.iter().all(|result| result.get("error").is_none()), "{results:?}");
        results
    }
}

fn insert(table: &str, row: Value) -> Value {
    json!({ "op": "insert", "table": table, "row": row })
}

fn port(name: &str, kind: &str, datapath: &Value, key: usize, more: Value) -> Value {
    let mut row = json!({ "logical_port": name, "type": kind, "datapath": datapath, "tunnel_key": key });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    insert("Port_Binding", row)
}

fn map(pairs: &[(&str, &str)]) -> Value {
    json!(["map", pairs])
}

/// The UUIDs that the server gave: of the chassis, and of each network's VM ports.
struct Cloud {
    chassis: Vec<Value>,
    vms: Vec<Vec<Value>>,
}

/// A cloud of so many networks, each with a router of its own; the first one's gateway lives on gw1, the others' on gw2.
fn write_cloud(writer: &mut Writer, networks: usize) -> Cloud {
    let chassis = |name: &str| {
        let encap = json!({ "op": "insert", "table": "Encap", "uuid-name": "e", "row": { "type": "geneve", "ip": name, "chassis_name": name } });
        vec![encap, insert("Chassis", json!({ "name": name, "encaps": ["named-uuid", "e"] }))]
    };
    let chassis: Vec<Value> =
        ["gw1", "gw2"].iter().map(|name| writer.transact(chassis(name))[1]["uuid"].clone()).collect();
    let mut key = 0;
    let mut datapath = |writer: &mut Writer| {
        key += 1;
        writer.transact(vec![insert("Datapath_Binding", json!({ "tunnel_key": key }))])[0]["uuid"].clone()
    };
    let provider = datapath(writer);
    writer.transact(vec![port(
        "provnet",
        "localnet",
        &provider,
        1,
        json!({ "options": map(&[("network_name", "physnet1")]) }),
    )]);
    let mut vms = Vec::new();
    for n in 0..networks {
        let (router, network) = (datapath(writer), datapath(writer));
        let home = &chassis[usize::from(n != HERE)];
        let vni = (1001 + n).to_string();
        let annotated = map(&[("neutron_bgpvpn:vni", &vni)]);
        let gateway_mac =
            format!("fa:16:3e:7f:{:02x}:{:02x} 172.24.{}.{}/16", n >> 8, n & 255, n >> 8, 2 + (n & 127));
        let (gateway, subnet) = (format!("gw-{n}"), format!("sub-{n}"));
        let patch =
            |name: &str, datapath: &Value, key, mac: &str, options: &[(&str, &str)], external: &Value| {
                port(
                    name,
                    "patch",
                    datapath,
                    key,
                    json!({ "mac": mac, "options": map(options), "external_ids": external }),
                )
            };
        let (lrp, redirect, inner) =
            (format!("lrp-{gateway}"), format!("cr-lrp-{gateway}"), format!("lrp-{subnet}"));
        let none = map(&[]);
        let mut operations = vec![
            port(
                &redirect,
                "chassisredirect",
                &router,
                1,
                json!({ "mac": gateway_mac, "chassis": home, "options": map(&[("distributed-port", &lrp)]) }),
            ),
            patch(
                &lrp,
                &router,
                2,
                &gateway_mac,
                &[("peer", &gateway), ("chassis-redirect-port", &redirect)],
                &none,
            ),
            patch(&gateway, &provider, 2 + n, "router", &[("peer", &lrp)], &annotated),
            patch(&inner, &router, 3, "fa:16:3e:8d:c4:51 10.0.0.1/16", &[("peer", &subnet)], &none),
            patch(&subnet, &network, 1, "router", &[("peer", &inner)], &annotated),
        ];
        operations.extend((0..PER_NETWORK).map(|vm| {
            let mac = format!(
                "fa:16:3e:{:02x}:{:02x}:{:02x} 10.0.{}.{}",
                n,
                vm >> 8,
                vm & 255,
                1 + vm / 250,
                1 + vm % 250
            );
            let owner = map(&[
                ("neutron:device_owner", "compute:nova"),
                ("neutron:cidrs", "10.0.0.10/16"),
                ("neutron:revision_number", "4"),
            ]);
            let bound = if n == HERE {
                json!({ "mac": mac, "external_ids": owner, "chassis": chassis[1] })
            } else {
                json!({ "mac": mac, "external_ids": owner })
            };
            port(&format!("vm-{n}-{vm}"), "", &network, 2 + vm, bound)
        }));
        let written = writer.transact(operations);
        let of_vms = &written[written.len() - PER_NETWORK..];
        vms.push(of_vms.iter().map(|result| result["uuid"].clone()).collect());
    }
    Cloud { chassis, vms }
}

/// An update of one port, found by its UUID: by any other column the server looks at every row.
fn set(port: &Value, columns: Value) -> Value {
    json!({ "op": "update", "table": "Port_Binding", "where": [["_uuid", "==", port]], "row": columns })
}

/// Passes bytes on between a client and the server, and counts those to the client.
fn counting_proxy(server: &Server) -> (String, Arc<AtomicU64>) {
    let socket = server.directory().join("proxy");
    let listener = UnixListener::bind(&socket).unwrap();
    let (upstream, counted) = (server.socket(), Arc::new(AtomicU64::new(0)));
    let count = counted.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = tokio::net::UnixStream::connect(upstream).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            count.fetch_add(read as u64, Ordering::Relaxed);
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    (format!("unix:{}", path(&socket)), counted)
}

/// The agent's own way of asking: what the intent looked at is what is monitored.
struct Gateway {
    reconciler: Reconciler,
    commands: mpsc::Sender<ClientCommand>,
    events: mpsc::Receiver<ClientEvent>,
    asked: u64,
    applied: u64,
}

impl Gateway {
    fn start(remotes: &str) -> Self {
        let mut reconciler = Reconciler::new(Config::default());
        let settings = OvsSettings {
            system_id: Some("gw1".into()),
            bridge_mappings: Some("physnet1:br-ex".into()),
            ..OvsSettings::default()
        };
        let now = Instant::now();
        reconciler.report(PlaneId::Ledger, Report::Whole(Vec::new()), now);
        reconciler.report(
            PlaneId::Vswitch,
            Report::Whole(vec![VswitchObject::Settings(settings).into()]),
            now,
        );
        let session = session::Config::new(DATABASE, feed::monitors(Some("gw1")));
        let options = io::Options { remotes: remotes.parse().unwrap(), shuffle: false, tls: None, session };
        let (commands, client_commands) = mpsc::channel(8);
        let (client_events, events) = mpsc::channel(8);
        tokio::spawn(io::run(options, client_commands, client_events));
        Self { reconciler, commands, events, asked: 0, applied: 0 }
    }

    /// Goes on until nothing is asked for any more and `done` holds.
    async fn until(&mut self, what: &str, done: impl Fn(&Reconciler) -> bool) {
        while self.asked == 0 || self.applied < self.asked || !done(&self.reconciler) {
            let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
            match event.unwrap_or_else(|_| panic!("not within a minute: {what}")).unwrap() {
                ClientEvent::Updates(updates) => {
                    feed::apply(self.reconciler.replica_mut(), &updates).unwrap();
                    self.reconciler.southbound_whole();
                }
                ClientEvent::ConditionsApplied { serial } => self.applied = serial,
                ClientEvent::Down(reason) => panic!("{reason}"),
                _ => {}
            }
            self.reconciler.update_intent();
            if self.reconciler.subjects_changed() {
                self.asked += 1;
                let conditions = feed::conditions(Some("gw1"), self.reconciler.subjects());
                self.commands
                    .send(ClientCommand::SetConditions(conditions.into(), self.asked))
                    .await
                    .unwrap();
            }
        }
    }

    fn bound(&self, name: &str) -> bool {
        bound(&self.reconciler, name)
    }
}

fn bound(reconciler: &Reconciler, name: &str) -> bool {
    reconciler.replica().port(name).is_some_and(|port| port.chassis.is_some())
}

#[tokio::test]
async fn a_gateway_receives_what_concerns_its_routers_and_nothing_else() {
    let ports: usize = std::env::var("PORTS").map_or(5_000, |ports| ports.parse().unwrap());
    let networks = ports / PER_NETWORK;
    let server = Server::standalone(SCHEMA, &[]);
    let mut writer = Writer::new(&server);
    let cloud = write_cloud(&mut writer, networks);
    let (remote, received) = counting_proxy(&server);

    let mut gateway = Gateway::start(&remote);
    let last = format!("vm-{HERE}-{}", PER_NETWORK - 1);
    gateway.until("the network's last port is known", |reconciler| bound(reconciler, &last)).await;
    let start = received.load(Ordering::Relaxed);
    let rows = gateway.reconciler.replica().len();
    let elsewhere = ports.min(10_000 + PER_NETWORK) - PER_NETWORK;
    assert!(rows <= PER_NETWORK + networks + 5, "{rows} rows held");

    let others = cloud.vms.iter().enumerate().filter(|(n, _)| *n != HERE).flat_map(|(_, vms)| vms);
    let binds: Vec<Value> = others
        .take(elsewhere)
        .map(|port| set(port, json!({ "chassis": cloud.chassis[1], "up": true })))
        .collect();
    for operations in binds.chunks(100) {
        writer.transact(operations.to_vec());
    }
    writer.transact(vec![set(&cloud.vms[HERE][PER_NETWORK - 1], json!({ "chassis": ["set", []] }))]);
    gateway.until("the one that matters", |reconciler| !bound(reconciler, &last)).await;
    let after = received.load(Ordering::Relaxed) - start;
    println!(
        "{ports} ports in the cloud, {PER_NETWORK} here: {start} bytes and {rows} rows at the start; {elsewhere} binds elsewhere and one here: {after} bytes"
    );
    assert!(!gateway.bound(&last));
    assert!(after < 1000, "{after} bytes for {elsewhere} binds elsewhere and one here");
}
