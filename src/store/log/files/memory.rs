//! Files in memory that can fail: for tests and simulation.
//!
//! What was not synced is lost by [`MemoryFiles::lose_power`], or survives in part. Every call counts as one I/O operation; a [`Fault`] is armed
//! for the n-th from now, so that a test can walk a crash through all of them.

use std::collections::BTreeMap;
use std::io::{self, Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FileSystem, LogFile};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// From here on, nothing reaches the files any more: every call fails. [`MemoryFiles::lose_power`] then restarts the world.
    Crash,
    /// One append takes only a part of what it is given and says so.
    ShortWrite,
    /// One append takes a part and fails: no space is left.
    FullDisk,
    /// One sync fails.
    FailedSync,
}

/// Bytes of one piece of a file: a log that grows is not to be moved each time it has doubled.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces of removed files that are kept to be written to again: to have memory from the system anew costs more than all that is written there.
const SPARE_COUNT_MAX: usize = 4_096;

/// The bytes of a file, in pieces of [`PIECE_BYTES`], of which only the last may be shorter.
#[derive(Clone, Debug, Default)]
struct Bytes {
    pieces: Vec<Vec<u8>>,
    len: usize,
}

impl Bytes {
    fn extend(&mut self, mut bytes: &[u8], spare: &mut Vec<Vec<u8>>) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let room = self.pieces.last().map_or(0, |last| PIECE_BYTES - last.len());
            let (taken, rest) = bytes.split_at(bytes.len().min(room));
            if let Some(last) = self.pieces.last_mut() {
                last.extend_from_slice(taken);
            }
            if !rest.is_empty() {
                // The first one is as large as what it holds: most files are small.
                let first = self.pieces.is_empty().then(|| Vec::with_capacity(rest.len().min(PIECE_BYTES)));
                self.pieces.push(first.or_else(|| spare.pop()).unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES)));
            }
            bytes = rest;
        }
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.pieces.truncate(self.len.div_ceil(PIECE_BYTES));
        if let Some(last) = self.pieces.last_mut() {
            last.truncate(match self.len % PIECE_BYTES {
                0 => PIECE_BYTES,
                part => part,
            });
        }
    }

    fn get_mut(&mut self, offset: usize) -> Option<&mut u8> {
        self.pieces.get_mut(offset / PIECE_BYTES)?.get_mut(offset % PIECE_BYTES)
    }

    fn head(&self, len: usize) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.len.min(len));
        for piece in &self.pieces {
            let taken = piece.len().min(len - head.len());
            head.extend_from_slice(&piece[..taken]);
            if head.len() == len {
                break;
            }
        }
        head
    }
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Bytes,
    /// So many of the bytes survive a loss of power.
    synced: usize,
    /// Whether the name does.
    named: bool,
}

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<String, Content>,
    /// Pieces of removed files, empty.
    spare: Vec<Vec<u8>>,
    operations: u64,
    armed: Option<(u64, Fault)>,
    crashed: bool,
    full: bool,
}

impl World {
    /// Counts an operation and answers the fault that strikes it.
    fn strike(&mut self) -> io::Result<Option<Fault>> {
        self.operations += 1;
        if self.crashed {
            return Err(Error::other("crashed"));
        }
        let struck = self.armed.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        if struck == Some(Fault::Crash) {
            self.crashed = true;
            return Err(Error::other("crashed"));
        }
        Ok(struck)
    }

    fn file(&mut self, path: &str) -> io::Result<&mut Content> {
        file_of(&mut self.files, path)
    }
}

fn file_of<'a>(files: &'a mut BTreeMap<String, Content>, path: &str) -> io::Result<&'a mut Content> {
    files.get_mut(path).ok_or_else(|| Error::new(ErrorKind::NotFound, path.to_owned()))
}

/// A file system in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    world: Arc<Mutex<World>>,
}

impl MemoryFiles {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of all files as a program sees them now, what is not synced included, which goes its own way from here on.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut files = self.world().files.clone();
        for file in files.values_mut() {
            (file.synced, file.named) = (file.bytes.len, true);
        }
        Self { world: Arc::new(Mutex::new(World { files, ..World::default() })) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Arms a fault for the `nth` operation from now, counted from 1.
    pub fn arm(&self, nth: u64, fault: Fault) {
        let mut world = self.world();
        world.armed = Some((world.operations + nth, fault));
    }

    /// From here on no append finds space, until it is said that there is some.
    pub fn set_full(&self, full: bool) {
        self.world().full = full;
    }

    /// Whether an armed [`Fault::Crash`] has struck.
    pub fn has_crashed(&self) -> bool {
        self.world().crashed
    }

    /// Loses power and starts again: of each file, what was synced survives, and of the rest the first `kept_permille` thousandths.
    pub fn lose_power(&self, kept_permille: u16) {
        let mut world = self.world();
        world.files.retain(|_, file| file.named);
        for file in world.files.values_mut() {
            let unsynced = file.bytes.len - file.synced;
            file.bytes.truncate(file.synced + unsynced * usize::from(kept_permille.min(1_000)) / 1_000);
            file.synced = file.bytes.len;
        }
        world.crashed = false;
        world.armed = None;
    }

    /// Flips one bit of a file; nothing if it has no such byte.
    pub fn flip_bit(&self, path: &str, offset: usize, bit: u8) {
        if let Ok(file) = self.world().file(path)
            && let Some(byte) = file.bytes.get_mut(offset)
        {
            *byte ^= 1 << (bit & 7);
        }
    }

    /// Makes zeros of everything in a file from there on, as file systems leave behind that knew its size before its bytes; nothing if it has no such byte.
    pub fn zero_from(&self, path: &str, offset: usize) {
        if let Ok(file) = self.world().file(path) {
            (offset..file.bytes.len).for_each(|offset| file.bytes.get_mut(offset).into_iter().for_each(|byte| *byte = 0));
        }
    }

    /// Names of all files.
    pub fn paths(&self) -> Vec<String> {
        self.world().files.keys().cloned().collect()
    }
}

impl FileSystem for MemoryFiles {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.strike()?;
        let names = world.files.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        let mut world = self.world();
        world.strike()?;
        if world.files.contains_key(path) {
            return Err(Error::new(ErrorKind::AlreadyExists, path.to_owned()));
        }
        world.files.insert(path.to_owned(), Content::default());
        Ok(Box::new(MemoryFile { files: self.clone(), path: path.to_owned() }))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.strike()?;
        world.file(path).map(|file| file.bytes.head(usize::MAX))
    }

    fn size(&self, path: &str) -> io::Result<u64> {
        let mut world = self.world();
        world.strike()?;
        world.file(path).map(|file| file.bytes.len as u64)
    }

    fn read_head(&self, path: &str, bytes: usize) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.strike()?;
        world.file(path).map(|file| file.bytes.head(bytes))
    }

    fn truncate(&self, path: &str, bytes: u64) -> io::Result<()> {
        let mut world = self.world();
        world.strike()?;
        let file = world.file(path)?;
        file.bytes.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        file.synced = file.bytes.len;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.strike()?;
        let file = world.files.remove(from).ok_or_else(|| Error::new(ErrorKind::NotFound, from.to_owned()))?;
        world.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.strike()?;
        let removed = world.files.remove(path).ok_or_else(|| Error::new(ErrorKind::NotFound, path.to_owned()))?;
        let room = SPARE_COUNT_MAX.saturating_sub(world.spare.len());
        let whole = removed.bytes.pieces.into_iter().filter(|piece| piece.capacity() == PIECE_BYTES);
        world.spare.extend(whole.take(room).map(|mut piece| {
            piece.clear();
            piece
        }));
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut world = self.world();
        if world.strike()? == Some(Fault::FailedSync) {
            return Err(Error::other("sync failed"));
        }
        for (path, file) in &mut world.files {
            if path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')) {
                file.named = true;
            }
        }
        Ok(())
    }
}

struct MemoryFile {
    files: MemoryFiles,
    path: String,
}

impl LogFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.files.world();
        let struck = world.strike()?;
        let struck = if world.full { Some(Fault::FullDisk) } else { struck };
        let taken = match struck {
            Some(Fault::ShortWrite | Fault::FullDisk) => bytes.len() / 2,
            _ => bytes.len(),
        };
        let World { files, spare, .. } = &mut *world;
        file_of(files, &self.path)?.bytes.extend(&bytes[..taken], spare);
        if struck == Some(Fault::FullDisk) {
            return Err(Error::new(ErrorKind::StorageFull, "no space is left"));
        }
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.files.world();
        if world.strike()? == Some(Fault::FailedSync) {
            return Err(Error::other("sync failed"));
        }
        let file = world.file(&self.path)?;
        file.synced = file.bytes.len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_pieces_is_as_a_file_in_one() {
        let (mut bytes, mut model, mut spare) = (Bytes::default(), Vec::new(), vec![Vec::with_capacity(PIECE_BYTES)]);
        for (round, len) in [0, 1, PIECE_BYTES - 1, 1, PIECE_BYTES, 3 * PIECE_BYTES + 7, 5].into_iter().enumerate() {
            let added: Vec<u8> = (0..len).map(|at| (at % 251) as u8 ^ round as u8).collect();
            bytes.extend(&added, &mut spare);
            model.extend(&added);
            assert_eq!(bytes.head(usize::MAX), model);
            assert_eq!(bytes.head(PIECE_BYTES + 1), model[..model.len().min(PIECE_BYTES + 1)]);
        }
        for len in [model.len() + 1, model.len() - 1, 4 * PIECE_BYTES, 4 * PIECE_BYTES - 1, PIECE_BYTES, 1, 0] {
            bytes.truncate(len);
            model.truncate(len);
            assert_eq!((bytes.len, bytes.head(usize::MAX)), (model.len(), model.clone()));
            bytes.extend(b"again", &mut spare);
            model.extend(b"again");
            assert_eq!(bytes.head(usize::MAX), model);
            *bytes.get_mut(model.len() - 1).unwrap() ^= 1;
            *model.last_mut().unwrap() ^= 1;
            assert_eq!(bytes.get_mut(model.len()), None);
        }
    }
}
