//! The socket that listens.
//!
//! Owns which notifications come through. A routing daemon may write thousands of routes per second, and so may we: a
//! filter in the kernel keeps away the routes that tell us nothing new, before they are copied or wake anybody.

use std::io;

use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use super::{DATAGRAM, widen};
use crate::planes::kernel::{
    actual::Actual,
    decode,
    object::ROUTE_PROTOCOL,
    uapi::*,
    wire::{Malformed, messages},
};

/// The socket that listens.
pub struct Listening {
    socket: TokioSocket,
    datagram: Vec<u8>,
}

/// The view can not be kept up by what was heard: it is to be read again.
#[derive(Debug, thiserror::Error)]
pub enum Deaf {
    /// The kernel dropped notifications: they came faster than they were read.
    #[error("notifications of the kernel were lost: they came faster than they could be read")]
    Overrun,
    /// A notification that cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The socket is broken.
    #[error("reading notifications of the kernel: {0}")]
    Io(io::Error),
}

impl Listening {
    /// Opens it in the network namespace of the calling thread, with a receive buffer of `buffer` bytes if the system
    /// allows it. Routes that the socket with port id `asking` makes or removes are not heard.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(buffer: usize, asking: u32) -> io::Result<Self> {
        let mut tokio_socket = TokioSocket::new(NETLINK_ROUTE)?;
        let socket = tokio_socket.socket_mut();
        widen(socket, buffer)?;
        SockRef::from(&*socket).attach_filter(&filter(asking))?;
        socket.bind_auto()?;
        for group in [
            RTNLGRP_LINK,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV6_ROUTE,
            RTNLGRP_NEIGH,
            RTNLGRP_IPV4_RULE,
            RTNLGRP_IPV6_RULE,
            RTNLGRP_IPV4_NETCONF,
        ] {
            socket.add_membership(group)?;
        }
        Ok(Self { socket: tokio_socket, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Waits until something is told, then takes in all of it.
    ///
    /// # Errors
    ///
    /// Something was lost.
    pub async fn hear(&mut self, actual: &mut Actual) -> Result<(), Deaf> {
        self.datagram.clear();
        self.socket.recv(&mut self.datagram).await?;
        self.take_in(actual)?;
        self.drain(actual)
    }

    /// Takes in all that was told up to now, without waiting. It reads past the runtime, whose share of reads per turn
    /// would end this early.
    ///
    /// # Errors
    ///
    /// Something was lost.
    pub fn drain(&mut self, actual: &mut Actual) -> Result<(), Deaf> {
        loop {
            self.datagram.clear();
            match self.socket.socket_ref().recv(&mut self.datagram, 0) {
                Ok(_) => self.take_in(actual)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_in(&self, actual: &mut Actual) -> Result<(), Malformed> {
        for message in messages(&self.datagram) {
            if let Some(event) = decode::event(&message?)? {
                actual.hear(event);
            }
        }
        Ok(())
    }
}

impl From<io::Error> for Deaf {
    fn from(error: io::Error) -> Self {
        if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) {
            Self::Overrun
        } else {
            Self::Io(error)
        }
    }
}

/// The filter, in the words of classic BPF (`include/uapi/linux/filter.h`), over `struct nlmsghdr` and `struct rtmsg`
/// behind it. It takes all but two sorts of routes:
///
/// - those of other protocols, unless they are local ones (of addresses that may be ours) or replace a route, which may
///   be ours: that is told by their notification alone;
/// - those of ours that we caused ourselves, and know of by the acknowledgement.
fn filter(asking: u32) -> [SockFilter; 13] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const IF_EQUAL: u16 = 0x15;
    const IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let load = |code, at| SockFilter::new(code, 0, 0, at);
    // Jumps count the instructions to pass over. Numbers are loaded as if they were in network order.
    let test = |code, value, then, otherwise| SockFilter::new(code, then, otherwise, value);
    [
        load(LOAD_HALF, 4),                                    // 0: the type
        test(IF_EQUAL, u32::from(RTM_NEWROUTE.to_be()), 1, 0), // 1: a route: on to 3
        test(IF_EQUAL, u32::from(RTM_DELROUTE.to_be()), 0, 8), // 2: no route: taken
        load(LOAD_BYTE, 23),                                   // 3: rtm_type
        test(IF_EQUAL, u32::from(RTN_LOCAL), 6, 0),            // 4: local: taken
        load(LOAD_BYTE, 21),                                   // 5: rtm_protocol
        test(IF_EQUAL, u32::from(ROUTE_PROTOCOL), 2, 0),       // 6: ours: on to 9
        load(LOAD_HALF, 6),                                    // 7: the flags
        test(IF_SET, u32::from(NLM_F_REPLACE.to_be()), 2, 3),  // 8: replaces: taken, else left
        load(LOAD_WORD, 12),                                   // 9: the port id
        test(IF_EQUAL, asking.to_be(), 1, 0),                  // 10: caused by us: left
        SockFilter::new(RETURN, 0, 0, u32::MAX),               // 11: taken, all of it
        SockFilter::new(RETURN, 0, 0, 0),                      // 12: left
    ]
}
