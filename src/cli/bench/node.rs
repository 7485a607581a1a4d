//! A replica of the benchmark's own, with the threads that ship, over a folder filled once and copied for every run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::generator::{Population, mixed};
use super::pace::rest;
use super::{BenchError, Common, Report};
use crate::embedded::{Replica, ReplicaConfig};
use crate::limits::LIVE_FRAME_BYTES;
use crate::progress::DeviceId;
use crate::replica::{ApplyError, Core, CoreOptions, PeerRecords, RecordError};
use crate::store::{AppendError, ReplicaId, Seq, StoreOptions};
use crate::time::system::{monotonic_now, wall_now};
use crate::time::{Hlc, WallTime};

/// Changes with the content of the fill: an older one is not used again.
const FILL_VERSION: u32 = 1;
/// Where remote deltas are said to come from.
pub(super) const PEER: ReplicaId = ReplicaId([0xbe; 16]);

/// The folder that benchmarks work in: removed at the end, unless it was named.
#[derive(Debug)]
pub(super) struct Workplace {
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Workplace {
    pub(super) fn new(common: &Common) -> Result<Self, BenchError> {
        if let Some(folder) = &common.data {
            fs::create_dir_all(folder)?;
            return Ok(Self { folder: folder.clone(), _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("leftoff-bench").tempdir()?;
        Ok(Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    /// An empty folder of that name.
    pub(super) fn empty(&self, name: &str) -> Result<PathBuf, BenchError> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(folder)
    }

    /// A fresh copy of a folder filled with the population; fills it first if that was not done before.
    pub(super) fn filled(&self, population: Population, report: &Report) -> Result<PathBuf, BenchError> {
        let Population { registers, profiles } = population;
        let original = self.folder.join(format!("filled-{registers}-{profiles}-v{FILL_VERSION}"));
        if !original.exists() {
            let unfinished = self.empty("filling")?;
            report.say(&format!("filling a store with {registers} registers in {profiles} profiles ..."));
            let begun = monotonic_now();
            fill(&unfinished, population)?;
            fs::rename(&unfinished, &original)?;
            report.say(&format!("filled in {:.1} s", monotonic_now().saturating_since(begun).as_secs_f64()));
        }
        let copy = self.empty("run")?;
        copy_folder(&original, &copy)?;
        Ok(copy)
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            // What is copied must not be written back to the disk during the measurement.
            fs::File::open(&target)?.sync_all()?;
        }
    }
    Ok(())
}

/// Opens a replica as a regional node would.
pub(super) fn open(folder: &Path) -> Result<Replica, BenchError> {
    let config = ReplicaConfig {
        folder: folder.to_owned(),
        device: DeviceId::new("bench")?,
        store: StoreOptions::default(),
        core: CoreOptions::default(),
    };
    Ok(Replica::open_with_secret(config)?)
}

fn fill(folder: &Path, population: Population) -> Result<(), BenchError> {
    let replica = open(folder)?;
    fill_core(replica.core(), population, wall_now(), &|_| Ok(()))?;
    Ok(replica.close()?)
}

/// Fills a replica as of a time. `settle` is called after every frame, for those without threads of their own.
pub(super) fn fill_core(
    core: &Core,
    population: Population,
    now: WallTime,
    settle: &dyn Fn(&Core) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    // In the order of their keys, so that every page of the engine is written about once.
    let mut order = Vec::with_capacity(population.profiles as usize);
    for profile in 0..population.profiles {
        order.push((core.store().hasher().profile(&Population::profile_id(profile)?), profile));
    }
    order.sort_unstable();
    let mut records = Vec::with_capacity(2 * LIVE_FRAME_BYTES);
    let mut count = 0;
    let mut left = order.len();
    for (_, profile) in order {
        left -= 1;
        for register in population.first_register(profile)..population.first_register(profile + 1) {
            // Watched at some time during the last month.
            let stamp = Hlc::from_wall(now.shifted(-((mixed(register) % 2_592_000_000).cast_signed())));
            population.filled(register, stamp)?.encode(&mut records);
            count += 1;
        }
        if records.len() >= LIVE_FRAME_BYTES || (left == 0 && count > 0) {
            apply(core, &records, count)?;
            settle(core)?;
            records.clear();
            count = 0;
        }
    }
    Ok(())
}

/// Applies a peer's records, waiting where the store asks for it. Answers the number to wait for.
pub(super) fn apply(core: &Core, records: &[u8], count: u32) -> Result<Option<Seq>, BenchError> {
    loop {
        match core.apply(wall_now(), PEER, PeerRecords { bytes: records, count, ..PeerRecords::default() }, None) {
            Ok(applied) if applied.refused.is_empty() => return Ok(applied.last),
            Ok(applied) => return Err(format!("{} of the benchmark's own records were refused", applied.refused.len()).into()),
            Err(ApplyError::Append(AppendError::Overloaded { retry_ms, .. })) => rest(Duration::from_millis(retry_ms)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long to wait before an event refused for want of room is offered again; none: it failed for another reason.
pub(super) fn retry_after(error: &RecordError) -> Option<Duration> {
    match error {
        RecordError::Append(AppendError::Overloaded { retry_ms, .. }) => Some(Duration::from_millis(*retry_ms)),
        _ => None,
    }
}
