//! The OVN BGP agent: offers annotated OpenStack tenant networks to the fabric through BGP EVPN/VXLAN.
//!
//! # The house
//!
//! ```text
//! SB rows ─► southbound (replica) ─► intent (pure: what should exist) ─┐
//! local Open_vSwitch rows ─────────────────────────────────────────────┤
//!                                                                      ▼
//!                          reconcile: desired minus actual = ordered operations
//!                 ┌──────────────────────┬──────────────────────┬──────┴───────────────┐
//!           planes::kernel         planes::vswitch        planes::flows          planes::frr
//!           netlink socket         OVSDB session          OpenFlow session       vty sessions
//! ```

pub mod agent;
pub mod bgpvpn;
pub mod cli;
pub mod config;
pub mod control;
pub mod intent;
pub mod ledger;
pub mod lock;
pub mod model;
pub mod northbound;
pub mod ovsdb;
pub mod planes;
pub mod reconcile;
pub mod southbound;
pub mod telemetry;
#[cfg(any(test, fuzzing))]
pub mod testing;
