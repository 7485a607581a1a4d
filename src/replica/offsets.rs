//! What each device has shown of its clock: a bounded memory, for clients that do not say when they sent a batch.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::progress::DeviceOffset;
use crate::time::WallTime;

const SHARD_COUNT: usize = 64;

/// Offsets by a hash of profile and device: a device id alone may be the same on another account.
#[derive(Debug)]
pub(super) struct Offsets {
    shards: Vec<Mutex<BTreeMap<u64, DeviceOffset>>>,
    per_shard_max: usize,
}

impl Offsets {
    pub(super) fn new(count_max: usize) -> Self {
        let shards = (0..SHARD_COUNT).map(|_| Mutex::default()).collect();
        Self { shards, per_shard_max: count_max.div_ceil(SHARD_COUNT).max(1) }
    }

    /// Takes note of one event's own time.
    pub(super) fn observe(&self, device: u64, now: WallTime, at: WallTime) {
        let mut shard = self.shard(device);
        if shard.len() >= self.per_shard_max && !shard.contains_key(&device) {
            shard.retain(|_, offset| offset.offset_ms(now).is_some());
            // Still full of devices of this hour: any of them will show its offset again with its next batch.
            if shard.len() >= self.per_shard_max
                && let Some(any) = shard.keys().next().copied()
            {
                shard.remove(&any);
            }
        }
        shard.entry(device).or_default().observe(now, at);
    }

    /// What to add to the device's time, in milliseconds.
    pub(super) fn offset_ms(&self, device: u64, now: WallTime) -> i64 {
        self.shard(device).get_mut(&device).and_then(|offset| offset.offset_ms(now)).unwrap_or(0)
    }

    fn shard(&self, device: u64) -> MutexGuard<'_, BTreeMap<u64, DeviceOffset>> {
        self.shards[device as usize % SHARD_COUNT].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
