//! What is sent to one peer: where its feed stands, what is in flight, what was refused and waits.

use std::collections::VecDeque;
use std::time::Duration;

use super::catch_up::CatchUp;
use super::earlier;
use super::elsewhere::Elsewhere;
use super::frame::{self, FrameType};
use super::message::{Records, RefusedKey, Says};
use super::offers::Offers;
use crate::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, LIVE_FRAME_BYTES, RECORD_BYTES_MAX};
use crate::progress::ProfileId;
use crate::replica::Core;
use crate::store::{Feed, PeerCursor, ReadError, ReplicaId, Seq, Store};
use crate::time::MonotonicTime;

/// Frames in flight that may each carry whatever there is. Beyond them changes gather, to a live frame's worth or for [`GATHER_TIME`].
const SMALL_FRAMES_COUNT_MAX: usize = 2;

/// How long changes gather at most: on a long line an acknowledgement is a round trip away, and nobody is to wait for it.
const GATHER_TIME: Duration = Duration::from_millis(10);

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
    /// The same of what was made here.
    made: Option<Seq>,
}

/// What a poll found to send.
#[derive(Clone, Copy, Debug, Default)]
struct Polled {
    count: u32,
    covers: Option<Seq>,
    /// The first so many records, and their bytes, are of changes made here, up to this one.
    own_count: u32,
    own_bytes: usize,
    own: Option<Seq>,
}

/// An acknowledgement of more than was sent, or of less than an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct WrongAck;

/// Everything on its way to one peer, or to be. A peer that does not read costs its bounded bytes in flight and a few numbers.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself, and none excludes another")]
#[derive(Debug, Default)]
pub(super) struct Outbox {
    feed: Option<Feed>,
    catch_up: Option<CatchUp>,
    /// The hashes of the profiles of a narrow link, ascending, for the feed to pass over all others.
    only: Option<Vec<u64>>,
    /// Until a reconciliation is settled, nothing says how far the peer has our changes.
    withheld: bool,
    sent: u64,
    acked: u64,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    offers: Offers,
    /// The peer has refused more than one acknowledgement lists.
    lists_on: bool,
    /// The last cover that was sent.
    told: Seq,
    /// The last cover that the peer acknowledged.
    synced: Seq,
    /// The same of what was made here.
    told_made: Seq,
    synced_made: Seq,
    cover_due: Option<MonotonicTime>,
    /// When the changes that gather now leave at the latest.
    gathered: Option<MonotonicTime>,
    /// What the peer gets elsewhere, if it is a node. A device gets everything from its node, and asks for no account.
    elsewhere: Option<Elsewhere>,
    /// How far the peer has our changes with what was sent: behind the feed's position while a change that was left out for a later one of the
    /// same key is still to come. What was left out for the peer to get elsewhere is not regarded.
    covered: Seq,
    more: bool,
    /// The peer is so far behind that what it is sent may have to be read from the engine, register by register.
    lags: bool,
    scratch: Vec<u8>,
    /// The same of the few bytes before the records of a frame.
    head: Vec<u8>,
}

impl Outbox {
    /// Sends everything after `after` from now on, and tells how far it covers.
    pub(super) fn start(&mut self, after: Seq) {
        self.feed = Some(Feed::after(after));
        self.told = after;
        self.synced = after;
        self.told_made = after;
        self.synced_made = after;
        self.covered = after;
    }

    /// The peer is a node: it is told what was made here, and tells what it gets elsewhere.
    pub(super) fn set_to_node(&mut self) {
        self.elsewhere = Some(Elsewhere::default());
    }

    /// The peer has these changes of others.
    pub(super) fn heard(&mut self, mono: MonotonicTime, core: &Core, cursors: &[PeerCursor]) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.heard(mono, core, cursors);
        }
    }

    /// Only these profiles are sent, and changes of others need not be looked at.
    pub(super) fn set_only(&mut self, store: &Store, profiles: &[ProfileId]) {
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::FilterForgetsProfile) {
            return;
        }
        let mut only: Vec<u64> = profiles.iter().map(|profile| store.hasher().profile(profile)).collect();
        only.sort_unstable();
        self.only = Some(only);
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
        self.told_made = Seq(0);
        self.synced_made = Seq(0);
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

    /// Our last change, of those made here, that the peer is known to have synced with all earlier ones made here.
    pub(super) const fn synced_made(&self) -> Seq {
        self.synced_made
    }

    /// Keys that the peer refused and is not known to have by now.
    pub(super) fn offers_count(&self) -> usize {
        self.offers.count()
    }

    /// Whether the peer refused keys that it is not known to have by now.
    pub(super) fn is_unsettled(&self) -> bool {
        self.offers.count() > 0 || self.offers.has_overflowed() || self.lists_on
    }

    /// Whether the next poll may read much.
    pub(super) fn is_heavy(&self) -> bool {
        self.lags
            || self.elsewhere.as_ref().is_some_and(Elsewhere::gives)
            || self.catch_up.is_some()
            || self.feed.as_ref().is_some_and(Feed::is_scanning)
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
            self.synced_made = front.made.unwrap_or(self.synced_made).max(self.synced_made);
            self.in_flight.pop_front();
        }
        Ok((self.synced > before).then_some(self.synced))
    }

    /// Notes a key to be offered again.
    pub(super) fn offer_again(&mut self, mono: MonotonicTime, refused: RefusedKey) {
        self.offers.insert(mono, refused);
    }

    /// Everything that the last acknowledgement lists has been noted; `lists_on`: further ones are listed in the next.
    pub(super) fn note_listed(&mut self, lists_on: bool) {
        self.lists_on = lists_on;
        if !lists_on {
            self.offers.note_listed(self.acked);
        }
    }

    /// When there may be something to send though nothing changed. Without room for it, an acknowledgement is waited for instead.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        if !self.has_room() {
            return None;
        }
        let cover = self.cover_due.filter(|_| !self.withheld);
        let elsewhere = self.elsewhere.as_ref().and_then(Elsewhere::next_timeout);
        earlier(earlier(cover, self.gathered), earlier(self.offers.next_due(), elsewhere))
    }

    /// Whether the bounded bytes in flight leave room for what one step hands out: a frame, or two.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight_bytes < IN_FLIGHT_BYTES_MAX && self.in_flight.len() + 1 < IN_FLIGHT_FRAMES_MAX
    }

    /// Appends a frame of records that were found elsewhere (by a reconciliation): it covers nothing.
    pub(super) fn put(&mut self, count: u32, records: &[u8], out: &mut Vec<u8>) {
        self.put_frame(Says::default(), count, records, out);
    }

    /// Appends what one step of the feed hands out to `out`, a frame or two; whether it did.
    pub(super) fn poll(
        &mut self,
        mono: MonotonicTime,
        core: &Core,
        to: ReplicaId,
        wants: &dyn Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        if self.feed.is_none() || !self.has_room() {
            return Ok(false);
        }
        let mut records = std::mem::take(&mut self.scratch);
        records.clear();
        let polled = self.poll_records(mono, core, to, wants, &mut records);
        let sent = polled.map(|polled| self.finish(mono, core, polled, &records, out));
        self.scratch = records;
        sent
    }

    fn poll_records(
        &mut self,
        mono: MonotonicTime,
        core: &Core,
        to: ReplicaId,
        wants: &dyn Fn(&str) -> bool,
        records: &mut Vec<u8>,
    ) -> Result<Polled, ReadError> {
        let store = core.store();
        let offered = self.offers.poll(mono, self.sent + 1, store, wants, LIVE_FRAME_BYTES, records)?;
        if offered > 0 {
            return Ok(Polled { count: offered, ..Polled::default() });
        }
        if let Some(catch_up) = &mut self.catch_up {
            let (count, done) = catch_up.poll(store, LIVE_FRAME_BYTES, records)?;
            let covers = done.then_some(catch_up.covers());
            if done {
                self.catch_up = None;
            }
            return Ok(Polled { count, covers, ..Polled::default() });
        }
        let durable = store.durable();
        let held = if self.is_unsettled() || self.withheld { Seq(0) } else { self.synced };
        let Some(feed) = &mut self.feed else { return Ok(Polled::default()) };
        feed.set_held(held);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.give_up(mono, core);
            while let Some(left_out) = elsewhere.given_up() {
                match store.changes_again(left_out, LIVE_FRAME_BYTES, wants, records)? {
                    Some(0) if left_out.is_given_up() => {
                        self.gathered = Some(mono);
                        return Ok(Polled::default());
                    }
                    Some(0) => {}
                    Some(count) => return Ok(Polled { count, ..Polled::default() }),
                    None => {
                        if let Some(first) = left_out.forget() {
                            feed.rewind_to(first);
                            self.covered = self.covered.min(feed.position());
                        }
                    }
                }
            }
        }
        if let Some(only) = &self.only
            && let Some(covers) = store.pass_over(feed, only)
        {
            self.gathered = None;
            (self.lags, self.more) = (false, false);
            return Ok(Polled { covers: Some(covers), ..Polled::default() });
        }
        let behind = durable.0.saturating_sub(feed.position().0);
        self.lags = behind > LAGGING_COUNT;
        if behind == 0 && !feed.is_scanning() {
            self.gathered = None;
            return Ok(Polled::default());
        }
        // A frame leaves as soon as the line is idle; only while some are in flight do changes gather, and not for long.
        if self.in_flight.len() >= SMALL_FRAMES_COUNT_MAX && behind < GATHERED_COUNT && !self.more {
            let gathered = *self.gathered.get_or_insert(mono + GATHER_TIME);
            if gathered > mono {
                return Ok(Polled::default());
            }
        }
        self.gathered = None;
        let bytes_max = if self.lags { LAGGING_FRAME_BYTES } else { LIVE_FRAME_BYTES };
        let left_out = self.elsewhere.as_mut().map(|elsewhere| elsewhere.left_out(core)).unwrap_or_default();
        #[cfg(leftoff_planted)]
        let left_out = if crate::planted::is_on(crate::planted::Planted::PassedOnByAll) { &mut [] } else { left_out };
        let step = store.next_changes(feed, to, bytes_max, wants, left_out, records)?;
        if let Some(elsewhere) = self.elsewhere.as_mut().filter(|_| step.left_out_count > 0) {
            elsewhere.note(mono, core);
        }
        self.more = step.more;
        // All that was looked at is left out: there is nothing to acknowledge, and nobody else would say that it goes on.
        if step.more && step.count == 0 {
            self.gathered = Some(mono);
        }
        let own = (step.own_count > 0).then_some(step.own_until);
        Ok(Polled { count: step.count, covers: step.covers, own_count: step.own_count, own_bytes: step.own_bytes, own })
    }

    fn finish(&mut self, mono: MonotonicTime, core: &Core, polled: Polled, records: &[u8], out: &mut Vec<u8>) -> bool {
        self.covered = polled.covers.unwrap_or(self.covered).max(self.covered);
        let before = self.elsewhere.as_ref().and_then(Elsewhere::first).map(|first| Seq(first.0.saturating_sub(1)));
        let reached = before.map_or(self.covered, |before| before.min(self.covered)).max(self.told);
        // What was left out was not made here.
        let made = Some(self.covered);
        let own = polled.own.filter(|_| self.elsewhere.is_some());
        let covers = polled.covers.is_some() && !self.withheld;
        if polled.count > 0 {
            let says = if covers { Says { covers: Some(reached), made, own: None } } else { Says::default() };
            // What was made here goes apart from what came from elsewhere: only of the former does a node know that the others get it from here.
            match own {
                Some(_) if polled.own_count == polled.count => self.put_frame(Says { own, ..says }, polled.count, records, out),
                Some(_) => {
                    let (ours, others) = records.split_at(polled.own_bytes);
                    self.put_frame(Says { own, ..Says::default() }, polled.own_count, ours, out);
                    self.put_frame(says, polled.count - polled.own_count, others, out);
                }
                None => self.put_frame(says, polled.count, records, out),
            }
            return true;
        }
        // Not urgent: with luck a record goes out before this is due, and takes the cover along.
        if covers && reached.0.saturating_sub(self.told.0) >= COVERED_COUNT {
            self.cover_due = self.cover_due.or(Some(mono + COVER_DELAY));
        }
        // What changed nothing is never sent, and yet somebody may wait to hear that the peer could have it.
        let is_awaited = core.replication_awaited().is_some_and(|awaited| self.told_made < awaited && awaited <= self.covered);
        if is_awaited {
            self.cover_due = Some(mono);
        }
        if self.withheld || self.cover_due.is_none_or(|due| due > mono) {
            return false;
        }
        self.cover_due = None;
        let news = reached > self.told || is_awaited;
        if news {
            self.put_frame(Says { covers: Some(reached), made, own: None }, 0, &[], out);
        }
        news
    }

    fn put_frame(&mut self, says: Says, count: u32, records: &[u8], out: &mut Vec<u8>) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        Records::put_head(&mut head, Says { made: says.made.filter(|_| self.elsewhere.is_some()), ..says }, count);
        frame::put_parts(out, FrameType::Records, [&head, records]);
        let bytes = head.len() + records.len();
        self.head = head;
        self.sent += 1;
        self.in_flight_bytes += bytes;
        self.in_flight.push_back(InFlight { frame: self.sent, bytes, covers: says.covers, made: says.made });
        if let Some(covers) = says.covers {
            self.told = covers;
            self.cover_due = None;
        }
        self.told_made = says.made.unwrap_or(self.told_made).max(self.told_made);
    }
}
