//! Records and registers as borrowed bytes: what flush, table and fold pass around, so that no id is allocated for a record that nobody asks
//! for.
//!
//! An id stays in its encoded form (see the codec): that form is canonical, so equal ids are equal bytes.

use super::{KeyHasher, RegisterKey, record};
use crate::limits::{ID_BYTES_MAX, REGISTER_BYTES_MAX};
use crate::progress::codec::{Reader, put_varint};
use crate::progress::{DecodeError, ProfileId, Progress, TitleId};
use crate::time::Hlc;

/// A register's ids and canonical state, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedRef<'a> {
    /// The profile id, encoded.
    pub(super) profile: &'a [u8],
    /// The title id, encoded.
    pub(super) title: &'a [u8],
    /// The state's canonical bytes.
    pub(super) state: &'a [u8],
}

impl<'a> PackedRef<'a> {
    /// Reads a register of the table: profile id, title id, and the state to the end.
    pub(super) fn read(packed: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(packed);
        let (profile, title) = (read_id(&mut reader)?, read_id(&mut reader)?);
        let state = reader.bytes(reader.remaining(), "register")?;
        Ok(Self { profile, title, state })
    }

    /// Appends the bytes that the table keeps.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.profile);
        out.extend_from_slice(self.title);
        out.extend_from_slice(self.state);
    }

    /// Whether the table's bytes are these.
    pub(super) fn is_packed_as(&self, packed: &[u8]) -> bool {
        let rest = packed.strip_prefix(self.profile).and_then(|rest| rest.strip_prefix(self.title));
        rest.is_some_and(|state| state == self.state)
    }

    /// The state, decoded.
    pub(super) fn progress(&self) -> Result<Progress, DecodeError> {
        Progress::from_bytes(self.state)
    }

    /// Appends the register as a record of log and wire.
    pub(super) fn put_record(&self, out: &mut Vec<u8>) {
        out.push(record::REGISTER);
        out.extend_from_slice(self.profile);
        out.extend_from_slice(self.title);
        put_varint(out, self.state.len() as u64);
        out.extend_from_slice(self.state);
    }

    /// The profile's id.
    pub(super) fn profile_id(&self) -> Result<ProfileId, DecodeError> {
        profile_id(self.profile)
    }

    /// The title's id.
    pub(super) fn title_id(&self) -> Result<TitleId, DecodeError> {
        IdBuffer::new().text(self.title).and_then(|text| TitleId::new(text).map_err(|_| DecodeError::Invalid { field: "title" }))
    }
}

/// The id of a profile from its encoded form.
pub(super) fn profile_id(encoded: &[u8]) -> Result<ProfileId, DecodeError> {
    IdBuffer::new().text(encoded).and_then(|text| ProfileId::new(text).map_err(|_| DecodeError::Invalid { field: "profile" }))
}

/// A record of log or wire, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordRef<'a> {
    Register(PackedRef<'a>),
    Erased { profile: &'a [u8], erased: Hlc },
}

impl<'a> RecordRef<'a> {
    /// Reads one record; leaves what follows it. The state's own bytes are not looked at.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let kind = reader.u8("record kind")?;
        let profile = read_id(reader)?;
        match kind {
            record::REGISTER => {
                let title = read_id(reader)?;
                let length = reader.length(REGISTER_BYTES_MAX, "register length")?;
                Ok(Self::Register(PackedRef { profile, title, state: reader.bytes(length, "register")? }))
            }
            record::ERASED => Ok(Self::Erased { profile, erased: Hlc::from_u64(reader.u64("erased")?) }),
            _ => Err(DecodeError::Invalid { field: "record kind" }),
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// An id's encoded form: a length byte and the text, or a zero byte and a UUID's sixteen.
pub(super) fn read_id<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let before = *reader;
    let length = usize::from(reader.u8("id")?);
    reader.bytes(if length == 0 { 16 } else { length }, "id")?;
    Ok(before.bytes_until(reader))
}

/// Room for the text of an id.
pub(super) struct IdBuffer([u8; ID_BYTES_MAX]);

impl IdBuffer {
    pub(super) const fn new() -> Self {
        Self([0; ID_BYTES_MAX])
    }

    /// The text of an encoded id.
    pub(super) fn text<'b>(&'b mut self, encoded: &'b [u8]) -> Result<&'b str, DecodeError> {
        let invalid = DecodeError::Invalid { field: "id" };
        let (&length, rest) = encoded.split_first().ok_or(invalid)?;
        if length != 0 {
            return std::str::from_utf8(rest).map_err(|_| invalid);
        }
        let mut at = 0;
        for (index, byte) in rest.iter().take(16).enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                self.0[at] = b'-';
                at += 1;
            }
            self.0[at] = DIGITS[usize::from(byte >> 4)];
            self.0[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        std::str::from_utf8(&self.0[..at]).map_err(|_| invalid)
    }
}

/// The hash of a profile by its encoded id.
pub(super) fn profile_hash(hasher: &KeyHasher, profile: &[u8]) -> Result<u64, DecodeError> {
    Ok(hasher.profile_text(IdBuffer::new().text(profile)?))
}

/// The key of a register by its encoded ids.
pub(super) fn key_of(hasher: &KeyHasher, profile: &[u8], title: &[u8]) -> Result<RegisterKey, DecodeError> {
    let (mut one, mut other) = (IdBuffer::new(), IdBuffer::new());
    Ok(hasher.register_text(one.text(profile)?, other.text(title)?))
}
