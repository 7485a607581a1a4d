//! Those who wait until a sequence number is durable: an acknowledgement is a callback here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{ReplicaId, Seq};

/// When a record counts as kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AckMode {
    /// Synced on this node's disk.
    #[default]
    Local,
    /// Also synced by one more node of the region: a lost disk then loses nothing acknowledged.
    Replicated,
}

/// Why a record will not be acknowledged. It may or may not be found after a restart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not kept: {reason}")]
pub struct NotDurable {
    /// What happened.
    pub reason: String,
}

/// Called once, on the committing thread: hand it on, do not work there.
pub type Then = Box<dyn FnOnce(Result<(), NotDurable>) + Send>;

/// Callbacks that wait at once. Those of requests that were given up stay until their number is kept, so a neighbour that stays away fills
/// this; then nothing more is promised.
const WAITING_COUNT_MAX: usize = 65_536;

#[derive(Default)]
struct State {
    durable: Seq,
    replicas: BTreeMap<ReplicaId, Seq>,
    failed: Option<NotDurable>,
    waiting: BTreeMap<Seq, Vec<Then>>,
    waiting_count: usize,
}

#[derive(Default)]
pub(super) struct Waiters {
    mode: AckMode,
    state: Mutex<State>,
}

impl Waiters {
    pub(super) fn new(mode: AckMode, durable: Seq) -> Self {
        Self { mode, state: Mutex::new(State { durable, ..State::default() }) }
    }

    pub(super) fn wait(&self, seq: Seq, then: Then) {
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::AckBeforeSync) {
            return then(Ok(()));
        }
        let mut state = self.lock();
        let now = match &state.failed {
            _ if self.kept(&state) >= seq => Some(Ok(())),
            Some(failed) => Some(Err(failed.clone())),
            None if state.waiting_count >= WAITING_COUNT_MAX => {
                Some(Err(NotDurable { reason: format!("{WAITING_COUNT_MAX} others wait already") }))
            }
            None => None,
        };
        if let Some(result) = now {
            drop(state);
            return then(result);
        }
        state.waiting.entry(seq).or_default().push(then);
        state.waiting_count += 1;
    }

    /// Everything up to `seq` is synced here.
    pub(super) fn durable(&self, seq: Seq) {
        let mut state = self.lock();
        state.durable = state.durable.max(seq);
        self.release(state);
    }

    /// Everything up to `seq` is synced at another node of the region.
    pub(super) fn replicated(&self, replica: ReplicaId, seq: Seq) {
        let mut state = self.lock();
        let known = state.replicas.entry(replica).or_default();
        *known = seq.max(*known);
        self.release(state);
    }

    /// The highest number that somebody waits for to be synced at another node; none where that is not what is waited for.
    pub(super) fn replication_awaited(&self) -> Option<Seq> {
        match self.mode {
            AckMode::Local => None,
            AckMode::Replicated => self.lock().waiting.last_key_value().map(|(seq, _)| *seq),
        }
    }

    /// Nothing more will be durable.
    pub(super) fn fail(&self, reason: String) {
        let mut state = self.lock();
        let failed = NotDurable { reason };
        state.failed = Some(failed.clone());
        let waiting = std::mem::take(&mut state.waiting);
        state.waiting_count = 0;
        drop(state);
        for then in waiting.into_values().flatten() {
            then(Err(failed.clone()));
        }
    }

    fn release(&self, mut state: MutexGuard<'_, State>) {
        let kept = self.kept(&state);
        let still = state.waiting.split_off(&Seq(kept.0 + 1));
        let released = std::mem::replace(&mut state.waiting, still);
        state.waiting_count -= released.values().map(Vec::len).sum::<usize>();
        drop(state);
        for then in released.into_values().flatten() {
            then(Ok(()));
        }
    }

    fn kept(&self, state: &State) -> Seq {
        match self.mode {
            AckMode::Local => state.durable,
            AckMode::Replicated => state.durable.min(state.replicas.values().copied().max().unwrap_or_default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiters").field("mode", &self.mode).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counting(count: &Arc<AtomicU32>) -> Then {
        let count = Arc::clone(count);
        Box::new(move |result| {
            count.fetch_add(if result.is_ok() { 1 } else { 1_000 }, Ordering::Relaxed);
        })
    }

    #[test]
    fn an_acknowledgement_comes_when_its_number_is_durable_and_not_before() {
        let waiters = Waiters::new(AckMode::Local, Seq(0));
        let count = Arc::new(AtomicU32::new(0));
        waiters.wait(Seq(3), counting(&count));
        waiters.wait(Seq(5), counting(&count));
        waiters.durable(Seq(4));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        waiters.durable(Seq(5));
        waiters.wait(Seq(2), counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn replicated_waits_for_one_more_disk() {
        let waiters = Waiters::new(AckMode::Replicated, Seq(0));
        let count = Arc::new(AtomicU32::new(0));
        waiters.wait(Seq(3), counting(&count));
        waiters.durable(Seq(9));
        assert_eq!(count.load(Ordering::Relaxed), 0);
        waiters.replicated(ReplicaId([1; 16]), Seq(2));
        assert_eq!(count.load(Ordering::Relaxed), 0);
        waiters.replicated(ReplicaId([2; 16]), Seq(3));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn those_who_wait_are_bounded() {
        let waiters = Waiters::new(AckMode::Replicated, Seq(0));
        let count = Arc::new(AtomicU32::new(0));
        for seq in 0..WAITING_COUNT_MAX as u64 {
            waiters.wait(Seq(seq + 1), counting(&count));
        }
        assert_eq!(count.load(Ordering::Relaxed), 0);
        waiters.wait(Seq(1), counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 1_000, "told at once that nothing is promised");
        waiters.durable(Seq(u64::MAX >> 1));
        waiters.replicated(ReplicaId([1; 16]), Seq(10));
        assert_eq!(count.load(Ordering::Relaxed), 1_010);
        waiters.wait(Seq(11), counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 1_010, "there is room again");
    }

    #[test]
    fn after_a_failure_nothing_is_acknowledged_any_more() {
        let waiters = Waiters::new(AckMode::Local, Seq(7));
        let count = Arc::new(AtomicU32::new(0));
        waiters.wait(Seq(8), counting(&count));
        waiters.fail("sync failed".into());
        waiters.wait(Seq(9), counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 2_000);
        waiters.wait(Seq(7), counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 2_001, "what was durable before is");
    }
}
