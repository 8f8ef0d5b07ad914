//! Any history of a small cloud, with lost results, sessions that go and come, drift, refusals and restarts, ends equal to
//! what is wished.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|history: &[u8]| bgp_agent::testing::converge::converges(history));
