//! Steady load: batch after batch, each when it is due, whether or not the last one was answered.

use std::time::Duration;

use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

/// A steady rate of batches from a start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: MonotonicTime,
    batch_seconds: f64,
    taken: u64,
}

impl Pace {
    /// So many items a second, in batches of so many, from now on. A rate of zero: as fast as they are asked for.
    pub(super) fn new(rate: f64, batch: usize) -> Self {
        let batch_seconds = if rate > 0.0 { batch as f64 / rate } else { 0.0 };
        Self { start: monotonic_now(), batch_seconds, taken: 0 }
    }

    /// Waits until the next batch is due and answers when that was: a batch that comes late counts its lateness as latency.
    pub(super) fn next(&mut self) -> MonotonicTime {
        if self.batch_seconds == 0.0 {
            return monotonic_now();
        }
        let due = self.start + Duration::from_secs_f64(self.taken as f64 * self.batch_seconds);
        self.taken += 1;
        rest_until(due);
        due
    }
}

/// Returns at that time, or at once if it has passed.
pub(super) fn rest_until(due: MonotonicTime) {
    loop {
        let left = due.saturating_since(monotonic_now());
        if left.is_zero() {
            return;
        }
        // May return early; the loop looks again.
        std::thread::park_timeout(left);
    }
}

/// Rests for a while.
pub(super) fn rest(duration: Duration) {
    rest_until(monotonic_now() + duration);
}
