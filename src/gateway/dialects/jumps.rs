//! Players that say only where they are: when one has been sent back, or has begun, it is told from two of its reports.
//!
//! Such a player's positions can only grow (semantics, rule 5), or a rewatch would be impossible: so a report more than a minute before the
//! device's previous one is kept back, and when the device's next report goes on from there, the two together are a `SEEK`. One report alone
//! never is: a stray old heartbeat, a retry out of order, or the last thing a player says before it dies changes nothing at all, and a report
//! that carries a time before the previous one's is simply late. A screen that wakes up in an old place has not jumped: what counts is the
//! device's own previous report, not where the title stands.
//!
//! The first report after which a device is seen to advance becomes a `PLAY`: so a title that was watched to its end begins again.
//!
//! What is kept back is in memory and bounded; forgotten, a jump is not noticed, and nothing else is lost. Nothing here is decided before the
//! batch it came with is recorded ([`Jumps::settle`]): a request that fails may be repeated.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use quick_cache::unsync::Cache;

use crate::gateway::batch::Batch;
use crate::limits::DIALECT_PLAYERS_COUNT_MAX;
use crate::progress::{EventKind, PlaybackEvent};
use crate::time::WallTime;

/// A report further back than this is no step and no jitter.
const BACK_MS: u64 = 60_000;
/// A report that goes on from another comes within this time of it.
const CONFIRM_MS: u64 = 120_000;
/// And is no further ahead than a player at this rate gets, where the player does not say a higher one; and a little more.
const RATE_MAX: f64 = 2.0;
const SLACK_MS: u64 = 2_000;

const SHARDS_COUNT: usize = 16;

/// A player, by a keyed hash of profile, title and device.
type PlayerKey = (u64, u64);

/// Where and when a report stood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stood {
    position_ms: u64,
    at_ms: Option<u64>,
    seen: WallTime,
}

impl Stood {
    fn of(now: WallTime, event: &PlaybackEvent) -> Self {
        Self { position_ms: event.position_ms, at_ms: event.at_ms, seen: now }
    }

    /// How long before `later` it was, by the device's clock where both say it.
    fn until_ms(&self, later: &Self) -> u64 {
        match (self.at_ms, later.at_ms) {
            (Some(at), Some(later)) => later.saturating_sub(at),
            _ => u64::try_from(later.seen.millis_since(self.seen)).unwrap_or(0),
        }
    }

    /// Whether it happened before `other`, as far as both say when.
    fn precedes(&self, other: &Self) -> bool {
        matches!((self.at_ms, other.at_ms), (Some(at), Some(other)) if at < other)
    }

    fn is_back_from(&self, other: &Self) -> bool {
        self.position_ms.saturating_add(BACK_MS) < other.position_ms
    }

    /// Whether a player that stood at `from` would stand here by now.
    #[expect(clippy::cast_sign_loss, reason = "both factors are positive")]
    fn goes_on_from(&self, from: &Self, rate: f64) -> bool {
        let elapsed_ms = from.until_ms(self);
        let ahead_ms = (elapsed_ms as f64 * rate) as u64;
        elapsed_ms <= CONFIRM_MS
            && self.position_ms > from.position_ms
            && self.position_ms <= from.position_ms.saturating_add(ahead_ms).saturating_add(SLACK_MS)
    }
}

/// What is known of one player in one title.
#[derive(Clone, Copy, Debug)]
struct Player {
    last: Stood,
    // A report far before the last one, kept back until the next one.
    back: Option<Stood>,
    // Whether it was seen to advance.
    begun: bool,
}

/// What a report turns out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// What it says.
    Itself,
    /// The first one of a player that advances.
    Begin,
    /// Far before the previous one: nothing, until the next one.
    KeptBack,
    /// The player goes on from the report that was kept back.
    Jumped(Stood),
}

impl Player {
    fn judge(known: Option<Self>, event: &PlaybackEvent, stood: Stood) -> (Self, Verdict) {
        // Whoever says where the viewer moved needs nobody to guess it.
        let tells = event.version.is_some() || matches!(event.kind, EventKind::Play | EventKind::Seek | EventKind::End);
        let fresh = |begun| Self { last: stood, back: None, begun };
        let Some(known) = known.filter(|_| !tells) else { return (fresh(tells), Verdict::Itself) };
        let rate = event.speed.map_or(RATE_MAX, |speed| f64::from(speed).clamp(RATE_MAX, 16.0));
        if stood.precedes(&known.last) {
            return (known, Verdict::Itself);
        }
        match known.back {
            Some(back) if stood.precedes(&back) || stood.position_ms == back.position_ms => (known, Verdict::KeptBack),
            Some(back) if stood.goes_on_from(&back, rate) => (fresh(true), Verdict::Jumped(back)),
            _ if stood.is_back_from(&known.last) => (Self { back: Some(stood), ..known }, Verdict::KeptBack),
            _ if !known.begun && stood.goes_on_from(&known.last, rate) && event.kind == EventKind::Heartbeat => {
                (fresh(true), Verdict::Begin)
            }
            _ => (fresh(known.begun), Verdict::Itself),
        }
    }
}

/// The players that say only where they are. Bounded: the ones not heard of for longest are forgotten.
#[derive(Debug)]
pub(in crate::gateway) struct Jumps {
    shards: [Mutex<Cache<PlayerKey, Player>>; SHARDS_COUNT],
    keys: (RandomState, RandomState),
}

/// What a batch made of the players in it; to be settled when the batch is recorded.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Judged(HashMap<PlayerKey, Player>);

impl Default for Jumps {
    fn default() -> Self {
        let shard = || Mutex::new(Cache::new(DIALECT_PLAYERS_COUNT_MAX / SHARDS_COUNT));
        Self { shards: std::array::from_fn(|_| shard()), keys: (RandomState::new(), RandomState::new()) }
    }
}

impl Jumps {
    /// Makes the reports of a batch what they turn out to be. Those kept back are taken out of it: they count as accepted and are nothing.
    /// `judged` holds what earlier batches that are recorded together with this one made of theirs.
    pub(in crate::gateway) fn judge(&self, now: WallTime, batch: &mut Batch, judged: &mut Judged) {
        if !batch.guess_moves {
            return;
        }
        let mut kept_back: HashMap<PlayerKey, u32> = HashMap::new();
        let reports = batch.take();
        for (index, mut event) in reports {
            let key = self.key(&event);
            let known = judged.0.get(&key).copied().or_else(|| self.known(key));
            let (player, verdict) = Player::judge(known, &event, Stood::of(now, &event));
            judged.0.insert(key, player);
            match verdict {
                Verdict::Itself => batch.keep(index, event),
                Verdict::Begin => {
                    event.kind = EventKind::Play;
                    batch.keep(index, event);
                }
                Verdict::KeptBack => {
                    if let Some(index) = index {
                        kept_back.insert(key, index);
                        batch.stand_for(index, None);
                    }
                }
                Verdict::Jumped(back) => {
                    let seek = PlaybackEvent { kind: EventKind::Seek, position_ms: back.position_ms, at_ms: back.at_ms, ..event.clone() };
                    // Of the same batch, it is told its place after all.
                    let own = kept_back.remove(&key).inspect(|own| batch.forget_standing(*own));
                    batch.keep(own, seek);
                    batch.keep(index, event);
                }
            }
        }
    }

    /// Remembers what a batch made of its players, once it is recorded.
    pub(in crate::gateway) fn settle(&self, judged: Judged) {
        for (key, player) in judged.0 {
            self.shard(key).lock().unwrap_or_else(PoisonError::into_inner).insert(key, player);
        }
    }

    fn known(&self, key: PlayerKey) -> Option<Player> {
        self.shard(key).lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    fn shard(&self, key: PlayerKey) -> &Mutex<Cache<PlayerKey, Player>> {
        &self.shards[key.0 as usize % SHARDS_COUNT]
    }

    // Keyed and long enough that nobody finds two players with one hash, and so makes one viewer's report move another.
    fn key(&self, event: &PlaybackEvent) -> PlayerKey {
        let ids = (&event.profile_id, &event.title_id, &event.device_id);
        (self.keys.0.hash_one(ids), self.keys.1.hash_one(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One player that is told apart by nothing but its reports.
    struct Viewer {
        jumps: Jumps,
        now_s: u64,
    }

    impl Viewer {
        fn new() -> Self {
            Self { jumps: Jumps::default(), now_s: 1_790_000_000 }
        }

        fn report(&mut self, event: PlaybackEvent) -> Vec<(EventKind, u64)> {
            let mut batch = Batch { guess_moves: true, ..Batch::default() };
            batch.push(0, event);
            let mut judged = Judged::default();
            self.jumps.judge(WallTime::from_millis(self.now_s * 1_000), &mut batch, &mut judged);
            self.jumps.settle(judged);
            batch.events.iter().map(|event| (event.kind, event.position_ms / 1_000)).collect()
        }

        /// A heartbeat without a time, `after_s` after the one before.
        fn at(&mut self, after_s: u64, position_s: u64) -> Vec<(EventKind, u64)> {
            self.now_s += after_s;
            self.report(heartbeat(position_s, None))
        }

        fn watched(position_s: u64) -> Self {
            let mut viewer = Self::new();
            viewer.at(0, position_s - 20);
            viewer.at(10, position_s - 10);
            assert_eq!(viewer.at(10, position_s), [(HEARTBEAT, position_s)]);
            viewer
        }
    }

    fn heartbeat(position_s: u64, at_s: Option<u64>) -> PlaybackEvent {
        PlaybackEvent { at_ms: at_s.map(|at| at * 1_000), ..PlaybackEvent::new("p", "t", "d", HEARTBEAT, position_s * 1_000) }
    }

    const HEARTBEAT: EventKind = EventKind::Heartbeat;

    #[test]
    fn a_jump_back_that_the_next_report_confirms_is_a_seek() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(10, 30), []);
        assert_eq!(viewer.at(10, 40), [(EventKind::Seek, 30), (HEARTBEAT, 40)]);
        assert_eq!(viewer.at(10, 50), [(HEARTBEAT, 50)]);
    }

    #[test]
    fn a_single_stray_old_heartbeat_changes_nothing() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(1, 30), []);
        assert_eq!(viewer.at(9, 3_610), [(HEARTBEAT, 3_610)]);
        assert_eq!(viewer.at(1, 40), [], "another one later: it does not go on from the first, which is forgotten");
        assert_eq!(viewer.at(9, 3_620), [(HEARTBEAT, 3_620)]);
    }

    #[test]
    fn strays_that_arrive_together_do_not_confirm_each_other() {
        let mut viewer = Viewer::watched(3_600);
        for position in [100, 110, 120, 130] {
            assert_eq!(viewer.at(0, position), []);
        }
        assert_eq!(viewer.at(10, 3_610), [(HEARTBEAT, 3_610)]);
    }

    #[test]
    fn a_retry_of_a_stray_confirms_nothing() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(1, 30), []);
        assert_eq!(viewer.at(10, 30), []);
        assert_eq!(viewer.at(10, 3_620), [(HEARTBEAT, 3_620)]);
    }

    #[test]
    fn reports_that_say_they_are_late_are_late_and_no_jump() {
        let mut viewer = Viewer::new();
        for n in 0..=10 {
            viewer.report(heartbeat(3_000 + n * 10, Some(50_000 + n * 10)));
        }
        for n in 0..5 {
            assert_eq!(viewer.report(heartbeat(100 + n * 10, Some(1_000 + n * 10))), [(HEARTBEAT, 100 + n * 10)]);
        }
        assert_eq!(viewer.report(heartbeat(3_110, Some(50_110))), [(HEARTBEAT, 3_110)]);
    }

    #[test]
    fn a_batch_of_reports_is_judged_by_their_own_times() {
        let mut viewer = Viewer::watched(3_600);
        let mut batch = Batch { guess_moves: true, ..Batch::default() };
        for (index, (position, at)) in (0..).zip([(30, 1_000), (40, 1_010), (50, 1_020)]) {
            batch.push(index, heartbeat(position, Some(at)));
        }
        let mut judged = Judged::default();
        viewer.jumps.judge(WallTime::from_millis((viewer.now_s + 30) * 1_000), &mut batch, &mut judged);
        viewer.jumps.settle(judged);
        assert_eq!(batch.events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::Seek, HEARTBEAT, HEARTBEAT]);
        assert_eq!(batch.indices, [Some(0), Some(1), Some(2)]);
        viewer.now_s += 40;
        assert_eq!(viewer.report(heartbeat(60, Some(1_030))), [(HEARTBEAT, 60)]);
    }

    #[test]
    fn a_step_back_of_a_minute_is_no_jump_and_a_jump_ahead_needs_no_help() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(10, 3_540), [(HEARTBEAT, 3_540)]);
        assert_eq!(viewer.at(10, 7_000), [(HEARTBEAT, 7_000)]);
    }

    #[test]
    fn a_pause_after_the_jump_confirms_it_and_is_itself() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(10, 30), []);
        viewer.now_s += 3;
        let pause = PlaybackEvent::new("p", "t", "d", EventKind::Pause, 33_000);
        assert_eq!(viewer.report(pause), [(EventKind::Seek, 30), (EventKind::Pause, 33)]);
    }

    #[test]
    fn a_report_long_after_does_not_confirm() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(10, 30), []);
        assert_eq!(viewer.at(86_400, 900), [], "tomorrow: a jump of its own, perhaps");
        assert_eq!(viewer.at(10, 910), [(EventKind::Seek, 900), (HEARTBEAT, 910)]);
    }

    #[test]
    fn whoever_seeks_by_itself_is_taken_at_its_word() {
        let mut viewer = Viewer::watched(3_600);
        let seek = PlaybackEvent::new("p", "t", "d", EventKind::Seek, 30_000);
        assert_eq!(viewer.report(seek), [(EventKind::Seek, 30)]);
        assert_eq!(viewer.at(10, 40), [(HEARTBEAT, 40)]);
    }

    #[test]
    fn a_player_that_is_new_here_begins_when_it_is_seen_to_advance() {
        let mut viewer = Viewer::new();
        assert_eq!(viewer.at(0, 10), [(HEARTBEAT, 10)]);
        assert_eq!(viewer.at(10, 10), [(HEARTBEAT, 10)], "an idle screen has not begun");
        assert_eq!(viewer.at(10, 20), [(EventKind::Play, 20)]);
        assert_eq!(viewer.at(10, 30), [(HEARTBEAT, 30)]);
    }

    #[test]
    fn other_devices_titles_and_profiles_have_nothing_to_do_with_it() {
        let mut viewer = Viewer::watched(3_600);
        for (profile, title, device) in [("p", "t", "e"), ("p", "u", "d"), ("q", "t", "d")] {
            let other = PlaybackEvent::new(profile, title, device, HEARTBEAT, 30_000);
            assert_eq!(viewer.report(other), [(HEARTBEAT, 30)]);
        }
        assert_eq!(viewer.at(10, 3_610), [(HEARTBEAT, 3_610)]);
    }

    #[test]
    fn nothing_is_decided_by_a_batch_that_was_not_recorded() {
        let mut viewer = Viewer::watched(3_600);
        assert_eq!(viewer.at(10, 30), []);
        for _ in 0..2 {
            let mut batch = Batch { guess_moves: true, ..Batch::default() };
            batch.push(0, heartbeat(40, None));
            viewer.jumps.judge(WallTime::from_millis((viewer.now_s + 10) * 1_000), &mut batch, &mut Judged::default());
            assert_eq!(batch.events.len(), 2, "as often as it is tried");
        }
        assert_eq!(viewer.at(10, 40), [(EventKind::Seek, 30), (HEARTBEAT, 40)]);
    }

    #[test]
    fn memory_is_bounded() {
        let jumps = Jumps::default();
        for n in 0..DIALECT_PLAYERS_COUNT_MAX * 2 {
            let mut batch = Batch { guess_moves: true, ..Batch::default() };
            batch.push(0, PlaybackEvent::new(format!("p{n}"), "t", "d", HEARTBEAT, 0));
            let mut judged = Judged::default();
            jumps.judge(WallTime::from_millis(1), &mut batch, &mut judged);
            jumps.settle(judged);
        }
        let held: usize = jumps.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(held <= DIALECT_PLAYERS_COUNT_MAX, "{held}");
    }
}
