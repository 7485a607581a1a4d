//! The trace: one line an event, and the running hash that says whether two histories are the same.

use std::fmt::Write as _;
use std::hash::Hasher;
use std::io::Write;

use leftoff::store::Applied;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::queue::Micros;
use crate::observation::{HostId, Observation};

/// The columns of the trace, tab-separated, and what they mean.
pub const TRACE_COLUMNS: &[(&str, &str)] = &[
    ("ms", "virtual time since the beginning, in milliseconds"),
    ("host", "where it happened, by the name in the scenario; - if nowhere in particular"),
    ("event", "what happened"),
    ("peer", "the other host, if there is one"),
    ("number", "sequence number, link, frame type or fault, whichever the event is about"),
    ("what", "the rest: record, reason, bytes"),
];

/// A name in the column `event`, and what stands in the other columns then.
#[derive(Clone, Copy, Debug)]
pub struct TraceEvent {
    /// The name.
    pub name: &'static str,
    /// What happened.
    pub about: &'static str,
    /// Whether `peer` names the other host.
    pub has_peer: bool,
    /// What `number` is.
    pub number: &'static str,
    /// What `what` holds.
    pub what: &'static str,
}

impl TraceEvent {
    /// Its row in the documented table.
    pub fn row(&self) -> String {
        let peer = if self.has_peer { "yes" } else { "" };
        format!("| `{}` | {} | {peer} | {} | {} |", self.name, self.about, self.number, self.what)
    }
}

const fn event(name: &'static str, about: &'static str, has_peer: bool, number: &'static str, what: &'static str) -> TraceEvent {
    TraceEvent { name, about, has_peer, number, what }
}

/// The names in the column `event`, in the order of their numbers in the hash, from 1.
pub const TRACE_EVENTS: [TraceEvent; 18] = [
    event(
        "applied",
        "a record became durable and visible",
        false,
        "its sequence number",
        "where it came from, whether it taught the table anything, whether it is kept apart, the record",
    ),
    event(
        "reported",
        "a player's report was handed in",
        false,
        "its position in ms",
        "profile, title, device, kind, position, its own time, the place it counted in or why it was refused",
    ),
    event("hid", "a title was hidden", false, "0", "the observation"),
    event("erased", "a profile was erased", false, "0", "the observation"),
    event("restamped", "a device moved its unshared work to its node's time", false, "by how many ms", "the observation"),
    event("acknowledged", "reporters were told that their reports are kept", false, "up to this sequence number", "the observation"),
    event("read", "a viewer read a register", false, "the position read, in ms", "the register as it was read"),
    event("link-started", "a link began, at this side", true, "the link", "the observation"),
    event("link-ended", "a link ended, at this side", true, "the link", "the reason"),
    event("frame-sent", "a frame left", true, "its bytes", "the link, and what is in it: control, records, acks, reconciliation"),
    event("frame-arrived", "a frame arrived", true, "its type, as in `docs/protocol.md`", "bytes of its body"),
    event("refused", "a peer's record was refused, and the peer is told", true, "the reason, by number", "the profile and the reason"),
    event("stopped", "a process ended, or was stopped in its tracks", false, "0 in good order, 1 killed, 2 paused", "the observation"),
    event("started", "a process serves", false, "0", "its identity, and what is wrong with its store"),
    event(
        "disk",
        "a disk failed",
        false,
        "0 lost, 1 restored, 2 flipped bits, 3 failed sync, 4 full, 6 the log's end hurt, 7 log cut off, 8 log zeroed",
        "the observation",
    ),
    event("fault", "a fault of the timeline begins or ends", false, "twice its index from 0, and 1 more when it begins", "the observation"),
    event("healed", "all faults are over", false, "0", "the observation"),
    event("resumed", "a process that was stopped in its tracks goes on", false, "0", "the observation"),
];

/// In the hash: a record that became durable and is shown without a closer look at it. In the lines it is one like any other.
const PASSED: u8 = u8::MAX;

/// Bytes gathered before they are hashed: a hash of many at once costs less than of a few many times.
const GATHERED_BYTES: usize = 4 << 10;

/// The hash of a stream of bytes.
struct Digest {
    hasher: SipHasher13,
    gathered: Vec<u8>,
}

impl Digest {
    fn new() -> Self {
        Self { hasher: SipHasher13::new_with_keys(0, 0), gathered: Vec::with_capacity(GATHERED_BYTES) }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            self.hasher.write(&self.gathered);
            self.gathered.clear();
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write(&[byte]);
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn finish(&self) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(&self.gathered);
        hasher.finish128().as_u128()
    }
}

/// Where the lines go, if anywhere, and the hash, always.
pub(super) struct Trace {
    digest: Digest,
    out: Option<Box<dyn Write>>,
    names: Vec<String>,
    line: String,
    /// Whether a line could not be written: told once.
    failed: Option<String>,
}

/// One event, in the columns of the trace.
struct Line<'a> {
    host: Option<HostId>,
    event: &'static str,
    peer: Option<HostId>,
    number: u64,
    what: &'a dyn std::fmt::Debug,
}

impl Trace {
    pub(super) fn new(out: Option<Box<dyn Write>>, names: Vec<String>) -> Self {
        Self { digest: Digest::new(), out, names, line: String::new(), failed: None }
    }

    /// Whether somebody reads the lines.
    pub(super) const fn is_read(&self) -> bool {
        self.out.is_some()
    }

    /// The hash of everything so far.
    pub(super) fn hash(&self) -> String {
        format!("{:032x}", self.digest.finish())
    }

    /// Why lines were not written, if so.
    pub(super) fn finish(&mut self) -> Option<String> {
        if let Some(out) = &mut self.out
            && let Err(error) = out.flush()
        {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        self.failed.take()
    }

    fn feed(&mut self, at: Micros, event: u8, host: Option<HostId>, peer: Option<HostId>, number: u64) {
        let id = |host: Option<HostId>| host.map_or(u32::MAX, |host| host.0);
        let mut bytes = [0; 25];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        bytes[8] = event;
        bytes[9..13].copy_from_slice(&id(host).to_le_bytes());
        bytes[13..17].copy_from_slice(&id(peer).to_le_bytes());
        bytes[17..].copy_from_slice(&number.to_le_bytes());
        self.digest.write(&bytes);
    }

    fn write(&mut self, at: Micros, line: &Line<'_>) {
        let Some(out) = &mut self.out else { return };
        let name = |host: Option<HostId>| host.and_then(|host| self.names.get(host.0 as usize)).map_or("-", String::as_str);
        self.line.clear();
        // Writing to a string does not fail.
        let _ = write!(
            self.line,
            "{}.{:03}\t{}\t{}\t{}\t{}\t{:?}",
            at / 1_000,
            at % 1_000,
            name(line.host),
            line.event,
            name(line.peer),
            line.number,
            line.what
        );
        self.line.push('\n');
        if let Err(error) = out.write_all(self.line.as_bytes()) {
            self.failed = Some(error.to_string());
            self.out = None;
        }
    }

    /// A record that became durable.
    pub(super) fn applied(&mut self, at: Micros, host: HostId, applied: &Applied<'_>) {
        self.feed(at, 1, Some(host), None, applied.seq.0);
        self.digest.write_u128(applied.key.0);
        self.digest.write_u8(u8::from(applied.changed) | u8::from(applied.unshared) << 1);
        if self.is_read() {
            // Bytes that do not decode are not applied.
            let record = applied.record().ok();
            let what = (applied.origin, applied.changed, applied.unshared, record);
            self.write(at, &Line { host: Some(host), event: "applied", peer: None, number: applied.seq.0, what: &what });
        }
    }

    /// Any other event.
    pub(super) fn see(&mut self, at: Micros, seen: &Observation<'_>) {
        let (event, host, peer, number): (u8, _, _, u64) = match seen {
            Observation::Reported { host, event, outcome, .. } => {
                self.digest.write(event.profile_id.as_bytes());
                self.digest.write(event.title_id.as_bytes());
                self.digest.write_u64(outcome.as_ref().map_or(0, |version| version.as_u64()));
                (2, Some(*host), None, event.position_ms)
            }
            Observation::Hid { host, .. } => (3, Some(*host), None, 0),
            Observation::Erased { host, .. } => (4, Some(*host), None, 0),
            Observation::Applied { host, seq, .. } => (1, Some(*host), None, seq.0),
            Observation::Passed { host, seq, .. } => (PASSED, Some(*host), None, seq.0),
            Observation::Flushing { .. } | Observation::PutOff { .. } => return,
            Observation::Restamped { host, offset_ms } => (5, Some(*host), None, offset_ms.cast_unsigned()),
            Observation::Acknowledged { host, seq } => (6, Some(*host), None, seq.0),
            Observation::Read { host, title, register, .. } => {
                self.digest.write(title.as_str().as_bytes());
                (7, Some(*host), None, register.map_or(0, |register| register.version_and_high().1.as_millis()))
            }
            Observation::LinkStarted { link, host, peer } => (8, Some(*host), Some(*peer), link.0),
            Observation::LinkEnded { link, host, peer, reason } => {
                self.digest.write(reason.as_bytes());
                (9, Some(*host), Some(*peer), link.0)
            }
            Observation::FrameSent { link, host, peer, traffic, bytes } => {
                self.digest.write_u8(*traffic as u8);
                self.digest.write_u64(link.0);
                (10, Some(*host), Some(*peer), *bytes as u64)
            }
            Observation::FrameArrived { link, host, peer, number, body } => {
                self.digest.write_u64(link.0);
                self.digest.write_u64(body.len() as u64);
                (11, Some(*host), Some(*peer), u64::from(*number))
            }
            Observation::Refused { host, peer, reason, .. } => (12, Some(*host), Some(*peer), *reason as u64),
            Observation::Stopped { host, how } => (13, Some(*host), None, *how as u64),
            Observation::Started { host, replica, damage } => {
                self.digest.write(&replica.0);
                self.digest.write(damage.as_bytes());
                (14, Some(*host), None, 0)
            }
            Observation::Disk { host, fault } => (15, Some(*host), None, *fault as u64),
            Observation::Fault { index, begins } => (16, None, None, (*index as u64) << 1 | u64::from(*begins)),
            Observation::Healed => (17, None, None, 0),
            Observation::Resumed { host } => (18, Some(*host), None, 0),
        };
        self.feed(at, event, host, peer, number);
        if self.is_read() {
            let name = if event == PASSED { TRACE_EVENTS[0].name } else { TRACE_EVENTS[usize::from(event) - 1].name };
            let (length, reported);
            let what: &dyn std::fmt::Debug = match seen {
                Observation::FrameArrived { body, .. } => {
                    length = body.len();
                    &length
                }
                Observation::Reported { event, outcome, .. } => {
                    reported = (&event.profile_id, &event.title_id, &event.device_id, event.kind, event.position_ms, event.at_ms, outcome);
                    &reported
                }
                other => other,
            };
            self.write(at, &Line { host, event: name, peer, number, what });
        }
    }

    /// A step of the event loop, so that histories which differ in what was planned differ in the hash.
    pub(super) fn step(&mut self, at: Micros, kind: u8) {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        bytes[8] = kind;
        self.digest.write(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_is_hashed_as_if_it_came_by_itself() {
        let (mut digest, mut direct) = (Digest::new(), SipHasher13::new_with_keys(0, 0));
        for number in 0..3_000_u64 {
            let bytes = vec![number as u8; (number * number % 97) as usize];
            digest.write(&bytes);
            direct.write(&bytes);
            digest.write_u64(number);
            direct.write_u64(number);
            digest.write_u8(number as u8);
            direct.write_u8(number as u8);
            assert_eq!(digest.finish(), direct.finish128().as_u128());
        }
        digest.write(&[7; 3 * GATHERED_BYTES]);
        direct.write(&[7; 3 * GATHERED_BYTES]);
        assert_eq!(digest.finish(), direct.finish128().as_u128());
    }
}
