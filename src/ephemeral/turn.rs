//! What every operation has at hand: the time, a stamp, the order of changes, the deadlines, and those who are to be told.

use std::collections::BTreeSet;
use std::time::Duration;

use super::deadlines::Deadlines;
use super::node::{NodeId, Nodes};
use super::slot::Journal;
use super::watchers::{EphemeralChange, Topic};
use crate::time::{Hlc, MonotonicTime};

/// The changes to be told when the lock is free again. Equal ones are told once.
#[derive(Debug, Default)]
pub(super) struct Told {
    order: Vec<(Topic, EphemeralChange)>,
    known: BTreeSet<Topic>,
}

impl Told {
    pub(super) fn push(&mut self, topic: Topic, change: EphemeralChange) {
        // A session ends once; what else there is says "read it again".
        let repeated = !self.known.insert(topic.clone());
        if !(repeated && self.order.iter().any(|told| told.0 == topic && told.1 == change)) {
            self.order.push((topic, change));
        }
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (Topic, EphemeralChange)> {
        self.order.into_iter()
    }
}

/// One operation under the lock.
pub(super) struct Turn<'a> {
    pub(super) now: MonotonicTime,
    pub(super) stamp: Hlc,
    pub(super) me: NodeId,
    pub(super) lease: Duration,
    pub(super) journal: &'a mut Journal,
    pub(super) deadlines: &'a mut Deadlines,
    pub(super) nodes: &'a Nodes,
    pub(super) told: &'a mut Told,
}

impl Turn<'_> {
    /// Whether what a node says stands.
    pub(super) fn is_alive(&self, node: &NodeId) -> bool {
        *node == self.me || self.nodes.is_alive(self.now, node)
    }

    /// A stamp above another of the same thing: a node's own word is always newer than what it said before, or has heard.
    pub(super) fn stamp_after(&self, last: Hlc) -> Hlc {
        self.stamp.max(last.next())
    }

    /// When a lease given now lapses.
    pub(super) fn lease_end(&self) -> MonotonicTime {
        self.now + self.lease
    }

    /// When what ended now may be forgotten: nobody can still hold an earlier word of it then.
    pub(super) fn forget_at(&self) -> MonotonicTime {
        self.now + self.lease * super::TOMBSTONE_LEASES
    }

    pub(super) fn tell(&mut self, topic: Topic, change: EphemeralChange) {
        self.told.push(topic, change);
    }
}
