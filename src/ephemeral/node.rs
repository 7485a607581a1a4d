//! Nodes, and the leases they hold at each other: what a node says of its clients stands as long as the node is heard of.
//!
//! So an idle device costs nothing in gossip. A node renews one lease, every third of its length; when that lapses, everything it said is
//! nothing. It is kept a little longer, hidden: a lease that arrives late brings it back, and no peer has to send it again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::limits::{LEASE_MS_MAX, NODES_COUNT_MAX};
use crate::time::{Hlc, MonotonicTime};

/// A node: the id of its replica.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lease of another node, as it is known here.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeLease {
    /// Which of its runs: the stamp of the first thing that it said.
    pub(super) since: Hlc,
    /// When it was last renewed, by its own clock.
    pub(super) stamp: Hlc,
    /// When it lapses, by ours.
    pub(super) deadline: MonotonicTime,
    pub(super) seq: u64,
    pub(super) from: Option<NodeId>,
}

/// What a renewal means for what the node said before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Renewed {
    /// It stands, and stood all the time.
    InTime,
    /// It was hidden, and stands again.
    Late,
    /// It lapsed, and the node was started anew since, or nothing is known of it.
    Anew,
}

/// The leases of the other nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    leases: BTreeMap<NodeId, NodeLease>,
}

impl Nodes {
    pub(super) fn find(&self, node: &NodeId) -> Option<&NodeLease> {
        self.leases.get(node)
    }

    pub(super) fn find_mut(&mut self, node: &NodeId) -> Option<&mut NodeLease> {
        self.leases.get_mut(node)
    }

    /// Whether what a node says stands.
    pub(super) fn is_alive(&self, now: MonotonicTime, node: &NodeId) -> bool {
        self.leases.get(node).is_some_and(|lease| lease.deadline > now)
    }

    pub(super) fn count(&self) -> usize {
        self.leases.len()
    }

    /// Takes what a peer says of a node's lease; none if it is no news.
    ///
    /// The same renewal heard again, by another way, changes nothing: going round, a lease would grow with each round.
    pub(super) fn renew(&mut self, now: MonotonicTime, node: NodeId, (since, stamp): (Hlc, Hlc), left: Duration) -> Option<Renewed> {
        let known = self.leases.get(&node);
        if known.is_some_and(|known| known.stamp >= stamp) || (known.is_none() && self.leases.len() >= NODES_COUNT_MAX) {
            return None;
        }
        let renewed = match known {
            Some(known) if known.deadline > now => Renewed::InTime,
            Some(known) if known.since == since => Renewed::Late,
            _ => Renewed::Anew,
        };
        let deadline = now + left.min(Duration::from_millis(LEASE_MS_MAX));
        let seq = known.map_or(0, |known| known.seq);
        self.leases.insert(node, NodeLease { since, stamp, deadline, seq, from: None });
        Some(renewed)
    }

    /// The nodes whose lease lapsed at least `hidden` ago; they are forgotten.
    pub(super) fn forget(&mut self, now: MonotonicTime, hidden: Duration) -> Vec<(NodeId, NodeLease)> {
        let gone: Vec<_> =
            self.leases.iter().filter(|(_, lease)| lease.deadline + hidden <= now).map(|(node, lease)| (*node, *lease)).collect();
        for (node, _) in &gone {
            self.leases.remove(node);
        }
        gone
    }

    /// When the next lease lapses, or a lapsed one is to be forgotten.
    pub(super) fn next_deadline(&self, now: MonotonicTime, hidden: Duration) -> Option<MonotonicTime> {
        self.leases.values().map(|lease| if lease.deadline > now { lease.deadline } else { lease.deadline + hidden }).min()
    }

    /// The nodes whose lease lapsed after `since`, up to `now`.
    pub(super) fn lapsed(&self, since: MonotonicTime, now: MonotonicTime) -> Vec<NodeId> {
        self.leases.iter().filter(|(_, lease)| lease.deadline > since && lease.deadline <= now).map(|(node, _)| *node).collect()
    }
}
