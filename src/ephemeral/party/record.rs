//! What all nodes hold of a party: who made it, who may steer it, who is in it by name.
//!
//! The names are an `Orswot` (an observed-remove set without tombstones) of the `crdts` crate: who leaves at one node while joining anew at
//! another is in. A node adds under its own id and the stamp of its run, so a counter is never used twice, not even by a node that lost its
//! memory.

use std::collections::{BTreeMap, BTreeSet};

use crdts::{CmRDT, CvRDT, Dot, Orswot};

use crate::ephemeral::node::NodeId;
use crate::ephemeral::slot::Join;
use crate::limits::{ACTORS_PER_PARTY_COUNT_MAX, MEMBERS_PER_PARTY_COUNT_MAX};
use crate::progress::ProfileId;
use crate::time::Hlc;

/// The secret by which one is let into a party: 16 random bytes, in hexadecimal for people.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Invite(pub [u8; 16]);

impl Invite {
    /// Reads what [`std::fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether it is the same, in a time that does not tell how much of it is.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differing, (one, two)| differing | (one ^ two)) == 0
    }
}

impl std::fmt::Display for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Invite(..)")
    }
}

/// Who may steer a party.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Control {
    /// The host.
    Host = 0,
    /// Every member.
    Everyone = 1,
}

impl Control {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Everyone => "everyone",
        }
    }

    pub(in crate::ephemeral) const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Host,
            1 => Self::Everyone,
            _ => return None,
        })
    }
}

/// One run of a node: who changes the names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::ephemeral) struct Actor {
    pub(in crate::ephemeral) node: NodeId,
    pub(in crate::ephemeral) since: Hlc,
}

/// Highest counter of an actor that is taken from elsewhere: nobody joins so often, and the next one must still fit.
const COUNTER_MAX: u64 = 1 << 48;

/// Names that are taken from elsewhere: halves that could not reach each other may each have filled up.
const NAMES_COUNT_MAX: usize = 4 * MEMBERS_PER_PARTY_COUNT_MAX;

/// The dots of a name: which joins brought it in.
pub(in crate::ephemeral) type Dots = BTreeMap<Actor, u64>;

/// What all nodes hold of a party.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::ephemeral) struct Record {
    pub(in crate::ephemeral) created: Hlc,
    pub(in crate::ephemeral) invite: Invite,
    pub(in crate::ephemeral) control: (Hlc, Control),
    names: Orswot<ProfileId, Actor>,
}

impl Record {
    pub(in crate::ephemeral) fn new(created: Hlc, invite: Invite, control: Control) -> Self {
        Self { created, invite, control: (created, control), names: Orswot::new() }
    }

    /// A record from what was written of it. None if no node can have written it: names beyond the bound, or a dot above the clock.
    pub(in crate::ephemeral) fn from_parts(
        (created, invite, control): (Hlc, Invite, (Hlc, Control)),
        clock: &Dots,
        names: BTreeMap<ProfileId, Dots>,
    ) -> Option<Self> {
        if names.len() > NAMES_COUNT_MAX
            || clock.len() > ACTORS_PER_PARTY_COUNT_MAX
            || clock.values().any(|counter| *counter == 0 || *counter > COUNTER_MAX)
        {
            return None;
        }
        let mut record = Self { created, invite, control, names: Orswot::new() };
        let mut adds: BTreeMap<(Actor, u64), Vec<ProfileId>> = BTreeMap::new();
        for (name, dots) in names {
            if dots.is_empty() {
                return None;
            }
            for (actor, counter) in dots {
                if counter == 0 || clock.get(&actor).is_none_or(|last| counter > *last) {
                    return None;
                }
                adds.entry((actor, counter)).or_default().push(name.clone());
            }
        }
        // In the order in which each actor made them: the set skips what is below its clock.
        for ((actor, counter), members) in adds {
            record.names.apply(crdts::orswot::Op::Add { dot: Dot::new(actor, counter), members });
        }
        for (actor, counter) in clock {
            record.names.apply(crdts::orswot::Op::Add { dot: Dot::new(*actor, *counter), members: Vec::new() });
        }
        Some(record)
    }

    /// Every actor's last counter.
    pub(in crate::ephemeral) fn clock(&self) -> Dots {
        self.names.clock().dots
    }

    /// The names in order, each with its dots.
    pub(in crate::ephemeral) fn named(&self) -> BTreeMap<ProfileId, Dots> {
        self.names.iter().map(|name| (name.val.clone(), name.rm_clock.dots)).collect()
    }

    pub(in crate::ephemeral) fn names(&self) -> BTreeSet<ProfileId> {
        self.names.iter().map(|name| name.val.clone()).collect()
    }

    pub(in crate::ephemeral) fn holds(&self, profile: &ProfileId) -> bool {
        self.names.contains(profile).val
    }

    /// Adds a name, if there is room. Whether anything changed.
    pub(in crate::ephemeral) fn add(&mut self, actor: Actor, profile: &ProfileId) -> bool {
        let clock = self.names.clock();
        let has_room = clock.dots.contains_key(&actor) || clock.dots.len() < ACTORS_PER_PARTY_COUNT_MAX;
        let known = self.holds(profile);
        if !has_room || clock.get(&actor) >= COUNTER_MAX || (!known && self.names.iter().count() >= MEMBERS_PER_PARTY_COUNT_MAX) {
            return false;
        }
        let context = self.names.read_ctx().derive_add_ctx(actor);
        let add = self.names.add(profile.clone(), context);
        self.names.apply(add);
        true
    }

    /// Removes a name, as far as it is known here. Whether it was there.
    pub(in crate::ephemeral) fn remove(&mut self, profile: &ProfileId) -> bool {
        let known = self.names.contains(profile);
        if !known.val {
            return false;
        }
        let remove = self.names.rm(profile.clone(), known.derive_rm_ctx());
        self.names.apply(remove);
        true
    }
}

impl Join for Record {
    fn join(&mut self, other: Self) -> bool {
        let mut joined = self.clone();
        joined.names.merge(other.names);
        if joined.names.iter().count() > NAMES_COUNT_MAX || joined.names.clock().dots.len() > ACTORS_PER_PARTY_COUNT_MAX {
            // More halves than nodes that honour the bound can have filled: what is known here stays.
            return false;
        }
        // Ids are random: two parties of one id are a fault or an attack, and still end alike everywhere.
        (joined.created, joined.invite) = (self.created, self.invite).max((other.created, other.invite));
        joined.control = self.control.max(other.control);
        let changed = joined != *self;
        *self = joined;
        changed
    }
}
