//! Waiting for conditions, never for time to pass: a deadline that fails with what was still missing.

use std::fmt::Display;
use std::thread;
use std::time::Duration;

use leftoff::time::MonotonicTime;
use leftoff::time::system::monotonic_now;

/// How long a condition that only needs this machine may take, on a machine that is busy with everything else.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `look` answers something; fails with its last reason when it has not within `patience`.
pub(crate) fn eventually<T, E: Display>(patience: Duration, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = monotonic_now() + patience;
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) if monotonic_now() >= deadline => panic!("{what}: not within {patience:?}; last: {reason}"),
            Err(_) => pause(LOOK),
        }
    }
}

/// Looks again and again until the time has passed; fails as soon as `look` does. For what must stay as it is.
pub(crate) fn throughout<E: Display>(time: Duration, what: &str, mut look: impl FnMut() -> Result<(), E>) {
    let deadline = monotonic_now() + time;
    while monotonic_now() < deadline {
        if let Err(reason) = look() {
            panic!("{what}: {reason}");
        }
        pause(LOOK);
    }
}

/// A point in time `after` from now.
pub(crate) fn deadline(after: Duration) -> MonotonicTime {
    monotonic_now() + after
}

/// Whether a point in time has passed.
pub(crate) fn passed(deadline: MonotonicTime) -> bool {
    monotonic_now() >= deadline
}

/// Lets others have the processor between two looks. Nothing may depend on how long it takes.
pub(crate) fn pause(about: Duration) {
    thread::park_timeout(about);
}
