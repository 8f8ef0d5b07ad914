//! The rows that the agent reads, as types: only the columns it needs, in few bytes. It decides nothing.

mod northbound;
mod server;
mod southbound;
mod vswitch;

pub use northbound::{LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Nat};
pub use server::Database;
pub use southbound::{CIDRS, Chassis, DatapathGroup, LoadBalancer, PortBinding};
pub use vswitch::{Bridge, Interface, OpenVSwitch, Port};
