//! What is kept of each leaf of the key space: the fingerprint of its folded registers, and the highest number that one of them arrived under.

use std::ops::ControlFlow;

use super::engine::{Engine, EngineError, Merged};
use super::fingerprint::{Fingerprint, Fingerprints, LEAF_COUNT};
use super::{KeyRange, Seq, Slot};

/// Leaves in a slot.
pub(super) const LEAVES_PER_SLOT: usize = LEAF_COUNT / super::SLOT_COUNT;

/// Fingerprints and arrivals by leaf. Two and a half megabytes; made when first needed.
#[derive(Debug)]
pub(super) struct Leaves {
    fingerprints: Fingerprints,
    arrived: Box<[Seq]>,
}

impl Leaves {
    /// Reads all registers of the engine. No fold may run meanwhile.
    pub(super) fn of(engine: &dyn Engine, secret: &[u8; 16]) -> Result<Self, EngineError> {
        let mut leaves = Self { fingerprints: Fingerprints::empty(), arrived: vec![Seq(0); LEAF_COUNT].into() };
        let mut bytes = Vec::new();
        engine.scan(KeyRange::ALL, &mut |register| {
            let leaf = Fingerprints::leaf_of(register.key);
            bytes.clear();
            register.progress.encode(&mut bytes);
            leaves.fingerprints.leaves[leaf].add(Fingerprint::of(secret, register.key, &bytes));
            leaves.arrived[leaf] = leaves.arrived[leaf].max(register.arrived);
            ControlFlow::Continue(())
        })?;
        Ok(leaves)
    }

    /// Takes note of a merge.
    pub(super) fn note(&mut self, merged: &Merged<'_>, secret: &[u8; 16]) {
        let leaf = Fingerprints::leaf_of(merged.key);
        #[cfg(leftoff_planted)]
        if merged.old.is_some() && crate::planted::is_on(crate::planted::Planted::StaleFingerprint) {
            return;
        }
        if let Some(old) = merged.old {
            self.fingerprints.leaves[leaf].subtract(Fingerprint::of(secret, merged.key, &old.to_bytes()));
        }
        if let Some(new) = merged.new {
            self.fingerprints.leaves[leaf].add(Fingerprint::of(secret, merged.key, &new.to_bytes()));
            self.arrived[leaf] = self.arrived[leaf].max(merged.arrived);
        }
    }

    pub(super) fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Which leaves of a slot hold something that arrived after `seq`: a bit for each.
    pub(super) fn after(&self, slot: Slot, seq: Seq) -> u64 {
        let first = usize::from(slot.0) * LEAVES_PER_SLOT;
        let leaves = self.arrived.iter().skip(first).take(LEAVES_PER_SLOT);
        leaves.enumerate().fold(0, |bits, (index, arrived)| bits | u64::from(*arrived > seq) << index)
    }
}
