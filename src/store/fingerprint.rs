//! Fingerprints: what two replicas compare to find where they differ.
//!
//! A fingerprint of a set of registers is the sum of a keyed 128-bit hash over each one's key and canonical bytes, and their count. Sums can be
//! kept up to date by subtracting the old and adding the new, and the sum of two ranges is the fingerprint of both.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use super::{KeyRange, RegisterKey};

/// Leaves that fingerprints are kept for: the top sixteen bits of a key.
pub const LEAF_COUNT: usize = 65_536;

/// The fingerprint of a set of registers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Fingerprint {
    /// Sum of the registers' hashes, wrapping.
    pub sum: u128,
    /// How many registers.
    pub count: u64,
}

impl Fingerprint {
    /// The fingerprint of one register.
    pub fn of(secret: &[u8; 16], key: RegisterKey, canonical: &[u8]) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(&key.0.to_be_bytes());
        hasher.write(canonical);
        Self { sum: hasher.finish128().as_u128(), count: 1 }
    }

    /// Adds another set's.
    pub const fn add(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count = self.count.wrapping_add(other.count);
    }

    /// Takes another set's away.
    pub const fn subtract(&mut self, other: Self) {
        self.sum = self.sum.wrapping_sub(other.sum);
        self.count = self.count.wrapping_sub(other.count);
    }
}

/// The fingerprints of all leaves at one moment. A leaf is the keys that share their top sixteen bits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fingerprints {
    pub(super) leaves: Box<[Fingerprint]>,
}

impl Fingerprints {
    pub(super) fn empty() -> Self {
        Self { leaves: vec![Fingerprint::default(); LEAF_COUNT].into() }
    }

    /// The leaf that a key belongs to.
    pub const fn leaf_of(key: RegisterKey) -> usize {
        (key.0 >> 112) as usize
    }

    /// The keys of a leaf.
    pub const fn range_of(leaf: usize) -> KeyRange {
        let first = (leaf as u128) << 112;
        KeyRange { first: RegisterKey(first), last: RegisterKey(first | ((1 << 112) - 1)) }
    }

    /// The fingerprint of leaves `first..=last`; those beyond the last leaf are empty.
    pub fn over(&self, first: usize, last: usize) -> Fingerprint {
        let mut all = Fingerprint::default();
        for leaf in self.leaves.iter().take(last.saturating_add(1)).skip(first) {
            all.add(*leaf);
        }
        all
    }

    /// The fingerprint of a range whose ends lie on leaf boundaries; of others, that of the leaves that it touches.
    pub fn over_range(&self, range: KeyRange) -> Fingerprint {
        self.over(Self::leaf_of(range.first), Self::leaf_of(range.last))
    }
}
