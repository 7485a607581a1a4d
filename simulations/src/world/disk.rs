//! The disk of one host, and the store on it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use leftoff::replica::{Core, CoreOptions};
use leftoff::store::engine::MemoryEngine;
use leftoff::store::log::MemoryFiles;
use leftoff::store::{Batch, Epoch, Fresh, KeyHasher, KeyRange, OpenError, OpenReport, Record, ReplicaId, Store, StoreOptions};

use super::queue::Micros;
use super::random::Random;
use crate::observation::DiskFault;
use crate::scenario::Replicas;

/// The cluster's secret of the key hash: any will do, but the same one.
const CLUSTER_SECRET: [u8; 16] = *b"leftoff-simulate";

/// The hash of the nodes' keys.
pub(super) const fn cluster_hasher() -> KeyHasher {
    KeyHasher::new(CLUSTER_SECRET)
}

/// What a host may be set back to.
pub(super) enum Backup {
    /// The records, as `leftoff backup` writes them.
    Records { records: Vec<Record>, floor_day: u32 },
    /// The folder as a program sees it, as a snapshot of the disk has it.
    Folder { files: MemoryFiles, engine: MemoryEngine, id: ReplicaId, clock_offset_ms: i64 },
}

/// What flipped bits of a log do to it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Flipped {
    /// What comes after them says that they had been synced: the damage can be told.
    Proven,
    /// Nothing that comes after them says so: they look like a write that a crash has cut.
    End,
}

/// The head of a segment, and of a frame in it, in bytes; where a frame's payload says whether it is a mark.
const SEGMENT_HEAD: usize = 64;
const FRAME_HEAD: usize = 16;

/// Whether a mark stands in a segment of the log after the first of its frames that bits were flipped in, and reads back itself: a mark says that
/// what lies before it was synced. Told from the bytes as they were before.
fn is_proven(segment: &[u8], flipped: &[usize]) -> bool {
    let is_flipped = |from: usize, to: usize| flipped.iter().any(|offset| (from..to).contains(offset));
    let (mut at, mut is_damaged) = (SEGMENT_HEAD, is_flipped(0, SEGMENT_HEAD));
    while let Some(length) = segment.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes) {
        let end = at + FRAME_HEAD + length as usize;
        let Some(flags) = segment.get(at + FRAME_HEAD).filter(|_| end <= segment.len()) else { break };
        match is_flipped(at, end) {
            true => is_damaged = true,
            // Of a segment whose head is damaged any frame says that it was begun.
            false if is_damaged && (flags & 1 != 0 || is_flipped(0, SEGMENT_HEAD)) => return true,
            false => {}
        }
        at = end;
    }
    false
}

/// How a log is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hurt {
    /// A bit is another.
    FlippedBit,
    /// A file ends early.
    Truncated,
    /// A file is as long as it was, and zeros from some place on.
    Zeroed,
}

/// Files, engine, and what they are opened with.
pub(super) struct Disk {
    pub(super) files: MemoryFiles,
    pub(super) engine: MemoryEngine,
    store: StoreOptions,
    core: CoreOptions,
    /// Who the folder is, drawn when it is made.
    id: ReplicaId,
    /// What a device keeps beside its store: how far its clock is known to be off.
    pub(super) clock_offset_ms: i64,
    pub(super) random: Random,
}

impl Disk {
    pub(super) fn new(replicas: &Replicas, is_device: bool, nodes: u32, mut random: Random) -> Self {
        let mut store = StoreOptions::small();
        let table_bytes_max = if is_device { replicas.table_bytes_max.min(16 << 20) } else { replicas.table_bytes_max };
        store.table_bytes_max = table_bytes_max;
        store.fold_table_bytes = table_bytes_max / 8 * 3;
        store.fold_log_bytes = table_bytes_max as u64;
        store.ring_count_max = replicas.ring_count_max;
        store.segment_bytes = replicas.segment_bytes;
        store.log_retention_bytes = replicas.segment_bytes.saturating_mul(2);
        store.log_retention_segments = 1;
        store.cache_bytes = if is_device { 64 << 10 } else { 1 << 20 };
        store.key_secret = if is_device { random.bytes() } else { CLUSTER_SECRET };
        let core = CoreOptions {
            drift_ms_max: replicas.drift_ms_max,
            ttl_days: replicas.ttl_days,
            keeps_unshared: is_device,
            // As the daemon does that is given seeds.
            expires_with_peers: !is_device && nodes > 1,
            ..CoreOptions::default()
        };
        let id = ReplicaId(random.bytes());
        Self { files: MemoryFiles::new(), engine: MemoryEngine::new(), store, core, id, clock_offset_ms: 0, random }
    }

    /// How long a sync takes: around the mean, and now and then five times that.
    pub(super) fn sync_time(&mut self, mean_ms: f64) -> Micros {
        let slow = if self.random.chance(0.01) { 5.0 } else { 1.0 };
        (self.random.around(mean_ms * 1_000.0) * slow) as Micros
    }

    fn fresh(&mut self) -> Fresh {
        Fresh { id: self.id, epoch: Epoch(self.random.bits()) }
    }

    /// Opens the store, as the process does when it starts.
    pub(super) fn open(&mut self) -> Result<(Core, OpenReport), OpenError> {
        let fresh = self.fresh();
        let (store, report) = Store::open(Arc::new(self.files.clone()), Box::new(self.engine.clone()), self.store.clone(), fresh)?;
        let core = Core::new(store, self.core.clone());
        if self.core.keeps_unshared {
            core.set_clock_offset_ms(self.clock_offset_ms);
        }
        Ok((core, report))
    }

    /// The power goes: what was not synced is lost, but for a part of the last write.
    pub(super) fn lose_power(&mut self) {
        // Mostly nothing or everything of it has reached the disk.
        let kept = match self.random.below(4) {
            0 => 0,
            1 => 1_000,
            _ => self.random.below(1_001) as u16,
        };
        self.files.lose_power(kept);
        self.engine.lose_power();
    }

    /// Everything is gone; the folder will be a new one.
    pub(super) fn lose_everything(&mut self) {
        self.id = ReplicaId(self.random.bytes());
        self.clock_offset_ms = 0;
        (self.files, self.engine) = (MemoryFiles::new(), MemoryEngine::new());
    }

    /// Damages the log in so many places; what that did to it.
    pub(super) fn hurt_log(&mut self, hurt: Hurt, count: u32) -> Vec<DiskFault> {
        let told = |flipped| match flipped {
            Flipped::Proven => DiskFault::FlippedBit,
            Flipped::End => DiskFault::EndHurt,
        };
        match hurt {
            Hurt::FlippedBit => self.flip_bits(count).into_iter().map(told).collect(),
            Hurt::Truncated => self.hurt_files(DiskFault::Truncated, count),
            Hurt::Zeroed => self.hurt_files(DiskFault::Zeroed, count),
        }
    }

    /// Cuts files of the log off, or makes zeros of their ends. An earlier segment is known to have gone on, as long as the newest, which says so, is
    /// left alone.
    fn hurt_files(&mut self, fault: DiskFault, count: u32) -> Vec<DiskFault> {
        let paths: Vec<String> = self.files.paths().into_iter().filter(|path| path.starts_with("log/")).collect();
        let last = paths.iter().filter(|path| !path.starts_with("log/folded")).max();
        let mut found = Vec::new();
        for _ in 0..if paths.is_empty() { 0 } else { count } {
            let path = &paths[self.random.below(paths.len() as u64) as usize];
            let size = leftoff::store::log::FileSystem::size(&self.files, path).unwrap_or_default();
            let offset = self.random.below(size.max(1));
            if fault == DiskFault::Zeroed {
                self.files.zero_from(path, offset as usize);
            } else {
                // Files in memory that are not struck do not fail.
                let _ = leftoff::store::log::FileSystem::truncate(&self.files, path, offset);
            }
            let hits = [Some(fault), (Some(path) == last).then_some(DiskFault::EndHurt)];
            found.extend(hits.into_iter().flatten().filter(|hit| !found.contains(hit)).collect::<Vec<_>>());
        }
        found
    }

    /// Flips bits in the log; what that did to it.
    fn flip_bits(&mut self, count: u32) -> BTreeSet<Flipped> {
        let paths: Vec<String> = self.files.paths().into_iter().filter(|path| path.starts_with("log/")).collect();
        // The witness of the last fold stands beside the segments, and its name sorts after theirs.
        let last = paths.iter().filter(|path| !path.starts_with("log/folded")).max();
        // Files in memory are read, unless a crash is armed; then nothing tells where their frames end.
        let end = last.and_then(|path| leftoff::store::log::FileSystem::read(&self.files, path).ok()).unwrap_or_default();
        let mut flipped_at_end = Vec::new();
        let mut hits = BTreeSet::new();
        if paths.is_empty() {
            return hits;
        }
        for _ in 0..count {
            let path = &paths[self.random.below(paths.len() as u64) as usize];
            let size = leftoff::store::log::FileSystem::size(&self.files, path).unwrap_or_default();
            let offset = self.random.below(size) as usize;
            self.files.flip_bit(path, offset, self.random.below(8) as u8);
            if Some(path) == last {
                flipped_at_end.push(offset);
            } else {
                hits.insert(Flipped::Proven);
            }
        }
        if !flipped_at_end.is_empty() {
            hits.insert(if is_proven(&end, &flipped_at_end) { Flipped::Proven } else { Flipped::End });
        }
        hits
    }

    /// A copy of the folder.
    pub(super) fn copy(&self) -> Backup {
        Backup::Folder { files: self.files.copy(), engine: self.engine.copy(), id: self.id, clock_offset_ms: self.clock_offset_ms }
    }

    /// Makes a folder from a backup: from its records under a new identity, as `leftoff restore` does, and from a copy as it was.
    pub(super) fn restore(&mut self, backup: &Backup) -> Result<(), String> {
        let (records, floor_day) = match backup {
            Backup::Records { records, floor_day } => (records, *floor_day),
            Backup::Folder { files, engine, id, clock_offset_ms } => {
                (self.files, self.engine) = (files.copy(), engine.copy());
                (self.id, self.clock_offset_ms) = (*id, *clock_offset_ms);
                return Ok(());
            }
        };
        self.lose_everything();
        let fresh = self.fresh();
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let files = Arc::new(self.files.clone());
        let (store, _) = Store::open(files, Box::new(self.engine.clone()), self.store.clone(), fresh).map_err(|error| failed(&error))?;
        for records in records.chunks(1_000) {
            let mut batch = Batch::local();
            for record in records {
                batch.push(record);
            }
            store.append(batch).map_err(|error| failed(&error))?;
            store.flush(&mut |_| ()).map_err(|error| failed(&error))?;
        }
        if floor_day > 0 {
            let mut batch = Batch::local();
            batch.raise_floor(floor_day);
            store.append(batch).map_err(|error| failed(&error))?;
        }
        store.close().map_err(|error| failed(&error))
    }
}

impl Backup {
    /// Everything durable at a replica.
    pub(super) fn of(core: &Core) -> Self {
        let mut records = Vec::new();
        // A store in memory that cannot be read has been closed by a fault: its backup is empty.
        let _ = core.store().scan(KeyRange::ALL, &mut |item| {
            records.push(Record::Register { profile: item.profile, title: item.title, state: item.progress });
            ControlFlow::Continue(())
        });
        records.extend(core.store().tombstones().into_iter().map(|(profile, erased)| Record::Erased { profile, erased }));
        Self::Records { records, floor_day: core.store().floor_day() }
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{ProfileId, Progress, TitleId};
    use leftoff::store::Record;
    use leftoff::store::log::FileSystem as _;
    use leftoff::time::{Hlc, WallTime};

    use super::*;
    use crate::checkers::testing::scenario;

    /// A disk after so many groups were written to its log, and the log.
    fn written(groups: u64) -> (Disk, String) {
        let mut disk = Disk::new(&scenario().replicas, false, 1, Random::of(1, "disk", 0));
        let (core, _) = disk.open().unwrap();
        for number in 1..=groups {
            let mut batch = Batch::local();
            for title in 0..number {
                let title = TitleId::new(format!("film {title}")).unwrap();
                let state = Progress::hiding(Hlc::ZERO, Hlc::from_wall(WallTime::from_millis(1_790_000_000_000 + number)));
                batch.push(&Record::Register { profile: ProfileId::new("p").unwrap(), title, state });
            }
            core.store().append(batch).unwrap();
            core.flush().unwrap();
        }
        let path = disk.files.paths().into_iter().find(|path| path.starts_with("log/")).unwrap();
        (disk, path)
    }

    #[test]
    fn damage_is_told_of_flipped_bits_exactly_where_something_intact_after_them_says_that_they_were_synced() {
        for (groups, least_told) in [(1, 64), (3, 200)] {
            let (mut disk, path) = written(groups);
            let before = disk.files.read(&path).unwrap();
            let (files, engine) = (disk.files.copy(), disk.engine.copy());
            // One bit everywhere, then two: the head and the only group after it may both be hit, or a frame and the marks after it.
            let len = before.len();
            let one = (0..len).map(|offset| vec![offset]);
            let two = (0..3 * len).map(|number| vec![number % len, (number * 7 + number / len * 31) % len]).filter(|two| two[0] != two[1]);
            let mut told = 0;
            for flipped in one.chain(two) {
                (disk.files, disk.engine) = (files.copy(), engine.copy());
                flipped.iter().for_each(|offset| disk.files.flip_bit(&path, *offset, 3));
                let (_, report) = disk.open().unwrap();
                assert_eq!(!report.damage.is_empty(), is_proven(&before, &flipped), "bits at {flipped:?} of {len}");
                told += usize::from(flipped.len() == 1 && !report.damage.is_empty());
            }
            assert!((least_told..len).contains(&told), "{told} of {len}: all but the last group");
        }
    }
}
