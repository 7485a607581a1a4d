//! Heartbeats of a profile that reports faster than it may: for a moment the newest of each playhead waits, standing for all that came before it.
//!
//! The moment lasts until the profile's allowance has grown back, a quarter of a second at least and a second at most, over all requests and
//! sockets. Then what waits is recorded, and everyone whose report it stands for is answered with what became of it: nothing is called
//! accepted before what stands for it is durable. Whatever is no heartbeat never waits and is never replaced; it has what waits of its playhead
//! recorded before itself. What does not fit (too many playheads, too many to be answered, too little allowance) is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::batch::Batch;
use super::fate::Fate;
use super::problem::Problem;
use super::pushes::Outbox;
use super::rates::{self, Allow};
use super::ws::Submission;
use super::{GatewayState, Shared};
use crate::limits::{WAITING_ANSWERS_PER_PROFILE_COUNT_MAX, WAITING_PLAYHEADS_PER_PROFILE_COUNT_MAX, WAITING_PROFILES_COUNT_MAX};
use crate::progress::{EventKind, PlaybackEvent};
use crate::time::{MonotonicTime, WallTime, system};

const WINDOW_MIN: Duration = Duration::from_millis(250);
const WINDOW_MAX: Duration = Duration::from_secs(1);

/// The newest heartbeat of one playhead, and what it stands for.
pub(super) struct Waiter {
    event: PlaybackEvent,
    sent_at: Option<WallTime>,
    arrived: WallTime,
    guess_moves: bool,
    /// Whose socket it came from; not told of it.
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) fate: Arc<Fate>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").field("event", &self.event).finish_non_exhaustive()
    }
}

impl Waiter {
    /// As a batch to be recorded at `now`: as long after it was sent as it has waited.
    pub(super) fn batch(&self, now: WallTime) -> Batch {
        let sent_at = self.sent_at.map(|sent_at| sent_at.shifted(now.millis_since(self.arrived).max(0)));
        let mut batch = Batch { sent_at, guess_moves: self.guess_moves, ..Batch::default() };
        batch.push(0, self.event.clone());
        batch
    }

    fn is_of(&self, event: &PlaybackEvent) -> bool {
        self.event.title_id == event.title_id && self.event.device_id == event.device_id
    }
}

/// What waits of one profile.
struct Window {
    opened: MonotonicTime,
    due: MonotonicTime,
    waiters: Vec<Waiter>,
    /// Reports that are to be answered.
    answers: usize,
    /// How much of the allowance has been taken for what waits.
    paid: usize,
}

/// When and where a batch came.
struct Came<'a> {
    now: MonotonicTime,
    wall: WallTime,
    outbox: Option<&'a Arc<Outbox>>,
}

/// All that waits. Bounded.
#[derive(Default)]
struct Windows(HashMap<String, Window>);

impl Windows {
    /// Of the profiles that are over their rate, or of which something waits, takes out of a batch what may not be recorded at once: it waits (and
    /// is in the batch's `waits`), or is refused. What is returned must be recorded before the batch.
    fn admit(&mut self, came: &Came<'_>, allow: &dyn Allow, batch: &mut Batch, over: &[String]) -> Result<Vec<Waiter>, Problem> {
        let mut first = Vec::new();
        let mut retry_ms = None;
        for profile in over {
            let taken = if self.0.contains_key(profile) {
                self.goes_on(came, allow, batch, profile, &mut first)
            } else {
                self.begins(came, allow, batch, profile)
            };
            if let Err(wait_ms) = taken {
                rates::refuse(batch, profile, wait_ms);
                retry_ms = Some(wait_ms.max(retry_ms.unwrap_or(0)));
            }
        }
        match retry_ms {
            Some(retry_ms) if batch.events.is_empty() && batch.waits.is_empty() => Err(Problem::RateLimited { retry_ms }),
            _ => Ok(first),
        }
    }

    /// For a profile that has just used up what it may report.
    fn begins(&mut self, came: &Came<'_>, allow: &dyn Allow, batch: &mut Batch, profile: &str) -> Result<(), u64> {
        rates::coalesce(batch, profile);
        let Err(wait_ms) = allow.take(profile, rates::count(batch, profile)) else { return Ok(()) };
        if !only_heartbeats(batch, profile) || self.0.len() >= WAITING_PROFILES_COUNT_MAX {
            return Err(wait_ms);
        }
        let window = Window { opened: came.now, due: came.now + WINDOW_MIN, waiters: Vec::new(), answers: 0, paid: 0 };
        self.0.insert(profile.to_owned(), window);
        self.wait(came, allow, batch, profile).inspect_err(|_| drop(self.0.remove(profile)))
    }

    /// For a profile some of whose heartbeats wait.
    fn goes_on(
        &mut self,
        came: &Came<'_>,
        allow: &dyn Allow,
        batch: &mut Batch,
        profile: &str,
        first: &mut Vec<Waiter>,
    ) -> Result<(), u64> {
        if only_heartbeats(batch, profile) {
            rates::coalesce(batch, profile);
            return self.wait(came, allow, batch, profile);
        }
        if allow.take(profile, rates::count(batch, profile)).is_err() {
            rates::coalesce(batch, profile);
            allow.take(profile, rates::count(batch, profile))?;
        }
        let Some(window) = self.0.get_mut(profile) else { return Ok(()) };
        let follows = |waiter: &Waiter| batch.events.iter().any(|event| event.profile_id == profile && waiter.is_of(event));
        let (before, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut window.waiters).into_iter().partition(follows);
        first.extend(before);
        window.waiters = stay;
        if window.waiters.is_empty() {
            self.0.remove(profile);
        }
        Ok(())
    }

    /// Lets the profile's heartbeats wait: all of them, or none.
    fn wait(&mut self, came: &Came<'_>, allow: &dyn Allow, batch: &mut Batch, profile: &str) -> Result<(), u64> {
        let Some(window) = self.0.get_mut(profile) else { return Ok(()) };
        let left_ms = |window: &Window| (window.due.saturating_since(came.now).as_millis() as u64).max(1);
        let of_profile = |event: &&PlaybackEvent| event.profile_id == profile;
        let new = batch.events.iter().filter(of_profile).filter(|event| window.find(event).is_none()).count();
        let waiting = window.waiters.len() + new;
        let answers = window.answers + rates::count(batch, profile);
        if waiting > WAITING_PLAYHEADS_PER_PROFILE_COUNT_MAX || answers > WAITING_ANSWERS_PER_PROFILE_COUNT_MAX {
            return Err(left_ms(window));
        }
        if new > 0 {
            match allow.take(profile, waiting.saturating_sub(window.paid)) {
                Ok(()) => window.paid = waiting.max(window.paid),
                Err(wait_ms) => {
                    let due = came.now + Duration::from_millis(wait_ms);
                    if due > window.opened + WINDOW_MAX {
                        return Err(wait_ms);
                    }
                    window.due = window.due.max(due);
                }
            }
        }
        window.answers = answers;
        let (sent_at, guess_moves) = (batch.sent_at, batch.guess_moves);
        for (index, event) in batch.take() {
            if event.profile_id != profile {
                batch.keep(index, event);
                continue;
            }
            let waiter = Waiter { sent_at, guess_moves, arrived: came.wall, outbox: came.outbox.cloned(), fate: Fate::of(&event), event };
            let fate = window.replace(waiter);
            if let Some(index) = index {
                batch.waits_for(index, &fate);
            }
        }
        Ok(())
    }

    /// What has waited long enough, and when the next will have.
    fn take_due(&mut self, now: MonotonicTime, allow: &dyn Allow) -> (Vec<Waiter>, Option<MonotonicTime>) {
        let mut due = Vec::new();
        self.0.retain(|profile, window| {
            if window.due > now {
                return true;
            }
            // Others may have used it up meanwhile: what was let wait is recorded all the same, and there are only a few of it.
            let _ = allow.take(profile, window.waiters.len().saturating_sub(window.paid));
            due.append(&mut window.waiters);
            false
        });
        (due, self.0.values().map(|window| window.due).min())
    }
}

impl Window {
    fn find(&self, event: &PlaybackEvent) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.is_of(event) && waiter.event.version == event.version)
    }

    fn replace(&mut self, newer: Waiter) -> Arc<Fate> {
        let Some(index) = self.find(&newer.event) else {
            let fate = Arc::clone(&newer.fate);
            self.waiters.push(newer);
            return fate;
        };
        let older = &mut self.waiters[index];
        let fate = Arc::clone(&older.fate);
        metrics::counter!("leftoff_heartbeats_coalesced_total").increment(1);
        // A retry that comes after what followed it is the older one, by the device's own clock.
        let is_late = matches!((newer.event.at_ms, older.event.at_ms), (Some(newer), Some(older)) if newer < older);
        if !is_late {
            *older = Waiter { fate: Arc::clone(&fate), ..newer };
        }
        fate
    }
}

fn only_heartbeats(batch: &Batch, profile: &str) -> bool {
    batch.events.iter().filter(|event| event.profile_id == profile).all(|event| event.kind == EventKind::Heartbeat)
}

#[derive(Default)]
struct State {
    windows: Windows,
    /// Whether something will look for what is due.
    ticking: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    // Nearly always none: then nobody takes the lock.
    open_count: AtomicUsize,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Profiles of which something waits.
    fn open_count(&self) -> usize {
        self.open_count.load(Ordering::Acquire)
    }

    fn is_open(&self, profile: &str) -> bool {
        self.open_count() > 0 && self.state().windows.0.contains_key(profile)
    }

    /// Changes what waits.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        let open_count = state.windows.0.len();
        self.open_count.store(open_count, Ordering::Release);
        drop(state);
        metrics::gauge!("leftoff_profiles_held_back").set(open_count as f64);
        changed
    }
}

impl GatewayState {
    /// Counts the events of a batch. Of a profile that has reported too much, heartbeats wait; what is too much even so is refused.
    /// What is returned must be recorded before the batch.
    ///
    /// # Errors
    ///
    /// All of them are refused: nothing is left to be recorded, or to wait.
    pub(super) fn admit(&self, batch: &mut Batch, outbox: Option<&Arc<Outbox>>) -> Result<Vec<Submission>, Problem> {
        let rates = self.rates();
        let waiting = &self.0.waiting;
        let over = rates::over(batch, |profile, count| waiting.is_open(profile) || rates.take(profile, count).is_err());
        if over.is_empty() {
            return Ok(Vec::new());
        }
        let came = Came { now: system::monotonic_now(), wall: system::wall_now(), outbox };
        let (first, ticks) = waiting.with(|state| {
            let first = state.windows.admit(&came, &*rates, batch, &over);
            let ticks = !state.ticking && !state.windows.0.is_empty();
            state.ticking |= ticks;
            (first, ticks)
        });
        if ticks {
            tokio::spawn(record_due(Arc::downgrade(&self.0)));
        }
        Ok(first?.into_iter().map(|waiter| Submission::of_waiter(&waiter, came.wall)).collect())
    }
}

/// Has what waits recorded when it is due, until nothing waits any more.
async fn record_due(gateway: Weak<Shared>) {
    loop {
        let Some(shared) = gateway.upgrade() else { return };
        let state = GatewayState(shared);
        let rates = state.rates();
        let now = system::monotonic_now();
        let (due, next) = state.0.waiting.with(|waiting| {
            let (due, next) = waiting.windows.take_due(now, &*rates);
            waiting.ticking = next.is_some();
            (due, next)
        });
        let wall = system::wall_now();
        let mut submissions: Vec<Submission> = due.iter().map(|waiter| Submission::of_waiter(waiter, wall)).collect();
        if !submissions.is_empty() {
            state.recorder().submit(&mut submissions);
        }
        drop((rates, state));
        let Some(next) = next else { return };
        tokio::time::sleep(next.saturating_since(system::monotonic_now())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// So much is left; without any, a piece of it comes every 100 ms.
    struct Left(RefCell<usize>);

    impl Allow for Left {
        fn take(&self, _profile: &str, count: usize) -> Result<(), u64> {
            let mut left = self.0.borrow_mut();
            if count > *left {
                return Err(100 * (count - *left) as u64);
            }
            *left -= count;
            Ok(())
        }
    }

    fn nothing() -> Left {
        Left(RefCell::new(0))
    }

    fn at(ms: u64) -> MonotonicTime {
        MonotonicTime::from_start(Duration::from_millis(ms))
    }

    fn event(title: &str, kind: EventKind, position_ms: u64) -> PlaybackEvent {
        PlaybackEvent::new("p", title, "tv", kind, position_ms)
    }

    fn heartbeat(title: &str, position_ms: u64) -> PlaybackEvent {
        event(title, EventKind::Heartbeat, position_ms)
    }

    fn bring(windows: &mut Windows, ms: u64, left: &Left, events: &[PlaybackEvent]) -> (Batch, Result<Vec<Waiter>, Problem>) {
        let mut batch = Batch { sent_at: Some(WallTime::from_millis(5_000 + ms)), ..Batch::default() };
        for (index, event) in (0..).zip(events) {
            batch.push(index, event.clone());
        }
        let came = Came { now: at(ms), wall: WallTime::from_millis(10_000 + ms), outbox: None };
        let over: Vec<String> = rates::over(&batch, |_, _| true);
        let first = windows.admit(&came, left, &mut batch, &over);
        (batch, first)
    }

    #[test]
    fn heartbeats_over_many_batches_become_the_newest_and_share_its_fate() {
        let mut windows = Windows::default();
        let mut fates = Vec::new();
        for n in 0..20 {
            let (batch, first) = bring(&mut windows, 10 * n, &nothing(), &[heartbeat("x", n), heartbeat("x", 100 + n)]);
            assert!(first.unwrap().is_empty() && batch.events.is_empty() && batch.stood_for.is_empty());
            fates.extend(batch.waits.iter().map(|(_, fate)| Arc::clone(fate)));
        }
        assert_eq!(windows.take_due(at(249), &nothing()).1, Some(at(250)));
        let (due, next) = windows.take_due(at(250), &nothing());
        assert_eq!((due.len(), next), (1, None));
        assert_eq!((fates.len(), fates.iter().all(|fate| Arc::ptr_eq(fate, &due[0].fate))), (40, true));
        let batch = due[0].batch(WallTime::from_millis(10_290));
        assert_eq!(batch.events[0].position_ms, 119);
        assert_eq!(batch.sent_at, Some(WallTime::from_millis(5_290)), "it was sent as long ago as it was");
    }

    #[test]
    fn what_is_no_heartbeat_never_waits_and_has_its_playhead_recorded_before_it() {
        let mut windows = Windows::default();
        for title in ["x", "y"] {
            bring(&mut windows, 0, &nothing(), &[heartbeat(title, 7)]).1.unwrap();
        }
        for kind in [EventKind::Play, EventKind::Pause, EventKind::Seek, EventKind::Stop, EventKind::End] {
            let (batch, first) = bring(&mut windows, 1, &nothing(), &[event("x", kind, 9)]);
            assert_eq!((first.err().map(|problem| problem.code()), batch.refused[0].code), (Some("rate_limited"), "rate_limited"));
        }
        let some = Left(RefCell::new(1));
        let (batch, first) = bring(&mut windows, 2, &some, &[event("x", EventKind::Seek, 9)]);
        let first = first.unwrap();
        assert_eq!((batch.events.len(), first.len(), &*first[0].event.title_id), (1, 1, "x"));
        let due = windows.take_due(at(1_000), &nothing()).0;
        assert_eq!(due.iter().map(|waiter| &*waiter.event.title_id).collect::<Vec<_>>(), ["y"], "another playhead goes on waiting");
    }

    #[test]
    fn places_are_told_apart_and_a_late_retry_replaces_nothing() {
        let mut windows = Windows::default();
        let timed = |at_ms, version| PlaybackEvent { at_ms: Some(at_ms), version, ..heartbeat("x", at_ms) };
        for event in [timed(50, None), timed(40, None), timed(30, Some(9))] {
            bring(&mut windows, 0, &nothing(), &[event]).1.unwrap();
        }
        let due = windows.take_due(at(1_000), &nothing()).0;
        assert_eq!(due.iter().map(|waiter| waiter.event.position_ms).collect::<Vec<_>>(), [50, 30]);
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_time() {
        let mut windows = Windows::default();
        for n in 0..10 {
            bring(&mut windows, 0, &nothing(), &[heartbeat(&n.to_string(), 1)]).1.unwrap();
        }
        let (_, first) = bring(&mut windows, 0, &nothing(), &[heartbeat("one more", 1)]);
        assert!(
            matches!(first, Err(Problem::RateLimited { retry_ms: 1_100 })),
            "its share of the allowance would take longer than a second"
        );
        assert_eq!(windows.take_due(at(999), &nothing()).1, Some(at(1_000)));

        let mut windows = Windows::default();
        let plenty = Left(RefCell::new(usize::MAX));
        bring(&mut windows, 0, &nothing(), &[heartbeat("0", 1)]).1.unwrap();
        for n in 1..WAITING_PLAYHEADS_PER_PROFILE_COUNT_MAX {
            bring(&mut windows, 0, &plenty, &[heartbeat(&n.to_string(), 1)]).1.unwrap();
        }
        bring(&mut windows, 0, &plenty, &[heartbeat("one more", 1)]).1.unwrap_err();
        for _ in WAITING_PLAYHEADS_PER_PROFILE_COUNT_MAX..WAITING_ANSWERS_PER_PROFILE_COUNT_MAX {
            bring(&mut windows, 0, &plenty, &[heartbeat("0", 1)]).1.unwrap();
        }
        bring(&mut windows, 0, &plenty, &[heartbeat("0", 1)]).1.unwrap_err();
    }

    #[test]
    fn a_batch_of_several_profiles_waits_only_for_the_hammered_one() {
        let mut windows = Windows::default();
        let mut batch = Batch::default();
        batch.push(0, heartbeat("x", 1));
        batch.push(1, PlaybackEvent::new("q", "x", "tv", EventKind::Heartbeat, 1));
        let came = Came { now: at(0), wall: WallTime::from_millis(0), outbox: None };
        windows.admit(&came, &nothing(), &mut batch, &["p".to_owned()]).unwrap();
        assert_eq!((batch.indices.clone(), batch.waits[0].0), (vec![Some(1)], 0));
    }
}
