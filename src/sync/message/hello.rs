//! The hello: the first frame of a link, in both directions.

use super::{put_text, read_text};
use crate::limits::TOKEN_BYTES_MAX;
use crate::progress::codec::{DecodeError, Reader, put_varint};
use crate::store::{Epoch, Lives, ReplicaId, Seq};
use crate::time::WallTime;

/// What a replica is to its peers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// A node of the cluster: holds every profile.
    Node,
    /// A device: holds the profiles of its token.
    Device,
}

impl Role {
    /// The role's name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Device => "device",
        }
    }
}

/// Bytes of later versions in a hello, skipped by this one.
const EXTENSION_BYTES_MAX: usize = 4 << 10;

/// The first frame: who is speaking, and under which settings.
///
/// ```text
/// protocol min, max   varint, varint
/// replica             16 bytes
/// epoch               u64
/// role                u8: 0 node, 1 device
/// clock               u64: wall clock of the sender, Unix ms
/// ttl                 varint, ms; 0 is none
/// window              varint, ms
/// floor               u32: expiry floor, days since the Unix epoch
/// hash check          u64: a keyed hash of a constant; equal at replicas that share the cluster's secret
/// run                 u64, random: the same on all links of one run of the sender's program
/// salt                16 bytes, random: under the listening side's, the keys of a narrow link are hashed
/// seq                 varint: the last durable sequence number
/// token               varint length and bytes
/// name, region, advertise   texts
/// past                varint count, at most 64, then for each epoch u64 and last number varint: the lives before this epoch, the oldest first
/// extension           varint length and bytes, skipped
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// First version of the protocol that the sender speaks.
    pub protocol_min: u16,
    /// Last one.
    pub protocol_max: u16,
    /// Who.
    pub replica: ReplicaId,
    /// The life of its sequence numbers, and those before it.
    pub lives: Lives,
    /// Node or device.
    pub role: Role,
    /// Its wall clock when it sent this.
    pub clock: WallTime,
    /// How long registers live, in milliseconds; 0 is for ever. Must be equal.
    pub ttl_ms: u64,
    /// The activity window, in milliseconds. Must be equal.
    pub window_ms: u64,
    /// Its expiry floor, in days since the Unix epoch.
    pub floor_day: u32,
    /// A keyed hash of a constant.
    pub hash_check: u64,
    /// A random number of this run of the sender's program: a link of an earlier run is dead, whatever it looks like.
    pub run: u64,
    /// Random bytes.
    pub salt: [u8; 16],
    /// Its last durable sequence number; zero if it has nothing.
    pub seq: Seq,
    /// A device's token; empty for a node.
    pub token: String,
    /// Its name, for people.
    pub name: String,
    /// Its region, for people.
    pub region: String,
    /// The address under which other nodes reach it; empty if there is none.
    pub advertise: String,
}

impl Hello {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.protocol_min));
        put_varint(out, u64::from(self.protocol_max));
        out.extend_from_slice(&self.replica.0);
        out.extend_from_slice(&self.lives.epoch().0.to_le_bytes());
        out.push(u8::from(self.role == Role::Device));
        out.extend_from_slice(&self.clock.as_millis().to_le_bytes());
        put_varint(out, self.ttl_ms);
        put_varint(out, self.window_ms);
        out.extend_from_slice(&self.floor_day.to_le_bytes());
        out.extend_from_slice(&self.hash_check.to_le_bytes());
        out.extend_from_slice(&self.run.to_le_bytes());
        out.extend_from_slice(&self.salt);
        put_varint(out, self.seq.0);
        put_varint(out, self.token.len() as u64);
        out.extend_from_slice(self.token.as_bytes());
        put_text(out, &self.name);
        put_text(out, &self.region);
        put_text(out, &self.advertise);
        self.lives.encode_past(out);
        put_varint(out, 0);
    }

    /// Reads a message.
    ///
    /// A peer that speaks no version of ours may have laid the rest out differently: then only the versions are read and `Ok(Err(..))` names
    /// them.
    pub fn decode(body: &[u8]) -> Result<Result<Self, (u16, u16)>, DecodeError> {
        let mut reader = Reader::new(body);
        let protocol_min = version(&mut reader)?;
        let protocol_max = version(&mut reader)?;
        if protocol_min > super::PROTOCOL_MAX || protocol_max < super::PROTOCOL_MIN {
            return Ok(Err((protocol_min, protocol_max)));
        }
        let replica = ReplicaId(reader.array("replica")?);
        let epoch = Epoch(reader.u64("epoch")?);
        let role = match reader.u8("role")? {
            0 => Role::Node,
            1 => Role::Device,
            _ => return Err(DecodeError::Invalid { field: "role" }),
        };
        let clock = WallTime::from_millis(reader.u64("clock")?);
        let ttl_ms = reader.varint("ttl")?;
        let window_ms = reader.varint("window")?;
        let floor_day = reader.u32("floor")?;
        let hash_check = reader.u64("hash check")?;
        let run = reader.u64("run")?;
        let salt = reader.array("salt")?;
        let seq = Seq(reader.varint("seq")?);
        let length = reader.length(TOKEN_BYTES_MAX, "token")?;
        let token = std::str::from_utf8(reader.bytes(length, "token")?).map_err(|_| DecodeError::Invalid { field: "token" })?.to_owned();
        let name = read_text(&mut reader, "name")?;
        let region = read_text(&mut reader, "region")?;
        let advertise = read_text(&mut reader, "advertise")?;
        let lives = Lives::decode_past(epoch, &mut reader)?;
        let extension = reader.length(EXTENSION_BYTES_MAX, "extension")?;
        reader.bytes(extension, "extension")?;
        reader.finish()?;
        Ok(Ok(Self {
            protocol_min,
            protocol_max,
            replica,
            lives,
            role,
            clock,
            ttl_ms,
            window_ms,
            floor_day,
            hash_check,
            run,
            salt,
            seq,
            token,
            name,
            region,
            advertise,
        }))
    }
}

fn version(reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
    u16::try_from(reader.varint("protocol")?).map_err(|_| DecodeError::Invalid { field: "protocol" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives() -> Lives {
        let past = [1, 0x11, 0, 0, 0, 0, 0, 0, 0, 9];
        Lives::decode_past(Epoch(0x0102_0304_0506_0708), &mut Reader::new(&past)).unwrap()
    }

    fn hello() -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            replica: ReplicaId([0xa1; 16]),
            lives: lives(),
            role: Role::Device,
            clock: WallTime::from_millis(1_790_000_000_000),
            ttl_ms: 0,
            window_ms: 5_000,
            floor_day: 20_000,
            hash_check: 0x1122_3344_5566_7788,
            run: 0x99aa,
            salt: [0x5a; 16],
            seq: Seq(300),
            token: "t.o.k".into(),
            name: "tv".into(),
            region: "eu".into(),
            advertise: "h:1".into(),
        }
    }

    #[test]
    fn the_bytes_of_a_hello_are_fixed() {
        let mut bytes = Vec::new();
        hello().encode(&mut bytes);
        let golden: Vec<u8> = [
            &[1, 1][..],
            &[0xa1; 16],
            &[8, 7, 6, 5, 4, 3, 2, 1],
            &[1],
            &[0x00, 0x6c, 0x50, 0xc4, 0xa0, 0x01, 0, 0],
            &[0],
            &[0x88, 0x27],
            &[0x20, 0x4e, 0, 0],
            &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11],
            &[0xaa, 0x99, 0, 0, 0, 0, 0, 0],
            &[0x5a; 16],
            &[0xac, 0x02],
            &[5, b't', b'.', b'o', b'.', b'k'],
            &[2, b't', b'v'],
            &[2, b'e', b'u'],
            &[3, b'h', b':', b'1'],
            &[1, 0x11, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0],
        ]
        .concat();
        assert_eq!(bytes, golden);
        assert_eq!(Hello::decode(&bytes), Ok(Ok(hello())));
    }

    #[test]
    fn a_cut_hello_and_a_long_one_are_refused_and_an_extension_is_skipped() {
        let mut bytes = Vec::new();
        hello().encode(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..cut]).is_err());
        }
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert_eq!(Hello::decode(&trailing), Err(DecodeError::Trailing { bytes: 1 }));
        let mut extended = bytes.clone();
        extended.pop();
        extended.extend([2, 7, 7]);
        assert_eq!(Hello::decode(&extended), Ok(Ok(hello())));
    }

    #[test]
    fn a_hello_without_a_common_version_is_read_no_further() {
        assert_eq!(Hello::decode(&[7, 9, 1, 2, 3]), Ok(Err((7, 9))));
    }
}
