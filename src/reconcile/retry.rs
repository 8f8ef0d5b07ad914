//! When an operation that was refused, or whose answer was lost, is tried again: soon, then ever later, never in step with
//! others.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);

/// The longest pause: short enough that what an operator mended is picked up while he looks.
const LONGEST: Duration = Duration::from_secs(30);

/// The same where an answer was lost: the peer may have died of the operation, and with it what it did for all tenants.
const FIRST_AFTER_LOSS: Duration = Duration::from_secs(1);
const LONGEST_AFTER_LOSS: Duration = Duration::from_secs(15 * 60);

/// The pause after the `tries`th refusal (counted from 1): doubled each time, with up to a quarter of jitter given as
/// `chance` (0 to 1).
pub fn pause(tries: u32, chance: f64) -> Duration {
    doubled(FIRST, tries, LONGEST).mul_f64(1.0 + chance / 4.0)
}

/// The pause after the `losses`th lost answer in a row that is not followed by another try at once, likewise.
pub fn pause_after_loss(losses: u32, chance: f64) -> Duration {
    doubled(FIRST_AFTER_LOSS, losses, LONGEST_AFTER_LOSS).mul_f64(1.0 + chance / 4.0)
}

/// The `times`th of pauses of which each is twice the one before, counted from 1.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(longest)
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
        assert_eq!([1, 2, 1000].map(|losses| pause_after_loss(losses, 0.0).as_secs()), [1, 2, 900]);
    }
}
