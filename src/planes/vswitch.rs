//! The vswitch plane: ports on OVS bridges, over OVSDB.
//!
//! ```text
//! ovsdb::io ─► ClientEvent ─► session ─► Report ─► reconciler
//!                               │  ▲ decode: rows to objects
//!           ClientCommand ◄─────┘  │ encode: operations to one transaction
//!                                Command
//! ```

pub mod decode;
pub mod encode;
pub mod io;
pub mod object;
pub mod session;

pub use io::{Options, run};
