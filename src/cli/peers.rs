//! This node's peers as a command asks them, one question at a time, to show what they really have: FRR's daemons, OVS's
//! database and bridges, processes. Nothing is ever written to them here.

pub mod database;
pub mod netlink;
pub mod openflow;
pub mod process;
pub mod vty;
