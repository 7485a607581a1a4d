//! Points in time: [`WallTime`] and [`MonotonicTime`], two types so that they cannot be mixed up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, by somebody's wall clock.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct WallTime(u64);

impl WallTime {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);

    /// The given number of milliseconds after the Unix epoch.
    pub const fn from_millis(unix_ms: u64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time moved by a signed number of milliseconds; stops at the epoch and at the end of time.
    #[must_use]
    pub const fn shifted(self, offset_ms: i64) -> Self {
        Self(self.0.saturating_add_signed(offset_ms))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        if self.0 >= earlier.0 { clamp(self.0 - earlier.0) } else { -clamp(earlier.0 - self.0) }
    }
}

const fn clamp(ms: u64) -> i64 {
    if ms > i64::MAX as u64 { i64::MAX } else { ms.cast_signed() }
}

/// A reading of a clock that never goes back, since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MonotonicTime(Duration);

impl MonotonicTime {
    /// The arbitrary start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The given time after the arbitrary start.
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time since the arbitrary start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time since `earlier`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for MonotonicTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}
