//! The log: every append goes here first, in segments of frames, and is acknowledged when they are synced.

pub mod files;
pub(super) mod recovery;
pub(super) mod segment;
pub(super) mod witness;
pub(super) mod writer;

pub use files::{Fault, FileSystem, LogFile, MemoryFiles, OsFiles};

/// Why the log could not be read, written or dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system refused.
    #[error("{what} {file} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file, relative to the store's folder.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}
