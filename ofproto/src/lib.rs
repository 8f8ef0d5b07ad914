//! OpenFlow 1.3 codec, with the ONF bundle messages and the Nicira extensions that the agent uses.
//!
//! Owns the wire format only: no I/O, no clock, no panic on any input. What it does not know it keeps as bytes, so
//! that decoding and encoding again gives the same message.
//!
//! Section numbers in the docs are those of the OpenFlow Switch Specification 1.3.5. Structures of the extensions are
//! named as in Open vSwitch's include/openflow/nicira-ext.h and lib/ofp-actions.c.
//!
//! # A round trip
//!
//! ```
//! use ofproto::{Field, Frame, Match, Message, FlowMod};
//!
//! let add = FlowMod { matches: Match::new().with(Field::in_port(7)), ..FlowMod::default() };
//! let mut wire = Vec::new();
//! Message::FlowMod(add.clone()).encode(1, &mut wire).unwrap();
//! assert_eq!(Frame::decode(&wire).unwrap().message, Message::FlowMod(add));
//! ```

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod action;
mod async_config;
mod bundle;
mod display;
mod error_message;
mod error_names;
mod field;
mod flow;
mod flow_match;
mod flow_monitor;
mod frame;
mod hello;
mod instruction;
mod mac;
mod message;
mod packet;
mod port;
mod value;
mod wire;

pub use action::{Action, NO_BUFFER, Span};
pub use async_config::AsyncConfig;
pub use bundle::{BundleAdd, BundleControl, bundle_flags, bundle_type};
pub use error_message::ErrorMessage;
pub use field::{Field, Header};
pub use flow::{FlowCommand, FlowMod, FlowStats, FlowStatsRequest};
pub use flow_match::{Match, Oxm};
pub use flow_monitor::{ChangedFlow, FlowEvent, FlowMonitorRequest, FlowUpdate, flow_monitor_flags};
pub use frame::{Frame, next_frame};
pub use hello::Hello;
pub use instruction::Instructions;
pub use mac::{MacAddr, ParseMacError};
pub use message::{Features, Message, MultipartReply, MultipartRequest, SwitchConfig};
pub use packet::{PacketIn, PacketOut, packet_in_reason};
pub use port::{Port, PortChange, PortStatus, reserved_port};
pub use value::{Masked, Value};
pub use wire::{DecodeError, TooLong, Unknown};
