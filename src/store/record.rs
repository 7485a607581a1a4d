//! Records: what is appended to the log, and the same bytes on the wire.
//!
//! A record is a register's state (or a delta, which is a state with little in it) with its ids, or a profile's tombstone. A [`Batch`] is
//! records already encoded: encoding happens once, on the caller's thread, and log and wire copy the bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::progress::codec::{CheckedOnly, DecodeError, Reader, put_id, put_varint};
use crate::progress::{ProfileId, Progress, TitleId};
use crate::time::Hlc;

/// Who a replica is: drawn at random when its folder is made, and anew when the folder is restored from a backup.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct ReplicaId(pub [u8; 16]);

impl Ord for ReplicaId {
    /// Byte by byte, as one number: maps by replica are asked with every frame.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ReplicaId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life of a replica's sequence numbers, from one opening of its folder to the next: drawn at random. [`Lives`](super::Lives) tells how they
/// follow on each other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// The sequence number of a record at one replica, counted from 1. Never used twice, unless its folder is set back to an
/// earlier copy; numbers may be skipped.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// How far one has read another replica's changes: everything that arrived there up to and including `seq` is in this log.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct PeerCursor {
    /// The other replica.
    pub peer: ReplicaId,
    /// The life of its sequence numbers.
    pub epoch: Epoch,
    /// The last one covered.
    pub seq: Seq,
}

/// Where a record came from: it is not sent back there.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Recorded here, or arrived by a way that says nothing about who has it.
    #[default]
    Local,
    /// Arrived from a peer.
    Peer(ReplicaId),
    /// Arrived from a device, by the id that it is known by here. Other nodes get it from here, as if it had been recorded here.
    Device(ReplicaId),
}

impl Origin {
    /// Who sent it, if it came from elsewhere.
    pub const fn replica(self) -> Option<ReplicaId> {
        match self {
            Self::Local => None,
            Self::Peer(replica) | Self::Device(replica) => Some(replica),
        }
    }
}

/// A record, decoded.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is a register, and boxing each would cost an allocation on the busiest path"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A register's state, or a delta of it.
    Register {
        /// Whose.
        profile: ProfileId,
        /// Of which title.
        title: TitleId,
        /// The state.
        state: Progress,
    },
    /// The erasure of a profile.
    Erased {
        /// Which.
        profile: ProfileId,
        /// When.
        erased: Hlc,
    },
}

pub(super) const REGISTER: u8 = 1;
pub(super) const ERASED: u8 = 2;

impl Record {
    /// Appends the record's bytes: kind u8, profile id, then title id, length and register, or a u64 stamp.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Register { profile, title, state } => put_register(out, profile, title, state),
            Self::Erased { profile, erased } => put_erased(out, profile, *erased),
        }
    }

    /// Reads one record; leaves what follows it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8("record kind")?;
        let profile = ProfileId::new(reader.id("profile")?).map_err(|_| DecodeError::Invalid { field: "profile" })?;
        match kind {
            REGISTER => {
                let title = TitleId::new(reader.id("title")?).map_err(|_| DecodeError::Invalid { field: "title" })?;
                let length = reader.length(crate::limits::REGISTER_BYTES_MAX, "register length")?;
                let state = Progress::from_bytes(reader.bytes(length, "register")?)?;
                Ok(Self::Register { profile, title, state })
            }
            ERASED => {
                let erased = erased(reader)?;
                Ok(Self::Erased { profile, erased })
            }
            _ => Err(DecodeError::Invalid { field: "record kind" }),
        }
    }

    /// Reads one record as [`Record::decode`] does, and keeps nothing of it but its highest stamp: see [`Progress::highest_stamp`].
    pub(crate) fn stamp(reader: &mut Reader<'_>, ids: &CheckedOnly) -> Result<Hlc, DecodeError> {
        let kind = reader.u8("record kind")?;
        ProfileId::check(reader.id("profile")?.as_ref()).map_err(|_| DecodeError::Invalid { field: "profile" })?;
        match kind {
            REGISTER => {
                TitleId::check(reader.id("title")?.as_ref()).map_err(|_| DecodeError::Invalid { field: "title" })?;
                let length = reader.length(crate::limits::REGISTER_BYTES_MAX, "register length")?;
                let mut state = Reader::new(reader.bytes(length, "register")?);
                let progress = Progress::decode_with(ids, &mut state)?;
                state.finish()?;
                Ok(progress.highest_stamp())
            }
            ERASED => erased(reader),
            _ => Err(DecodeError::Invalid { field: "record kind" }),
        }
    }

    /// Whose record it is.
    pub fn profile(&self) -> &ProfileId {
        match self {
            Self::Register { profile, .. } | Self::Erased { profile, .. } => profile,
        }
    }
}

fn erased(reader: &mut Reader<'_>) -> Result<Hlc, DecodeError> {
    let raw = reader.u64("erased")?;
    let erased = Hlc::from_u64(raw);
    if erased.as_u64() != raw || erased == Hlc::ZERO {
        return Err(DecodeError::Invalid { field: "erased" });
    }
    Ok(erased)
}

pub(super) fn put_register(out: &mut Vec<u8>, profile: &ProfileId, title: &TitleId, state: &Progress) {
    out.push(REGISTER);
    put_id(out, profile.as_str());
    put_id(out, title.as_str());
    let start = out.len();
    // Registers are nearly always shorter than 128 bytes, so their length is one byte; a longer one is moved up by one.
    out.push(0);
    state.encode(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        let mut prefix = Vec::with_capacity(2);
        put_varint(&mut prefix, length as u64);
        out.splice(start..=start, prefix);
    }
}

pub(super) fn put_erased(out: &mut Vec<u8>, profile: &ProfileId, erased: Hlc) {
    out.push(ERASED);
    put_id(out, profile.as_str());
    out.extend_from_slice(&erased.as_u64().to_le_bytes());
}

/// Records on their way into the log, already encoded, from one origin.
///
/// Becomes durable whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) origin: Origin,
    pub(crate) unshared: bool,
    pub(crate) made_there: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u32,
    pub(crate) cursor: Option<PeerCursor>,
    pub(crate) floor_day: Option<u32>,
}

impl Batch {
    /// An empty batch of records from here.
    pub fn local() -> Self {
        Self::default()
    }

    /// An empty batch of records from a peer.
    pub fn from_peer(peer: ReplicaId) -> Self {
        Self { origin: Origin::Peer(peer), ..Self::default() }
    }

    /// An empty batch of records from a device.
    pub fn from_device(device: ReplicaId) -> Self {
        Self { origin: Origin::Device(device), ..Self::default() }
    }

    /// The batch's records are changes that were made at the peer, and did not come to it from elsewhere.
    pub(crate) const fn made_there(mut self, made_there: bool) -> Self {
        self.made_there = made_there;
        self
    }

    /// Keeps the batch's registers apart from the joined state, as deltas shared with nobody, until [`Store::share`](super::Store) moves them.
    #[must_use]
    pub fn unshared(mut self) -> Self {
        self.unshared = true;
        self
    }

    /// Adds a register's state or delta.
    pub fn register(&mut self, profile: &ProfileId, title: &TitleId, state: &Progress) {
        put_register(&mut self.bytes, profile, title, state);
        self.count += 1;
    }

    /// Adds a profile's tombstone.
    pub fn erased(&mut self, profile: &ProfileId, erased: Hlc) {
        put_erased(&mut self.bytes, profile, erased);
        self.count += 1;
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record) {
        record.encode(&mut self.bytes);
        self.count += 1;
    }

    /// Adds one record that is already encoded, as [`Record::decode`] read it.
    pub(crate) fn copy(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// Notes that with this batch, everything up to the cursor has arrived from its peer.
    pub fn set_cursor(&mut self, cursor: PeerCursor) {
        self.cursor = Some(cursor);
    }

    /// Raises the expiry floor to a day (days since the Unix epoch); lower ones change nothing.
    pub fn raise_floor(&mut self, day: u32) {
        self.floor_day = self.floor_day.max(Some(day));
    }

    /// Records in the batch.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.cursor.is_none() && self.floor_day.is_none()
    }

    /// Encoded records, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Activity, DeviceId, KnownSeries, Place, Places, PlaybackState, Position, SeriesId, Speed, Version};

    fn read(bytes: &[u8]) -> Result<(Hlc, usize), DecodeError> {
        let mut reader = Reader::new(bytes);
        let stamp = match Record::decode(&mut reader)? {
            Record::Register { state, .. } => state.highest_stamp(),
            Record::Erased { erased, .. } => erased,
        };
        Ok((stamp, reader.remaining()))
    }

    fn skimmed(bytes: &[u8], ids: &CheckedOnly) -> Result<(Hlc, usize), DecodeError> {
        let mut reader = Reader::new(bytes);
        let stamp = Record::stamp(&mut reader, ids)?;
        Ok((stamp, reader.remaining()))
    }

    #[test]
    fn what_is_only_checked_is_checked_as_what_is_kept() {
        let profile = ProfileId::new("a profile").unwrap();
        let title = TitleId::new("6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f").unwrap();
        let stamp = Hlc::from_u64(1_790_000_000_000 << 10);
        let activity = Activity {
            stamp,
            rank: 0,
            device: DeviceId::new("phone").unwrap(),
            state: PlaybackState::Playing,
            version: Version::FIRST,
            position: Position::ZERO,
            speed: Speed::NORMAL,
            stepped_back: false,
        };
        let state = Progress {
            places: Places::single(Place { touched: stamp, ..Place::default() }),
            activity: Some(activity),
            series: Some(KnownSeries { stamp, id: SeriesId::new("show").unwrap() }),
            ..Progress::default()
        };
        let records = [Record::Register { profile: profile.clone(), title, state }, Record::Erased { profile, erased: stamp }];
        let ids = CheckedOnly::default();
        for record in records {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(skimmed(&bytes, &ids), Ok((stamp, 0)));
            for length in 0..bytes.len() {
                assert_eq!(skimmed(&bytes[..length], &ids), read(&bytes[..length]));
            }
            for index in 0..bytes.len() {
                let before = bytes[index];
                for byte in 0..=u8::MAX {
                    bytes[index] = byte;
                    assert_eq!(skimmed(&bytes, &ids), read(&bytes), "byte {index} as {byte}");
                }
                bytes[index] = before;
            }
        }
    }
}
