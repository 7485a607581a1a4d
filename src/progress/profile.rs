//! A profile: the registers of one viewer, read together, and the tombstone of its last erasure.

use std::collections::BTreeMap;

use super::{ProfileId, Progress, TitleId, row};
use crate::time::Hlc;

/// The registers of one profile at one moment, without those that were erased or have expired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// Whose.
    pub id: ProfileId,
    /// When it was last erased; zero for never. Registers begun under an earlier epoch are nothing.
    pub erased: Hlc,
    /// What was watched.
    pub registers: BTreeMap<TitleId, Progress>,
}

impl Profile {
    /// A profile with nothing in it.
    pub fn empty(id: ProfileId) -> Self {
        Self { id, erased: Hlc::ZERO, registers: BTreeMap::new() }
    }

    /// The continue-watching row: most recent first, at most `limit`.
    ///
    /// Titles are grouped by series, the most recently active one standing for its series; then completed, hidden and barely begun ones are
    /// left out. Hiding a title hides its series' older activity too.
    pub fn continue_watching(&self, limit: usize) -> Vec<(&TitleId, &Progress)> {
        row::continue_watching(&self.registers, limit)
    }
}
