//! The two netlink sockets: one that asks, one that listens.
//!
//! Owns bytes in and out, and nothing of what they mean but where answers end and which notifications to pass over.

mod asking;
mod listening;

use netlink_sys::Socket;
use rustix::net::sockopt;

pub use asking::Asking;
pub use listening::{Deaf, Listening};

/// Room for one datagram. The kernel makes parts of a dump 32 KiB at most (`netlink_recvmsg`), and single messages of
/// links without statistics stay far below.
const DATAGRAM: usize = 64 * 1024;

/// Sets a receive buffer: beyond the system's limit where we may (CAP_NET_ADMIN), else up to it. Gives what the socket
/// has then: the kernel doubles what is asked for, for its own bookkeeping (socket(7), SO_RCVBUF).
fn widen(socket: &Socket, bytes: usize) -> std::io::Result<usize> {
    sockopt::set_socket_recv_buffer_size_force(socket, bytes)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, bytes))
        .and_then(|()| sockopt::socket_recv_buffer_size(socket))
        .map_err(std::io::Error::from)
}
