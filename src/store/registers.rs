//! The registers of one slot in the table, in key order.
//!
//! Sixty-four sorted runs, one a leaf of the key space. With a million and a half changed registers a run has a few dozen, in one piece of memory:
//! a search that begins where an even spread would put the key costs about two cache misses besides the register's own bytes, where a tree costs
//! five; and that is what a join costs, mostly.

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

/// Like a binary search by key, but beginning where the key would lie if keys were spread evenly, as hashes are, and doubling its steps from
/// there: a run that one big profile fills costs a few steps more.
fn find(run: &[Element], wanted: Words) -> Result<usize, usize> {
    let below = |index: usize| run.get(index).is_some_and(|element| element.key < wanted);
    // The sixteen highest bits are the run's own.
    let guess = ((u128::from(wanted.0 << 16) * run.len() as u128) >> 64) as usize;
    let (low, high);
    let mut step = 1;
    if below(guess) {
        let mut from = guess + 1;
        while below(from + step - 1) {
            from += step;
            step *= 2;
        }
        (low, high) = (from, run.len().min(from + step - 1));
    } else {
        let mut to = run.len().min(guess);
        while to > 0 && !below(to.saturating_sub(step)) {
            to = to.saturating_sub(step);
            step *= 2;
        }
        (low, high) = (to.saturating_sub(step), to);
    }
    let index = low + run.get(low..high).map_or(0, |rest| rest.partition_point(|element| element.key < wanted));
    if run.get(index).is_some_and(|element| element.key == wanted) { Ok(index) } else { Err(index) }
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
        let index = find(run, words(key)).ok()?;
        run.get(index).map(|element| &element.entry)
    }

    pub(super) fn get_mut(&mut self, key: RegisterKey) -> Option<&mut Entry> {
        let run = self.runs.get_mut(run_of(key))?;
        let index = find(run, words(key)).ok()?;
        run.get_mut(index).map(|element| &mut element.entry)
    }

    /// Puts an entry in; replaces the one that was there.
    pub(super) fn insert(&mut self, key: RegisterKey, entry: Entry) {
        if self.runs.is_empty() {
            self.runs.resize_with(RUNS, Vec::new);
        }
        let Some(run) = self.runs.get_mut(run_of(key)) else { return };
        match find(run, words(key)) {
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
        let index = find(run, words(key)).ok()?;
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

#[cfg(test)]
mod tests {
    use super::super::table::Arrival;
    use super::*;

    fn entry(number: u8) -> Entry {
        Entry { packed: vec![number].into(), arrival: Arrival::default() }
    }

    #[test]
    fn every_key_is_found_whether_spread_evenly_or_in_one_heap() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for spread in [0, 20, 40, 64] {
            let mut registers = Registers::default();
            let mut model = std::collections::BTreeMap::new();
            for number in 0..3_000_u32 {
                let high = if spread == 64 { 7 } else { next() >> 10 << spread >> 10 };
                let key = RegisterKey(u128::from(high) << 64 | u128::from(next() % 1_500));
                if next() % 5 == 0 {
                    assert_eq!(registers.remove(key).is_some(), model.remove(&key).is_some());
                } else {
                    registers.insert(key, entry(number as u8));
                    model.insert(key, number as u8);
                }
            }
            assert_eq!(registers.len(), model.len());
            assert!(registers.iter().map(|(key, entry)| (key, entry.packed[0])).eq(model.iter().map(|(key, byte)| (*key, *byte))));
            for (key, byte) in &model {
                assert_eq!(registers.get(*key).map(|entry| entry.packed[0]), Some(*byte));
                assert!(registers.get(RegisterKey(key.0 ^ 1 << 63)).is_none_or(|_| model.contains_key(&RegisterKey(key.0 ^ 1 << 63))));
            }
        }
    }
}
