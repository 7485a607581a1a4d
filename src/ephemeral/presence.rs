//! Presence: which devices of a profile are connected, and which is playing.
//!
//! A device may have several connections to a node (two tabs); what the node says of it is the liveliest of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::EphemeralError;
use super::deadlines::Due;
use super::node::NodeId;
use super::slot::{Join, Key, Slot};
use super::turn::Turn;
use super::watchers::{EphemeralChange, Topic};
use crate::limits::{CONNECTIONS_PER_DEVICE_COUNT_MAX, DEVICES_PER_PROFILE_COUNT_MAX, PRESENCES_COUNT_MAX};
use crate::progress::{DeviceId, ProfileId, TitleId};
use crate::time::{Hlc, MonotonicTime};

/// What a connected device does, from the least to the most lively.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum PresenceState {
    /// Connected, and nobody looks: a tab in the background.
    Background = 0,
    /// Connected, nothing plays.
    Paused = 1,
    /// Playing.
    Playing = 2,
}

impl PresenceState {
    /// The state's name, for clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Paused => "paused",
            Self::Playing => "playing",
        }
    }

    pub(super) const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Background,
            1 => Self::Paused,
            2 => Self::Playing,
            _ => return None,
        })
    }
}

/// What a connection says of its device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presence {
    /// Whose device.
    pub profile: ProfileId,
    /// Which.
    pub device: DeviceId,
    /// A number of the connection, unique at this node.
    pub connection: u64,
    /// What the device does.
    pub state: PresenceState,
    /// In which title, if the connection knows.
    pub title: Option<TitleId>,
}

/// A device that is connected somewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PresentDevice {
    /// Which.
    pub device: DeviceId,
    /// What it does.
    pub state: PresenceState,
    /// In which title, if that is known.
    pub title: Option<TitleId>,
    /// The node that says so.
    pub node: NodeId,
}

/// What a node says of a device. The node is the only one that does, so the newer word wins.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Shown {
    pub(super) stamp: Hlc,
    /// None: it has gone.
    pub(super) what: Option<(PresenceState, Option<TitleId>)>,
}

impl Join for Shown {
    fn join(&mut self, other: Self) -> bool {
        let newer = other > *self;
        if newer {
            *self = other;
        }
        newer
    }
}

#[derive(Debug)]
struct Connection {
    state: PresenceState,
    title: Option<TitleId>,
    deadline: MonotonicTime,
}

type Devices = BTreeMap<(DeviceId, NodeId), Slot<Shown>>;

/// All that is known of presence.
#[derive(Debug, Default)]
pub(super) struct Presences {
    profiles: BTreeMap<ProfileId, Devices>,
    count: usize,
    connections: BTreeMap<ProfileId, BTreeMap<DeviceId, BTreeMap<u64, Connection>>>,
}

impl Presences {
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Notes what a connection says, and that it lives.
    pub(super) fn present(&mut self, turn: &mut Turn<'_>, who: &Presence) -> Result<(), EphemeralError> {
        if !self.has_room(&who.profile, &who.device, turn.me) {
            return Err(EphemeralError::Full { what: "devices" });
        }
        let deadline = turn.lease_end();
        let connections = self.connections.entry(who.profile.clone()).or_default().entry(who.device.clone()).or_default();
        let due = || Due::Connection(who.profile.clone(), who.device.clone(), who.connection);
        let full = connections.len() >= CONNECTIONS_PER_DEVICE_COUNT_MAX;
        match connections.entry(who.connection) {
            Entry::Vacant(_) if full => return Err(EphemeralError::Full { what: "connections of the device" }),
            Entry::Vacant(vacant) => {
                vacant.insert(Connection { state: who.state, title: who.title.clone(), deadline });
            }
            Entry::Occupied(mut known) => {
                turn.deadlines.cancel(known.get().deadline, due());
                known.insert(Connection { state: who.state, title: who.title.clone(), deadline });
            }
        }
        turn.deadlines.set(deadline, due());
        self.say(turn, &who.profile, &who.device);
        Ok(())
    }

    /// Notes that a connection has ended.
    pub(super) fn absent(&mut self, turn: &mut Turn<'_>, profile: &ProfileId, device: &DeviceId, connection: u64) {
        if let Some(devices) = self.connections.get_mut(profile) {
            if let Some(connections) = devices.get_mut(device) {
                if let Some(known) = connections.remove(&connection) {
                    turn.deadlines.cancel(known.deadline, Due::Connection(profile.clone(), device.clone(), connection));
                }
                if connections.is_empty() {
                    devices.remove(device);
                }
            }
            if devices.is_empty() {
                self.connections.remove(profile);
            }
        }
        self.say(turn, profile, device);
    }

    /// Ends every connection of a profile.
    pub(super) fn forget_profile(&mut self, turn: &mut Turn<'_>, profile: &ProfileId) {
        for (device, connections) in self.connections.remove(profile).unwrap_or_default() {
            for (connection, known) in connections {
                turn.deadlines.cancel(known.deadline, Due::Connection(profile.clone(), device.clone(), connection));
            }
            self.say(turn, profile, &device);
        }
    }

    /// Brings what this node says of a device up to what its connections say. No news if that is the same.
    pub(super) fn say(&mut self, turn: &mut Turn<'_>, profile: &ProfileId, device: &DeviceId) {
        let connections = self.connections.get(profile).and_then(|devices| devices.get(device));
        let liveliest = connections.into_iter().flat_map(BTreeMap::values).max_by_key(|connection| connection.state);
        let what = liveliest.map(|connection| (connection.state, connection.title.clone()));
        let known = self.find(profile, device, &turn.me);
        if known.map_or(what.is_none(), |known| known.value.what == what) {
            return;
        }
        let stamp = turn.stamp_after(known.map_or(Hlc::ZERO, |known| known.value.stamp));
        self.join(turn, profile, device, turn.me, Shown { stamp, what }, None);
    }

    pub(super) fn find(&self, profile: &ProfileId, device: &DeviceId, node: &NodeId) -> Option<&Slot<Shown>> {
        // Cloned for the look-up only: two counters move.
        self.profiles.get(profile)?.get(&(device.clone(), *node))
    }

    fn has_room(&self, profile: &ProfileId, device: &DeviceId, node: NodeId) -> bool {
        self.find(profile, device, &node).is_some()
            || (self.count < PRESENCES_COUNT_MAX
                && self.profiles.get(profile).is_none_or(|devices| devices.len() < DEVICES_PER_PROFILE_COUNT_MAX))
    }

    /// Joins what a node says of a device. Whether it is news.
    pub(super) fn join(
        &mut self,
        turn: &mut Turn<'_>,
        profile: &ProfileId,
        device: &DeviceId,
        node: NodeId,
        shown: Shown,
        from: Option<NodeId>,
    ) -> bool {
        if !self.has_room(profile, device, node) {
            return false;
        }
        let gone = shown.what.is_none();
        let slot = match self.profiles.entry(profile.clone()).or_default().entry((device.clone(), node)) {
            Entry::Occupied(known) => {
                let slot = known.into_mut();
                if !slot.join(shown, from) {
                    return false;
                }
                slot
            }
            Entry::Vacant(vacant) => {
                self.count += 1;
                vacant.insert(Slot { value: shown, seq: 0, from })
            }
        };
        let key = Key::Presence(profile.clone(), device.clone(), node);
        turn.journal.note(&mut slot.seq, key.clone());
        if gone {
            turn.deadlines.set(turn.forget_at(), Due::Forget(key, slot.seq));
        }
        turn.tell(Topic::Profile(profile.clone()), EphemeralChange::Devices);
        true
    }

    /// Forgets a device that has gone, if nothing was said of it since.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>, profile: &ProfileId, device: &DeviceId, node: NodeId, seq: u64) {
        if self.find(profile, device, &node).is_some_and(|slot| slot.seq == seq) {
            self.remove(turn, profile, &(device.clone(), node));
        }
    }

    fn remove(&mut self, turn: &mut Turn<'_>, profile: &ProfileId, key: &(DeviceId, NodeId)) {
        let Some(devices) = self.profiles.get_mut(profile) else { return };
        if let Some(slot) = devices.remove(key) {
            turn.journal.remove(slot.seq);
            self.count -= 1;
        }
        if devices.is_empty() {
            self.profiles.remove(profile);
        }
    }

    /// Forgets what a node said.
    pub(super) fn forget_node(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        let said = |(profile, devices): (&ProfileId, &Devices)| {
            let keys: Vec<_> = devices.keys().filter(|(_, own)| *own == node).map(|key| (profile.clone(), key.clone())).collect();
            keys
        };
        let gone: Vec<_> = self.profiles.iter().flat_map(said).collect();
        for (profile, key) in gone {
            self.remove(turn, &profile, &key);
        }
    }

    /// Tells the watchers of every profile that a node has a device of.
    pub(super) fn tell_of_node(&self, turn: &mut Turn<'_>, node: NodeId) {
        for (profile, devices) in &self.profiles {
            if devices.keys().any(|(_, own)| *own == node) {
                turn.tell(Topic::Profile(profile.clone()), EphemeralChange::Devices);
            }
        }
    }

    /// Says anew what a node said that is heard of again.
    pub(super) fn rise(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        for (profile, devices) in &mut self.profiles {
            for ((device, own), slot) in devices.iter_mut().filter(|((_, own), _)| *own == node) {
                let key = Key::Presence(profile.clone(), device.clone(), *own);
                turn.journal.note(&mut slot.seq, key.clone());
                if slot.value.what.is_none() {
                    turn.deadlines.set(turn.forget_at(), Due::Forget(key, slot.seq));
                }
                turn.tell(Topic::Profile(profile.clone()), EphemeralChange::Devices);
            }
        }
    }

    /// What nodes that live say of the devices of a profile.
    pub(super) fn devices(&self, profile: &ProfileId, is_alive: impl Fn(&NodeId) -> bool) -> BTreeMap<DeviceId, PresentDevice> {
        let mut found: BTreeMap<DeviceId, PresentDevice> = BTreeMap::new();
        for ((device, node), slot) in self.profiles.get(profile).into_iter().flatten() {
            let Some((state, title)) = slot.value.what.clone().filter(|_| is_alive(node)) else { continue };
            let said = PresentDevice { device: device.clone(), state, title, node: *node };
            match found.entry(device.clone()) {
                Entry::Occupied(known) if known.get().state >= state => {}
                Entry::Occupied(mut known) => {
                    known.insert(said);
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(said);
                }
            }
        }
        found
    }
}
