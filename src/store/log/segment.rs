//! Segments and frames, byte by byte.
//!
//! ```text
//! segment   "leftoff\n" · version u32 · number u64 · replica [16] · epoch u64 · secret check u64 · next sequence number u64 · CRC-32C u32 of the
//!           60 bytes before it; then frames
//! frame     payload length u32 · CRC-32C u32 · sequence number of the first record u64 · payload
//! payload   flags u8 (1 mark · 2 from a peer · 4 cursor · 8 floor · 16 unshared, of a peer's: a device's · 32 shares · 64 forgets cursors · 128 made there) · records u32
//!           [peer [16]] [cursor: peer [16], epoch u64, sequence number u64] [floor day u32] · records
//! ```
//!
//! Integers are little-endian. The checksum is of the payload, then the sequence number, then the length: so most of it is computed before a
//! sequence number is known. A *mark* opens every group of frames that is written and synced together. A valid mark says that everything before
//! it was synced; that is how a tail torn by a crash (no mark after it) is told from damage (a mark after it).

use crate::limits::LOG_FRAME_BYTES_MAX;
use crate::progress::DecodeError;
use crate::progress::codec::Reader;
use crate::store::{Batch, Epoch, Origin, PeerCursor, ReplicaId, Seq};

pub(in crate::store) const SEGMENT_HEADER_BYTES: usize = 64;
pub(in crate::store) const FRAME_HEADER_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"leftoff\n";
/// Layout version of segments and frames.
pub(in crate::store) const LOG_VERSION: u32 = 1;

const MARK: u8 = 1;
const PEER: u8 = 2;
const CURSOR: u8 = 4;
const FLOOR: u8 = 8;
/// Of a frame without peer: unshared. Nothing that came from a peer is unshared, so there it says that the peer is a device.
const UNSHARED: u8 = 16;
const DEVICE: u8 = UNSHARED;
const SHARES: u8 = 32;
const FORGETS: u8 = 64;
const MADE_THERE: u8 = 128;

/// Flags, count, a replica, a cursor, a floor.
const FRAME_FIELDS_BYTES_MAX: usize = 1 + 4 + 16 + 32 + 4;

/// Whose log it is. Kept in every segment, so that a log can be read without its database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) struct Identity {
    pub(in crate::store) id: ReplicaId,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) secret_check: u64,
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) struct SegmentHeader {
    pub(in crate::store) version: u32,
    pub(in crate::store) number: u64,
    pub(in crate::store) identity: Identity,
    /// Lower than every sequence number in the segment, or equal.
    pub(in crate::store) first: Seq,
}

impl SegmentHeader {
    pub(in crate::store) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.identity.id.0);
        out.extend_from_slice(&self.identity.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.identity.secret_check.to_le_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        let check = crc32c::crc32c(&out);
        out.extend_from_slice(&check.to_le_bytes());
        let mut header = [0; SEGMENT_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Reads a head; `None` if these bytes are none.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..SEGMENT_HEADER_BYTES)?;
        let (body, check) = header.split_at(SEGMENT_HEADER_BYTES - 4);
        let mut reader = Reader::new(body);
        let magic: [u8; 8] = reader.array("magic").ok()?;
        if &magic != MAGIC || check != crc32c::crc32c(body).to_le_bytes() {
            return None;
        }
        let version = u32::from_le_bytes(reader.array("version").ok()?);
        let number = reader.u64("number").ok()?;
        let id = ReplicaId(reader.array("replica").ok()?);
        let epoch = Epoch(reader.u64("epoch").ok()?);
        let secret_check = reader.u64("secret check").ok()?;
        let first = Seq(reader.u64("first").ok()?);
        Some(Self { version, number, identity: Identity { id, epoch, secret_check }, first })
    }
}

/// What a frame does besides carrying records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::store) enum FrameKind {
    #[default]
    Records,
    /// Clears what was shared with nobody.
    Shares,
    /// Forgets how far peers' changes were taken in.
    ForgetsCursors,
}

/// A batch's payload header, made before it is known which sequence number it gets.
pub(in crate::store) struct FrameDraft {
    header: Vec<u8>,
    check: u32,
}

impl FrameDraft {
    pub(in crate::store) fn new(batch: &Batch, kind: FrameKind) -> Self {
        let mut flags = match kind {
            FrameKind::Records => 0,
            FrameKind::Shares => SHARES,
            FrameKind::ForgetsCursors => FORGETS,
        };
        let mut header = Vec::with_capacity(FRAME_FIELDS_BYTES_MAX);
        header.push(0);
        header.extend_from_slice(&batch.count.to_le_bytes());
        if let Some(peer) = batch.origin.replica() {
            flags |= if matches!(batch.origin, Origin::Device(_)) { PEER | DEVICE } else { PEER };
            header.extend_from_slice(&peer.0);
        }
        if let Some(cursor) = &batch.cursor {
            flags |= CURSOR;
            header.extend_from_slice(&cursor.peer.0);
            header.extend_from_slice(&cursor.epoch.0.to_le_bytes());
            header.extend_from_slice(&cursor.seq.0.to_le_bytes());
        }
        if let Some(day) = batch.floor_day {
            flags |= FLOOR;
            header.extend_from_slice(&day.to_le_bytes());
        }
        if batch.unshared && batch.origin == Origin::Local {
            flags |= UNSHARED;
        }
        if batch.made_there {
            flags |= MADE_THERE;
        }
        header[0] = flags;
        let check = crc32c::crc32c_append(crc32c::crc32c(&header), &batch.bytes);
        Self { header, check }
    }

    /// Appends the frame.
    pub(in crate::store) fn put(&self, first: Seq, records: &[u8], out: &mut Vec<u8>) {
        put_frame_header(out, (self.header.len() + records.len()) as u32, self.check, first);
        out.extend_from_slice(&self.header);
        out.extend_from_slice(records);
    }
}

fn put_frame_header(out: &mut Vec<u8>, length: u32, payload_check: u32, first: Seq) {
    let check = finish_check(payload_check, first, length);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&check.to_le_bytes());
    out.extend_from_slice(&first.0.to_le_bytes());
}

fn finish_check(payload_check: u32, first: Seq, length: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(payload_check, &first.0.to_le_bytes()), &length.to_le_bytes())
}

/// Appends the mark that opens a group of frames.
pub(in crate::store) fn put_mark(next: Seq, out: &mut Vec<u8>) {
    let payload = [MARK, 0, 0, 0, 0];
    put_frame_header(out, payload.len() as u32, crc32c::crc32c(&payload), next);
    out.extend_from_slice(&payload);
}

/// A frame, borrowed.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Frame<'a> {
    pub(in crate::store) first: Seq,
    pub(in crate::store) count: u32,
    pub(in crate::store) kind: FrameKind,
    pub(in crate::store) origin: Origin,
    pub(in crate::store) unshared: bool,
    /// The records are changes that were made at the peer that they came from.
    pub(in crate::store) made_there: bool,
    pub(in crate::store) cursor: Option<PeerCursor>,
    pub(in crate::store) floor_day: Option<u32>,
    pub(in crate::store) is_mark: bool,
    pub(in crate::store) records: &'a [u8],
    /// The frame with its header, in bytes.
    pub(in crate::store) bytes: usize,
}

impl<'a> Frame<'a> {
    /// Reads the frame that begins here and checks its sum; `None` if there is none, or not the whole of it.
    pub(in crate::store) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (length, check, first) = Self::peek(bytes)?;
        let payload = bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length as usize)?;
        if finish_check(crc32c::crc32c(payload), first, length) != check {
            return None;
        }
        Self::parse(payload, first).ok()
    }

    /// Reads a frame of a buffer that this process has just written.
    pub(in crate::store) fn read_unchecked(bytes: &'a [u8]) -> Option<Self> {
        let (length, _, first) = Self::peek(bytes)?;
        Self::parse(bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length as usize)?, first).ok()
    }

    /// Length, checksum and sequence number that the header claims.
    pub(in crate::store) fn peek(bytes: &[u8]) -> Option<(u32, u32, Seq)> {
        let mut reader = Reader::new(bytes);
        let length = u32::from_le_bytes(reader.array("length").ok()?);
        let check = u32::from_le_bytes(reader.array("check").ok()?);
        let first = Seq(reader.u64("first").ok()?);
        (length as usize <= FRAME_PAYLOAD_BYTES_MAX).then_some((length, check, first))
    }

    fn parse(payload: &'a [u8], first: Seq) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8("flags")?;
        let count = u32::from_le_bytes(reader.array("records")?);
        let origin = match (flags & PEER != 0, flags & DEVICE != 0) {
            (false, _) => Origin::Local,
            (true, false) => Origin::Peer(ReplicaId(reader.array("peer")?)),
            (true, true) => Origin::Device(ReplicaId(reader.array("peer")?)),
        };
        let cursor = if flags & CURSOR == 0 {
            None
        } else {
            let peer = ReplicaId(reader.array("cursor")?);
            Some(PeerCursor { peer, epoch: Epoch(reader.u64("cursor")?), seq: Seq(reader.u64("cursor")?) })
        };
        let floor_day = if flags & FLOOR == 0 { None } else { Some(u32::from_le_bytes(reader.array("floor")?)) };
        let kind = match (flags & SHARES != 0, flags & FORGETS != 0) {
            (true, _) => FrameKind::Shares,
            (_, true) => FrameKind::ForgetsCursors,
            _ => FrameKind::Records,
        };
        let records = reader.bytes(reader.remaining(), "records")?;
        Ok(Self {
            first,
            count,
            kind,
            origin,
            unshared: origin == Origin::Local && flags & UNSHARED != 0,
            made_there: flags & MADE_THERE != 0,
            cursor,
            floor_day,
            is_mark: flags & MARK != 0,
            records,
            bytes: FRAME_HEADER_BYTES + payload.len(),
        })
    }

    /// The last sequence number that the frame uses. A batch without records uses one too; a mark uses none.
    pub(in crate::store) fn last(&self) -> Seq {
        Seq(if self.is_mark { self.first.0.saturating_sub(1) } else { self.first.0.saturating_add(u64::from(self.count.max(1)) - 1) })
    }
}

/// Payload of a frame with every header field present.
const FRAME_PAYLOAD_BYTES_MAX: usize = LOG_FRAME_BYTES_MAX + 128;

/// The file of a segment, in the folder of the log.
pub(in crate::store) fn segment_path(number: u64) -> String {
    format!("{LOG_FOLDER}/{number:016x}.log")
}

/// The number of a segment by its file name.
pub(in crate::store) fn segment_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".log").filter(|digits| digits.len() == 16)?, 16).ok()
}

/// The folder of the log.
pub(in crate::store) const LOG_FOLDER: &str = "log";
