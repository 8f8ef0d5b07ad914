//! Anything that a vty socket could say: the framing of replies, however it is cut, and every reader of text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bgp_agent::testing::fuzzed::vty::takes(bytes));
