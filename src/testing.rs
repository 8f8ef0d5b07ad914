//! What tests share: rows of a small cloud, fakes of the planes, a status. Compiled for tests and fuzzing alone.

pub mod converge;
pub mod fuzzed;
pub mod peers;
pub mod rows;
pub mod status;

/// How many cases a property test runs: the given number, or PROPTEST_CASES where that is set.
pub fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
