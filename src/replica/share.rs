//! A device's work that was shared with nobody: kept apart as deltas while no peer's clock is known, moved to right time, then shared.
//!
//! A device's clock may be wrong by a day. What it stamped by that clock must not meet other replicas' stamps, or it would win or lose by the
//! error; nor may it be refused, or real watching would be lost. So until a peer's clock is known, deltas are not joined for good.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::{Change, Core, RecordError};
use crate::limits::{LOG_FRAME_BYTES_MAX, PLACES_COUNT_MAX, RECORD_BYTES_MAX};
use crate::progress::{Places, Progress, Version};
use crate::store::{Applied, Batch, RegisterKey};
use crate::time::{Hlc, MonotonicTime, WallTime};

/// Clocks that agree this well are not moved: the measurement itself is not better.
const OFFSET_IGNORED_MS: i64 = 250;

/// Unshared work is shared in batches of this size, in bytes: a device that was long away, or that a history was imported into, has more than one
/// frame of the log holds.
const SHARED_BATCH_BYTES: usize = 1 << 20;

const _: () = assert!(SHARED_BATCH_BYTES + RECORD_BYTES_MAX < LOG_FRAME_BYTES_MAX, "each is a frame of the log");

impl Core {
    /// Whether what is recorded now is kept apart.
    pub fn keeps_apart(&self) -> bool {
        !*self.sharing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// No peer's clock is known any more: what is recorded from here on is kept apart again, if this replica does so at all.
    pub fn stop_sharing(&self) {
        if self.options.keeps_unshared {
            *self.sharing.write().unwrap_or_else(PoisonError::into_inner) = false;
        }
    }

    /// Looks whether this machine's clock was set since this was last called. What was known of it is not true any more then: what is recorded
    /// from here on is kept apart until it has been compared with a peer's again, if this replica does so at all, and nothing expires by it.
    ///
    /// To be called before anything is recorded on a device, and before [`Core::expire`]; links call it with each comparison.
    pub fn note_clock(&self, now: WallTime, mono: MonotonicTime) {
        if self.steps.lock().unwrap_or_else(PoisonError::into_inner).stepped(now, mono) {
            self.stop_sharing();
            self.set_clock_agrees(false);
        }
    }

    /// A peer's clock is known: moves everything that was shared with nobody by `offset_ms`, shares it, and goes on by the corrected clock.
    ///
    /// `offset_ms` is what the peer's clock is ahead of this replica's *corrected* one. Returns the offset of the machine's clock as it is now
    /// known; keep it for the next start. Watchers get a reset if anything moved. Durable on return.
    ///
    /// # Errors
    ///
    /// Nothing was moved or shared; try again with the next connection. After a failed flush the store takes nothing any more, and only reopening it
    /// tells what was shared; the rest is moved by the next connection after that.
    pub fn share_unshared(&self, now: WallTime, offset_ms: i64) -> Result<i64, RecordError> {
        self.share_unshared_observed(now, offset_ms, &mut |_| ())
    }

    /// Like [`Core::share_unshared`], and shows each record that became durable: what was still to be flushed, then, after the moment at which
    /// everything unshared is gone, what it was moved to.
    ///
    /// # Errors
    ///
    /// Those of [`Core::share_unshared`].
    pub fn share_unshared_observed(
        &self,
        now: WallTime,
        offset_ms: i64,
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<i64, RecordError> {
        let mut sharing = self.sharing.write().unwrap_or_else(PoisonError::into_inner);
        let offset_ms = if offset_ms.abs() <= OFFSET_IGNORED_MS { 0 } else { offset_ms };
        if *sharing && offset_ms == 0 {
            return Ok(self.clock.offset_ms());
        }
        let failed = |error: crate::store::FlushError| super::NotDurable { reason: error.to_string() };
        self.flush_observed(observe).map_err(failed)?;
        let unshared = self.store.unshared();
        let hasher = *self.store.hasher();
        let mut known = BTreeMap::new();
        for (profile, title, _) in &unshared {
            let key = hasher.register(profile, title);
            known.insert(key, self.store.shared_register(profile, title)?.map_or_else(Places::default, |stored| stored.progress.places));
        }
        let own = |key: RegisterKey, version: Version| known.get(&key).is_some_and(|places| is_own(places, version));
        let latest = Hlc::from_wall(self.corrected(now).shifted(offset_ms));
        let mut batch = Batch::local();
        let share = |batch: &mut Batch, observe: &mut dyn FnMut(&Applied<'_>)| -> Result<(), RecordError> {
            self.store.share(std::mem::replace(batch, Batch::local()))?;
            self.flush_observed(observe).map_err(failed)?;
            Ok(())
        };
        let mut offsets = BTreeMap::new();
        for (profile, title, delta) in &unshared {
            let key = hasher.register(profile, title);
            let offset_ms = not_after(latest, delta, offset_ms);
            offsets.insert(key, offset_ms);
            let moved = if offset_ms == 0 { delta.clone() } else { delta.restamped(offset_ms, |version| own(key, version)) };
            batch.register(profile, title, &moved);
            if batch.bytes() >= SHARED_BATCH_BYTES {
                share(&mut batch, observe)?;
            }
        }
        if !batch.is_empty() {
            share(&mut batch, observe)?;
        }
        // Also by a clock that agrees: what was stamped before it was put right lies in the future by it, and has been moved back.
        if offset_ms != 0 || offsets.values().any(|moved_ms| *moved_ms != 0) {
            self.playheads.restamp(|key| offsets.get(&key).copied().unwrap_or(offset_ms), latest, own);
            self.clock.shift(offset_ms, latest);
            self.watchers.notify_all(&Change::Reset);
        }
        *sharing = true;
        drop(sharing);
        self.watchers.wake();
        Ok(self.clock.offset_ms())
    }
}

/// Whether a version in an unshared delta was made by this device: it is not among the register's shared places, and did not fall out of them.
fn is_own(shared: &Places, version: Version) -> bool {
    let places = shared.as_slice();
    let fell_out = places.len() == PLACES_COUNT_MAX && places.last().is_some_and(|oldest| version < oldest.version);
    version != Version::FIRST && !fell_out && shared.find(version).is_none()
}

/// By how much a delta moves so that nothing of it is in the future: a clock that was put right between two recordings, or went wrong between
/// them, would move some stamps too far.
fn not_after(latest: Hlc, delta: &Progress, offset_ms: i64) -> i64 {
    let highest = delta.highest_stamp().shifted(offset_ms);
    if highest <= latest { offset_ms } else { offset_ms - highest.wall().millis_since(latest.wall()) }
}
