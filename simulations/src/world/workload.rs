//! Who watches what: viewers, their devices and profiles, and the reports of their players.

use std::collections::VecDeque;
use std::fmt::Write as _;

use leftoff::progress::{EventKind, PlaybackEvent};

use super::queue::Micros;
use super::random::Random;
use crate::scenario::Workload;

/// Reports that a client without a line keeps; the oldest heartbeats go first.
pub(super) const HELD_COUNT_MAX: usize = 2_000;

/// What a player reported, without the names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) kind: EventKind,
    pub(super) restart: bool,
    pub(super) title: u32,
    pub(super) device: u32,
    pub(super) position_ms: u64,
    /// By the device's clock.
    pub(super) at_ms: u64,
}

/// What a viewer is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Doing {
    Away,
    Playing,
    /// The screen shows a still picture until then.
    Paused {
        until: Micros,
    },
    /// The screen is left on and repeats its last report until then.
    Idle {
        until: Micros,
    },
}

/// A viewer.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) profile: u32,
    pub(super) place: u16,
    /// The first of the viewer's devices.
    pub(super) first_device: u32,
    /// The one in use.
    pub(super) device: u32,
    pub(super) doing: Doing,
    pub(super) title: u32,
    pub(super) position_ms: u64,
    /// When the position was that.
    pub(super) moved_at: Micros,
    pub(super) stretch_until: Micros,
    pub(super) session_until: Micros,
    pub(super) watch_left: Micros,
    pub(super) finished: Option<u32>,
    /// The node that it talks to, and how many in a row have not answered.
    pub(super) node: u32,
    pub(super) attempts: u32,
    pub(super) retry_planned: bool,
    /// Its line is gone until then.
    pub(super) offline_until: Micros,
    pub(super) held: VecDeque<Report>,
    pub(super) random: Random,
}

impl Viewer {
    /// Keeps a report until it can be handed in.
    pub(super) fn hold(&mut self, report: Report) {
        self.held.push_back(report);
        if self.held.len() > HELD_COUNT_MAX {
            let oldest = self.held.iter().position(|held| held.kind == EventKind::Heartbeat).unwrap_or(0);
            self.held.remove(oldest);
        }
    }
}

/// All viewers, and the names of what they have and watch.
pub(super) struct Audience {
    pub(super) viewers: Vec<Viewer>,
    pub(super) titles: u32,
    pub(super) profiles: u32,
    title_ms: f64,
    devices_per_viewer: u32,
}

impl Audience {
    pub(super) fn new(workload: &Workload, duration: Micros, regions: usize, seed: u64) -> Self {
        let profiles = workload.viewers.div_ceil(workload.viewers_per_profile.max(1)).max(1);
        let devices_per_viewer = workload.devices_per_viewer.max(1);
        let viewer = |number: u32| {
            let mut random = Random::of(seed, "viewer", u64::from(number));
            let hot = random.chance(workload.hot_share);
            let profile = if hot { 0 } else { number / workload.viewers_per_profile.max(1) };
            // Those who share a profile live together.
            let place = (profile as usize % regions.max(1)) as u16;
            let first_device = number * devices_per_viewer;
            let watch_left = (random.around(workload.watch_minutes * 60e6) as Micros).min(duration);
            Viewer {
                profile,
                place,
                first_device,
                device: first_device,
                doing: Doing::Away,
                title: 0,
                position_ms: 0,
                moved_at: 0,
                stretch_until: 0,
                session_until: 0,
                watch_left,
                finished: None,
                node: 0,
                attempts: 0,
                retry_planned: false,
                offline_until: 0,
                held: VecDeque::new(),
                random,
            }
        };
        let viewers = (0..workload.viewers).map(viewer).collect();
        Self { viewers, titles: workload.titles.max(1), profiles, title_ms: workload.title_minutes * 60e3, devices_per_viewer }
    }

    /// How long a title is, in milliseconds: always the same for one title.
    pub(super) fn length_ms(&self, title: u32) -> u64 {
        Random::of(0, "title", u64::from(title)).around(self.title_ms).max(10_000.0) as u64
    }

    pub(super) const fn devices_per_viewer(&self) -> u32 {
        self.devices_per_viewer
    }
}

/// How a profile is called.
pub(super) fn profile_name(number: u32) -> String {
    format!("profile-{number:06}")
}

/// How a title is called.
pub(super) fn title_name(number: u32) -> String {
    format!("title-{number:05}")
}

/// How far the clock of a thin client is off, in milliseconds: mostly a little, sometimes by days. Always the same for one device.
pub(super) fn thin_clock_error_ms(device: u32) -> i64 {
    let mut random = Random::of(0, "thin clock", u64::from(device));
    let bound_ms = match random.below(50) {
        0 => 5 * 86_400_000,
        1..5 => 600_000,
        _ => 800,
    };
    random.below(2 * bound_ms).cast_signed() - bound_ms.cast_signed()
}

/// Writes a report as the player sends it into an event that is used again and again.
pub(super) fn write_event(event: &mut PlaybackEvent, profile: u32, report: &Report, length_ms: u64) {
    fn set(text: &mut String, prefix: &str, number: u32, digits: usize) {
        text.clear();
        // Writing to a string does not fail.
        let _ = write!(text, "{prefix}-{number:0digits$}");
    }
    set(&mut event.profile_id, "profile", profile, 6);
    set(&mut event.title_id, "title", report.title, 5);
    set(&mut event.device_id, "device", report.device, 6);
    // Ten titles make a series, but for the first ones, which are films.
    event.series_id = if report.title.is_multiple_of(4) {
        None
    } else {
        let mut series = event.series_id.take().unwrap_or_default();
        set(&mut series, "series", report.title / 10, 5);
        Some(series)
    };
    event.kind = report.kind;
    event.position_ms = report.position_ms;
    event.restart = report.restart;
    event.duration_ms = Some(length_ms);
    event.at_ms = Some(report.at_ms);
}
