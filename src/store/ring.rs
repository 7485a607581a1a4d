//! The ring of recent changes: what live peers are fed from.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::OriginIndex;
use super::{RegisterKey, Seq};

/// A change: which key, under which number, from where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) key: RegisterKey,
    pub(super) seq: Seq,
    pub(super) origin: OriginIndex,
    /// It was made where it came from.
    pub(super) made_there: bool,
    /// It was recorded here, or a device brought it here: every other node gets it from this one.
    pub(super) is_ours: bool,
    /// A profile's tombstone: the key is the first of its profile.
    pub(super) tombstone: bool,
}

impl Change {
    /// Of a register that is sent as it is now, and last changed under `arrived`: if all of it was made here, or was here before, this change.
    pub(super) fn own_until(&self, arrived: Seq) -> Option<Seq> {
        (self.is_ours && arrived <= self.seq).then_some(self.seq)
    }
}

#[derive(Debug, Default)]
struct State {
    changes: VecDeque<Change>,
    /// All changes above this are in the ring.
    floor: Seq,
}

/// The newest changes, oldest first, at most so many.
#[derive(Debug)]
pub(super) struct Ring {
    state: Mutex<State>,
    count_max: usize,
}

impl Ring {
    pub(super) fn new(count_max: usize, floor: Seq) -> Self {
        Self { state: Mutex::new(State { changes: VecDeque::new(), floor }), count_max: count_max.max(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds changes, in order of their numbers, and drops the oldest beyond the bound.
    pub(super) fn push(&self, changes: &[Change]) {
        let mut state = self.state();
        state.changes.extend(changes);
        let excess = state.changes.len().saturating_sub(self.count_max);
        #[cfg(leftoff_planted)]
        let excess = if crate::planted::is_on(crate::planted::Planted::RingUnbounded) { 0 } else { excess };
        if let Some(last) = excess.checked_sub(1).and_then(|index| state.changes.get(index)) {
            state.floor = last.seq;
            state.changes.drain(..excess);
        }
    }

    /// Copies changes above `after` to `out`, at most `count`. `None`: the ring does not reach back so far.
    pub(super) fn copy_after(&self, after: Seq, count: usize, out: &mut Vec<Change>) -> Option<()> {
        out.clear();
        let state = self.state();
        if after < state.floor {
            return None;
        }
        let start = first_after(&state.changes, after);
        out.extend(state.changes.range(start..).take(count));
        Some(())
    }

    /// The last change above `after` before the first that is asked for, looking at no more than `count`; and whether those were all. `None`: the
    /// ring does not reach back so far.
    pub(super) fn last_before(&self, after: Seq, count: usize, is_asked_for: &dyn Fn(&Change) -> bool) -> Option<(Seq, bool)> {
        let state = self.state();
        if after < state.floor {
            return None;
        }
        let start = first_after(&state.changes, after);
        let mut last = after;
        let mut passed = 0;
        for change in state.changes.range(start..).take(count).take_while(|change| !is_asked_for(change)) {
            last = change.seq;
            passed += 1;
        }
        Some((last, start + passed == state.changes.len()))
    }

    pub(super) fn count(&self) -> usize {
        self.state().changes.len()
    }
}

/// The index of the first change above `after`: live peers stand near the end, and a ring of a million
/// changes is to cost them what its last few cost.
fn first_after(changes: &VecDeque<Change>, after: Seq) -> usize {
    first_from_back(changes, |change| change.seq > after)
}

/// The index of the first of those items that are after something, all of which come last. Looked for from the end.
pub(crate) fn first_from_back<T>(items: &VecDeque<T>, is_after: impl Fn(&T) -> bool) -> usize {
    let is_after = |index: usize| items.get(index).is_some_and(&is_after);
    let (mut high, mut step) = (items.len(), 1);
    while high > 0 && is_after(high.saturating_sub(step)) {
        high = high.saturating_sub(step);
        step *= 2;
    }
    let mut low = high.saturating_sub(step);
    while low < high {
        let middle = low + (high - low) / 2;
        (low, high) = if is_after(middle) { (low, middle) } else { (middle + 1, high) };
    }
    low
}
