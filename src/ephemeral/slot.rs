//! What is known of one thing, and the order in which things changed here: gossip sends what came after a peer's cursor.
//!
//! A link needs no queue: a thing that changed ten times since the peer's cursor stands once in the order, at its latest place.

use std::collections::BTreeMap;

use super::node::NodeId;
use crate::progress::{DeviceId, PartyId, ProfileId, SessionId};

/// A value that is joined with what others know of the same thing. Joining is commutative, associative and idempotent.
pub(super) trait Join {
    /// Joins another state into this one; whether that changed anything.
    fn join(&mut self, other: Self) -> bool;
}

/// What gossip carries: the name of each thing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    Node(NodeId),
    Presence(ProfileId, DeviceId, NodeId),
    Session(SessionId),
    Seats(PartyId, NodeId),
    Party(PartyId),
    Anchor(PartyId),
}

/// A value, and when it last changed here.
#[derive(Clone, Debug)]
pub(super) struct Slot<V> {
    pub(super) value: V,
    /// Its place in the order of changes.
    pub(super) seq: u64,
    /// The peer that it came from; none if it was made here.
    pub(super) from: Option<NodeId>,
}

impl<V: Join + Clone + PartialEq> Slot<V> {
    /// Joins a value from a peer, or from here; whether it is news.
    pub(super) fn join(&mut self, value: V, from: Option<NodeId>) -> bool {
        let heard = value.clone();
        let changed = self.value.join(value);
        if changed {
            // What the peer said and what was known may have become something that neither knew: the peer is told of that.
            self.from = from.filter(|_| self.value == heard);
        }
        changed
    }
}

/// The order of changes.
#[derive(Debug, Default)]
pub(super) struct Journal {
    last: u64,
    order: BTreeMap<u64, Key>,
}

impl Journal {
    /// Moves a thing to the end of the order. `seq` is where it stood: 0 if nowhere.
    pub(super) fn note(&mut self, seq: &mut u64, key: Key) {
        self.order.remove(seq);
        self.last += 1;
        *seq = self.last;
        self.order.insert(self.last, key);
    }

    /// Takes a thing out of the order.
    pub(super) fn remove(&mut self, seq: u64) {
        self.order.remove(&seq);
    }

    /// The last number given.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// What changed after `seq`, in order.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, &Key)> {
        self.order.range(seq.saturating_add(1)..).map(|(seq, key)| (*seq, key))
    }
}
