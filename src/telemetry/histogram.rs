//! A histogram of durations, as Prometheus wants it: how many took at most so long, their sum and their number.

use std::time::Duration;

/// The upper bounds of the buckets, in seconds: from a netlink round trip to FRR's slowest start.
pub const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    total: u64,
    seconds: f64,
}

impl Histogram {
    /// Something took this long.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        for (count, bound) in self.counts.iter_mut().zip(BOUNDS) {
            *count += u64::from(seconds <= bound);
        }
        self.total += 1;
        self.seconds += seconds;
    }

    /// Bounds in seconds, each with how many took at most so long.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().zip(self.counts)
    }

    /// How many there were, and how many seconds all of them took.
    pub fn total(&self) -> (u64, f64) {
        (self.total, self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for milliseconds in [1, 30, 30, 100_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.total().0, 4);
    }
}
