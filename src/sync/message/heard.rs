//! How far the sender has the changes that others made.

use crate::limits::NEIGHBOURS_COUNT_MAX;
use crate::progress::codec::{DecodeError, Reader, put_varint};
use crate::store::{Epoch, PeerCursor, ReplicaId, Seq};

/// How far the sender has, synced, every change that was *made* at each of these nodes, where that moved since it last said so. Between nodes
/// only.
///
/// ```text
/// count    varint, at most 256
/// cursors  each: replica [16], epoch u64, seq varint; strictly ascending by replica
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    /// Of which node, in which epoch, how far; ascending by peer.
    pub cursors: Vec<PeerCursor>,
}

impl Heard {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.cursors.len() as u64);
        for cursor in &self.cursors {
            out.extend_from_slice(&cursor.peer.0);
            out.extend_from_slice(&cursor.epoch.0.to_le_bytes());
            put_varint(out, cursor.seq.0);
        }
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let count = reader.length(NEIGHBOURS_COUNT_MAX, "cursors")?;
        let mut cursors: Vec<PeerCursor> = Vec::with_capacity(count);
        for _ in 0..count {
            let peer = ReplicaId(reader.array("replica")?);
            if cursors.last().is_some_and(|before| before.peer >= peer) {
                return Err(DecodeError::Invalid { field: "cursors" });
            }
            cursors.push(PeerCursor { peer, epoch: Epoch(reader.u64("epoch")?), seq: Seq(reader.varint("seq")?) });
        }
        reader.finish()?;
        Ok(Self { cursors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_heard_frame_are_fixed() {
        let cursor = |peer: u8, epoch, seq| PeerCursor { peer: ReplicaId([peer; 16]), epoch: Epoch(epoch), seq: Seq(seq) };
        let heard = Heard { cursors: vec![cursor(1, 2, 300), cursor(9, 1, 5)] };
        let mut bytes = Vec::new();
        heard.encode(&mut bytes);
        let expected = [&[2][..], &[1; 16], &[2, 0, 0, 0, 0, 0, 0, 0], &[0xac, 0x02], &[9; 16], &[1, 0, 0, 0, 0, 0, 0, 0], &[5]].concat();
        assert_eq!(bytes, expected);
        assert_eq!(Heard::decode(&bytes), Ok(heard));
        assert!(Heard::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes[27] = 0;
        assert!(Heard::decode(&bytes).is_err(), "each peer once, in order");
    }
}
