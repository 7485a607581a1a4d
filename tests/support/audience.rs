//! People who watch at all nodes at once, and the ledger of everything that was acknowledged to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leftoff::progress::{EventKind, PlaybackEvent};

use super::cluster::State;
use super::dice::Dice;
use super::http::{Client, Progress};
use super::node::{Node, Whereabouts};
use super::patience::{SOON, eventually, pause};

const PROFILE_COUNT: u64 = 4;
const TITLE_COUNT: u64 = 6;
/// Between two batches of one writer: load, not a benchmark.
const REST: Duration = Duration::from_millis(3);
/// Places that a register keeps.
const PLACE_COUNT_MAX: usize = 8;

/// What was acknowledged: in each title, the highest position in each place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(BTreeMap<(String, String), BTreeMap<u64, u64>>);

impl Ledger {
    pub(crate) fn acknowledge(&mut self, profile: &str, title: &str, version: u64, position_ms: u64) {
        // A pause at the very beginning of what nobody has watched is accepted and is nothing: every title begins there.
        if (version, position_ms) == (0, 0) {
            return;
        }
        let places = self.0.entry((profile.to_owned(), title.to_owned())).or_default();
        let high = places.entry(version).or_default();
        *high = (*high).max(position_ms);
    }

    /// Fails unless everything acknowledged is in a node's state: in its own place, or that place was pushed out by eight newer ones.
    pub(crate) fn check(&self, state: &State) {
        assert!(!self.0.is_empty(), "nothing was acknowledged");
        for (key, acknowledged) in &self.0 {
            let shown: Progress = serde_json::from_str(state.get(key).unwrap_or_else(|| panic!("{key:?} is missing"))).unwrap();
            for (version, position_ms) in acknowledged {
                let pushed_out = shown.places.len() == PLACE_COUNT_MAX && shown.places.iter().all(|place| place.version > *version);
                let kept = shown.places.iter().any(|place| place.version == *version && place.position_ms >= *position_ms);
                assert!(kept || pushed_out, "{key:?}: {position_ms} in place {version} was acknowledged, and is not in {shown:#?}");
                assert!(shown.furthest_ms >= *position_ms, "{key:?}: {position_ms} was acknowledged, furthest is {}", shown.furthest_ms);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
}

struct Shared {
    ledger: Mutex<Ledger>,
    accepted: AtomicUsize,
    batches: Vec<AtomicUsize>,
    stop: AtomicBool,
}

/// Writers, one a node; they end when this is dropped.
pub(crate) struct Audience {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

/// The profiles that an audience watches as.
pub(crate) fn profiles() -> Vec<String> {
    (0..PROFILE_COUNT).map(|number| format!("viewer-{number}")).collect()
}

impl Audience {
    /// Begins to watch at every node, the same profiles and titles everywhere, from devices of the node's own.
    pub(crate) fn start(nodes: &[Node], dice: &mut Dice) -> Self {
        let batches = nodes.iter().map(|_| AtomicUsize::new(0)).collect();
        let shared = Arc::new(Shared { ledger: Mutex::default(), accepted: AtomicUsize::new(0), batches, stop: AtomicBool::new(false) });
        let writers = nodes.iter().enumerate().map(|(index, node)| {
            let (shared, dice, whereabouts, name) = (Arc::clone(&shared), dice.split(), node.whereabouts(), node.name().to_owned());
            thread::Builder::new().name(format!("writer-{index}")).spawn(move || write(&shared, index, &name, &whereabouts, dice)).unwrap()
        });
        let writers = writers.collect();
        Self { shared, writers }
    }

    /// Batches acknowledged at a node.
    pub(crate) fn batches(&self, index: usize) -> usize {
        self.shared.batches[index].load(Ordering::Acquire)
    }

    /// Waits until each of the nodes has acknowledged so many more batches.
    pub(crate) fn wait_for_batches(&self, nodes: &[usize], count: usize) {
        let begun: Vec<usize> = nodes.iter().map(|index| self.batches(*index)).collect();
        eventually(SOON * 2, "the audience goes on watching", || {
            let now: Vec<usize> = nodes.iter().map(|index| self.batches(*index)).collect();
            if now.iter().zip(&begun).all(|(now, begun)| *now >= begun + count) { Ok(()) } else { Err(format!("{begun:?} to {now:?}")) }
        });
    }

    /// Ends watching, and answers what was acknowledged.
    pub(crate) fn finish(mut self) -> Ledger {
        self.end();
        println!("{} events were acknowledged", self.shared.accepted.load(Ordering::Acquire));
        self.shared.ledger.lock().unwrap().clone()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for writer in self.writers.drain(..) {
            let ended = writer.join();
            assert!(ended.is_ok() || thread::panicking(), "a writer failed");
        }
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.end();
    }
}

fn write(shared: &Shared, index: usize, name: &str, whereabouts: &Whereabouts, mut dice: Dice) {
    let mut positions: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut client = None;
    while !shared.stop.load(Ordering::Acquire) {
        let now_at = *whereabouts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(addresses) = now_at else {
            pause(REST);
            continue;
        };
        let (_, client) = match &mut client {
            Some((known, _)) if *known == addresses => client.as_ref().unwrap(),
            _ => client.insert((addresses, Client::new(addresses.http))),
        };
        let events = batch(name, &mut positions, &mut dice);
        // What was not answered may have been recorded or not; nothing is claimed of it.
        if let Ok(answer) = client.report(&events) {
            assert_eq!(answer.refused, [], "a sound event was refused");
            let mut ledger = shared.ledger.lock().unwrap();
            for (index, version) in &answer.versions {
                let event = &events[*index];
                ledger.acknowledge(&event.profile_id, &event.title_id, *version, event.position_ms);
            }
            shared.accepted.fetch_add(answer.accepted, Ordering::AcqRel);
            shared.batches[index].fetch_add(1, Ordering::AcqRel);
        }
        pause(REST);
    }
}

fn batch(name: &str, positions: &mut BTreeMap<(u64, u64), u64>, dice: &mut Dice) -> Vec<PlaybackEvent> {
    let count = dice.within(1..=12);
    let event = |_| {
        let (profile, title) = (dice.within(0..=PROFILE_COUNT - 1), dice.within(0..=TITLE_COUNT - 1));
        let position = positions.entry((profile, title)).or_insert(0);
        let (kind, restart) = match dice.within(0..=99) {
            0..=3 => {
                *position = dice.within(0..=7_000_000);
                (EventKind::Seek, false)
            }
            4 => {
                *position = 0;
                (EventKind::Play, true)
            }
            5..=9 => {
                *position = position.saturating_sub(dice.within(1_000..=20_000));
                (EventKind::Seek, false)
            }
            10..=19 => (EventKind::Pause, false),
            _ => {
                *position += dice.within(500..=10_000);
                (EventKind::Heartbeat, false)
            }
        };
        let mut event =
            PlaybackEvent::new(format!("viewer-{profile}"), format!("title-{title}"), format!("screen-{name}"), kind, *position);
        event.restart = restart;
        event.duration_ms = Some(10_000_000);
        event
    };
    (0..count).map(event).collect()
}
