//! What a hostile database server can send: any bytes as the stream of a session that is live, and the typed rows of
//! whatever updates come out of it. Nothing may panic, and a typed row must be the same however the stream was split.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bgp_agent::testing::fuzzed::ovsdb::takes(bytes));
