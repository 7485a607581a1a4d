//! What was forgotten: the tombstones of erased profiles, and the expiry floor.
//!
//! A register begun before its profile's erasure is nothing, and so is one whose newest stamp lies before the floor: in every read, join, scan,
//! fingerprint and feed. Both only grow.
//!
//! A register is judged whole, however it is spread over engine, frozen and active table; and what comes on top of it finds it as it was by the floor
//! that was in force then. So with everything that is kept on top of something lies that floor ([`FloorDay`]), and when a fold runs changes nothing.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Seq;
use crate::progress::Progress;
use crate::time::Hlc;

const DAY_MS: u64 = 86_400_000;

/// An expiry floor that was in force at some time, in two bytes: days since the Unix epoch, up to the year 2149.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct FloorDay(u16);

impl FloorDay {
    /// The floor of a day; later ones than it can say become the last.
    pub(super) fn of(day: u32) -> Self {
        Self(u16::try_from(day).unwrap_or(u16::MAX))
    }

    /// As days since the Unix epoch.
    pub(super) fn day(self) -> u32 {
        u32::from(self.0)
    }
}

/// Whether a register lies at or above an expiry floor: its newest stamp decides about all of it.
pub(super) fn is_at_or_above(progress: &Progress, floor_day: u32) -> bool {
    floor_day == 0 || progress.newest_stamp().wall().as_millis() / DAY_MS >= u64::from(floor_day)
}

/// An erased profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Tombstone {
    /// The profile's id, encoded.
    pub(super) profile: Box<[u8]>,
    pub(super) erased: Hlc,
    pub(super) arrived: Seq,
}

#[derive(Debug, Default)]
struct State {
    /// By profile hash; two profiles may share one.
    tombstones: BTreeMap<u64, Vec<Tombstone>>,
    floor_day: u32,
}

/// Tombstones and floor. Thread-safe.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    state: RwLock<State>,
    /// Nothing was ever forgotten, as in most stores: then nobody looks further.
    anything: AtomicBool,
}

impl Forgetting {
    /// Raises a profile's erasure; answers whether that changed anything.
    pub(super) fn erase(&self, profile_hash: u64, profile: &[u8], erased: Hlc, arrived: Seq) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let tombstones = state.tombstones.entry(profile_hash).or_default();
        let changed = if let Some(known) = tombstones.iter_mut().find(|known| &*known.profile == profile) {
            let changed = known.erased < erased;
            if changed {
                (known.erased, known.arrived) = (erased, arrived);
            }
            changed
        } else {
            tombstones.push(Tombstone { profile: profile.into(), erased, arrived });
            true
        };
        self.anything.store(true, Ordering::Release);
        changed
    }

    /// Raises the floor; answers whether that changed anything.
    pub(super) fn raise_floor(&self, day: u32) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changed = state.floor_day < day;
        state.floor_day = state.floor_day.max(day);
        self.anything.store(true, Ordering::Release);
        changed
    }

    pub(super) fn floor_day(&self) -> u32 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).floor_day
    }

    /// The same, as it is kept with what arrives now.
    pub(super) fn floor(&self) -> FloorDay {
        if self.anything() { FloorDay::of(self.floor_day()) } else { FloorDay::default() }
    }

    /// When a profile was last erased; zero for never.
    pub(super) fn erased(&self, profile_hash: u64, profile: &[u8]) -> Hlc {
        if !self.anything() {
            return Hlc::ZERO;
        }
        self.state.read().unwrap_or_else(PoisonError::into_inner).erased(profile_hash, profile)
    }

    /// Whether anything was ever forgotten.
    pub(super) fn anything(&self) -> bool {
        self.anything.load(Ordering::Acquire)
    }

    /// Whether a register, as a whole, still is something.
    pub(super) fn keeps(&self, profile_hash: u64, profile: &[u8], progress: &Progress) -> bool {
        if !self.anything() {
            return true;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        progress.epoch >= state.erased(profile_hash, profile) && is_at_or_above(progress, state.floor_day)
    }

    /// The tombstones of one profile hash.
    pub(super) fn of(&self, profile_hash: u64) -> Vec<Tombstone> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).tombstones.get(&profile_hash).cloned().unwrap_or_default()
    }

    /// All tombstones of profiles whose hash is at least `from`, with it, in order; `visit` answers whether to go on.
    pub(super) fn each_from(&self, from: u64, visit: &mut dyn FnMut(u64, &Tombstone) -> bool) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        for (hash, tombstones) in state.tombstones.range(from..) {
            for tombstone in tombstones {
                if !visit(*hash, tombstone) {
                    return;
                }
            }
        }
    }
}

impl State {
    fn erased(&self, profile_hash: u64, profile: &[u8]) -> Hlc {
        let known = self.tombstones.get(&profile_hash).and_then(|all| all.iter().find(|known| &*known.profile == profile));
        known.map_or(Hlc::ZERO, |known| known.erased)
    }
}
