//! Gossip: what changed here after a peer's cursor, as a frame, and the frames of peers joined.
//!
//! What a peer tells is passed on if it was news, and not back to where it came from; what is no news goes nowhere. So words pass over a
//! chain of nodes, and do not go round in a ring. A frame brings the leases that its words stand by.

#[cfg(test)]
mod golden;
mod word;

use std::time::Duration;

use self::word::{Lease, Leases, Word};
use super::front::{Ephemeral, Inner, turn};
use super::node::{NodeId, Renewed};
use super::slot::Key;
use super::turn::{Told, Turn};
use crate::limits::LEASES_FRAME_BYTES;
use crate::progress::AccountId;
use crate::progress::codec::{DecodeError, Reader};
use crate::time::{Hlc, MonotonicTime};

/// How far one peer has been told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GossipCursor {
    /// The last change that was sent.
    sent: u64,
    /// The last change when the link opened. Up to it everything is told, also what came from the peer itself: it may have lost it.
    opened: u64,
}

/// What became of a peer's words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Joined {
    /// The highest stamp that was accepted, for this node's clock.
    pub highest: Hlc,
    /// Words and leases that were refused: their stamps lie too far ahead.
    pub refused: usize,
}

impl Ephemeral {
    /// A cursor for a peer that is told everything.
    pub fn gossip_cursor(&self) -> GossipCursor {
        GossipCursor { sent: 0, opened: self.last_change() }
    }

    /// Whether there is anything after a cursor.
    pub fn has_news(&self, cursor: &GossipCursor) -> bool {
        self.last_change() > cursor.sent
    }

    /// Appends the body of a frame with what came after the cursor, and moves it; false if there was nothing to tell.
    pub fn put_news(&self, now: MonotonicTime, peer: NodeId, cursor: &mut GossipCursor, out: &mut Vec<u8>) -> bool {
        let inner = self.lock();
        let mut leases = Leases::default();
        let mut words = Vec::new();
        for (seq, key) in inner.journal.after(cursor.sent) {
            let before = words.len();
            // What came from the peer is told only to a peer that may have lost it. Its own words that came from elsewhere are: it may have been
            // started anew, and is the only one to correct them.
            let is_old = seq <= cursor.opened;
            match inner.word(now, key) {
                Some((from, word)) if is_old || from != Some(peer) => word.encode(&mut leases, &mut words),
                None => match key {
                    Key::Node(node) if *node != peer && inner.lease(now, *node).is_some() => _ = leases.index(*node),
                    _ => {}
                },
                Some(_) => {}
            }
            if words.len() + leases.nodes().len() * LEASE_BYTES_MAX > LEASES_FRAME_BYTES && before > 0 {
                words.truncate(before);
                break;
            }
            cursor.sent = seq;
        }
        let leases: Vec<Lease> = leases.nodes().iter().map(|node| inner.lease(now, *node).unwrap_or(inner.lapsed(*node))).collect();
        if leases.is_empty() && words.is_empty() {
            return false;
        }
        word::put_leases(out, &leases);
        out.extend_from_slice(&words);
        true
    }

    /// Joins the body of a frame. Stamps above `stamp_max` are refused, each by itself.
    ///
    /// # Errors
    ///
    /// The bytes are no frame; nothing was joined.
    pub fn join_news(&self, now: MonotonicTime, stamp: Hlc, stamp_max: Hlc, from: NodeId, body: &[u8]) -> Result<Joined, DecodeError> {
        let mut reader = Reader::new(body);
        let leases = word::read_leases(&mut reader)?;
        let mut words = Vec::new();
        while !reader.is_empty() {
            words.extend(Word::decode(&leases, &mut reader)?);
        }
        Ok(self.act(now, stamp, |inner, told| {
            let mut joined = Joined::default();
            for lease in leases {
                if lease.stamp.max(lease.since) > stamp_max {
                    joined.refused += 1;
                    continue;
                }
                joined.highest = joined.highest.max(lease.stamp);
                inner.renew(now, stamp, told, from, lease);
            }
            let mut accounts: Vec<AccountId> = Vec::new();
            for word in words {
                if word.highest_stamp() > stamp_max {
                    joined.refused += 1;
                    continue;
                }
                joined.highest = joined.highest.max(word.highest_stamp());
                accounts.extend(inner.join(now, stamp, told, from, word));
            }
            accounts.sort_unstable();
            accounts.dedup();
            inner.enforce(now, stamp, told, &accounts);
            joined
        }))
    }
}

/// A lease in a frame: node, two stamps, time left.
const LEASE_BYTES_MAX: usize = 16 + 8 + 8 + 5;

impl Inner {
    /// The lease of a node that lives.
    fn lease(&self, now: MonotonicTime, node: NodeId) -> Option<Lease> {
        if node == self.me {
            let (stamp, renewed) = self.own?;
            return Some(Lease { node, since: self.since, stamp, left: self.options.lease.saturating_sub(now.saturating_since(renewed)) });
        }
        let known = self.nodes.find(&node).filter(|known| known.deadline > now)?;
        Some(Lease { node, since: known.since, stamp: known.stamp, left: known.deadline.saturating_since(now) })
    }

    /// A place holder for a lease that ended between two looks.
    const fn lapsed(&self, node: NodeId) -> Lease {
        let _ = self;
        Lease { node, since: Hlc::ZERO, stamp: Hlc::ZERO, left: Duration::ZERO }
    }

    /// What is to be said of a thing, and the peer that said it. Nothing of a node that does not live.
    fn word(&self, now: MonotonicTime, key: &Key) -> Option<(Option<NodeId>, Word)> {
        let (from, word) = match key {
            Key::Node(_) => return None,
            Key::Presence(profile, device, node) => {
                let slot = self.presences.find(profile, device, node)?;
                (slot.from, Word::Presence { profile: profile.clone(), device: device.clone(), node: *node, shown: slot.value.clone() })
            }
            Key::Session(id) => {
                let slot = self.sessions.find(id)?;
                (slot.from, Word::Session { id: id.clone(), session: slot.value.clone() })
            }
            Key::Seats(party, node) => {
                let slot = self.parties.seats(party, node)?;
                (slot.from, Word::Seats { party: party.clone(), node: *node, seats: slot.value.clone() })
            }
            Key::Party(id) => {
                let slot = self.parties.record(id)?;
                (slot.from, Word::Party { id: id.clone(), record: slot.value.clone() })
            }
            Key::Anchor(party) => {
                let (slot, age) = self.parties.anchor(now, party)?;
                (slot.from, Word::Anchor { party: party.clone(), steering: slot.value.clone(), age })
            }
        };
        let stands = word.node().is_none_or(|node| self.lease(now, node).is_some());
        stands.then_some((from, word))
    }

    /// Takes a lease.
    fn renew(&mut self, now: MonotonicTime, stamp: Hlc, told: &mut Told, from: NodeId, lease: Lease) {
        if lease.node == self.me {
            return;
        }
        let Some(renewed) = self.nodes.renew(now, lease.node, (lease.since, lease.stamp), lease.left) else { return };
        if let Some(known) = self.nodes.find_mut(&lease.node) {
            known.from = Some(from);
            self.journal.note(&mut known.seq, Key::Node(lease.node));
        }
        match renewed {
            Renewed::InTime => {}
            Renewed::Late => {
                // What it said was hidden, and those who came meanwhile were not told of it.
                let turn = &mut turn!(self, now, stamp, told);
                self.presences.rise(turn, lease.node);
                self.sessions.rise(turn, lease.node);
                self.parties.rise(turn, lease.node);
                let accounts = self.sessions.accounts();
                self.enforce(now, stamp, told, &accounts);
            }
            // Its players had the time of a lease to be heard, and were not.
            Renewed::Anew => self.forget_words(now, stamp, told, lease.node),
        }
    }

    /// Joins a word; the account whose sessions are to be counted again.
    fn join(&mut self, now: MonotonicTime, stamp: Hlc, told: &mut Told, from: NodeId, word: Word) -> Option<AccountId> {
        let turn = &mut turn!(self, now, stamp, told);
        let from = Some(from);
        match word {
            Word::Presence { profile, device, node, shown } => {
                self.presences.join(turn, &profile, &device, node, shown, from);
                if node == turn.me {
                    // Said in an earlier run: it is corrected by what is so now.
                    self.presences.say(turn, &profile, &device);
                }
            }
            Word::Session { id, session } => {
                let account = session.account.clone();
                let is_mine = session.node == turn.me && session.ended.is_none();
                let is_news = self.sessions.join(turn, &id, session, from);
                if is_news && is_mine {
                    self.sessions.adopt(turn, &id);
                }
                return is_news.then_some(account);
            }
            Word::Seats { party, node, seats } => {
                self.parties.join_seats(turn, &party, node, seats, from);
                if node == turn.me {
                    self.parties.correct_seats(turn, &party);
                }
            }
            Word::Party { id, record } => _ = self.parties.join_record(turn, &id, record, from),
            Word::Anchor { party, steering, age } => _ = self.parties.join_anchor(turn, &party, steering, age, from),
        }
        None
    }

    fn enforce(&mut self, now: MonotonicTime, stamp: Hlc, told: &mut Told, accounts: &[AccountId]) {
        let limit = self.options.streams_count_max;
        let turn = &mut turn!(self, now, stamp, told);
        for account in accounts {
            self.sessions.enforce(turn, account, limit);
        }
    }
}
