//! The replica's clock, shared by all threads without a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::time::{Hlc, HybridClock, WallTime};

/// A [`HybridClock`] that many threads tick, and the offset by which this machine's wall clock is known to be wrong.
#[derive(Debug, Default)]
pub(super) struct SharedClock {
    last: AtomicU64,
    // The highest stamp that came from elsewhere.
    observed: AtomicU64,
    offset_ms: AtomicI64,
}

impl SharedClock {
    pub(super) fn resuming_after(last: Hlc) -> Self {
        Self { last: AtomicU64::new(last.as_u64()), ..Self::default() }
    }

    pub(super) fn corrected(&self, now: WallTime) -> WallTime {
        now.shifted(self.offset_ms.load(Ordering::Relaxed))
    }

    pub(super) fn last(&self) -> Hlc {
        Hlc::from_u64(self.last.load(Ordering::Relaxed))
    }

    pub(super) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// The next stamp at the corrected time.
    pub(super) fn tick(&self, corrected: WallTime) -> Hlc {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = HybridClock::resuming_after(Hlc::from_u64(last)).tick(corrected);
            match self.last.compare_exchange_weak(last, next.as_u64(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(moved) => last = moved,
            }
        }
    }

    pub(super) fn observe(&self, stamp: Hlc) {
        self.observed.fetch_max(stamp.as_u64(), Ordering::Relaxed);
        self.last.fetch_max(stamp.as_u64(), Ordering::Relaxed);
    }

    /// Moves the clock: only with the stamps it made and has shared with nobody. Never behind a stamp from elsewhere, and never beyond `latest`:
    /// its last stamp may have been made before the machine's clock went wrong.
    pub(super) fn shift(&self, offset_ms: i64, latest: Hlc) {
        let last = Hlc::from_u64(self.last.load(Ordering::Relaxed)).shifted(offset_ms).min(latest);
        self.last.store(last.as_u64().max(self.observed.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.offset_ms.fetch_add(offset_ms, Ordering::Relaxed);
    }
}
