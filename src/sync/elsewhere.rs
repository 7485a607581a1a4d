//! What a peer gets elsewhere: in a mesh, everybody is told of a change by whoever made it, and need not be told by all the others too.
//!
//! Nodes tell each other how far they have what was made at each node (the frame `Heard`). A change that was made at A and came straight from
//! there is left out for C while C is known to hear from A: what is left out counts as not covered until C says that it has it. When C does
//! not say so within [`PATIENCE`], the feed goes back to the first that was left out, and A's changes are passed on until C is heard to hear
//! from A again. So a chain A-B-C converges, a cut between A and C costs one moment's patience, and no cursor ever claims what its owner does
//! not have. What A itself only passed on from other nodes is never left out: C may not get it from A. (What a device brought
//! to A counts as made at A: no other node tells C of it.) So nobody waits for a cursor that waits for his own.

use std::time::Duration;

use super::frame::{self, FrameType};
use super::message::Heard;
use crate::limits::NEIGHBOURS_COUNT_MAX;
use crate::replica::Core;
use crate::store::{LeftOut, PeerCursor, ReplicaId, Seq};
use crate::time::MonotonicTime;

/// How long a peer may take to hear of a change straight from where it was made, and to say so.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of one origin.
#[derive(Debug)]
struct Way {
    cursor: PeerCursor,
    /// When the oldest change that is left out and not yet accounted for was left out.
    since: Option<MonotonicTime>,
}

/// How far one peer has the changes of others.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    ways: Vec<Way>,
    /// One for each way, in the same order.
    left_out: Vec<LeftOut>,
}

impl Elsewhere {
    /// For the feed: which changes to leave out, and which were.
    pub(super) fn left_out(&mut self) -> &mut [LeftOut] {
        &mut self.left_out
    }

    /// Takes note of what the feed left out just now.
    pub(super) fn note(&mut self, mono: MonotonicTime) {
        for (way, left_out) in self.ways.iter_mut().zip(&self.left_out) {
            if left_out.first().is_some() {
                way.since.get_or_insert(mono);
            }
        }
    }

    /// The peer has what was made at these nodes, so far.
    pub(super) fn heard(&mut self, mono: MonotonicTime, core: &Core, cursors: &[PeerCursor]) {
        for cursor in cursors {
            self.heard_one(mono, core, *cursor);
        }
    }

    fn heard_one(&mut self, mono: MonotonicTime, core: &Core, cursor: PeerCursor) {
        let known = self.ways.iter().position(|way| way.cursor.peer == cursor.peer);
        let Some(index) = known else {
            if self.ways.len() < NEIGHBOURS_COUNT_MAX {
                self.ways.push(Way { cursor, since: None });
                self.left_out.push(LeftOut::none(cursor.peer));
            }
            return;
        };
        let (Some(way), Some(left_out)) = (self.ways.get_mut(index), self.left_out.get_mut(index)) else { return };
        // Hearing something new from there is what shows that the way is open.
        left_out.set_leaving(cursor.epoch == way.cursor.epoch && cursor.seq > way.cursor.seq);
        way.cursor = cursor;
        if let Some(reached) = core.reached(cursor) {
            let before = left_out.first();
            left_out.held(reached);
            if left_out.first() != before {
                way.since = left_out.first().map(|_| mono);
            }
        }
    }

    /// The first change that the peer is not known to have, if one was left out.
    pub(super) fn first(&self) -> Option<Seq> {
        self.left_out.iter().filter_map(LeftOut::first).min()
    }

    /// When patience ends.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        self.ways.iter().filter_map(|way| way.since).min().map(|since| since + PATIENCE)
    }

    /// Ends the patience with origins that the peer does not seem to hear; the number from which the feed has to go over everything again.
    pub(super) fn give_up(&mut self, mono: MonotonicTime) -> Option<Seq> {
        let mut from = None;
        for (way, left_out) in self.ways.iter_mut().zip(&mut self.left_out) {
            if way.since.is_some_and(|since| since + PATIENCE <= mono) {
                way.since = None;
                left_out.set_leaving(false);
                from = [from, left_out.take()].into_iter().flatten().min();
            }
        }
        from
    }
}

/// What this side tells the peer of the same.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: Vec<PeerCursor>,
    /// Our durable number when this was last looked at: nothing was heard while it stands still.
    seen: Seq,
    due: Option<MonotonicTime>,
}

/// How often a peer is told, while there is something to tell.
const INTERVAL: Duration = Duration::from_millis(250);

impl Telling {
    /// When there is something to tell.
    pub(super) const fn next_timeout(&self) -> Option<MonotonicTime> {
        self.due
    }

    /// Appends a frame with what is new since the peer was last told; whether anything is, and it is time.
    pub(super) fn poll(&mut self, mono: MonotonicTime, core: &Core, to: ReplicaId, out: &mut Vec<u8>) -> bool {
        let cursors = self.news(mono, core, to);
        if cursors.is_empty() {
            return false;
        }
        let mut body = Vec::new();
        Heard { cursors }.encode(&mut body);
        frame::put(out, FrameType::Heard, &body);
        true
    }

    /// What is new since the peer was last told, of all but itself; empty if nothing is, or it is not yet time.
    fn news(&mut self, mono: MonotonicTime, core: &Core, to: ReplicaId) -> Vec<PeerCursor> {
        let durable = core.store().durable();
        if self.due.is_none() && durable > self.seen {
            self.due = Some(mono + INTERVAL);
        }
        if self.due.is_none_or(|due| due > mono) {
            return Vec::new();
        }
        self.due = None;
        self.seen = durable;
        let mut news = core.heard();
        news.retain(|cursor| cursor.peer != to && !self.told.contains(cursor));
        for cursor in &news {
            self.told.retain(|told| told.peer != cursor.peer);
            self.told.push(*cursor);
        }
        news
    }
}
