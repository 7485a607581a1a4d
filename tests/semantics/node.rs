//! A node as small as it can be: registers of one profile, playheads, a clock that the test moves.

use std::collections::BTreeMap;

use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{
    DeviceId, DeviceOffset, Event, EventKind, PlaybackEvent, Playhead, Policy, Profile, ProfileId, Progress, Refusal, Report, ResumePoint,
    TitleId, Version, View, event_time,
};
use leftoff::time::{Hlc, HybridClock, WallTime};

/// When every story begins: some evening in 2026.
pub(crate) const EVENING: WallTime = WallTime::from_millis(1_790_000_000_000);

/// What travels between nodes.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub(crate) enum Change {
    Delta(TitleId, Progress),
    Erased(Hlc),
}

/// One node, with the registers of one profile.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) now: WallTime,
    pub(crate) clock: HybridClock,
    pub(crate) registers: BTreeMap<TitleId, Progress>,
    pub(crate) erased: Hlc,
    /// Views show what was known before the batch, as where only durable state is read.
    pub(crate) views_lag: bool,
    /// Every change that was made here, in order.
    pub(crate) made: Vec<Change>,
    playheads: BTreeMap<(DeviceId, TitleId), Playhead>,
    offsets: BTreeMap<DeviceId, DeviceOffset>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            now: EVENING,
            clock: HybridClock::default(),
            registers: BTreeMap::new(),
            erased: Hlc::ZERO,
            views_lag: false,
            made: Vec::new(),
            playheads: BTreeMap::new(),
            offsets: BTreeMap::new(),
        }
    }

    /// Records a batch as a node does: checks, dates and places each event, joins what comes of it.
    pub(crate) fn record(&mut self, sent_at_ms: Option<u64>, events: &[PlaybackEvent]) -> Vec<Result<Report, Refusal>> {
        let checked: Vec<_> = events.iter().map(|raw| Event::check(self.now, CLOCK_DRIFT_MS_MAX, raw)).collect();
        if sent_at_ms.is_none() {
            for event in checked.iter().flatten() {
                if let Some(at) = event.at {
                    self.offsets.entry(event.device.clone()).or_default().observe(self.now, at);
                }
            }
        }
        let before = self.views_lag.then(|| self.registers.clone());
        checked.into_iter().map(|event| event.map(|event| self.record_one(sent_at_ms, &event, before.as_ref()))).collect()
    }

    fn record_one(&mut self, sent_at_ms: Option<u64>, event: &Event, shown: Option<&BTreeMap<TitleId, Progress>>) -> Report {
        let now = self.now;
        let offset_ms = match sent_at_ms {
            Some(sent_at_ms) => now.millis_since(WallTime::from_millis(sent_at_ms)),
            None => self.offsets.entry(event.device.clone()).or_default().offset_ms(now).unwrap_or(0),
        };
        let at = event_time(now, event.at, offset_ms);
        let erased_version = event.placed.is_some_and(|(version, _)| version != Version::FIRST && version.as_hlc() <= self.erased);
        if self.erased > Hlc::ZERO && ((event.at.is_some() && at <= self.erased.wall()) || erased_version) {
            return Report { delta: None, version: Version::FIRST };
        }
        let live = Playhead::is_live(now, at).then(|| self.clock.tick(now));
        let register = shown.unwrap_or(&self.registers).get(&event.title);
        let view = || View::of(register, self.erased);
        let playhead = self.playheads.entry((event.device.clone(), event.title.clone())).or_insert_with(|| match event.placed {
            Some((version, _)) => Playhead::start_placed(view().epoch, version, at),
            None => Playhead::start(event, at, live, &view()),
        });
        let shown = playhead.wants_view(event, at).then(view);
        let report = playhead.report(event, at, live, shown.as_ref());
        if let Some(delta) = &report.delta {
            self.make(Change::Delta(event.title.clone(), delta.clone()));
        }
        report
    }

    fn make(&mut self, change: Change) {
        self.join(&change);
        self.made.push(change);
    }

    /// Takes a change from elsewhere.
    pub(crate) fn join(&mut self, change: &Change) {
        match change {
            Change::Erased(erased) => {
                self.clock.observe(*erased);
                if *erased > self.erased {
                    self.erased = *erased;
                    self.registers.retain(|_, register| register.epoch >= *erased);
                    self.playheads.clear();
                }
            }
            Change::Delta(title, delta) if delta.epoch >= self.erased => {
                self.clock.observe(delta.highest_stamp());
                let register = self.registers.entry(title.clone()).or_default();
                let before = register.version_and_high().0;
                register.join(delta);
                let newest = register.version_and_high().0;
                if newest > before {
                    self.playheads.iter_mut().filter(|((_, of), _)| of == title).for_each(|(_, playhead)| playhead.notice(newest));
                }
            }
            Change::Delta(..) => {}
        }
    }

    /// Passes everything made here to another node.
    pub(crate) fn pass_to(&self, other: &mut Self) {
        self.made.iter().for_each(|change| other.join(change));
    }

    pub(crate) fn hide(&mut self, title: &str) {
        let stamp = self.clock.tick(self.now);
        let title = TitleId::new(title).unwrap();
        let epoch = View::of(self.registers.get(&title), self.erased).epoch;
        self.make(Change::Delta(title, Progress::hiding(epoch, stamp)));
    }

    pub(crate) fn erase(&mut self) {
        let stamp = self.clock.tick(self.now);
        self.make(Change::Erased(stamp));
    }

    /// The node restarts: what it remembered of players is gone.
    pub(crate) fn forget_playheads(&mut self) {
        self.playheads.clear();
        self.offsets.clear();
    }

    /// Memory of the largest playhead, in bytes.
    pub(crate) fn playhead_bytes_max(&self) -> usize {
        self.playheads.values().map(Playhead::bytes).max().unwrap_or(0)
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.shifted(i64::try_from(seconds).unwrap() * 1_000);
    }

    /// One live report without a time of its own.
    pub(crate) fn say(&mut self, device: &str, kind: EventKind, position_s: u64) -> Report {
        self.tell(&event(device, kind, position_s))
    }

    /// One live report.
    pub(crate) fn tell(&mut self, event: &PlaybackEvent) -> Report {
        self.record(None, std::slice::from_ref(event)).remove(0).unwrap()
    }

    /// One report that happened `seconds` ago by a correct clock.
    pub(crate) fn say_late(&mut self, seconds: u64, device: &str, kind: EventKind, position_s: u64) -> Report {
        let event = PlaybackEvent { at_ms: Some(self.now.as_millis() - seconds * 1_000), ..event(device, kind, position_s) };
        self.record(Some(self.now.as_millis()), &[event]).remove(0).unwrap()
    }

    /// Watches from one position to another: a heartbeat each ten seconds, and one at the end.
    pub(crate) fn watch(&mut self, device: &str, from_s: u64, to_s: u64) {
        let mut position_s = from_s;
        while position_s < to_s {
            let step_s = (to_s - position_s).min(10);
            position_s += step_s;
            self.wait(step_s);
            self.say(device, EventKind::Heartbeat, position_s);
        }
    }

    pub(crate) fn film(&self) -> Option<&Progress> {
        self.registers.get(&TitleId::new("film").unwrap())
    }

    pub(crate) fn resume_point(&self, policy: Policy) -> ResumePoint {
        ResumePoint::read(self.film(), policy)
    }

    /// Where the film resumes, in seconds, under the default policy.
    pub(crate) fn resumes_at(&self) -> u64 {
        self.resume_point(Policy::Continue).position.as_millis() / 1_000
    }

    pub(crate) fn version(&self) -> Version {
        self.resume_point(Policy::Continue).version
    }

    /// The continue-watching row, as titles.
    pub(crate) fn row(&self) -> Vec<String> {
        let profile = Profile { registers: self.registers.clone(), ..Profile::empty(ProfileId::new("ann").unwrap()) };
        profile.continue_watching(20).into_iter().map(|(title, _)| title.as_str().to_owned()).collect()
    }
}

/// A report about the film.
pub(crate) fn event(device: &str, kind: EventKind, position_s: u64) -> PlaybackEvent {
    PlaybackEvent::new("ann", "film", device, kind, position_s * 1_000)
}
