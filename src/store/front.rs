//! The front of the store: what everything else is reached through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::engine::{Engine, EngineVerified, MemoryEngine};
use super::fold::{Fold, FoldParts};
use super::folder::FolderLock;
use super::intake::{Committer, Intake, chain};
use super::lives::Lives;
use super::log::segment::{Frame, FrameKind, Identity};
use super::log::witness::testify;
use super::log::writer::remove_segments;
use super::log::{FileSystem, MemoryFiles};
use super::meta::Changes;
use super::opening::{self, Opened};
use super::present::Present;
use super::{
    AppendError, Appended, Applied, Batch, CloseError, Epoch, Fingerprint, Fingerprints, FlushError, FoldBudget, FoldError, FoldStep,
    Fresh, KeyHasher, OpenError, OpenReport, PeerCursor, ProfileCache, ReadError, RegisterKey, ReplicaId, Seq, StoreFigures, StoreFill,
    StoreOptions,
};
use crate::progress::codec::put_id;
use crate::progress::{ProfileId, Progress, TitleId};
use crate::time::{Hlc, WallTime};

/// The store. See the module's head.
pub struct Store {
    pub(super) identity: Identity,
    lives: Lives,
    pub(super) options: StoreOptions,
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) present: Present,
    pub(super) cache: ProfileCache,
    pub(super) fold: Fold,
    intake: Intake,
    log_bytes: AtomicU64,
    pub(super) reads: AtomicU64,
    // Last: the folder is unlocked when everything else is gone.
    pub(super) lock: Option<FolderLock>,
}

impl Store {
    /// Opens a store over the given files and engine.
    ///
    /// What is in the log and not in the engine is replayed; see [`OpenReport`] for what may have been found.
    pub fn open(
        files: Arc<dyn FileSystem>,
        engine: Box<dyn Engine>,
        options: StoreOptions,
        fresh: Fresh,
    ) -> Result<(Self, OpenReport), OpenError> {
        Self::open_parts(files, engine, options, fresh, false)
    }

    pub(super) fn open_parts(
        files: Arc<dyn FileSystem>,
        engine: Box<dyn Engine>,
        options: StoreOptions,
        fresh: Fresh,
        engine_lost: bool,
    ) -> Result<(Self, OpenReport), OpenError> {
        let Opened { identity, lives, present, fold, intake, report, fold_soon } =
            opening::open(&files, engine.as_ref(), &options, fresh, engine_lost)?;
        let log_bytes = AtomicU64::new(intake.committer().writer.written());
        let cache = ProfileCache::new(options.cache_bytes);
        let store =
            Self { identity, lives, options, files, engine, present, cache, fold, intake, log_bytes, reads: AtomicU64::new(0), lock: None };
        if fold_soon {
            store.fold_all()?;
        }
        Ok((store, report))
    }

    /// A store in memory, gone when dropped: for tests and simulation.
    ///
    /// # Panics
    /// Never: files and engine in memory do not fail unless told to.
    pub fn in_memory(options: StoreOptions, fresh: Fresh) -> Self {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFiles::new());
        match Self::open(files, Box::new(MemoryEngine::new()), options, fresh) {
            Ok((store, _)) => store,
            Err(error) => unreachable!("memory does not fail: {error}"),
        }
    }

    /// Who this replica is.
    pub const fn id(&self) -> ReplicaId {
        self.identity.id
    }

    /// The life of its sequence numbers: another each time it is opened.
    pub const fn epoch(&self) -> Epoch {
        self.identity.epoch
    }

    /// This life, and those before it that it goes on from.
    pub const fn lives(&self) -> &Lives {
        &self.lives
    }

    /// The hash of its keys.
    pub const fn hasher(&self) -> &KeyHasher {
        &self.present.hasher
    }

    /// What it was opened with.
    pub const fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Whether a batch of this size would be taken now. Changes nothing: it is asked before the caller changes state of its own.
    ///
    /// # Errors
    /// [`AppendError::Overloaded`] passes, [`AppendError::Closed`] does not.
    pub fn admit(&self, bytes: usize) -> Result<(), AppendError> {
        if self.present.table.bytes() > self.options.table_bytes_max {
            return Err(AppendError::Overloaded { what: "table of changed registers", retry_ms: 100 });
        }
        self.intake.admit(bytes)
    }

    /// Hands a batch to the log. Its caller has asked [`Store::admit`]: a batch that was admitted is not refused for want of room, which may
    /// be exceeded by what was admitted at the same time. It is durable, and visible, when a later [`Store::flush`] has returned.
    ///
    /// Costs a checksum and a copy; never waits for the disk.
    ///
    /// # Errors
    /// Nothing was appended, and nothing will be: the store is closed, or the batch too large.
    #[expect(clippy::needless_pass_by_value, reason = "a batch is appended once; whoever gives it away cannot append it again")]
    pub fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let appended = self.intake.append(&batch, FrameKind::Records);
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::ReadBeforeSync) {
            self.intake.show_waiting(&self.present);
        }
        appended
    }

    /// Appends unshared deltas, stamped anew by the caller, to what is shared: with them, what is unshared of the same registers is cleared. Both become
    /// durable at once, with the next flush. All that is unshared may take several batches.
    ///
    /// # Errors
    /// Nothing was appended: the store is closed, or the batch too large.
    #[expect(clippy::needless_pass_by_value, reason = "as for `append`")]
    pub fn share(&self, restamped: Batch) -> Result<Appended, AppendError> {
        self.intake.append(&restamped, FrameKind::Shares)
    }

    /// Forgets how far peers' changes have been taken in, so that they offer everything again. Durable, and visible, with the next flush.
    pub fn forget_cursors(&self) -> Result<Appended, AppendError> {
        self.intake.append(&Batch::local(), FrameKind::ForgetsCursors)
    }

    /// Writes and syncs what was appended, makes it visible, tells `observe` of every record, and answers the last durable sequence number.
    /// `None`: there was nothing to do.
    ///
    /// # Errors
    /// The store is closed for good: nothing more is taken or acknowledged. What was appended since the last flush may or may not survive; only
    /// reopening tells. Reads go on, and show none of it.
    pub fn flush(&self, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<Option<Seq>, FlushError> {
        let mut committer = self.intake.committer();
        // What was begun goes first, or the log would not be in order.
        let begun = self.write_begun(&mut committer, observe)?;
        self.take_group(&mut committer)?;
        let taken = self.write_begun(&mut committer, observe)?;
        Ok(taken.or(begun))
    }

    /// Takes what was appended as the next group to be written, by [`Store::finish_flush`] or by the next flush: what is appended from here on goes
    /// with the group after it. Whether there is a group to write. For a shell that lets time pass while a group is synced, as a simulator does.
    ///
    /// # Errors
    /// The store is closed.
    pub fn begin_flush(&self) -> Result<bool, FlushError> {
        let mut committer = self.intake.committer();
        if committer.begun.is_none() {
            self.take_group(&mut committer)?;
        }
        Ok(committer.begun.is_some())
    }

    /// Like [`Store::flush`], of the group that [`Store::begin_flush`] took, and nothing that was appended since.
    ///
    /// # Errors
    /// As for [`Store::flush`].
    pub fn finish_flush(&self, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<Option<Seq>, FlushError> {
        self.write_begun(&mut self.intake.committer(), observe)
    }

    fn take_group(&self, committer: &mut Committer) -> Result<(), FlushError> {
        committer.begun = self.intake.take(committer).map_err(FlushError::Closed)?;
        Ok(())
    }

    fn write_begun(&self, committer: &mut Committer, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<Option<Seq>, FlushError> {
        let Some(group) = committer.begun.take() else { return Ok(None) };
        if let Err(error) = committer.writer.write(group.first, &group.bytes) {
            let reason = chain(&error);
            self.intake.close(&reason);
            return Err(FlushError::Closed(reason));
        }
        self.log_bytes.store(committer.writer.written(), Ordering::Relaxed);
        self.intake.note_log(committer);
        let mut at = 0;
        while let Some(frame) = group.bytes.get(at..).and_then(Frame::read_unchecked) {
            at += frame.bytes;
            if frame.is_mark {
                continue;
            }
            if let Err(error) = self.present.apply(&frame, &|key| folded_of(self.engine.as_ref(), key), &mut committer.scratch, observe) {
                // A batch encodes its records itself, so this is a mistake of ours; the log has it, and nothing is acknowledged on top of it.
                let reason: Arc<str> = format!("a record just written does not decode: {error}").into();
                self.intake.close(&reason);
                return Err(FlushError::Closed(reason));
            }
        }
        self.present.publish(group.last, &mut committer.scratch);
        let mut spare = group.bytes;
        spare.clear();
        // A buffer that grew in a rush is not kept at that size for ever.
        spare.shrink_to(self.options.pending_bytes_max / 4);
        committer.spare = spare;
        Ok(Some(group.last))
    }

    /// Everything up to here is durable and visible.
    pub fn durable(&self) -> Seq {
        self.present.durable()
    }

    /// The last number that anything here has taken, durable or not: whoever finds that there is nothing to append, because it was appended
    /// before, waits for this one.
    pub fn appended(&self) -> Seq {
        self.intake.appended().max(self.durable())
    }

    /// Does a bounded piece of folding, and begins a round of it when the table or the log has grown enough. The caller paces the steps.
    pub fn fold_step(&self, budget: FoldBudget) -> Result<FoldStep, FoldError> {
        let step = self.fold.step(self.fold_parts(), budget);
        self.note_damage();
        let step = step?;
        if let FoldStep::Finished { .. } = step {
            testify(self.files.as_ref(), self.fold.folded())?;
            let (bytes, segments) = (self.options.log_retention_bytes, self.options.log_retention_segments);
            let dropped = {
                let mut committer = self.intake.committer();
                let dropped = committer.writer.take_folded(self.fold.folded(), bytes, segments);
                self.intake.note_log(&committer);
                dropped
            };
            remove_segments(self.files.as_ref(), &dropped)?;
        }
        Ok(step)
    }

    /// Folds everything that is durable.
    pub fn fold_all(&self) -> Result<(), FoldError> {
        let target = self.durable();
        let budget = FoldBudget { slots: super::SLOT_COUNT, force: true };
        // The first round may have begun before the target was durable.
        for _ in 0..2 {
            while !matches!(self.fold_step(budget)?, FoldStep::Idle | FoldStep::Finished { .. }) {}
            if self.fold.folded() >= target {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn fold_parts(&self) -> FoldParts<'_> {
        FoldParts {
            present: &self.present,
            engine: self.engine.as_ref(),
            cache: &self.cache,
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            table_bytes_start: self.options.fold_table_bytes,
            log_bytes_start: self.options.fold_log_bytes,
        }
    }

    /// Takes note of pages that the engine has set aside: what they held must come back from peers.
    pub(super) fn note_damage(&self) {
        let damage = self.engine.take_damage();
        if damage.is_empty() {
            return;
        }
        for one in &damage {
            tracing::error!(file = %one.file, key = ?one.key, what = %one.what, "damage set aside");
        }
        self.fold.set_needs_reconciliation(true);
        self.fold.forget_leaves();
        // In the log, so that opening it again knows of the damage even if no fold is finished before.
        if let Err(error) = self.forget_cursors() {
            tracing::warn!(%error, "cursors could not be forgotten");
        }
    }

    /// Whether something acknowledged may be missing here, until the replica has reconciled with a peer.
    pub fn needs_reconciliation(&self) -> bool {
        self.fold.needs_reconciliation()
    }

    /// Notes that the replica has reconciled; durable with the next finished fold, or when the store is closed.
    pub fn set_reconciled(&self) {
        self.fold.set_needs_reconciliation(false);
    }

    /// When a profile was last erased; zero for never.
    pub fn erased(&self, profile: &ProfileId) -> Hlc {
        if !self.present.forgetting.anything() {
            return Hlc::ZERO;
        }
        self.present.forgetting.erased(self.hasher().profile(profile), &encoded_id(profile.as_str()))
    }

    /// The number under which a profile's last erasure arrived; zero for never.
    pub fn erasure_arrived(&self, profile: &ProfileId) -> Seq {
        if !self.present.forgetting.anything() {
            return Seq(0);
        }
        let encoded = encoded_id(profile.as_str());
        let known = self.present.forgetting.of(self.hasher().profile(profile));
        known.into_iter().find(|tombstone| *tombstone.profile == *encoded).map_or(Seq(0), |tombstone| tombstone.arrived)
    }

    /// The expiry floor, in days since the Unix epoch.
    pub fn floor_day(&self) -> u32 {
        self.present.forgetting.floor_day()
    }

    /// The highest stamp in anything that was ever made durable here.
    pub fn highest_stamp(&self) -> Hlc {
        self.present.highest()
    }

    /// How far a peer's changes have been taken in.
    pub fn cursor(&self, peer: ReplicaId) -> Option<PeerCursor> {
        self.present.cursors().get(&peer).copied()
    }

    /// The tombstones of erased profiles.
    pub fn tombstones(&self) -> Vec<(ProfileId, Hlc)> {
        let mut all = Vec::new();
        self.present.forgetting.each_from(0, &mut |_, tombstone| {
            all.extend(super::packed::profile_id(&tombstone.profile).map(|profile| (profile, tombstone.erased)));
            true
        });
        all
    }

    /// Deltas that were shared with nobody.
    pub fn unshared(&self) -> Vec<(ProfileId, TitleId, Progress)> {
        let unshared = self.present.unshared();
        let each = unshared.iter().flat_map(|all| all.values());
        each.map(|delta| (delta.profile.clone(), delta.title.clone(), delta.progress.clone())).collect()
    }

    /// The fingerprints of all leaves, of everything that is durable when this is called. Folds first; the first call reads all registers.
    pub fn fingerprints(&self) -> Result<Fingerprints, ReadError> {
        self.fold_all()?;
        let fingerprints = self.fold.with_leaves(self.fold_parts(), |leaves| leaves.fingerprints().clone());
        self.note_damage();
        Ok(fingerprints?)
    }

    /// The fingerprint of one register.
    pub fn fingerprint(&self, key: RegisterKey, progress: &Progress) -> Fingerprint {
        Fingerprint::of(&self.options.key_secret, key, &progress.to_bytes())
    }

    /// Reads every page of the engine and reports what does not read back. The log is read when the store is opened.
    pub fn verify_engine(&self) -> Result<EngineVerified, ReadError> {
        Ok(self.engine.verify()?)
    }

    /// How full is what fills between flushes.
    pub fn fill(&self) -> StoreFill {
        let present = &self.present;
        StoreFill { table_bytes: present.table.bytes(), pending_bytes: self.intake.pending_bytes(), ring_count: present.ring.count() }
    }

    /// Figures.
    pub fn figures(&self) -> StoreFigures {
        let StoreFill { table_bytes, pending_bytes, ring_count } = self.fill();
        let (log_segments, log_bytes) = self.intake.log_figures();
        StoreFigures {
            table_count: self.present.table.count(),
            table_bytes,
            pending_bytes,
            ring_count,
            log_segments,
            log_bytes,
            unfolded_bytes: self.fold.unfolded_log_bytes(self.log_bytes.load(Ordering::Relaxed)),
            durable: self.durable(),
            folded: self.fold.folded(),
            folds: self.fold.rounds(),
            folded_registers: self.fold.registers(),
            closed: self.intake.closed().is_some(),
            unshared_count: self.present.unshared().map_or(0, |unshared| unshared.len()),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }

    /// Flushes, folds and closes, so that the next open is instant.
    pub fn close(&self) -> Result<(), CloseError> {
        self.flush(&mut |_| ())?;
        self.intake.close(&"the store was closed".into());
        self.fold_all()?;
        let mut changes = Changes::default();
        changes.clean(self.durable());
        changes.state(self.fold.state_at(&self.present, self.fold.folded()));
        self.engine.put_meta(&changes.0)?;
        self.engine.sync()?;
        Ok(())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("id", &self.id()).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

/// What the engine holds of a register; nothing, if that cannot be read.
pub(super) fn folded_of(engine: &dyn super::engine::Engine, key: super::RegisterKey) -> Option<crate::progress::Progress> {
    engine.register(key).ok().flatten().map(|(progress, _)| progress)
}

pub(super) fn encoded_id(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(40);
    put_id(&mut encoded, text);
    encoded
}

/// The day that a moment lies in, in days since the Unix epoch: what the expiry floor is compared with.
pub fn day_of(at: WallTime) -> u32 {
    u32::try_from(at.as_millis() / 86_400_000).unwrap_or(u32::MAX)
}

const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Store>();
};
