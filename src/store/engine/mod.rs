//! The engine under the table: what a fold writes to and reads fall back to. Asked for little, in batches.
//!
//! `merge`, not `put`: registers are joins, so two writers can never overwrite each other, and an engine may be shared.

mod dictionary;
mod memory;
mod page;
mod sled;

pub use self::sled::SledEngine;
pub use memory::MemoryEngine;

use std::ops::ControlFlow;

use super::forgetting::is_at_or_above;
use super::{Damage, KeyRange, RegisterKey, Seq};
use crate::progress::{DecodeError, ProfileId, Progress, TitleId};

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
    /// The database has met a part of its file that does not read back. It is not opened again: the next opening moves it aside.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// A register or a small value does not read back as it was written.
    #[error("a stored value does not read back")]
    Decode(#[from] DecodeError),
    /// The file system refused.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// The name of a small value, and the value.
pub type SmallValue = (Vec<u8>, Vec<u8>);

/// A register to be merged, borrowed: ids as the codec encodes them, the state in its canonical bytes.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// Where it lies.
    pub key: RegisterKey,
    /// Whose, encoded.
    pub profile: &'a [u8],
    /// Of which title, encoded.
    pub title: &'a [u8],
    /// Its state, encoded.
    pub state: &'a [u8],
    /// When it last arrived at this replica.
    pub arrived: Seq,
    /// The expiry floor (days since the Unix epoch) that was in force when the first of it arrived: a register that had expired by then was
    /// nothing, and this begins anew.
    pub floor_day: u32,
}

impl Delta<'_> {
    /// Whether what the engine holds of the register was still something when this came.
    fn finds(&self, held: &Progress) -> bool {
        is_at_or_above(held, self.floor_day)
    }
}

/// A register as the engine holds it.
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
    /// Whether the register of this profile (its id encoded) still is something.
    fn keeps(&self, key: RegisterKey, profile: &[u8], progress: &Progress) -> bool;
}

/// What reading a whole engine found.
#[derive(Clone, Debug, Default)]
pub struct EngineVerified {
    /// Values that hold registers.
    pub pages: u64,
    /// Registers, each decoded.
    pub registers: u64,
    /// What does not read back as it was written.
    pub damage: Vec<Damage>,
}

/// What registers are folded into. Thread-safe; one fold writes at a time, reads may run beside it.
///
/// A value that turns out damaged is set aside, not served; [`Engine::take_damage`] tells. What else it held comes back from the log or from peers.
pub trait Engine: Send + Sync {
    /// Joins deltas, sorted by key and each key once, into the registers, drops what `sift` does not keep, and tells `visit` of each change.
    ///
    /// `sweep`: key ranges, sorted and apart, whose registers are all put before `sift`, though no delta names them.
    fn merge(
        &self,
        deltas: &[Delta<'_>],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError>;

    /// Visits the registers of a range in key order.
    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError>;

    /// One register's state and arrival.
    fn register(&self, key: RegisterKey) -> Result<Option<(Progress, Seq)>, EngineError> {
        let mut found = None;
        self.scan(KeyRange { first: key, last: key }, &mut |register| {
            found = Some((register.progress, register.arrived));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// A small value under a name.
    fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The small values whose names begin so, in order.
    fn meta_under(&self, prefix: &[u8]) -> Result<Vec<SmallValue>, EngineError>;

    /// Sets small values, or removes them, all or none.
    fn put_meta(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError>;

    /// Returns when everything merged and put before would survive a loss of power.
    fn sync(&self) -> Result<(), EngineError>;

    /// Damage found and set aside since the last call.
    fn take_damage(&self) -> Vec<Damage>;

    /// Reads everything and reports what does not read back.
    fn verify(&self) -> Result<EngineVerified, EngineError>;
}
