//! How long to wait before dialing again: full jitter, so that a thousand peers of a node that returns do not come at once.
//!
//! After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a uniform draw below a bound that doubles.

use std::time::Duration;

/// The waits between attempts at one address.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempts: 0 }
    }

    /// An attempt succeeded: the next failure starts anew.
    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The bound of the next draw.
    fn bound(&self) -> Duration {
        self.first.saturating_mul(1 << self.attempts.min(20)).min(self.max)
    }

    /// Draws the next wait.
    pub(super) fn next(&mut self) -> Duration {
        let bound = self.bound();
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(random_fraction())
    }
}

/// A uniform number in `0..1`; the middle if the system has no randomness, which waits rightly all the same.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

/// Random bytes for a link's salt.
pub(super) fn random_salt() -> Option<[u8; 16]> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).ok().map(|()| salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_starts_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        for expected_ms in [100, 200, 400, 800] {
            assert_eq!(backoff.bound(), Duration::from_millis(expected_ms));
            assert!(backoff.next() <= Duration::from_millis(expected_ms));
        }
        for _ in 0..100 {
            assert!(backoff.next() <= Duration::from_secs(30));
        }
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(100));
    }
}
