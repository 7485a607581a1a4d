//! A topic: one profile that somebody follows, and who does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::outbox::{Outbox, OutboxId};
use crate::progress::ProfileId;
use crate::replica::WatchId;
use crate::store::Seq;

/// Changes of readers' own that are remembered until they are pushed to the others. One that is forgotten comes back to its maker, which does no
/// harm.
const ORIGINS_COUNT_MAX: usize = 4_096;

/// A followed profile.
pub(super) struct Topic {
    pub(super) profile: ProfileId,
    pub(super) watch: OnceLock<WatchId>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    followers: Vec<Arc<Outbox>>,
    // In the order of the numbers: one thread records for all readers.
    origins: VecDeque<(Seq, OutboxId)>,
}

impl Topic {
    pub(super) fn new(profile: ProfileId) -> Self {
        Self { profile, watch: OnceLock::new(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state();
        if !state.followers.iter().any(|known| known.id() == outbox.id()) {
            state.followers.push(Arc::clone(outbox));
        }
    }

    /// Removes a follower; answers whether it was the last.
    pub(super) fn remove(&self, outbox: OutboxId) -> bool {
        let mut state = self.state();
        state.followers.retain(|known| known.id() != outbox);
        state.followers.is_empty()
    }

    pub(super) fn followers(&self) -> Vec<Arc<Outbox>> {
        self.state().followers.clone()
    }

    /// Takes note of who made a change.
    pub(super) fn set_origin(&self, seq: Seq, outbox: OutboxId) {
        let mut state = self.state();
        // Alone, there is nobody else to push it to either; but others may come before it is durable.
        if state.origins.len() == ORIGINS_COUNT_MAX {
            state.origins.pop_front();
        }
        state.origins.push_back((seq, outbox));
    }

    /// Who made a change, and forgets who made those before it.
    pub(super) fn take_origin(&self, seq: Seq) -> Option<OutboxId> {
        let mut state = self.state();
        while let Some((known, outbox)) = state.origins.front().copied() {
            if known > seq {
                return None;
            }
            state.origins.pop_front();
            if known == seq {
                return Some(outbox);
            }
        }
        None
    }
}
