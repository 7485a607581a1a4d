//! Records on the wire: the bytes of the log, with how far they cover the sender's changes.

use crate::progress::codec::{DecodeError, Reader, put_varint};
use crate::store::Seq;

const COVERS: u8 = 1;
const MADE: u8 = 2;
const OWN: u8 = 4;

/// Records, encoded as in the log.
///
/// ```text
/// flags    u8: 1 covers, 2 made, 4 own
/// covers   varint, if flagged: with these records, and those before them on this link, the receiver has every change of the sender up to here
/// made     varint, if flagged: the same of the changes that were made at the sender; without it, as far as is covered
/// own      varint, if flagged: all these records are changes that were made at the sender or at its devices, none after this one: twice the distance
///          from `made` (without it from 0), plus one if before it
/// count    varint
/// records  to the end of the frame
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Records<'a> {
    /// What the frame says of its records.
    pub says: Says,
    /// How many records.
    pub count: u32,
    /// The records.
    pub bytes: &'a [u8],
}

/// What a frame says of the records in it, and of those before them on its link.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Says {
    /// How far the receiver has the sender's changes when these are applied; `None` says nothing about that.
    pub covers: Option<Seq>,
    /// The same of those changes that were made at the sender. What came to it from elsewhere the receiver may get from there.
    pub made: Option<Seq>,
    /// All these records are changes that were made at the sender or brought to it by devices, none after this one; `None`: others may be among them.
    pub own: Option<Seq>,
}

impl<'a> Records<'a> {
    /// Appends the head; the records themselves follow it.
    pub fn put_head(out: &mut Vec<u8>, says: Says, count: u32) {
        let made = says.made.filter(|_| says.made != says.covers);
        let from = says.made.or(says.covers).unwrap_or_default();
        let own = says.own.map(|own| Seq(own.0.abs_diff(from.0) << 1 | u64::from(own < from)));
        let flags = [(says.covers, COVERS), (made, MADE), (own, OWN)];
        out.push(flags.into_iter().filter(|(number, _)| number.is_some()).map(|(_, flag)| flag).sum());
        for number in [says.covers, made, own].into_iter().flatten() {
            put_varint(out, number.0);
        }
        put_varint(out, u64::from(count));
    }

    /// Reads a message. The records themselves are checked where they are applied.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8("flags")?;
        if flags & !(COVERS | MADE | OWN) != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        let mut number = |flag: u8, field| if flags & flag == 0 { Ok(None) } else { reader.varint(field).map(Some) };
        let covers = number(COVERS, "covers")?.map(Seq);
        let made = number(MADE, "made")?.map(Seq).or(covers);
        let own = number(OWN, "own")?.map(|coded| {
            let (from, distance) = (made.unwrap_or_default().0, coded >> 1);
            Seq(if coded & 1 == 0 { from.saturating_add(distance) } else { from.saturating_sub(distance) })
        });
        // The shortest record (a kind, an id of one byte, a stamp) has more than two bytes.
        let count = reader.length(reader.remaining(), "count")? as u32;
        let bytes = reader.bytes(reader.remaining(), "records")?;
        if (count == 0) != bytes.is_empty() {
            return Err(DecodeError::Invalid { field: "count" });
        }
        Ok(Self { says: Says { covers, made, own }, count, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seq(number: u64) -> Option<Seq> {
        Some(Seq(number))
    }

    #[test]
    fn the_bytes_of_a_records_frame_are_fixed() {
        let says = |covers, made, own| Says { covers, made, own };
        let cases: [(Says, &[u8], Says); 7] = [
            (says(seq(300), None, None), &[1, 0xac, 0x02, 2], says(seq(300), seq(300), None)),
            (says(seq(300), seq(300), seq(300)), &[5, 0xac, 0x02, 0, 2], says(seq(300), seq(300), seq(300))),
            (says(seq(300), seq(301), seq(303)), &[7, 0xac, 0x02, 0xad, 0x02, 4, 2], says(seq(300), seq(301), seq(303))),
            (says(seq(300), seq(301), None), &[3, 0xac, 0x02, 0xad, 0x02, 2], says(seq(300), seq(301), None)),
            (says(seq(300), seq(300), seq(298)), &[5, 0xac, 0x02, 5, 2], says(seq(300), seq(300), seq(298))),
            (says(None, None, seq(5)), &[4, 10, 2], says(None, None, seq(5))),
            (says(None, None, None), &[0, 2], says(None, None, None)),
        ];
        for (says, head, read) in cases {
            let mut bytes: Vec<u8> = Vec::new();
            Records::put_head(&mut bytes, says, 2);
            bytes.extend(*b"abcdef");
            assert_eq!(bytes, [head, &b"abcdef"[..]].concat());
            assert_eq!(Records::decode(&bytes), Ok(Records { says: read, count: 2, bytes: b"abcdef" }));
        }
    }

    #[test]
    fn a_frame_may_cover_without_records_but_not_count_without_them() {
        let mut bytes: Vec<u8> = Vec::new();
        Records::put_head(&mut bytes, Says { covers: seq(7), ..Says::default() }, 0);
        let says = Says { covers: seq(7), made: seq(7), own: None };
        assert_eq!(Records::decode(&bytes), Ok(Records { says, count: 0, bytes: &[] }));
        assert!(Records::decode(&[0, 1]).is_err());
        assert!(Records::decode(&[0, 0, 9]).is_err());
        assert!(Records::decode(&[0, 0xff, 0xff, 0x03, 9]).is_err(), "a count is bounded by the bytes that are there");
        assert!(Records::decode(&[8, 0]).is_err());
    }
}
