//! OVSDB: the JSON-RPC database protocol of Open vSwitch and OVN (RFC 7047, with the extensions that ovsdb-server(7)
//! lists), as a client.
//!
//! ```text
//! bytes ─► frame ─► rpc ─► session ─► ClientEvent (Up, Updates, ConditionsApplied, TransactReply, Down)
//!                            ▲  │
//!        ClientCommand ──────┘  └──► bytes          io owns the socket, tls its keys, remotes the addresses
//! ```
//!
//! All but `io` and `tls` is pure: no socket, no clock, no task. Rows are decoded by `tables` straight from the bytes of
//! their frame. What a server may send is bounded in size and depth, and a bad row spoils that row alone.

pub mod frame;
pub mod io;
pub mod monitor;
pub mod remotes;
pub mod row;
pub mod rpc;
mod schema;
pub mod session;
pub mod tables;
pub mod tls;
pub mod transact;
pub mod updates;
pub mod value;

pub use remotes::{Remote, Remotes};
pub use session::{ClientCommand, ClientEvent};
pub use tls::TlsOptions;

/// What the server said is not what the protocol allows, or the server cannot serve us; the words are shown to the
/// operator. The connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub String);
