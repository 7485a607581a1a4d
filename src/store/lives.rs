//! Lives: which of a replica's earlier numbers are still what they were.
//!
//! Each time a folder is opened a new epoch begins, and the store keeps where the earlier ones ended. So a cursor of an earlier epoch holds as long
//! as what it covers is here. A folder that was set back, or copied, goes on from where the copy was made: what others have read beyond that belongs
//! to another future, and their cursors say so. (PostgreSQL tells its timelines apart in the same way: "Timelines", chapter "Continuous Archiving
//! and Point-in-Time Recovery" of its manual.)

use super::{Epoch, Seq};
use crate::limits::LIVES_COUNT_MAX;
use crate::progress::codec::{DecodeError, Reader, put_varint};

/// A replica's epochs: the present one, and where those before it ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lives {
    epoch: Epoch,
    // The oldest first; at most `LIVES_COUNT_MAX`.
    past: Vec<(Epoch, Seq)>,
}

impl Lives {
    /// A life that follows on no other.
    pub const fn new(epoch: Epoch) -> Self {
        Self { epoch, past: Vec::new() }
    }

    /// The life that is led now.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The earliest life that is remembered.
    pub fn oldest(&self) -> Epoch {
        self.past.first().map_or(self.epoch, |(epoch, _)| *epoch)
    }

    /// The next life: the present one has ended with the number `last`.
    #[must_use]
    pub(super) fn followed_by(mut self, epoch: Epoch, last: Seq) -> Self {
        if epoch != self.epoch {
            if self.past.len() >= LIVES_COUNT_MAX {
                self.past.remove(0);
            }
            self.past.push((self.epoch, last));
            self.epoch = epoch;
        }
        self
    }

    /// Whether what had been read in an epoch up to `seq` is the beginning of what is here. Of the present epoch everything is.
    pub fn have(&self, epoch: Epoch, seq: Seq) -> bool {
        epoch == self.epoch || self.past.iter().any(|(past, last)| *past == epoch && seq <= *last)
    }

    /// The last number of an earlier life; none of one that is not remembered, and of the present one.
    pub(super) fn end_of(&self, epoch: Epoch) -> Option<Seq> {
        self.past.iter().find(|(past, _)| *past == epoch).map(|(_, last)| *last)
    }

    /// The last number of the life before the present one.
    pub(super) fn ended(&self) -> Option<Seq> {
        self.past.last().map(|(_, last)| *last)
    }

    /// The same lives under other names.
    #[must_use]
    pub fn renamed(&self, name: impl Fn(Epoch) -> Epoch) -> Self {
        Self { epoch: name(self.epoch), past: self.past.iter().map(|(epoch, last)| (name(*epoch), *last)).collect() }
    }

    /// Appends the lives before the present one: a count, then for each its epoch and its last number.
    pub fn encode_past(&self, out: &mut Vec<u8>) {
        put_varint(out, self.past.len() as u64);
        for (epoch, last) in &self.past {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            put_varint(out, last.0);
        }
    }

    /// Reads what [`Lives::encode_past`] has written.
    ///
    /// # Errors
    /// More than [`LIVES_COUNT_MAX`], or bytes that end too early.
    pub fn decode_past(epoch: Epoch, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.length(LIVES_COUNT_MAX, "lives")?;
        let mut past = Vec::with_capacity(count);
        for _ in 0..count {
            past.push((Epoch(reader.u64("past epoch")?), Seq(reader.varint("past seq")?)));
        }
        Ok(Self { epoch, past })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_in_an_earlier_life_holds_as_far_as_that_one_went() {
        let lives = Lives::new(Epoch(1)).followed_by(Epoch(2), Seq(10)).followed_by(Epoch(3), Seq(15));
        for (epoch, seq, holds) in
            [(1, 10, true), (1, 11, false), (2, 3, true), (2, 15, true), (2, 16, false), (3, 99, true), (4, 1, false)]
        {
            assert_eq!(lives.have(Epoch(epoch), Seq(seq)), holds, "{epoch} {seq}");
        }
        assert_eq!((lives.epoch(), lives.oldest()), (Epoch(3), Epoch(1)));
    }

    #[test]
    fn they_are_bounded_and_the_oldest_is_forgotten_first() {
        let mut lives = Lives::new(Epoch(0));
        for number in 1..=200 {
            lives = lives.followed_by(Epoch(number), Seq(number));
        }
        assert_eq!(lives.past.len(), LIVES_COUNT_MAX);
        let oldest = lives.oldest();
        assert!(lives.have(oldest, Seq(1)) && !lives.have(Epoch(oldest.0 - 1), Seq(1)));
    }

    #[test]
    fn they_read_back_and_too_many_are_refused() {
        let lives = Lives::new(Epoch(1)).followed_by(Epoch(0x0203), Seq(300));
        let mut bytes = Vec::new();
        lives.encode_past(&mut bytes);
        assert_eq!(bytes, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0xac, 0x02]);
        assert_eq!(Lives::decode_past(Epoch(0x0203), &mut Reader::new(&bytes)), Ok(lives));
        for cut in 0..bytes.len() {
            assert!(Lives::decode_past(Epoch(1), &mut Reader::new(&bytes[..cut])).is_err());
        }
        let mut many = Vec::new();
        put_varint(&mut many, LIVES_COUNT_MAX as u64 + 1);
        many.resize(10_000, 0);
        assert!(Lives::decode_past(Epoch(1), &mut Reader::new(&many)).is_err());
    }
}
