//! An outbox: what waits to be sent to one reader. Bounded: who is slow is told the newest, and who is very slow is told from the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::extract::ws::Utf8Bytes;

use super::circle::About;
use super::topic::Topic;
use crate::limits::PUSHES_WAITING_COUNT_MAX;
use crate::progress::{SessionId, TitleId};
use crate::store::Seq;

/// Readers that wait together to be woken: with more of them, the first would wait for long.
const WAKES_COUNT_MAX: usize = 64;

/// Which reader.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct OutboxId(pub(super) u64);

/// What kind of change is pushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushKind {
    /// A register changed.
    Progress,
    /// A register changed and is hidden from the row.
    Hidden,
    /// The profile was erased.
    Erased,
    /// What is held of the profile no longer counts; all of it follows.
    Reset,
}

/// One object for a reader, shared with all other readers of the profile.
#[derive(Clone)]
pub(crate) struct Push {
    pub(super) topic: Arc<Topic>,
    pub(super) title: Option<TitleId>,
    pub(crate) kind: PushKind,
    /// With it, everything up to here has been pushed.
    pub(crate) seq: Seq,
    /// When what it shows had arrived.
    pub(super) arrived: Seq,
    /// The object, as JSON.
    pub(crate) text: Utf8Bytes,
}

impl Push {
    fn is_of(&self, other: &Self) -> bool {
        self.title == other.title && Arc::ptr_eq(&self.topic, &other.topic)
    }
}

/// Readers for whom something was put into their outboxes, to be woken when there is more for them: each wakes once, and what it has to say
/// leaves together.
#[derive(Default)]
pub(crate) struct Wakes(Vec<Waker>);

impl Wakes {
    fn add(&mut self, waker: Option<Waker>) {
        self.0.extend(waker);
        if self.0.len() >= WAKES_COUNT_MAX {
            self.wake();
        }
    }

    fn wake(&mut self) {
        for waker in self.0.drain(..) {
            waker.wake();
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake();
    }
}

/// An answer to something that the reader sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) text: Utf8Bytes,
    /// How long the message was that it answers, in bytes.
    pub(crate) asked_bytes: usize,
}

/// What an outbox handed out.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) answers: Vec<Answer>,
    pub(crate) pushes: Vec<Push>,
    /// Presence and parties.
    pub(crate) news: Vec<Utf8Bytes>,
    /// A session of the reader that has lost its stream to others of its account.
    pub(crate) lost_stream: Option<SessionId>,
    /// The node is about to stop.
    pub(crate) stopping: bool,
}

impl Delivery {
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.pushes.is_empty() && self.news.is_empty() && self.lost_stream.is_none() && !self.stopping
    }
}

#[derive(Default)]
struct State {
    // Pushes are put here as they are made. If not, the reader reads the store first.
    live: bool,
    // Rising in `seq`, and of each title the newest.
    waiting: VecDeque<Push>,
    answers: VecDeque<Answer>,
    // Of each circle the newest.
    news: Vec<(About, Utf8Bytes)>,
    lost_stream: Option<SessionId>,
    stopping: bool,
    waker: Option<Waker>,
}

pub(crate) struct Outbox {
    id: OutboxId,
    state: Mutex<State>,
}

impl Outbox {
    pub(super) fn new(id: OutboxId) -> Self {
        Self { id, state: Mutex::new(State { live: true, ..State::default() }) }
    }

    pub(crate) const fn id(&self) -> OutboxId {
        self.id
    }

    /// A number of this reader, unique at this node.
    pub(crate) const fn number(&self) -> u64 {
        self.id.0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Puts a push behind those that wait; an older one of the same title goes. The maker of a change only has what waits replaced.
    pub(super) fn push(&self, push: &Push, made_it: bool, wakes: &mut Wakes) {
        let mut state = self.state();
        if !state.live {
            return;
        }
        let before = state.waiting.len();
        match push.kind {
            PushKind::Erased => state.waiting.retain(|waiting| !Arc::ptr_eq(&waiting.topic, &push.topic)),
            _ => state.waiting.retain(|waiting| !waiting.is_of(push)),
        }
        if made_it && state.waiting.len() == before {
            return;
        }
        if state.waiting.len() >= PUSHES_WAITING_COUNT_MAX {
            state.live = false;
            state.waiting = VecDeque::new();
            metrics::counter!("leftoff_push_readers_fell_behind_total").increment(1);
        } else {
            state.waiting.push_back(push.clone());
        }
        let asleep = state.waker.take();
        drop(state);
        wakes.add(asleep);
    }

    /// Whether a push of this title waits.
    pub(super) fn has(&self, topic: &Arc<Topic>, title: &TitleId) -> bool {
        self.state().waiting.iter().any(|push| push.title.as_ref() == Some(title) && Arc::ptr_eq(&push.topic, topic))
    }

    /// Answers the reader.
    pub(crate) fn answer(&self, answer: Answer, wakes: &mut Wakes) {
        let mut state = self.state();
        state.answers.push_back(answer);
        let asleep = state.waker.take();
        drop(state);
        wakes.add(asleep);
    }

    /// Tells the reader how a circle is now; what it has not read of it yet goes.
    pub(super) fn tell(&self, about: &About, text: &Utf8Bytes) {
        let mut state = self.state();
        match state.news.iter_mut().find(|(known, _)| known == about) {
            Some((_, known)) => *known = text.clone(),
            None => state.news.push((about.clone(), text.clone())),
        }
        Self::wake(state);
    }

    /// Tells the reader that a session of its has lost its stream.
    pub(crate) fn lose_stream(&self, session: &SessionId) {
        let mut state = self.state();
        state.lost_stream = Some(session.clone());
        Self::wake(state);
    }

    /// From here on the reader reads the store before it is pushed anything.
    pub(super) fn fall_behind(&self) {
        let mut state = self.state();
        state.live = false;
        state.waiting = VecDeque::new();
        Self::wake(state);
    }

    /// Whether the reader reads the store before it is pushed anything.
    pub(super) fn is_behind(&self) -> bool {
        !self.state().live
    }

    /// From here on pushes wait here again.
    pub(super) fn go_live(&self) {
        self.state().live = true;
    }

    /// Drops what waits and is no newer than what the store has shown.
    pub(super) fn drop_shown(&self, shown: &[Push]) {
        self.state().waiting.retain(|waiting| !shown.iter().any(|push| push.is_of(waiting) && push.arrived >= waiting.arrived));
    }

    /// Says that the node is about to stop.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        Self::wake(state);
    }

    /// Takes what waits, pushes only if asked to. Ready: whether the reader has fallen behind; something may have been taken besides.
    pub(super) fn poll_take(&self, context: &Context<'_>, takes_pushes: bool, delivery: &mut Delivery) -> Poll<bool> {
        let mut state = self.state();
        delivery.answers.extend(state.answers.drain(..));
        delivery.news.extend(state.news.drain(..).map(|(_, text)| text));
        delivery.lost_stream = state.lost_stream.take().or_else(|| delivery.lost_stream.take());
        delivery.stopping |= std::mem::take(&mut state.stopping);
        if takes_pushes {
            delivery.pushes.extend(state.waiting.drain(..));
        }
        let behind = takes_pushes && !state.live;
        if !delivery.is_empty() || behind {
            return Poll::Ready(behind);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::progress::ProfileId;

    fn push(topic: &Arc<Topic>, title: &str, seq: u64) -> Push {
        let title = Some(TitleId::new(title).unwrap());
        Push { topic: Arc::clone(topic), title, kind: PushKind::Progress, seq: Seq(seq), arrived: Seq(seq), text: seq.to_string().into() }
    }

    fn take(outbox: &Outbox) -> (Vec<u64>, bool) {
        let mut delivery = Delivery::default();
        let behind = outbox.poll_take(&Context::from_waker(Waker::noop()), true, &mut delivery);
        (delivery.pushes.iter().map(|push| push.seq.0).collect(), behind == Poll::Ready(true))
    }

    fn topic(profile: &str) -> Arc<Topic> {
        Arc::new(Topic::new(ProfileId::new(profile).unwrap()))
    }

    #[test]
    fn a_reader_is_told_the_newest_of_each_title_in_the_order_of_the_numbers() {
        let (outbox, ada, bob) = (Outbox::new(OutboxId(1)), topic("ada"), topic("bob"));
        for (topic, title, seq) in [(&ada, "a", 1), (&ada, "b", 2), (&bob, "a", 3), (&ada, "a", 4)] {
            outbox.push(&push(topic, title, seq), false, &mut Wakes::default());
        }
        assert_eq!(take(&outbox), (vec![2, 3, 4], false));
        assert_eq!(take(&outbox), (vec![], false));
    }

    #[test]
    fn who_made_a_change_only_has_replaced_what_waits() {
        let (outbox, ada) = (Outbox::new(OutboxId(1)), topic("ada"));
        outbox.push(&push(&ada, "a", 1), true, &mut Wakes::default());
        assert_eq!(take(&outbox), (vec![], false));
        outbox.push(&push(&ada, "a", 2), false, &mut Wakes::default());
        outbox.push(&push(&ada, "a", 3), true, &mut Wakes::default());
        assert_eq!(take(&outbox), (vec![3], false));
    }

    #[test]
    fn a_reader_too_slow_for_its_outbox_is_told_from_the_store_until_it_has_caught_up() {
        let (outbox, ada) = (Outbox::new(OutboxId(1)), topic("ada"));
        for seq in 0..=PUSHES_WAITING_COUNT_MAX as u64 {
            outbox.push(&push(&ada, &format!("t{seq}"), seq), false, &mut Wakes::default());
        }
        assert_eq!(take(&outbox), (vec![], true), "nothing is held for it any more");
        outbox.push(&push(&ada, "a", 100), false, &mut Wakes::default());
        assert_eq!(take(&outbox), (vec![], true));
        outbox.go_live();
        outbox.push(&push(&ada, "a", 101), false, &mut Wakes::default());
        outbox.push(&push(&ada, "b", 102), false, &mut Wakes::default());
        outbox.drop_shown(&[push(&ada, "a", 101), push(&ada, "b", 90)]);
        assert_eq!(take(&outbox), (vec![102], false), "what the store has shown already is not told again");
    }

    #[test]
    fn an_erasure_takes_what_waits_of_its_profile_along() {
        let (outbox, ada, bob) = (Outbox::new(OutboxId(1)), topic("ada"), topic("bob"));
        outbox.push(&push(&ada, "a", 1), false, &mut Wakes::default());
        outbox.push(&push(&bob, "a", 2), false, &mut Wakes::default());
        outbox.push(&Push { kind: PushKind::Erased, title: None, ..push(&ada, "a", 3) }, false, &mut Wakes::default());
        assert_eq!(take(&outbox), (vec![2, 3], false));
    }
}
