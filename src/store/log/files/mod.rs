//! The seam under the log: the few things that it asks of a file system.
//!
//! The log only appends, syncs, reads whole files, cuts a tail and drops files, so that is all there is. Paths are relative to the store's
//! folder and use `/`. A new file, a rename and a removal are durable after [`FileSystem::sync_folder`]; bytes after [`LogFile::sync`].

mod memory;
mod os;

use std::io;

pub use memory::{Fault, MemoryFiles};
pub use os::OsFiles;
pub(in crate::store) use os::sync_folder;

/// Files of one store. See the module's head for what is durable when.
pub trait FileSystem: Send + Sync {
    /// Names of the files in a folder, sorted. A folder that does not exist is empty.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Makes a new file for appending, and its folder. Fails if the file exists.
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>>;

    /// The whole of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The size of a file, in bytes.
    fn size(&self, path: &str) -> io::Result<u64>;

    /// At most the first `bytes` bytes of a file.
    fn read_head(&self, path: &str, bytes: usize) -> io::Result<Vec<u8>>;

    /// Cuts a file to `bytes` and syncs it.
    fn truncate(&self, path: &str, bytes: u64) -> io::Result<()>;

    /// Gives a file another name; its folder is made.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Syncs a folder: names made, changed or removed in it are durable then.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// A file being appended to.
pub trait LogFile: Send {
    /// Appends some of `bytes`; answers how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when what was appended would survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}
