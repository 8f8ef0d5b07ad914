//! The OpenFlow codec: what decodes, encodes, and decodes to the same again; and its text never fails.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bgp_agent::testing::fuzzed::openflow::takes(bytes));
