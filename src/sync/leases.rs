//! Leases on a link: everything when it opens, then what has changed, in frames of their own that never hold up records.
//!
//! What changes while a frame is on its way goes with the next, once however often it changed. While there are records to send, leases let
//! them go first, but for no longer than [`PATIENCE_MAX`].

use std::time::Duration;

use super::frame::{self, FrameType};
use crate::ephemeral::{GossipCursor, NodeId};
use crate::replica::Core;
use crate::store::ReplicaId;
use crate::time::MonotonicTime;

/// Between two frames of leases: a storm of joins is a few frames a second.
const PAUSE: Duration = Duration::from_millis(20);

/// How long leases let records go first.
const PATIENCE_MAX: Duration = Duration::from_millis(500);

/// What one peer has been told.
#[derive(Debug)]
pub(super) struct Telling {
    peer: NodeId,
    cursor: GossipCursor,
    /// Set while there is something to tell: when a frame may go, and since when it waits.
    waits: Option<(MonotonicTime, MonotonicTime)>,
    next: MonotonicTime,
}

impl Telling {
    /// Begins, with everything that this node knows.
    pub(super) fn new(mono: MonotonicTime, core: &Core, peer: ReplicaId) -> Self {
        Self { peer: NodeId(peer.0), cursor: core.ephemeral().gossip_cursor(), waits: None, next: mono }
    }

    /// When a frame is to be polled though nothing happens.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        self.waits.map(|(due, _)| due)
    }

    /// Appends a frame, if there is something to tell and it is time; whether it did. `before_records`: only if it has waited too long.
    pub(super) fn poll(&mut self, mono: MonotonicTime, core: &Core, before_records: bool, out: &mut Vec<u8>) -> bool {
        if !core.ephemeral().has_news(&self.cursor) {
            self.waits = None;
            return false;
        }
        let (due, since) = *self.waits.get_or_insert((self.next.max(mono), mono));
        if due > mono || (before_records && since + PATIENCE_MAX > mono) {
            return false;
        }
        self.waits = None;
        let mut body = Vec::new();
        if !core.ephemeral().put_news(mono, self.peer, &mut self.cursor, &mut body) {
            return false;
        }
        self.next = mono + PAUSE;
        frame::put(out, FrameType::Leases, &body);
        true
    }
}
