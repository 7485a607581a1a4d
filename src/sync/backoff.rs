//! How long to wait before dialing again: full jitter, so that a thousand peers of a node that returns do not come at once.
//!
//! After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a uniform draw below a bound that doubles.

use std::time::Duration;

/// The waits between attempts at one address.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits of at most `first`, then of twice that, and so on up to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempts: 0 }
    }

    /// An attempt succeeded: the next failure starts anew.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The bound of the next wait.
    fn bound(&self) -> Duration {
        self.first.saturating_mul(1 << self.attempts.min(20)).min(self.max)
    }

    /// The next wait: `fraction`, a uniform draw of 0 to 1, of its bound.
    pub fn next(&mut self, fraction: f64) -> Duration {
        let bound = self.bound();
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_starts_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        for expected_ms in [100, 200, 400, 800] {
            assert_eq!(backoff.bound(), Duration::from_millis(expected_ms));
            assert_eq!(backoff.next(1.0), Duration::from_millis(expected_ms));
        }
        for _ in 0..100 {
            assert!(backoff.next(1.0) <= Duration::from_secs(30));
        }
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(100));
        assert_eq!(backoff.next(0.5), Duration::from_millis(50));
    }
}
