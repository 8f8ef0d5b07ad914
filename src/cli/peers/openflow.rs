//! The agent's flows on a bridge, as OVS has them now, with their counters.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use bytes::BytesMut;
use ofproto::{
    FlowStats, FlowStatsRequest, Frame, Hello, Message, MultipartReply, MultipartRequest, next_frame,
};

use crate::planes::flows::object::{COOKIE, Cookies, UNDERLAY_COOKIE};

/// Those that the agent may have given.
const COOKIES: Cookies = Cookies { evpn: true, underlay: true };

/// How long OVS may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the bridge speaks the agent's OpenFlow version, by its own hello.
///
/// # Errors
/// OVS does not answer, in words.
pub fn speaks_our_version(socket: &Path) -> Result<bool, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(|error| failed(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| failed(&error))?;
    let (mut received, mut block) = (BytesMut::new(), [0; 4096]);
    loop {
        if let Some(bytes) = next_frame(&mut received).map_err(|error| failed(&error))? {
            let frame = Frame::decode(&bytes).map_err(|error| failed(&error))?;
            return match frame.message {
                Message::Hello(hello) => Ok(hello.speaks(Frame::VERSION, frame.version)),
                _ => Err(failed(&"it does not begin with a hello")),
            };
        }
        match stream.read(&mut block).map_err(|error| failed(&error))? {
            0 => return Err(failed(&"the connection was closed")),
            length => received.extend_from_slice(block.get(..length).unwrap_or_default()),
        }
    }
}

/// All flows with a cookie of the agent's, by the bridge's management socket.
///
/// # Errors
/// OVS does not answer, in words.
pub fn flows(socket: &Path) -> Result<Vec<FlowStats>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(|error| failed(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| failed(&error))?;
    let request = MultipartRequest::Flows(FlowStatsRequest {
        cookie: COOKIE,
        cookie_mask: !(COOKIE ^ UNDERLAY_COOKIE),
        ..FlowStatsRequest::all()
    });
    let mut out = Vec::new();
    for (xid, message) in
        [(1, Message::Hello(Hello::only(Frame::VERSION))), (2, Message::MultipartRequest(request))]
    {
        message.encode(xid, &mut out).map_err(|error| failed(&error))?;
    }
    stream.write_all(&out).map_err(|error| failed(&error))?;
    let (mut received, mut found) = (BytesMut::new(), Vec::new());
    let mut block = vec![0; 64 << 10];
    loop {
        while let Some(bytes) = next_frame(&mut received).map_err(|error| failed(&error))? {
            let frame = Frame::decode(&bytes).map_err(|error| failed(&error))?;
            match frame.message {
                Message::MultipartReply(MultipartReply::Flows { more, flows }) if frame.xid == 2 => {
                    found.extend(flows.into_iter().filter(|flow| COOKIES.hold(flow.cookie)));
                    if !more {
                        return Ok(found);
                    }
                }
                Message::Error(error) => return Err(failed(&error)),
                _ => {}
            }
        }
        match stream.read(&mut block).map_err(|error| failed(&error))? {
            0 => return Err(failed(&"the connection was closed")),
            length => received.extend_from_slice(block.get(..length).unwrap_or_default()),
        }
    }
}
