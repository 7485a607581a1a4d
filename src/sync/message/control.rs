//! The small messages around the records: resume, granted, ping, pong, peers, bye.

use super::{put_text, read_text};
use crate::limits::{PEERS_PER_FRAME_COUNT_MAX, PROFILES_PER_TOKEN_COUNT_MAX};
use crate::progress::ProfileId;
use crate::progress::codec::{DecodeError, Reader, put_id, put_varint};
use crate::store::{Epoch, ReplicaId, Seq};
use crate::time::WallTime;

const KNOWN: u8 = 1;
const UNSETTLED: u8 = 2;

/// What the sender remembers of the other's changes, sent in answer to its hello.
///
/// ```text
/// flags    u8: 1 known, 2 unsettled
/// epoch    u64, if known
/// seq      varint, if known
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resume {
    /// Everything up to this sequence number, in this life of the other's sequence numbers, is durable here.
    pub known: Option<(Epoch, Seq)>,
    /// Records were refused on an earlier link and may never have been offered again: the cursor alone does not settle what is missing.
    pub unsettled: bool,
}

impl Resume {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.known.is_some() { KNOWN } else { 0 } | if self.unsettled { UNSETTLED } else { 0 });
        if let Some((epoch, seq)) = self.known {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            put_varint(out, seq.0);
        }
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8("flags")?;
        if flags & !(KNOWN | UNSETTLED) != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        let known = if flags & KNOWN == 0 { None } else { Some((Epoch(reader.u64("epoch")?), Seq(reader.varint("seq")?))) };
        reader.finish()?;
        Ok(Self { known, unsettled: flags & UNSETTLED != 0 })
    }
}

const READ: u8 = 1;
const WRITE: u8 = 2;

/// What a device's token allows: the profiles that this link is narrowed to.
///
/// ```text
/// flags      u8: 1 read, 2 write
/// expires    u64: Unix ms
/// count      varint, at most 64
/// profiles   ids, strictly ascending
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Granted {
    /// The device is sent records.
    pub read: bool,
    /// Records from the device are taken.
    pub write: bool,
    /// When the token ends, and the link with it.
    pub expires: WallTime,
    /// The profiles, ascending.
    pub profiles: Vec<ProfileId>,
}

impl Granted {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.read { READ } else { 0 } | if self.write { WRITE } else { 0 });
        out.extend_from_slice(&self.expires.as_millis().to_le_bytes());
        put_varint(out, self.profiles.len() as u64);
        for profile in &self.profiles {
            put_id(out, profile.as_str());
        }
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8("flags")?;
        if flags & !(READ | WRITE) != 0 {
            return Err(DecodeError::Invalid { field: "flags" });
        }
        let expires = WallTime::from_millis(reader.u64("expires")?);
        let count = reader.length(PROFILES_PER_TOKEN_COUNT_MAX, "profiles")?;
        let mut profiles: Vec<ProfileId> = Vec::with_capacity(count);
        for _ in 0..count {
            let profile = ProfileId::new(reader.id("profile")?).map_err(|_| DecodeError::Invalid { field: "profile" })?;
            if profiles.last().is_some_and(|before| *before >= profile) {
                return Err(DecodeError::Invalid { field: "profiles" });
            }
            profiles.push(profile);
        }
        reader.finish()?;
        Ok(Self { read: flags & READ != 0, write: flags & WRITE != 0, expires, profiles })
    }
}

/// A question for the other's clock: a number of the sender's choice (`varint`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ping {
    /// Comes back in the pong.
    pub token: u64,
}

impl Ping {
    /// Appends the message's bytes.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.token);
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let token = reader.varint("token")?;
        reader.finish()?;
        Ok(Self { token })
    }
}

/// The answer to a ping: its number (`varint`), and the answerer's wall clock (`u64`, Unix ms).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pong {
    /// The ping's number.
    pub token: u64,
    /// The answerer's wall clock.
    pub clock: WallTime,
}

impl Pong {
    /// Appends the message's bytes.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.token);
        out.extend_from_slice(&self.clock.as_millis().to_le_bytes());
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let token = reader.varint("token")?;
        let clock = WallTime::from_millis(reader.u64("clock")?);
        reader.finish()?;
        Ok(Self { token, clock })
    }
}

/// A node that the sender knows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KnownPeer {
    /// Who.
    pub replica: ReplicaId,
    /// Where it says it can be reached (`host:port`).
    pub address: String,
}

/// Addresses of other nodes: `varint` count (at most 256), then 16 bytes of replica id and a text each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Peers {
    /// The nodes.
    pub peers: Vec<KnownPeer>,
}

impl Peers {
    /// Appends the message's bytes; peers beyond the bound are left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let count = self.peers.len().min(PEERS_PER_FRAME_COUNT_MAX);
        put_varint(out, count as u64);
        for peer in &self.peers[..count] {
            out.extend_from_slice(&peer.replica.0);
            put_text(out, &peer.address);
        }
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let count = reader.length(PEERS_PER_FRAME_COUNT_MAX, "peers")?;
        let mut peers = Vec::with_capacity(count);
        for _ in 0..count {
            peers.push(KnownPeer { replica: ReplicaId(reader.array("replica")?), address: read_text(&mut reader, "address")? });
        }
        reader.finish()?;
        Ok(Self { peers })
    }
}

/// Why a link ends. The numbers are also QUIC's application close codes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ByeCode {
    /// Nothing is wrong: the replica stops, or the link is not needed.
    Done,
    /// The two replicas have another link.
    Duplicate,
    /// Bytes that are not the protocol, or a frame at a moment when it may not come.
    Protocol,
    /// No version in common.
    Version,
    /// A setting that must be equal is not.
    Settings,
    /// The token or certificate does not allow this link.
    Unauthorized,
    /// The token has ended.
    TokenExpired,
    /// Too much at once; come back later.
    Overloaded,
    /// The replica cannot go on (its disk failed, say).
    Internal,
    /// A link to oneself.
    Myself,
    /// A number of a later version.
    Other(u32),
}

impl ByeCode {
    /// The code's number.
    pub const fn number(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Duplicate => 1,
            Self::Protocol => 2,
            Self::Version => 3,
            Self::Settings => 4,
            Self::Unauthorized => 5,
            Self::TokenExpired => 6,
            Self::Overloaded => 7,
            Self::Internal => 8,
            Self::Myself => 9,
            Self::Other(number) => number,
        }
    }

    /// The code with this number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Done,
            1 => Self::Duplicate,
            2 => Self::Protocol,
            3 => Self::Version,
            4 => Self::Settings,
            5 => Self::Unauthorized,
            6 => Self::TokenExpired,
            7 => Self::Overloaded,
            8 => Self::Internal,
            9 => Self::Myself,
            _ => Self::Other(number),
        }
    }
}

/// The last frame of a link: `varint` code, text of the reason, `varint` milliseconds before which a new link is not wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bye {
    /// Why, for programs.
    pub code: ByeCode,
    /// Why, for people.
    pub reason: String,
    /// When to come back, in milliseconds; 0 leaves it to the other.
    pub retry_ms: u64,
}

impl Bye {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.code.number()));
        put_text(out, &self.reason);
        put_varint(out, self.retry_ms);
    }

    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let number = u32::try_from(reader.varint("code")?).map_err(|_| DecodeError::Invalid { field: "code" })?;
        let reason = read_text(&mut reader, "reason")?;
        let retry_ms = reader.varint("retry")?;
        reader.finish()?;
        Ok(Self { code: ByeCode::from_number(number), reason, retry_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_resume_are_fixed() {
        let mut bytes = Vec::new();
        Resume { known: Some((Epoch(5), Seq(130))), unsettled: true }.encode(&mut bytes);
        assert_eq!(bytes, [3, 5, 0, 0, 0, 0, 0, 0, 0, 0x82, 0x01]);
        assert_eq!(Resume::decode(&bytes), Ok(Resume { known: Some((Epoch(5), Seq(130))), unsettled: true }));
        assert_eq!(Resume::decode(&[0]), Ok(Resume::default()));
        assert!(Resume::decode(&[4]).is_err());
    }

    #[test]
    fn the_bytes_of_granted_are_fixed_and_its_profiles_ascend() {
        let id = |text: &str| ProfileId::new(text).unwrap();
        let granted = Granted { read: true, write: true, expires: WallTime::from_millis(258), profiles: vec![id("a"), id("b")] };
        let mut bytes = Vec::new();
        granted.encode(&mut bytes);
        assert_eq!(bytes, [3, 2, 1, 0, 0, 0, 0, 0, 0, 2, 1, b'a', 1, b'b']);
        assert_eq!(Granted::decode(&bytes), Ok(granted));
        bytes[11] = b'c';
        assert_eq!(Granted::decode(&bytes), Err(DecodeError::Invalid { field: "profiles" }));
    }

    #[test]
    fn the_bytes_of_ping_and_pong_are_fixed() {
        let mut bytes = Vec::new();
        Ping { token: 300 }.encode(&mut bytes);
        assert_eq!(bytes, [0xac, 0x02]);
        Pong { token: 300, clock: WallTime::from_millis(1) }.encode(&mut bytes);
        assert_eq!(bytes[2..], [0xac, 0x02, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Pong::decode(&bytes[2..]), Ok(Pong { token: 300, clock: WallTime::from_millis(1) }));
    }

    #[test]
    fn the_bytes_of_peers_are_fixed_and_bounded() {
        let peers = Peers { peers: vec![KnownPeer { replica: ReplicaId([9; 16]), address: "h:1".into() }] };
        let mut bytes = Vec::new();
        peers.encode(&mut bytes);
        assert_eq!(bytes, [&[1][..], &[9; 16], &[3, b'h', b':', b'1']].concat());
        assert_eq!(Peers::decode(&bytes), Ok(peers));
        assert_eq!(Peers::decode(&[0x81, 0x02]), Err(DecodeError::Invalid { field: "peers" }));
    }

    #[test]
    fn the_bytes_of_bye_are_fixed_and_later_codes_are_kept() {
        let bye = Bye { code: ByeCode::Overloaded, reason: "busy".into(), retry_ms: 500 };
        let mut bytes = Vec::new();
        bye.encode(&mut bytes);
        assert_eq!(bytes, [7, 4, b'b', b'u', b's', b'y', 0xf4, 0x03]);
        assert_eq!(Bye::decode(&bytes), Ok(bye));
        for number in 0..20 {
            assert_eq!(ByeCode::from_number(number).number(), number);
        }
        assert!(Bye::decode(&[0, 1, b'\n', 0]).is_err(), "a reason must not break a log line");
    }
}
