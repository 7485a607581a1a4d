//! Those who want to know of changes: of one profile, or that there were any at all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::progress::{ProfileId, TitleId};
use crate::store::Seq;

/// What changed in a watched profile. Read the register for its state: a slow watcher then sees the newest, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A register changed.
    Register {
        /// Which title.
        title: TitleId,
        /// The change's number at this replica.
        seq: Seq,
    },
    /// The profile was erased.
    Erased {
        /// The change's number at this replica.
        seq: Seq,
    },
    /// What was read before may have been moved in time (a device's unshared work was re-stamped): read everything again.
    Reset,
}

/// A watch, to end it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WatchId(u64);

/// Called with each change, under no lock of the watches, on the thread that made it durable: hand it on, do not work there, record and flush nothing.
pub type Notify = Arc<dyn Fn(&Change) + Send + Sync>;

/// Called when something changed that peers may want, likewise.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Watched {
    by_profile: HashMap<ProfileId, Vec<(WatchId, Notify)>>,
    // A gateway ends thousands of watches at once when its clients go: none of them may go through all others.
    profile_of: HashMap<WatchId, ProfileId>,
}

#[derive(Default)]
pub(super) struct Watchers {
    next: AtomicU64,
    profiles: RwLock<Watched>,
    profiles_count: AtomicUsize,
    // Copied when it changes, and not by each of the many flushes that go through it.
    wakes: RwLock<Arc<Vec<(WatchId, Wake)>>>,
}

impl Watchers {
    pub(super) fn watch(&self, profile: ProfileId, notify: Notify) -> WatchId {
        let id = self.id();
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        profiles.profile_of.insert(id, profile.clone());
        profiles.by_profile.entry(profile).or_default().push((id, notify));
        self.profiles_count.store(profiles.by_profile.len(), Ordering::Release);
        id
    }

    pub(super) fn unwatch(&self, id: WatchId) {
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = profiles.profile_of.remove(&id) {
            if let Some(watches) = profiles.by_profile.get_mut(&profile) {
                watches.retain(|(own, _)| *own != id);
                if watches.is_empty() {
                    profiles.by_profile.remove(&profile);
                }
            }
            self.profiles_count.store(profiles.by_profile.len(), Ordering::Release);
            return;
        }
        drop(profiles);
        Arc::make_mut(&mut self.wakes.write().unwrap_or_else(PoisonError::into_inner)).retain(|(own, _)| *own != id);
    }

    pub(super) fn on_change(&self, wake: Wake) -> WatchId {
        let id = self.id();
        Arc::make_mut(&mut self.wakes.write().unwrap_or_else(PoisonError::into_inner)).push((id, wake));
        id
    }

    /// Whether anybody watches any profile: the usual answer on a node without sockets is no, and costs one load.
    pub(super) fn any(&self) -> bool {
        self.profiles_count.load(Ordering::Acquire) > 0
    }

    // Copied out, so that whoever is told may watch and unwatch: a waker may run what it wakes at once.
    pub(super) fn notify(&self, profile: &ProfileId, change: &Change) {
        let told: Vec<Notify> = {
            let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
            profiles.by_profile.get(profile).into_iter().flatten().map(|(_, notify)| Arc::clone(notify)).collect()
        };
        for notify in told {
            notify(change);
        }
    }

    pub(super) fn notify_all(&self, change: &Change) {
        let told: Vec<Notify> = {
            let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
            profiles.by_profile.values().flatten().map(|(_, notify)| Arc::clone(notify)).collect()
        };
        for notify in told {
            notify(change);
        }
    }

    pub(super) fn wake(&self) {
        let wakes = Arc::clone(&self.wakes.read().unwrap_or_else(PoisonError::into_inner));
        for (_, wake) in wakes.iter() {
            wake();
        }
    }

    fn id(&self) -> WatchId {
        WatchId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchers").finish_non_exhaustive()
    }
}
