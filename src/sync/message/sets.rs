//! The messages of reconciliation: start, fingerprints, lists, wants, turn.
//!
//! A frame of fingerprints, lists or wants holds entries to its end. An entry is decoded when it is reached, so the memory it takes is
//! bounded by the bytes that carried it.

use crate::progress::codec::{DecodeError, Reader, put_varint};
use crate::sync::reconcile::{FANOUT, Prefix};

/// Bytes of a fingerprint on the wire.
const FINGERPRINT_BYTES: usize = 6;

/// Begins a pass: `u64` salt, `u64` fingerprint of the sender's tombstones, `u8` pass (from 0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// Under which fingerprints and short ids are cut in this pass.
    pub salt: u64,
    /// Of the sender's tombstones within the link's range.
    pub tombstones: u64,
    /// Which pass.
    pub pass: u8,
}

impl Start {
    /// Appends the message's bytes.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.tombstones.to_le_bytes());
        out.push(self.pass);
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let start = Self { salt: reader.u64("salt")?, tombstones: reader.u64("tombstones")?, pass: reader.u8("pass")? };
        reader.finish()?;
        Ok(start)
    }
}

const QUIET: u8 = 1;
const SETTLED: u8 = 2;
const DIFFERS: u8 = 4;
const TRUNCATED: u8 = 8;

/// The end of a turn: the other side's is next. `u8` flags: 1 quiet, 2 settled, 4 differs, 8 truncated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of one byte on the wire")]
pub struct Turn {
    /// Nothing was asked in this turn. Two quiet turns in a row end the pass.
    pub quiet: bool,
    /// Sent by the side that began the pass when it is content: both have now what the other had when the first pass began.
    pub settled: bool,
    /// The sender has found a difference in this pass.
    pub differs: bool,
    /// The sender has left differences unasked, because there were too many for one pass.
    pub truncated: bool,
}

impl Turn {
    /// Appends the message's bytes.
    pub fn encode(self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(flag(self.quiet, QUIET) | flag(self.settled, SETTLED) | flag(self.differs, DIFFERS) | flag(self.truncated, TRUNCATED));
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8("flags")?;
        reader.finish()?;
        if flags & !(QUIET | SETTLED | DIFFERS | TRUNCATED) != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        let is = |bit: u8| flags & bit != 0;
        Ok(Self { quiet: is(QUIET), settled: is(SETTLED), differs: is(DIFFERS), truncated: is(TRUNCATED) })
    }
}

/// The fingerprints of the sixteen parts of a range: prefix, then 16 times 6 bytes (zero: nothing there).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FpsEntry {
    /// The range.
    pub prefix: Prefix,
    /// Of its parts, in order; the lowest 48 bits.
    pub fingerprints: [u64; FANOUT],
}

/// Appends an entry.
pub fn put_fps(out: &mut Vec<u8>, entry: &FpsEntry) {
    put_prefix(out, entry.prefix);
    for fingerprint in entry.fingerprints {
        out.extend_from_slice(&fingerprint.to_le_bytes()[..FINGERPRINT_BYTES]);
    }
}

/// Reads an entry.
pub fn read_fps(reader: &mut Reader<'_>) -> Result<FpsEntry, DecodeError> {
    let prefix = read_prefix(reader)?;
    if !prefix.is_divisible() {
        return Err(DecodeError::Invalid { field: "range" });
    }
    let mut fingerprints = [0; FANOUT];
    for fingerprint in &mut fingerprints {
        *fingerprint = read_short(reader, FINGERPRINT_BYTES, "fingerprint")?;
    }
    Ok(FpsEntry { prefix, fingerprints })
}

/// How many bytes of a short id are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdWidth {
    /// Five: the first try.
    Short,
    /// Eight: after a list that looked equal and was not.
    Wide,
}

impl IdWidth {
    /// Bytes of an id.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Short => 5,
            Self::Wide => 8,
        }
    }

    /// An id cut to this width.
    pub const fn cut(self, id: u64) -> u64 {
        match self {
            Self::Short => id & ((1 << 40) - 1),
            Self::Wide => id,
        }
    }
}

/// The short ids of everything that the sender has in a range: prefix, width `u8` (5 or 8), `u64` fingerprint, `varint` count, ids.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListEntry {
    /// The range.
    pub prefix: Prefix,
    /// How wide the ids are.
    pub width: IdWidth,
    /// Of the same records as the ids, uncut.
    pub fingerprint: u64,
    /// The ids, ascending.
    pub ids: Vec<u64>,
}

/// Appends an entry.
pub fn put_list(out: &mut Vec<u8>, entry: &ListEntry) {
    put_prefix(out, entry.prefix);
    out.push(entry.width.bytes() as u8);
    out.extend_from_slice(&entry.fingerprint.to_le_bytes());
    put_ids(out, entry.width, &entry.ids);
}

/// Reads an entry.
pub fn read_list(reader: &mut Reader<'_>) -> Result<ListEntry, DecodeError> {
    let prefix = read_prefix(reader)?;
    let width = read_width(reader)?;
    let fingerprint = reader.u64("fingerprint")?;
    let ids = read_ids(reader, width)?;
    Ok(ListEntry { prefix, width, fingerprint, ids })
}

/// The short ids of records that the sender lacks: prefix, width `u8`, `varint` count, ids.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantEntry {
    /// The range.
    pub prefix: Prefix,
    /// How wide the ids are.
    pub width: IdWidth,
    /// The ids, ascending.
    pub ids: Vec<u64>,
}

/// Appends an entry.
pub fn put_want(out: &mut Vec<u8>, entry: &WantEntry) {
    put_prefix(out, entry.prefix);
    out.push(entry.width.bytes() as u8);
    put_ids(out, entry.width, &entry.ids);
}

/// Reads an entry.
pub fn read_want(reader: &mut Reader<'_>) -> Result<WantEntry, DecodeError> {
    let prefix = read_prefix(reader)?;
    let width = read_width(reader)?;
    let ids = read_ids(reader, width)?;
    Ok(WantEntry { prefix, width, ids })
}

/// A prefix on the wire: how many bits (`u8`, a multiple of four up to 64), then as many bytes as hold them, the unused bits zero.
fn put_prefix(out: &mut Vec<u8>, prefix: Prefix) {
    out.push(prefix.bits());
    out.extend_from_slice(&prefix.first().to_be_bytes()[..usize::from(prefix.bits().div_ceil(8))]);
}

fn read_prefix(reader: &mut Reader<'_>) -> Result<Prefix, DecodeError> {
    let invalid = DecodeError::Invalid { field: "range" };
    let bits = reader.u8("range")?;
    if bits > 64 {
        return Err(invalid);
    }
    let mut first = [0; 8];
    let count = usize::from(bits.div_ceil(8));
    first[..count].copy_from_slice(reader.bytes(count, "range")?);
    Prefix::new(bits, u64::from_be_bytes(first)).ok_or(invalid)
}

fn read_width(reader: &mut Reader<'_>) -> Result<IdWidth, DecodeError> {
    match reader.u8("width")? {
        5 => Ok(IdWidth::Short),
        8 => Ok(IdWidth::Wide),
        _ => Err(DecodeError::Invalid { field: "width" }),
    }
}

fn put_ids(out: &mut Vec<u8>, width: IdWidth, ids: &[u64]) {
    put_varint(out, ids.len() as u64);
    for id in ids {
        out.extend_from_slice(&id.to_le_bytes()[..width.bytes()]);
    }
}

fn read_ids(reader: &mut Reader<'_>, width: IdWidth) -> Result<Vec<u64>, DecodeError> {
    let count = reader.length(reader.remaining() / width.bytes(), "ids")?;
    let mut ids: Vec<u64> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = read_short(reader, width.bytes(), "ids")?;
        if ids.last().is_some_and(|before| *before > id) {
            return Err(DecodeError::Invalid { field: "ids" });
        }
        ids.push(id);
    }
    Ok(ids)
}

fn read_short(reader: &mut Reader<'_>, count: usize, field: &'static str) -> Result<u64, DecodeError> {
    let mut wide = [0; 8];
    wide[..count].copy_from_slice(reader.bytes(count, field)?);
    Ok(u64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(bits: u8, first: u64) -> Prefix {
        Prefix::new(bits, first).unwrap()
    }

    #[test]
    fn the_bytes_of_start_and_turn_are_fixed() {
        let mut bytes = Vec::new();
        Start { salt: 1, tombstones: 2, pass: 1 }.encode(&mut bytes);
        assert_eq!(bytes, [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Start::decode(&bytes), Ok(Start { salt: 1, tombstones: 2, pass: 1 }));
        let mut bytes = Vec::new();
        Turn { quiet: true, settled: true, differs: true, truncated: false }.encode(&mut bytes);
        assert_eq!(bytes, [7]);
        assert!(Turn::decode(&[16]).is_err());
    }

    #[test]
    fn the_bytes_of_fingerprints_are_fixed() {
        let mut fingerprints = [0; FANOUT];
        fingerprints[1] = 0x0605_0403_0201;
        let entry = FpsEntry { prefix: prefix(12, 0xabc << 52), fingerprints };
        let mut bytes = Vec::new();
        put_fps(&mut bytes, &entry);
        let mut golden = vec![12, 0xab, 0xc0];
        golden.extend([0; 6]);
        golden.extend([1, 2, 3, 4, 5, 6]);
        golden.extend([0; 14 * 6]);
        assert_eq!(bytes, golden);
        assert_eq!(read_fps(&mut Reader::new(&bytes)), Ok(entry));
    }

    #[test]
    fn the_bytes_of_lists_and_wants_are_fixed() {
        let entry = ListEntry { prefix: prefix(4, 0xf << 60), width: IdWidth::Short, fingerprint: 9, ids: vec![1, 0x05_0403_0201] };
        let mut bytes = Vec::new();
        put_list(&mut bytes, &entry);
        assert_eq!(bytes, [4, 0xf0, 5, 9, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(read_list(&mut Reader::new(&bytes)), Ok(entry));
        let entry = WantEntry { prefix: prefix(0, 0), width: IdWidth::Wide, ids: vec![7] };
        let mut bytes = Vec::new();
        put_want(&mut bytes, &entry);
        assert_eq!(bytes, [0, 8, 1, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read_want(&mut Reader::new(&bytes)), Ok(entry));
    }

    #[test]
    fn ranges_and_counts_are_checked_before_they_are_used() {
        assert!(read_list(&mut Reader::new(&[65])).is_err());
        assert!(read_list(&mut Reader::new(&[4, 0x0f, 5])).is_err(), "bits beyond the prefix must be zero");
        assert!(read_list(&mut Reader::new(&[3, 0xe0, 5])).is_err(), "prefixes have whole digits");
        let bomb = [0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(read_list(&mut Reader::new(&bomb)), Err(DecodeError::Invalid { field: "ids" }));
        assert!(read_want(&mut Reader::new(&[0, 8, 2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])).is_err(), "ids ascend");
    }
}
