//! Records on the wire: the bytes of the log, with how far they cover the sender's changes.

use crate::progress::codec::{DecodeError, Reader, put_varint};
use crate::store::Seq;

const COVERS: u8 = 1;

/// Records, encoded as in the log.
///
/// ```text
/// flags    u8: 1 covers
/// covers   varint, if flagged: with these records, and those before them on this link, the receiver has every change of the sender up to here
/// count    varint
/// records  to the end of the frame
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Records<'a> {
    /// How far the receiver has the sender's changes when these are applied; `None` says nothing about that.
    pub covers: Option<Seq>,
    /// How many records.
    pub count: u32,
    /// The records.
    pub bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// Appends the head; the records themselves follow it.
    pub fn put_head(out: &mut Vec<u8>, covers: Option<Seq>, count: u32) {
        out.push(if covers.is_some() { COVERS } else { 0 });
        if let Some(covers) = covers {
            put_varint(out, covers.0);
        }
        put_varint(out, u64::from(count));
    }

    /// Reads a message. The records themselves are checked where they are applied.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8("flags")?;
        if flags & !COVERS != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        let covers = if flags & COVERS == 0 { None } else { Some(Seq(reader.varint("covers")?)) };
        // The shortest record (a kind, an id of one byte, a stamp) has more than two bytes.
        let count = reader.length(reader.remaining(), "count")? as u32;
        let bytes = reader.bytes(reader.remaining(), "records")?;
        if (count == 0) != bytes.is_empty() {
            return Err(DecodeError::Invalid { field: "count" });
        }
        Ok(Self { covers, count, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_records_frame_are_fixed() {
        let mut bytes = Vec::new();
        Records::put_head(&mut bytes, Some(Seq(300)), 2);
        bytes.extend(*b"abcdef");
        assert_eq!(bytes, [1, 0xac, 0x02, 2, b'a', b'b', b'c', b'd', b'e', b'f']);
        assert_eq!(Records::decode(&bytes), Ok(Records { covers: Some(Seq(300)), count: 2, bytes: b"abcdef" }));
    }

    #[test]
    fn a_frame_may_cover_without_records_but_not_count_without_them() {
        let mut bytes = Vec::new();
        Records::put_head(&mut bytes, Some(Seq(7)), 0);
        assert_eq!(Records::decode(&bytes), Ok(Records { covers: Some(Seq(7)), count: 0, bytes: &[] }));
        assert!(Records::decode(&[0, 1]).is_err());
        assert!(Records::decode(&[0, 0, 9]).is_err());
        assert!(Records::decode(&[0, 0xff, 0xff, 0x03, 9]).is_err(), "a count is bounded by the bytes that are there");
        assert!(Records::decode(&[2, 0]).is_err());
    }
}
