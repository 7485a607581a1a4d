//! The registers of one slot in the table, in key order.
//!
//! Sorted runs, sixty-four of them once there are enough, each a leaf of the key space: its index in one piece of memory, and the registers' bytes
//! behind one another in another. A search that begins where an even spread would put the key costs about two cache misses besides the
//! register's own bytes, where a tree costs five; and that is what a join costs, mostly. One allocation a register would cost as much again,
//! and more when a fold frees a million of them.

use super::forgetting::FloorDay;
use super::table::{Arrival, EntryRef};
use super::{KeyRange, RegisterKey};

const RUNS: usize = 64;
/// So many registers are kept in a single run: most slots of a device have a few.
const SINGLE_RUN_COUNT_MAX: usize = 96;

/// A key in two words, so that an element has no padding.
type Words = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Element {
    key: Words,
    arrival: Arrival,
    offset: u32,
    /// Two ids and a state: below a kilobyte.
    length: u16,
    floor: FloorDay,
}

#[derive(Clone, Debug, Default)]
struct Run {
    elements: Vec<Element>,
    bytes: Vec<u8>,
    /// Bytes that no element names any more.
    dead: usize,
}

/// Where a register lies, until the next one is put in or taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    run: usize,
    index: usize,
}

/// Registers by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    /// None, one, or sixty-four.
    runs: Vec<Run>,
    count: usize,
}

const fn words(key: RegisterKey) -> Words {
    ((key.0 >> 64) as u64, key.0 as u64)
}

const fn key(words: Words) -> RegisterKey {
    RegisterKey((words.0 as u128) << 64 | words.1 as u128)
}

/// Like a binary search by key, but beginning at `guess`, and doubling its steps from there: a run that one big profile fills costs a few steps
/// more.
fn find(run: &[Element], wanted: Words, guess: usize) -> Result<usize, usize> {
    let below = |index: usize| run.get(index).is_some_and(|element| element.key < wanted);
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

/// Makes room for `more`, by an eighth at least and not by doubling: there are sixty-five thousand runs, and what they do not use adds up.
fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(vec.len() / 8 + 2));
    }
}

impl Run {
    fn entry(&self, element: &Element) -> EntryRef<'_> {
        let start = element.offset as usize;
        let packed = self.bytes.get(start..start + usize::from(element.length)).unwrap_or_default();
        EntryRef { packed, arrival: element.arrival, floor: element.floor }
    }

    /// Appends bytes; answers where they lie. Bytes that nobody names are squeezed out first when they are half of all.
    fn keep(&mut self, packed: &[u8]) -> (u32, u16) {
        if self.dead > 512 && self.dead * 2 > self.bytes.len() {
            let mut kept = Vec::with_capacity(self.bytes.len() - self.dead + packed.len());
            for element in &mut self.elements {
                let start = element.offset as usize;
                element.offset = kept.len() as u32;
                kept.extend_from_slice(self.bytes.get(start..start + usize::from(element.length)).unwrap_or_default());
            }
            self.bytes = kept;
            self.dead = 0;
        }
        reserve(&mut self.bytes, packed.len());
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(packed);
        (offset, packed.len() as u16)
    }
}

impl Registers {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Which run a key belongs to, by the six bits below the slot's, and where in it an even spread would put it.
    fn place(&self, key: RegisterKey) -> (usize, usize) {
        let (run, shift) = if self.runs.len() == RUNS { ((key.0 >> 112) as usize % RUNS, 16) } else { (0, 10) };
        let count = self.runs.get(run).map_or(0, |run| run.elements.len());
        let fraction = u128::from(((key.0 >> 64) as u64) << shift);
        (run, ((fraction * count as u128) >> 64) as usize)
    }

    /// Where a register lies, if it is there.
    pub(super) fn locate(&self, key: RegisterKey) -> Option<Spot> {
        let (run, guess) = self.place(key);
        let index = find(&self.runs.get(run)?.elements, words(key), guess).ok()?;
        Some(Spot { run, index })
    }

    pub(super) fn at(&self, Spot { run, index }: Spot) -> Option<EntryRef<'_>> {
        let run = self.runs.get(run)?;
        run.elements.get(index).map(|element| run.entry(element))
    }

    pub(super) fn get(&self, key: RegisterKey) -> Option<EntryRef<'_>> {
        self.at(self.locate(key)?)
    }

    /// Puts other bytes in the place of those that lie there.
    pub(super) fn replace(&mut self, Spot { run, index }: Spot, packed: &[u8], arrival: Arrival, floor: FloorDay) {
        if let Some(run) = self.runs.get_mut(run)
            && let Some(element) = run.elements.get_mut(index)
        {
            (element.arrival, element.floor) = (arrival, floor);
            let start = element.offset as usize;
            if usize::from(element.length) == packed.len()
                && let Some(bytes) = run.bytes.get_mut(start..start + packed.len())
            {
                bytes.copy_from_slice(packed);
                return;
            }
            run.dead += usize::from(element.length);
            element.length = 0;
            let (offset, length) = run.keep(packed);
            if let Some(element) = run.elements.get_mut(index) {
                (element.offset, element.length) = (offset, length);
            }
        }
    }

    /// Puts a register in; what was there under the key is replaced.
    pub(super) fn insert(&mut self, key: RegisterKey, packed: &[u8], arrival: Arrival, floor: FloorDay) {
        if self.runs.is_empty() {
            self.runs.push(Run::default());
        } else if self.runs.len() == 1 && self.count == SINGLE_RUN_COUNT_MAX {
            self.spread();
        }
        let (number, guess) = self.place(key);
        let Some(run) = self.runs.get_mut(number) else { return };
        match find(&run.elements, words(key), guess) {
            Ok(index) => self.replace(Spot { run: number, index }, packed, arrival, floor),
            Err(index) => {
                let (offset, length) = run.keep(packed);
                reserve(&mut run.elements, 1);
                run.elements.insert(index, Element { key: words(key), arrival, offset, length, floor });
                self.count += 1;
            }
        }
    }

    /// From one run to sixty-four.
    fn spread(&mut self) {
        let single = std::mem::replace(&mut self.runs, vec![Run::default(); RUNS]);
        self.count = 0;
        for run in &single {
            for element in &run.elements {
                let entry = run.entry(element);
                self.insert(key(element.key), entry.packed, entry.arrival, entry.floor);
            }
        }
    }

    /// Takes a register out; answers the length of its bytes.
    pub(super) fn remove(&mut self, key: RegisterKey) -> Option<usize> {
        let Spot { run, index } = self.locate(key)?;
        let run = self.runs.get_mut(run)?;
        self.count -= 1;
        let length = usize::from(run.elements.remove(index).length);
        run.dead += length;
        Some(length)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RegisterKey, EntryRef<'_>)> {
        self.runs.iter().flat_map(|run| run.elements.iter().map(|element| (key(element.key), run.entry(element))))
    }

    /// The registers of a range that lies within this slot.
    pub(super) fn range(&self, range: KeyRange) -> impl Iterator<Item = (RegisterKey, EntryRef<'_>)> {
        let (first, last) = (self.place(range.first).0, self.place(range.last).0);
        let runs = self.runs.iter().take(last + 1).skip(first);
        runs.flat_map(move |run| {
            let start = run.elements.partition_point(|element| element.key < words(range.first));
            let end = run.elements.partition_point(|element| element.key <= words(range.last));
            run.elements[start..end.max(start)].iter().map(|element| (key(element.key), run.entry(element)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Seq;
    use super::super::table::OriginIndex;
    use super::*;

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
            for number in 0..4_000_u64 {
                // One slot: the ten highest bits are zero.
                let high = if spread == 64 { 7 } else { (next() >> 10 << spread) >> 10 };
                let key = RegisterKey(u128::from(high) << 64 | u128::from(next() % 1_500));
                if next() % 5 == 0 {
                    assert_eq!(registers.remove(key), model.remove(&key).map(|(bytes, _): (Vec<u8>, Arrival)| bytes.len()));
                } else {
                    let bytes = vec![number as u8; 1 + (next() % 40) as usize];
                    let arrival = Arrival::new(Seq(number), OriginIndex(3));
                    registers.insert(key, &bytes, arrival, FloorDay::default());
                    model.insert(key, (bytes, arrival));
                }
            }
            assert_eq!(registers.len(), model.len());
            let all = || model.iter().map(|(key, (bytes, arrival))| (*key, bytes.as_slice(), *arrival));
            assert!(registers.iter().map(|(key, entry)| (key, entry.packed, entry.arrival)).eq(all()));
            for (key, (bytes, _)) in &model {
                assert_eq!(registers.get(*key).map(|entry| entry.packed), Some(bytes.as_slice()));
                let other = RegisterKey(key.0 ^ 1 << 90);
                assert_eq!(registers.get(other).is_some(), model.contains_key(&other));
                let range = KeyRange { first: *key, last: RegisterKey(key.0 | 0xffff) };
                assert_eq!(registers.range(range).count(), model.range(range.first..=range.last).count());
            }
        }
    }
}
