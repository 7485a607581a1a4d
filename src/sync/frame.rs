//! Frames: how messages lie on a stream.
//!
//! ```text
//! length varint    of type and body together, 1 to FRAME_BYTES_MAX - 3; minimal, so at most three bytes
//! type   u8        0x01..=0x7f must be known; 0x80..=0xff are skipped when they are not
//! body             length - 1 bytes
//! ```
//!
//! A length is checked before a byte of the body is waited for, so a peer cannot make this side reserve more than one frame.

use crate::limits::FRAME_BYTES_MAX;
use crate::progress::codec::put_varint;

/// Longest header, in bytes: a length below 2^21 in a varint.
const LENGTH_BYTES_MAX: usize = 3;

const _: () = assert!(FRAME_BYTES_MAX < 1 << (7 * LENGTH_BYTES_MAX), "a frame's length fits its header");

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum FrameType {
    /// Who is speaking, and under which settings.
    Hello = 0x01,
    /// What the speaker remembers of the other's changes.
    Resume = 0x02,
    /// What a device's token allows.
    Granted = 0x03,
    /// Records, and how far they cover the sender's changes.
    Records = 0x04,
    /// Which records are durable at the receiver, and which it refused.
    Ack = 0x05,
    /// A question for the other's clock.
    Ping = 0x06,
    /// The answer to a ping.
    Pong = 0x07,
    /// The last frame of a link: why it ends.
    Bye = 0x08,
    /// Begins a pass of reconciliation.
    Start = 0x10,
    /// Fingerprints of the parts of ranges.
    Fps = 0x11,
    /// Short ids of the records in ranges.
    List = 0x12,
    /// Short ids of records that the sender lacks.
    Want = 0x13,
    /// The end of a turn of reconciliation.
    Turn = 0x14,
    /// Cells of a rateless sketch. The number is reserved; no version of the protocol sends it yet.
    Sketch = 0x15,
    /// Addresses of other nodes.
    Peers = 0x80,
    /// Leases, and what stands by them: presence, sessions, watch parties. Between nodes only.
    Leases = 0x81,
    /// How far the sender has the changes of others.
    Heard = 0x82,
}

impl FrameType {
    /// The type with this number.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0x01 => Self::Hello,
            0x02 => Self::Resume,
            0x03 => Self::Granted,
            0x04 => Self::Records,
            0x05 => Self::Ack,
            0x06 => Self::Ping,
            0x07 => Self::Pong,
            0x08 => Self::Bye,
            0x10 => Self::Start,
            0x11 => Self::Fps,
            0x12 => Self::List,
            0x13 => Self::Want,
            0x14 => Self::Turn,
            0x15 => Self::Sketch,
            0x80 => Self::Peers,
            0x81 => Self::Leases,
            0x82 => Self::Heard,
            _ => return None,
        })
    }
}

/// Whether a frame of a type that is not known may be skipped.
pub const fn is_skippable(number: u8) -> bool {
    number & 0x80 != 0
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame without a type.
    #[error("a frame of length zero")]
    Empty,
    /// Too long, or a length that no encoder writes.
    #[error("a frame longer than {FRAME_BYTES_MAX} bytes, or a length that is not minimal")]
    Length,
}

/// A frame found at the start of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// The number of its type.
    pub number: u8,
    /// What follows the type.
    pub body: &'a [u8],
    /// Bytes that the frame takes up, header included.
    pub bytes: usize,
}

/// Finds the first frame in `buffer`; `None` while it is not all there.
pub fn split(buffer: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    let mut length = 0usize;
    let mut header = 0;
    loop {
        let Some(&byte) = buffer.get(header) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * header);
        header += 1;
        if byte & 0x80 == 0 {
            if byte == 0 && header > 1 {
                return Err(FrameError::Length);
            }
            break;
        }
        if header == LENGTH_BYTES_MAX {
            return Err(FrameError::Length);
        }
    }
    if length == 0 {
        return Err(FrameError::Empty);
    }
    if length > FRAME_BYTES_MAX - LENGTH_BYTES_MAX {
        return Err(FrameError::Length);
    }
    let Some(content) = buffer.get(header..header + length) else { return Ok(None) };
    let (&number, body) = content.split_first().ok_or(FrameError::Empty)?;
    Ok(Some(Frame { number, body, bytes: header + length }))
}

/// Appends a frame to `out`.
///
/// The body must fit: at most [`FRAME_BYTES_MAX`] - 4 bytes, which every encoder in this module's neighbours keeps to.
pub fn put(out: &mut Vec<u8>, kind: FrameType, body: &[u8]) {
    put_parts(out, kind, [body, &[]]);
}

/// The same of a body in two parts.
pub(super) fn put_parts(out: &mut Vec<u8>, kind: FrameType, [head, rest]: [&[u8]; 2]) {
    let length = head.len() + rest.len();
    debug_assert!(length < FRAME_BYTES_MAX - LENGTH_BYTES_MAX, "a frame too long to be read");
    out.reserve(length + LENGTH_BYTES_MAX + 1);
    put_varint(out, length as u64 + 1);
    out.push(kind as u8);
    out.extend_from_slice(head);
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_once_all_of_it_is_there() {
        let mut bytes = Vec::new();
        put(&mut bytes, FrameType::Ping, b"abc");
        assert_eq!(bytes, [4, 0x06, b'a', b'b', b'c']);
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut]), Ok(None));
        }
        bytes.push(9);
        assert_eq!(split(&bytes), Ok(Some(Frame { number: 6, body: b"abc", bytes: 5 })));
    }

    #[test]
    fn a_length_is_refused_before_its_body_arrives() {
        assert_eq!(split(&[0]), Err(FrameError::Empty));
        assert_eq!(split(&[0xff, 0xff, 0xff]), Err(FrameError::Length));
        assert_eq!(split(&[0xff, 0xff, 0x7f]), Err(FrameError::Length));
        assert_eq!(split(&[0x81, 0x00]), Err(FrameError::Length), "a length must be minimal");
    }

    #[test]
    fn the_longest_frame_is_read() {
        let mut bytes = Vec::new();
        put(&mut bytes, FrameType::Records, &vec![7; FRAME_BYTES_MAX - 4]);
        let frame = split(&bytes).unwrap().unwrap();
        assert_eq!(frame.body.len(), FRAME_BYTES_MAX - 4);
        assert_eq!(frame.bytes, bytes.len());
    }

    #[test]
    fn unknown_types_are_skippable_from_128() {
        assert!(!is_skippable(0x7f) && is_skippable(0x80));
        for number in 0..=255 {
            assert!(FrameType::from_u8(number).is_none_or(|known| known as u8 == number));
        }
    }
}
