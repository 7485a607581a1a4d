//! The acknowledgement: cumulative, and never silent about what was refused.

use crate::limits::REFUSED_PER_ACK_COUNT_MAX;
use crate::progress::codec::{DecodeError, Reader, put_id, put_varint};
use crate::progress::{ProfileId, TitleId};

/// Why a record was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RefusalReason {
    /// A stamp too far ahead of the receiver's clock: offer it again when it is due.
    AheadOfClock,
    /// The sender's token does not hold the profile, or does not allow writing.
    Forbidden,
    /// A value beyond the bounds of the protocol.
    OutOfBounds,
}

impl RefusalReason {
    const fn number(self) -> u8 {
        match self {
            Self::AheadOfClock => 1,
            Self::Forbidden => 2,
            Self::OutOfBounds => 3,
        }
    }

    /// The reason's name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AheadOfClock => "ahead_of_clock",
            Self::Forbidden => "forbidden",
            Self::OutOfBounds => "out_of_bounds",
        }
    }
}

/// A record that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedKey {
    /// Whose.
    pub profile: ProfileId,
    /// Of which title; `None` is the profile's tombstone.
    pub title: Option<TitleId>,
    /// Why.
    pub reason: RefusalReason,
    /// When it may be offered again, in milliseconds from now; 0 is never.
    pub retry_ms: u64,
}

/// What is durable at the receiver, and what it refused.
///
/// ```text
/// up to     varint: so many records frames of this link are in the receiver's log, synced
/// count     varint, at most 256
/// refused   reason u8 (1 ahead of clock, 2 forbidden, 3 out of bounds; + 128: the profile's tombstone), profile id, title id unless + 128,
///           retry varint ms
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ack {
    /// Records frames of this link that are durable at the receiver.
    pub up_to: u64,
    /// What it refused in them; further ones are in the next acknowledgement.
    pub refused: Vec<RefusedKey>,
}

const TOMBSTONE: u8 = 128;

impl Ack {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.up_to);
        put_varint(out, self.refused.len() as u64);
        for refused in &self.refused {
            out.push(refused.reason.number() | if refused.title.is_none() { TOMBSTONE } else { 0 });
            put_id(out, refused.profile.as_str());
            if let Some(title) = &refused.title {
                put_id(out, title.as_str());
            }
            put_varint(out, refused.retry_ms);
        }
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let up_to = reader.varint("up to")?;
        let count = reader.length(REFUSED_PER_ACK_COUNT_MAX, "refused")?;
        let mut refused = Vec::with_capacity(count);
        for _ in 0..count {
            let packed = reader.u8("reason")?;
            let reason = match packed & !TOMBSTONE {
                1 => RefusalReason::AheadOfClock,
                2 => RefusalReason::Forbidden,
                3 => RefusalReason::OutOfBounds,
                _ => return Err(DecodeError::Invalid { field: "reason" }),
            };
            let profile = ProfileId::new(reader.id("profile")?).map_err(|_| DecodeError::Invalid { field: "profile" })?;
            let title = if packed & TOMBSTONE == 0 {
                Some(TitleId::new(reader.id("title")?).map_err(|_| DecodeError::Invalid { field: "title" })?)
            } else {
                None
            };
            let retry_ms = reader.varint("retry")?;
            refused.push(RefusedKey { profile, title, reason, retry_ms });
        }
        reader.finish()?;
        Ok(Self { up_to, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_acknowledgement_are_fixed() {
        let ack = Ack {
            up_to: 200,
            refused: vec![
                RefusedKey {
                    profile: ProfileId::new("p").unwrap(),
                    title: Some(TitleId::new("t").unwrap()),
                    reason: RefusalReason::AheadOfClock,
                    retry_ms: 1_000,
                },
                RefusedKey { profile: ProfileId::new("q").unwrap(), title: None, reason: RefusalReason::Forbidden, retry_ms: 0 },
            ],
        };
        let mut bytes = Vec::new();
        ack.encode(&mut bytes);
        assert_eq!(bytes, [0xc8, 0x01, 2, 1, 1, b'p', 1, b't', 0xe8, 0x07, 130, 1, b'q', 0]);
        assert_eq!(Ack::decode(&bytes), Ok(ack));
        for cut in 0..bytes.len() {
            assert!(Ack::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn an_acknowledgement_cannot_claim_more_keys_than_it_may_hold() {
        assert_eq!(Ack::decode(&[1, 0x81, 0x02]), Err(DecodeError::Invalid { field: "refused" }));
    }
}
