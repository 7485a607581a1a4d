//! What is sent to one peer: where its feed stands, what is in flight, what was refused and waits.

use std::collections::VecDeque;
use std::time::Duration;

use super::catch_up::CatchUp;
use super::frame::{self, FrameType};
use super::message::{Records, RefusedKey};
use super::offers::Offers;
use crate::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, LIVE_FRAME_BYTES, RECORD_BYTES_MAX};
use crate::progress::ProfileId;
use crate::store::{Feed, ReadError, ReplicaId, Seq, Store};
use crate::time::MonotonicTime;

/// Frames in flight that may each carry whatever there is. Beyond them changes gather, to a live frame's worth.
const SMALL_FRAMES_COUNT_MAX: usize = 2;

/// A frame to a peer that lags, in bytes: larger frames cost less for each record at both ends.
const LAGGING_FRAME_BYTES: usize = 256 << 10;

/// Changes behind which a peer counts as lagging.
const LAGGING_COUNT: u64 = 4_096;

/// Frames in flight, whatever their size.
const IN_FLIGHT_FRAMES_MAX: usize = 256;

/// Changes that make a live frame worth sending while others are in flight.
const GATHERED_COUNT: u64 = 512;

/// Changes passed over without anything to send (they came from the peer itself, say) that are worth a frame which only covers them. A frame
/// that covers takes one number at the receiver, so that two idle peers would tell each other of such frames for ever if one were enough.
const COVERED_COUNT: u64 = 16;

/// How long after the last frame such a frame waits.
const COVER_DELAY: Duration = Duration::from_millis(200);

const _: () = assert!(LAGGING_FRAME_BYTES + RECORD_BYTES_MAX < FRAME_BYTES_MAX, "a frame to a lagging peer is a frame");

#[derive(Clone, Copy, Debug)]
struct InFlight {
    frame: u64,
    bytes: usize,
    covers: Option<Seq>,
}

/// What a poll found to send.
#[derive(Clone, Copy, Debug, Default)]
struct Polled {
    count: u32,
    covers: Option<Seq>,
}

/// An acknowledgement of more than was sent, or of less than an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct WrongAck;

/// Everything on its way to one peer, or to be. A peer that does not read costs its bounded bytes in flight and a few numbers.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    feed: Option<Feed>,
    catch_up: Option<CatchUp>,
    /// Until a reconciliation is settled, nothing says how far the peer has our changes.
    withheld: bool,
    sent: u64,
    acked: u64,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    offers: Offers,
    /// The last cover that was sent.
    told: Seq,
    /// The last cover that the peer acknowledged.
    synced: Seq,
    cover_due: Option<MonotonicTime>,
    /// How far the peer has our changes with what was sent: behind the feed's position while a change that was left out for a later one of the
    /// same key is still to come.
    covered: Seq,
    more: bool,
    /// The peer is so far behind that what it is sent may have to be read from the engine, register by register.
    lags: bool,
    scratch: Vec<u8>,
}

impl Outbox {
    /// Sends everything after `after` from now on, and tells how far it covers.
    pub(super) fn start(&mut self, after: Seq) {
        self.feed = Some(Feed::after(after));
        self.told = after;
        self.synced = after;
        self.covered = after;
    }

    /// Sends what changed in the profiles of a narrow link after its cursor, then everything from there.
    pub(super) fn start_narrow(&mut self, store: &Store, profiles: Vec<ProfileId>, after: Seq) {
        let catch_up = CatchUp::new(store, profiles, after);
        self.start(after);
        self.feed = Some(Feed::after(catch_up.covers()));
        self.catch_up = Some(catch_up);
    }

    /// Sends everything after `after`, but does not tell how far it covers until [`Outbox::release`].
    pub(super) fn start_withheld(&mut self, after: Seq) {
        self.start(after);
        self.told = Seq(0);
        self.synced = Seq(0);
        self.withheld = true;
    }

    /// The reconciliation is settled: what is sent from here on covers.
    pub(super) fn release(&mut self, mono: MonotonicTime) {
        if self.withheld {
            self.withheld = false;
            self.cover_due = Some(mono);
        }
    }

    /// Records frames sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Records frames that the peer has synced.
    pub(super) const fn acked(&self) -> u64 {
        self.acked
    }

    /// Unacknowledged bytes.
    pub(super) const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Our last change that the peer is known to have synced.
    pub(super) const fn synced(&self) -> Seq {
        self.synced
    }

    /// Keys that wait to be offered again.
    pub(super) fn offers_count(&self) -> usize {
        self.offers.count()
    }

    /// Whether keys that the peer refused may never be offered again on this link.
    pub(super) fn is_unsettled(&self) -> bool {
        self.offers.count() > 0 || self.offers.has_overflowed()
    }

    /// Whether the next poll may read much.
    pub(super) fn is_heavy(&self) -> bool {
        self.lags || self.catch_up.is_some() || self.feed.as_ref().is_some_and(Feed::is_scanning)
    }

    /// Takes an acknowledgement; the number of our changes that it covers, if that grew.
    pub(super) fn handle_ack(&mut self, up_to: u64) -> Result<Option<Seq>, WrongAck> {
        if up_to > self.sent || up_to < self.acked {
            return Err(WrongAck);
        }
        self.acked = up_to;
        let before = self.synced;
        while let Some(front) = self.in_flight.front()
            && front.frame <= up_to
        {
            self.in_flight_bytes -= front.bytes;
            self.synced = front.covers.unwrap_or(self.synced).max(self.synced);
            self.in_flight.pop_front();
        }
        Ok((self.synced > before).then_some(self.synced))
    }

    /// Notes a key to be offered again.
    pub(super) fn offer_again(&mut self, mono: MonotonicTime, refused: RefusedKey) {
        self.offers.insert(mono, refused);
    }

    /// When there may be something to send though nothing changed.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        [self.cover_due, self.offers.next_due()].into_iter().flatten().min()
    }

    /// Whether the bounded bytes in flight leave room for a frame.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight_bytes < IN_FLIGHT_BYTES_MAX && self.in_flight.len() < IN_FLIGHT_FRAMES_MAX
    }

    /// Appends a frame of records that were found elsewhere (by a reconciliation): it covers nothing.
    pub(super) fn put(&mut self, count: u32, records: &[u8], out: &mut Vec<u8>) {
        self.put_frame(None, count, records, out);
    }

    /// Appends at most one frame of records to `out`; whether it did. `awaited` is a number of ours that somebody waits for the peer to cover.
    pub(super) fn poll(
        &mut self,
        mono: MonotonicTime,
        store: &Store,
        to: ReplicaId,
        wants: &dyn Fn(&ProfileId) -> bool,
        awaited: Option<Seq>,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        if self.feed.is_none() || !self.has_room() {
            return Ok(false);
        }
        let mut records = std::mem::take(&mut self.scratch);
        records.clear();
        let polled = self.poll_records(mono, store, to, wants, &mut records);
        let sent = polled.map(|polled| self.finish(mono, polled, &records, awaited, out));
        self.scratch = records;
        sent
    }

    fn poll_records(
        &mut self,
        mono: MonotonicTime,
        store: &Store,
        to: ReplicaId,
        wants: &dyn Fn(&ProfileId) -> bool,
        records: &mut Vec<u8>,
    ) -> Result<Polled, ReadError> {
        let offered = self.offers.poll(mono, store, wants, LIVE_FRAME_BYTES, records)?;
        if offered > 0 {
            return Ok(Polled { count: offered, covers: None });
        }
        if let Some(catch_up) = &mut self.catch_up {
            let (count, done) = catch_up.poll(store, LIVE_FRAME_BYTES, records)?;
            let covers = done.then_some(catch_up.covers());
            if done {
                self.catch_up = None;
            }
            return Ok(Polled { count, covers });
        }
        let durable = store.durable();
        let Some(feed) = &mut self.feed else { return Ok(Polled::default()) };
        let behind = durable.0.saturating_sub(feed.position().0);
        self.lags = behind > LAGGING_COUNT;
        // A frame leaves as soon as the line is idle; only while some are in flight do changes gather.
        let gathers = self.in_flight.len() >= SMALL_FRAMES_COUNT_MAX && behind < GATHERED_COUNT && !self.more;
        if (behind == 0 && !feed.is_scanning()) || gathers {
            return Ok(Polled::default());
        }
        let bytes_max = if self.lags { LAGGING_FRAME_BYTES } else { LIVE_FRAME_BYTES };
        let step = store.next_changes(feed, to, bytes_max, wants, records)?;
        self.more = step.more;
        Ok(Polled { count: step.count, covers: step.covers })
    }

    fn finish(&mut self, mono: MonotonicTime, polled: Polled, records: &[u8], awaited: Option<Seq>, out: &mut Vec<u8>) -> bool {
        self.covered = polled.covers.unwrap_or(self.covered).max(self.covered);
        let covers = polled.covers.filter(|_| !self.withheld);
        if polled.count > 0 {
            self.put_frame(covers, polled.count, records, out);
            return true;
        }
        // Not urgent: with luck a record goes out before this is due, and takes the cover along.
        if covers.is_some_and(|covers| covers.0.saturating_sub(self.told.0) >= COVERED_COUNT) {
            self.cover_due = self.cover_due.or(Some(mono + COVER_DELAY));
        }
        // What changed nothing is never sent, and yet somebody may wait to hear that the peer could have it.
        if awaited.is_some_and(|awaited| self.told < awaited && awaited <= self.covered) {
            self.cover_due = Some(mono);
        }
        if self.withheld || self.cover_due.is_none_or(|due| due > mono) {
            return false;
        }
        self.cover_due = None;
        let news = self.covered > self.told;
        if news {
            self.put_frame(Some(self.covered), 0, &[], out);
        }
        news
    }

    fn put_frame(&mut self, covers: Option<Seq>, count: u32, records: &[u8], out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(records.len() + 16);
        Records::put_head(&mut body, covers, count);
        body.extend_from_slice(records);
        frame::put(out, FrameType::Records, &body);
        self.sent += 1;
        self.in_flight_bytes += body.len();
        self.in_flight.push_back(InFlight { frame: self.sent, bytes: body.len(), covers });
        if let Some(covers) = covers {
            self.told = covers;
            self.cover_due = None;
        }
    }
}
