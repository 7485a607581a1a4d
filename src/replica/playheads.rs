//! The playheads that a node remembers for clients that run none: a bounded cache, in shards.
//!
//! Forgetting one is harmless: its device's next report starts a new one, by the rules of a first report. Those that have not reported for
//! longest are forgotten first, approximately (a clock hand over each shard).

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::Index;
use crate::progress::{Playhead, Version};
use crate::store::RegisterKey;
use crate::time::Hlc;

const SHARD_COUNT: usize = 256;
const NONE: u32 = u32::MAX;

/// A register's key in words: half the alignment of a `u128`, so the map's entries are smaller.
type Words = [u64; 2];

// In one piece, so that a search which ends here touches one line of it.
#[derive(Clone, Copy, Debug)]
struct Label {
    key: Words,
    device: u64,
    // The next playhead in the same register: other devices in the same title.
    next: u32,
    used: bool,
}

#[derive(Debug)]
struct Entry {
    label: Label,
    playhead: Playhead,
}

/// One shard's playheads.
#[derive(Debug, Default)]
pub(super) struct Shard {
    // The first playhead of each register that has any.
    first: Index,
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

/// What a key is found by: bits of its hash of profile and title that neither its slot nor its shard is chosen by.
const fn tag(key: Words) -> u32 {
    key[1] as u32
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

    /// Moves the stamps of all playheads with their device's clock: each by what `offset_ms` says of its register.
    pub(super) fn restamp(&self, offset_ms: impl Fn(RegisterKey) -> i64, latest: Hlc, own: impl Fn(RegisterKey, Version) -> bool) {
        for shard in &self.shards {
            for entry in lock(shard).entries.iter_mut().flatten() {
                let key = RegisterKey(u128::from(entry.label.key[0]) << 64 | u128::from(entry.label.key[1]));
                entry.playhead.restamp(offset_ms(key), latest, |version| own(key, version));
            }
        }
    }
}

impl Shard {
    fn count(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn first_of(&self, key: Words) -> Option<u32> {
        self.first.find(tag(key), |index| self.label(index).is_some_and(|label| label.key == key))
    }

    fn label(&self, index: u32) -> Option<&Label> {
        self.entries.get(index as usize)?.as_ref().map(|entry| &entry.label)
    }

    /// The playhead of a device in a register.
    pub(super) fn find(&mut self, key: RegisterKey, device: u64) -> Option<&mut Playhead> {
        let mut index = self.first_of(words(key))?;
        loop {
            let label = self.label(index)?;
            if label.device == device {
                break;
            }
            index = label.next;
        }
        let entry = self.entries.get_mut(index as usize)?.as_mut()?;
        entry.label.used = true;
        Some(&mut entry.playhead)
    }

    /// Remembers a playhead; forgets another if there are too many.
    pub(super) fn insert(&mut self, key: RegisterKey, device: u64, playhead: Playhead) {
        if self.count() >= self.count_max {
            self.forget_one();
        }
        let key = words(key);
        let first = self.first_of(key);
        // Unmarked until it reports again: a flood of devices that report once does not push out those that play.
        let label = Label { key, device, next: first.unwrap_or(NONE), used: false };
        let entry = Some(Entry { label, playhead });
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        match first {
            Some(first) => self.first.replace(tag(key), first, index),
            None => self.first.insert(tag(key), index),
        }
    }

    /// Tells every playhead in a register that a newer place was opened.
    pub(super) fn notice(&mut self, key: RegisterKey, newest: Version) {
        let mut index = self.first_of(words(key)).unwrap_or(NONE);
        while let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::as_mut) {
            entry.playhead.notice(newest);
            index = entry.label.next;
        }
    }

    /// Forgets every playhead of a profile.
    pub(super) fn forget_profile(&mut self, profile_hash: u64) {
        for index in 0..self.entries.len() {
            if self.entries[index].as_ref().is_some_and(|entry| entry.label.key[0] == profile_hash) {
                self.remove(index as u32);
            }
        }
    }

    fn forget_one(&mut self) {
        // Two turns at most: the first clears the marks, the second finds one cleared.
        for _ in 0..=2 * self.entries.len() {
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            match self.entries.get_mut(self.hand).and_then(Option::as_mut) {
                Some(entry) if entry.label.used => entry.label.used = false,
                Some(_) => return self.remove(self.hand as u32),
                None => {}
            }
        }
    }

    fn remove(&mut self, index: u32) {
        let Some(label) = self.label(index).copied() else { return };
        // While its entry is still there, for that is where keys are compared.
        let mut before = self.first_of(label.key).unwrap_or(NONE);
        self.entries[index as usize] = None;
        self.free.push(index);
        if before == index {
            if label.next == NONE {
                self.first.remove(tag(label.key), index);
            } else {
                self.first.replace(tag(label.key), index, label.next);
            }
            return;
        }
        while let Some(earlier) = self.entries.get_mut(before as usize).and_then(Option::as_mut) {
            if earlier.label.next == index {
                earlier.label.next = label.next;
                return;
            }
            before = earlier.label.next;
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
