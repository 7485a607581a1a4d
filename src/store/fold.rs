//! Folding: the table's registers are merged into the engine, slot by slot, until the log behind them may go.
//!
//! A round visits every slot once. Whatever was durable when it began is in the table then or in the engine already, and each slot is emptied
//! once during the round; so when the last slot is done and the engine is synced, everything up to the round's beginning is safe there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Delta, Engine, EngineError, Merged, Sift};
use super::forgetting::{Forgetting, is_at_or_above};
use super::leaves::Leaves;
use super::meta::{Changes, FoldedState};
use super::packed::PackedRef;
use super::present::{Present, Sweeps};
use super::registers::Registers;
use super::table::entry_bytes;
use super::{FoldBudget, FoldStep, KeyRange, PeerCursor, ProfileCache, RegisterKey, ReplicaId, SLOT_COUNT, Seq, Slot};
use crate::progress::Progress;

impl Sift for Forgetting {
    fn keeps(&self, key: RegisterKey, profile: &[u8], progress: &Progress) -> bool {
        Self::keeps(self, key.profile_hash(), profile, progress)
    }
}

/// What the fold of a slot keeps.
struct SlotSift<'a> {
    forgetting: &'a Forgetting,
    /// The floor before the slot was frozen. What came on top since then came under this one or a later one, and so finds nothing where this one
    /// has dropped something.
    floor_day: u32,
    /// What was on top already, by key: it may keep alive what lies below. A later fold, of both, decides.
    on_top: Vec<RegisterKey>,
}

impl Sift for SlotSift<'_> {
    fn keeps(&self, key: RegisterKey, profile: &[u8], progress: &Progress) -> bool {
        progress.epoch >= self.forgetting.erased(key.profile_hash(), profile)
            && (is_at_or_above(progress, self.floor_day) || self.on_top.binary_search(&key).is_ok())
    }
}

/// A round in progress.
#[derive(Debug)]
struct Round {
    next_slot: usize,
    /// Everything durable when the round began.
    began: Seq,
    log_bytes: u64,
    /// The expiry floor when the round began: a later one comes back from the log.
    floor_day: u32,
    sweeps: Sweeps,
}

#[derive(Debug, Default)]
struct State {
    round: Option<Round>,
    /// What the engine's small values hold, so that a fold puts only what changed.
    stored_cursors: BTreeMap<ReplicaId, PeerCursor>,
    stored_unshared: Vec<RegisterKey>,
    stored_tombstones: Seq,
}

/// The fold: one round at a time, in steps.
pub(super) struct Fold {
    state: Mutex<State>,
    leaves: Mutex<Option<Leaves>>,
    needs_reconciliation: AtomicBool,
    folded: AtomicU64,
    rounds: AtomicU64,
    registers: AtomicU64,
    /// Bytes of log, ever written, that the last finished round has made superfluous.
    log_bytes_folded: AtomicU64,
}

/// What a fold works on.
#[derive(Clone, Copy)]
pub(super) struct FoldParts<'a> {
    pub(super) present: &'a Present,
    pub(super) engine: &'a dyn Engine,
    pub(super) cache: &'a ProfileCache,
    /// Bytes of log ever written.
    pub(super) log_bytes: u64,
    pub(super) table_bytes_start: usize,
    pub(super) log_bytes_start: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fold {
    pub(super) fn new(folded: Seq, stored: StoredMeta) -> Self {
        let state = State { round: None, stored_cursors: stored.cursors, stored_unshared: stored.unshared, stored_tombstones: folded };
        Self {
            state: Mutex::new(state),
            leaves: Mutex::new(None),
            needs_reconciliation: AtomicBool::new(stored.needs_reconciliation),
            folded: AtomicU64::new(folded.0),
            rounds: AtomicU64::new(0),
            registers: AtomicU64::new(0),
            log_bytes_folded: AtomicU64::new(0),
        }
    }

    /// Everything up to here is in the engine, and synced there.
    pub(super) fn folded(&self) -> Seq {
        Seq(self.folded.load(Ordering::Acquire))
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    pub(super) fn registers(&self) -> u64 {
        self.registers.load(Ordering::Relaxed)
    }

    pub(super) fn unfolded_log_bytes(&self, log_bytes: u64) -> u64 {
        log_bytes.saturating_sub(self.log_bytes_folded.load(Ordering::Relaxed))
    }

    pub(super) fn set_needs_reconciliation(&self, needed: bool) {
        self.needs_reconciliation.store(needed, Ordering::Release);
    }

    pub(super) fn needs_reconciliation(&self) -> bool {
        self.needs_reconciliation.load(Ordering::Acquire)
    }

    /// Does a bounded piece of a round, and begins one if it is time.
    pub(super) fn step(&self, parts: FoldParts<'_>, budget: FoldBudget) -> Result<FoldStep, EngineError> {
        let mut state = lock(&self.state);
        if state.round.is_none() {
            let Some(round) = self.begin(parts, budget.force) else { return Ok(FoldStep::Idle) };
            state.round = Some(round);
        }
        let Some(round) = state.round.as_mut() else { return Ok(FoldStep::Idle) };
        let (mut slots, mut registers) = (0, 0);
        while round.next_slot < SLOT_COUNT && slots < budget.slots.max(1) {
            let folded = self.fold_slot(parts, Slot(round.next_slot as u16), &round.sweeps)?;
            round.next_slot += 1;
            registers += folded.unwrap_or_default();
            slots += usize::from(folded.is_some());
        }
        self.registers.fetch_add(registers as u64, Ordering::Relaxed);
        if round.next_slot < SLOT_COUNT {
            return Ok(FoldStep::Worked { registers, done_permille: (round.next_slot * 1_000 / SLOT_COUNT) as u16 });
        }
        let (began, log_bytes, floor_day) = (round.began, round.log_bytes, round.floor_day);
        self.finish(parts, &mut state, began, floor_day)?;
        state.round = None;
        self.log_bytes_folded.store(log_bytes, Ordering::Relaxed);
        self.folded.store(began.0, Ordering::Release);
        self.rounds.fetch_add(1, Ordering::Relaxed);
        Ok(FoldStep::Finished { registers })
    }

    fn begin(&self, parts: FoldParts<'_>, force: bool) -> Option<Round> {
        // In this order: a floor read here is durable by then.
        let floor_day = parts.present.forgetting.floor_day();
        let began = parts.present.durable();
        let mut pending = parts.present.sweeps();
        let due = parts.present.table.bytes() >= parts.table_bytes_start
            || self.unfolded_log_bytes(parts.log_bytes) >= parts.log_bytes_start
            || !pending.is_empty();
        if !(due || force && (began > self.folded() || parts.present.table.count() > 0)) {
            return None;
        }
        let mut sweeps = std::mem::take(&mut *pending);
        drop(pending);
        sweeps.profiles.sort_unstable();
        sweeps.profiles.dedup();
        Some(Round { next_slot: 0, began, log_bytes: parts.log_bytes, floor_day, sweeps })
    }

    /// Folds one slot. `None`: there was nothing in it to do.
    fn fold_slot(&self, parts: FoldParts<'_>, slot: Slot, sweeps: &Sweeps) -> Result<Option<usize>, EngineError> {
        let range = KeyRange::of_slot(slot);
        let sweep: Vec<KeyRange> = if sweeps.everything {
            vec![range]
        } else {
            let start = sweeps.profiles.partition_point(|hash| *hash < range.first.profile_hash());
            let here = sweeps.profiles[start..].iter().take_while(|hash| **hash <= range.last.profile_hash());
            here.map(|hash| KeyRange::of_profile(*hash)).collect()
        };
        let mut sift =
            SlotSift { forgetting: &parts.present.forgetting, floor_day: parts.present.forgetting.floor_day(), on_top: Vec::new() };
        let (frozen, gone) = {
            let mut state = parts.present.table.slot(slot);
            // What an earlier, failed attempt has frozen is folded first; what came since waits for the next round.
            if state.frozen.is_none() {
                state.frozen = Some(Arc::new(std::mem::take(&mut state.active)));
            }
            let frozen = state.frozen.clone().unwrap_or_default();
            if frozen.is_empty() && sweep.is_empty() {
                state.frozen = None;
                return Ok(None);
            }
            if sift.floor_day > 0 {
                sift.on_top = state.active.iter().map(|(key, _)| key).collect();
            }
            (frozen, state.joined)
        };
        let deltas = deltas_of(&frozen)?;
        let mut dropped_hashes = Vec::new();
        {
            let mut leaves = lock(&self.leaves);
            let secret = parts.present.hasher.secret();
            let merged = parts.engine.merge(&deltas, &sweep, &sift, &mut |merged: Merged<'_>| {
                if let Some(leaves) = leaves.as_mut() {
                    leaves.note(&merged, secret);
                }
                if merged.new.is_none() {
                    dropped_hashes.push(merged.key.profile_hash());
                }
            });
            // What was noted may not have been put, and would be noted again by the next attempt.
            if merged.is_err() {
                *leaves = None;
            }
            merged?;
        }
        let mut last_hash = None;
        for hash in deltas.iter().map(|delta| delta.key.profile_hash()).chain(dropped_hashes) {
            if last_hash.replace(hash) != Some(hash) {
                parts.cache.remove(hash);
            }
        }
        let bytes: usize = frozen.iter().map(|(_, entry)| entry_bytes(entry.packed.len())).sum();
        let count = deltas.len();
        drop(deltas);
        let dropped = {
            let mut state = parts.present.table.slot(slot);
            state.gone = state.gone.max(gone);
            state.generation += 1;
            state.frozen.take()
        };
        parts.present.table.note(-bytes.cast_signed(), -count.cast_signed());
        // Freed outside the slot's lock: thousands of small allocations take a while.
        drop((dropped, frozen));
        Ok(Some(count))
    }

    /// Puts the small values and makes the round durable.
    fn finish(&self, parts: FoldParts<'_>, state: &mut State, began: Seq, floor_day: u32) -> Result<(), EngineError> {
        let present = parts.present;
        let mut changes = Changes::default();
        let mut tombstones_through = state.stored_tombstones;
        present.forgetting.each_from(0, &mut |hash, tombstone| {
            // Later ones come back from the log, and with them what they are to sweep and to tell peers.
            if tombstone.arrived > state.stored_tombstones && tombstone.arrived <= began {
                changes.tombstone(hash, tombstone);
                tombstones_through = tombstones_through.max(tombstone.arrived);
            }
            true
        });
        let cursors = present.cursors().clone();
        // A node has one for each device of each viewer: only those that moved.
        cursors.values().filter(|cursor| state.stored_cursors.get(&cursor.peer) != Some(cursor)).for_each(|cursor| changes.cursor(cursor));
        state.stored_cursors.keys().filter(|peer| !cursors.contains_key(peer)).for_each(|peer| changes.no_cursor(*peer));
        let unshared = present.unshared().map(|unshared| unshared.clone()).unwrap_or_default();
        for (key, delta) in &unshared {
            changes.unshared(*key, delta);
        }
        state.stored_unshared.iter().filter(|key| !unshared.contains_key(key)).for_each(|key| changes.no_unshared(*key));
        changes.state(FoldedState { floor_day, ..self.state_at(present, began) });
        parts.engine.put_meta(&changes.0)?;
        parts.engine.sync()?;
        state.stored_cursors = cursors;
        state.stored_unshared = unshared.into_keys().collect();
        state.stored_tombstones = tombstones_through;
        Ok(())
    }

    /// What the engine is to remember when everything up to `folded` is in it.
    pub(super) fn state_at(&self, present: &Present, folded: Seq) -> FoldedState {
        FoldedState {
            folded,
            highest: present.highest(),
            floor_day: present.forgetting.floor_day(),
            needs_reconciliation: self.needs_reconciliation(),
        }
    }

    /// Runs `read` on the leaves, which are made if they are not there yet; no fold runs while they are made.
    pub(super) fn with_leaves<T>(&self, parts: FoldParts<'_>, read: impl FnOnce(&Leaves) -> T) -> Result<T, EngineError> {
        if let Some(leaves) = lock(&self.leaves).as_ref() {
            return Ok(read(leaves));
        }
        let _no_fold = lock(&self.state);
        let mut leaves = lock(&self.leaves);
        let made = match leaves.take() {
            Some(made) => made,
            None => Leaves::of(parts.engine, parts.present.hasher.secret())?,
        };
        Ok(read(leaves.insert(made)))
    }

    /// Forgets the leaves, because the engine has lost something that they count.
    pub(super) fn forget_leaves(&self) {
        *lock(&self.leaves) = None;
    }
}

/// What the engine's small values held when the store was opened.
#[derive(Debug, Default)]
pub(super) struct StoredMeta {
    pub(super) cursors: BTreeMap<ReplicaId, PeerCursor>,
    pub(super) unshared: Vec<RegisterKey>,
    pub(super) needs_reconciliation: bool,
}

fn deltas_of(frozen: &Registers) -> Result<Vec<Delta<'_>>, EngineError> {
    let mut deltas = Vec::with_capacity(frozen.len());
    for (key, entry) in frozen.iter() {
        let packed = PackedRef::read(entry.packed)?;
        let (profile, title, state) = (packed.profile, packed.title, packed.state);
        deltas.push(Delta { key, profile, title, state, arrived: entry.arrival.seq(), floor_day: entry.floor.day() });
    }
    Ok(deltas)
}
