//! Watch parties: who is in, who steers, where everybody is to be.
//!
//! The host is whoever of those present joined first. So nothing is elected: when the host leaves or is lost, the longest member takes over
//! at every node alike, and a host whom a cut had hidden is the host again when it is healed.

mod anchor;
#[cfg(test)]
mod laws;
mod record;
mod seats;
mod telling;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

pub(super) use anchor::Steering;
pub use anchor::{Anchor, SetAnchor};
pub(super) use record::{Actor, Dots, Record};
pub use record::{Control, Invite};
pub(super) use seats::Seats;
pub use seats::Viewer;

use self::seats::Viewers;
use super::deadlines::Due;
use super::error::PartyError;
use super::node::NodeId;
use super::slot::{Key, Slot};
use super::turn::Turn;
use super::watchers::{EphemeralChange, Topic};
use crate::limits::{PARTIES_COUNT_MAX, PARTIES_PER_PROFILE_COUNT_MAX, POSITION_MS_MAX, VIEWERS_COUNT_MAX, VIEWERS_PER_PARTY_COUNT_MAX};
use crate::progress::{DeviceId, PartyId, ProfileId};
use crate::time::{Hlc, MonotonicTime};

/// A party to make; whoever makes it joins it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewParty {
    /// Its id.
    pub id: PartyId,
    /// What lets others in.
    pub invite: Invite,
    /// Who makes it.
    pub profile: ProfileId,
    /// On which device.
    pub device: DeviceId,
    /// Who may steer it.
    pub control: Control,
    /// Where it begins.
    pub anchor: Anchor,
}

/// A command to a party.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Who gives it.
    pub profile: ProfileId,
    /// On which device.
    pub device: DeviceId,
    /// Its number, chosen by the device and used once: the same command repeated, here or at another node, changes nothing.
    pub nonce: Option<u64>,
    /// Where it puts everybody.
    pub anchor: Anchor,
}

/// A party as it is known here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartyView {
    /// Its id.
    pub id: PartyId,
    /// Whoever of those present joined first; none if nobody is present.
    pub host: Option<Viewer>,
    /// Who may steer it.
    pub control: Control,
    /// How many are present, at all nodes that are heard of.
    pub viewers: u32,
    /// Those who were let in, by name, in order, present or not: at most 256, or 1,024 where nodes that were cut off from each other let some in
    /// each.
    pub members: Vec<ProfileId>,
    /// The last command.
    pub anchor: Option<SetAnchor>,
    /// How long ago that was given, by monotonic clocks: where everybody is now is this much further on, at its rate, if it plays.
    pub anchor_age: Duration,
}

#[derive(Debug, Default)]
struct Party {
    record: Option<Slot<Record>>,
    anchor: Option<Slot<Steering>>,
    /// When the anchor's command was given, by this node's monotonic clock; before its start, if it is older.
    set_at: MonotonicTime,
    set_before: Duration,
    seats: BTreeMap<NodeId, Slot<Seats>>,
    viewers: Viewers,
    told_at: Option<MonotonicTime>,
    /// When the last command was told.
    steered_at: Option<MonotonicTime>,
    /// Another command was given since.
    is_steered: bool,
    /// When they will be told of what they have not been told of yet.
    to_be_told: Option<MonotonicTime>,
    /// Nobody was there when it was last looked at.
    is_idle: bool,
    /// Who made it, if it was made here.
    maker: Option<ProfileId>,
}

impl Party {
    fn present(&self, turn: &Turn<'_>) -> impl Iterator<Item = &Seats> {
        self.seats.iter().filter(|(node, _)| turn.is_alive(node)).map(|(_, slot)| &slot.value).filter(|seats| seats.count > 0)
    }

    fn host(&self, turn: &Turn<'_>) -> Option<&Viewer> {
        self.present(turn).filter_map(|seats| seats.eldest.as_ref()).min()
    }

    fn admits(&self, profile: &ProfileId, invite: Option<&Invite>) -> bool {
        let Some(record) = self.record.as_ref().map(|slot| &slot.value) else { return false };
        invite.is_some_and(|invite| invite.matches(&record.invite)) || record.holds(profile) || self.viewers.holds_profile(profile)
    }

    fn remembers(&self, device: &DeviceId, nonce: u64) -> bool {
        self.anchor.as_ref().is_some_and(|slot| slot.value.remembers(device, nonce))
    }

    /// Brings what this node says of its viewers up to who they are.
    fn say_seats(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        let (count, eldest) = (self.viewers.count() as u32, self.viewers.eldest().cloned());
        let known = self.seats.get(&turn.me).map(|slot| &slot.value);
        if known.map_or(count == 0, |known| known.count == count && known.eldest == eldest) {
            return;
        }
        let was_empty = known.is_none_or(|known| known.count == 0);
        let stamp = turn.stamp_after(known.map_or(Hlc::ZERO, |known| known.stamp));
        self.join_seats(turn, id, turn.me, Seats { stamp, count, eldest }, None);
        if was_empty {
            // A peer for which the party was over is told of it anew, and not only of its viewers.
            let (record, anchor) = (self.record.as_mut(), self.anchor.as_mut());
            if let Some(slot) = record {
                turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
            }
            if let Some(slot) = anchor {
                turn.journal.note(&mut slot.seq, Key::Anchor(id.clone()));
            }
        }
    }

    fn join_seats(&mut self, turn: &mut Turn<'_>, id: &PartyId, node: NodeId, seats: Seats, from: Option<NodeId>) -> bool {
        let slot = match self.seats.entry(node) {
            Entry::Vacant(vacant) => vacant.insert(Slot { value: seats, seq: 0, from }),
            Entry::Occupied(known) => {
                let slot = known.into_mut();
                if !slot.join(seats, from) {
                    return false;
                }
                slot
            }
        };
        let key = Key::Seats(id.clone(), node);
        turn.journal.note(&mut slot.seq, key.clone());
        if slot.value.count == 0 {
            turn.deadlines.set(turn.forget_at(), Due::Forget(key, slot.seq));
        }
        self.tell_soon(turn, id);
        true
    }

    fn set_age(&mut self, now: MonotonicTime, age: Duration) {
        let since_start = now.since_start();
        self.set_at = MonotonicTime::from_start(since_start.saturating_sub(age));
        self.set_before = age.saturating_sub(since_start);
    }

    fn age(&self, now: MonotonicTime) -> Duration {
        now.saturating_since(self.set_at).saturating_add(self.set_before)
    }
}

/// All that is known of parties.
#[derive(Debug, Default)]
pub(super) struct Parties {
    known: BTreeMap<PartyId, Party>,
    viewers_count: usize,
    /// How many of them each profile has made here.
    made: BTreeMap<ProfileId, usize>,
    /// This node's own name among those who change members: its id, and the stamp of its first change.
    since: Option<Hlc>,
}

impl Parties {
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    pub(super) const fn viewers_count(&self) -> usize {
        self.viewers_count
    }

    fn actor(&mut self, turn: &Turn<'_>) -> Actor {
        Actor { node: turn.me, since: *self.since.get_or_insert(turn.stamp) }
    }

    pub(super) fn create(&mut self, turn: &mut Turn<'_>, new: NewParty) -> Result<PartyView, PartyError> {
        check(&new.anchor)?;
        if let Some(known) = self.known.get(&new.id) {
            // Asked again, after an answer that was lost.
            let same = known.record.as_ref().is_some_and(|slot| slot.value.invite.matches(&new.invite));
            return if same { self.join(turn, &new.id, &new.profile, &new.device, Some(&new.invite)) } else { Err(PartyError::Taken) };
        }
        if self.viewers_count >= VIEWERS_COUNT_MAX {
            return Err(PartyError::Full { what: "viewers" });
        }
        // All nodes hold all parties: one profile must not be able to use up the room of everybody.
        if self.made.get(&new.profile).is_some_and(|count| *count >= PARTIES_PER_PROFILE_COUNT_MAX) {
            return Err(PartyError::TooMany);
        }
        let NewParty { id, invite, profile, device, control, anchor } = new;
        let record = Record::new(turn.stamp, invite, control);
        if !self.join_record(turn, &id, record, None) {
            return Err(PartyError::Full { what: "parties" });
        }
        if let Some(party) = self.known.get_mut(&id) {
            party.maker = Some(profile.clone());
            *self.made.entry(profile.clone()).or_default() += 1;
        }
        let set = SetAnchor { stamp: turn.stamp, node: turn.me, device: device.clone(), nonce: None, anchor };
        self.join_anchor(turn, &id, Steering::new(set), Duration::ZERO, None);
        self.join(turn, &id, &profile, &device, Some(&invite))
    }

    pub(super) fn join(
        &mut self,
        turn: &mut Turn<'_>,
        id: &PartyId,
        profile: &ProfileId,
        device: &DeviceId,
        invite: Option<&Invite>,
    ) -> Result<PartyView, PartyError> {
        let actor = self.actor(turn);
        let party = self.known.get_mut(id).filter(|party| party.admits(profile, invite)).ok_or(PartyError::NotInvited)?;
        let deadline = turn.lease_end();
        let due = Due::Viewer(id.clone(), profile.clone(), device.clone());
        if let Some(earlier) = party.viewers.renew(profile, device, deadline) {
            turn.deadlines.cancel(earlier, due.clone());
        } else {
            if party.viewers.count() >= VIEWERS_PER_PARTY_COUNT_MAX {
                return Err(PartyError::Full { what: "viewers of this party" });
            }
            if self.viewers_count >= VIEWERS_COUNT_MAX {
                return Err(PartyError::Full { what: "viewers" });
            }
            self.viewers_count += 1;
            let viewer = Viewer { joined: turn.stamp, profile: profile.clone(), device: device.clone() };
            party.viewers.add(viewer, deadline);
            if let Some(slot) = &mut party.record
                && slot.value.add(actor, profile)
            {
                slot.from = None;
                turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
            }
            party.say_seats(turn, id);
        }
        turn.deadlines.set(deadline, due);
        self.view(turn, id).ok_or(PartyError::NotInvited)
    }

    /// Renews a viewer's lease. Whether there was one.
    pub(super) fn renew(&mut self, turn: &mut Turn<'_>, id: &PartyId, profile: &ProfileId, device: &DeviceId) -> bool {
        let deadline = turn.lease_end();
        let earlier = self.known.get_mut(id).and_then(|party| party.viewers.renew(profile, device, deadline));
        if let Some(earlier) = earlier {
            let due = Due::Viewer(id.clone(), profile.clone(), device.clone());
            turn.deadlines.cancel(earlier, due.clone());
            turn.deadlines.set(deadline, due);
        }
        earlier.is_some()
    }

    /// Takes a device out, and its profile's name when no other device of it is here. Whether anything changed.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, id: &PartyId, profile: &ProfileId, device: &DeviceId) -> bool {
        let left = self.take_out(turn, id, profile, device);
        let Some(party) = self.known.get_mut(id) else { return left };
        if !party.viewers.holds_profile(profile)
            && let Some(slot) = &mut party.record
            && slot.value.remove(profile)
        {
            slot.from = None;
            turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
            party.tell_soon(turn, id);
            return true;
        }
        left
    }

    /// Takes a viewer out; the name stays, so that whoever was only cut off comes back without an invitation.
    fn take_out(&mut self, turn: &mut Turn<'_>, id: &PartyId, profile: &ProfileId, device: &DeviceId) -> bool {
        let Some(party) = self.known.get_mut(id) else { return false };
        let Some(deadline) = party.viewers.remove(profile, device) else { return false };
        turn.deadlines.cancel(deadline, Due::Viewer(id.clone(), profile.clone(), device.clone()));
        self.viewers_count -= 1;
        party.say_seats(turn, id);
        true
    }

    pub(super) fn lapse(&mut self, turn: &mut Turn<'_>, id: &PartyId, profile: &ProfileId, device: &DeviceId) {
        self.take_out(turn, id, profile, device);
    }

    pub(super) fn command(&mut self, turn: &mut Turn<'_>, id: &PartyId, command: Command) -> Result<PartyView, PartyError> {
        check(&command.anchor)?;
        let Command { profile, device, nonce, anchor } = command;
        let party = self.known.get_mut(id).filter(|party| party.admits(&profile, None)).ok_or(PartyError::NotInvited)?;
        if !party.viewers.holds(&profile, &device) {
            return Err(PartyError::NotJoined);
        }
        let control = party.record.as_ref().map_or(Control::Host, |slot| slot.value.control.1);
        if control == Control::Host && party.host(turn).is_none_or(|host| host.profile != profile) {
            return Err(PartyError::NotHost);
        }
        if !nonce.is_some_and(|nonce| party.remembers(&device, nonce)) {
            // Above what this node has heard: who sees an anchor and moves it on wins, whatever the clocks say.
            let last = party.anchor.as_ref().map_or(Hlc::ZERO, |slot| slot.value.set.stamp);
            let set = SetAnchor { stamp: turn.stamp_after(last), node: turn.me, device, nonce, anchor };
            self.join_anchor(turn, id, Steering::new(set), Duration::ZERO, None);
        }
        self.view(turn, id).ok_or(PartyError::NotInvited)
    }

    pub(super) fn set_control(
        &mut self,
        turn: &mut Turn<'_>,
        id: &PartyId,
        profile: &ProfileId,
        control: Control,
    ) -> Result<PartyView, PartyError> {
        let party = self.known.get_mut(id).filter(|party| party.admits(profile, None)).ok_or(PartyError::NotInvited)?;
        if party.host(turn).is_none_or(|host| host.profile != *profile) {
            return Err(PartyError::NotHost);
        }
        if let Some(slot) = &mut party.record
            && slot.value.control.1 != control
        {
            slot.value.control = (turn.stamp_after(slot.value.control.0), control);
            slot.from = None;
            turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
            party.tell(turn, id);
        }
        self.view(turn, id).ok_or(PartyError::NotInvited)
    }

    /// Takes a profile out of every party that this node has it in.
    pub(super) fn forget_profile(&mut self, turn: &mut Turn<'_>, profile: &ProfileId) {
        let named =
            |party: &Party| party.viewers.holds_profile(profile) || party.record.as_ref().is_some_and(|slot| slot.value.holds(profile));
        let ids: Vec<PartyId> = self.known.iter().filter(|(_, party)| named(party)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let devices = self.known.get(&id).map(|party| party.viewers.devices_of(profile)).unwrap_or_default();
            for device in devices {
                self.take_out(turn, &id, profile, &device);
            }
            if let Some(party) = self.known.get_mut(&id)
                && let Some(slot) = &mut party.record
                && slot.value.remove(profile)
            {
                slot.from = None;
                turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
                party.tell_soon(turn, &id);
            }
        }
    }

    pub(super) fn view(&self, turn: &Turn<'_>, id: &PartyId) -> Option<PartyView> {
        let party = self.known.get(id)?;
        let record = &party.record.as_ref()?.value;
        Some(PartyView {
            id: id.clone(),
            host: party.host(turn).cloned(),
            control: record.control.1,
            viewers: party.present(turn).fold(0, |sum, seats| sum.saturating_add(seats.count)),
            members: record.names().into_iter().collect(),
            anchor: party.anchor.as_ref().map(|slot| slot.value.set.clone()),
            anchor_age: party.age(turn.now),
        })
    }

    pub(super) fn admits(&self, id: &PartyId, profile: &ProfileId, invite: Option<&Invite>) -> bool {
        self.known.get(id).is_some_and(|party| party.admits(profile, invite))
    }

    /// The party to join something to, made if there is room.
    fn party(&mut self, turn: &mut Turn<'_>, id: &PartyId) -> Option<&mut Party> {
        if !self.known.contains_key(id) {
            if self.known.len() >= PARTIES_COUNT_MAX {
                return None;
            }
            turn.deadlines.set(turn.lease_end(), Due::Party(id.clone()));
            self.known.insert(id.clone(), Party::default());
        }
        self.known.get_mut(id)
    }

    /// Joins what a node says of a party. Whether it is news.
    pub(super) fn join_record(&mut self, turn: &mut Turn<'_>, id: &PartyId, record: Record, from: Option<NodeId>) -> bool {
        let Some(party) = self.party(turn, id) else { return false };
        let slot = match &mut party.record {
            Some(slot) => {
                if !slot.join(record, from) {
                    return false;
                }
                slot
            }
            none => none.insert(Slot { value: record, seq: 0, from }),
        };
        turn.journal.note(&mut slot.seq, Key::Party(id.clone()));
        party.tell_soon(turn, id);
        true
    }

    /// Joins commands, the last of them given `age` ago. Whether any is news.
    pub(super) fn join_anchor(
        &mut self,
        turn: &mut Turn<'_>,
        id: &PartyId,
        steering: Steering,
        age: Duration,
        from: Option<NodeId>,
    ) -> bool {
        let Some(party) = self.party(turn, id) else { return false };
        let before = party.anchor.as_ref().map(|slot| slot.value.set.stamp);
        let set = steering.set.clone();
        let slot = match &mut party.anchor {
            Some(slot) => {
                if !slot.join(steering, from) {
                    return false;
                }
                slot
            }
            none => none.insert(Slot { value: steering, seq: 0, from }),
        };
        turn.journal.note(&mut slot.seq, Key::Anchor(id.clone()));
        if slot.value.set == set && before != Some(set.stamp) {
            party.set_age(turn.now, age);
            party.tell_of_command(turn, id);
        }
        true
    }

    /// Joins what a node says of its viewers. Whether it is news.
    pub(super) fn join_seats(&mut self, turn: &mut Turn<'_>, id: &PartyId, node: NodeId, seats: Seats, from: Option<NodeId>) -> bool {
        let empty = seats.count == 0;
        if empty && !self.known.contains_key(id) {
            return false;
        }
        self.party(turn, id).is_some_and(|party| party.join_seats(turn, id, node, seats, from))
    }

    /// Brings a word of this node's own, from an earlier run, up to who is here now.
    pub(super) fn correct_seats(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        if let Some(party) = self.known.get_mut(id) {
            party.say_seats(turn, id);
        }
    }

    /// Tells the viewers what has changed since they were last told.
    pub(super) fn tell_count(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        if let Some(party) = self.known.get_mut(id) {
            party.tell_what_is_due(turn, id);
        }
    }

    /// Looks whether anybody is there; a party that was empty twice in a row is over.
    pub(super) fn look(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        let Some(party) = self.known.get_mut(id) else { return };
        let is_empty = party.present(turn).next().is_none();
        if !(is_empty && party.is_idle) {
            party.is_idle = is_empty;
            turn.deadlines.set(turn.lease_end(), Due::Party(id.clone()));
            return;
        }
        if let Some(party) = self.known.remove(id) {
            self.forget_maker(party.maker.as_ref());
            let seqs = party.seats.values().map(|slot| slot.seq);
            let seqs = seqs.chain(party.record.iter().map(|slot| slot.seq)).chain(party.anchor.iter().map(|slot| slot.seq));
            seqs.for_each(|seq| turn.journal.remove(seq));
            if let Some(due) = party.to_be_told {
                turn.deadlines.cancel(due, Due::Count(id.clone()));
            }
            debug_assert_eq!(party.viewers.all().count(), 0, "a party with viewers is not empty");
            turn.tell(Topic::Party(id.clone()), EphemeralChange::PartyOver);
        }
    }

    fn forget_maker(&mut self, maker: Option<&ProfileId>) {
        let Some(maker) = maker else { return };
        if let Some(count) = self.made.get_mut(maker) {
            *count -= 1;
            if *count == 0 {
                self.made.remove(maker);
            }
        }
    }

    /// Forgets the empty seats of a node, if nothing was said of them since.
    pub(super) fn forget_seats(&mut self, turn: &mut Turn<'_>, id: &PartyId, node: NodeId, seq: u64) {
        if let Some(party) = self.known.get_mut(id)
            && party.seats.get(&node).is_some_and(|slot| slot.seq == seq)
        {
            party.seats.remove(&node);
            turn.journal.remove(seq);
        }
    }

    /// Forgets what a node said.
    pub(super) fn forget_node(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        for party in self.known.values_mut() {
            if let Some(slot) = party.seats.remove(&node) {
                turn.journal.remove(slot.seq);
            }
        }
    }

    /// Tells the viewers of every party that a node has viewers of.
    pub(super) fn tell_of_node(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        for (id, party) in self.known.iter_mut().filter(|(_, party)| party.seats.contains_key(&node)) {
            party.tell_soon(turn, id);
        }
    }

    /// Says anew what a node said that is heard of again.
    pub(super) fn rise(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        for (id, party) in &mut self.known {
            if let Some(slot) = party.seats.get_mut(&node) {
                let key = Key::Seats(id.clone(), node);
                turn.journal.note(&mut slot.seq, key.clone());
                if slot.value.count == 0 {
                    turn.deadlines.set(turn.forget_at(), Due::Forget(key, slot.seq));
                }
                party.tell_soon(turn, id);
            }
        }
    }

    pub(super) fn record(&self, id: &PartyId) -> Option<&Slot<Record>> {
        self.known.get(id)?.record.as_ref()
    }

    pub(super) fn anchor(&self, now: MonotonicTime, id: &PartyId) -> Option<(&Slot<Steering>, Duration)> {
        let party = self.known.get(id)?;
        Some((party.anchor.as_ref()?, party.age(now)))
    }

    pub(super) fn seats(&self, id: &PartyId, node: &NodeId) -> Option<&Slot<Seats>> {
        self.known.get(id)?.seats.get(node)
    }
}

fn check(anchor: &Anchor) -> Result<(), PartyError> {
    let position_ms = anchor.position.as_millis();
    if position_ms > POSITION_MS_MAX { Err(PartyError::Position { position_ms }) } else { Ok(()) }
}
