//! A watch as a stream: the newest state of each title that changed.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::TitleProgress;
use crate::limits::TITLES_PER_PROFILE_COUNT_MAX;
use crate::progress::{ProfileId, TitleId};
use crate::replica::{Change, Core, WatchId};

#[derive(Debug, Default)]
struct Waiting {
    // At most one entry a title of the profile: a slow reader gets the newest state once, however often it changed.
    titles: BTreeSet<TitleId>,
    everything: bool,
    waker: Option<Waker>,
}

/// The changes of one profile, from the moment it was made: a [`Stream`] of [`TitleProgress`]. Never ends by itself.
///
/// Titles that change again before they are read are read once. After an erasure, and after a device's own work was moved in time, every
/// title of the profile comes once more; those that were erased with nothing recorded ([`ResumePoint::started`] is false).
///
/// [`ResumePoint::started`]: crate::progress::ResumePoint::started
#[derive(Debug)]
pub struct Changes {
    core: Arc<Core>,
    profile: ProfileId,
    watch: WatchId,
    waiting: Arc<Mutex<Waiting>>,
    // The titles that there are, as far as is known: once they are erased, nothing else tells which there were.
    known: BTreeSet<TitleId>,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Changes {
    pub(super) fn new(core: Arc<Core>, profile: ProfileId) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let sink = Arc::clone(&waiting);
        let watch = core.watch(
            &profile,
            Arc::new(move |change: &Change| {
                let mut waiting = lock(&sink);
                match change {
                    Change::Register { title, .. } => {
                        waiting.titles.insert(title.clone());
                    }
                    Change::Erased { .. } | Change::Reset => waiting.everything = true,
                }
                if let Some(waker) = waiting.waker.take() {
                    drop(waiting);
                    waker.wake();
                }
            }),
        );
        // What changes meanwhile is told of. A profile that cannot be read now is known by what is told of it.
        let known = core.profile(&profile).map(|stored| stored.profile.registers.into_keys().collect()).unwrap_or_default();
        Self { core, profile, watch, waiting, known }
    }

    /// The next change. The same as the stream's `next`, for those without a stream library.
    pub async fn next(&mut self) -> Option<TitleProgress> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Changes {
    type Item = TitleProgress;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<TitleProgress>> {
        let this = self.get_mut();
        loop {
            let mut waiting = lock(&this.waiting);
            let everything = std::mem::take(&mut waiting.everything);
            if !everything && waiting.titles.is_empty() {
                waiting.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            let title = if everything { None } else { waiting.titles.pop_first() };
            drop(waiting);
            if everything {
                // A profile that cannot be read now is read with its next change.
                if let Ok(stored) = this.core.profile(&this.profile) {
                    let mut waiting = lock(&this.waiting);
                    waiting.titles.extend(this.known.iter().cloned());
                    waiting.titles.extend(stored.profile.registers.into_keys());
                }
                continue;
            }
            if let Some(title) = title
                && let Ok(answer) = this.core.resume_point(&this.profile, &title, crate::progress::Policy::Continue)
            {
                if answer.register.is_none() {
                    this.known.remove(&title);
                } else if this.known.len() < TITLES_PER_PROFILE_COUNT_MAX {
                    this.known.insert(title.clone());
                }
                return Poll::Ready(Some(TitleProgress::new(this.profile.clone(), title, answer)));
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.core.unwatch(self.watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{EventKind, PlaybackEvent};
    use crate::replica::CoreOptions;
    use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};
    use crate::time::WallTime;

    const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);

    fn record(core: &Core, title: &str) {
        core.record(NOW, None, &[PlaybackEvent::new("ada", title, "tv", EventKind::Pause, 60_000)]).unwrap();
        core.flush().unwrap();
    }

    /// What there is to be read, and whether anything is recorded of it.
    fn read(changes: &mut Changes) -> Vec<(String, bool)> {
        let mut read = Vec::new();
        while let Poll::Ready(Some(change)) = Pin::new(&mut *changes).poll_next(&mut Context::from_waker(Waker::noop())) {
            read.push((change.title.to_string(), change.point.started));
        }
        read
    }

    #[test]
    fn after_an_erasure_every_title_comes_once_more() {
        let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
        let core = Arc::new(Core::new(Store::in_memory(StoreOptions::small(), fresh), CoreOptions::default()));
        let profile = ProfileId::new("ada").unwrap();
        record(&core, "before");
        let mut changes = Changes::new(Arc::clone(&core), profile.clone());
        assert_eq!(read(&mut changes), []);
        record(&core, "seen");
        let told = |title: &str, started| (title.to_owned(), started);
        assert_eq!(read(&mut changes), [told("seen", true)]);
        core.erase(NOW, &profile).unwrap();
        core.flush().unwrap();
        record(&core, "after");
        assert_eq!(read(&mut changes), [told("after", true), told("before", false), told("seen", false)]);
        core.erase(NOW.shifted(1_000), &profile).unwrap();
        core.flush().unwrap();
        assert_eq!(read(&mut changes), [told("after", false)], "what is gone is told once");
    }
}
