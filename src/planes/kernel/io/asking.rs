//! The socket that asks.
//!
//! Owns a thread: the kernel carries out requests inside `send`, for as long as that takes, and that can be many
//! milliseconds for links. So a blocking socket sits on a thread of its own, while the runtime prepares what comes next.

use std::{io, sync::mpsc, thread, time::Duration};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{self, Timeout};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{DATAGRAM, widen};
use crate::planes::kernel::{
    uapi::{NLMSG_DONE, NLMSG_ERROR},
    wire::{Malformed, messages},
};

/// Receive buffer, in bytes: an error for each message of a send.
const ANSWERS: usize = 4 * 1024 * 1024;

/// What an error takes of the receive buffer at most, in bytes: its own 36, the kernel's words, and what surrounds them
/// (`netlink_ack` and `SKB_TRUESIZE` make 768 of it without words, on 64 bits).
const ANSWER: usize = 1024;

/// The kernel answers before `send` returns; this only keeps a lost answer from being waited for without end.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The socket that asks, and its thread, which ends with it.
#[derive(Debug)]
pub struct Asking {
    requests: mpsc::Sender<Ask>,
    answers: UnboundedReceiver<io::Result<Vec<u8>>>,
    port: u32,
    room: usize,
}

struct Ask {
    requests: Vec<u8>,
    last: u32,
}

impl Asking {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// The system's, for instance when it has no file descriptors left.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        socket.set_netlink_get_strict_chk(true)?;
        let room = widen(&socket, ANSWERS)? / ANSWER;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIME))?;
        let ((requests, asked), (answer, answers)) = (mpsc::channel(), unbounded_channel());
        thread::Builder::new()
            .name("kernel-requests".to_owned())
            .spawn(move || serve(&socket, &asked, &answer))?;
        Ok(Self { requests, answers, port, room })
    }

    /// To how many messages of one send the answers fit into the receive buffer. All of them may be refused: without
    /// CAP_NET_ADMIN they are, and the buffer is small then, too (net.core.rmem_max).
    pub fn room(&self) -> usize {
        self.room
    }

    /// The port id of the socket, which notifications of what it caused carry.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Hands over requests, the last of which has the sequence number `last`. Answers come in the order of these calls.
    pub fn send(&self, requests: Vec<u8>, last: u32) {
        // A thread that is gone shows where its answer is missing.
        let _ = self.requests.send(Ask { requests, last });
    }

    /// All answers to what was handed over first, up to the one that ends them: the acknowledgement of, the error for or
    /// the end of the dump of the last request.
    ///
    /// # Errors
    ///
    /// The answers are lost (ENOBUFS, or none came in time): what became of the requests is not known.
    pub async fn answers(&mut self) -> io::Result<Vec<u8>> {
        self.answers.recv().await.ok_or(io::ErrorKind::BrokenPipe)?
    }
}

fn serve(socket: &Socket, asked: &mpsc::Receiver<Ask>, answer: &UnboundedSender<io::Result<Vec<u8>>>) {
    let mut datagram = Vec::with_capacity(DATAGRAM);
    for ask in asked {
        if answer.send(exchange(socket, &ask, &mut datagram)).is_err() {
            return;
        }
    }
}

fn exchange(socket: &Socket, ask: &Ask, datagram: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    socket.send(&ask.requests, 0)?;
    let mut answers = Vec::new();
    loop {
        datagram.clear();
        socket.recv(datagram, 0)?;
        answers.extend_from_slice(datagram);
        answers.resize(answers.len().next_multiple_of(4), 0);
        if ends(datagram, ask.last) {
            return Ok(answers);
        }
    }
}

/// Whether these messages hold the end of the answers to the request `last`. What cannot be read ends them too.
fn ends(datagram: &[u8], last: u32) -> bool {
    messages(datagram).any(|message| match message {
        Ok(message) => message.sequence == last && matches!(message.kind, NLMSG_ERROR | NLMSG_DONE),
        Err(Malformed(_)) => true,
    })
}
