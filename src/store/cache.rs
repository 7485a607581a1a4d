//! Profiles as the engine holds them, decoded, for those that read the same ones again.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::engine::EngineRegister;

/// All registers under one profile hash, in key order.
pub(super) type CachedProfile = Arc<[EngineRegister]>;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<u64, CachedProfile> for ByBytes {
    fn weight(&self, _hash: &u64, profile: &CachedProfile) -> u64 {
        bytes_of(profile)
    }
}

fn bytes_of(profile: &[EngineRegister]) -> u64 {
    // The ids and the device behind each register are allocations of their own; 200 bytes cover them with UUIDs.
    (64 + profile.len() * (size_of::<EngineRegister>() + 200)) as u64
}

/// A cache bounded in bytes.
pub(super) struct ProfileCache {
    cache: Cache<u64, CachedProfile, ByBytes>,
    bytes_max: u64,
}

impl ProfileCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        // Sized for profiles of a few titles; the bound in bytes is what holds.
        let count = (bytes_max / 4_096).clamp(16, 65_536);
        Self { cache: Cache::with_weighter(count, bytes_max as u64, ByBytes), bytes_max: bytes_max as u64 }
    }

    pub(super) fn get(&self, profile_hash: u64) -> Option<CachedProfile> {
        self.cache.get(&profile_hash)
    }

    /// Keeps a profile, unless it alone would push most others out.
    pub(super) fn insert(&self, profile_hash: u64, profile: CachedProfile) {
        if bytes_of(&profile) <= self.bytes_max / 4 {
            self.cache.insert(profile_hash, profile);
        }
    }

    pub(super) fn remove(&self, profile_hash: u64) {
        self.cache.remove(&profile_hash);
    }
}
