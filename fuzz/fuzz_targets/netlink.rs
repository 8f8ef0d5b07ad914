//! Whatever bytes come from a netlink socket: nothing panics, and what is told of the mirror is what it holds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bgp_agent::testing::fuzzed::netlink::takes(bytes));
