//! The playheads that a node remembers for clients that run none: a bounded cache, in shards.
//!
//! Forgetting one is harmless: its device's next report starts a new one, by the rules of a first report. Those that have not reported for
//! longest are forgotten first, approximately (a clock hand over each shard).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::progress::{Playhead, Version};
use crate::store::RegisterKey;

const SHARD_COUNT: usize = 256;
const NONE: u32 = u32::MAX;

/// Keys are keyed hashes already; hashing them again would only cost time.
#[derive(Clone, Copy, Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
    }
}

/// A register's key in words: half the alignment of a `u128`, so the map's entries are smaller.
type Words = [u64; 2];

#[derive(Debug)]
struct Entry {
    key: Words,
    device: u64,
    // The next playhead in the same register: other devices in the same title.
    next: u32,
    used: bool,
    playhead: Playhead,
}

/// One shard's playheads.
#[derive(Debug, Default)]
pub(super) struct Shard {
    first: HashMap<Words, u32, BuildHasherDefault<KeyIsHash>>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    hand: usize,
    count_max: usize,
}

/// All playheads remembered.
#[derive(Debug)]
pub(super) struct Playheads {
    shards: Vec<Mutex<Shard>>,
}

fn words(key: RegisterKey) -> Words {
    [(key.0 >> 64) as u64, key.0 as u64]
}

// A shard is whole between any two statements that can panic, so a poisoned lock guards nothing broken.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Playheads {
    pub(super) fn new(count_max: usize) -> Self {
        let count_max = count_max.div_ceil(SHARD_COUNT).max(1);
        Self { shards: (0..SHARD_COUNT).map(|_| Mutex::new(Shard { count_max, ..Shard::default() })).collect() }
    }

    /// The shard of a profile, locked.
    pub(super) fn shard(&self, profile_hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(profile_hash >> 56) as usize % SHARD_COUNT])
    }

    /// Playheads remembered.
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).count()).sum()
    }

    /// Moves the stamps of all playheads with their device's clock.
    pub(super) fn restamp(&self, offset_ms: i64, own: impl Fn(RegisterKey, Version) -> bool) {
        for shard in &self.shards {
            for entry in lock(shard).entries.iter_mut().flatten() {
                let key = RegisterKey(u128::from(entry.key[0]) << 64 | u128::from(entry.key[1]));
                entry.playhead.restamp(offset_ms, |version| own(key, version));
            }
        }
    }
}

impl Shard {
    fn count(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The playhead of a device in a register.
    pub(super) fn find(&mut self, key: RegisterKey, device: u64) -> Option<&mut Playhead> {
        let mut index = *self.first.get(&words(key))?;
        loop {
            let entry = self.entries.get(index as usize)?.as_ref()?;
            if entry.device == device {
                break;
            }
            index = entry.next;
        }
        let entry = self.entries.get_mut(index as usize)?.as_mut()?;
        entry.used = true;
        Some(&mut entry.playhead)
    }

    /// Remembers a playhead; forgets another if there are too many.
    pub(super) fn insert(&mut self, key: RegisterKey, device: u64, playhead: Playhead) {
        if self.count() >= self.count_max {
            self.forget_one();
        }
        let key = words(key);
        let next = self.first.get(&key).copied().unwrap_or(NONE);
        // Unmarked until it reports again: a flood of devices that report once does not push out those that play.
        let entry = Some(Entry { key, device, next, used: false, playhead });
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.first.insert(key, index);
    }

    /// Tells every playhead in a register that a newer place was opened.
    pub(super) fn notice(&mut self, key: RegisterKey, newest: Version) {
        let mut index = self.first.get(&words(key)).copied().unwrap_or(NONE);
        while let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::as_mut) {
            entry.playhead.notice(newest);
            index = entry.next;
        }
    }

    /// Forgets every playhead of a profile.
    pub(super) fn forget_profile(&mut self, profile_hash: u64) {
        for index in 0..self.entries.len() {
            if self.entries[index].as_ref().is_some_and(|entry| entry.key[0] == profile_hash) {
                self.remove(index as u32);
            }
        }
    }

    fn forget_one(&mut self) {
        // Two turns at most: the first clears the marks, the second finds one cleared.
        for _ in 0..=2 * self.entries.len() {
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            match self.entries.get_mut(self.hand).and_then(Option::as_mut) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => return self.remove(self.hand as u32),
                None => {}
            }
        }
    }

    fn remove(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::take) else { return };
        self.free.push(index);
        let mut before = self.first.get(&entry.key).copied().unwrap_or(NONE);
        if before == index {
            if entry.next == NONE {
                self.first.remove(&entry.key);
            } else {
                self.first.insert(entry.key, entry.next);
            }
            return;
        }
        while let Some(earlier) = self.entries.get_mut(before as usize).and_then(Option::as_mut) {
            if earlier.next == index {
                earlier.next = entry.next;
                return;
            }
            before = earlier.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Hlc, WallTime};

    fn playhead() -> Playhead {
        Playhead::start_placed(Hlc::ZERO, Version::FIRST, WallTime::ZERO)
    }

    fn key(profile: u64, title: u64) -> RegisterKey {
        RegisterKey(u128::from(profile) << 64 | u128::from(title))
    }

    #[test]
    fn devices_in_one_title_are_kept_apart() {
        let playheads = Playheads::new(10_000);
        let mut shard = playheads.shard(1);
        for device in 0..5 {
            shard.insert(key(1, 2), device, playhead());
        }
        assert!((0..5).all(|device| shard.find(key(1, 2), device).is_some()));
        assert!(shard.find(key(1, 2), 5).is_none() && shard.find(key(1, 3), 0).is_none());
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_those_that_go_on_reporting() {
        let mut shard = Shard { count_max: 4, ..Shard::default() };
        for device in 0..20 {
            shard.insert(key(1, 1), device, playhead());
            assert!(shard.find(key(1, 1), 0).is_some(), "device 0 reports all the time and is kept");
            assert!(shard.count() <= 4);
        }
        assert!(shard.find(key(1, 1), 1).is_none());
    }

    #[test]
    fn an_erased_profile_leaves_no_playhead() {
        let playheads = Playheads::new(100_000);
        for title in 0..10 {
            playheads.shard(7).insert(key(7, title), 1, playhead());
            playheads.shard(8).insert(key(8, title), 1, playhead());
        }
        playheads.shard(7).forget_profile(7);
        assert_eq!(playheads.count(), 10);
        assert!(playheads.shard(7).find(key(7, 3), 1).is_none());
    }
}
