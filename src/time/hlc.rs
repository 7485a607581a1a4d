//! Hybrid logical clocks: stamps that follow the wall clock and yet never repeat or fall behind what was seen.
//!
//! After Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks" (OPODIS 2014), in one `u64`: Unix milliseconds in the high bits, a
//! counter in the low ten. The counter may run over into the milliseconds; the clock is then ahead of the wall by that much and waits for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WallTime;
use crate::limits::{STAMP_COUNTER_BITS, STAMP_MAX};

/// A hybrid logical stamp: Unix milliseconds << 10 | counter. Zero means "never". Below 2^53, so exact in a JavaScript number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Hlc(u64);

impl Hlc {
    /// Before everything: "never".
    pub const ZERO: Self = Self(0);
    /// The highest stamp that can be encoded.
    pub const MAX: Self = Self(STAMP_MAX);

    /// A stamp from its number; numbers above [`STAMP_MAX`] become [`Hlc::MAX`].
    pub const fn from_u64(raw: u64) -> Self {
        if raw > STAMP_MAX { Self::MAX } else { Self(raw) }
    }

    /// The first stamp of a millisecond.
    pub const fn from_wall(at: WallTime) -> Self {
        if at.as_millis() > STAMP_MAX >> STAMP_COUNTER_BITS { Self::MAX } else { Self(at.as_millis() << STAMP_COUNTER_BITS) }
    }

    /// The stamp of a millisecond with the low ten bits given (a hash, for stamps that several nodes must derive alike).
    pub const fn from_wall_with_low_bits(at: WallTime, low_bits: u64) -> Self {
        Self(Self::from_wall(at).0 | (low_bits & ((1 << STAMP_COUNTER_BITS) - 1)))
    }

    /// The stamp's number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The wall time in the stamp.
    pub const fn wall(self) -> WallTime {
        WallTime::from_millis(self.0 >> STAMP_COUNTER_BITS)
    }

    /// The next stamp; the highest one is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::from_u64(self.0.saturating_add(1))
    }

    /// This stamp moved by a signed number of milliseconds, counter kept. Zero stays zero: "never" has no date.
    #[must_use]
    pub const fn shifted(self, offset_ms: i64) -> Self {
        if self.0 == 0 {
            return self;
        }
        let shifted = self.0.saturating_add_signed(offset_ms.saturating_mul(1 << STAMP_COUNTER_BITS));
        if shifted == 0 { Self(1) } else { Self::from_u64(shifted) }
    }

    /// The activity window that this stamp falls in.
    pub const fn window(self) -> u64 {
        self.wall().as_millis() / crate::limits::ACTIVITY_WINDOW_MS
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall().as_millis(), self.0 & ((1 << STAMP_COUNTER_BITS) - 1))
    }
}

/// Why a stamp was not accepted. The clock has not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The stamp lies too far in this clock's future.
    #[error("the stamp is {ahead_ms} ms ahead of this clock, at most {bound_ms} ms are accepted")]
    TooFarAhead {
        /// How far ahead, in milliseconds.
        ahead_ms: u64,
        /// The bound that it broke, in milliseconds.
        bound_ms: u64,
    },
}

/// A clock that issues [`Hlc`] stamps: strictly growing, never behind a stamp that it accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HybridClock {
    last: Hlc,
}

impl HybridClock {
    /// A clock that continues after `last` (what the store remembers).
    pub const fn resuming_after(last: Hlc) -> Self {
        Self { last }
    }

    /// The highest stamp issued or accepted so far.
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// Issues the next stamp: the wall's millisecond if it is ahead, else one more than the last.
    pub fn tick(&mut self, now: WallTime) -> Hlc {
        self.last = Hlc::from_wall(now).max(self.last.next());
        self.last
    }

    /// Whether a stamp may be accepted: at most `drift_ms_max` ahead of the wall clock. Changes nothing.
    pub fn check(stamp: Hlc, now: WallTime, drift_ms_max: u64) -> Result<(), ClockError> {
        let ahead_ms = stamp.wall().as_millis().saturating_sub(now.as_millis());
        if ahead_ms > drift_ms_max {
            return Err(ClockError::TooFarAhead { ahead_ms, bound_ms: drift_ms_max });
        }
        Ok(())
    }

    /// Takes note of a stamp that was accepted, so that later ones are above it.
    pub fn observe(&mut self, stamp: Hlc) {
        self.last = self.last.max(stamp);
    }

    /// Moves the clock itself by a signed number of milliseconds: only for a device whose unshared stamps are moved with it.
    pub fn shift(&mut self, offset_ms: i64) {
        self.last = self.last.shifted(offset_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);

    #[test]
    fn stamps_grow_while_the_wall_stands_still_or_goes_back() {
        let mut clock = HybridClock::default();
        let first = clock.tick(NOW);
        let second = clock.tick(NOW);
        let third = clock.tick(NOW.shifted(-5_000));
        assert!(first < second && second < third);
        assert_eq!(first.wall(), NOW);
    }

    #[test]
    fn a_clock_never_falls_behind_what_it_accepted() {
        let mut clock = HybridClock::default();
        let seen = Hlc::from_wall(NOW.shifted(40_000));
        assert_eq!(HybridClock::check(seen, NOW, 60_000), Ok(()));
        clock.observe(seen);
        assert!(clock.tick(NOW) > seen);
    }

    #[test]
    fn a_stamp_beyond_the_drift_bound_is_refused_with_both_figures() {
        let poisoned = Hlc::from_wall(NOW.shifted(60_001));
        assert_eq!(HybridClock::check(poisoned, NOW, 60_000), Err(ClockError::TooFarAhead { ahead_ms: 60_001, bound_ms: 60_000 }));
        assert_eq!(HybridClock::check(Hlc::from_wall(NOW.shifted(60_000)), NOW, 60_000), Ok(()));
    }

    #[test]
    fn never_has_no_date_and_the_ends_of_time_hold() {
        assert_eq!(Hlc::ZERO.shifted(86_400_000), Hlc::ZERO);
        assert_eq!(Hlc::from_u64(u64::MAX), Hlc::MAX);
        assert_eq!(Hlc::MAX.next(), Hlc::MAX);
        assert_eq!(Hlc::from_wall(NOW).shifted(-86_400_000).wall(), NOW.shifted(-86_400_000));
    }
}
