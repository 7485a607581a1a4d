//! The present: what is durable in the log, joined and visible, and not yet folded. Fed frame by frame, by a flush and by a replay alike.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::forgetting::Forgetting;
use super::interner::Interner;
use super::log::segment::{Frame, FrameKind};
use super::packed::{PackedRef, RecordRef, key_of, profile_hash};
use super::ring::{Change, Ring};
use super::table::{Arrival, Joining, OriginIndex, Table};
use super::{Applied, KeyHasher, KeyRange, Origin, PeerCursor, RegisterKey, ReplicaId, Seq};
use crate::limits::CURSORS_PER_ACCOUNT_COUNT_MAX;
use crate::progress::codec::Reader;
use crate::progress::{DecodeError, ProfileId, Progress, TitleId};
use crate::time::Hlc;

/// A delta shared with nobody.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnsharedDelta {
    pub(super) profile: ProfileId,
    pub(super) title: TitleId,
    pub(super) progress: Progress,
}

pub(super) type Unshared = BTreeMap<RegisterKey, UnsharedDelta>;

/// Looks up what the engine holds of a register; nothing, if that cannot be read.
pub(super) type Folded<'a> = dyn Fn(RegisterKey) -> Option<Progress> + 'a;

/// Buffers of the one who applies frames, kept from one flush to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    encoded: Vec<u8>,
    ids: Interner,
    changes: Vec<Change>,
}

/// Table, tombstones, cursors, ring. Thread-safe; frames are applied by one thread at a time.
pub(super) struct Present {
    pub(super) hasher: KeyHasher,
    pub(super) table: Table,
    pub(super) forgetting: Forgetting,
    pub(super) ring: Ring,
    /// Peers that something has come from, each with its number.
    origins: RwLock<BTreeMap<ReplicaId, OriginIndex>>,
    cursors: Mutex<BTreeMap<ReplicaId, PeerCursor>>,
    unshared: Mutex<Unshared>,
    has_unshared: AtomicBool,
    highest: AtomicU64,
    durable: AtomicU64,
    /// Profile hashes erased since the last fold began, which it has to sweep; and whether the floor rose, which sweeps everything.
    sweeps: Mutex<Sweeps>,
}

/// What the next fold has to go over though the table does not name it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweeps {
    pub(super) profiles: Vec<u64>,
    pub(super) everything: bool,
}

impl Sweeps {
    pub(super) fn is_empty(&self) -> bool {
        self.profiles.is_empty() && !self.everything
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Present {
    pub(super) fn new(hasher: KeyHasher, ring: Ring) -> Self {
        Self {
            hasher,
            table: Table::new(),
            forgetting: Forgetting::default(),
            ring,
            origins: RwLock::default(),
            cursors: Mutex::default(),
            unshared: Mutex::default(),
            has_unshared: AtomicBool::new(false),
            highest: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            sweeps: Mutex::default(),
        }
    }

    /// Applies a frame that is durable. Nothing of it is announced to peers before [`Present::publish`].
    ///
    /// # Errors
    /// A record that does not decode: a mistake of ours, or of whoever wrote the log. What came before it is applied.
    pub(super) fn apply(
        &self,
        frame: &Frame<'_>,
        folded: &Folded<'_>,
        scratch: &mut Scratch,
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<(), DecodeError> {
        if frame.kind == FrameKind::ForgetsCursors {
            lock(&self.cursors).clear();
        }
        if let Some(day) = frame.floor_day
            && self.forgetting.raise_floor(day)
        {
            lock(&self.sweeps).everything = true;
        }
        let origin = self.origin_index(frame.origin);
        let mut reader = Reader::new(frame.records);
        let mut seq = frame.first;
        while !reader.is_empty() {
            let before = reader;
            let record = RecordRef::read(&mut reader)?;
            let applying = Applying { seq, origin, frame, folded, encoded: before.bytes_until(&reader) };
            match record {
                RecordRef::Register(packed) => self.apply_register(&applying, packed, scratch, observe)?,
                RecordRef::Erased { profile, erased } => self.apply_erased(&applying, profile, erased, scratch, observe)?,
            }
            seq = Seq(seq.0 + 1);
        }
        // After the records: they are the same deltas, and a reader that looks at the unshared ones first finds them in one place or the other.
        if frame.kind == FrameKind::Shares {
            self.clear_shared(frame)?;
        }
        // After the records: whoever reads the cursor may rely on what it covers.
        if let Some(cursor) = frame.cursor {
            let mut cursors = lock(&self.cursors);
            cursors.insert(cursor.peer, cursor);
            if matches!(frame.origin, Origin::Device(_)) {
                bound_family(&mut cursors, cursor.peer);
            }
        }
        Ok(())
    }

    /// What a frame shares is no longer unshared. Its keys only: all that is unshared may be more than one frame holds.
    fn clear_shared(&self, frame: &Frame<'_>) -> Result<(), DecodeError> {
        let mut unshared = lock(&self.unshared);
        let mut reader = Reader::new(frame.records);
        while !reader.is_empty() {
            if let RecordRef::Register(packed) = RecordRef::read(&mut reader)? {
                unshared.remove(&key_of(&self.hasher, packed.profile, packed.title)?);
            }
        }
        self.has_unshared.store(!unshared.is_empty(), Ordering::Release);
        Ok(())
    }

    fn apply_register(
        &self,
        applying: &Applying<'_>,
        packed: PackedRef<'_>,
        scratch: &mut Scratch,
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<(), DecodeError> {
        let key = key_of(&self.hasher, packed.profile, packed.title)?;
        if applying.frame.unshared {
            let delta = scratch.ids.progress(packed.state)?;
            if !self.forgetting.keeps(key.profile_hash(), packed.profile, &delta) {
                return Ok(());
            }
            let (profile, title) = (packed.profile_id()?, packed.title_id()?);
            let mut unshared = lock(&self.unshared);
            let entry = unshared.entry(key).or_insert_with(|| UnsharedDelta { profile, title, progress: Progress::default() });
            entry.progress.join(&delta);
            self.has_unshared.store(true, Ordering::Release);
            drop(unshared);
            observe(&applying.applied(key, true, None));
            return Ok(());
        }
        let mut slot = self.table.slot(key.slot());
        let known = slot.active.locate(key);
        let arrival = Arrival::new(applying.seq, applying.origin);
        if let Some(known) = known.filter(|_| !self.forgetting.anything()) {
            // A node hears of most changes from several others: what is here word for word is known without being read.
            if slot.is(known, packed) {
                drop(slot);
                observe(&applying.applied(key, false, None));
                return Ok(());
            }
            if let Some((highest, grown)) = slot.go_on(known, packed, arrival, &mut scratch.encoded) {
                drop(slot);
                self.note_stamp(highest);
                if grown != 0 {
                    self.table.note(grown, 0);
                }
                scratch.changes.push(applying.change(key, false));
                observe(&applying.applied(key, true, None));
                return Ok(());
            }
        }
        let delta = scratch.ids.progress(packed.state)?;
        if !self.forgetting.keeps(key.profile_hash(), packed.profile, &delta) {
            return Ok(());
        }
        // Only what is shared: the stamps of a device whose clock is wrong must not outlive their correction.
        self.note_stamp(delta.highest_stamp());
        let before = slot.active.len();
        let joining = Joining { ids: &scratch.ids, forgetting: &self.forgetting, folded: applying.folded };
        let (joined, grown) = slot.join((key, known), packed, &delta, arrival, joining, &mut scratch.encoded)?;
        let added = slot.active.len().cast_signed() - before.cast_signed();
        drop(slot);
        if grown != 0 {
            self.table.note(grown, added);
        }
        if joined.changed {
            scratch.changes.push(applying.change(key, false));
        }
        observe(&applying.applied(key, joined.changed, joined.opened));
        Ok(())
    }

    fn apply_erased(
        &self,
        applying: &Applying<'_>,
        profile: &[u8],
        erased: Hlc,
        scratch: &mut Scratch,
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<(), DecodeError> {
        let hash = profile_hash(&self.hasher, profile)?;
        self.note_stamp(erased);
        let changed = self.forgetting.erase(hash, profile, erased, applying.seq);
        let key = RegisterKey::first_of(hash);
        if changed {
            self.drop_erased(hash)?;
            lock(&self.sweeps).profiles.push(hash);
            scratch.changes.push(applying.change(key, true));
        }
        observe(&applying.applied(key, changed, None));
        Ok(())
    }

    /// Drops what the table and the unshared deltas hold of an erased profile. What is frozen is left to the fold, which sifts it.
    fn drop_erased(&self, hash: u64) -> Result<(), DecodeError> {
        let range = KeyRange::of_profile(hash);
        let mut slot = self.table.slot(range.first.slot());
        let mut gone = Vec::new();
        for (key, entry) in slot.active.range(range) {
            let packed = PackedRef::read(entry.packed)?;
            if !self.forgetting.keeps(hash, packed.profile, &packed.progress()?) {
                gone.push(key);
            }
        }
        for key in gone {
            if let Some(bytes) = slot.active.remove(key) {
                self.table.note(-super::table::entry_bytes(bytes).cast_signed(), -1);
            }
        }
        drop(slot);
        lock(&self.unshared).retain(|key, delta| {
            let mut profile = Vec::new();
            crate::progress::codec::put_id(&mut profile, delta.profile.as_str());
            key.profile_hash() != hash || self.forgetting.keeps(hash, &profile, &delta.progress)
        });
        Ok(())
    }

    /// Shows everything applied so far to feeds and says that it is durable up to `seq`.
    pub(super) fn publish(&self, seq: Seq, scratch: &mut Scratch) {
        self.ring.push(&scratch.changes);
        scratch.changes.clear();
        self.durable.fetch_max(seq.0, Ordering::Release);
    }

    pub(super) fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn note_stamp(&self, stamp: Hlc) {
        // Nearly every stamp is among the newest, but reading first keeps the line shared between cores for those that are not.
        if self.highest.load(Ordering::Relaxed) < stamp.as_u64() {
            self.highest.fetch_max(stamp.as_u64(), Ordering::Relaxed);
        }
    }

    pub(super) fn highest(&self) -> Hlc {
        Hlc::from_u64(self.highest.load(Ordering::Relaxed))
    }

    /// The index of an origin, which is added if it is new.
    fn origin_index(&self, origin: Origin) -> OriginIndex {
        let Some(peer) = origin.replica() else { return OriginIndex::LOCAL };
        if let Some(index) = self.origin_of(peer) {
            return index;
        }
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        // Beyond what an index can name, a peer counts as nobody in particular: it is sent its own changes back, which do nothing.
        let Ok(index) = u16::try_from(origins.len() + 1) else { return OriginIndex::LOCAL };
        *origins.entry(peer).or_insert(OriginIndex(index))
    }

    /// The index of a peer that something has come from.
    pub(super) fn origin_of(&self, peer: ReplicaId) -> Option<OriginIndex> {
        let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        origins.get(&peer).copied()
    }

    pub(super) fn cursors(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, PeerCursor>> {
        lock(&self.cursors)
    }

    /// What was shared with nobody; `None` without a lock if there is nothing.
    pub(super) fn unshared(&self) -> Option<MutexGuard<'_, Unshared>> {
        self.has_unshared.load(Ordering::Acquire).then(|| lock(&self.unshared))
    }

    pub(super) fn set_unshared(&self, unshared: Unshared) {
        self.has_unshared.store(!unshared.is_empty(), Ordering::Release);
        *lock(&self.unshared) = unshared;
    }

    pub(super) fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        lock(&self.sweeps)
    }
}

/// Devices whose ids begin with the same eight bytes belong to one account, which may call them what it likes: more than a family has are forgotten,
/// beginning with the one next in order. A forgotten cursor costs a reconciliation.
fn bound_family(cursors: &mut BTreeMap<ReplicaId, PeerCursor>, newest: ReplicaId) {
    let (mut first, mut last) = (newest, newest);
    first.0[8..].fill(0);
    last.0[8..].fill(0xff);
    if cursors.range(first..=last).count() <= CURSORS_PER_ACCOUNT_COUNT_MAX {
        return;
    }
    let next = cursors.range((Bound::Excluded(newest), Bound::Included(last))).next().or_else(|| cursors.range(first..newest).next());
    if let Some(forgotten) = next.map(|(peer, _)| *peer) {
        cursors.remove(&forgotten);
    }
}

/// The record being applied.
struct Applying<'a> {
    seq: Seq,
    origin: OriginIndex,
    frame: &'a Frame<'a>,
    folded: &'a Folded<'a>,
    encoded: &'a [u8],
}

impl Applying<'_> {
    const fn is_ours(&self) -> bool {
        !matches!(self.frame.origin, Origin::Peer(_))
    }

    const fn change(&self, key: RegisterKey, tombstone: bool) -> Change {
        Change { key, seq: self.seq, origin: self.origin, made_there: self.frame.made_there, is_ours: self.is_ours(), tombstone }
    }

    const fn applied(&self, key: RegisterKey, changed: bool, opened: Option<crate::progress::Version>) -> Applied<'_> {
        Applied { seq: self.seq, key, origin: self.frame.origin, unshared: self.frame.unshared, changed, opened, encoded: self.encoded }
    }
}
