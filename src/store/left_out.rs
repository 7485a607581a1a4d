//! Changes that a feed leaves out, because the peer gets them straight from where they were made.

use super::ring::Change;
use super::table::OriginIndex;
use super::{ReplicaId, Seq};

/// Whether changes are left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leaving {
    No,
    /// From the feed's next step on.
    Soon,
    /// Those after this one. Earlier changes of their keys may wait to go with the others.
    After(Seq),
}

/// Changes from one origin that a feed leaves out, because the peer gets them straight from there; and which ones it left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeftOut {
    origin: ReplicaId,
    index: Option<OriginIndex>,
    leaving: Leaving,
    range: Option<(Seq, Seq)>,
    /// What was left out and is to be sent after all.
    again: Option<(Seq, Seq)>,
}

impl LeftOut {
    /// What comes from `origin` is left out from here on.
    pub const fn all(origin: ReplicaId) -> Self {
        Self { origin, index: None, leaving: Leaving::Soon, range: None, again: None }
    }

    /// Whether to leave out from here on.
    pub const fn set_leaving(&mut self, is_leaving: bool) {
        self.leaving = match self.leaving {
            _ if !is_leaving => Leaving::No,
            Leaving::No => Leaving::Soon,
            leaving => leaving,
        };
    }

    /// The first change that was left out, that the peer is not known to have, and that is not on its way to it.
    pub fn first(&self) -> Option<Seq> {
        match (self.range, self.again) {
            (Some((left, _)), Some((again, _))) => Some(left.min(again)),
            (range, again) => range.or(again).map(|(first, _)| first),
        }
    }

    /// The first change that is left out still.
    pub fn waiting(&self) -> Option<Seq> {
        self.range.map(|(first, _)| first)
    }

    /// The peer has everything from the origin up to here.
    pub fn held(&mut self, up_to: Seq) {
        for range in [&mut self.range, &mut self.again] {
            *range = range.filter(|(_, last)| *last > up_to).map(|(first, last)| (first.max(Seq(up_to.0 + 1)), last));
        }
    }

    /// What was left out is to be sent after all, and nothing is left out from here on: see [`super::Store::changes_again`].
    pub fn give_up(&mut self) {
        self.leaving = Leaving::No;
        let both = [self.again.take(), self.range.take()].into_iter().flatten();
        self.again = both.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    }

    /// Whether something that was left out is to be sent after all.
    pub const fn is_given_up(&self) -> bool {
        self.again.is_some()
    }

    /// Forgets what was to be sent after all; the first of it.
    pub fn forget(&mut self) -> Option<Seq> {
        self.again.take().map(|(first, _)| first)
    }

    /// Whether anything is left out.
    pub(super) const fn is_leaving(&self) -> bool {
        !matches!(self.leaving, Leaving::No)
    }

    /// A step of the feed begins. Earlier changes of some keys may wait for one up to `owed_until`.
    pub(super) fn begin(&mut self, index_of: impl FnOnce(ReplicaId) -> Option<OriginIndex>, owed_until: Seq) {
        self.index = self.index.or_else(|| index_of(self.origin));
        // Not before it is known which changes are meant: until then one of them may be what an earlier change of its key waits for.
        if matches!(self.leaving, Leaving::Soon) && self.index.is_some() {
            self.leaving = Leaving::After(owed_until);
        }
    }

    /// Whether a change is left out. Only what was made there: what its origin had from elsewhere, the peer may have to get from us.
    pub(super) fn leaves(&self, change: &Change) -> bool {
        self.may_leave(change.origin, change.seq) && change.made_there
    }

    /// Whether it would be, if it was made there.
    pub(super) fn may_leave(&self, origin: OriginIndex, seq: Seq) -> bool {
        matches!(self.leaving, Leaving::After(from) if from < seq) && self.index == Some(origin)
    }

    /// Whether a change is of those that may be left out.
    pub(super) fn concerns(&self, change: &Change) -> bool {
        change.made_there && self.index == Some(change.origin)
    }

    /// The first and the last change among which those are that are to be sent after all.
    pub(super) const fn again(&self) -> Option<(Seq, Seq)> {
        self.again
    }

    /// Of those, the ones before `next` have been sent.
    pub(super) fn sent_before(&mut self, next: Seq) {
        self.again = self.again.filter(|(_, last)| next <= *last).map(|(_, last)| (next, last));
    }

    /// Notes that a change was left out.
    pub(super) fn add(&mut self, seq: Seq) {
        self.range = Some(self.range.map_or((seq, seq), |(first, _)| (first, seq)));
    }
}
