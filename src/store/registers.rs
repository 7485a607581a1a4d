//! The registers of one slot in the table, in key order.
//!
//! Sixty-four sorted runs, one a leaf of the key space. With a million and a half changed registers a run has a few dozen, in one piece of memory:
//! finding one costs about two cache misses besides its own bytes, where a tree costs five; and that is what a join costs, mostly.

use super::table::Entry;
use super::{KeyRange, RegisterKey};

const RUNS: usize = 64;

/// A key in two words, so that an element has no padding.
type Words = (u64, u64);

#[derive(Clone, Debug)]
struct Element {
    key: Words,
    entry: Entry,
}

/// Registers by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    /// None until there is a register: a device has few slots in use.
    runs: Vec<Vec<Element>>,
    count: usize,
}

const fn words(key: RegisterKey) -> Words {
    ((key.0 >> 64) as u64, key.0 as u64)
}

const fn key(words: Words) -> RegisterKey {
    RegisterKey((words.0 as u128) << 64 | words.1 as u128)
}

/// Which run of its slot a key belongs to: the six bits below the slot's.
const fn run_of(key: RegisterKey) -> usize {
    (key.0 >> 112) as usize % RUNS
}

impl Registers {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn get(&self, key: RegisterKey) -> Option<&Entry> {
        let run = self.runs.get(run_of(key))?;
        let index = run.binary_search_by_key(&words(key), |element| element.key).ok()?;
        run.get(index).map(|element| &element.entry)
    }

    pub(super) fn get_mut(&mut self, key: RegisterKey) -> Option<&mut Entry> {
        let run = self.runs.get_mut(run_of(key))?;
        let index = run.binary_search_by_key(&words(key), |element| element.key).ok()?;
        run.get_mut(index).map(|element| &mut element.entry)
    }

    /// Puts an entry in; replaces the one that was there.
    pub(super) fn insert(&mut self, key: RegisterKey, entry: Entry) {
        if self.runs.is_empty() {
            self.runs.resize_with(RUNS, Vec::new);
        }
        let Some(run) = self.runs.get_mut(run_of(key)) else { return };
        match run.binary_search_by_key(&words(key), |element| element.key) {
            Ok(index) => run[index].entry = entry,
            Err(index) => {
                if run.len() == run.capacity() {
                    // By a quarter, not by doubling: there are sixty-five thousand runs, and what they do not use adds up.
                    run.reserve_exact(run.len() / 4 + 4);
                }
                run.insert(index, Element { key: words(key), entry });
                self.count += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, key: RegisterKey) -> Option<Entry> {
        let run = self.runs.get_mut(run_of(key))?;
        let index = run.binary_search_by_key(&words(key), |element| element.key).ok()?;
        self.count -= 1;
        Some(run.remove(index).entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RegisterKey, &Entry)> {
        self.runs.iter().flatten().map(|element| (key(element.key), &element.entry))
    }

    /// The registers of a range that lies within this slot.
    pub(super) fn range(&self, range: KeyRange) -> impl Iterator<Item = (RegisterKey, &Entry)> {
        let (first, last) = (run_of(range.first), run_of(range.last));
        let runs = self.runs.iter().take(last + 1).skip(first);
        runs.flat_map(move |run| {
            let start = run.partition_point(|element| element.key < words(range.first));
            let end = run.partition_point(|element| element.key <= words(range.last));
            run[start..end.max(start)].iter().map(|element| (key(element.key), &element.entry))
        })
    }
}
