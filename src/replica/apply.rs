//! Applying what a peer sent: checked record by record, then appended like anything else.

use std::sync::atomic::Ordering;

use super::{Core, Grant};
use crate::limits::{FRAME_BYTES_MAX, POSITION_MS_MAX};
use crate::progress::codec::{CheckedOnly, Reader};
use crate::progress::{DecodeError, ProfileId, Progress, TitleId};
use crate::store::{AppendError, Batch, PeerCursor, ReadError, Record, ReplicaId, Seq, day_of};
use crate::time::{ClockError, Hlc, HybridClock, WallTime};

/// Why one record of a peer was not taken. The peer keeps it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RefusedReason {
    /// A stamp is further ahead of this replica's clock than is accepted; offer it again when it is due.
    TooFarAhead,
    /// The profile is not in the peer's token.
    NotEntitled,
    /// A value is beyond its bound, or the profile has no room for another title of a device's.
    OutOfBounds,
}

/// One record that was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedRecord {
    /// Whose.
    pub profile: ProfileId,
    /// Of which title; none for an erasure.
    pub title: Option<TitleId>,
    /// Why.
    pub reason: RefusedReason,
    /// When to offer it again, in milliseconds from now; zero: not at all.
    pub retry_ms: u64,
}

/// What became of a peer's records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AppliedRecords {
    /// The number to wait for: the records, and the cursor with them, are kept when it is durable. None: there was nothing to append.
    pub last: Option<Seq>,
    /// What was not taken.
    pub refused: Vec<RefusedRecord>,
}

/// Records as a peer sent them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerRecords<'a> {
    /// Their bytes, as in the log.
    pub bytes: &'a [u8],
    /// How many the peer says there are.
    pub count: u32,
    /// How far they bring this replica.
    pub cursor: Option<PeerCursor>,
    /// They are changes that were made at the peer: whoever is linked with it gets them from there.
    pub made_there: bool,
}

/// Why nothing of a peer's frame was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The peer sent bytes that are no records: its link must end.
    #[error("the peer's records cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The peer says there are more or fewer records than there are: its link must end.
    #[error("the peer announced {announced} records and sent {sent}")]
    Count {
        /// What it announced.
        announced: u32,
        /// What it sent.
        sent: u32,
    },
    /// The titles of a profile could not be counted.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store takes nothing now, or nothing any more. Apply the same again later.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The highest stamp of a record that may be taken, or why it may not, and when to offer it again.
type Judged = Result<Hlc, (RefusedReason, u64)>;

impl Core {
    /// Takes records from a peer, and with them the cursor that they bring this replica to.
    ///
    /// When a record is refused for later, the cursor is not kept; nor while the store needs to be reconciled.
    /// With a grant, only records of its profiles are taken, and only within bounds. They are kept, and may be acknowledged to the peer, when
    /// [`AppliedRecords::last`] is durable.
    ///
    /// # Errors
    ///
    /// Nothing was taken.
    pub fn apply(
        &self,
        now: WallTime,
        from: ReplicaId,
        records: PeerRecords<'_>,
        grant: Option<&Grant>,
    ) -> Result<AppliedRecords, ApplyError> {
        let PeerRecords { bytes, count, cursor, made_there } = records;
        debug_assert!(bytes.len() <= FRAME_BYTES_MAX, "frames are bounded where they are read");
        let now = self.corrected(now);
        let mut reader = Reader::new(bytes);
        let batch = if grant.is_some() { Batch::from_device(from) } else { Batch::from_peer(from) };
        let mut batch = batch.made_there(made_there);
        let ids = CheckedOnly::default();
        let mut refused = Vec::new();
        let mut highest = Hlc::ZERO;
        let mut sent = 0;
        while !reader.is_empty() {
            let before = reader;
            let judged = match grant {
                Some(grant) => self.judge(now, &Record::decode(&mut reader)?, grant)?,
                None => self.judge_stamp(now, Record::stamp(&mut reader, &ids)?),
            };
            sent += 1;
            let mut again = before;
            #[cfg(leftoff_planted)]
            if self.is_old_by_own_clock(now, &Record::decode(&mut again.clone())?) {
                continue;
            }
            match judged {
                Ok(stamp) => {
                    highest = highest.max(stamp);
                    batch.copy(before.bytes_until(&reader));
                }
                Err((reason, retry_ms)) => refused.push(refusal(Record::decode(&mut again)?, reason, retry_ms)),
            }
        }
        if sent != count {
            return Err(ApplyError::Count { announced: count, sent });
        }
        // A cursor on disk says that everything before it is here. What was refused for later is not: the peer offers it again while it remembers,
        // and sends it from the old cursor on when both sides have forgotten. Nor is everything here while the store is to be reconciled.
        let is_whole = !self.store.needs_reconciliation() && refused.iter().all(|refused| refused.reason != RefusedReason::TooFarAhead);
        if let Some(cursor) = cursor.filter(|_| is_whole) {
            batch.set_cursor(cursor);
        }
        if batch.is_empty() {
            return Ok(AppliedRecords { last: None, refused });
        }
        self.store.admit(batch.bytes())?;
        #[cfg(leftoff_planted)]
        self.append_cursor_early(from, &mut batch)?;
        let last = self.store.append(batch)?.last;
        self.clock.observe(highest);
        self.wake_committer();
        Ok(AppliedRecords { last: Some(last), refused })
    }

    /// Joins a node's expiry floor (days since the Unix epoch), where a time to live is set: before any of its records. In effect when the next
    /// flush has returned.
    ///
    /// A floor never sinks again, and what lies below it is gone everywhere. So none is taken that this replica's own clock would not put up
    /// within a day.
    ///
    /// # Errors
    ///
    /// Nothing was changed.
    pub fn raise_floor(&self, now: WallTime, day: u32) -> Result<(), AppendError> {
        let Some(due) = self.floor_due(now) else { return Ok(()) };
        let day = day.min(due.saturating_add(1));
        if day <= self.store.floor_day() {
            return Ok(());
        }
        let mut batch = Batch::local();
        batch.raise_floor(day);
        self.store.append(batch)?;
        self.wake_committer();
        Ok(())
    }

    /// Raises the expiry floor as time passes, where a time to live is set. In effect when the next flush has returned.
    ///
    /// Not by a clock that may be wrong: a device's must be known from a peer's ([`Core::share_unshared`]), and a node's that has peers must
    /// agree with theirs ([`Core::set_clock_agrees`]).
    ///
    /// # Errors
    ///
    /// Nothing was changed.
    pub fn expire(&self, now: WallTime) -> Result<(), AppendError> {
        let with_peers = self.options.expires_with_peers;
        #[cfg(leftoff_planted)]
        let with_peers = with_peers && !crate::planted::is_on(crate::planted::Planted::FloorByAnyClock);
        if self.keeps_apart() || (with_peers && !self.clock_agrees.load(Ordering::Acquire)) {
            return Ok(());
        }
        self.floor_due(now).map_or(Ok(()), |day| self.raise_floor(now, day))
    }

    /// Takes note whether this machine's clock agrees with the peers': see [`CoreOptions::expires_with_peers`](super::CoreOptions).
    pub fn set_clock_agrees(&self, agrees: bool) {
        self.clock_agrees.store(agrees, Ordering::Release);
    }

    /// The expiry floor by this replica's own clock.
    fn floor_due(&self, now: WallTime) -> Option<u32> {
        #[cfg(leftoff_planted)]
        let now = if crate::planted::is_on(crate::planted::Planted::FloorADayEarly) { now.shifted(86_400_000) } else { now };
        self.options.ttl_days.map(|ttl| day_of(self.corrected(now)).saturating_sub(ttl))
    }

    #[cfg(leftoff_planted)]
    fn is_old_by_own_clock(&self, now: WallTime, record: &Record) -> bool {
        let Record::Register { state, .. } = record else { return false };
        let ttl_ms = self.options.ttl_days.map(|days| i64::from(days) * 86_400_000);
        crate::planted::is_on(crate::planted::Planted::ExpiryByOwnClock)
            && ttl_ms.is_some_and(|ttl_ms| now.millis_since(state.newest_stamp().wall()) > ttl_ms)
    }

    #[cfg(leftoff_planted)]
    fn append_cursor_early(&self, from: ReplicaId, batch: &mut Batch) -> Result<(), AppendError> {
        if crate::planted::is_on(crate::planted::Planted::CursorBeforeRecords)
            && batch.count() > 0
            && let Some(cursor) = batch.cursor.take()
        {
            let mut early = Batch::from_peer(from);
            early.set_cursor(cursor);
            self.store.append(early)?;
        }
        Ok(())
    }

    /// Judges a device's record.
    fn judge(&self, now: WallTime, record: &Record, grant: &Grant) -> Result<Judged, ReadError> {
        if !grant.holds(record.profile()) || !grant.write {
            return Ok(Err((RefusedReason::NotEntitled, 0)));
        }
        let stamp = match record {
            Record::Register { state, .. } if !within_bounds(state) => return Ok(Err((RefusedReason::OutOfBounds, 0))),
            Record::Register { state, .. } => state.highest_stamp(),
            Record::Erased { erased, .. } => *erased,
        };
        let judged = self.judge_stamp(now, stamp);
        // Last, because it looks into the store: what is refused anyway is not to cost that.
        if judged.is_ok()
            && let Record::Register { profile, title, .. } = record
            && self.is_title_too_many(profile, title)?
        {
            return Ok(Err((RefusedReason::OutOfBounds, 0)));
        }
        Ok(judged)
    }

    fn judge_stamp(&self, now: WallTime, stamp: Hlc) -> Judged {
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::DriftUnchecked) {
            return Ok(stamp);
        }
        let drift_ms_max = self.options.drift_ms_max;
        #[cfg(leftoff_planted)]
        let drift_ms_max = if crate::planted::is_on(crate::planted::Planted::DriftInSeconds) { drift_ms_max / 1_000 } else { drift_ms_max };
        match HybridClock::check(stamp, now, drift_ms_max) {
            Ok(()) => Ok(stamp),
            Err(ClockError::TooFarAhead { ahead_ms, bound_ms }) => Err((RefusedReason::TooFarAhead, ahead_ms - bound_ms + 1)),
        }
    }
}

fn within_bounds(state: &Progress) -> bool {
    let position_max = state.places.as_slice().iter().map(|place| place.position).chain([state.furthest]).max().unwrap_or_default();
    let acted = state.activity.as_ref().map_or(0, |activity| activity.position.as_millis());
    let duration_ms = state.duration.map_or(0, |known| known.ms);
    position_max.as_millis().max(acted).max(duration_ms) <= POSITION_MS_MAX
}

fn refusal(record: Record, reason: RefusedReason, retry_ms: u64) -> RefusedRecord {
    match record {
        Record::Register { profile, title, .. } => RefusedRecord { profile, title: Some(title), reason, retry_ms },
        Record::Erased { profile, .. } => RefusedRecord { profile, title: None, reason, retry_ms },
    }
}
