//! The bytes of a frame of leases. They are the protocol: never regenerated.

use std::time::Duration;

use super::word::{Lease, Leases, Word, put_leases, read_leases};
use crate::ephemeral::node::NodeId;
use crate::ephemeral::party::{Actor, Anchor, Control, Invite, Record, Seats, SetAnchor, Steering, Viewer};
use crate::ephemeral::presence::{PresenceState, Shown};
use crate::ephemeral::session::{EndReason, Session, SessionState};
use crate::progress::codec::Reader;
use crate::progress::{AccountId, DeviceId, PartyId, Position, ProfileId, SessionId, Speed, TitleId};
use crate::time::Hlc;

const NODE: NodeId = NodeId([7; 16]);

fn leases() -> Vec<Lease> {
    vec![Lease { node: NODE, since: Hlc::from_u64(2), stamp: Hlc::from_u64(300), left: Duration::from_millis(30_000) }]
}

fn profile() -> ProfileId {
    ProfileId::new("ada").unwrap()
}

fn device() -> DeviceId {
    DeviceId::new("tv").unwrap()
}

fn title() -> TitleId {
    TitleId::new("film").unwrap()
}

fn party() -> PartyId {
    PartyId::new("00000000-0000-4000-8000-000000000001").unwrap()
}

fn check(word: &Word, golden: &[&[u8]]) {
    let mut leases_of = Leases::default();
    let mut bytes = Vec::new();
    word.encode(&mut leases_of, &mut bytes);
    assert_eq!(bytes, golden.concat());
    assert_eq!(leases_of.nodes(), word.node().as_slice());
    let mut reader = Reader::new(&bytes);
    assert_eq!(Word::decode(&leases(), &mut reader), Ok(Some(word.clone())));
    assert!(reader.is_empty());
    for cut in 0..bytes.len() {
        assert!(Word::decode(&leases(), &mut Reader::new(&bytes[..cut])).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_bytes_of_leases_are_fixed() {
    let mut bytes = Vec::new();
    put_leases(&mut bytes, &leases());
    assert_eq!(bytes, [&[1][..], &[7; 16], &[2], &[0xac, 0x02], &[0xb0, 0xea, 0x01]].concat());
    assert_eq!(read_leases(&mut Reader::new(&bytes)), Ok(leases()));
    let mut none = Vec::new();
    put_leases(&mut none, &[]);
    assert_eq!(none, [0]);
}

#[test]
fn the_bytes_of_presence_are_fixed() {
    let stamp = Hlc::from_u64(5);
    let what = Some((PresenceState::Playing, Some(title())));
    let word = Word::Presence { profile: profile(), device: device(), node: NODE, shown: Shown { stamp, what } };
    check(&word, &[&[1, 16], b"\x03ada\x02tv", &[0, 5, 3, 1], b"\x04film"]);
    let word = Word::Presence { profile: profile(), device: device(), node: NODE, shown: Shown { stamp, what: None } };
    check(&word, &[&[1, 10], b"\x03ada\x02tv", &[0, 5, 0]]);
}

#[test]
fn the_bytes_of_a_session_are_fixed() {
    let session = Session {
        stamp: Hlc::from_u64(300),
        node: NODE,
        ended: Some(EndReason::TooManyStreams),
        started: Hlc::from_u64(9),
        account: AccountId::new("family").unwrap(),
        profile: profile(),
        device: device(),
        title: title(),
        state: SessionState::Paused,
    };
    let word = Word::Session { id: SessionId::new("s").unwrap(), session };
    check(&word, &[&[2, 27], b"\x01s", &[0, 0xac, 2, 3, 9], b"\x06family\x03ada\x02tv\x04film", &[2]]);
}

#[test]
fn the_bytes_of_seats_are_fixed() {
    let eldest = Some(Viewer { joined: Hlc::from_u64(4), profile: profile(), device: device() });
    let id = [&[0][..], &[0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]].concat();
    let word = Word::Seats { party: party(), node: NODE, seats: Seats { stamp: Hlc::from_u64(5), count: 200, eldest } };
    check(&word, &[&[3, 30], &id, &[0, 5, 0xc8, 1, 1, 4], b"\x03ada\x02tv"]);
    let word = Word::Seats { party: party(), node: NODE, seats: Seats { stamp: Hlc::from_u64(5), count: 0, eldest: None } };
    check(&word, &[&[3, 21], &id, &[0, 5, 0, 0]]);
}

#[test]
fn the_bytes_of_a_party_are_fixed() {
    let mut record = Record::new(Hlc::from_u64(6), Invite([9; 16]), Control::Everyone);
    let actor = |number| Actor { node: NodeId([number; 16]), since: Hlc::from_u64(6) };
    record.add(actor(7), &profile());
    record.add(actor(8), &ProfileId::new("bob").unwrap());
    record.add(actor(8), &profile());
    let word = Word::Party { id: PartyId::new("p").unwrap(), record };
    let head = [&b"\x01p"[..], &[6], &[9; 16], &[6, 1]].concat();
    let actors = [&[2][..], &[7; 16], &[6, 1], &[8; 16], &[6, 2]].concat();
    check(&word, &[&[4, 75], &head, &actors, &[2], b"\x03ada", &[2, 0, 1, 1, 2], b"\x03bob", &[1, 1, 1]]);
}

#[test]
fn the_bytes_of_an_anchor_are_fixed() {
    let anchor = Anchor { title: title(), position: Position::from_millis(300), rate: Speed::NORMAL, playing: true };
    let set = SetAnchor { stamp: Hlc::from_u64(6), node: NODE, device: device(), nonce: Some(5), anchor };
    let word = Word::Anchor { party: PartyId::new("p").unwrap(), steering: Steering::new(set), age: Duration::from_millis(200) };
    let golden = [
        &b"\x01p"[..],
        &[6],
        &[7; 16],
        b"\x02tv",
        &[1, 5],
        b"\x04film",
        &[0xac, 2],
        &[0, 0, 0x80, 0x3f],
        &[1],
        &[0xc8, 1],
        &[1, 6],
        b"\x02tv",
        &[5],
    ]
    .concat();
    let mut bytes = Vec::new();
    word.encode(&mut Leases::default(), &mut bytes);
    assert_eq!(bytes, [&[5, 44][..], &golden].concat());
    assert_eq!(Word::decode(&[], &mut Reader::new(&bytes)), Ok(Some(word)));
}

#[test]
fn a_word_of_a_kind_that_is_not_known_is_skipped() {
    let bytes = [99, 3, 1, 2, 3, 1, 10, 3, b'a', b'd', b'a', 2, b't', b'v', 0, 5, 0];
    let mut reader = Reader::new(&bytes);
    assert_eq!(Word::decode(&leases(), &mut reader), Ok(None));
    assert!(Word::decode(&leases(), &mut reader).unwrap().is_some());
    assert!(Word::decode(&[], &mut Reader::new(&bytes[5..])).is_err(), "a lease that is not in the frame");
}
