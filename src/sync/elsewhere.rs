//! What a peer gets elsewhere: in a mesh, everybody is told of a change by whoever made it, and need not be told by all the others too.
//!
//! Nodes tell each other how far they have what was made at each node (the frame `Heard`). A change that was made at A and came straight from
//! there is left out for C while C may be expected to hear from A: what is left out counts as not covered until C says that it has it. When C
//! does not say so within [`PATIENCE`], what was left out is sent after all, and A's changes are passed on until C is heard to hear from A
//! again. On a fresh link everybody is expected to hear from everybody: a node that was away is told what it missed once, by whoever made it,
//! and not by all others too. So a chain A-B-C converges, a cut between A and C costs one moment's patience, and no cursor ever claims what
//! its owner does not have. What A itself only passed on from other nodes is never left out: C may not get it from A. (What a device brought
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
    origin: ReplicaId,
    /// How far the peer said it has what was made there.
    cursor: Option<PeerCursor>,
    /// When the oldest change that is left out and not yet accounted for was left out.
    since: Option<MonotonicTime>,
}

impl Way {
    /// Strikes what the peer has from what was left out; patience begins anew with what remains.
    fn settle(&mut self, mono: MonotonicTime, core: &Core, left_out: &mut LeftOut) {
        let Some(first) = left_out.first() else { return };
        let Some((after, reached)) = self.cursor.and_then(|cursor| core.reached(cursor)) else { return };
        // What was made there in an earlier life is not what the peer speaks of: it is sent when patience ends.
        if first <= after {
            return;
        }
        let before = left_out.waiting();
        left_out.held(reached);
        if left_out.waiting() != before {
            self.since = left_out.waiting().map(|_| mono);
        }
    }
}

/// How far one peer has the changes of others.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    ways: Vec<Way>,
    /// One for each way, in the same order.
    left_out: Vec<LeftOut>,
    /// Of all ways, kept because it is asked for with every frame: the first change that the peer is not known to have, and when patience ends.
    first: Option<Seq>,
    due: Option<MonotonicTime>,
    /// Something that was left out is to be sent after all.
    gives: bool,
    /// So many of our own neighbours have their way.
    known: usize,
}

impl Elsewhere {
    /// For the feed: which changes to leave out, and which were.
    pub(super) fn left_out(&mut self, core: &Core) -> &mut [LeftOut] {
        let neighbours = core.neighbours_beyond(self.known);
        self.known = self.known.max(neighbours.len());
        for origin in neighbours {
            self.expect(origin);
        }
        &mut self.left_out
    }

    /// Of an origin that is new: the peer is expected to hear from there. Its index, if there is room for it.
    fn expect(&mut self, origin: ReplicaId) -> Option<usize> {
        let known = self.ways.iter().position(|way| way.origin == origin);
        if known.is_none() && self.ways.len() < NEIGHBOURS_COUNT_MAX {
            self.ways.push(Way { origin, cursor: None, since: None });
            self.left_out.push(LeftOut::all(origin));
            return Some(self.ways.len() - 1);
        }
        known
    }

    /// Something was left out, or accounted for.
    fn refresh(&mut self) {
        self.first = self.left_out.iter().filter_map(LeftOut::first).min();
        self.due = self.ways.iter().filter_map(|way| way.since).min().map(|since| since + PATIENCE);
    }

    /// Takes note of what the feed left out just now. The peer may have said before that it has it: it may be nearer to where that was made.
    pub(super) fn note(&mut self, mono: MonotonicTime, core: &Core) {
        let mut is_first = false;
        for (way, left_out) in self.ways.iter_mut().zip(&mut self.left_out) {
            if left_out.waiting().is_some() && way.since.is_none() {
                way.since = Some(mono);
                way.settle(mono, core, left_out);
                is_first = true;
            }
        }
        // What is left out behind something that waits already changes neither the first of it nor its patience.
        if is_first {
            self.refresh();
        }
    }

    /// The peer has what was made at these nodes, so far.
    pub(super) fn heard(&mut self, mono: MonotonicTime, core: &Core, cursors: &[PeerCursor]) {
        for cursor in cursors {
            self.heard_one(mono, core, *cursor);
        }
        self.refresh();
    }

    fn heard_one(&mut self, mono: MonotonicTime, core: &Core, cursor: PeerCursor) {
        let Some(index) = self.expect(cursor.peer) else { return };
        let (Some(way), Some(left_out)) = (self.ways.get_mut(index), self.left_out.get_mut(index)) else { return };
        // Hearing something new from there is what shows that the way is open.
        if let Some(before) = way.cursor {
            left_out.set_leaving(cursor.epoch == before.epoch && cursor.seq > before.seq);
        }
        way.cursor = Some(cursor);
        way.settle(mono, core, left_out);
    }

    /// The first change that the peer is not known to have, if one was left out.
    pub(super) const fn first(&self) -> Option<Seq> {
        self.first
    }

    /// When patience ends.
    pub(super) const fn next_timeout(&self) -> Option<MonotonicTime> {
        self.due
    }

    /// Ends the patience with origins that the peer does not seem to hear: what was left out of theirs is to be sent.
    pub(super) fn give_up(&mut self, mono: MonotonicTime, core: &Core) {
        if self.due.is_none_or(|due| due > mono) {
            return;
        }
        for (way, left_out) in self.ways.iter_mut().zip(&mut self.left_out) {
            if way.since.is_some_and(|since| since + PATIENCE <= mono) {
                way.settle(mono, core, left_out);
            }
            if way.since.is_some_and(|since| since + PATIENCE <= mono) {
                way.since = None;
                left_out.give_up();
                self.gives = true;
            }
        }
        self.refresh();
    }

    /// Whether something that was left out is to be sent after all.
    pub(super) const fn gives(&self) -> bool {
        self.gives
    }

    /// What is to be sent after all, if anything is: of one origin at a time.
    pub(super) fn given_up(&mut self) -> Option<&mut LeftOut> {
        if !self.gives {
            return None;
        }
        let index = self.left_out.iter().position(LeftOut::is_given_up);
        if index.is_none() {
            self.gives = false;
            self.refresh();
        }
        index.and_then(|index| self.left_out.get_mut(index))
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
