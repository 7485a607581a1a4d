//! Those who want to know of ephemeral changes: of a profile, a party, a session, or of anything that peers may want.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::session::EndReason;
use crate::progress::{PartyId, ProfileId, SessionId};

/// What is watched.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Topic {
    /// The devices of a profile.
    Profile(ProfileId),
    /// A party.
    Party(PartyId),
    /// A session.
    Session(SessionId),
    /// Anything that a peer may want to hear.
    Peers,
}

/// What happened. Read the state for what it is now: a slow watcher then sees the newest, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EphemeralChange {
    /// The devices of the profile, or what they do.
    Devices,
    /// The party's anchor, control, host or members; its count of viewers, at most once a second.
    Party,
    /// The party is over, or not known here any more.
    PartyOver,
    /// The session has ended.
    SessionEnded(EndReason),
    /// There is something to gossip.
    News,
}

/// A watch, to end it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EphemeralWatchId(u64);

/// Called with each change, under no lock, on the thread that made it: hand it on, do not work there.
pub type EphemeralNotify = Arc<dyn Fn(&EphemeralChange) + Send + Sync>;

#[derive(Default)]
struct Watches {
    by_topic: HashMap<Topic, BTreeMap<EphemeralWatchId, EphemeralNotify>>,
    topics: BTreeMap<EphemeralWatchId, Topic>,
}

#[derive(Default)]
pub(super) struct Watchers {
    next: AtomicU64,
    watches: RwLock<Watches>,
}

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchers").finish_non_exhaustive()
    }
}

impl Watchers {
    pub(super) fn watch(&self, topic: Topic, notify: EphemeralNotify) -> EphemeralWatchId {
        let id = EphemeralWatchId(self.next.fetch_add(1, Ordering::Relaxed));
        let mut watches = self.watches.write().unwrap_or_else(PoisonError::into_inner);
        watches.by_topic.entry(topic.clone()).or_default().insert(id, notify);
        watches.topics.insert(id, topic);
        id
    }

    pub(super) fn unwatch(&self, id: EphemeralWatchId) {
        let mut watches = self.watches.write().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = watches.topics.remove(&id) else { return };
        if let Some(own) = watches.by_topic.get_mut(&topic) {
            own.remove(&id);
            if own.is_empty() {
                watches.by_topic.remove(&topic);
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.watches.read().unwrap_or_else(PoisonError::into_inner).topics.len()
    }

    pub(super) fn tell(&self, topic: &Topic, change: EphemeralChange) {
        // Copied out, so that whoever is told may watch and unwatch.
        let told: Vec<EphemeralNotify> = {
            let watches = self.watches.read().unwrap_or_else(PoisonError::into_inner);
            watches.by_topic.get(topic).into_iter().flat_map(BTreeMap::values).cloned().collect()
        };
        for notify in told {
            notify(&change);
        }
    }
}
