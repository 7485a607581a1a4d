//! Where the playheads of a shard are, by a tag of their key: open addressing with linear probing, eight bytes a slot.
//!
//! A map from whole keys costs two misses of the processor's cache (its control bytes, its pair) before the playhead itself is touched, and with a
//! million playheads that is what a heartbeat costs mostly. Here it is one; the key is compared in the entry, which is read anyway.

/// Says that a slot is empty.
const NONE: u32 = u32::MAX;
/// Slots of the smallest table.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    entry: u32,
}

const EMPTY: Slot = Slot { tag: 0, entry: NONE };

/// Entries by tag. Several may share one.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None, or a power of two, at most three quarters of it in use.
    slots: Vec<Slot>,
    count: usize,
}

impl Index {
    /// The entry with this tag that `is` the one looked for.
    pub(super) fn find(&self, tag: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.slot_of(tag, is).map(|at| self.slots[at].entry)
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, tag: u32, entry: u32) {
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            let larger = (self.slots.len() * 2).max(SLOTS_MIN);
            let slots = std::mem::replace(&mut self.slots, vec![EMPTY; larger]);
            for slot in slots.into_iter().filter(|slot| slot.entry != NONE) {
                self.put(slot);
            }
        }
        self.put(Slot { tag, entry });
        self.count += 1;
    }

    /// Puts another entry in the place of one.
    pub(super) fn replace(&mut self, tag: u32, old: u32, new: u32) {
        if let Some(at) = self.slot_of(tag, |entry| entry == old) {
            self.slots[at].entry = new;
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, tag: u32, entry: u32) {
        let Some(mut hole) = self.slot_of(tag, |other| other == entry) else { return };
        self.count -= 1;
        // Those behind move up, as far as that does not put them before where their search begins (Knuth, TAOCP 3, 6.4, algorithm R).
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.entry == NONE {
                break;
            }
            let way = |from: usize| at.wrapping_sub(from) & mask;
            if way(self.home(slot.tag)) >= way(hole) {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }

    fn home(&self, tag: u32) -> usize {
        tag as usize & (self.slots.len() - 1)
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(slot.tag);
        while self.slots[at].entry != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    fn slot_of(&self, tag: u32, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = tag as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.entry == NONE {
                return None;
            }
            if slot.tag == tag && is(slot.entry) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_entry_is_found_whatever_was_removed_before() {
        let mut index = Index::default();
        let mut model: BTreeMap<u32, u32> = BTreeMap::new();
        let mut state = 0x2545_f491_u32;
        for entry in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Few distinct tags and many searches that begin at the table's end, so that runs wrap around and overlap.
            let tag = if state & 1 == 0 { u32::MAX - state % 7 } else { state >> 8 };
            index.insert(tag, entry);
            model.insert(entry, tag);
            if !state.is_multiple_of(3) {
                let victim = state % (entry + 1);
                if let Some(tag) = model.remove(&victim) {
                    index.remove(tag, victim);
                }
            }
            if entry % 1_000 == 0 {
                assert!(model.iter().all(|(entry, tag)| index.find(*tag, |found| found == *entry) == Some(*entry)));
                assert_eq!(index.count, model.len());
                assert_eq!(index.slots.iter().filter(|slot| slot.entry != NONE).count(), model.len());
            }
        }
        assert_eq!(index.find(0x1234_5678, |_| false), None);
    }
}
