//! The only file that reads the clocks of the operating system.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{MonotonicTime, WallTime};

static START: LazyLock<Instant> = LazyLock::new(now_instant);

#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
fn now_instant() -> Instant {
    Instant::now()
}

/// The wall clock's reading; the epoch if the clock stands before it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall_now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock's reading, counted from the first call in this process.
pub fn monotonic_now() -> MonotonicTime {
    let start = *START;
    MonotonicTime::from_start(now_instant().saturating_duration_since(start))
}
