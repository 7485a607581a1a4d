//! A watch as a stream: the newest state of each title that changed.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::TitleProgress;
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
/// title of the profile comes once more.
#[derive(Debug)]
pub struct Changes {
    core: Arc<Core>,
    profile: ProfileId,
    watch: WatchId,
    waiting: Arc<Mutex<Waiting>>,
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
        Self { core, profile, watch, waiting }
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
                    lock(&this.waiting).titles.extend(stored.profile.registers.into_keys());
                }
                continue;
            }
            if let Some(title) = title
                && let Ok(answer) = this.core.resume_point(&this.profile, &title, crate::progress::Policy::Continue)
            {
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
