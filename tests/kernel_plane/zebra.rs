//! A zebra that reads more slowly than the plane could write, or not at all: a socket that listens as zebra's does, with
//! a buffer as small as zebra's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bgp_agent::planes::{Command, Operation, kernel::object::KernelObject};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt;

use crate::stage::*;

/// What zebra asks for (`rcvbufsize` in zebra/main.c); the kernel makes it twice as much.
const BUFFER: usize = 128 * 1024;

/// The groups that zebra 8.4 listens to for routes: links, neighbours, addresses, multicast routes, routes and rules.
const GROUPS: u32 = 0x000c_05f5 | 0x20;

/// The type of a notification of a new route (RTM_NEWROUTE).
const NEW_ROUTE: [u8; 2] = 24_u16.to_ne_bytes();

/// A reader of notifications.
struct Zebra {
    reads: Arc<AtomicBool>,
    routes: Arc<AtomicUsize>,
    overruns: Arc<AtomicUsize>,
    _thread: JoinHandle<()>,
}

impl Zebra {
    /// Starts to listen, and to read as slowly as this once it is told to.
    fn start(pace: Duration) -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).unwrap();
        socket.bind(&SocketAddr::new(0, GROUPS)).unwrap();
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(20)))
            .unwrap();
        let reads = Arc::new(AtomicBool::new(false));
        let (routes, overruns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go, counted, lost) = (reads.clone(), routes.clone(), overruns.clone());
        let read = move || {
            let mut message = Vec::with_capacity(64 * 1024);
            loop {
                if !go.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                message.clear();
                match socket.recv(&mut message, 0) {
                    Ok(_) if message.get(4..6) == Some(&NEW_ROUTE) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) => {}
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => continue, // nothing came in time
                }
                thread::sleep(pace);
            }
        };
        Self { reads, routes, overruns, _thread: thread::spawn(read) }
    }

    fn read(&self, reads: bool) {
        self.reads.store(reads, Ordering::Relaxed);
    }

    fn routes(&self) -> usize {
        self.routes.load(Ordering::Relaxed)
    }
}

fn routes(count: u32) -> Vec<Operation<KernelObject>> {
    let prefix = |n: u32| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255);
    (0..count).map(|n| create(route(1001, &prefix(n), 0, on("one")))).collect()
}

#[test]
fn writes_wait_for_a_zebra_that_reads_slowly() {
    isolated("zebra::writes_wait_for_a_zebra_that_reads_slowly", || async {
        ip_batch("link add one up type veth peer name two\n");
        let zebra = Zebra::start(Duration::from_micros(10));
        zebra.read(true);
        let mut plane = Plane::start().await;
        let count = 5_000;
        plane.done(routes(count)).await;
        while zebra.routes() < count as usize {
            assert_eq!(zebra.overruns.load(Ordering::Relaxed), 0, "{} of {count} routes", zebra.routes());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        plane.until("nothing is left in zebra's buffer", |plane| plane.backlog.bytes == 0).await;
        assert_eq!(plane.backlog.lost, 0);
        assert!(plane.backlog.waits > 0, "{:?}", plane.backlog);
    });
}

#[test]
fn a_zebra_that_reads_nothing_is_not_waited_for_and_what_it_loses_is_told() {
    isolated("zebra::a_zebra_that_reads_nothing_is_not_waited_for_and_what_it_loses_is_told", || async {
        ip_batch("link add one up type veth peer name two\n");
        let zebra = Zebra::start(Duration::ZERO);
        let mut plane = Plane::start().await;
        plane.done(routes(5_000)).await;
        plane.until("losses", |plane| plane.backlog.lost > 0 && plane.backlog.stuck).await;
        zebra.read(true);
        plane.commands.send(Command::Read).await.unwrap();
        plane.until("zebra reads", |plane| !plane.backlog.stuck && plane.backlog.bytes == 0).await;
        assert!(zebra.overruns.load(Ordering::Relaxed) > 0 && zebra.routes() < 5_000);
    });
}
