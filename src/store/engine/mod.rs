//! The engine under the table: what a fold writes to and reads fall back to. Asked for little, in batches.
//!
//! `merge`, not `put`: registers are joins, so two writers can never overwrite each other, and an engine may be shared.

mod memory;

pub use memory::MemoryEngine;

use std::ops::ControlFlow;

use super::{KeyRange, RegisterKey, Seq};
use crate::progress::{ProfileId, Progress, TitleId};

/// Why the engine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(String),
    /// A stored value does not read back as it was written.
    #[error("the value at key {key:032x} is damaged: {what}")]
    Damaged {
        /// Its key.
        key: u128,
        /// What is wrong.
        what: String,
    },
    /// The file system refused.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// A register as the engine holds it, or a delta to be merged into it.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineRegister {
    /// Where it lies.
    pub key: RegisterKey,
    /// Whose.
    pub profile: ProfileId,
    /// Of which title.
    pub title: TitleId,
    /// Its state.
    pub progress: Progress,
    /// When it last arrived at this replica.
    pub arrived: Seq,
}

/// What a merge did to one register. `None`: there was none, or it is dropped now.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    /// Where it lies.
    pub key: RegisterKey,
    /// Before.
    pub old: Option<&'a Progress>,
    /// After.
    pub new: Option<&'a Progress>,
    /// When it last arrived.
    pub arrived: Seq,
}

/// Which registers are nothing, so that a merge drops them: begun before their profile's erasure, or expired.
pub trait Sift: Sync {
    /// Whether the register still is something.
    fn keeps(&self, key: RegisterKey, profile: &str, progress: &Progress) -> bool;
}

/// What registers are folded into. Thread-safe; one fold writes at a time, reads may run beside it.
pub trait Engine: Send + Sync {
    /// Joins deltas, sorted by key and each key once, into the registers, drops what `sift` does not keep, and tells `visit` of each change.
    ///
    /// `sweep`: key ranges whose registers are all put before `sift`, though no delta names them.
    fn merge(
        &self,
        deltas: &[EngineRegister],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError>;

    /// Visits the registers of a range in key order.
    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError>;

    /// A small value under a name.
    fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The small values whose names begin so, in order.
    fn meta_under(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError>;

    /// Sets small values, or removes them, all or none.
    fn put_meta(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError>;

    /// Returns when everything merged and put before would survive a loss of power.
    fn sync(&self) -> Result<(), EngineError>;
}
