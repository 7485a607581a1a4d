//! What a peer sent and this replica has not yet acknowledged.

use std::collections::{BTreeSet, VecDeque};

use super::message::{Ack, Records, RefusalReason, RefusedKey};
use crate::limits::{IN_FLIGHT_BYTES_MAX, REFUSED_PER_ACK_COUNT_MAX};
use crate::progress::codec::Reader;
use crate::progress::{ProfileId, TitleId};
use crate::replica::{ApplyError, Core, Grant, PeerRecords, RefusedReason, RefusedRecord};
use crate::store::{PeerCursor, Record, RegisterKey, ReplicaId, Seq};
use crate::time::WallTime;

/// Refused keys that wait to be listed. An honest peer has fewer records in flight, even if every one of them is refused.
const REFUSED_WAITING_COUNT_MAX: usize = IN_FLIGHT_BYTES_MAX / 32;

/// Keys remembered that were refused for later; about 50 bytes each.
const AHEAD_COUNT_MAX: usize = 4_096;

/// Records frames that were taken, in order, and what of them was refused.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Records frames taken.
    received: u64,
    /// Those that wait for the log, and the sequence number that they wait for. Ascending in both.
    waiting: VecDeque<(u64, Seq)>,
    /// Records frames acknowledged.
    acked: u64,
    /// Keys to list, each with its frame.
    refused: VecDeque<(u64, RefusedKey)>,
    /// The last acknowledgement listed as many as one may: the peer waits for the rest, also if there is none.
    lists_on: bool,
    /// The last sequence number that a frame of the peer's took.
    last: Seq,
    /// Keys refused because they were ahead of the clock, and not taken since: the peer offers them again, if it lives. Whether it is a tombstone.
    ahead: BTreeSet<(RegisterKey, bool)>,
    /// There were more than are remembered: nobody knows when the last is taken.
    overflowed: bool,
    refused_count: u64,
}

impl Inbox {
    /// Takes a frame. On an error nothing was taken.
    pub(super) fn handle(
        &mut self,
        now: WallTime,
        core: &Core,
        from: ReplicaId,
        records: &Records<'_>,
        cursor: Option<PeerCursor>,
        grant: Option<&Grant>,
    ) -> Result<(), ApplyError> {
        let made_there = records.says.own.is_some();
        // What was refused lies before every later cursor: with one of those on disk, and both sides restarted, nobody would know of it any more.
        let cursor = cursor.filter(|_| !self.has_refused_for_later());
        let peer_records = PeerRecords { bytes: records.bytes, count: records.count, cursor, made_there };
        let applied = core.apply(now, from, peer_records, grant)?;
        self.note_ahead(core, records.bytes, &applied.refused);
        self.received += 1;
        self.last = applied.last.unwrap_or(self.last).max(self.last);
        match self.waiting.back_mut() {
            // The peer's cursor moves only when the last record of the frame is in the log, and so must its acknowledgement: a frame that
            // took no number of its own is as durable as the one before.
            Some(back) if applied.last.is_none() || Some(back.1) == applied.last => back.0 = self.received,
            _ => self.waiting.push_back((self.received, self.last)),
        }
        self.refused_count += applied.refused.len() as u64;
        for refused in applied.refused {
            self.refused.push_back((self.received, key_of(refused)));
        }
        Ok(())
    }

    /// Forgets keys that were refused for later and have now been taken, and notes those of which this frame's record was refused. A peer sends its
    /// register as it is, with all that was in what it sent before.
    fn note_ahead(&mut self, core: &Core, bytes: &[u8], refused: &[RefusedRecord]) {
        let hasher = core.store().hasher();
        let of = |profile: &ProfileId, title: Option<&TitleId>| match title {
            Some(title) => (hasher.register(profile, title), false),
            None => (RegisterKey::first_of(hasher.profile(profile)), true),
        };
        if !self.ahead.is_empty() {
            let again: BTreeSet<_> = refused.iter().map(|refused| of(&refused.profile, refused.title.as_ref())).collect();
            let mut reader = Reader::new(bytes);
            // They have been read before.
            while !reader.is_empty()
                && let Ok(record) = Record::decode(&mut reader)
            {
                let key = match &record {
                    Record::Register { profile, title, .. } => of(profile, Some(title)),
                    Record::Erased { profile, .. } => of(profile, None),
                };
                if !again.contains(&key) {
                    self.ahead.remove(&key);
                }
            }
        }
        for refused in refused.iter().filter(|refused| refused.reason == RefusedReason::TooFarAhead) {
            if self.ahead.len() < AHEAD_COUNT_MAX {
                self.ahead.insert(of(&refused.profile, refused.title.as_ref()));
            } else {
                self.overflowed = true;
            }
        }
    }

    /// Whether the peer sends what is refused and does not take the answers.
    pub(super) fn is_flooded(&self) -> bool {
        self.refused.len() > REFUSED_WAITING_COUNT_MAX
    }

    /// The acknowledgement that is due when everything up to `durable` is synced here.
    pub(super) fn poll_ack(&mut self, durable: Seq) -> Option<Ack> {
        let mut up_to = self.acked;
        while let Some((frame, seq)) = self.waiting.front()
            && *seq <= durable
        {
            up_to = *frame;
            self.waiting.pop_front();
        }
        let listable = self.refused.iter().take(REFUSED_PER_ACK_COUNT_MAX).take_while(|(frame, _)| *frame <= up_to).count();
        if up_to == self.acked && listable == 0 && !self.lists_on {
            return None;
        }
        self.acked = up_to;
        self.lists_on = listable == REFUSED_PER_ACK_COUNT_MAX;
        Some(Ack { up_to, refused: self.refused.drain(..listable).map(|(_, key)| key).collect() })
    }

    /// The last sequence number that something of the peer's took here.
    pub(super) const fn last(&self) -> Seq {
        self.last
    }

    /// Whether records were refused that the peer is to offer again, and were not taken since.
    pub(super) fn has_refused_for_later(&self) -> bool {
        self.overflowed || !self.ahead.is_empty()
    }

    /// Records refused.
    pub(super) const fn refused_count(&self) -> u64 {
        self.refused_count
    }
}

fn key_of(refused: RefusedRecord) -> RefusedKey {
    let reason = match refused.reason {
        RefusedReason::TooFarAhead => RefusalReason::AheadOfClock,
        RefusedReason::NotEntitled => RefusalReason::Forbidden,
        RefusedReason::OutOfBounds => RefusalReason::OutOfBounds,
    };
    RefusedKey { profile: refused.profile, title: refused.title, reason, retry_ms: refused.retry_ms }
}
