//! A peer's reader of our changes.
//!
//! Near the present it reads the ring and sends, for each key, the register's state as it is now, once. Behind the ring it reads the registers
//! themselves by the number they arrived under, leaf by leaf, skipping leaves in which nothing is newer. Either way it holds a few dozen bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::fingerprint::Fingerprints;
use super::leaves::LEAVES_PER_SLOT;
use super::packed::{IdBuffer, PackedRef, profile_id};
use super::record::{put_erased, put_register};
use super::ring::Change;
use super::table::{Arrival, OriginIndex};
use super::{KeyRange, LeftOut, ReadError, RegisterKey, ReplicaId, SLOT_COUNT, ScanItem, Seq, Slot, Store, Stored};
use crate::limits::RECORD_BYTES_MAX;

/// Changes looked at in one step, sent or not.
const CHANGES_PER_STEP: usize = 8_192;

/// Changes to look at from which on a key is likely to be among them twice.
const REPEATS_COUNT_MIN: usize = 64;

/// How far a peer has been sent our changes, and where a scan on its behalf stands. A few dozen bytes, however far the peer lags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feed {
    position: Seq,
    /// The peer is known to hold everything up to here.
    held: Seq,
    scan: Option<FeedScan>,
    owed: Option<Owed>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FeedScan {
    /// The next tombstone, by profile hash; none left if `None`.
    tombstone: Option<u64>,
    next: RegisterKey,
    covers: Seq,
}

/// Changes left out because a later one of the same key is still to come: the peer has everything up to `position` only when that has been sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Owed {
    from: Seq,
    until: Seq,
}

impl Feed {
    /// A reader of everything that arrived after `seq`.
    pub const fn after(seq: Seq) -> Self {
        Self { position: seq, held: seq, scan: None, owed: None }
    }

    /// The peer holds everything up to here, and has refused nothing of it: of a register that changes again, what was folded before need not go
    /// with it. What is only on its way may yet be refused.
    pub const fn set_held(&mut self, up_to: Seq) {
        self.held = up_to;
    }

    /// Everything up to here has been looked at.
    pub const fn position(&self) -> Seq {
        self.position
    }

    /// Whether the reader is behind the ring and reads registers by `arrived`.
    pub const fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    /// Goes over everything from `first` on once more, whatever was sent of it.
    pub fn rewind_to(&mut self, first: Seq) {
        let owed = self.owed.take().map_or(first, |owed| owed.from);
        // A scan under way has passed registers that it would now have to send.
        self.scan = None;
        self.position = self.position.min(Seq(first.min(owed).0.saturating_sub(1)));
    }

    /// Earlier changes of some keys may wait for one up to this number.
    fn owed_until(&self) -> Seq {
        self.owed.map_or(Seq(0), |owed| owed.until)
    }

    fn owe(&mut self, from: Seq, until: Seq) {
        let owed = self.owed.get_or_insert(Owed { from, until });
        owed.until = owed.until.max(until);
    }

    /// What the peer has everything up to.
    fn covered(&mut self) -> Seq {
        if self.owed.is_some_and(|owed| owed.until <= self.position) {
            self.owed = None;
        }
        self.owed.map_or(self.position, |owed| Seq(owed.from.0.saturating_sub(1)))
    }
}

/// What one step of a feed handed out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FeedStep {
    /// Records appended to the output.
    pub count: u32,
    /// The first so many of them are changes that were made here or by devices that brought them here.
    pub own_count: u32,
    /// None of those was made after this one.
    pub own_until: Seq,
    /// The bytes of those.
    pub own_bytes: usize,
    /// With these and all earlier records of the feed applied, the peer has everything up to here. `None` in the middle of a scan.
    pub covers: Option<Seq>,
    /// Changes that were left out.
    pub left_out_count: u32,
    /// Whether another step would look at more right away.
    pub more: bool,
}

/// Where a step puts its records.
struct Output<'a> {
    left_out: &'a mut [LeftOut],
    wants: &'a dyn Fn(&str) -> bool,
    out: &'a mut Vec<u8>,
    start: usize,
    bytes_max: usize,
    count: u32,
    /// What was not made here, to come after what was.
    others: Vec<u8>,
    others_count: u32,
    own_until: Seq,
    left_out_count: u32,
    /// The first change that the peer is not known to have, of those that are left out; asked for with every record.
    first_left_out: Option<Seq>,
}

impl<'a> Output<'a> {
    fn new(left_out: &'a mut [LeftOut], wants: &'a dyn Fn(&str) -> bool, out: &'a mut Vec<u8>, bytes_max: usize) -> Self {
        let start = out.len();
        let first_left_out = left_out.iter().filter_map(LeftOut::first).min();
        Self {
            first_left_out,
            left_out,
            wants,
            out,
            start,
            bytes_max,
            count: 0,
            others: Vec::new(),
            others_count: 0,
            own_until: Seq(0),
            left_out_count: 0,
        }
    }

    /// Whether the peer gets a change elsewhere, which is noted then.
    fn leaves_out(&mut self, change: &Change) -> bool {
        let origin = self.left_out.iter_mut().find(|origin| origin.leaves(change));
        let is_left_out = origin.is_some();
        if let Some(origin) = origin {
            origin.add(change.seq);
            self.first_left_out = self.first_left_out.into_iter().chain(origin.first()).min();
        }
        self.left_out_count += u32::from(is_left_out);
        is_left_out
    }

    /// Up to where the peer holds everything, that is not left out.
    fn held(&self, up_to: Seq) -> Seq {
        self.first_left_out.map_or(up_to, |first| up_to.min(Seq(first.0.saturating_sub(1))))
    }

    /// Whether a change that is still to come may be left out.
    fn may_leave_out(&self, arrival: Arrival) -> bool {
        self.left_out.iter().any(|origin| origin.may_leave(arrival.origin(), arrival.seq()))
    }

    /// Where the peer lags: the last change of each key among these that will be sent. The register itself tells only of its newest change, and
    /// that may be one which is left out.
    fn later(&self, peer: Option<OriginIndex>, changes: &[Change]) -> BTreeMap<RegisterKey, Seq> {
        if changes.len() < REPEATS_COUNT_MIN || !self.left_out.iter().any(LeftOut::is_leaving) {
            return BTreeMap::new();
        }
        let is_sent = |change: &&Change| {
            let is_left_out = self.left_out.iter().any(|origin| origin.leaves(change));
            !change.tombstone && Some(change.origin) != peer && !is_left_out
        };
        changes.iter().filter(is_sent).map(|change| (change.key, change.seq)).collect()
    }

    /// Whether another record fits. The first one always does.
    fn has_room(&self) -> bool {
        let bytes = self.out.len() - self.start + self.others.len();
        self.count + self.others_count == 0 || bytes + RECORD_BYTES_MAX <= self.bytes_max
    }

    /// Puts a record by its encoder. What was made here, none of it after `ours`, comes first.
    fn put(&mut self, ours: Option<Seq>, put: impl FnOnce(&mut Vec<u8>)) {
        let (out, count) = if ours.is_some() { (&mut *self.out, &mut self.count) } else { (&mut self.others, &mut self.others_count) };
        put(out);
        *count += 1;
        self.own_until = self.own_until.max(ours.unwrap_or_default());
    }

    /// What the step handed out.
    fn step(mut self, covers: Option<Seq>, more: bool) -> FeedStep {
        let step = FeedStep {
            count: self.count + self.others_count,
            own_count: self.count,
            own_until: self.own_until,
            own_bytes: self.out.len() - self.start,
            covers,
            left_out_count: self.left_out_count,
            more,
        };
        self.out.append(&mut self.others);
        step
    }
}

impl Store {
    /// Appends changes that a peer has not been sent to `out`, at most `bytes_max` bytes but at least one record if there is one.
    ///
    /// What came from the peer itself is left out, what `left_out` says, and profiles that it does not want, by their ids. A key that changed several times
    /// is sent once. What the step covers does not regard what `left_out` left out: the caller does.
    pub fn next_changes(
        &self,
        feed: &mut Feed,
        to: ReplicaId,
        bytes_max: usize,
        wants: &dyn Fn(&str) -> bool,
        left_out: &mut [LeftOut],
        out: &mut Vec<u8>,
    ) -> Result<FeedStep, ReadError> {
        for origin in left_out.iter_mut().filter(|origin| origin.is_leaving()) {
            origin.begin(|id| self.present.origin_of(id), feed.owed_until());
        }
        let output = Output::new(left_out, wants, out, bytes_max);
        if feed.scan.is_none() {
            let durable = self.durable();
            let mut changes = Vec::new();
            if self.present.ring.copy_after(feed.position, CHANGES_PER_STEP, &mut changes).is_some() {
                return self.send_changes(feed, to, &changes, durable, output);
            }
            // From what the peer is known to have: a change that was passed over for a later one of its key has to be found by the scan, and
            // keeps its own number if the later one brought nothing new.
            feed.position = feed.covered();
            feed.owed = None;
            feed.scan = Some(FeedScan { tombstone: Some(0), next: RegisterKey(0), covers: durable });
        }
        let step = self.send_scanned(feed, output);
        self.note_damage();
        step
    }

    /// Passes over what changed in other profiles than these (their hashes, ascending), near the present: of thousands of peers that want a few
    /// profiles each, nearly all are asked in vain with each change. What the peer then has everything up to, if nothing is left to look at.
    pub fn pass_over(&self, feed: &mut Feed, profiles: &[u64]) -> Option<Seq> {
        if feed.scan.is_some() {
            return None;
        }
        let durable = self.durable();
        let is_wanted = |change: &Change| profiles.binary_search(&change.key.profile_hash()).is_ok();
        let (last, all) = self.present.ring.last_before(feed.position, CHANGES_PER_STEP, &is_wanted)?;
        feed.position = feed.position.max(if all { last.max(durable) } else { last });
        all.then(|| feed.covered())
    }

    /// Appends changes that were left out and are to be sent after all, and of those no others, in steps; how many. `None`: they are gone from the ring,
    /// and the feed has to go over everything from the first of them on.
    ///
    /// A register is sent as it is now, which is all that the peer lacks of it, whatever of a later change it was sent already.
    pub fn changes_again(
        &self,
        left_out: &mut LeftOut,
        bytes_max: usize,
        wants: &dyn Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<u32>, ReadError> {
        let mut output = Output::new(&mut [], wants, out, bytes_max);
        let mut changes = Vec::new();
        let mut sent = BTreeSet::new();
        if let Some((first, last)) = left_out.again() {
            if self.present.ring.copy_after(Seq(first.0.saturating_sub(1)), CHANGES_PER_STEP, &mut changes).is_none() {
                return Ok(None);
            }
            let mut next = changes.last().map_or(Seq(last.0 + 1), |newest| Seq(newest.seq.0 + 1));
            for change in changes.iter().filter(|change| change.seq <= last && left_out.concerns(change)) {
                if !output.has_room() {
                    next = change.seq;
                    break;
                }
                if sent.insert(change.key) {
                    self.send_found(change.key, None, &mut output)?;
                }
            }
            left_out.sent_before(next);
        }
        Ok(Some(output.step(None, false).count))
    }

    fn send_changes(
        &self,
        feed: &mut Feed,
        to: ReplicaId,
        changes: &[Change],
        durable: Seq,
        mut output: Output<'_>,
    ) -> Result<FeedStep, ReadError> {
        let peer = self.present.origin_of(to);
        let mut sent = BTreeSet::new();
        let later = output.later(peer, changes);
        let mut all = true;
        for change in changes {
            if !output.has_room() {
                all = false;
                break;
            }
            let from_peer = peer.is_some_and(|peer| peer == change.origin);
            // Erasures are few and weigh much: they take every way there is.
            if change.tombstone && !from_peer {
                self.send_tombstone(change, &mut output)?;
            } else if !from_peer && !sent.contains(&change.key) && !output.leaves_out(change) {
                match later.get(&change.key).filter(|seq| **seq > change.seq) {
                    Some(seq) => feed.owe(change.seq, *seq),
                    None => self.send_register(feed, change, peer, &mut sent, &mut output)?,
                }
            }
            feed.position = change.seq;
        }
        if all && changes.len() < CHANGES_PER_STEP {
            feed.position = feed.position.max(durable);
        }
        let more = feed.position < self.durable();
        Ok(output.step(Some(feed.covered()), more))
    }

    fn send_tombstone(&self, change: &Change, output: &mut Output<'_>) -> Result<(), ReadError> {
        // A later erasure of the same profile has its own entry.
        for tombstone in self.present.forgetting.of(change.key.profile_hash()) {
            let profile = profile_id(&tombstone.profile)?;
            if tombstone.arrived == change.seq && (output.wants)(profile.as_str()) {
                output.put(change.is_ours.then_some(change.seq), |out| put_erased(out, &profile, tombstone.erased));
            }
        }
        Ok(())
    }

    fn send_register(
        &self,
        feed: &mut Feed,
        change: &Change,
        peer: Option<OriginIndex>,
        sent: &mut BTreeSet<RegisterKey>,
        output: &mut Output<'_>,
    ) -> Result<(), ReadError> {
        let slot = self.present.table.slot(change.key.slot());
        let newest = slot.active.get(change.key).or_else(|| slot.frozen.as_ref().and_then(|frozen| frozen.get(change.key)));
        if let Some(entry) = newest {
            // A later change that will be sent carries this one too; but the peer has it only then. One that came from the peer is never sent, nor
            // is one that the peer gets elsewhere.
            let is_to_come = entry.arrival.seq() > change.seq && Some(entry.arrival.origin()) != peer;
            if is_to_come && !output.may_leave_out(entry.arrival) {
                feed.owe(change.seq, entry.arrival.seq());
                return Ok(());
            }
            // All that the peer does not have of this register is in this one entry: its bytes go out as they are.
            let only = slot.active.get(change.key).is_none_or(|_| slot.frozen.is_none());
            if only && output.held(feed.held) >= slot.gone && !self.present.forgetting.anything() {
                let packed = PackedRef::read(entry.packed)?;
                if (output.wants)(IdBuffer::new().text(packed.profile)?) {
                    output.put(change.own_until(entry.arrival.seq()), |out| packed.put_record(out));
                    sent.insert(change.key);
                }
                return Ok(());
            }
        }
        drop(slot);
        if self.send_found(change.key, Some(change), output)? {
            sent.insert(change.key);
        }
        Ok(())
    }

    /// Sends a register as it is now, if there is one and the peer wants it; whether it did.
    fn send_found(&self, key: RegisterKey, change: Option<&Change>, output: &mut Output<'_>) -> Result<bool, ReadError> {
        let Some(found) = self.find(key)?.filter(|found| (output.wants)(found.profile.as_str())) else { return Ok(false) };
        let ours = change.and_then(|change| change.own_until(found.arrived));
        output.put(ours, |out| put_register(out, &found.profile, &found.title, &found.progress));
        Ok(true)
    }

    /// A register with its ids, table and engine joined.
    fn find(&self, key: RegisterKey) -> Result<Option<ScanItem>, ReadError> {
        // Nearly always it is one that has changed lately, so its ids are at hand; otherwise only a scan finds them.
        let is_whole = !self.present.forgetting.anything();
        let ids = if is_whole { self.present.table.slot(key.slot()).ids(key)? } else { None };
        if let Some((profile, title)) = ids {
            let stored = self.shared_at(key, &profile)?;
            self.note_damage();
            return Ok(stored.map(|Stored { progress, arrived }| ScanItem { key, profile, title, progress, arrived }));
        }
        let mut found = None;
        self.scan(KeyRange { first: key, last: key }, &mut |item| {
            found = Some(item);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn send_scanned(&self, feed: &mut Feed, mut output: Output<'_>) -> Result<FeedStep, ReadError> {
        let Some(mut scan) = feed.scan else { return Ok(FeedStep::default()) };
        let after = feed.position;
        if let Some(from) = scan.tombstone {
            scan.tombstone = self.send_tombstones(from, after, &mut output)?;
            feed.scan = Some(scan);
            if scan.tombstone.is_some() {
                return Ok(output.step(None, true));
            }
        }
        let mut slot = scan.next.slot().0;
        loop {
            let range = KeyRange { first: scan.next, last: KeyRange::of_slot(Slot(slot)).last };
            if let Some(next) = self.send_slot(Slot(slot), range, after, &mut output)? {
                scan.next = next;
                feed.scan = Some(scan);
                return Ok(output.step(None, true));
            }
            slot += 1;
            if usize::from(slot) == SLOT_COUNT {
                break;
            }
            scan.next = KeyRange::of_slot(Slot(slot)).first;
        }
        feed.scan = None;
        feed.owed = None;
        feed.position = scan.covers;
        Ok(output.step(Some(scan.covers), scan.covers < self.durable()))
    }

    /// Sends tombstones from a profile hash on that arrived after `after`. Answers where to go on, if there was no room for all.
    fn send_tombstones(&self, from: u64, after: Seq, output: &mut Output<'_>) -> Result<Option<u64>, ReadError> {
        let room = output.bytes_max.saturating_sub(output.out.len() - output.start) / RECORD_BYTES_MAX;
        let mut due = Vec::new();
        let mut next = None;
        self.present.forgetting.each_from(from, &mut |hash, tombstone| {
            // Whole hashes at a time, so that the place to go on is a hash.
            if due.len() >= room.max(1) && due.last().is_some_and(|(last, _)| *last != hash) {
                next = Some(hash);
                return false;
            }
            if tombstone.arrived > after {
                due.push((hash, tombstone.clone()));
            }
            true
        });
        for (_, tombstone) in due {
            let profile = profile_id(&tombstone.profile)?;
            if (output.wants)(profile.as_str()) {
                output.put(None, |out| put_erased(out, &profile, tombstone.erased));
            }
        }
        Ok(next)
    }

    /// Sends the registers of a part of a slot that arrived after `after`. Answers where to go on, if there was no room for all.
    fn send_slot(&self, slot: Slot, range: KeyRange, after: Seq, output: &mut Output<'_>) -> Result<Option<RegisterKey>, ReadError> {
        // The table first: see `reading`.
        let mut leaves = self.changed_leaves(slot, after);
        leaves |= self.fold.with_leaves(self.fold_parts(), |kept| kept.after(slot, after))?;
        let first_leaf = usize::from(slot.0) * LEAVES_PER_SLOT;
        let mut index = Fingerprints::leaf_of(range.first) - first_leaf;
        while index < LEAVES_PER_SLOT {
            if leaves >> index & 1 == 0 {
                index += 1;
                continue;
            }
            let run = (!(leaves >> index)).trailing_zeros() as usize;
            let end = (index + run).min(LEAVES_PER_SLOT);
            let first = Fingerprints::range_of(first_leaf + index).first.max(range.first);
            let last = Fingerprints::range_of(first_leaf + end - 1).last;
            let mut stopped = None;
            self.scan(KeyRange { first, last }, &mut |item| {
                if item.arrived <= after || !(output.wants)(item.profile.as_str()) {
                    return ControlFlow::Continue(());
                }
                if !output.has_room() {
                    stopped = Some(item.key);
                    return ControlFlow::Break(());
                }
                output.put(None, |out| put_register(out, &item.profile, &item.title, &item.progress));
                ControlFlow::Continue(())
            })?;
            if stopped.is_some() {
                return Ok(stopped);
            }
            index = end;
        }
        Ok(None)
    }

    /// Which leaves of a slot have a changed register that arrived after `after`: a bit for each.
    fn changed_leaves(&self, slot: Slot, after: Seq) -> u64 {
        let state = self.present.table.slot(slot);
        if state.joined <= after {
            return 0;
        }
        let first_leaf = usize::from(slot.0) * LEAVES_PER_SLOT;
        let entries = state.active.iter().chain(state.frozen.iter().flat_map(|frozen| frozen.iter()));
        let newer = entries.filter(|(_, entry)| entry.arrival.seq() > after);
        newer.fold(0, |bits, (key, _)| bits | 1 << (Fingerprints::leaf_of(key) - first_leaf))
    }
}
