//! The clock of one host: true time, wrong by an offset and by a drift.

use leftoff::time::{MonotonicTime, WallTime};

use super::queue::Micros;
use std::time::Duration;

/// When the world begins, by a right clock.
pub(super) const BEGINNING: WallTime = WallTime::from_millis(1_790_000_000_000);

/// A wall clock that may be wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostClock {
    offset_us: i64,
    drift_ppm: i64,
    drifts_since: Micros,
}

impl HostClock {
    pub(super) fn error_us(&self, now: Micros) -> i64 {
        let passed = now.saturating_sub(self.drifts_since).cast_signed();
        self.offset_us + passed / 1_000_000 * self.drift_ppm + passed % 1_000_000 * self.drift_ppm / 1_000_000
    }

    /// Milliseconds ahead of the true time.
    pub(super) fn error_ms(&self, now: Micros) -> i64 {
        self.error_us(now) / 1_000
    }

    /// What it shows.
    pub(super) fn wall(&self, now: Micros) -> WallTime {
        BEGINNING.shifted((now.cast_signed() + self.error_us(now)).div_euclid(1_000))
    }

    /// Sets it wrong by so much more, and lets it drift.
    pub(super) fn disturb(&mut self, now: Micros, offset_ms: i64, drift_ppm: i64) {
        *self = Self { offset_us: self.error_us(now) + offset_ms * 1_000, drift_ppm: self.drift_ppm + drift_ppm, drifts_since: now };
    }

    /// Puts it right.
    pub(super) fn put_right(&mut self) {
        *self = Self::default();
    }
}

/// What a clock that never goes back shows, at every host the same.
pub(super) const fn monotonic(now: Micros) -> MonotonicTime {
    MonotonicTime::from_start(Duration::from_micros(now))
}

/// A true time as a wall clock that is right shows it.
pub(super) fn true_wall(now: Micros) -> WallTime {
    HostClock::default().wall(now)
}
