//! An evening in front of several screens: reports at the nodes of two regions, of now and of hours ago.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use leftoff::progress::{EventKind, PlaybackEvent};
use leftoff::time::system::wall_now;

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::http::{Accepted, Client, Progress};

pub(crate) use leftoff::progress::EventKind::{End, Heartbeat, Pause, Play, Seek, Stop};

pub(crate) const EU: usize = 0;
pub(crate) const US: usize = 1;
pub(crate) const MINUTE: u64 = 60;
/// Length of the film, in seconds.
pub(crate) const FILM_S: u64 = 120 * MINUTE;

// Stories that run at the same time share two regions; the last one that needs them ends them. Each has a viewer of its own.
static REGIONS: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static VIEWERS: AtomicU64 = AtomicU64::new(0);

fn regions() -> Arc<Cluster> {
    let mut regions = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    regions.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Cluster::mesh(&mut Dice::from_seed(0), 2));
        *regions = Arc::downgrade(&started);
        started
    })
}

/// One viewer's evening.
pub(crate) struct Evening {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) viewer: String,
    begun_ms: u64,
}

/// One screen: a device that plays the film and reports to a node.
#[derive(Clone, Copy)]
pub(crate) struct Screen<'a> {
    evening: &'a Evening,
    node: usize,
    device: &'a str,
    title: &'a str,
    duration_s: Option<u64>,
}

impl Evening {
    pub(crate) fn new() -> Self {
        let viewer = format!("viewer-{}-{}", std::process::id(), VIEWERS.fetch_add(1, Ordering::Relaxed));
        Self { cluster: regions(), viewer, begun_ms: wall_now().as_millis() }
    }

    pub(crate) fn client(&self, node: usize) -> &Client {
        self.cluster.client(node)
    }

    /// A screen that plays the film.
    pub(crate) fn screen<'a>(&'a self, node: usize, device: &'a str) -> Screen<'a> {
        Screen { evening: self, node, device, title: "film", duration_s: Some(FILM_S) }
    }

    pub(crate) fn film_at(&self, node: usize) -> Progress {
        self.client(node).resume(&self.viewer, "film").unwrap()
    }

    /// Waits until the film stands at a position everywhere.
    pub(crate) fn resumes_everywhere_at(&self, position_s: u64) {
        for node in [EU, US] {
            self.cluster.wait_for(node, &self.viewer, "film", |film| film.position_ms == position_s * 1_000);
        }
    }

    /// Waits until what one node knows of the film is known at the other, and answers it.
    pub(crate) fn settled(&self) -> Progress {
        for (from, to) in [(EU, US), (US, EU)] {
            let known = self.film_at(from);
            self.cluster.wait_for(to, &self.viewer, "film", |film| {
                film.mark() >= known.mark() && film.at_ms >= known.at_ms && film.furthest_ms >= known.furthest_ms
            });
        }
        let film = self.film_at(EU);
        assert_eq!(film.mark(), self.film_at(US).mark());
        film
    }

    /// The time so many seconds before the evening's now, by a right clock.
    pub(crate) fn ago_ms(&self, seconds: u64) -> u64 {
        self.begun_ms - seconds * 1_000
    }
}

impl<'a> Screen<'a> {
    pub(crate) fn of_title(self, title: &'a str, duration_s: u64) -> Self {
        Self { title, duration_s: Some(duration_s), ..self }
    }

    pub(crate) fn at(self, node: usize) -> Self {
        Self { node, ..self }
    }

    pub(crate) fn event(&self, kind: EventKind, position_s: u64) -> PlaybackEvent {
        let mut event = PlaybackEvent::new(&self.evening.viewer, self.title, self.device, kind, position_s * 1_000);
        event.duration_ms = self.duration_s.map(|seconds| seconds * 1_000);
        event
    }

    pub(crate) fn event_ago(&self, ago_s: u64, kind: EventKind, position_s: u64) -> PlaybackEvent {
        PlaybackEvent { at_ms: Some(self.evening.ago_ms(ago_s)), ..self.event(kind, position_s) }
    }

    /// Sends a batch, with the clock that a right device has.
    pub(crate) fn sends(&self, events: &[PlaybackEvent]) -> Accepted {
        let answer = self.evening.client(self.node).report_at(Some(wall_now().as_millis()), events).unwrap();
        assert_eq!(answer.refused, [], "every event of a story is sound");
        answer
    }

    /// Something happens now.
    pub(crate) fn says(&self, kind: EventKind, position_s: u64) -> Accepted {
        self.sends(&[self.event(kind, position_s)])
    }

    /// Something happened so many seconds ago.
    pub(crate) fn said(&self, ago_s: u64, kind: EventKind, position_s: u64) -> Accepted {
        self.sends(&[self.event_ago(ago_s, kind, position_s)])
    }

    /// The viewer chooses "start from the beginning".
    pub(crate) fn restarted(&self, ago_s: u64) -> Accepted {
        self.sends(&[PlaybackEvent { restart: true, ..self.event_ago(ago_s, Play, 0) }])
    }

    /// It played from one position to another, beginning so many seconds ago: a heartbeat every ten seconds.
    pub(crate) fn watched(&self, ago_s: u64, from_s: u64, to_s: u64) {
        assert!(to_s - from_s <= ago_s, "watching must be over by now");
        let steps = (from_s + 10..to_s).step_by(10).chain([to_s]);
        let beats: Vec<_> = steps.map(|position_s| self.event_ago(ago_s - (position_s - from_s), Heartbeat, position_s)).collect();
        beats.chunks(500).for_each(|beats| {
            self.sends(beats);
        });
    }
}
