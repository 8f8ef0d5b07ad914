//! When a refused operation is tried again: soon, then ever later, never in step with others.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);

/// The longest pause: short enough that what an operator mended is picked up while he looks.
const LONGEST: Duration = Duration::from_secs(30);

/// The pause after the `tries`th refusal (counted from 1): doubled each time, with up to a quarter of jitter given as
/// `chance` (0 to 1).
pub fn pause(tries: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(1.0 + chance / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause(1, 0.0), FIRST);
        assert_eq!(pause(2, 0.0), FIRST * 2);
        assert_eq!(pause(1000, 0.0), LONGEST);
        assert!(pause(3, 1.0) > pause(3, 0.0));
    }
}
