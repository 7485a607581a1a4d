//! Reads: table, cache, engine, and what was shared with nobody, joined.
//!
//! The table is always looked at before the engine. A fold moves registers from one to the other while reads run; in this order they are seen
//! in one of them, or in both, which joins to the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::engine::EngineRegister;
use super::front::encoded_id;
use super::packed::PackedRef;
use super::present::{Unshared, UnsharedDelta};
use super::table::Entry;
use super::{CachedProfile, KeyRange, ReadError, RegisterKey, ScanItem, Seq, Slot, Store, Stored, StoredProfile};
use crate::progress::row::Row;
use crate::progress::{Profile, ProfileId, Progress, TitleId};
use crate::time::Hlc;

/// Who is shown the registers of a profile.
pub trait Visitor {
    /// Whether it wants to see one that was last active then. It may be shown others too.
    fn wants(&self, acted: Hlc, is_of_series: bool) -> bool;

    /// Sees a register, and the number of its last change at this replica.
    fn visit(&mut self, title: &TitleId, progress: &Progress, arrived: Seq);
}

impl Visitor for Row<(TitleId, Stored)> {
    fn wants(&self, acted: Hlc, is_of_series: bool) -> bool {
        Self::wants(self, acted, is_of_series)
    }

    fn visit(&mut self, title: &TitleId, progress: &Progress, arrived: Seq) {
        self.take(title, progress, || (title.clone(), Stored { progress: progress.clone(), arrived }));
    }
}

impl Store {
    /// The register of a title, if there is one.
    pub fn register(&self, profile: &ProfileId, title: &TitleId) -> Result<Option<Stored>, ReadError> {
        let key = self.hasher().register(profile, title);
        // First, because sharing moves deltas from there to the table.
        let unshared = self.present.unshared().as_ref().and_then(|unshared| unshared.get(&key).map(|delta| delta.progress.clone()));
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut found = self.joined_register(key)?.filter(|found| self.keeps(key, profile, &found.progress));
        if let Some(delta) = unshared {
            let stored = found.get_or_insert_with(|| Stored { progress: Progress::default(), arrived: Seq(0) });
            stored.progress.join(&delta);
        }
        Ok(found.filter(|found| self.keeps(key, profile, &found.progress)))
    }

    /// The same without what was shared with nobody.
    pub fn shared_register(&self, profile: &ProfileId, title: &TitleId) -> Result<Option<Stored>, ReadError> {
        let key = self.hasher().register(profile, title);
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.shared_at(key, profile)
    }

    /// The same by its key, and not counted as a read.
    pub(super) fn shared_at(&self, key: RegisterKey, profile: &ProfileId) -> Result<Option<Stored>, ReadError> {
        Ok(self.joined_register(key)?.filter(|found| self.keeps(key, profile, &found.progress)))
    }

    fn keeps(&self, key: RegisterKey, profile: &ProfileId, progress: &Progress) -> bool {
        let forgetting = &self.present.forgetting;
        !forgetting.anything() || forgetting.keeps(key.profile_hash(), &encoded_id(profile.as_str()), progress)
    }

    /// What table and engine hold of a register, without what was shared with nobody.
    fn joined_register(&self, key: RegisterKey) -> Result<Option<Stored>, ReadError> {
        let changed = self.present.table.slot(key.slot()).entry(key);
        let folded = match self.cache.get(key.profile_hash()) {
            Some(cached) => {
                let index = cached.binary_search_by_key(&key, |register| register.key).ok();
                index.and_then(|index| cached.get(index)).map(|register| (register.progress.clone(), register.arrived))
            }
            None => self.engine.register(key)?,
        };
        Ok(match (changed, folded) {
            (None, None) => None,
            (None, Some((progress, arrived))) => Some(Stored { progress, arrived }),
            (Some(changed), folded) => {
                let (below, arrived) = folded.unzip();
                let arrived = arrived.unwrap_or_default().max(changed.arrival.seq());
                Some(Stored { progress: changed.over(below)?, arrived })
            }
        })
    }

    /// All registers of a profile.
    pub fn profile(&self, profile: &ProfileId) -> Result<StoredProfile, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let hash = self.hasher().profile(profile);
        let range = KeyRange::of_profile(hash);
        let of_profile = |unshared: &Unshared| -> Vec<UnsharedDelta> {
            unshared.range(range.first..=range.last).map(|(_, delta)| delta.clone()).filter(|delta| delta.profile == *profile).collect()
        };
        let unshared = self.present.unshared().as_deref().map(of_profile).unwrap_or_default();
        let (changed, generation) = self.copy_of(hash);
        let mut stored = StoredProfile { profile: Profile::empty(profile.clone()), arrived: BTreeMap::new() };
        stored.profile.erased = self.erased(profile);
        let registers = &mut stored.profile.registers;
        let folded = self.folded_profile(hash, generation)?;
        for register in folded.iter().filter(|register| register.profile == *profile) {
            registers.insert(register.title.clone(), register.progress.clone());
            stored.arrived.insert(register.title.clone(), register.arrived);
        }
        let encoded = encoded_id(profile.as_str());
        for (_, entry) in &changed {
            let packed = PackedRef::read(&entry.packed)?;
            if packed.profile == encoded {
                let title = packed.title_id()?;
                let whole = entry.over(registers.remove(&title))?;
                registers.insert(title.clone(), whole);
                let arrived = stored.arrived.entry(title).or_default();
                *arrived = entry.arrival.seq().max(*arrived);
            }
        }
        let forgetting = &self.present.forgetting;
        if forgetting.anything() && !unshared.is_empty() {
            // What has expired is nothing to what is shared later, either.
            registers.retain(|_, progress| forgetting.keeps(hash, &encoded, progress));
        }
        for delta in unshared {
            registers.entry(delta.title.clone()).or_default().join(&delta.progress);
            stored.arrived.entry(delta.title).or_default();
        }
        if forgetting.anything() {
            registers.retain(|_, progress| forgetting.keeps(hash, &encoded, progress));
            stored.arrived.retain(|title, _| registers.contains_key(title));
        }
        Ok(stored)
    }

    /// Shows the registers of a profile to a visitor, each once and in no order, without making copies of them: for those who need few of them.
    pub fn visit_profile(&self, profile: &ProfileId, visitor: &mut impl Visitor) -> Result<(), ReadError> {
        let hash = self.hasher().profile(profile);
        let range = KeyRange::of_profile(hash);
        if self.present.unshared().as_deref().is_some_and(|unshared| unshared.range(range.first..=range.last).next().is_some()) {
            let stored = self.profile(profile)?;
            for (title, progress) in &stored.profile.registers {
                visitor.visit(title, progress, stored.arrived.get(title).copied().unwrap_or_default());
            }
            return Ok(());
        }
        let (changed, generation) = self.copy_of(hash);
        let folded = self.folded_profile(hash, generation)?;
        let encoded = encoded_id(profile.as_str());
        let forgetting = &self.present.forgetting;
        let visit_older = |visitor: &mut _, older: &EngineRegister| {
            if forgetting.keeps(hash, &encoded, &older.progress) {
                Visitor::visit(visitor, &older.title, &older.progress, older.arrived);
            }
        };
        // Both are in the order of their keys.
        let mut folded = folded.iter().filter(|register| register.profile == *profile).peekable();
        for (key, entry) in &changed {
            while let Some(older) = folded.next_if(|older| older.key < *key) {
                visit_older(visitor, older);
            }
            let packed = PackedRef::read(&entry.packed)?;
            if packed.profile != encoded {
                continue;
            }
            let (acted, is_of_series) = Progress::glance(packed.state)?;
            let is_alone = entry.below.is_none() && folded.peek().is_none_or(|older| older.key != *key);
            if is_alone && !visitor.wants(acted, is_of_series) {
                continue;
            }
            let title = packed.title_id()?;
            let older = folded.next_if(|older| older.key == *key && older.title == title);
            let arrived = older.map_or(Seq(0), |older| older.arrived).max(entry.arrival.seq());
            let progress = entry.over(older.map(|older| older.progress.clone()))?;
            if forgetting.keeps(hash, &encoded, &progress) {
                visitor.visit(&title, &progress, arrived);
            }
        }
        for older in folded {
            visit_older(visitor, older);
        }
        Ok(())
    }

    /// Whether the registers of a profile are in memory, as far as can be told beforehand: then a read of one of them waits for no disk.
    pub fn is_at_hand(&self, profile: &ProfileId) -> bool {
        self.cache.get(self.hasher().profile(profile)).is_some()
    }

    /// Whether they are, and so few that a read of all of them is short too.
    pub fn are_few_at_hand(&self, profile: &ProfileId, count_max: usize) -> bool {
        let hash = self.hasher().profile(profile);
        let Some(cached) = self.cache.get(hash) else { return false };
        let range = KeyRange::of_profile(hash);
        cached.len() <= count_max && self.present.table.slot(range.first.slot()).has_at_most(range, count_max - cached.len())
    }

    /// Brings what the engine holds of a profile into memory, if it is not there.
    pub fn bring_to_hand(&self, profile: &ProfileId) -> Result<(), ReadError> {
        let hash = self.hasher().profile(profile);
        let generation = self.present.table.slot(KeyRange::of_profile(hash).first.slot()).generation;
        self.folded_profile(hash, generation).map(drop)
    }

    /// How many titles a profile has. Costs as much as reading the profile.
    pub fn title_count(&self, profile: &ProfileId) -> Result<usize, ReadError> {
        Ok(self.profile(profile)?.profile.registers.len())
    }

    fn copy_of(&self, profile_hash: u64) -> (Vec<(RegisterKey, Entry)>, u64) {
        let range = KeyRange::of_profile(profile_hash);
        let slot = self.present.table.slot(range.first.slot());
        (slot.copy(range), slot.generation)
    }

    /// What the engine holds under a profile hash, from the cache if it is there. `generation` is the slot's, read before.
    fn folded_profile(&self, profile_hash: u64, generation: u64) -> Result<CachedProfile, ReadError> {
        if let Some(cached) = self.cache.get(profile_hash) {
            return Ok(cached);
        }
        let mut found: Vec<EngineRegister> = Vec::new();
        let range = KeyRange::of_profile(profile_hash);
        self.engine.scan(range, &mut |register| {
            found.push(register);
            ControlFlow::Continue(())
        })?;
        let found: CachedProfile = found.into();
        // A fold of the slot since then may have written what was read before it; kept, that would be served for ever.
        let slot = self.present.table.slot(range.first.slot());
        if slot.generation == generation && slot.frozen.is_none() {
            self.cache.insert(profile_hash, found.clone());
        }
        Ok(found)
    }

    /// Visits the registers of a range in key order: what is durable, without what was shared with nobody.
    ///
    /// Holds the changed registers of one slot in memory at a time. What changes during the scan may or may not be seen.
    pub fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(ScanItem) -> ControlFlow<()>) -> Result<(), ReadError> {
        let mut slot = range.first.slot().0;
        while let Some(here) = KeyRange::of_slot(Slot(slot)).intersection(&range) {
            if self.scan_slot(here, visit)?.is_break() || slot == range.last.slot().0 {
                break;
            }
            slot += 1;
        }
        self.note_damage();
        Ok(())
    }

    /// The same for a range within one slot.
    fn scan_slot(&self, range: KeyRange, visit: &mut dyn FnMut(ScanItem) -> ControlFlow<()>) -> Result<ControlFlow<()>, ReadError> {
        let mut changed = self.present.table.slot(range.first.slot()).copy(range).into_iter().peekable();
        let mut flow = ControlFlow::Continue(());
        let mut failed = None;
        let mut offer = |item: ScanItem| {
            let forgetting = &self.present.forgetting;
            let keeps =
                !forgetting.anything() || forgetting.keeps(item.key.profile_hash(), &encoded_id(item.profile.as_str()), &item.progress);
            if keeps { visit(item) } else { ControlFlow::Continue(()) }
        };
        self.engine.scan(range, &mut |register| {
            while let Some((key, entry)) = changed.next_if(|(key, _)| *key < register.key) {
                match item_of(key, &entry) {
                    Ok(item) => flow = offer(item),
                    Err(error) => failed = Some(error),
                }
                if flow.is_break() || failed.is_some() {
                    return ControlFlow::Break(());
                }
            }
            let mut item = ScanItem {
                key: register.key,
                profile: register.profile,
                title: register.title,
                progress: register.progress,
                arrived: register.arrived,
            };
            if let Some((_, entry)) = changed.next_if(|(key, _)| *key == item.key) {
                item.arrived = item.arrived.max(entry.arrival.seq());
                match entry.over(Some(item.progress)) {
                    Ok(whole) => item.progress = whole,
                    Err(error) => {
                        failed = Some(error.into());
                        return ControlFlow::Break(());
                    }
                }
            }
            flow = offer(item);
            flow
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        for (key, entry) in changed {
            if flow.is_break() {
                break;
            }
            flow = offer(item_of(key, &entry)?);
        }
        Ok(flow)
    }
}

fn item_of(key: RegisterKey, entry: &Entry) -> Result<ScanItem, ReadError> {
    let packed = PackedRef::read(&entry.packed)?;
    let (profile, title) = (packed.profile_id()?, packed.title_id()?);
    Ok(ScanItem { key, profile, title, progress: entry.over(None)?, arrived: entry.arrival.seq() })
}
