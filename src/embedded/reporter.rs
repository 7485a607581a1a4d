//! The reporter: raw player callbacks in, events out, at the right moments and no more.
//!
//! A heartbeat every ten seconds, every two in the last minute of a title; a pause, the end of a seek and a stop at once; a scrub when it has
//! rested for 300 ms; nothing while nothing advances. It reads no clock and starts no thread: the time comes in with each call, the next
//! moment it wants to be called at comes out of [`PlaybackReporter::poll_timeout`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::progress::{DeviceId, EventKind, PlaybackEvent, ProfileId, SeriesId, SessionId, TitleId};
use crate::time::{MonotonicTime, WallTime};

/// Events that are ready but not taken; the oldest heartbeats go first when an app never takes them.
const READY_COUNT_MAX: usize = 1_000;

/// Two readings of one moment: intervals are measured by the first, events are dated by the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// A clock that never goes back.
    pub monotonic: MonotonicTime,
    /// The wall clock.
    pub wall: WallTime,
}

/// What is being played, and how often to say so.
#[derive(Clone, Debug)]
pub struct ReporterConfig {
    /// Whose progress.
    pub profile: ProfileId,
    /// In which title.
    pub title: TitleId,
    /// On which device.
    pub device: DeviceId,
    /// The show, if the title is an episode.
    pub series: Option<SeriesId>,
    /// The run of the player.
    pub session: Option<SessionId>,
    /// Length of the title, in milliseconds, if it is known.
    pub duration_ms: Option<u64>,
    /// Between heartbeats. Default 10 s.
    pub heartbeat: Duration,
    /// Between heartbeats near the end. Default 2 s.
    pub heartbeat_near_end: Duration,
    /// How near the end is near. Default 60 s.
    pub near_end: Duration,
    /// How long a scrub must rest before it is reported. Default 300 ms.
    pub debounce: Duration,
    /// Heartbeats sent together: 1, or 3 to save energy while the app is in the foreground. Anything but a heartbeat sends them at once.
    pub heartbeats_per_batch: usize,
}

impl ReporterConfig {
    /// The usual cadence.
    pub fn new(profile: ProfileId, title: TitleId, device: DeviceId) -> Self {
        Self {
            profile,
            title,
            device,
            series: None,
            session: None,
            duration_ms: None,
            heartbeat: Duration::from_secs(10),
            heartbeat_near_end: Duration::from_secs(2),
            near_end: Duration::from_mins(1),
            debounce: Duration::from_millis(300),
            heartbeats_per_batch: 1,
        }
    }

    /// Three heartbeats in one batch.
    #[must_use]
    pub fn saving_energy(mut self) -> Self {
        self.heartbeats_per_batch = 3;
        self
    }
}

/// Turns one player's callbacks into events.
///
/// ```
/// use std::time::Duration;
/// use leftoff::embedded::{Now, PlaybackReporter, ReporterConfig};
/// use leftoff::progress::{DeviceId, ProfileId, TitleId};
/// use leftoff::time::{MonotonicTime, WallTime};
///
/// let config = ReporterConfig::new(ProfileId::new("p1")?, TitleId::new("film")?, DeviceId::new("tv")?);
/// let mut reporter = PlaybackReporter::new(config);
/// let at = |s: u64| Now {
///     monotonic: MonotonicTime::from_start(Duration::from_secs(s)),
///     wall: WallTime::from_millis(1_790_000_000_000 + s * 1_000),
/// };
/// reporter.play(at(0), 0, false);
/// for second in 1..=60 {
///     reporter.time_update(at(second), second * 1_000);
/// }
/// reporter.pause(at(61), 61_000);
/// let kinds: Vec<_> = reporter.take_events().into_iter().map(|event| event.kind).collect();
/// assert_eq!(kinds.len(), 1 + 6 + 1, "the play, a heartbeat every ten seconds, the pause");
/// # Ok::<(), leftoff::progress::IdError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlaybackReporter {
    config: ReporterConfig,
    playing: bool,
    speed: f32,
    position_ms: u64,
    // When something was last reported, and where it stood.
    reported: Option<(MonotonicTime, u64)>,
    scrub: Option<(MonotonicTime, Now)>,
    held: Vec<PlaybackEvent>,
    ready: VecDeque<PlaybackEvent>,
}

impl PlaybackReporter {
    /// A reporter for one run of a player in one title.
    pub fn new(config: ReporterConfig) -> Self {
        Self { config, playing: false, speed: 1.0, position_ms: 0, reported: None, scrub: None, held: Vec::new(), ready: VecDeque::new() }
    }

    /// The player knows how long the title is.
    pub fn set_duration(&mut self, duration_ms: u64) {
        self.config.duration_ms = Some(duration_ms).filter(|ms| *ms > 0);
    }

    /// The playback rate changed; from the next event on.
    pub fn set_speed(&mut self, speed: f32) {
        self.speed = speed;
    }

    /// Playback began or went on; `restart`: the viewer chose to start from the beginning.
    pub fn play(&mut self, now: Now, position_ms: u64, restart: bool) {
        self.settle(now);
        self.playing = true;
        let mut event = self.event(EventKind::Play, now, position_ms);
        event.restart = restart;
        self.emit(now, event);
    }

    /// The player says where it is, as often as it likes.
    pub fn time_update(&mut self, now: Now, position_ms: u64) {
        self.position_ms = position_ms;
        self.handle_timeout(now);
    }

    /// Playback was paused.
    pub fn pause(&mut self, now: Now, position_ms: u64) {
        self.settle(now);
        self.playing = false;
        self.emit_kind(EventKind::Pause, now, position_ms);
    }

    /// The viewer is scrubbing: reported when it has rested for the debounce time.
    pub fn scrub(&mut self, now: Now, position_ms: u64) {
        self.position_ms = position_ms;
        self.scrub = Some((now.monotonic + self.config.debounce, now));
    }

    /// A seek has ended: reported at once.
    pub fn seek_end(&mut self, now: Now, position_ms: u64) {
        self.scrub = None;
        self.emit_kind(EventKind::Seek, now, position_ms);
    }

    /// The title was closed, or the app is going.
    pub fn stop(&mut self, now: Now, position_ms: u64) {
        self.settle(now);
        self.playing = false;
        self.emit_kind(EventKind::Stop, now, position_ms);
    }

    /// The title was played to its end.
    pub fn ended(&mut self, now: Now, position_ms: u64) {
        self.settle(now);
        self.playing = false;
        self.emit_kind(EventKind::End, now, position_ms);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens before; none while standing still, be it that playback
    /// stalls: [`time_update`](Self::time_update) says that it goes on, and does what is due by then.
    pub fn poll_timeout(&self) -> Option<MonotonicTime> {
        let advances = |(_, reported_ms): &(MonotonicTime, u64)| self.playing && self.scrub.is_none() && *reported_ms != self.position_ms;
        let heartbeat = self.reported.filter(advances).map(|(at, _)| at + self.interval());
        let scrub = self.scrub.map(|(due, _)| due);
        scrub.or(heartbeat)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.scrub.is_some_and(|(due, _)| now.monotonic >= due) {
            self.settle(now);
        }
        let due = self.reported.is_none_or(|(at, _)| now.monotonic.saturating_since(at) >= self.interval());
        let advanced = self.reported.is_none_or(|(_, position_ms)| position_ms != self.position_ms);
        if self.playing && due && advanced && self.scrub.is_none() {
            self.emit_kind(EventKind::Heartbeat, now, self.position_ms);
        }
    }

    /// The events that are ready, oldest first; often none.
    pub fn take_events(&mut self) -> Vec<PlaybackEvent> {
        self.ready.drain(..).collect()
    }

    // A scrub that was resting is reported before whatever follows it.
    fn settle(&mut self, now: Now) {
        if self.scrub.take().is_some() {
            self.emit_kind(EventKind::Seek, now, self.position_ms);
        }
    }

    fn interval(&self) -> Duration {
        let left_ms = self.config.duration_ms.map(|ms| ms.saturating_sub(self.position_ms));
        let near = left_ms.is_some_and(|ms| Duration::from_millis(ms) <= self.config.near_end);
        if near { self.config.heartbeat_near_end } else { self.config.heartbeat }
    }

    fn event(&self, kind: EventKind, now: Now, position_ms: u64) -> PlaybackEvent {
        let config = &self.config;
        let mut event = PlaybackEvent::new(config.profile.as_str(), config.title.as_str(), config.device.as_str(), kind, position_ms);
        event.series_id = config.series.as_ref().map(ToString::to_string);
        event.session_id = config.session.as_ref().map(ToString::to_string);
        event.duration_ms = config.duration_ms;
        event.speed = Some(self.speed).filter(|speed| (speed - 1.0).abs() > f32::EPSILON);
        event.at_ms = Some(now.wall.as_millis());
        event
    }

    fn emit_kind(&mut self, kind: EventKind, now: Now, position_ms: u64) {
        let event = self.event(kind, now, position_ms);
        self.emit(now, event);
    }

    fn emit(&mut self, now: Now, event: PlaybackEvent) {
        self.position_ms = event.position_ms;
        self.reported = Some((now.monotonic, event.position_ms));
        let waits = event.kind == EventKind::Heartbeat;
        self.held.push(event);
        if waits && self.held.len() < self.config.heartbeats_per_batch {
            return;
        }
        self.ready.extend(self.held.drain(..));
        while self.ready.len() > READY_COUNT_MAX {
            let oldest = self.ready.iter().position(|event| event.kind == EventKind::Heartbeat).unwrap_or(0);
            self.ready.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { monotonic: MonotonicTime::from_start(Duration::from_millis(ms)), wall: WallTime::from_millis(1_790_000_000_000 + ms) }
    }

    fn config() -> ReporterConfig {
        ReporterConfig::new(ProfileId::new("p").unwrap(), TitleId::new("t").unwrap(), DeviceId::new("d").unwrap())
    }

    fn kinds(reporter: &mut PlaybackReporter) -> Vec<(EventKind, u64)> {
        reporter.take_events().into_iter().map(|event| (event.kind, event.position_ms)).collect()
    }

    #[test]
    fn a_heartbeat_every_ten_seconds_and_every_two_in_the_last_minute() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.set_duration(120_000);
        reporter.play(at(0), 0, false);
        for ms in (250..=120_000).step_by(250) {
            reporter.time_update(at(ms), ms);
        }
        let heartbeats = kinds(&mut reporter).into_iter().filter(|(kind, _)| *kind == EventKind::Heartbeat).count();
        assert_eq!(heartbeats, 6 + 30);
    }

    #[test]
    fn pause_seek_end_and_stop_go_at_once() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.play(at(0), 5_000, false);
        reporter.pause(at(1_000), 6_000);
        reporter.seek_end(at(1_100), 90_000);
        reporter.stop(at(1_200), 90_000);
        let expected = [(EventKind::Play, 5_000), (EventKind::Pause, 6_000), (EventKind::Seek, 90_000), (EventKind::Stop, 90_000)];
        assert_eq!(kinds(&mut reporter), expected);
    }

    #[test]
    fn a_scrub_is_reported_once_when_it_rests() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.play(at(0), 0, false);
        reporter.take_events();
        for step in 1..=20 {
            reporter.scrub(at(1_000 + step * 50), step * 30_000);
            reporter.handle_timeout(at(1_000 + step * 50));
        }
        assert_eq!(kinds(&mut reporter), []);
        let due = reporter.poll_timeout().unwrap();
        assert_eq!(due, at(2_300).monotonic);
        reporter.handle_timeout(at(2_299));
        assert_eq!(kinds(&mut reporter), []);
        reporter.handle_timeout(at(2_300));
        assert_eq!(kinds(&mut reporter), [(EventKind::Seek, 600_000)]);
    }

    #[test]
    fn a_scrub_cut_short_by_a_pause_is_reported_before_it() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.play(at(0), 0, false);
        reporter.take_events();
        reporter.scrub(at(100), 50_000);
        reporter.pause(at(150), 50_000);
        assert_eq!(kinds(&mut reporter), [(EventKind::Seek, 50_000), (EventKind::Pause, 50_000)]);
    }

    #[test]
    fn a_player_that_stands_still_says_nothing() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.play(at(0), 7_000, false);
        reporter.take_events();
        for second in 1..600 {
            reporter.time_update(at(second * 1_000), 7_000);
            assert_eq!(reporter.poll_timeout(), None, "an app that waits for it does not spin");
        }
        assert_eq!(kinds(&mut reporter), [], "stalled while playing");
        reporter.time_update(at(599_500), 7_500);
        assert_eq!(kinds(&mut reporter), [(EventKind::Heartbeat, 7_500)], "overdue, it is said as soon as it advances");
        reporter.time_update(at(600_000), 8_000);
        assert_eq!(reporter.poll_timeout(), Some(at(609_500).monotonic));
        reporter.pause(at(600_000), 8_000);
        reporter.take_events();
        assert_eq!(reporter.poll_timeout(), None, "paused");
    }

    #[test]
    fn three_heartbeats_go_in_one_batch_to_save_energy_and_a_pause_takes_them_along() {
        let mut reporter = PlaybackReporter::new(config().saving_energy());
        reporter.play(at(0), 0, false);
        assert_eq!(kinds(&mut reporter).len(), 1);
        let mut batches = Vec::new();
        for second in 1..=65 {
            reporter.time_update(at(second * 1_000), second * 1_000);
            batches.extend(Some(kinds(&mut reporter).len()).filter(|count| *count > 0));
        }
        assert_eq!(batches, [3, 3]);
        reporter.time_update(at(70_000), 70_000);
        reporter.pause(at(72_000), 72_000);
        assert_eq!(kinds(&mut reporter), [(EventKind::Heartbeat, 70_000), (EventKind::Pause, 72_000)]);
    }

    #[test]
    fn events_nobody_takes_are_bounded_and_moves_outlive_heartbeats() {
        let mut reporter = PlaybackReporter::new(config());
        reporter.play(at(0), 0, true);
        for n in 1..2_000 {
            reporter.time_update(at(n * 10_000), n * 10_000);
        }
        let events = reporter.take_events();
        assert_eq!(events.len(), READY_COUNT_MAX);
        assert!(events[0].restart);
    }
}
