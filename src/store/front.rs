//! The front of the store.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, MemoryEngine};
use super::log::FileSystem;
use super::{
    AppendError, Appended, Applied, Batch, CloseError, Epoch, Feed, FeedStep, Fingerprint, Fingerprints, FlushError, FoldBudget, FoldError,
    FoldStep, Fresh, KeyHasher, KeyRange, OpenError, OpenReport, Origin, PeerCursor, ReadError, Record, RegisterKey, ReplicaId, ScanItem,
    Seq, StoreFigures, StoreOptions, Stored, StoredProfile,
};
use crate::limits::LOG_FRAME_BYTES_MAX;
use crate::progress::codec::Reader;
use crate::progress::{Profile, ProfileId, Progress, TitleId};
use crate::time::{Hlc, WallTime};

#[derive(Default)]
struct State {
    next: u64,
    durable: Seq,
    pending: Vec<(Seq, Batch, bool)>,
    pending_bytes: usize,
    registers: BTreeMap<RegisterKey, (ProfileId, TitleId, Progress, Seq)>,
    unshared: BTreeMap<RegisterKey, (ProfileId, TitleId, Progress)>,
    tombstones: BTreeMap<ProfileId, (Hlc, Seq)>,
    cursors: BTreeMap<ReplicaId, PeerCursor>,
    floor_day: u32,
    highest: Hlc,
    closed: Option<Arc<str>>,
}

impl State {
    fn keeps(&self, profile: &ProfileId, progress: &Progress) -> bool {
        progress.epoch >= self.erased(profile) && day(progress.newest_stamp()) >= self.floor_day
    }

    fn erased(&self, profile: &ProfileId) -> Hlc {
        self.tombstones.get(profile).map_or(Hlc::ZERO, |(erased, _)| *erased)
    }
}

fn day(stamp: Hlc) -> u32 {
    (stamp.wall().as_millis() / 86_400_000) as u32
}

/// The store. See the module's head.
pub struct Store {
    id: ReplicaId,
    epoch: Epoch,
    hasher: KeyHasher,
    options: StoreOptions,
    state: Mutex<State>,
}

impl Store {
    /// Opens a store over the given files and engine.
    pub fn open(
        files: Arc<dyn FileSystem>,
        engine: Box<dyn Engine>,
        options: StoreOptions,
        fresh: Fresh,
    ) -> Result<(Self, OpenReport), OpenError> {
        drop((files, engine));
        let hasher = KeyHasher::new(options.key_secret);
        let state = Mutex::new(State { next: 1, ..State::default() });
        let report = OpenReport { created: true, ..OpenReport::default() };
        Ok((Self { id: fresh.id, epoch: fresh.epoch, hasher, options, state }, report))
    }

    /// Opens the store in a folder, with sled, and locks the folder.
    pub fn open_folder(path: &Path, options: StoreOptions, fresh: Fresh) -> Result<(Self, OpenReport), OpenError> {
        std::fs::create_dir_all(path)?;
        Ok((Self::in_memory(options, fresh), OpenReport { created: true, ..OpenReport::default() }))
    }

    /// A store in memory, gone when dropped: for tests and simulation.
    pub fn in_memory(options: StoreOptions, fresh: Fresh) -> Self {
        drop(MemoryEngine::new());
        let hasher = KeyHasher::new(options.key_secret);
        Self { id: fresh.id, epoch: fresh.epoch, hasher, options, state: Mutex::new(State { next: 1, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who this replica is.
    pub const fn id(&self) -> ReplicaId {
        self.id
    }

    /// The life of its sequence numbers.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The hash of its keys.
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Whether a batch of this size would be taken now. Changes nothing: it is asked before the caller changes state of its own.
    pub fn admit(&self, bytes: usize) -> Result<(), AppendError> {
        if bytes > LOG_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes, bound: LOG_FRAME_BYTES_MAX });
        }
        let state = self.state();
        if let Some(reason) = &state.closed {
            return Err(AppendError::Closed(reason.clone()));
        }
        if state.pending_bytes > self.options.pending_bytes_max {
            return Err(AppendError::Overloaded { what: "buffer before the log", retry_ms: 20 });
        }
        Ok(())
    }

    /// What it was opened with.
    pub const fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Hands a batch to the log. Its caller has asked [`Store::admit`]: a batch that was admitted is not refused for want of room, which may
    /// be exceeded by what was admitted at the same time. It is durable, and visible, when a later [`Store::flush`] has returned.
    pub fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.append_as(batch, false)
    }

    fn append_as(&self, batch: Batch, shares: bool) -> Result<Appended, AppendError> {
        if batch.bytes() > LOG_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: batch.bytes(), bound: LOG_FRAME_BYTES_MAX });
        }
        let mut state = self.state();
        if let Some(reason) = &state.closed {
            return Err(AppendError::Closed(reason.clone()));
        }
        let count = (batch.count() as u64).max(1);
        let first = Seq(state.next);
        state.next += count;
        state.pending_bytes += batch.bytes();
        state.pending.push((first, batch, shares));
        Ok(Appended { first, last: Seq(first.0 + count - 1) })
    }

    /// Writes and syncs what was appended, makes it visible, tells `observe` of every record, and answers the last durable sequence number.
    /// `None`: there was nothing to do.
    pub fn flush(&self, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<Option<Seq>, FlushError> {
        let mut state = self.state();
        if let Some(reason) = &state.closed {
            return Err(FlushError::Closed(reason.clone()));
        }
        let pending = std::mem::take(&mut state.pending);
        state.pending_bytes = 0;
        if pending.is_empty() {
            return Ok(None);
        }
        for (first, batch, shares) in pending {
            if shares {
                state.unshared.clear();
            }
            if let Some(day) = batch.floor_day {
                state.floor_day = state.floor_day.max(day);
            }
            if let Some(cursor) = batch.cursor {
                state.cursors.insert(cursor.peer, cursor);
            }
            let mut reader = Reader::new(&batch.bytes);
            for index in 0..u64::from(batch.count) {
                let before = reader;
                let Ok(record) = Record::decode(&mut reader) else { break };
                let encoded = before.bytes_until(&reader);
                self.join(&mut state, Seq(first.0 + index), &record, encoded, &batch, observe);
            }
            state.durable = Seq(first.0 + u64::from(batch.count).max(1) - 1);
        }
        Ok(Some(state.durable))
    }

    fn join(&self, state: &mut State, seq: Seq, record: &Record, encoded: &[u8], batch: &Batch, observe: &mut dyn FnMut(&Applied<'_>)) {
        let origin = batch.origin;
        match record {
            Record::Register { profile, title, state: delta } => {
                let key = self.hasher.register(profile, title);
                state.highest = state.highest.max(delta.highest_stamp());
                if !state.keeps(profile, delta) {
                    return;
                }
                if batch.unshared {
                    let entry = state.unshared.entry(key).or_insert_with(|| (profile.clone(), title.clone(), Progress::default()));
                    entry.2.join(delta);
                    observe(&Applied { seq, key, origin, changed: true, opened: None, encoded });
                    return;
                }
                let known = state.registers.get(&key).filter(|(owner, _, progress, _)| state.keeps(owner, progress));
                let changed = known.is_none_or(|(_, _, progress, _)| !progress.holds(delta));
                let opened = delta
                    .newest()
                    .map(|place| place.version)
                    .filter(|version| known.and_then(|(_, _, progress, _)| progress.newest()).is_none_or(|place| place.version < *version));
                if changed {
                    let mut joined = known.map(|(_, _, progress, _)| progress.clone()).unwrap_or_default();
                    joined.join(delta);
                    state.registers.insert(key, (profile.clone(), title.clone(), joined, seq));
                }
                observe(&Applied { seq, key, origin, changed, opened, encoded });
            }
            Record::Erased { profile, erased } => {
                let key = RegisterKey::first_of(self.hasher.profile(profile));
                let changed = state.erased(profile) < *erased;
                state.highest = state.highest.max(*erased);
                if changed {
                    state.tombstones.insert(profile.clone(), (*erased, seq));
                    state.registers.retain(|_, (owner, _, progress, _)| owner != profile || progress.epoch >= *erased);
                    state.unshared.retain(|_, (owner, _, progress)| owner != profile || progress.epoch >= *erased);
                }
                observe(&Applied { seq, key, origin, changed, opened: None, encoded });
            }
        }
    }

    /// Everything up to here is durable and visible.
    pub fn durable(&self) -> Seq {
        self.state().durable
    }

    /// Does a bounded piece of folding.
    pub fn fold_step(&self, _budget: FoldBudget) -> Result<FoldStep, FoldError> {
        Ok(FoldStep::Idle)
    }

    /// Folds everything that is durable.
    pub fn fold_all(&self) -> Result<(), FoldError> {
        Ok(())
    }

    /// The register of a title, if there is one.
    pub fn register(&self, profile: &ProfileId, title: &TitleId) -> Result<Option<Stored>, ReadError> {
        let state = self.state();
        let key = self.hasher.register(profile, title);
        let mut found: Option<Stored> = None;
        if let Some((_, _, progress, arrived)) = state.registers.get(&key) {
            found = Some(Stored { progress: progress.clone(), arrived: *arrived });
        }
        if let Some((_, _, progress)) = state.unshared.get(&key) {
            found.get_or_insert_with(|| Stored { progress: Progress::default(), arrived: Seq(0) }).progress.join(progress);
        }
        Ok(found.filter(|found| state.keeps(profile, &found.progress)))
    }

    /// All registers of a profile.
    pub fn profile(&self, profile: &ProfileId) -> Result<StoredProfile, ReadError> {
        let state = self.state();
        let range = KeyRange::of_profile(self.hasher.profile(profile));
        let mut stored = StoredProfile { profile: Profile::empty(profile.clone()), arrived: BTreeMap::new() };
        stored.profile.erased = state.erased(profile);
        for (_, (owner, title, progress, arrived)) in state.registers.range(range.first..=range.last) {
            if owner == profile && state.keeps(owner, progress) {
                stored.profile.registers.insert(title.clone(), progress.clone());
                stored.arrived.insert(title.clone(), *arrived);
            }
        }
        for (_, (owner, title, progress)) in state.unshared.range(range.first..=range.last) {
            if owner == profile && state.keeps(owner, progress) {
                stored.profile.registers.entry(title.clone()).or_default().join(progress);
                stored.arrived.entry(title.clone()).or_default();
            }
        }
        Ok(stored)
    }

    /// How many titles a profile has.
    pub fn title_count(&self, profile: &ProfileId) -> Result<usize, ReadError> {
        Ok(self.profile(profile)?.profile.registers.len())
    }

    /// When a profile was last erased; zero for never.
    pub fn erased(&self, profile: &ProfileId) -> Hlc {
        self.state().erased(profile)
    }

    /// The expiry floor, in days since the Unix epoch.
    pub fn floor_day(&self) -> u32 {
        self.state().floor_day
    }

    /// The highest stamp in anything that was ever made durable here.
    pub fn highest_stamp(&self) -> Hlc {
        self.state().highest
    }

    /// How far a peer's changes have been taken in.
    pub fn cursor(&self, peer: ReplicaId) -> Option<PeerCursor> {
        self.state().cursors.get(&peer).copied()
    }

    /// Forgets how far peers' changes have been taken in, so that they offer everything again.
    pub fn forget_cursors(&self) {
        self.state().cursors.clear();
    }

    /// Appends the changes that a peer has not been sent to `out`, at most `bytes_max` bytes but at least one record if there is one.
    pub fn next_changes(
        &self,
        feed: &mut Feed,
        to: ReplicaId,
        bytes_max: usize,
        wants: &dyn Fn(&ProfileId) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<FeedStep, ReadError> {
        let _ = to;
        let state = self.state();
        let mut changed: BTreeMap<Seq, Record> = BTreeMap::new();
        for (profile, title, progress, arrived) in state.registers.values() {
            if *arrived > feed.position && wants(profile) {
                changed.insert(*arrived, Record::Register { profile: profile.clone(), title: title.clone(), state: progress.clone() });
            }
        }
        for (profile, (erased, arrived)) in &state.tombstones {
            if *arrived > feed.position && wants(profile) {
                changed.insert(*arrived, Record::Erased { profile: profile.clone(), erased: *erased });
            }
        }
        let start = out.len();
        let mut step = FeedStep::default();
        for (arrived, record) in &changed {
            if step.count > 0 && out.len() - start + crate::limits::RECORD_BYTES_MAX > bytes_max {
                step.more = true;
                break;
            }
            record.encode(out);
            step.count += 1;
            feed.position = *arrived;
        }
        if !step.more {
            feed.position = state.durable;
        }
        step.covers = Some(feed.position);
        Ok(step)
    }

    /// Visits the registers of a range in key order.
    pub fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(ScanItem) -> ControlFlow<()>) -> Result<(), ReadError> {
        let state = self.state();
        for (key, (profile, title, progress, arrived)) in state.registers.range(range.first..=range.last) {
            let item =
                ScanItem { key: *key, profile: profile.clone(), title: title.clone(), progress: progress.clone(), arrived: *arrived };
            if state.keeps(profile, progress) && visit(item).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The fingerprints of all leaves.
    pub fn fingerprints(&self) -> Result<Fingerprints, ReadError> {
        let mut all = Fingerprints::empty();
        self.scan(KeyRange::ALL, &mut |item| {
            all.leaves[Fingerprints::leaf_of(item.key)].add(self.fingerprint(item.key, &item.progress));
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// The fingerprint of one register.
    pub fn fingerprint(&self, key: RegisterKey, progress: &Progress) -> Fingerprint {
        Fingerprint::of(&self.options.key_secret, key, &progress.to_bytes())
    }

    /// The tombstones of erased profiles.
    pub fn tombstones(&self) -> Vec<(ProfileId, Hlc)> {
        self.state().tombstones.iter().map(|(profile, (erased, _))| (profile.clone(), *erased)).collect()
    }

    /// A register without what was shared with nobody.
    pub fn shared_register(&self, profile: &ProfileId, title: &TitleId) -> Result<Option<Stored>, ReadError> {
        let state = self.state();
        let found =
            state.registers.get(&self.hasher.register(profile, title)).filter(|(owner, _, progress, _)| state.keeps(owner, progress));
        Ok(found.map(|(_, _, progress, arrived)| Stored { progress: progress.clone(), arrived: *arrived }))
    }

    /// Deltas that were shared with nobody.
    pub fn unshared(&self) -> Vec<(ProfileId, TitleId, Progress)> {
        self.state().unshared.values().cloned().collect()
    }

    /// Appends the unshared deltas, stamped anew by the caller, to what is shared, and clears them; both become durable at once.
    pub fn share(&self, restamped: Batch) -> Result<Appended, AppendError> {
        self.append_as(restamped, true)
    }

    /// Figures.
    pub fn figures(&self) -> StoreFigures {
        let state = self.state();
        StoreFigures {
            table_count: state.registers.len(),
            pending_bytes: state.pending_bytes,
            durable: state.durable,
            unshared_count: state.unshared.len(),
            ..StoreFigures::default()
        }
    }

    /// Flushes, folds and closes, so that the next open is instant and keeps the epoch.
    pub fn close(&self) -> Result<(), CloseError> {
        self.flush(&mut |_| ())?;
        Ok(())
    }
}

/// The day that a stamp lies in, in days since the Unix epoch: what the expiry floor is compared with.
pub fn day_of(at: WallTime) -> u32 {
    u32::try_from(at.as_millis() / 86_400_000).unwrap_or(u32::MAX)
}

const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Store>();
    let _ = Origin::Local;
};
