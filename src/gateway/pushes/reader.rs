//! A reader: one WebSocket, event stream or poll, and the profiles that it follows.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::Pushes;
use super::catch_up::{CaughtUp, Missed, Reached, catch_up};
use super::outbox::{Delivery, Outbox, Push, PushKind};
use super::topic::Topic;
use crate::gateway::cursor::{cursor, of_reset, parse};
use crate::gateway::problem::Problem;
use crate::progress::ProfileId;
use crate::store::Seq;

struct Followed {
    topic: Arc<Topic>,
    after: Seq,
    erased: Seq,
    reset: bool,
}

/// One who is pushed changes. What it follows, and its place among the readers, end with it.
pub(crate) struct Reader {
    pushes: Arc<Pushes>,
    outbox: Arc<Outbox>,
    followed: Vec<Followed>,
    /// Everything up to here has been handed out.
    told: Seq,
    catching_up: Option<JoinHandle<Result<CaughtUp, Problem>>>,
    /// What is being caught up with is no longer what is wanted: it is done again when it ends.
    is_stale: bool,
}

impl Reader {
    pub(super) const fn new(pushes: Arc<Pushes>, outbox: Arc<Outbox>) -> Self {
        Self { pushes, outbox, followed: Vec::new(), told: Seq(0), catching_up: None, is_stale: false }
    }

    pub(crate) const fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The cursor of what has been handed out so far.
    pub(crate) fn cursor(&self) -> String {
        let store = self.pushes.core().store();
        if self.followed.iter().any(|followed| followed.reset) { of_reset(store) } else { cursor(store, self.told) }
    }

    /// The cursor of something that has been handed out.
    pub(crate) fn cursor_of(&self, push: &Push) -> String {
        let store = self.pushes.core().store();
        if push.kind == PushKind::Reset { of_reset(store) } else { cursor(store, push.seq) }
    }

    /// Whether there is something to be read from the store first.
    pub(crate) fn is_behind(&self) -> bool {
        self.catching_up.is_some() || self.outbox.is_behind()
    }

    /// Follows these profiles and no others: each from its cursor on, or else from where it stands, or else from now.
    pub(crate) fn follow(&mut self, profiles: Vec<(ProfileId, Option<String>)>) {
        let mut before = std::mem::take(&mut self.followed);
        let is_new = before.is_empty();
        let mut behind = false;
        let mut added = Vec::new();
        for (profile, since) in profiles {
            let known = before.iter().position(|followed| followed.topic.profile == profile).map(|index| before.swap_remove(index));
            let followed = match (known, since) {
                (Some(known), None) => Followed { after: known.after.max(self.told), ..known },
                (None, None) => {
                    added.push(self.followed.len());
                    Followed { topic: self.pushes.subscribe(&profile, &self.outbox), after: Seq(0), erased: Seq(0), reset: false }
                }
                (known, Some(since)) => {
                    behind = true;
                    let topic = known.map_or_else(|| self.pushes.subscribe(&profile, &self.outbox), |known| known.topic);
                    let after = parse(self.pushes.core().store(), &since);
                    Followed { topic, after: after.unwrap_or_default(), erased: Seq(0), reset: after.is_none() }
                }
            };
            self.followed.push(followed);
        }
        for followed in before {
            self.pushes.unsubscribe(&followed.topic, self.outbox.id());
        }
        // Read when all are subscribed: what is durable later is pushed.
        let now = self.pushes.core().store().durable();
        for index in added {
            self.followed[index].after = now;
        }
        if is_new || behind {
            self.told = self.followed.iter().map(|followed| followed.after).min().unwrap_or(now);
        }
        if self.catching_up.is_some() {
            // It looks through what was followed before.
            self.is_stale = true;
        } else if behind {
            self.outbox.fall_behind();
        }
    }

    /// Takes what there is for this reader, in order; waits if there is nothing.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>, delivery: &mut Delivery) -> Poll<Result<(), Problem>> {
        loop {
            let taken = self.outbox.poll_take(context, self.catching_up.is_none(), delivery);
            if let Some(search) = &mut self.catching_up {
                if let Poll::Ready(caught_up) = Pin::new(search).poll(context) {
                    self.catching_up = None;
                    match caught_up {
                        Ok(Ok(_)) if std::mem::take(&mut self.is_stale) => self.outbox.fall_behind(),
                        Ok(Ok(caught_up)) => self.hand_out(caught_up, delivery),
                        Ok(Err(problem)) => return Poll::Ready(Err(problem)),
                        Err(_) => return Poll::Ready(Err(Problem::Internal)),
                    }
                    if delivery.is_empty() {
                        continue;
                    }
                }
                return if delivery.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            if let Some(last) = delivery.pushes.last() {
                self.told = self.told.max(last.seq);
            }
            match taken {
                Poll::Ready(true) => {
                    self.catch_up();
                    if !delivery.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(false) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The same, to be awaited. Nothing is lost if that is given up.
    pub(crate) async fn next(&mut self) -> Result<Delivery, Problem> {
        let mut delivery = Delivery::default();
        std::future::poll_fn(|context| self.poll_next(context, &mut delivery)).await?;
        Ok(delivery)
    }

    fn hand_out(&mut self, caught_up: CaughtUp, delivery: &mut Delivery) {
        let CaughtUp { pushes, reached, until, more } = caught_up;
        if !more {
            self.outbox.drop_shown(&pushes);
        }
        self.told = until.max(self.told);
        for (followed, Reached { after, erased }) in self.followed.iter_mut().zip(reached) {
            (followed.after, followed.erased, followed.reset) = (followed.after.max(after), followed.erased.max(erased), false);
        }
        delivery.pushes.extend(pushes);
    }

    fn catch_up(&mut self) {
        let told = self.told;
        let missed: Vec<Missed> = self
            .followed
            .iter()
            .map(|Followed { topic, after, erased, reset }| {
                let after = if *reset { Seq(0) } else { told.max(*after) };
                Missed { topic: Arc::clone(topic), reached: Reached { after, erased: *erased }, reset: *reset }
            })
            .collect();
        let (pushes, outbox) = (Arc::clone(&self.pushes), Arc::clone(&self.outbox));
        self.catching_up = Some(tokio::spawn(async move {
            // Never closed.
            let Ok(place) = Arc::clone(pushes.catching_up()).acquire_owned().await else { return Err(Problem::Internal) };
            let core = Arc::clone(pushes.core());
            let read = tokio::task::spawn_blocking(move || {
                let caught_up = catch_up(&core, &outbox, &missed).map_err(Problem::from);
                // Not before: a reader that is gone leaves its read behind.
                drop(place);
                caught_up
            });
            read.await.unwrap_or(Err(Problem::Internal))
        }));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(search) = &self.catching_up {
            search.abort();
        }
        for followed in &self.followed {
            self.pushes.unsubscribe(&followed.topic, self.outbox.id());
        }
        self.pushes.forget(self.outbox.id());
    }
}
