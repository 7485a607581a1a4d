//! Messages: the bodies of frames, packed by hand.
//!
//! Integers are little-endian; a varint is a minimal LEB128; a text is a length byte and UTF-8 without control characters. Every decoder
//! checks a length against what is there before it allocates, and refuses trailing bytes. The golden bytes in the tests are the protocol:
//! they are never regenerated.

mod ack;
mod control;
mod heard;
mod hello;
mod records;
mod sets;

pub use ack::{Ack, RefusalReason, RefusedKey};
pub use control::{Bye, ByeCode, Granted, KnownPeer, Peers, Ping, Pong, Resume};
pub use heard::Heard;
pub use hello::{Hello, Role};
pub use records::{Records, Says};
pub use sets::{FpsEntry, IdWidth, ListEntry, Start, Turn, WantEntry, put_fps, put_list, put_want, read_fps, read_list, read_want};

use crate::progress::codec::{DecodeError, Reader};

/// First version of the protocol that this code speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// Last version of the protocol that this code speaks.
pub const PROTOCOL_MAX: u16 = 1;

/// Longest text in a message (a name, a region, an address, a reason), in bytes.
pub const TEXT_BYTES_MAX: usize = 255;

fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.push(end as u8);
    out.extend_from_slice(&text.as_bytes()[..end]);
}

fn read_text(reader: &mut Reader<'_>, field: &'static str) -> Result<String, DecodeError> {
    let length = usize::from(reader.u8(field)?);
    let text = std::str::from_utf8(reader.bytes(length, field)?).map_err(|_| DecodeError::Invalid { field })?;
    if text.chars().any(char::is_control) {
        return Err(DecodeError::Invalid { field });
    }
    Ok(text.to_owned())
}
