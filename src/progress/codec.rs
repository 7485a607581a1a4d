//! The canonical encoding of a register: equal states are equal bytes, on disk and on the wire.
//!
//! One place with UUID ids takes at most 96 bytes. What makes it small: a lower-case UUID is 16 bytes instead of 36, stamps are differences
//! from the newest place's, positions are differences from its position. What makes it canonical: every field has one form (varints are
//! minimal, a UUID is never spelled out, a place that can be named by its index is), and the decoder refuses any other.
//!
//! ```text
//! flags u8       1 epoch · 2 activity · 4 duration · 8 series · 16 hidden · 32 speed other than 1 · 64 stepped back
//! places u8      how many, newest first
//! epoch u56      if flagged
//! ended u8       if there are places: a bit for each, the newest lowest
//! place          version u56, position varint, touched u56; the first one's touched is `base`, its position `here` (0 without places)
//! furthest       signed varint from `here`
//! activity       stamp signed varint from `base`; device id; state | rank << 4 u8; index of its place u8, or 255 and version u56;
//!                position signed varint from `here`; speed f32 if flagged
//! duration       stamp signed varint from `base`; milliseconds varint
//! series         stamp signed varint from `base`; id
//! hidden u56     if flagged
//! ```
//!
//! Integers are little-endian. An id is a length byte and its bytes, or a zero byte and the 16 bytes of a UUID. Where many registers of one
//! profile are stored together, ids are indices into a dictionary instead; that form never leaves the store.

use std::cell::OnceCell;

use super::{
    Activity, DeviceId, IdError, KnownDuration, KnownSeries, Place, Places, PlaybackState, Position, Progress, SeriesId, Speed, Version,
};
use crate::limits::{ID_BYTES_MAX, PLACES_COUNT_MAX, STAMP_MAX};
use crate::time::Hlc;

/// Why bytes are not a register, a record or an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the bytes end inside {field}")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
    },
    /// A field holds a value that no encoder writes.
    #[error("{field} holds a value that is not allowed or not canonical")]
    Invalid {
        /// The field.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{bytes} bytes follow the last field")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// A cursor over bytes from elsewhere: every read is checked.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes between this reader and a later state of it.
    pub fn bytes_until(&self, later: &Self) -> &'a [u8] {
        self.rest.get(..self.rest.len().saturating_sub(later.rest.len())).unwrap_or_default()
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// A little-endian `u32`.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// A little-endian `u64`.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A minimal LEB128 varint.
    pub fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..).step_by(7) {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7f);
            if shift >= 64 || (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                return Err(DecodeError::Invalid { field });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    /// A varint that is a length, checked against a bound before anything is allocated.
    pub fn length(&mut self, bound: usize, field: &'static str) -> Result<usize, DecodeError> {
        let length = self.varint(field)?;
        usize::try_from(length).ok().filter(|length| *length <= bound).ok_or(DecodeError::Invalid { field })
    }

    pub(super) fn stamp(&mut self, field: &'static str) -> Result<Hlc, DecodeError> {
        let low = self.array::<7>(field)?;
        let mut wide = [0; 8];
        wide[..7].copy_from_slice(&low);
        stamp(u64::from_le_bytes(wide), field)
    }

    /// A value given as a signed difference from `base`, in `0..=bound`.
    pub(super) fn near(&mut self, base: u64, bound: u64, field: &'static str) -> Result<u64, DecodeError> {
        let coded = self.varint(field)?;
        let difference = (coded >> 1).cast_signed() ^ -((coded & 1).cast_signed());
        base.checked_add_signed(difference).filter(|value| *value <= bound).ok_or(DecodeError::Invalid { field })
    }

    /// An id that was written out (not an index of a dictionary).
    pub fn id(&mut self, field: &'static str) -> Result<IdText<'a>, DecodeError> {
        let length = usize::from(self.u8(field)?);
        if length == 0 {
            return Ok(IdText::Uuid(uuid_text(self.array(field)?)));
        }
        if length > ID_BYTES_MAX {
            return Err(DecodeError::Invalid { field });
        }
        let text = std::str::from_utf8(self.bytes(length, field)?).map_err(|_| DecodeError::Invalid { field })?;
        if uuid_bytes(text).is_some() {
            return Err(DecodeError::Invalid { field });
        }
        Ok(IdText::Plain(text))
    }

    /// Fails unless everything has been read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { bytes: self.rest.len() }) }
    }
}

/// Text of an id just read.
#[derive(Clone, Copy, Debug)]
pub enum IdText<'a> {
    /// A UUID in its canonical text form.
    Uuid([u8; 36]),
    /// Any other text.
    Plain(&'a str),
}

impl AsRef<str> for IdText<'_> {
    fn as_ref(&self) -> &str {
        match self {
            // The text is made of ASCII digits and hyphens by `uuid_text`.
            Self::Uuid(text) => std::str::from_utf8(text).unwrap_or_default(),
            Self::Plain(text) => text,
        }
    }
}

fn stamp(raw: u64, field: &'static str) -> Result<Hlc, DecodeError> {
    if raw <= STAMP_MAX { Ok(Hlc::from_u64(raw)) } else { Err(DecodeError::Invalid { field }) }
}

/// Appends a minimal LEB128 varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_near(out: &mut Vec<u8>, value: u64, base: u64) {
    let difference = value.wrapping_sub(base).cast_signed();
    put_varint(out, ((difference << 1) ^ (difference >> 63)).cast_unsigned());
}

fn put_stamp(out: &mut Vec<u8>, raw: u64) {
    out.extend_from_slice(&raw.to_le_bytes()[..7]);
}

/// Appends an id: a lower-case UUID as a zero byte and 16 bytes, any other text as its length and itself.
pub fn put_id(out: &mut Vec<u8>, text: &str) {
    if let Some(bytes) = uuid_bytes(text) {
        out.push(0);
        out.extend_from_slice(&bytes);
    } else {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
}

const HYPHENS: [usize; 4] = [8, 13, 18, 23];
// Where the two digits of each byte stand.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const NO_DIGIT: u8 = 0xff;

// Value of each lower-case hexadecimal digit.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const DIGITS: &[u8; 16] = b"0123456789abcdef";

// Written with tables and without branches inside: every record of the log and of the wire passes here four times.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if HYPHENS.iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut bytes = [0; 16];
    let mut wrong = 0;
    for (byte, at) in bytes.iter_mut().zip(PAIRS) {
        let (high, low) = (DIGIT_VALUES[usize::from(text[at])], DIGIT_VALUES[usize::from(text[at + 1])]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    // A digit's value is below 16.
    (wrong < 16).then_some(bytes)
}

fn uuid_text(bytes: [u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    for (byte, at) in bytes.into_iter().zip(PAIRS) {
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

pub(super) const EPOCH: u8 = 1;
pub(super) const ACTIVITY: u8 = 2;
pub(super) const DURATION: u8 = 4;
pub(super) const SERIES: u8 = 8;
pub(super) const HIDDEN: u8 = 16;
pub(super) const SPEED: u8 = 32;
pub(super) const STEPPED_BACK: u8 = 64;
pub(super) const NO_INDEX: u8 = 255;

/// How device and series ids are written inside a register: written out, or by a dictionary of the store.
pub trait IdCodec {
    /// Writes a device id.
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId);
    /// Writes a series id.
    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId);
    /// Reads a device id.
    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError>;
    /// Reads a series id.
    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError>;
}

/// Ids written out: the canonical form.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenOut;

impl IdCodec for WrittenOut {
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId) {
        put_id(out, id.as_str());
    }

    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId) {
        put_id(out, id.as_str());
    }

    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        DeviceId::new(reader.id("device")?).map_err(|_| DecodeError::Invalid { field: "device" })
    }

    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        SeriesId::new(reader.id("series")?).map_err(|_| DecodeError::Invalid { field: "series" })
    }
}

/// Ids written out, checked and not kept: what is read with these names no device and no series, or another.
#[derive(Debug, Default)]
pub(crate) struct CheckedOnly {
    device: OnceCell<DeviceId>,
    series: OnceCell<SeriesId>,
}

impl CheckedOnly {
    fn read<T: Clone>(
        kept: &OnceCell<T>,
        reader: &mut Reader<'_>,
        field: &'static str,
        check: impl Fn(&str) -> Result<(), IdError>,
        make: impl Fn(IdText<'_>) -> Result<T, IdError>,
    ) -> Result<T, DecodeError> {
        let text = reader.id(field)?;
        let invalid = |_| DecodeError::Invalid { field };
        if let Some(kept) = kept.get() {
            check(text.as_ref()).map_err(invalid)?;
            return Ok(kept.clone());
        }
        let first = make(text).map_err(invalid)?;
        Ok(kept.get_or_init(|| first).clone())
    }
}

impl IdCodec for CheckedOnly {
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId) {
        put_id(out, id.as_str());
    }

    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId) {
        put_id(out, id.as_str());
    }

    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        Self::read(&self.device, reader, "device", DeviceId::check, |text| DeviceId::new(text))
    }

    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        Self::read(&self.series, reader, "series", SeriesId::check, |text| SeriesId::new(text))
    }
}

impl Progress {
    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(&mut WrittenOut, out);
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        self.encode(&mut out);
        out
    }

    /// Reads canonical bytes; refuses any other form, and trailing bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let progress = Self::decode_with(&WrittenOut, &mut reader)?;
        reader.finish()?;
        Ok(progress)
    }

    /// When its last activity was, and whether it is of a series, without decoding the rest of it. Without activity: zero.
    pub fn glance(bytes: &[u8]) -> Result<(Hlc, bool), DecodeError> {
        let mut reader = Reader::new(bytes);
        let (flags, count) = (reader.u8("flags")?, reader.u8("places")?);
        let mut base = Hlc::ZERO;
        if flags & EPOCH != 0 {
            reader.stamp("epoch")?;
        }
        if count > 0 {
            reader.u8("ended")?;
        }
        for index in 0..count {
            reader.stamp("version")?;
            reader.varint("position")?;
            let touched = reader.stamp("touched")?;
            base = if index == 0 { touched } else { base };
        }
        reader.varint("furthest")?;
        let acted = if flags & ACTIVITY == 0 { 0 } else { reader.near(base.as_u64(), STAMP_MAX, "activity stamp")? };
        Ok((Hlc::from_u64(acted), flags & SERIES != 0))
    }

    /// Appends the bytes with ids in the given form.
    pub fn encode_with(&self, ids: &mut impl IdCodec, out: &mut Vec<u8>) {
        let mut flags = 0;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flags |= flag(self.epoch != Hlc::ZERO, EPOCH);
        flags |= flag(self.activity.is_some(), ACTIVITY);
        flags |= flag(self.duration.is_some(), DURATION);
        flags |= flag(self.series.is_some(), SERIES);
        flags |= flag(self.hidden != Hlc::ZERO, HIDDEN);
        if let Some(activity) = &self.activity {
            flags |= flag(activity.speed != Speed::NORMAL, SPEED) | flag(activity.stepped_back, STEPPED_BACK);
        }
        let places = self.places.as_slice();
        out.push(flags);
        out.push(places.len() as u8);
        if flags & EPOCH != 0 {
            put_stamp(out, self.epoch.as_u64());
        }
        let (mut base, mut here) = (0, 0);
        if let Some(newest) = places.first() {
            (base, here) = (newest.touched.as_u64(), newest.position.as_millis());
            out.push(places.iter().enumerate().fold(0, |ended, (index, place)| ended | u8::from(place.ended) << index));
        }
        for place in places {
            put_stamp(out, place.version.as_u64());
            put_varint(out, place.position.as_millis());
            put_stamp(out, place.touched.as_u64());
        }
        put_near(out, self.furthest.as_millis(), here);
        if let Some(activity) = &self.activity {
            put_near(out, activity.stamp.as_u64(), base);
            ids.put_device(out, &activity.device);
            out.push(activity.state.rank() | activity.rank << 4);
            if let Some(index) = places.iter().position(|place| place.version == activity.version) {
                out.push(index as u8);
            } else {
                out.push(NO_INDEX);
                put_stamp(out, activity.version.as_u64());
            }
            put_near(out, activity.position.as_millis(), here);
            if flags & SPEED != 0 {
                out.extend_from_slice(&activity.speed.as_f32().to_le_bytes());
            }
        }
        if let Some(known) = &self.duration {
            put_near(out, known.stamp.as_u64(), base);
            put_varint(out, known.ms);
        }
        if let Some(known) = &self.series {
            put_near(out, known.stamp.as_u64(), base);
            ids.put_series(out, &known.id);
        }
        if flags & HIDDEN != 0 {
            put_stamp(out, self.hidden.as_u64());
        }
    }

    /// Reads a register with ids in the given form; leaves what follows it.
    pub fn decode_with(ids: &impl IdCodec, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |field| DecodeError::Invalid { field };
        let flags = reader.u8("flags")?;
        if flags & 128 != 0 || (flags & ACTIVITY == 0 && flags & (SPEED | STEPPED_BACK) != 0) {
            return Err(invalid("flags"));
        }
        let count = usize::from(reader.u8("places")?);
        if count > PLACES_COUNT_MAX {
            return Err(invalid("places"));
        }
        let mut progress = Self::default();
        if flags & EPOCH != 0 {
            progress.epoch = reader.stamp("epoch")?;
            if progress.epoch == Hlc::ZERO {
                return Err(invalid("epoch"));
            }
        }
        if count > 0 {
            decode_places(reader, count, &mut progress.places)?;
        }
        let newest = progress.places.newest().copied().unwrap_or_default();
        let (base, here) = (newest.touched.as_u64(), newest.position.as_millis());
        progress.furthest = Position::from_millis(reader.near(here, STAMP_MAX, "furthest")?);
        if flags & ACTIVITY != 0 {
            progress.activity = Some(decode_activity(ids, reader, flags, &progress.places)?);
        }
        if flags & DURATION != 0 {
            let stamp = Hlc::from_u64(reader.near(base, STAMP_MAX, "duration stamp")?);
            let ms = reader.varint("duration")?;
            if ms > STAMP_MAX {
                return Err(invalid("duration"));
            }
            progress.duration = Some(KnownDuration { stamp, ms });
        }
        if flags & SERIES != 0 {
            let stamp = Hlc::from_u64(reader.near(base, STAMP_MAX, "series stamp")?);
            progress.series = Some(KnownSeries { stamp, id: ids.series(reader)? });
        }
        if flags & HIDDEN != 0 {
            progress.hidden = reader.stamp("hidden")?;
            if progress.hidden == Hlc::ZERO {
                return Err(invalid("hidden"));
            }
        }
        Ok(progress)
    }
}

fn decode_places(reader: &mut Reader<'_>, count: usize, places: &mut Places) -> Result<(), DecodeError> {
    let ended = reader.u8("ended")?;
    if u16::from(ended) >> count != 0 {
        return Err(DecodeError::Invalid { field: "ended" });
    }
    let mut above = None;
    for index in 0..count {
        let version = Version::from_u64(reader.stamp("version")?.as_u64());
        if above.is_some_and(|above| version >= above) {
            return Err(DecodeError::Invalid { field: "version" });
        }
        above = Some(version);
        let position = reader.varint("position")?;
        if position > STAMP_MAX {
            return Err(DecodeError::Invalid { field: "position" });
        }
        let touched = reader.stamp("touched")?;
        places.push_lowest(Place { version, position: Position::from_millis(position), touched, ended: ended >> index & 1 == 1 });
    }
    Ok(())
}

fn decode_activity(ids: &impl IdCodec, reader: &mut Reader<'_>, flags: u8, places: &Places) -> Result<Activity, DecodeError> {
    let invalid = |field| DecodeError::Invalid { field };
    let newest = places.newest().copied().unwrap_or_default();
    let stamp = Hlc::from_u64(reader.near(newest.touched.as_u64(), STAMP_MAX, "activity stamp")?);
    let device = ids.device(reader)?;
    let packed = reader.u8("state")?;
    let (state, rank) = (PlaybackState::from_rank(packed & 15).ok_or(invalid("state"))?, packed >> 4);
    if rank < state.rank() || PlaybackState::from_rank(rank).is_none() {
        return Err(invalid("rank"));
    }
    let index = reader.u8("activity place")?;
    let version = if index == NO_INDEX {
        let version = Version::from_u64(reader.stamp("activity version")?.as_u64());
        if places.find(version).is_some() {
            return Err(invalid("activity version"));
        }
        version
    } else {
        places.as_slice().get(usize::from(index)).ok_or(invalid("activity place"))?.version
    };
    let position = Position::from_millis(reader.near(newest.position.as_millis(), STAMP_MAX, "activity position")?);
    let mut speed = Speed::NORMAL;
    if flags & SPEED != 0 {
        speed = Speed::new(f32::from_le_bytes(reader.array("speed")?)).map_err(|_| invalid("speed"))?;
        if speed == Speed::NORMAL {
            return Err(invalid("speed"));
        }
    }
    Ok(Activity { stamp, rank, device, state, version, position, speed, stepped_back: flags & STEPPED_BACK != 0 })
}
