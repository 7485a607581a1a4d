//! A replica: the store, the playheads of its clients, its clock, what is ephemeral, and those who wait and watch, behind one thread-free type.
//!
//! [`Core`] starts no thread and reads no clock. Its shell calls [`Core::flush`] from one thread and [`Core::fold_step`] from another; a
//! simulator calls both from its event loop. Everything else may be called from anywhere, with the time.

mod apply;
mod clock;
mod grant;
mod index;
mod leases;
mod neighbours;
mod offsets;
mod playheads;
mod record;
mod share;
#[cfg(test)]
mod tests;
mod titles;
mod waiters;
mod watchers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

pub use self::apply::{AppliedRecords, ApplyError, PeerRecords, RefusedReason, RefusedRecord};
pub use self::grant::{Authority, Grant, TokenError};
pub use self::record::{RecordError, Recorded};
pub use self::waiters::{AckMode, NotDurable, Then};
pub use self::watchers::{Change, Notify, Wake, WatchId};

use self::clock::SharedClock;
use self::neighbours::Neighbours;
use self::offsets::Offsets;
use self::playheads::Playheads;
use self::titles::DeviceTitles;
use self::waiters::Waiters;
use self::watchers::Watchers;
use crate::ephemeral::{Ephemeral, EphemeralOptions, NodeId};
use crate::limits::CLOCK_DRIFT_MS_MAX;
use crate::progress::row::Row;
use crate::progress::{Policy, ProfileId, Progress, ResumePoint, TitleId, Version};
use crate::store::{
    Applied, FlushError, FoldBudget, FoldError, FoldStep, ReadError, Record, RegisterKey, ReplicaId, Seq, Store, Stored, StoredProfile,
};
use crate::time::{Hlc, StepMeter, WallTime};

/// How a replica behaves. Checked by whoever reads it from outside; every value is a sound one.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// How far ahead of this replica's clock a stamp or a version may be, in milliseconds. Default 60,000.
    pub drift_ms_max: u64,
    /// Playheads remembered for clients that run none. About 300 bytes each. Default 2,000,000.
    pub playheads_count_max: usize,
    /// Devices whose clock offset is remembered. About 60 bytes each. Default 1,000,000.
    pub offsets_count_max: usize,
    /// When an event counts as kept.
    pub ack: AckMode,
    /// How long a register lives after its newest stamp, in days; none: for ever. Must be equal in the whole cluster.
    pub ttl_days: Option<u32>,
    /// Whether nothing expires by this machine's clock until a peer's agrees with it: for a node that has peers. What has expired does not come
    /// back when a clock is put right. Default false.
    pub expires_with_peers: bool,
    /// How presence, sessions and watch parties behave.
    pub ephemeral: EphemeralOptions,
    /// Whether what is recorded while no peer's clock is known is kept apart, to be re-stamped before it is shared: for devices.
    pub keeps_unshared: bool,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            drift_ms_max: CLOCK_DRIFT_MS_MAX,
            playheads_count_max: 2_000_000,
            offsets_count_max: 1_000_000,
            ack: AckMode::Local,
            ttl_days: None,
            expires_with_peers: false,
            ephemeral: EphemeralOptions::default(),
            keeps_unshared: false,
        }
    }
}

/// Where to resume a title, as this replica answers it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The resume point.
    pub point: ResumePoint,
    /// The register that it was read from, if anything is recorded.
    pub register: Option<Progress>,
    /// The number under which the register last changed here; zero if nothing is recorded.
    pub arrived: Seq,
}

/// Store, playheads, clock, waiters and watchers of one replica.
pub struct Core {
    store: Store,
    options: CoreOptions,
    clock: SharedClock,
    steps: Mutex<StepMeter>,
    // Peers' clocks say that this machine's is right.
    clock_agrees: AtomicBool,
    playheads: Playheads,
    offsets: Offsets,
    neighbours: Neighbours,
    device_titles: DeviceTitles,
    waiters: Waiters,
    watchers: Watchers,
    ephemeral: Ephemeral,
    waker: OnceLock<Waker>,
    // Held from a flush until everybody has been told of it: a device is flushed by its link as well, and the later flush must not be told of first.
    telling: Mutex<()>,
    // Erasures that are in the log but not yet durable: what is recorded after one must be begun under it.
    erasing: Mutex<BTreeMap<ProfileId, Hlc>>,
    // Read while recording, written while what is unshared is moved: nothing is recorded by the old clock in between.
    sharing: RwLock<bool>,
    // Threads between moving a playhead and appending what it said.
    recording: AtomicUsize,
    not_ready: Mutex<BTreeMap<&'static str, String>>,
}

/// What a flush made visible, acted on when the store's locks are free again: whoever is told may read.
#[derive(Default)]
struct Notes {
    opened: Vec<(RegisterKey, Version)>,
    // In the order of their numbers: whoever has been told of one has been told of all before it.
    changes: Vec<(RegisterKey, ProfileId, Change)>,
}

impl Notes {
    fn take(&mut self, applied: &Applied<'_>, watched: bool) {
        if let Some(opened) = applied.opened.filter(|opened| *opened != Version::FIRST) {
            self.opened.push((applied.key, opened));
        }
        if !applied.changed || !(watched || applied.is_tombstone()) {
            return;
        }
        // The store has decoded it before; bytes that do not decode are not applied.
        match applied.record() {
            Ok(Record::Erased { profile, .. }) => self.changes.push((applied.key, profile, Change::Erased { seq: applied.seq })),
            Ok(Record::Register { profile, title, .. }) => {
                self.changes.push((applied.key, profile, Change::Register { title, seq: applied.seq }));
            }
            Err(_) => {}
        }
    }
}

type FlushStore = fn(&Store, &mut dyn FnMut(&Applied<'_>)) -> Result<Option<Seq>, FlushError>;

struct Waker(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("id", &self.store.id()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Core {
    /// A replica over an open store.
    pub fn new(store: Store, options: CoreOptions) -> Self {
        let unshared = store.unshared().iter().map(|(.., delta)| delta.highest_stamp()).max().unwrap_or_default();
        Self {
            clock: SharedClock::resuming_after(store.highest_stamp().max(unshared)),
            playheads: Playheads::new(options.playheads_count_max),
            steps: Mutex::default(),
            clock_agrees: AtomicBool::new(false),
            offsets: Offsets::new(options.offsets_count_max),
            neighbours: Neighbours::default(),
            device_titles: DeviceTitles::default(),
            waiters: Waiters::new(options.ack, store.durable()),
            watchers: Watchers::default(),
            ephemeral: Ephemeral::new(NodeId(store.id().0), options.ephemeral),
            waker: OnceLock::new(),
            telling: Mutex::default(),
            erasing: Mutex::default(),
            sharing: RwLock::new(!options.keeps_unshared),
            recording: AtomicUsize::new(0),
            not_ready: Mutex::default(),
            store,
            options,
        }
    }

    /// The store beneath.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How it behaves.
    pub fn options(&self) -> &CoreOptions {
        &self.options
    }

    /// Presence, sessions and watch parties. Their stamps are [`Core::tick`]'s.
    pub fn ephemeral(&self) -> &Ephemeral {
        &self.ephemeral
    }

    /// Playheads remembered.
    pub fn playheads_count(&self) -> usize {
        self.playheads.count()
    }

    /// Sets what is called when there is something to flush. Once; later calls change nothing.
    pub fn set_waker(&self, wake: Box<dyn Fn() + Send + Sync>) {
        // A second waker would mean two committers, which the store's own lock makes harmless.
        let _ = self.waker.set(Waker(wake));
    }

    fn wake_committer(&self) {
        if let Some(Waker(wake)) = self.waker.get() {
            wake();
        }
    }

    /// Makes what was appended durable and visible, then calls those who wait for it and those who watch. Whether there was anything.
    ///
    /// # Errors
    ///
    /// After a failure nothing is acknowledged any more; only reopening the store tells what survived.
    pub fn flush(&self) -> Result<bool, FlushError> {
        self.flush_observed(&mut |_| {})
    }

    /// Like [`Core::flush`], and shows each record that became durable, in the order of their sequence numbers, before anybody is told of it.
    ///
    /// # Errors
    ///
    /// Those of [`Core::flush`].
    pub fn flush_observed(&self, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<bool, FlushError> {
        self.flush_with(observe, Store::flush)
    }

    /// Takes what was appended as the next group to be made durable: see [`Store::begin_flush`]. Whether there is any.
    ///
    /// # Errors
    ///
    /// The store is closed.
    pub fn begin_flush(&self) -> Result<bool, FlushError> {
        self.store.begin_flush()
    }

    /// Like [`Core::flush_observed`], of the group that [`Core::begin_flush`] took.
    ///
    /// # Errors
    ///
    /// Those of [`Core::flush`].
    pub fn finish_flush_observed(&self, observe: &mut dyn FnMut(&Applied<'_>)) -> Result<bool, FlushError> {
        self.flush_with(observe, Store::finish_flush)
    }

    fn flush_with(&self, observe: &mut dyn FnMut(&Applied<'_>), flush: FlushStore) -> Result<bool, FlushError> {
        let watched = self.watchers.any();
        let mut notes = Notes::default();
        let mut take = |applied: &Applied<'_>| {
            observe(applied);
            notes.take(applied, watched);
        };
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        match flush(&self.store, &mut take) {
            Ok(Some(durable)) => {
                self.act_on(notes);
                // Whoever began to watch in the middle of this was not thought of when its records were looked at.
                if !watched && self.watchers.any() {
                    self.watchers.notify_all(&Change::Reset);
                }
                self.waiters.durable(durable);
                // Also when no record changed anything: links wait for this to acknowledge what they were sent.
                self.watchers.wake();
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                self.set_not_ready("store", error.to_string());
                self.waiters.fail(error.to_string());
                Err(error)
            }
        }
    }

    fn act_on(&self, notes: Notes) {
        for (key, newest) in notes.opened {
            self.playheads.shard(key.profile_hash()).notice(key, newest);
        }
        for (key, profile, change) in notes.changes {
            if matches!(change, Change::Erased { .. }) {
                self.forget_erased(key, &profile);
            }
            self.watchers.notify(&profile, &change);
        }
    }

    fn forget_erased(&self, key: RegisterKey, profile: &ProfileId) {
        self.playheads.shard(key.profile_hash()).forget_profile(key.profile_hash());
        self.device_titles.forget(key.profile_hash());
        let mut erasing = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        if erasing.get(profile).is_some_and(|erased| self.store.erased(profile) >= *erased) {
            erasing.remove(profile);
        }
        drop(erasing);
        self.ephemeral.forget_profile(self.store.erased(profile), profile);
    }

    /// Does a bounded piece of the work of folding the log into the engine.
    ///
    /// # Errors
    ///
    /// The piece is not done; the log keeps everything. Call again later.
    pub fn fold_step(&self, budget: FoldBudget) -> Result<FoldStep, FoldError> {
        self.store.fold_step(budget)
    }

    /// Calls `then` when everything up to `seq` is kept (see [`AckMode`]), or when it never will be.
    pub fn when_durable(&self, seq: Seq, then: Then) {
        self.waiters.wait(seq, then);
        // Nothing more will be flushed on its behalf: links are told that somebody waits to hear of the peer.
        if self.waiters.replication_awaited().is_some() && seq <= self.store.durable() {
            self.watchers.wake();
        }
    }

    /// Takes note that another node of the region has synced everything up to `seq`.
    pub fn peer_synced(&self, peer: ReplicaId, seq: Seq) {
        self.waiters.replicated(peer, seq);
    }

    /// The highest number that an acknowledgement waits for another node to sync, if any does.
    pub fn replication_awaited(&self) -> Option<Seq> {
        self.waiters.replication_awaited()
    }

    /// Where to resume a title. Durable here; nothing recorded: start at 0.
    ///
    /// # Errors
    ///
    /// It could not be read. Nothing was changed.
    pub fn resume_point(&self, profile: &ProfileId, title: &TitleId, policy: Policy) -> Result<Answer, ReadError> {
        let stored = self.store.register(profile, title)?;
        let (register, arrived) = stored.map_or((None, Seq(0)), |stored| (Some(stored.progress), stored.arrived));
        Ok(Answer { point: ResumePoint::read(register.as_ref(), policy), register, arrived })
    }

    /// The continue-watching row of a profile: most recent first, at most `limit` (and never more than 200), all of it durable here. See
    /// [`Profile::continue_watching`](crate::progress::Profile::continue_watching) for what is in it.
    pub fn continue_watching(&self, profile: &ProfileId, limit: usize) -> Result<Vec<(TitleId, Stored)>, ReadError> {
        let mut row = Row::new(limit);
        self.store.visit_profile(profile, &mut row)?;
        Ok(row.finish())
    }

    /// Everything durable of one profile.
    ///
    /// # Errors
    ///
    /// It could not be read. Nothing was changed.
    pub fn profile(&self, profile: &ProfileId) -> Result<StoredProfile, ReadError> {
        self.store.profile(profile)
    }

    /// Calls `notify` with each change in a profile from now on.
    pub fn watch(&self, profile: &ProfileId, notify: Notify) -> WatchId {
        self.watchers.watch(profile.clone(), notify)
    }

    /// Calls `wake` after each flush that changed something.
    pub fn on_change(&self, wake: Wake) -> WatchId {
        self.watchers.on_change(wake)
    }

    /// Ends a watch of either kind. A call under way may still arrive.
    pub fn unwatch(&self, id: WatchId) {
        self.watchers.unwatch(id);
    }

    /// Notes a reason why this replica must not acknowledge or serve. One reason a cause; a new one replaces it.
    pub fn set_not_ready(&self, cause: &'static str, reason: String) {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).insert(cause, reason);
    }

    /// Takes a reason back.
    pub fn set_ready(&self, cause: &'static str) {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).remove(cause);
    }

    /// Why this replica must not acknowledge or serve; empty when it is ready.
    pub fn not_ready(&self) -> Vec<(&'static str, String)> {
        let reasons = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(cause, reason)| (*cause, reason.clone())).collect()
    }

    /// The time by this replica's corrected clock.
    pub fn corrected(&self, now: WallTime) -> WallTime {
        self.clock.corrected(now)
    }

    /// How far this machine's clock is known to be behind, in milliseconds; 0 for a node.
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock.offset_ms()
    }

    /// Sets what an earlier run of a device learned of its clock. Before anything is recorded.
    pub fn set_clock_offset_ms(&self, offset_ms: i64) {
        self.clock.set_offset_ms(offset_ms);
    }

    /// How far the next stamp of this replica would be ahead of its corrected clock, in milliseconds: after a clock that ran ahead was put right,
    /// stamps go on from where they were.
    pub fn stamps_ahead_ms(&self, now: WallTime) -> i64 {
        self.clock.last().wall().millis_since(self.corrected(now)).max(0)
    }

    /// The next stamp of this replica's clock.
    pub fn tick(&self, now: WallTime) -> Hlc {
        self.clock.tick(self.corrected(now))
    }

    /// The erasure that a profile's new registers are begun under, also one that is not yet durable.
    fn erased(&self, profile: &ProfileId) -> Hlc {
        let erasing = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = if erasing.is_empty() { Hlc::ZERO } else { erasing.get(profile).copied().unwrap_or_default() };
        pending.max(self.store.erased(profile))
    }
}
