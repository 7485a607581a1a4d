//! How much one profile may report and one account may ask, each second (GCRA, by `governor`).
//!
//! A profile that reports faster than it may is first made smaller: of heartbeats that follow each other in one playhead, only the newest says
//! anything, so it stands for the earlier ones: in one batch, here, and for a moment over all of them (`waiting`). What is too much after that is
//! refused, with the time to come back; other profiles in the same batch are not touched by it. What is remembered is bounded: who is pushed
//! out of memory begins with a full allowance.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use quick_cache::unsync::Cache;

use super::batch::{Batch, RefusedEvent};
use super::problem::Problem;
use crate::limits::{EVENTS_PER_BATCH_COUNT_MAX, RATES_COUNT_MAX};
use crate::progress::{EventKind, PlaybackEvent};
use crate::time::{MonotonicTime, system};

/// Seconds of its rate that an account may ask at once.
const ACCOUNT_BURST_S: u32 = 10;
const SHARDS_COUNT: usize = 16;

/// What is allowed. Zero: without bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateOptions {
    /// Events of one profile a second, in the long run.
    pub profile_events_per_s: u32,
    /// Events of one profile at once; at least a full batch.
    pub profile_events_burst: u32,
    /// Requests of one account a second, in the long run; ten times as many at once.
    pub account_requests_per_s: u32,
}

impl Default for RateOptions {
    fn default() -> Self {
        Self { profile_events_per_s: 200, profile_events_burst: 20_000, account_requests_per_s: 500 }
    }
}

/// The node's monotonic clock, as the limiter wants it.
#[derive(Clone, Copy, Debug)]
struct NodeClock(MonotonicTime);

impl Clock for NodeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        system::monotonic_now().saturating_since(self.0)
    }
}

/// When each key may go on. Bounded: those not seen for longest are pushed out.
struct Bounded([Mutex<Cache<u64, Nanos>>; SHARDS_COUNT]);

impl Default for Bounded {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Cache::new(RATES_COUNT_MAX / SHARDS_COUNT))))
    }
}

impl StateStore for Bounded {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.0[*key as usize % SHARDS_COUNT].lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, next) = f(shard.get(key).copied())?;
        shard.insert(*key, next);
        Ok(outcome)
    }
}

/// One allowance for each key.
struct Limiter<C: Clock = NodeClock> {
    allowances: RateLimiter<u64, Bounded, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    burst: NonZeroU32,
}

impl<C: Clock + Clone> Limiter<C> {
    /// None without a bound.
    fn new(per_s: u32, burst: u32, clock: C) -> Option<Self> {
        let (per_s, burst) = (NonZeroU32::new(per_s)?, NonZeroU32::new(burst)?);
        let quota = Quota::per_second(per_s).allow_burst(burst);
        Some(Self { allowances: RateLimiter::new(quota, Bounded::default(), clock.clone()), clock, burst })
    }

    /// Takes `count` of a key's allowance, or says when to come back, in milliseconds. All or nothing.
    fn take(&self, key: u64, count: usize) -> Result<(), u64> {
        let Some(count) = NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX)) else { return Ok(()) };
        match self.allowances.check_key_n(&key, count.min(self.burst)) {
            Ok(Err(later)) => Err((later.wait_time_from(self.clock.now()).as_millis() as u64).max(1)),
            // What is asked for was cut to what can be had, so there is no other error.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

/// The rates of a gateway.
pub(crate) struct Rates {
    profiles: Option<Limiter>,
    accounts: Option<Limiter>,
    // Keyed, so that nobody can choose a profile that shares its allowance with another.
    keys: RandomState,
}

impl Rates {
    pub(super) fn new(options: RateOptions) -> Self {
        let clock = NodeClock(system::monotonic_now());
        let burst = options.profile_events_burst.max(EVENTS_PER_BATCH_COUNT_MAX as u32);
        let requests = options.account_requests_per_s;
        Self {
            profiles: Limiter::new(options.profile_events_per_s, burst, clock),
            accounts: Limiter::new(requests, requests.saturating_mul(ACCOUNT_BURST_S), clock),
            keys: RandomState::new(),
        }
    }

    /// Counts a request of an account.
    pub(super) fn request(&self, account: &str) -> Result<(), Problem> {
        let Some(accounts) = &self.accounts else { return Ok(()) };
        accounts.take(self.keys.hash_one(account), 1).map_err(|retry_ms| Problem::RateLimited { retry_ms })
    }
}

/// Whose allowances events are counted against.
pub(super) trait Allow {
    /// Takes `count` events of a profile's allowance, or says when it will suffice, in milliseconds. All or nothing.
    fn take(&self, profile: &str, count: usize) -> Result<(), u64>;
}

impl Allow for Rates {
    fn take(&self, profile: &str, count: usize) -> Result<(), u64> {
        self.profiles.as_ref().map_or(Ok(()), |profiles| profiles.take(self.keys.hash_one(profile), count))
    }
}

/// The profiles of a batch that are over their rate, by profile and number of its events.
pub(super) fn over(batch: &Batch, mut is_over: impl FnMut(&str, usize) -> bool) -> Vec<String> {
    // Players mostly say one thing at a time.
    if let [event] = batch.events.as_slice() {
        return if is_over(&event.profile_id, 1) { vec![event.profile_id.clone()] } else { Vec::new() };
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &batch.events {
        *counts.entry(&event.profile_id).or_default() += 1;
    }
    counts.into_iter().filter(|(profile, count)| is_over(profile, *count)).map(|(profile, _)| profile.to_owned()).collect()
}

/// A profile's events in a batch.
pub(super) fn count(batch: &Batch, profile: &str) -> usize {
    batch.events.iter().filter(|event| event.profile_id == profile).count()
}

/// Takes the heartbeats out of a batch that a later one of the same playhead follows, with nothing else of that playhead in between.
pub(super) fn coalesce(batch: &mut Batch, profile: &str) {
    type Playhead = (String, String, Option<u64>);
    let playhead = |event: &PlaybackEvent| -> Playhead { (event.title_id.clone(), event.device_id.clone(), event.version) };
    let mut later: HashMap<Playhead, Option<u32>> = HashMap::new();
    let mut kept = Vec::with_capacity(batch.events.len());
    for (index, event) in batch.take().into_iter().rev() {
        if event.profile_id != profile {
            kept.push((index, event));
        } else if event.kind != EventKind::Heartbeat {
            // What the playhead says before this is not what it says after it, wherever it is then.
            later.retain(|(title, device, _), _| *title != event.title_id || *device != event.device_id);
            kept.push((index, event));
        } else if let Some(newer) = later.get(&playhead(&event)) {
            if let Some(index) = index {
                batch.stand_for(index, *newer);
            }
        } else {
            later.insert(playhead(&event), index);
            kept.push((index, event));
        }
    }
    for (index, event) in kept.into_iter().rev() {
        batch.keep(index, event);
    }
}

/// Takes a profile's events out of a batch.
pub(super) fn refuse(batch: &mut Batch, profile: &str, retry_ms: u64) {
    for (index, event) in batch.take() {
        if event.profile_id != profile {
            batch.keep(index, event);
        } else if let Some(index) = index {
            let problem = Problem::RateLimited { retry_ms };
            batch.refused.push(RefusedEvent { index, code: problem.code(), reason: problem.to_string() });
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(per_s: u32, burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::new(per_s, burst, clock.clone()).unwrap(), clock)
    }

    fn batch(events: &[(&str, &str, EventKind)]) -> Batch {
        let mut batch = Batch::default();
        for (index, (profile, title, kind)) in (0..).zip(events) {
            batch.push(index, PlaybackEvent::new(*profile, *title, "tv", *kind, u64::from(index)));
        }
        batch
    }

    const HEARTBEAT: EventKind = EventKind::Heartbeat;

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let (limiter, clock) = limiter(10, 5);
        assert_eq!(limiter.take(1, 5), Ok(()));
        assert_eq!(limiter.take(1, 1), Err(100));
        assert_eq!(limiter.take(2, 5), Ok(()), "another's is not touched");
        clock.advance(Duration::from_millis(100));
        assert_eq!(limiter.take(1, 1), Ok(()));
        assert!(limiter.take(1, 1).is_err());
        assert!(Limiter::new(0, 5, FakeRelativeClock::default()).is_none());
    }

    #[test]
    fn heartbeats_of_one_batch_become_the_newest_of_each_playhead() {
        let mut hammered = batch(&[("b", "x", HEARTBEAT), ("b", "x", HEARTBEAT), ("b", "x", HEARTBEAT), ("b", "x", EventKind::Pause)]);
        coalesce(&mut hammered, "b");
        assert_eq!(hammered.indices, [Some(2), Some(3)]);
        assert_eq!(hammered.stood_for, [(1, Some(2)), (0, Some(2))]);
        refuse(&mut hammered, "b", 7);
        assert_eq!(hammered.refused.len(), 2);
    }

    #[test]
    fn heartbeats_of_other_playheads_places_and_after_a_move_do_not_stand_for_each_other() {
        let mut events = batch(&[
            ("a", "x", HEARTBEAT),
            ("a", "x", EventKind::Seek),
            ("a", "x", HEARTBEAT),
            ("a", "y", HEARTBEAT),
            ("b", "x", HEARTBEAT),
        ]);
        events.push(5, PlaybackEvent { version: Some(7), ..PlaybackEvent::new("a", "x", "tv", HEARTBEAT, 9) });
        events.push(6, PlaybackEvent::new("a", "x", "phone", HEARTBEAT, 9));
        coalesce(&mut events, "a");
        assert_eq!(events.indices, [0, 1, 2, 3, 4, 5, 6].map(Some));
        assert!(events.stood_for.is_empty());
    }

    #[test]
    fn in_a_mixed_batch_the_other_profiles_are_not_touched() {
        let mut mixed = batch(&[("a", "x", EventKind::Pause), ("b", "x", EventKind::Pause), ("a", "y", EventKind::Pause)]);
        assert_eq!(over(&mixed, |profile, count| (profile, count) == ("a", 2)), ["a"]);
        refuse(&mut mixed, "a", 1);
        assert_eq!(mixed.indices, [Some(1)]);
        assert_eq!(
            mixed.refused.iter().map(|refused| (refused.index, refused.code)).collect::<Vec<_>>(),
            [(0, "rate_limited"), (2, "rate_limited")]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let store = Bounded::default();
        for key in 0..2 * RATES_COUNT_MAX as u64 {
            store.measure_and_replace(&key, |_| Ok::<_, ()>(((), Nanos::from(1_u64)))).unwrap();
        }
        let held: usize = store.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(held <= RATES_COUNT_MAX, "{held}");
    }
}
