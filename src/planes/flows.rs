//! The flows plane: OpenFlow 1.3 sessions to the provider bridges, one task for each.
//!
//! `object` says what it keeps; `encode` and `decode` turn that into OpenFlow and back; `session` is the dialogue,
//! with `batch` for what is being written, `watch` for what others change, `neighbour` for packets to answer and `outbox`
//! for what is to be sent; `io` owns the socket. Flows with another cookie than ours are neither read nor removed.
//!
//! OVN's router asks for its next hop on the provider network, and where no real gateway lives there, we answer. ARP is
//! answered by a flow alone, on both datapaths. An ND advertisement cannot be made by flows on the kernel's datapath,
//! which has no IPv6 ND Extensions (ofproto/ofproto-dpif.c in OVS asks each datapath for them), so solicitations come to
//! us by packet-in and are answered by packet-out, on both datapaths alike.
//! The kernel's proxy_arp and proxy_ndp would need addresses and sysctls on the operator's bridge, and are not used.

mod batch;
pub mod decode;
pub mod encode;
mod io;
mod neighbour;
pub mod object;
mod outbox;
pub mod session;
mod watch;

pub use io::{Options, run};

/// A command to this plane.
pub type FlowsCommand = super::Command<object::FlowsObject>;
/// A report of this plane.
pub type FlowsReport = super::Report<object::FlowsObject, object::FlowsKey>;
