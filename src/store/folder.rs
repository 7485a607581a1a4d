//! A store in a folder: the lock, the log's files, the database beside them.
//!
//! ```text
//! lock          held while the store is open
//! log/          segments
//! engine/       sled's files
//! quarantine/   damaged segments (copies), databases that would not open
//! ```

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::engine::{Engine, EngineError, SledEngine};
use super::log::recovery::QUARANTINE_FOLDER;
use super::log::{FileSystem, OsFiles};
use super::{Fresh, OpenError, OpenReport, Store, StoreOptions};

pub(super) const ENGINE_FOLDER: &str = "engine";

/// A lock on a folder, given up when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: folder.display().to_string() }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Not left to the closing of the file: a process that this one is starting at this moment holds a copy of it until it becomes another
        // program. If it fails, the lock goes with the last copy.
        let _ = self.0.unlock();
    }
}

impl Store {
    /// Opens the store in a folder, which is made if need be, with sled, and locks the folder.
    ///
    /// A database that will not open is moved to `quarantine/`; the store is then rebuilt from what the log still holds, and the report says
    /// that it needs to be reconciled with a peer.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process, or another store of this process, has the folder open.
    pub fn open_folder(path: &Path, options: StoreOptions, fresh: Fresh) -> Result<(Self, OpenReport), OpenError> {
        fs::create_dir_all(path)?;
        let lock = FolderLock::take(path)?;
        let engine_folder = path.join(ENGINE_FOLDER);
        let mut moved_to = None;
        let engine = match SledEngine::open(&engine_folder, options.engine_cache_bytes) {
            Ok(engine) => engine,
            // Space, rights and open files come back; a database moved aside for want of them would be out of service for nothing.
            Err(error @ EngineError::Io { .. }) => return Err(error.into()),
            Err(error) => {
                let aside = move_aside(path)?;
                tracing::error!(%error, moved_to = %aside, "the database did not open and was moved aside");
                moved_to = Some(aside);
                SledEngine::open(&engine_folder, options.engine_cache_bytes)?
            }
        };
        let files: Arc<dyn FileSystem> = Arc::new(OsFiles::new(path));
        let engine: Box<dyn Engine> = Box::new(engine);
        let (mut store, mut report) = Self::open_parts(files, engine, options, fresh, moved_to.is_some())?;
        store.lock = Some(lock);
        report.engine_moved_to = moved_to;
        Ok((store, report))
    }
}

fn move_aside(path: &Path) -> Result<String, OpenError> {
    fs::create_dir_all(path.join(QUARANTINE_FOLDER))?;
    let free = (1..=u16::MAX).map(|n| format!("{QUARANTINE_FOLDER}/engine-{n}")).find(|name| !path.join(name).exists());
    let name = free.unwrap_or_else(|| format!("{QUARANTINE_FOLDER}/engine"));
    fs::rename(path.join(ENGINE_FOLDER), path.join(&name))?;
    Ok(name)
}
