//! The FRR plane: VRFs with their VNI, and BGP instances of VRFs, over FRR's vty sockets.
//!
//! ```text
//! Command ─► io ─► batch ─► encode (objects to lines) ─► session (lines to bytes) ─► zebra.vty | mgmtd.vty, bgpd.vty
//! Report  ◄─ io ◄─ actual (what stands, changes) ◄─ decode (text to objects) ◄─ session (bytes to replies) ◄──┘
//! ```
//!
//! `question` is what this plane is asked beside its objects: how far prefixes have come in BGP.
//! What FRR has is always read back from its running configuration: a line's status alone is not believed.

pub mod actual;
pub mod decode;
pub mod dialect;
pub mod encode;
mod io;
pub mod line;
pub mod object;
pub mod question;
#[cfg(test)]
mod roundtrip;
pub mod session;

pub(crate) use io::Peer;
pub use io::{Options, run};
