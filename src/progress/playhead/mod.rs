//! The playhead: one device in one title, turning its reports into deltas.
//!
//! Every playhead belongs to one place, the one it started from or the one its last deliberate move opened, and its reports count there and
//! nowhere else. That is the whole defence against positions that jump back: a device that is behind reports into its own, older place.
//!
//! Pure: the caller supplies the event's time, the node's next stamp, and a view of the register when one is wanted. A stale view is allowed;
//! deltas are joined blind.

mod recent;
mod trail;
mod view;

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use self::recent::Recent;
use self::trail::{Left, Trail};
pub use self::view::View;
use super::{Activity, Event, EventKind, KnownDuration, KnownSeries, Place, Places, PlaybackState, Position, Progress, Speed, Version};
use crate::time::{Hlc, WallTime};

/// A jump by more than this is a deliberate move; by at most this, a step.
const STEP_MS: u64 = 60_000;
/// Watching for this long where nobody else watches takes over.
const TAKE_OVER_MS: i64 = 10 * 60_000;
/// Reports further apart than this are not one stretch of watching.
const GAP_MS: i64 = 60_000;
/// How long a view serves a playhead in an older place.
const VIEW_MS: i64 = 60_000;
/// Events younger than this are live: stamped by the node's clock.
const LIVE_MS: i64 = 60_000;

/// What became of one report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What to store and to pass on; nothing for a repeat.
    pub delta: Option<Progress>,
    /// The place that the report counted in.
    pub version: Version,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    position: Position,
    at: WallTime,
    stamp: Hlc,
    state: PlaybackState,
    rank: u8,
    speed: Speed,
}

/// When a report happened, in the three ways in which that matters.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: WallTime,
    // `hlc(at)`: what a place opened by the report is versioned by, and the bound on the places that existed by then.
    hlc: Hlc,
    // The same, but above the stamp of the playhead's previous report: what the report's delta is stamped with.
    stamp: Hlc,
}

/// The state machine of one device in one title.
#[derive(Clone, Debug)]
pub struct Playhead {
    epoch: Hlc,
    version: Version,
    // The furthest position known in its own place: from the last view, and from its own reports.
    reached: Position,
    // Whether its own reports played the title to its end there.
    ended: bool,
    last: Option<Last>,
    stepped_back: bool,
    rewatch_from: Option<Position>,
    playing_since: Option<WallTime>,
    newest: Version,
    newest_touched: Hlc,
    viewed_at: WallTime,
    started: WallTime,
    trail: Trail,
    recent: Recent,
}

impl Playhead {
    /// Starts where the first report of a device belongs: only places that were there at the event's time count.
    ///
    /// The place within 60 s whose position is nearest; else the newest, if the report is up to 10 min ahead of it; else the highest below the
    /// report; else the oldest. So a device that opens a title where it was last week counts where it was last week, and lowers nothing.
    pub fn start(event: &Event, at: WallTime, live: Option<Hlc>, view: &View) -> Self {
        let place = view.start_place(event.position, live.unwrap_or_else(|| derived_stamp(event, at)));
        let mut playhead = Self { reached: place.position, ..Self::start_placed(view.epoch, place.version, at) };
        playhead.look(at, view);
        playhead
    }

    /// Starts in the place that the client itself names.
    pub fn start_placed(epoch: Hlc, version: Version, at: WallTime) -> Self {
        Self {
            epoch,
            version,
            reached: Position::ZERO,
            ended: false,
            last: None,
            stepped_back: false,
            rewatch_from: None,
            playing_since: None,
            newest: version,
            newest_touched: Hlc::ZERO,
            viewed_at: at,
            started: at,
            trail: Trail::default(),
            recent: Recent::default(),
        }
    }

    /// Whether the report should come with a fresh view: at `PLAY` and `SEEK`, once a minute while in an older place, before a take-over (so
    /// that a view of a minute ago never undoes a move), and for a report from before the playhead's start that its place is too young for.
    pub fn wants_view(&self, event: &Event, at: WallTime) -> bool {
        event.placed.is_none()
            && (matches!(event.kind, EventKind::Play | EventKind::Seek)
                || (self.newest > self.version && (at.millis_since(self.viewed_at) >= VIEW_MS || self.takes_over(event, at)))
                || self.precedes_place(at, Hlc::from_wall(at)))
    }

    /// Tells the playhead that a newer place was opened elsewhere, so that it asks for a view with its next report.
    pub fn notice(&mut self, newest: Version) {
        if newest > self.newest {
            self.newest = newest;
            self.viewed_at = WallTime::ZERO;
        }
    }

    /// The place it is in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where its last report stood, if it has reported.
    pub fn last_position(&self) -> Option<Position> {
        self.last.map(|last| last.position)
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.recent.bytes() + self.trail.bytes()
    }

    /// The same playhead by a clock that is `offset_ms` ahead of its own; versions that `own` says its device made move too. Its last stamp does
    /// not move beyond `latest`: it may have been made before its device's clock went wrong.
    pub fn restamp(&mut self, offset_ms: i64, latest: Hlc, own: impl Fn(Version) -> bool) {
        let room_ms = self.last.as_ref().map_or(offset_ms, |last| latest.wall().millis_since(last.stamp.wall()));
        let offset_ms = offset_ms.min(room_ms);
        let moved = |version: Version| if own(version) { Version::from_u64(version.as_hlc().shifted(offset_ms).as_u64()) } else { version };
        self.version = moved(self.version);
        self.newest = moved(self.newest);
        if let Some(last) = &mut self.last {
            last.at = last.at.shifted(offset_ms);
            last.stamp = last.stamp.shifted(offset_ms);
        }
        self.playing_since = self.playing_since.map(|since| since.shifted(offset_ms));
        self.viewed_at = self.viewed_at.shifted(offset_ms);
        self.started = self.started.shifted(offset_ms);
        self.trail.restamp(offset_ms, moved);
    }

    /// Takes a report and says what it changes.
    ///
    /// `at` is the event's time by the node's clock; `live` is the node's next stamp if the event is live ([`Playhead::is_live`]); `view` is
    /// wanted when [`wants_view`](Self::wants_view) says so. Never fails: what cannot count is a repeat.
    pub fn report(&mut self, event: &Event, at: WallTime, live: Option<Hlc>, view: Option<&View>) -> Report {
        if let Some(view) = view {
            self.see(event, at, live, view);
        }
        if self.recent.repeats(event) {
            return self.nothing(at);
        }
        let in_order = self.last.is_none_or(|last| at >= last.at);
        // A report that comes late is dated by its own time even if it is live: the node's next stamp would let it overtake what follows it.
        let hlc = live.filter(|_| in_order).unwrap_or_else(|| derived_stamp(event, at));
        let stamp = self.last.filter(|_| in_order).map_or(hlc, |last| hlc.max(last.stamp.next()));
        let moment = Moment { at, hlc, stamp };
        match (event.placed, in_order) {
            (Some((version, stepped_back)), _) => self.report_placed(event, moment, in_order, version, stepped_back),
            (None, true) => self.report_in_order(event, moment, view),
            (None, false) => self.report_late(event, moment, view),
        }
    }

    /// Whether an event is live: younger than 60 s.
    pub fn is_live(now: WallTime, at: WallTime) -> bool {
        now.millis_since(at) < LIVE_MS
    }

    fn see(&mut self, event: &Event, at: WallTime, live: Option<Hlc>, view: &View) {
        if view.epoch > self.epoch {
            // The profile was erased since: the place belongs to what is gone, and everything remembered of it.
            *self = match event.placed {
                Some((version, _)) => Self::start_placed(view.epoch, version, at),
                None => Self::start(event, at, live, view),
            };
        }
        self.look(at, view);
    }

    fn look(&mut self, at: WallTime, view: &View) {
        self.epoch = self.epoch.max(view.epoch);
        let newest = view.places.newest().copied().unwrap_or_default();
        self.newest = newest.version;
        self.newest_touched = newest.touched;
        self.viewed_at = at;
        if let Some(own) = view.places.find(self.version) {
            self.reached = self.reached.max(own.position);
        }
    }

    fn nothing(&self, at: WallTime) -> Report {
        Report { delta: None, version: self.version_at(at) }
    }

    fn version_at(&self, at: WallTime) -> Version {
        self.trail.at(at).map_or(self.version, |left| left.version)
    }

    // Whether a late report happened before this playhead's first one, and before the place that it would count in was opened.
    fn precedes_place(&self, at: WallTime, hlc: Hlc) -> bool {
        at < self.started && self.version_at(at).as_hlc() > hlc
    }

    fn report_in_order(&mut self, event: &Event, moment: Moment, view: Option<&View>) -> Report {
        let Moment { at, stamp, .. } = moment;
        #[cfg(leftoff_planted)]
        if event.kind == EventKind::Heartbeat && crate::planted::is_on(crate::planted::Planted::HeartbeatInNewestPlace) {
            self.version = self.newest;
        }
        if self.is_idle(event) {
            if self.last.is_none() {
                self.remember(event, at, stamp, event.kind.state_after().rank());
            }
            return self.nothing(at);
        }
        if event.kind == EventKind::Play && !event.restart {
            self.play(event, moment, view);
        }
        if self.is_move(event, at) || self.takes_over(event, at) {
            self.open(at, self.version.opened_at(moment.hlc), event.position);
        } else {
            self.step(event);
        }
        let rank = self.rank(event, stamp);
        self.note_playing(event, at);
        self.remember(event, at, stamp, rank);
        self.reached = self.reached.max(event.position);
        self.ended |= event.kind == EventKind::End;
        if event.position >= self.reached {
            self.stepped_back = false;
        }
        if event.kind == EventKind::Stop {
            // Closed before it went on: a failed start.
            self.rewatch_from = None;
        }
        self.counted(event, stamp, self.version, rank, self.stepped_back)
    }

    // A report that does not advance is no activity: an idle screen says where it stands, again and again. That holds for a heartbeat after
    // a pause too: players go on sending them while they stand still, and the first one must not turn "paused" into "playing".
    fn is_idle(&self, event: &Event) -> bool {
        let standing = match event.kind {
            EventKind::Heartbeat => true,
            EventKind::Pause | EventKind::Stop => self.last.is_none_or(|last| last.state == event.kind.state_after()),
            EventKind::Play | EventKind::Seek | EventKind::End => false,
        };
        match self.last {
            Some(last) => standing && last.position == event.position,
            None => standing && event.position <= self.reached,
        }
    }

    // `PLAY` is where a player is opened. One that is opened far from where it stood, near another place, belongs to that place from here on;
    // otherwise a screen that resumes where another device left off would go on counting in the place it had before.
    fn play(&mut self, event: &Event, moment: Moment, view: Option<&View>) {
        // Players say `PLAY` again after buffering.
        let begun = self.rewatch_from.take();
        let Some(view) = view else { return };
        // What the playhead itself has reported may not be in the view yet: a queue of an evening offline arrives in one batch.
        let view = match self.last {
            Some(last) => {
                let own = Place { version: self.version, position: self.reached, touched: last.stamp, ended: self.ended };
                &view.joined(own, event.duration_ms)
            }
            None => view,
        };
        if let Some(last) = self.last
            && last.position.as_millis().abs_diff(event.position.as_millis()) > STEP_MS
            && let Some(place) = view.resumed_place(event.position, moment.hlc)
            && place.version != self.version
        {
            self.enter(moment.at, place.version, place.position);
        }
        if view.begins_again(event.position, moment.hlc) {
            self.rewatch_from = Some(begun.map_or(event.position, |from| from.min(event.position)));
        }
    }

    fn is_move(&self, event: &Event, at: WallTime) -> bool {
        match event.kind {
            EventKind::Play if event.restart => true,
            EventKind::Seek if self.is_jump(event.position, at) => true,
            _ => self.rewatch_from.is_some_and(|from| event.position > from),
        }
    }

    #[expect(clippy::cast_sign_loss, reason = "both factors are checked to be positive")]
    fn is_jump(&self, to: Position, at: WallTime) -> bool {
        let (from, played_ms) = match self.last {
            Some(last) if last.state == PlaybackState::Playing => {
                let elapsed_ms = at.millis_since(last.at).max(0) as f64;
                (last.position, (elapsed_ms * f64::from(last.speed.as_f32())) as u64)
            }
            Some(last) => (last.position, 0),
            None => (self.reached, 0),
        };
        let (from, to) = (from.as_millis(), to.as_millis());
        to.saturating_add(STEP_MS) < from || to > from.saturating_add(played_ms).saturating_add(STEP_MS)
    }

    fn takes_over(&self, event: &Event, at: WallTime) -> bool {
        event.kind.state_after() == PlaybackState::Playing
            && self.newest > self.version
            && self.still_playing(at).is_some_and(|since| at.millis_since(since) >= TAKE_OVER_MS)
            && at.millis_since(self.newest_touched.wall()) >= TAKE_OVER_MS
    }

    fn still_playing(&self, at: WallTime) -> Option<WallTime> {
        let last = self.last.filter(|last| last.state == PlaybackState::Playing && at.millis_since(last.at) <= GAP_MS)?;
        self.playing_since.or(Some(last.at))
    }

    fn note_playing(&mut self, event: &Event, at: WallTime) {
        let playing = event.kind.state_after() == PlaybackState::Playing;
        self.playing_since = playing.then(|| self.still_playing(at).unwrap_or(at));
    }

    fn step(&mut self, event: &Event) {
        if event.kind == EventKind::Seek {
            let from = self.last.map_or(self.reached, |last| last.position);
            self.stepped_back |= event.position < from;
        }
    }

    // Leaves the present place for a new one.
    fn open(&mut self, at: WallTime, version: Version, position: Position) {
        self.enter(at, version, position);
        self.newest = self.newest.max(version);
    }

    fn enter(&mut self, at: WallTime, version: Version, reached: Position) {
        let position = self.last.map_or(self.reached, |last| last.position);
        self.trail.leave(Left { until: at, version: self.version, position });
        self.version = version;
        self.reached = reached;
        self.ended = false;
        self.stepped_back = false;
        self.rewatch_from = None;
        self.playing_since = None;
    }

    fn rank(&self, event: &Event, stamp: Hlc) -> u8 {
        let rank = event.kind.state_after().rank();
        match self.last {
            Some(last) if last.stamp.window() == stamp.window() => rank.max(last.rank),
            _ => rank,
        }
    }

    fn remember(&mut self, event: &Event, at: WallTime, stamp: Hlc, rank: u8) {
        self.last = Some(Last { position: event.position, at, stamp, state: event.kind.state_after(), rank, speed: event.speed });
    }

    // A report from before the last one: it counts in the place the playhead had at that time, and a late move descends from there.
    fn report_late(&mut self, event: &Event, moment: Moment, view: Option<&View>) -> Report {
        let Moment { at, hlc, stamp } = moment;
        let left = self.trail.at(at);
        let (mut own, mut from) = left.map_or((self.version, self.reached), |left| (left.version, left.position));
        let precedes = self.precedes_place(at, hlc);
        if precedes {
            // Nobody was in that place yet, so it is placed like the first report of a device (rule 1).
            let place = view.map_or_else(Place::default, |view| view.start_place(event.position, hlc));
            (own, from) = (place.version, place.position);
        }
        let jumped = event.kind == EventKind::Seek && from.as_millis().abs_diff(event.position.as_millis()) > STEP_MS;
        let mut version = own;
        if jumped || (event.kind == EventKind::Play && event.restart) {
            version = own.opened_at(hlc);
            let now_left = Left { until: at, version: own, position: from };
            if precedes {
                self.trail.leave(now_left);
                self.trail.leave(Left { until: self.started, version, position: event.position });
            } else if left.is_some() {
                self.trail.leave_late(now_left, version, event.position);
            } else {
                self.trail.leave(now_left);
                self.version = version;
                self.reached = event.position;
                (self.ended, self.stepped_back) = (false, false);
            }
        } else if left.is_none() && !precedes {
            self.reached = self.reached.max(event.position);
            self.ended |= event.kind == EventKind::End;
        }
        self.counted_late(event, stamp, version, false)
    }

    // A device's own later report beats its earlier one. Inside one window a late pause would win over the heartbeat that followed it, by its
    // rank; so it is no activity at all, and counts only for its place.
    fn counted_late(&self, event: &Event, stamp: Hlc, version: Version, stepped_back: bool) -> Report {
        let rank = event.kind.state_after().rank();
        let mut report = self.counted(event, stamp, version, rank, stepped_back);
        let outranks = |last: Last| last.stamp.window() == stamp.window() && rank > last.rank;
        if self.last.is_some_and(outranks)
            && let Some(delta) = &mut report.delta
        {
            delta.activity = None;
        }
        report
    }

    fn report_placed(&mut self, event: &Event, moment: Moment, in_order: bool, version: Version, stepped_back: bool) -> Report {
        let Moment { at, stamp, .. } = moment;
        if !in_order {
            return self.counted_late(event, stamp, version, stepped_back);
        }
        if version == self.version && self.last.is_some() && self.is_idle(event) {
            return self.nothing(at);
        }
        if version != self.version {
            self.open(at, version, event.position);
        }
        let rank = self.rank(event, stamp);
        self.stepped_back = stepped_back;
        self.note_playing(event, at);
        self.remember(event, at, stamp, rank);
        self.reached = self.reached.max(event.position);
        self.ended |= event.kind == EventKind::End;
        self.counted(event, stamp, version, rank, stepped_back)
    }

    fn counted(&self, event: &Event, stamp: Hlc, version: Version, rank: u8, stepped_back: bool) -> Report {
        let state = event.kind.state_after();
        let place = Place { version, position: event.position, touched: stamp, ended: state == PlaybackState::Ended };
        let delta = Progress {
            epoch: self.epoch,
            places: Places::single(place),
            furthest: event.position,
            activity: Some(Activity {
                stamp,
                rank,
                device: event.device.clone(),
                state,
                version,
                position: event.position,
                speed: event.speed,
                stepped_back,
            }),
            duration: event.duration_ms.map(|ms| KnownDuration { stamp, ms }),
            series: event.series.clone().map(|id| KnownSeries { stamp, id }),
            hidden: Hlc::ZERO,
        };
        Report { delta: Some(delta), version }
    }
}

/// The stamp of an event that is not live: its own time, and ten bits of a hash of device and event, so that every node derives the same.
pub(crate) fn derived_stamp(event: &Event, at: WallTime) -> Hlc {
    // Keyed with zeros: a constant of the protocol, not a secret.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for part in [event.device.as_str(), event.title.as_str()] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.write(&[event.kind as u8]);
    hasher.write(&event.position.as_millis().to_le_bytes());
    Hlc::from_wall_with_low_bits(at, hasher.finish())
}
