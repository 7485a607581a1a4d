//! What is due when: the leases that this node holds for its clients, and a few reminders to itself.

use std::collections::BTreeSet;

use crate::progress::{DeviceId, PartyId, ProfileId, SessionId};
use crate::time::MonotonicTime;

/// What comes due.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Due {
    /// A connection of a device was not renewed.
    Connection(ProfileId, DeviceId, u64),
    /// A session was not renewed.
    Session(SessionId),
    /// A viewer was not renewed.
    Viewer(PartyId, ProfileId, DeviceId),
    /// A party is to be looked at: is anybody there?
    Party(PartyId),
    /// The viewers of a party are to be told how it is.
    Count(PartyId),
    /// What ended is to be forgotten, if it is still as it was.
    Forget(super::slot::Key, u64),
}

/// Deadlines in order. Whoever moves or cancels one says where it stood.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    order: BTreeSet<(MonotonicTime, Due)>,
}

impl Deadlines {
    pub(super) fn set(&mut self, at: MonotonicTime, due: Due) {
        self.order.insert((at, due));
    }

    pub(super) fn cancel(&mut self, at: MonotonicTime, due: Due) {
        self.order.remove(&(at, due));
    }

    pub(super) fn next(&self) -> Option<MonotonicTime> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The next thing that is due at `now`.
    pub(super) fn pop(&mut self, now: MonotonicTime) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.order.pop_first().map(|(_, due)| due)
    }
}
