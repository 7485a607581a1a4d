//! Keys: where a register lies in the hashed key space.
//!
//! A key is 64 bits of a keyed hash of the profile, then 64 bits of a keyed hash of profile and title. So a profile is a contiguous range, a
//! slot is a prefix, and a viewer who picks ids cannot overload a part of the space. Two profiles may share their 64 bits (one chance in
//! thousands at a hundred million profiles), so whoever reads a profile's range compares ids; that two registers share all 128 is not expected.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::progress::{ProfileId, TitleId};

/// Slots that profiles are placed in: the top ten bits of a key.
pub const SLOT_COUNT: usize = 1_024;

/// One of the slots.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slot(pub u16);

/// Where a register lies in the hashed key space.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct RegisterKey(pub u128);

impl RegisterKey {
    /// The slot of the register's profile.
    pub const fn slot(self) -> Slot {
        Slot((self.0 >> 118) as u16)
    }

    /// The hash of the register's profile.
    pub const fn profile_hash(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The first key of a profile's range.
    pub const fn first_of(profile_hash: u64) -> Self {
        Self((profile_hash as u128) << 64)
    }

    /// The last key of a profile's range.
    pub const fn last_of(profile_hash: u64) -> Self {
        Self((profile_hash as u128) << 64 | u64::MAX as u128)
    }
}

/// Hashes ids to keys, under a secret.
#[derive(Clone, Copy)]
pub struct KeyHasher {
    secret: [u8; 16],
}

impl KeyHasher {
    /// A hasher under the given secret. Nodes of one cluster share it; a device has its own.
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// The hash of a profile.
    pub fn profile(&self, profile: &ProfileId) -> u64 {
        self.profile_text(profile.as_str())
    }

    pub(super) fn profile_text(&self, profile: &str) -> u64 {
        self.hash(&[profile])
    }

    pub(super) fn register_text(&self, profile: &str, title: &str) -> RegisterKey {
        RegisterKey(u128::from(self.profile_text(profile)) << 64 | u128::from(self.hash(&[profile, title])))
    }

    pub(super) const fn secret(&self) -> &[u8; 16] {
        &self.secret
    }

    /// The key of a register.
    pub fn register(&self, profile: &ProfileId, title: &TitleId) -> RegisterKey {
        self.register_in(self.profile(profile), profile, title)
    }

    /// The key of a register whose profile's hash is known.
    pub fn register_in(&self, profile_hash: u64, profile: &ProfileId, title: &TitleId) -> RegisterKey {
        RegisterKey(u128::from(profile_hash) << 64 | u128::from(self.hash(&[profile.as_str(), title.as_str()])))
    }

    /// A hash of bytes under the secret, for fingerprints and for recognising a peer with the same secret.
    pub fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(bytes);
        hasher.finish()
    }

    fn hash(&self, parts: &[&str]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

/// A range of the key space, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Its first key.
    pub first: RegisterKey,
    /// Its last key.
    pub last: RegisterKey,
}

impl KeyRange {
    /// The whole key space.
    pub const ALL: Self = Self { first: RegisterKey(0), last: RegisterKey(u128::MAX) };

    /// The registers of one profile hash.
    pub const fn of_profile(profile_hash: u64) -> Self {
        Self { first: RegisterKey::first_of(profile_hash), last: RegisterKey::last_of(profile_hash) }
    }

    /// The keys of one slot.
    pub const fn of_slot(slot: Slot) -> Self {
        let first = (slot.0 as u128) << 118;
        Self { first: RegisterKey(first), last: RegisterKey(first | ((1 << 118) - 1)) }
    }

    /// Whether a key lies in the range.
    pub const fn contains(&self, key: RegisterKey) -> bool {
        self.first.0 <= key.0 && key.0 <= self.last.0
    }

    /// What this range and another have in common.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }
}
