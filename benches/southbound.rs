//! A Southbound with 100,000 ports that matter here: from connect to the desired state, compared with a client that reads the
//! same bytes and drops them; and the memory that it takes.
//!
//! Once with a real ovsdb-server, and once with a player of what it said, which costs nothing itself: then every byte's
//! way through the agent shows. `cargo bench --bench southbound`; needs openvswitch-switch and ovn-central installed.
#![allow(clippy::disallowed_types)]

mod common;
#[path = "../tests/ovsdb_server/mod.rs"]
mod ovsdb_server;

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bgp_agent::ovsdb::frame::Framer;
use common::{
    Table,
    cloud::{Cloud, Family, On},
    gateway::read_southbound,
    in_turns, memory,
    node::Node,
    ratio, shown, time,
    writer::Writer,
};
use ovsdb_server::{Server, path};

const SCHEMA: &str = "/usr/share/ovn/ovn-sb.ovsschema";
const CLOUD: Cloud = Cloud { tenants: 100, vms: 1000, family: Family::V4, on: On::Tenants };
const ROUNDS: usize = 3;
/// Bytes that a client reads at once; the agent's does the same.
const READ_SIZE: usize = 64 << 10;
/// `MALLOC_MMAP_THRESHOLD_` in the agent's systemd unit.
const AS_THE_UNIT_SAYS: &str = "131072";

/// The word by which this program measures its own memory in a process of its own.
const MEMORY: &str = "--memory-of-one-who-reads";

/// What was said on a connection, message by message.
#[derive(Default)]
struct Dialogue {
    /// Of the client.
    asked: Vec<Vec<u8>>,
    /// Of the server, each with how many messages of the client had come before.
    answers: Vec<(usize, Vec<u8>)>,
}

impl Dialogue {
    /// How many bytes the server says.
    fn size(&self) -> usize {
        self.answers.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Listens to one client of a real server at `socket`.
    fn record(server: &Path, socket: &Path, client: impl FnOnce()) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let server = UnixStream::connect(server).expect("a server");
        let recorder = thread::spawn(move || {
            let (client, _) = listener.accept().expect("a client");
            pass_on(client, server)
        });
        client();
        recorder.join().expect("no panic")
    }

    /// Plays the server's part for every client that comes.
    fn play(&self, socket: &Path) -> thread::JoinHandle<()> {
        let listener = UnixListener::bind(socket).expect("a socket");
        let answers = self.answers.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                // A client that has all it wants goes.
                let _ = answer(&mut client.expect("a client"), &answers);
            }
        })
    }
}

/// Carries bytes between two ends until the client goes, and notes the messages in an order in which answers follow what
/// they answer.
fn pass_on(mut client: UnixStream, mut server: UnixStream) -> Dialogue {
    let mut dialogue = Dialogue::default();
    let (mut from_client, mut from_server) = (Framer::default(), Framer::default());
    let wait = Some(Duration::from_millis(1));
    client.set_read_timeout(wait).expect("a timeout");
    server.set_read_timeout(wait).expect("a timeout");
    let mut bytes = vec![0; READ_SIZE];
    loop {
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            if client.write_all(&bytes[..read]).is_err() {
                return dialogue;
            }
            let messages = messages(&mut from_server, &bytes[..read]);
            dialogue.answers.extend(messages.into_iter().map(|message| (dialogue.asked.len(), message)));
        }
        match client.read(&mut bytes) {
            Ok(0) => return dialogue,
            Ok(read) => {
                dialogue.asked.extend(messages(&mut from_client, &bytes[..read]));
                server.write_all(&bytes[..read]).expect("a server");
            }
            Err(_) => {}
        }
    }
}

/// The messages that are whole with these bytes.
fn messages(framer: &mut Framer, bytes: &[u8]) -> Vec<Vec<u8>> {
    framer.buffer().extend_from_slice(bytes);
    let next = || framer.next_frame().expect("JSON").map(|frame| frame.text().as_bytes().to_vec());
    std::iter::from_fn(next).collect()
}

fn answer(client: &mut UnixStream, answers: &[(usize, Vec<u8>)]) -> std::io::Result<()> {
    let (mut framer, mut heard) = (Framer::default(), 0);
    let mut bytes = vec![0; READ_SIZE];
    for (after, message) in answers {
        while heard < *after {
            let read @ 1.. = client.read(&mut bytes)? else { return Ok(()) };
            framer.buffer().extend_from_slice(&bytes[..read]);
            while framer.next_frame().expect("JSON").is_some() {
                heard += 1;
            }
        }
        client.write_all(message)?;
    }
    Ok(())
}

/// From connect to the last byte, for a client that only reads.
fn read_and_drop(socket: &Path, dialogue: &Dialogue) -> Duration {
    let begin = Instant::now();
    let mut stream = UnixStream::connect(socket).expect("a server");
    for message in &dialogue.asked {
        stream.write_all(message).expect("a server");
    }
    let (mut left, mut bytes) = (dialogue.size(), vec![0; READ_SIZE]);
    while left > 0 {
        left -= stream.read(&mut bytes).expect("more bytes").min(left);
    }
    begin.elapsed()
}

/// From connect to the desired state and the first operations.
fn read_and_wish(socket: &Path) -> (Duration, Node) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let node = Node::new();
    time(|| {
        let mut node = runtime.block_on(read_southbound(socket, node));
        assert!(!node.reconciler.poll(Instant::now()).is_empty());
        node
    })
}

fn wished(socket: &Path) -> Duration {
    let (took, node) = read_and_wish(socket);
    let desired: usize =
        node.reconciler.status(Instant::now()).tenants.iter().map(|tenant| tenant.prefixes.desired).sum();
    assert_eq!(desired, (CLOUD.all_vms() + CLOUD.tenants) as usize);
    took
}

/// Reads, writes everything to peers that forget it, and says what memory that leaves and took at most, in MiB.
fn measure_memory(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut node = runtime.block_on(read_southbound(socket, Node::new().forgetful()));
    assert!(node.settle() > CLOUD.all_vms() as usize);
    println!("{} {}", memory("VmRSS"), memory("VmHWM"));
}

/// `threshold`: from which size on malloc gives memory back to the system; None: it chooses itself.
fn memory_of_another(socket: &Path, threshold: Option<&str>) -> (f64, f64) {
    let program = std::env::current_exe().expect("this program");
    let variable = threshold.map(|bytes| ("MALLOC_MMAP_THRESHOLD_", bytes));
    let output =
        Command::new(program).args([MEMORY, path(socket)]).envs(variable).output().expect("this program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [left, most] => (left, most),
        _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, socket] = &arguments[..]
        && word == MEMORY
    {
        return measure_memory(Path::new(socket));
    }
    let server = Server::standalone(SCHEMA, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut writer = Writer::connect(&server.remote()).await;
        let progress = |made| eprint!("\r{made} ports written");
        writer.make(CLOUD, CLOUD.ports(), progress).await;
        eprintln!();
    });
    let (through, played) = (server.directory().join("recorder"), server.directory().join("player"));
    let dialogue = Dialogue::record(&server.socket(), &through, || drop(read_and_wish(&through)));
    dialogue.play(&played);

    let table = Table::begin("Southbound with 100,000 ports");
    table.note("bytes received", dialogue.size());
    for (who, socket) in [("a real ovsdb-server", server.socket()), ("a player of the same bytes", played)] {
        let (ours, dropped) = in_turns(ROUNDS, || wished(&socket), || read_and_drop(&socket, &dialogue));
        let ratio = ratio(ours, dropped);
        table.note(&format!("{who}: read and dropped"), shown(dropped));
        let measured = format!("{}, {ratio:.2} x", shown(ours));
        table.line(&format!("{who}: to the desired state"), measured, "1.5 x", ratio <= 1.5);
    }
    let (left, most) = memory_of_another(&server.socket(), Some(AS_THE_UNIT_SAYS));
    let held = left * 1.048_576 <= 120.0;
    table.line(
        "resident memory, all written; at most",
        format!("{left:.0} MiB; {most:.0} MiB"),
        "120 MB",
        held,
    );
    let (left, most) = memory_of_another(&server.socket(), None);
    table.note("the same without the unit's setting of malloc", format!("{left:.0} MiB; {most:.0} MiB"));
}
