//! sled as the engine: pages of registers in one tree, small values in another.
//!
//! Three traps of sled 0.34.7, and what is done about each:
//! - On Linux its `flush` is `sync_file_range`, which writes neither the file's size nor the disk's cache. So [`Engine::sync`] syncs sled's files
//!   and folder itself, before any log is dropped.
//! - Killed while it opens, it leaves a half-written `snap.*.generating` and then refuses to open. Such files are deleted first; sled writes
//!   them anew.
//! - Items above 128 KiB, consolidated leaves included, go to files in `blobs/` that it never syncs. A leaf splits only above sixteen entries, so
//!   no value here is larger than a page of 4 KiB, and none is moved there.

use std::fs::{self, File};
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sled::{Db, IVec, Tree};

use super::page::{Page, find_in_page, visit_page};
use super::{Damage, Delta, Engine, EngineError, EngineRegister, EngineVerified, KeyRange, Merged, RegisterKey, Sift, SmallValue};
use crate::limits::PAGE_BYTES_MAX;
use crate::progress::{DecodeError, Progress};
use crate::store::Seq;
use crate::store::interner::Interner;
use crate::store::log::files::sync_folder;

const PAGES: &str = "pages";
const META: &str = "meta";
const SET_ASIDE: &str = "damaged";

/// File that says that the database has met corruption.
const CORRUPT: &str = "corrupt";

/// Pages that a merge steps over before it seeks.
const STEPS_BEFORE_SEEK: usize = 4;

/// A sled database in a folder.
pub struct SledEngine {
    folder: PathBuf,
    db: Db,
    pages: Tree,
    meta: Tree,
    set_aside: Tree,
    /// One merge at a time: two would split the same page differently.
    merging: Mutex<Interner>,
    damage: Mutex<Vec<Damage>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Corrupt(error.to_string()),
            // The system refused (no space, no more files, no right): nothing is wrong with what is stored.
            sled::Error::Io(source) if source.raw_os_error().is_some() => Self::Io { what: "the database's input or output", source },
            other => Self::Database(other.to_string()),
        }
    }
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> EngineError {
    move |source| EngineError::Io { what, source }
}

/// Deletes the half-written snapshots that a kill during opening leaves behind.
pub(super) fn remove_generating_snapshots(folder: &Path) -> Result<(), EngineError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(io("listing the database's folder"))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            fs::remove_file(entry.path()).map_err(io("removing a half-written snapshot"))?;
        }
    }
    Ok(())
}

/// How often an open is tried again because the last holder's lock was still there.
const LOCKED_TRIES: usize = 3;

/// Opens the database; waits for a lock on it that is left over. Whoever opens a folder here holds the folder's own lock, so it can only be that of
/// a process which the last holder was starting when it closed: the copy of its files is gone when it becomes another program.
fn open_unlocked(config: &sled::Config, folder: &Path) -> Result<sled::Db, EngineError> {
    for _ in 0..LOCKED_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                tracing::info!(folder = %folder.display(), "the database is still locked; waiting for that to end");
                // Taken and let go of: it is sled that is to have it.
                File::open(folder.join("db")).and_then(|file| file.lock()).map_err(io("waiting for the database's lock"))?;
            }
            other => return Ok(other?),
        }
    }
    Ok(config.open()?)
}

impl SledEngine {
    /// Opens the database in a folder, or makes it, with the given page cache in bytes.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        if folder.join(CORRUPT).exists() {
            return Err(EngineError::Corrupt("it met corruption when it was last open".into()));
        }
        remove_generating_snapshots(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput)
            .print_profile_on_drop(false);
        let db = open_unlocked(&config, folder)?;
        let (pages, meta, set_aside) = (db.open_tree(PAGES)?, db.open_tree(META)?, db.open_tree(SET_ASIDE)?);
        Ok(Self { folder: folder.to_path_buf(), db, pages, meta, set_aside, merging: Mutex::default(), damage: Mutex::default() })
    }

    /// The first page as it lies in the database: its bound and its bytes.
    #[cfg(test)]
    pub(in crate::store) fn first_page(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.pages.first().unwrap().map(|(bound, page)| (bound.to_vec(), page.to_vec()))
    }

    /// Marks the database as corrupt if that is what a call ran into, so that it is rebuilt when it is next opened.
    fn guard<T>(&self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(EngineError::Corrupt(what)) = &result {
            tracing::error!(what, folder = %self.folder.display(), "the database is corrupt; it is moved aside at the next start");
            File::create(self.folder.join(CORRUPT)).and_then(|file| file.sync_all()).map_err(io("marking the database as corrupt"))?;
        }
        result
    }

    /// Moves a page that does not read back out of the way, so that what comes back from log and peers can take its place.
    fn set_aside(&self, key: RegisterKey, bytes: &IVec, error: DecodeError) -> Result<(), EngineError> {
        self.set_aside.insert(key.0.to_be_bytes(), bytes)?;
        // Only those bytes: a fold may have met the same page first, and put a sound one in its place.
        let removed = self.pages.compare_and_swap(key.0.to_be_bytes(), Some(bytes), None::<&[u8]>)?;
        if removed.is_err() {
            return Ok(());
        }
        lock(&self.damage).push(damaged_page(key, bytes.len(), error));
        Ok(())
    }

    fn walk_from(&self, key: RegisterKey) -> Result<Walk<'_>, EngineError> {
        let current = self.pages.range(..=key.0.to_be_bytes()).next_back().transpose()?.map(own);
        let start = current.as_ref().map_or(Bound::Unbounded, |(bound, _)| Bound::Excluded(bound.0.to_be_bytes()));
        let mut rest = self.pages.range((start, Bound::Unbounded));
        let next = rest.next().transpose()?.map(own);
        Ok(Walk { current, next, rest, engine: self })
    }
}

fn damaged_page(key: RegisterKey, bytes: usize, error: DecodeError) -> Damage {
    Damage { file: "engine".into(), offset: 0, bytes: bytes as u64, key: Some(key.0), what: format!("a page does not read back: {error}") }
}

fn own((key, value): (IVec, IVec)) -> (RegisterKey, IVec) {
    // Keys are always sixteen bytes; of anything else in the tree, the first page would be made.
    let key = <[u8; 16]>::try_from(&*key).map_or(0, u128::from_be_bytes);
    (RegisterKey(key), value)
}

/// A walk over pages in key order, which knows where the current page ends.
struct Walk<'a> {
    current: Option<(RegisterKey, IVec)>,
    next: Option<(RegisterKey, IVec)>,
    rest: sled::Iter,
    engine: &'a SledEngine,
}

impl Walk<'_> {
    /// Makes the page that `key` belongs to the current one. Never goes back.
    fn go_to(&mut self, key: RegisterKey) -> Result<(), EngineError> {
        for _ in 0..STEPS_BEFORE_SEEK {
            if self.next.as_ref().is_none_or(|(bound, _)| key < *bound) {
                return Ok(());
            }
            self.step()?;
        }
        if self.next.as_ref().is_some_and(|(bound, _)| key >= *bound) {
            *self = self.engine.walk_from(key)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), EngineError> {
        self.current = self.next.take();
        self.next = self.rest.next().transpose()?.map(own);
        Ok(())
    }

    fn upper(&self) -> Option<RegisterKey> {
        self.next.as_ref().map(|(bound, _)| *bound)
    }
}

impl SledEngine {
    fn put_page(&self, page: &Page<'_>, bound: RegisterKey, ids: &Interner, whole: &mut Vec<u8>) -> Result<(), EngineError> {
        if page.is_empty() {
            self.pages.remove(bound.0.to_be_bytes())?;
            return Ok(());
        }
        page.encode(ids, whole)?;
        if whole.len() <= PAGE_BYTES_MAX {
            self.pages.insert(bound.0.to_be_bytes(), whole.as_slice())?;
            return Ok(());
        }
        // The first page last: until it is rewritten it still holds what the new pages behind it hold, and readers stop at their keys.
        for (key, bytes) in page.split(bound, whole, ids)?.iter().rev() {
            self.pages.insert(key.0.to_be_bytes(), bytes.as_slice())?;
        }
        Ok(())
    }

    fn merge_pages(
        &self,
        mut deltas: &[Delta<'_>],
        mut sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError> {
        let ids = lock(&self.merging);
        let mut walk: Option<Walk<'_>> = None;
        let mut from = RegisterKey(0);
        let mut whole = Vec::with_capacity(2 * PAGE_BYTES_MAX);
        loop {
            let swept = sweep.first().map(|range| range.first.max(from));
            let Some(key) = deltas.first().map(|delta| delta.key).into_iter().chain(swept).min() else { break };
            match &mut walk {
                Some(walk) => walk.go_to(key)?,
                None => walk = Some(self.walk_from(key)?),
            }
            let Some(walk) = &walk else { break };
            let upper = walk.upper();
            let count = upper.map_or(deltas.len(), |upper| deltas.partition_point(|delta| delta.key < upper));
            let (here, later) = deltas.split_at(count);
            let bound = walk.current.as_ref().map_or(RegisterKey(0), |(bound, _)| *bound);
            let mut page = Page::default();
            if let Some((bound, bytes)) = &walk.current {
                match Page::parse(bytes, upper) {
                    Ok(parsed) => page = parsed,
                    Err(error) => self.set_aside(*bound, bytes, error)?,
                }
            }
            if page.merge(here, sweep, sift, &ids, visit)? {
                self.put_page(&page, bound, &ids, &mut whole)?;
            }
            deltas = later;
            let Some(upper) = upper else { break };
            from = upper;
            let done = sweep.iter().take_while(|range| range.last < upper).count();
            sweep = &sweep[done..];
        }
        Ok(())
    }

    fn scan_pages(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError> {
        let mut walk = self.walk_from(range.first)?;
        if walk.current.is_none() {
            walk.step()?;
        }
        while let Some((bound, bytes)) = &walk.current {
            if *bound > range.last {
                break;
            }
            match visit_page(bytes, range, walk.upper(), visit) {
                Ok(ControlFlow::Continue(())) => (),
                Ok(ControlFlow::Break(())) => break,
                Err(error) => self.set_aside(*bound, bytes, error)?,
            }
            walk.step()?;
        }
        Ok(())
    }

    fn find_register(&self, key: RegisterKey) -> Result<Option<(Progress, Seq)>, EngineError> {
        let Some((bound, bytes)) = self.pages.range(..=key.0.to_be_bytes()).next_back().transpose()?.map(own) else { return Ok(None) };
        find_in_page(&bytes, key).or_else(|error| {
            self.set_aside(bound, &bytes, error)?;
            Err(EngineError::Damaged { key: bound.0, what: error.to_string() })
        })
    }
}

impl Engine for SledEngine {
    fn merge(
        &self,
        deltas: &[Delta<'_>],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError> {
        self.guard(self.merge_pages(deltas, sweep, sift, visit))
    }

    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError> {
        self.guard(self.scan_pages(range, visit))
    }

    fn register(&self, key: RegisterKey) -> Result<Option<(Progress, Seq)>, EngineError> {
        self.guard(self.find_register(key))
    }

    fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.meta.get(name)?.map(|value| value.to_vec()))
    }

    fn meta_under(&self, prefix: &[u8]) -> Result<Vec<SmallValue>, EngineError> {
        let found = self.meta.scan_prefix(prefix).map(|pair| pair.map(|(name, value)| (name.to_vec(), value.to_vec())));
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn put_meta(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (name, value) in changes {
            match value {
                Some(value) => batch.insert(name.as_slice(), value.as_slice()),
                None => batch.remove(name.as_slice()),
            }
        }
        Ok(self.meta.apply_batch(batch)?)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.db.flush()?;
        let entries = fs::read_dir(&self.folder).map_err(io("listing the database's folder"))?;
        for entry in entries {
            let entry = entry.map_err(io("listing the database's folder"))?;
            // sled replaces its snapshots as it goes; one that has just gone needs no sync.
            if let Ok(file) = File::open(entry.path())
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                file.sync_all().map_err(io("syncing the database"))?;
            }
        }
        sync_folder(&self.folder).map_err(io("syncing the database's folder"))
    }

    fn take_damage(&self) -> Vec<Damage> {
        std::mem::take(&mut *lock(&self.damage))
    }

    fn verify(&self) -> Result<EngineVerified, EngineError> {
        let mut verified = EngineVerified { damage: lock(&self.damage).clone(), ..EngineVerified::default() };
        for pair in &self.set_aside {
            let (key, bytes) = own(pair?);
            verified.damage.push(damaged_page(key, bytes.len(), DecodeError::Invalid { field: "page set aside" }));
        }
        for pair in &self.pages {
            match pair.map(own) {
                Ok((key, bytes)) => {
                    verified.pages += 1;
                    let mut registers = 0;
                    let read = visit_page(&bytes, KeyRange::ALL, None, &mut |_| {
                        registers += 1;
                        ControlFlow::Continue(())
                    });
                    verified.registers += registers;
                    verified.damage.extend(read.err().map(|error| damaged_page(key, bytes.len(), error)));
                }
                Err(error) => {
                    let what = format!("the database cannot read its file: {error}");
                    verified.damage.push(Damage { file: "engine/db".into(), offset: offset_in(&error), bytes: 0, key: None, what });
                    break;
                }
            }
        }
        Ok(verified)
    }
}

/// Where in its file sled met the corruption. Its error says so only in words.
fn offset_in(error: &sled::Error) -> u64 {
    let sled::Error::Corruption { at: Some(at), .. } = error else { return 0 };
    let text = format!("{at:?}");
    text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty()).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

impl std::fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledEngine").field("folder", &self.folder).finish_non_exhaustive()
    }
}
