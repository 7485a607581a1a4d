//! Words: what nodes say to each other of what is ephemeral, and their bytes.
//!
//! ```text
//! frame      count varint, at most 1,024; so many leases; words until the end
//! lease      node [16], since varint, stamp varint, left varint (milliseconds, rounded up)
//! word       kind u8, length varint, body; a kind that is not known is skipped
//!
//! 1 presence profile id, device id, lease varint (which of the leases above), stamp varint, state u8 (0 gone, 1 background, 2 paused,
//!            3 playing), then, unless gone, title: 0, or 1 and an id
//! 2 session  session id, lease varint, stamp varint, ended u8 (0 no, else why), started varint, account id, profile id, device id,
//!            title id, state u8
//! 3 seats    party id, lease varint, stamp varint, count varint, eldest: 0, or 1, joined varint, profile id, device id
//! 4 party    party id, created varint, invite [16], control: stamp varint and u8; actors: count varint, each node [16], since varint,
//!            counter varint, ascending; names: count varint, each profile id and dots: count varint, each actor varint, counter varint;
//!            names and dots ascending
//! 5 anchor   party id, stamp varint, node [16], device id, nonce: 0, or 1 and a varint, title id, position varint, rate f32, playing u8,
//!            age varint (milliseconds); commands: count varint, each stamp varint, device id, nonce varint, ascending
//! ```
//!
//! A lease travels as the time that is left of it, and an anchor with its age: no wall clock has a part in either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ephemeral::node::NodeId;
use crate::ephemeral::party::{Actor, Anchor, Control, Dots, Invite, Record, Seats, SetAnchor, Steering, Viewer};
use crate::ephemeral::presence::{PresenceState, Shown};
use crate::ephemeral::session::{EndReason, Session, SessionState};
use crate::limits::{
    ACTORS_PER_PARTY_COUNT_MAX, COMMANDS_REMEMBERED_COUNT_MAX, NODES_COUNT_MAX, POSITION_MS_MAX, STAMP_MAX, VIEWERS_PER_PARTY_COUNT_MAX,
};
use crate::progress::codec::{DecodeError, IdText, Reader, put_id, put_varint};
use crate::progress::{AccountId, DeviceId, IdError, PartyId, Position, ProfileId, SessionId, Speed, TitleId};
use crate::time::Hlc;

/// A node's lease, as it travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lease {
    pub(super) node: NodeId,
    /// The node's run: the stamp of the first thing it said.
    pub(super) since: Hlc,
    pub(super) stamp: Hlc,
    pub(super) left: Duration,
}

/// One thing that a node says, or passes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Word {
    Presence { profile: ProfileId, device: DeviceId, node: NodeId, shown: Shown },
    Session { id: SessionId, session: Session },
    Seats { party: PartyId, node: NodeId, seats: Seats },
    Party { id: PartyId, record: Record },
    Anchor { party: PartyId, steering: Steering, age: Duration },
}

/// Which leases a frame refers to, in the order in which they are needed.
#[derive(Debug, Default)]
pub(super) struct Leases {
    order: Vec<NodeId>,
    known: BTreeMap<NodeId, usize>,
}

impl Leases {
    pub(super) fn index(&mut self, node: NodeId) -> usize {
        *self.known.entry(node).or_insert_with(|| {
            self.order.push(node);
            self.order.len() - 1
        })
    }

    pub(super) fn nodes(&self) -> &[NodeId] {
        &self.order
    }
}

/// Highest actor's counter or count that is read; bounds are checked where they mean something.
const NAMES_COUNT_MAX: usize = 1 << 16;

impl Word {
    /// The node whose lease it stands by; none for what all share.
    pub(super) const fn node(&self) -> Option<NodeId> {
        match self {
            Self::Presence { node, .. } | Self::Seats { node, .. } => Some(*node),
            Self::Session { session, .. } => Some(session.node),
            Self::Party { .. } | Self::Anchor { .. } => None,
        }
    }

    /// The highest stamp in it.
    pub(super) fn highest_stamp(&self) -> Hlc {
        match self {
            Self::Presence { shown, .. } => shown.stamp,
            Self::Session { session, .. } => session.stamp.max(session.started),
            Self::Seats { seats, .. } => seats.stamp.max(seats.eldest.as_ref().map_or(Hlc::ZERO, |eldest| eldest.joined)),
            Self::Party { record, .. } => {
                let since = record.clock().keys().map(|actor| actor.since).max().unwrap_or_default();
                record.created.max(record.control.0).max(since)
            }
            Self::Anchor { steering, .. } => steering.highest_stamp(),
        }
    }

    /// Appends it.
    pub(super) fn encode(&self, leases: &mut Leases, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(128);
        let kind = self.put(leases, &mut body);
        out.push(kind);
        put_varint(out, body.len() as u64);
        out.extend_from_slice(&body);
    }

    fn put(&self, leases: &mut Leases, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Presence { profile, device, node, shown } => {
                put_id(out, profile.as_str());
                put_id(out, device.as_str());
                put_varint(out, leases.index(*node) as u64);
                put_varint(out, shown.stamp.as_u64());
                match &shown.what {
                    None => out.push(0),
                    Some((state, title)) => {
                        out.push(*state as u8 + 1);
                        put_option(out, title.as_ref(), |out, title| put_id(out, title.as_str()));
                    }
                }
                1
            }
            Self::Session { id, session } => {
                put_id(out, id.as_str());
                put_varint(out, leases.index(session.node) as u64);
                put_varint(out, session.stamp.as_u64());
                out.push(session.ended.map_or(0, |reason| reason as u8));
                put_varint(out, session.started.as_u64());
                for text in [session.account.as_str(), session.profile.as_str(), session.device.as_str(), session.title.as_str()] {
                    put_id(out, text);
                }
                out.push(session.state as u8);
                2
            }
            Self::Seats { party, node, seats } => {
                put_id(out, party.as_str());
                put_varint(out, leases.index(*node) as u64);
                put_varint(out, seats.stamp.as_u64());
                put_varint(out, u64::from(seats.count));
                put_option(out, seats.eldest.as_ref(), |out, eldest| {
                    put_varint(out, eldest.joined.as_u64());
                    put_id(out, eldest.profile.as_str());
                    put_id(out, eldest.device.as_str());
                });
                3
            }
            Self::Party { id, record } => {
                put_id(out, id.as_str());
                put_record(out, record);
                4
            }
            Self::Anchor { party, steering: Steering { set, commands }, age } => {
                put_id(out, party.as_str());
                put_varint(out, set.stamp.as_u64());
                out.extend_from_slice(&set.node.0);
                put_id(out, set.device.as_str());
                put_option(out, set.nonce.as_ref(), |out, nonce| put_varint(out, *nonce));
                put_id(out, set.anchor.title.as_str());
                put_varint(out, set.anchor.position.as_millis());
                out.extend_from_slice(&set.anchor.rate.as_f32().to_le_bytes());
                out.push(u8::from(set.anchor.playing));
                put_varint(out, millis(*age));
                put_varint(out, commands.len() as u64);
                for (stamp, device, nonce) in commands {
                    put_varint(out, stamp.as_u64());
                    put_id(out, device.as_str());
                    put_varint(out, *nonce);
                }
                5
            }
        }
    }

    /// Reads the next word; `None` for one of a kind that is not known.
    pub(super) fn decode(leases: &[Lease], reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let kind = reader.u8("kind")?;
        let length = reader.length(reader.remaining(), "length")?;
        let mut body = Reader::new(reader.bytes(length, "word")?);
        let word = match kind {
            1 => Self::read_presence(leases, &mut body)?,
            2 => Self::read_session(leases, &mut body)?,
            3 => Self::read_seats(leases, &mut body)?,
            4 => Self::Party { id: id(&mut body, "party", PartyId::new)?, record: read_record(&mut body)? },
            5 => Self::read_anchor(&mut body)?,
            _ => return Ok(None),
        };
        body.finish()?;
        Ok(Some(word))
    }

    fn read_presence(leases: &[Lease], body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let profile = id(body, "profile", ProfileId::new)?;
        let device = id(body, "device", DeviceId::new)?;
        let node = lease(leases, body)?;
        let stamp = stamp(body, "stamp")?;
        let what = match body.u8("state")? {
            0 => None,
            number => {
                let state = PresenceState::from_u8(number - 1).ok_or(DecodeError::Invalid { field: "state" })?;
                Some((state, option(body, "title", |body| id(body, "title", TitleId::new))?))
            }
        };
        Ok(Self::Presence { profile, device, node, shown: Shown { stamp, what } })
    }

    fn read_session(leases: &[Lease], body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id_of = id(body, "session", SessionId::new)?;
        let node = lease(leases, body)?;
        let stamp_of = stamp(body, "stamp")?;
        let ended = match body.u8("ended")? {
            0 => None,
            number => Some(EndReason::from_u8(number).ok_or(DecodeError::Invalid { field: "ended" })?),
        };
        let session = Session {
            stamp: stamp_of,
            node,
            ended,
            started: stamp(body, "started")?,
            account: id(body, "account", AccountId::new)?,
            profile: id(body, "profile", ProfileId::new)?,
            device: id(body, "device", DeviceId::new)?,
            title: id(body, "title", TitleId::new)?,
            state: SessionState::from_u8(body.u8("state")?).ok_or(DecodeError::Invalid { field: "state" })?,
        };
        Ok(Self::Session { id: id_of, session })
    }

    fn read_seats(leases: &[Lease], body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let party = id(body, "party", PartyId::new)?;
        let node = lease(leases, body)?;
        let stamp_of = stamp(body, "stamp")?;
        let count = body.length(VIEWERS_PER_PARTY_COUNT_MAX, "count")? as u32;
        let eldest = option(body, "eldest", |body| {
            Ok(Viewer {
                joined: stamp(body, "joined")?,
                profile: id(body, "profile", ProfileId::new)?,
                device: id(body, "device", DeviceId::new)?,
            })
        })?;
        if eldest.is_some() != (count > 0) {
            return Err(DecodeError::Invalid { field: "eldest" });
        }
        Ok(Self::Seats { party, node, seats: Seats { stamp: stamp_of, count, eldest } })
    }

    fn read_anchor(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let party = id(body, "party", PartyId::new)?;
        let stamp_of = stamp(body, "stamp")?;
        let node = NodeId(body.array("node")?);
        let device = id(body, "device", DeviceId::new)?;
        let nonce = option(body, "nonce", |body| body.varint("nonce"))?;
        let title = id(body, "title", TitleId::new)?;
        let position = body.varint("position")?;
        if position > POSITION_MS_MAX {
            return Err(DecodeError::Invalid { field: "position" });
        }
        let rate = Speed::new(f32::from_le_bytes(body.array("rate")?)).map_err(|_| DecodeError::Invalid { field: "rate" })?;
        let playing = flag(body, "playing")?;
        let age = Duration::from_millis(body.varint("age")?);
        let anchor = Anchor { title, position: Position::from_millis(position), rate, playing };
        let mut commands = BTreeSet::new();
        for _ in 0..body.length(COMMANDS_REMEMBERED_COUNT_MAX, "commands")? {
            let command = (stamp(body, "stamp")?, id(body, "device", DeviceId::new)?, body.varint("nonce")?);
            if commands.last().is_some_and(|last| *last >= command) {
                return Err(DecodeError::Invalid { field: "commands" });
            }
            commands.insert(command);
        }
        let set = SetAnchor { stamp: stamp_of, node, device, nonce, anchor };
        Ok(Self::Anchor { party, steering: Steering { set, commands }, age })
    }
}

/// Milliseconds, rounded up: a lease must not end earlier at whoever hears of it.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Appends the leases that stand before the words.
pub(super) fn put_leases(out: &mut Vec<u8>, leases: &[Lease]) {
    put_varint(out, leases.len() as u64);
    for lease in leases {
        out.extend_from_slice(&lease.node.0);
        put_varint(out, lease.since.as_u64());
        put_varint(out, lease.stamp.as_u64());
        put_varint(out, millis(lease.left));
    }
}

/// Reads them.
pub(super) fn read_leases(reader: &mut Reader<'_>) -> Result<Vec<Lease>, DecodeError> {
    let count = reader.length(NODES_COUNT_MAX, "leases")?;
    let mut leases = Vec::with_capacity(count.min(reader.remaining() / 19));
    for _ in 0..count {
        let node = NodeId(reader.array("node")?);
        let (since, stamp) = (stamp(reader, "since")?, stamp(reader, "stamp")?);
        leases.push(Lease { node, since, stamp, left: Duration::from_millis(reader.varint("left")?) });
    }
    Ok(leases)
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_varint(out, record.created.as_u64());
    out.extend_from_slice(&record.invite.0);
    put_varint(out, record.control.0.as_u64());
    out.push(record.control.1 as u8);
    let clock = record.clock();
    put_varint(out, clock.len() as u64);
    for (actor, counter) in &clock {
        out.extend_from_slice(&actor.node.0);
        put_varint(out, actor.since.as_u64());
        put_varint(out, *counter);
    }
    let index: BTreeMap<&Actor, u64> = clock.keys().zip(0..).collect();
    let names = record.named();
    put_varint(out, names.len() as u64);
    for (name, dots) in &names {
        put_id(out, name.as_str());
        put_varint(out, dots.len() as u64);
        for (actor, counter) in dots {
            // Every dot's actor is in the clock: whatever is added moves it.
            put_varint(out, index.get(actor).copied().unwrap_or(u64::MAX));
            put_varint(out, *counter);
        }
    }
}

fn read_record(body: &mut Reader<'_>) -> Result<Record, DecodeError> {
    let invalid = |field| DecodeError::Invalid { field };
    let created = stamp(body, "created")?;
    let invite = Invite(body.array("invite")?);
    let control_at = stamp(body, "control")?;
    let control = Control::from_u8(body.u8("control")?).ok_or(invalid("control"))?;
    let count = body.length(ACTORS_PER_PARTY_COUNT_MAX, "actors")?;
    let mut actors: Vec<Actor> = Vec::with_capacity(count);
    let mut clock = Dots::new();
    for _ in 0..count {
        let actor = Actor { node: NodeId(body.array("node")?), since: stamp(body, "since")? };
        if actors.last().is_some_and(|last| *last >= actor) {
            return Err(invalid("actors"));
        }
        clock.insert(actor, body.varint("counter")?);
        actors.push(actor);
    }
    let mut names: BTreeMap<ProfileId, Dots> = BTreeMap::new();
    for _ in 0..body.length(NAMES_COUNT_MAX, "names")? {
        let name = id(body, "name", ProfileId::new)?;
        if names.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(invalid("names"));
        }
        let mut dots = Dots::new();
        for _ in 0..body.length(actors.len(), "dots")? {
            let index = body.length(actors.len(), "dot")?;
            let actor = *actors.get(index).ok_or(invalid("dot"))?;
            if dots.last_key_value().is_some_and(|(last, _)| *last >= actor) {
                return Err(invalid("dot"));
            }
            dots.insert(actor, body.varint("counter")?);
        }
        names.insert(name, dots);
    }
    Record::from_parts((created, invite, (control_at, control)), &clock, names).ok_or(invalid("names"))
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn option<'a, T>(
    body: &mut Reader<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flag(body, field)? { read(body).map(Some) } else { Ok(None) }
}

fn flag(body: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match body.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid { field }),
    }
}

fn id<'a, T>(body: &mut Reader<'a>, field: &'static str, new: impl FnOnce(IdText<'a>) -> Result<T, IdError>) -> Result<T, DecodeError> {
    new(body.id(field)?).map_err(|_| DecodeError::Invalid { field })
}

fn stamp(body: &mut Reader<'_>, field: &'static str) -> Result<Hlc, DecodeError> {
    let raw = body.varint(field)?;
    if raw > STAMP_MAX { Err(DecodeError::Invalid { field }) } else { Ok(Hlc::from_u64(raw)) }
}

fn lease(leases: &[Lease], body: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
    let index = body.length(leases.len(), "lease")?;
    leases.get(index).map(|lease| lease.node).ok_or(DecodeError::Invalid { field: "lease" })
}
