//! What nodes have been heard to say: which of a peer's numbers came here under which of ours, and how far each peer's changes are here.
//!
//! In memory only: it saves sending what a peer already gets straight from where it was made. What is forgotten costs bytes, never a change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Core;
use crate::limits::NEIGHBOURS_COUNT_MAX;
use crate::store::{Epoch, PeerCursor, ReplicaId, Seq, first_from_back};

/// Remembered pairs of numbers of one neighbour. Full, every second one is forgotten: what lies between two is known a little later.
const PAIRS_COUNT_MAX: usize = 512;

#[derive(Debug, Default)]
struct Neighbour {
    epoch: Epoch,
    /// Our last number of what was made there in an earlier epoch, as far as is known: of that, its present numbers say nothing.
    before: Seq,
    /// Its number, ours: what came from it up to our number was made there, up to its number. Ascending in both.
    own: Pairs,
    /// Its number, ours: when ours is durable, every change that was made there up to its number is here. Ascending in both.
    made: Pairs,
}

#[derive(Debug, Default)]
struct Pairs(VecDeque<(Seq, Seq)>);

impl Pairs {
    fn push(&mut self, theirs: Seq, ours: Seq) {
        let last = self.0.back().copied().unwrap_or_default();
        if theirs <= last.0 {
            // It says nothing new of the peer, but it stretches what is said of us.
            if let Some(back) = self.0.back_mut().filter(|back| back.0 == theirs) {
                back.1 = ours.max(back.1);
            }
            return;
        }
        if self.0.len() >= PAIRS_COUNT_MAX {
            let mut index = 0;
            self.0.retain(|_| {
                index += 1;
                index % 2 == 0
            });
        }
        self.0.push_back((theirs, ours));
    }
}

/// The nodes that this replica is, or was, linked with.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    state: Mutex<BTreeMap<ReplicaId, Neighbour>>,
}

impl Neighbours {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Neighbour>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Notes what a frame from a node, taken under our number `ours`, said of itself. `settled`: nothing of the node's was refused for later and not
    /// taken since, and no reconciliation with it is owed. Otherwise what it made may be missing here, and nothing is said of how far it is not.
    pub fn note_neighbour(&self, peer: ReplicaId, epoch: Epoch, own: Option<Seq>, made: Option<Seq>, ours: Seq, settled: bool) {
        let mut neighbours = self.neighbours.lock();
        if neighbours.len() >= NEIGHBOURS_COUNT_MAX && !neighbours.contains_key(&peer) {
            return;
        }
        let neighbour = neighbours.entry(peer).or_default();
        if neighbour.epoch != epoch {
            let last = neighbour.own.0.back().map_or(Seq(0), |(_, ours)| *ours);
            *neighbour = Neighbour { epoch, before: neighbour.before.max(last), ..Neighbour::default() };
        }
        if let Some(own) = own {
            neighbour.own.push(own, ours);
        }
        if let Some(made) = made.filter(|_| settled) {
            let durable = self.store.durable();
            // All that is durable but the newest says no more than that one.
            let passed = first_from_back(&neighbour.made.0, |(_, ours)| *ours > durable).saturating_sub(1);
            neighbour.made.0.drain(..passed);
            if neighbour.made.0.back().is_none_or(|(known, _)| *known < made) {
                neighbour.made.push(made, ours);
            }
        }
    }

    /// Something that a node made may be missing here: nothing that was noted of how far it is here holds any more.
    pub fn doubt_neighbour(&self, peer: ReplicaId) {
        if let Some(neighbour) = self.neighbours.lock().get_mut(&peer) {
            neighbour.made = Pairs::default();
        }
    }

    /// The nodes that were heard of, if they are more than `count`.
    pub fn neighbours_beyond(&self, count: usize) -> Vec<ReplicaId> {
        let neighbours = self.neighbours.lock();
        if neighbours.len() > count { neighbours.keys().copied().collect() } else { Vec::new() }
    }

    /// For each node that was heard of, how far every change that was made there is durable here.
    pub fn heard(&self) -> Vec<PeerCursor> {
        if self.store.needs_reconciliation() {
            return Vec::new();
        }
        let durable = self.store.durable();
        let neighbours = self.neighbours.lock();
        let of = |(peer, neighbour): (&ReplicaId, &Neighbour)| {
            let known = first_from_back(&neighbour.made.0, |(_, ours)| *ours > durable).checked_sub(1)?;
            let (seq, _) = neighbour.made.0.get(known)?;
            Some(PeerCursor { peer: *peer, epoch: neighbour.epoch, seq: *seq })
        };
        neighbours.iter().filter_map(of).collect()
    }

    /// Our numbers (after the first, up to the second) among which everything that was made at a node, and came here from it, is held by whoever has
    /// what was made there up to the cursor.
    pub fn reached(&self, cursor: PeerCursor) -> Option<(Seq, Seq)> {
        let neighbours = self.neighbours.lock();
        let neighbour = neighbours.get(&cursor.peer).filter(|neighbour| neighbour.epoch == cursor.epoch)?;
        let held = first_from_back(&neighbour.own.0, |(theirs, _)| *theirs > cursor.seq);
        neighbour.own.0.get(held.checked_sub(1)?).map(|(_, ours)| (neighbour.before, *ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_bounded_and_what_lies_between_two_is_known_with_the_later() {
        let mut pairs = Pairs::default();
        for number in 1..=10_000 {
            pairs.push(Seq(number * 2), Seq(number * 3));
        }
        assert!(pairs.0.len() <= PAIRS_COUNT_MAX);
        assert_eq!(pairs.0.back(), Some(&(Seq(20_000), Seq(30_000))));
        assert!(pairs.0.iter().all(|(theirs, ours)| theirs.0 * 3 == ours.0 * 2));
        pairs.push(Seq(19_000), Seq(40_000));
        assert_eq!(pairs.0.back(), Some(&(Seq(20_000), Seq(30_000))), "an older number says nothing of what came after it");
    }
}
