//! Tests of the store as a whole: over memory and over real files, through folds, crashes and damage.

mod crash;
mod damage;
mod expiry;
mod feeds;
mod figures;
mod golden;
mod model;
mod sled_traps;
mod stories;

use std::path::Path;
use std::sync::Arc;

use super::engine::MemoryEngine;
use super::log::{FileSystem, MemoryFiles};
use super::*;
use crate::progress::{
    Activity, DeviceId, KnownDuration, KnownSeries, Place, Places, PlaybackState, Position, ProfileId, Progress, SeriesId, Speed, TitleId,
    Version,
};
use crate::time::Hlc;

pub(super) const FRESH: Fresh = Fresh { id: ReplicaId([7; 16]), epoch: Epoch(1) };
pub(super) const LATER: Fresh = Fresh { id: ReplicaId([8; 16]), epoch: Epoch(2) };

/// A small deterministic generator.
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

pub(super) fn uuid(kind: u64, number: u64) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

pub(super) fn profile(number: u64) -> ProfileId {
    ProfileId::new(uuid(1, number)).unwrap()
}

pub(super) fn title(number: u64) -> TitleId {
    TitleId::new(uuid(2, number)).unwrap()
}

pub(super) fn device(number: u64) -> DeviceId {
    DeviceId::new(uuid(3, number)).unwrap()
}

const BASE_MS: u64 = 1_790_000_000_000;

pub(super) fn stamp(after_ms: u64) -> Hlc {
    Hlc::from_u64((BASE_MS + after_ms) << 10)
}

/// A heartbeat's delta: in one place, with everything set.
pub(super) fn heartbeat(after_ms: u64, position_ms: u64, from: u64) -> Progress {
    let (version, position) = (Version::FIRST, Position::from_millis(position_ms));
    Progress {
        epoch: Hlc::ZERO,
        places: Places::single(Place { version, position, touched: stamp(after_ms), ended: false }),
        furthest: position,
        activity: Some(Activity {
            stamp: stamp(after_ms),
            rank: PlaybackState::Playing.rank(),
            device: device(from),
            state: PlaybackState::Playing,
            version,
            position,
            speed: Speed::NORMAL,
            stepped_back: false,
        }),
        duration: Some(KnownDuration { stamp: stamp(0), ms: 7_200_000 }),
        series: Some(KnownSeries { stamp: stamp(0), id: SeriesId::new(uuid(4, from % 3)).unwrap() }),
        hidden: Hlc::ZERO,
    }
}

pub(super) fn random_delta(dice: &mut Dice) -> Progress {
    let mut delta = heartbeat(dice.roll(1 << 20), dice.roll(7_200_000), dice.roll(5));
    if dice.roll(4) == 0 {
        let version = Version::from_u64(stamp(dice.roll(1 << 20)).as_u64());
        delta.places = Places::single(Place { version, ..*delta.newest().unwrap() });
    }
    if dice.roll(3) == 0 {
        delta.series = None;
    }
    delta
}

pub(super) fn batch_of(records: &[(u64, u64, &Progress)]) -> Batch {
    let mut batch = Batch::local();
    for (who, what, progress) in records {
        batch.register(&profile(*who), &title(*what), progress);
    }
    batch
}

pub(super) fn flush(store: &Store) -> Option<Seq> {
    store.flush(&mut |_| ()).unwrap()
}

pub(super) fn record(store: &Store, who: u64, what: u64, progress: &Progress) -> Seq {
    let appended = store.append(batch_of(&[(who, what, progress)])).unwrap();
    flush(store);
    appended.last
}

/// Files and engine that outlive the store.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) files: MemoryFiles,
    pub(super) engine: MemoryEngine,
}

impl Disk {
    pub(super) fn try_open(&self, options: StoreOptions, fresh: Fresh) -> Result<(Store, OpenReport), OpenError> {
        let files: Arc<dyn FileSystem> = Arc::new(self.files.clone());
        Store::open(files, Box::new(self.engine.clone()), options, fresh)
    }

    pub(super) fn open(&self) -> (Store, OpenReport) {
        self.try_open(small(), FRESH).unwrap()
    }

    /// Drops what was not synced, in log and engine.
    pub(super) fn lose_power(&self, kept_permille: u16) {
        self.files.lose_power(kept_permille);
        self.engine.lose_power();
    }
}

pub(super) fn small() -> StoreOptions {
    StoreOptions { segment_bytes: 4 << 10, ..StoreOptions::small() }
}

pub(super) fn open_folder(path: &Path) -> (Store, OpenReport) {
    Store::open_folder(path, small(), FRESH).unwrap()
}

/// Everything that a store shows, by key.
pub(super) fn everything(store: &Store) -> Vec<ScanItem> {
    let mut all = Vec::new();
    store
        .scan(KeyRange::ALL, &mut |item| {
            all.push(item);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(all.windows(2).all(|pair| pair[0].key < pair[1].key), "a scan visits keys in order, each once");
    all
}

/// Everything that a store shows, without the numbers under which it arrived.
pub(super) fn states(store: &Store) -> Vec<(ProfileId, TitleId, Progress)> {
    everything(store).into_iter().map(|item| (item.profile, item.title, item.progress)).collect()
}
