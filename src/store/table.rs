//! The table of changed registers: what is durable in the log and not yet in the engine.
//!
//! 1,024 slots by the top bits of the key, each under its own lock. A register is its ids and its canonical bytes. The fold takes a
//! slot's registers away as *frozen*; until it is done with them, readers look at both. So a fold needs no second table, only a second slot.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::forgetting::{FloorDay, Forgetting, is_at_or_above};
use super::interner::Interner;
use super::packed::PackedRef;
use super::registers::{Registers, Spot};
use super::{KeyRange, RegisterKey, SLOT_COUNT, Seq, Slot};
use crate::progress::{DecodeError, ProfileId, Progress, TitleId, Version, gone_on};
use crate::time::Hlc;

/// Index of where a register last came from: an entry of the store's list of origins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct OriginIndex(pub(super) u16);

impl OriginIndex {
    pub(super) const LOCAL: Self = Self(0);
}

/// Sequence number and origin in one word: 48 bits of numbers are enough for 59 years at 150,000 a second.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Arrival(u64);

impl Arrival {
    pub(super) const fn new(seq: Seq, origin: OriginIndex) -> Self {
        Self((origin.0 as u64) << 48 | (seq.0 & ((1 << 48) - 1)))
    }

    pub(super) const fn seq(self) -> Seq {
        Seq(self.0 & ((1 << 48) - 1))
    }

    pub(super) const fn origin(self) -> OriginIndex {
        OriginIndex((self.0 >> 48) as u16)
    }
}

/// A changed register, copied out of the table: what lies on top of what is folded.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Profile id, title id, canonical state.
    pub(super) packed: Box<[u8]>,
    pub(super) arrival: Arrival,
    /// The expiry floor that was in force when the first of it arrived.
    pub(super) floor: FloorDay,
    /// What is being folded, below it.
    pub(super) below: Option<Box<Self>>,
}

/// The same, borrowed from the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryRef<'a> {
    pub(super) packed: &'a [u8],
    pub(super) arrival: Arrival,
    pub(super) floor: FloorDay,
}

impl EntryRef<'_> {
    fn to_entry(self) -> Entry {
        Entry { packed: self.packed.into(), arrival: self.arrival, floor: self.floor, below: None }
    }

    /// The register with what lies below: that is nothing, if it had expired when this came.
    fn over(self, below: Option<Progress>) -> Result<Progress, DecodeError> {
        let state = PackedRef::read(self.packed)?.progress()?;
        Ok(match below.filter(|below| is_at_or_above(below, self.floor.day())) {
            Some(below) => below.joined(&state),
            None => state,
        })
    }
}

impl Entry {
    /// The whole register, with what the engine holds of it.
    pub(super) fn over(&self, folded: Option<Progress>) -> Result<Progress, DecodeError> {
        let below = match &self.below {
            Some(entry) => Some(entry.over(folded)?),
            None => folded,
        };
        EntryRef { packed: &self.packed, arrival: self.arrival, floor: self.floor }.over(below)
    }
}

/// What a join needs besides the delta.
#[derive(Clone, Copy)]
pub(super) struct Joining<'a> {
    pub(super) ids: &'a Interner,
    pub(super) forgetting: &'a Forgetting,
    /// What the engine holds of a register.
    pub(super) folded: &'a dyn Fn(RegisterKey) -> Option<Progress>,
}

/// What an entry costs besides its bytes: key, arrival, place, and the slack of both.
const ENTRY_OVERHEAD_BYTES: usize = 48;

/// One slot.
#[derive(Debug, Default)]
pub(super) struct SlotState {
    pub(super) active: Registers,
    pub(super) frozen: Option<Arc<Registers>>,
    /// The last sequence number joined here.
    pub(super) joined: Seq,
    /// Deltas up to here may be in the engine only; later ones are here.
    pub(super) gone: Seq,
    /// Grows with every fold of the slot: what was read from the engine before may be old.
    pub(super) generation: u64,
}

/// What a join did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Joined {
    /// The table learned something.
    pub(super) changed: bool,
    /// The newest version, if above what the table knew.
    pub(super) opened: Option<Version>,
}

impl SlotState {
    /// Joins a delta, already decoded as `delta`, to what lies at `spot`, which is where the active registers have its key. Answers what that did, and
    /// by how many bytes the table grew or shrank.
    pub(super) fn join(
        &mut self,
        (key, spot): (RegisterKey, Option<Spot>),
        packed: PackedRef<'_>,
        delta: &Progress,
        arrival: Arrival,
        Joining { ids, forgetting, folded }: Joining<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(Joined, isize), DecodeError> {
        let newest = delta.newest().map(|place| place.version);
        let opened_above = |known: &Progress| newest.filter(|version| known.newest().is_none_or(|place| place.version < *version));
        if let Some(spot) = spot
            && let Some(entry) = self.active.at(spot)
        {
            let known_ref = PackedRef::read(entry.packed)?;
            let mut known = ids.progress(known_ref.state)?;
            let mut floor = entry.floor;
            // What has expired is nothing, also to what comes after it. But this may be the lesser part of a register that lives.
            if !forgetting.keeps(key.profile_hash(), known_ref.profile, &known) {
                known = match &self.frozen.as_ref().and_then(|frozen| frozen.get(key)) {
                    Some(frozen) => entry.over(Some(frozen.over(folded(key))?))?,
                    None => entry.over(folded(key))?,
                };
                if !forgetting.keeps(key.profile_hash(), known_ref.profile, &known) {
                    (known, floor) = (Progress::default(), forgetting.floor());
                }
            }
            if known.holds(delta) {
                return Ok((Joined { changed: false, opened: None }, 0));
            }
            let opened = opened_above(&known);
            known.join(delta);
            let before = entry.packed.len();
            scratch.clear();
            scratch.extend_from_slice(known_ref.profile);
            scratch.extend_from_slice(known_ref.title);
            known.encode(scratch);
            self.active.replace(spot, scratch, arrival, floor);
            self.joined = self.joined.max(arrival.seq());
            return Ok((Joined { changed: true, opened }, scratch.len().cast_signed() - before.cast_signed()));
        }
        let mut opened = newest;
        if let Some(entry) = self.frozen.as_ref().and_then(|frozen| frozen.get(key)) {
            let known = ids.progress(PackedRef::read(entry.packed)?.state)?;
            if forgetting.keeps(key.profile_hash(), packed.profile, &known) {
                if known.holds(delta) {
                    return Ok((Joined { changed: false, opened: None }, 0));
                }
                opened = opened_above(&known);
            }
        }
        scratch.clear();
        packed.put(scratch);
        self.active.insert(key, scratch, arrival, forgetting.floor());
        self.joined = self.joined.max(arrival.seq());
        Ok((Joined { changed: true, opened }, entry_bytes(scratch.len()).cast_signed()))
    }

    /// Puts a delta where it lies if that has only gone on to it, which needs no decoding: see [`gone_on`]. The highest stamp of the delta, and by how
    /// many bytes the table grew or shrank.
    ///
    /// Not where something may have been forgotten: that is judged by what the states hold.
    pub(super) fn go_on(&mut self, spot: Spot, packed: PackedRef<'_>, arrival: Arrival, scratch: &mut Vec<u8>) -> Option<(Hlc, isize)> {
        // A bug that is planted in a join has to be met.
        #[cfg(leftoff_planted)]
        if crate::planted::is_any_on() {
            return None;
        }
        let entry = self.active.at(spot)?;
        let known = PackedRef::read(entry.packed).ok().filter(|known| known.profile == packed.profile && known.title == packed.title)?;
        let highest = gone_on(known.state, packed.state)?;
        let grown = packed.state.len().cast_signed() - known.state.len().cast_signed();
        let floor = entry.floor;
        scratch.clear();
        packed.put(scratch);
        self.active.replace(spot, scratch, arrival, floor);
        self.joined = self.joined.max(arrival.seq());
        Some((highest, grown))
    }

    /// Whether the changes that lie there are these, byte for byte.
    pub(super) fn is(&self, spot: Spot, packed: PackedRef<'_>) -> bool {
        self.active.at(spot).is_some_and(|entry| packed.is_packed_as(entry.packed))
    }

    /// What the slot holds of a register.
    pub(super) fn entry(&self, key: RegisterKey) -> Option<Entry> {
        let active = self.active.get(key).map(EntryRef::to_entry);
        let frozen = self.frozen.as_ref().and_then(|frozen| frozen.get(key)).map(EntryRef::to_entry);
        match active {
            Some(active) => Some(Entry { below: frozen.map(Box::new), ..active }),
            None => frozen,
        }
    }

    /// The ids of a register, if it has changed.
    pub(super) fn ids(&self, key: RegisterKey) -> Result<Option<(ProfileId, TitleId)>, DecodeError> {
        let entry = self.active.get(key).or_else(|| self.frozen.as_ref().and_then(|frozen| frozen.get(key)));
        let Some(entry) = entry else { return Ok(None) };
        let packed = PackedRef::read(entry.packed)?;
        Ok(Some((packed.profile_id()?, packed.title_id()?)))
    }

    /// Whether it has at most so many registers of a range; those that are both frozen and active count twice.
    pub(super) fn has_at_most(&self, range: KeyRange, count_max: usize) -> bool {
        let frozen = self.frozen.iter().flat_map(|frozen| frozen.range(range));
        self.active.range(range).chain(frozen).nth(count_max).is_none()
    }

    /// Copies the slot's registers of a range in key order, what is frozen below what is active.
    pub(super) fn copy(&self, range: KeyRange) -> Vec<(RegisterKey, Entry)> {
        let mut copied: Vec<(RegisterKey, Entry)> = Vec::new();
        let mut frozen = self.frozen.iter().flat_map(|frozen| frozen.range(range)).peekable();
        for (key, entry) in self.active.range(range) {
            while let Some((older, entry)) = frozen.next_if(|(older, _)| *older < key) {
                copied.push((older, entry.to_entry()));
            }
            let below = frozen.next_if(|(older, _)| *older == key).map(|(_, older)| Box::new(older.to_entry()));
            copied.push((key, Entry { below, ..entry.to_entry() }));
        }
        copied.extend(frozen.map(|(key, entry)| (key, entry.to_entry())));
        copied
    }
}

/// Bytes that an entry of so many packed bytes takes, overhead included.
pub(super) const fn entry_bytes(packed_bytes: usize) -> usize {
    packed_bytes + ENTRY_OVERHEAD_BYTES
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Mutex<SlotState>]>,
    bytes: AtomicUsize,
    count: AtomicUsize,
}

impl Table {
    pub(super) fn new() -> Self {
        let slots = (0..SLOT_COUNT).map(|_| Mutex::default()).collect();
        Self { slots, bytes: AtomicUsize::new(0), count: AtomicUsize::new(0) }
    }

    pub(super) fn slot(&self, slot: Slot) -> MutexGuard<'_, SlotState> {
        self.slots[usize::from(slot.0) % SLOT_COUNT].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the table grew or shrank by so many bytes and entries.
    pub(super) fn note(&self, bytes: isize, count: isize) {
        self.bytes.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
        self.count.fetch_add(count.cast_unsigned(), Ordering::Relaxed);
    }

    /// Bytes of all entries, overhead included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Entries.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
