//! Peers that are broken or mean it: each ends its own link, with a reason, and nothing else.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::{Grants, Replica, START, World};
use crate::progress::{EventKind, ProfileId, TitleId};
use crate::replica::Core;
use crate::store::Record;
use crate::sync::frame::{FrameType, split};
use crate::sync::message::{
    Ack, Bye, ByeCode, Hello, IdWidth, Ping, Pong, Records, RefusalReason, RefusedKey, Resume, Role, Says, Start, Turn, WantEntry, put_want,
};
use crate::sync::reconcile::Prefix;
use crate::sync::{Handled, Link, LinkConfig, LinkError, LinkState};
use crate::time::MonotonicTime;

/// One link of a node, with the test as its peer.
struct Lone {
    world: World,
    link: Link,
}

impl Lone {
    /// A link whose peer calls itself a device of the profile `mine`.
    fn with_device() -> Self {
        let mut world = World::new(vec![Replica::node(2)]);
        world.authority = Some(Arc::new(Grants(vec!["mine"])));
        let config = LinkConfig { peer_is_node: false, ..world.config(false, Role::Node) };
        let link = Link::new(START, MonotonicTime::ZERO, &world.replicas[0].core, config);
        Self { world, link }
    }

    fn core(&self) -> &Core {
        &self.world.replicas[0].core
    }

    fn hand(&mut self, kind: FrameType, body: &[u8]) -> Result<Handled, LinkError> {
        let handled = self.link.handle_frame(START, MonotonicTime::ZERO, &self.world.replicas[0].core, kind as u8, body);
        self.core().flush().unwrap();
        handled
    }

    fn polled(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut out = Vec::new();
        while self.link.poll_frame(MonotonicTime::ZERO, &self.world.replicas[0].core, &mut out).unwrap() {}
        let mut frames = Vec::new();
        let mut rest = &out[..];
        while let Some(frame) = split(rest).unwrap() {
            frames.push((frame.number, frame.body.to_vec()));
            rest = &rest[frame.bytes..];
        }
        frames
    }

    fn hello(&self) -> Hello {
        let store = self.core().store();
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            replica: crate::store::ReplicaId([1; 16]),
            lives: crate::store::Lives::new(crate::store::Epoch(5)),
            role: Role::Device,
            clock: START,
            ttl_ms: 0,
            window_ms: crate::limits::ACTIVITY_WINDOW_MS,
            floor_day: 0,
            hash_check: 0,
            run: 1,
            salt: [7; 16],
            seq: store.durable(),
            token: "token".into(),
            name: String::new(),
            region: String::new(),
            advertise: String::new(),
        }
    }

    fn open(mut self) -> Self {
        let mut body = Vec::new();
        self.hello().encode(&mut body);
        self.hand(FrameType::Hello, &body).unwrap();
        let mut body = Vec::new();
        Resume::default().encode(&mut body);
        self.hand(FrameType::Resume, &body).unwrap();
        assert_eq!(self.link.state(), LinkState::Open);
        self
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    encode(&mut body);
    body
}

fn records_of(record: &Record) -> Vec<u8> {
    encoded(|body| {
        Records::put_head(body, Says::default(), 1);
        record.encode(body);
    })
}

#[test]
fn a_goodbye_silences_nobody_for_longer_than_an_hour() {
    let mut lone = Lone::with_device();
    let bye = encoded(|body| Bye { code: ByeCode::Done, reason: String::new(), retry_ms: u64::MAX }.encode(body));
    assert!(matches!(lone.hand(FrameType::Bye, &bye), Err(LinkError::Bye { retry_ms: 3_600_000, .. })));
}

#[test]
fn what_only_nodes_tell_each_other_ends_the_link_of_a_device() {
    for kind in [FrameType::Peers, FrameType::Leases, FrameType::Heard] {
        let mut lone = Lone::with_device().open();
        assert!(matches!(lone.hand(kind, &[0]), Err(LinkError::OutOfOrder { .. })), "{kind:?}");
    }
}

#[test]
fn a_device_that_begins_one_reconciliation_after_the_other_ends_its_link() {
    let mut lone = Lone::with_device().open();
    let start = encoded(|body| Start { salt: 1, tombstones: 0, pass: 0 }.encode(body));
    let quiet = encoded(|body| Turn { quiet: true, ..Turn::default() }.encode(body));
    let settled = encoded(|body| Turn { quiet: true, settled: true, ..Turn::default() }.encode(body));
    lone.polled();
    for _ in 0..200 {
        lone.hand(FrameType::Start, &start).unwrap();
        lone.hand(FrameType::Turn, &quiet).unwrap();
        lone.polled();
        lone.hand(FrameType::Turn, &settled).unwrap();
    }
    assert!(matches!(lone.hand(FrameType::Start, &start), Err(LinkError::Reconcile(_))));
}

#[test]
fn frames_out_of_order_end_the_link() {
    let early =
        [FrameType::Records, FrameType::Ack, FrameType::Resume, FrameType::Granted, FrameType::Fps, FrameType::Turn, FrameType::Ping];
    for kind in early {
        let mut lone = Lone::with_device();
        let body = match kind {
            FrameType::Ping => encoded(|body| Ping { token: 1 }.encode(body)),
            _ => vec![0],
        };
        let error = lone.hand(kind, &body).unwrap_err();
        assert!(matches!(error, LinkError::OutOfOrder { .. }), "{kind:?}: {error}");
        assert_eq!(error.code(), ByeCode::Protocol);
    }
    let mut lone = Lone::with_device().open();
    let hello = encoded(|body| lone.hello().encode(body));
    assert!(matches!(lone.hand(FrameType::Hello, &hello), Err(LinkError::OutOfOrder { .. })));
    let resume = encoded(|body| Resume::default().encode(body));
    assert!(matches!(lone.hand(FrameType::Resume, &resume), Err(LinkError::OutOfOrder { .. })));
    let ack = encoded(|body| Ack { up_to: 99, refused: Vec::new() }.encode(body));
    assert!(matches!(lone.hand(FrameType::Ack, &ack), Err(LinkError::OutOfOrder { .. })), "an ack of frames that were never sent");
    let pong = encoded(|body| Pong { token: 77, clock: START }.encode(body));
    assert!(matches!(lone.hand(FrameType::Pong, &pong), Err(LinkError::OutOfOrder { .. })));
    assert!(matches!(lone.hand(FrameType::Turn, &[0]), Err(LinkError::Reconcile(_))));
}

#[test]
fn unknown_frames_are_skipped_or_end_the_link_as_their_type_says() {
    let mut lone = Lone::with_device();
    let hand = |lone: &mut Lone, number| lone.link.handle_frame(START, MonotonicTime::ZERO, &lone.world.replicas[0].core, number, b"x");
    assert!(matches!(hand(&mut lone, 0xf0), Ok(Handled::Done)));
    assert!(matches!(hand(&mut lone, 0x70), Err(LinkError::UnknownType { number: 0x70 })));
    assert!(matches!(hand(&mut lone, FrameType::Sketch as u8), Err(LinkError::UnknownType { .. })));
}

#[test]
fn versions_without_overlap_end_the_link_with_both() {
    let mut lone = Lone::with_device();
    let error = lone.hand(FrameType::Hello, &[8, 9, 1, 2, 3]).unwrap_err();
    assert!(matches!(error, LinkError::Version { min: 8, max: 9 }));
    assert_eq!(error.bye().code, ByeCode::Version);
}

#[test]
fn a_devices_records_of_other_profiles_are_refused_one_by_one_and_named() {
    let mut lone = Lone::with_device().open();
    let victim = Replica::node(9);
    let world = World::new(vec![victim]);
    world.record(0, "foreign", "film", EventKind::Pause, 5_000);
    world.record(0, "mine", "film", EventKind::Pause, 6_000);
    let body = encoded(|body| {
        Records::put_head(body, Says::default(), 2);
        for ((profile, title), state) in world.replicas[0].everything() {
            Record::Register { profile, title, state }.encode(body);
        }
    });
    lone.hand(FrameType::Records, &body).unwrap();
    assert_eq!(lone.world.replicas[0].position("foreign", "film"), 0);
    assert_eq!(lone.world.replicas[0].position("mine", "film"), 6_000);
    let acks: Vec<Ack> =
        lone.polled().into_iter().filter(|(number, _)| *number == 5).map(|(_, body)| Ack::decode(&body).unwrap()).collect();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].refused.len(), 1);
    assert_eq!((acks[0].refused[0].profile.as_str(), acks[0].refused[0].reason), ("foreign", RefusalReason::Forbidden));
    let erasure = Record::Erased { profile: ProfileId::new("foreign").unwrap(), erased: crate::time::Hlc::from_wall(START) };
    lone.hand(FrameType::Records, &records_of(&erasure)).unwrap();
    assert_eq!(lone.core().store().erased(&ProfileId::new("foreign").unwrap()), crate::time::Hlc::ZERO);
}

#[test]
fn a_device_that_refuses_foreign_keys_is_not_sent_them() {
    let lone = Lone::with_device();
    lone.world.record(0, "mine", "film", EventKind::Pause, 5_000);
    lone.world.record(0, "foreign", "film", EventKind::Pause, 5_000);
    let mut lone = lone.open();
    lone.polled();
    let title = TitleId::new("film").unwrap();
    let key = |profile| RefusedKey { profile, title: Some(title.clone()), reason: RefusalReason::AheadOfClock, retry_ms: 1 };
    let refused = ["mine", "foreign"].map(|profile| key(ProfileId::new(profile).unwrap())).to_vec();
    let ack = encoded(|body| Ack { up_to: 0, refused }.encode(body));
    lone.hand(FrameType::Ack, &ack).unwrap();
    let later = MonotonicTime::from_start(std::time::Duration::from_secs(1));
    let mut out = Vec::new();
    while lone.link.poll_frame(later, &lone.world.replicas[0].core, &mut out).unwrap() {}
    assert!(out.windows(4).any(|window| window == b"mine"), "its own key is offered again");
    assert!(!out.windows(7).any(|window| window == b"foreign"));
}

#[test]
fn a_device_learns_nothing_of_other_profiles_by_reconciliation() {
    let lone = Lone::with_device();
    lone.world.fill(0, 0..400, 1_000);
    lone.world.record(0, "mine", "film", EventKind::Pause, 5_000);
    let mut lone = lone.open();
    lone.polled();
    // The node's id is above the device's, so the device begins.
    let start = encoded(|body| Start { salt: 3, tombstones: 0, pass: 0 }.encode(body));
    lone.hand(FrameType::Start, &start).unwrap();
    let everything = encoded(|body| {
        crate::sync::message::put_list(
            body,
            &crate::sync::message::ListEntry { prefix: Prefix::ROOT, width: IdWidth::Short, fingerprint: 0, ids: Vec::new() },
        );
    });
    lone.hand(FrameType::List, &everything).unwrap();
    lone.hand(FrameType::Turn, &encoded(|body| Turn::default().encode(body))).unwrap();
    let records: u32 = lone.polled().iter().filter(|(number, _)| *number == 4).map(|(_, body)| Records::decode(body).unwrap().count).sum();
    assert_eq!(records, 1);
}

#[test]
fn asking_for_the_same_range_for_ever_has_a_bound() {
    let lone = Lone::with_device();
    for title in 0..2_000 {
        lone.world.record_quietly(0, "mine", &format!("film-{title}"), EventKind::Pause, 5_000);
    }
    lone.core().flush().unwrap();
    let mut lone = lone.open();
    lone.polled();
    lone.hand(FrameType::Start, &encoded(|body| Start { salt: 3, tombstones: 0, pass: 0 }.encode(body))).unwrap();
    let wants = encoded(|body| {
        for _ in 0..60_000 {
            put_want(body, &WantEntry { prefix: Prefix::ROOT, width: IdWidth::Short, ids: vec![1] });
        }
    });
    lone.hand(FrameType::Want, &wants).unwrap();
    lone.hand(FrameType::Turn, &encoded(|body| Turn::default().encode(body))).unwrap();
    let mut out = Vec::new();
    let error = loop {
        match lone.link.poll_frame(MonotonicTime::ZERO, &lone.world.replicas[0].core, &mut out) {
            Ok(true) => {}
            Ok(false) => panic!("the budget was not reached"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LinkError::Reconcile(_)), "{error}");
}

#[test]
fn a_peer_that_asks_without_reading_is_cut_off() {
    let mut lone = Lone::with_device().open();
    let ping = encoded(|body| Ping { token: 1 }.encode(body));
    let error = (0..1_000).find_map(|_| lone.hand(FrameType::Ping, &ping).err()).unwrap();
    assert!(matches!(error, LinkError::Flooded));
}

#[test]
fn a_device_that_floods_with_foreign_records_and_reads_no_answers_is_cut_off() {
    let mut lone = Lone::with_device().open();
    let erasure = Record::Erased { profile: ProfileId::new("f").unwrap(), erased: crate::time::Hlc::from_wall(START) };
    let body = encoded(|body| {
        Records::put_head(body, Says::default(), 60_000);
        for _ in 0..60_000 {
            erasure.encode(body);
        }
    });
    let error = (0..10).find_map(|_| lone.hand(FrameType::Records, &body).err()).unwrap();
    assert!(matches!(error, LinkError::Flooded));
}

#[test]
fn a_greeting_that_does_not_come_and_a_ping_that_is_not_answered_end_the_link() {
    let mut lone = Lone::with_device();
    let late = MonotonicTime::from_start(std::time::Duration::from_secs(31));
    assert!(matches!(lone.link.handle_timeout(START, late, &lone.world.replicas[0].core), Err(LinkError::Timeout { .. })));
    let mut lone = Lone::with_device().open();
    assert!(matches!(lone.link.handle_timeout(START, late, &lone.world.replicas[0].core), Err(LinkError::Timeout { .. })));
}

#[test]
fn what_failed_inside_is_not_told_to_others() {
    let error = LinkError::Append(crate::store::AppendError::Closed("disk /dev/sda1 is on fire".into()));
    assert_eq!(error.bye().reason, "internal failure");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_bring_a_link_down_otherwise_than_by_its_own_error(number: u8, body in proptest::collection::vec(any::<u8>(), 0..200), open: bool) {
        let mut lone = Lone::with_device();
        if open {
            lone = lone.open();
            lone.world.record(0, "mine", "film", EventKind::Pause, 5_000);
        }
        let handled = lone.link.handle_frame(START, MonotonicTime::ZERO, &lone.world.replicas[0].core, number, &body);
        if let Err(error) = handled {
            prop_assert!(!error.bye().reason.is_empty());
        }
        lone.core().flush().unwrap();
    }

    #[test]
    fn a_true_frame_with_a_byte_changed_is_an_error_or_another_frame(at: prop::sample::Index, to: u8, which in 0..6usize) {
        let mut lone = Lone::with_device().open();
        lone.world.record(0, "mine", "film", EventKind::Pause, 5_000);
        let state = lone.world.replicas[0].everything().into_values().next().unwrap();
        let record = Record::Register { profile: ProfileId::new("mine").unwrap(), title: TitleId::new("film").unwrap(), state };
        let (kind, mut body) = match which {
            0 => (FrameType::Records, records_of(&record)),
            1 => (FrameType::Ack, encoded(|body| Ack::default().encode(body))),
            2 => (FrameType::Start, encoded(|body| Start { salt: 1, tombstones: 2, pass: 0 }.encode(body))),
            3 => (FrameType::Hello, encoded(|body| lone.hello().encode(body))),
            4 => (FrameType::Ping, encoded(|body| Ping { token: 3 }.encode(body))),
            _ => (FrameType::Peers, encoded(|body| crate::sync::message::Peers::default().encode(body))),
        };
        let at = at.index(body.len());
        body[at] = to;
        let _ = lone.hand(kind, &body);
        lone.core().flush().unwrap();
    }

    #[test]
    fn no_bytes_make_the_frame_splitter_panic_or_read_too_far(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(Some(frame)) = split(&bytes) {
            prop_assert!(frame.bytes <= bytes.len() && frame.body.len() < frame.bytes);
        }
    }
}
