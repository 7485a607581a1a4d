//! Errors of the store, one enum an attempt.

use std::io;
use std::sync::Arc;

use super::engine::EngineError;
use super::log::LogError;
use crate::progress::DecodeError;

/// Why a store did not open. Nothing was changed, except where a variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the folder open.
    #[error("another process has {folder} open")]
    Locked {
        /// The folder.
        folder: String,
    },
    /// The folder was made with another key secret.
    #[error("the folder was made with another key secret")]
    OtherSecret,
    /// The folder was written by a version of leftoff that this one does not know.
    #[error("the folder has layout version {found}, this program reads up to {known}")]
    Version {
        /// Found on disk.
        found: u32,
        /// The newest that this program reads.
        known: u32,
    },
    /// The log could not be read or made.
    #[error("the log could not be opened")]
    Log(#[from] LogError),
    /// The engine failed.
    #[error("the engine could not be opened")]
    Engine(#[from] EngineError),
    /// Folding what a damaged log still held failed.
    #[error("what was replayed could not be folded")]
    Fold(#[from] FoldError),
    /// The folder could not be read or made.
    #[error("the folder could not be opened")]
    Io(#[from] io::Error),
}

/// Why a batch was not appended. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The table or the buffer before the log is full; writers must wait.
    #[error("the store is {what} beyond its bound; try again in {retry_ms} ms")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// When to try again, in milliseconds.
        retry_ms: u64,
    },
    /// The store closed itself after a failed write, or was closed.
    #[error("the store is closed: {0}")]
    Closed(Arc<str>),
    /// The batch is larger than a log frame may be.
    #[error("a batch of {bytes} bytes is larger than {bound}")]
    TooLarge {
        /// Size of the batch, in bytes.
        bytes: usize,
        /// The bound.
        bound: usize,
    },
}

/// Why a flush failed. The store is closed: what was appended since the last flush may or may not survive; only reopening tells.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Writing or syncing the log failed, now or earlier.
    #[error("the store is closed: {0}")]
    Closed(Arc<str>),
}

/// Why a fold failed. Nothing is lost: the log still holds what was being folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The engine failed.
    #[error("the engine failed while folding")]
    Engine(#[from] EngineError),
    /// Dropping folded log failed.
    #[error("folded log could not be dropped")]
    Log(#[from] LogError),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The engine failed.
    #[error("the engine failed while reading")]
    Engine(#[from] EngineError),
    /// A register does not read back as it was written.
    #[error("a register does not read back")]
    Decode(#[from] DecodeError),
    /// Folding, which this read needed, failed.
    #[error("folding before the read failed")]
    Fold(#[from] FoldError),
}

/// Why a store was not closed cleanly. It is closed; the next open takes longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The last flush failed.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The last fold failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
}
