//! Golden bytes of registers. They are on disks and on the wire; a change here is a new version of both, never a correction.

use super::states::hex;
use crate::progress::{Activity, DeviceId, KnownDuration, KnownSeries, Place, PlaybackState, Position, Progress, SeriesId, Speed, Version};
use crate::time::Hlc;

const EVENING_MS: u64 = 1_790_000_000_000;

fn stamp(after_ms: u64) -> Hlc {
    Hlc::from_u64((EVENING_MS + after_ms) << 10)
}

fn place(version: u64, position_ms: u64, touched: Hlc, ended: bool) -> Place {
    Place { version: Version::from_u64(version), position: Position::from_millis(position_ms), touched, ended }
}

fn activity(device: &str) -> Activity {
    Activity {
        stamp: stamp(0),
        rank: 0,
        device: DeviceId::new(device).unwrap(),
        state: PlaybackState::Playing,
        version: Version::FIRST,
        position: Position::from_millis(600_000),
        speed: Speed::NORMAL,
        stepped_back: false,
    }
}

fn heartbeat() -> Progress {
    Progress {
        places: [place(0, 600_000, stamp(0), false)].into_iter().collect(),
        furthest: Position::from_millis(600_000),
        activity: Some(activity("tv")),
        ..Progress::default()
    }
}

fn evening() -> Progress {
    let moved = stamp(5_000).as_u64() + 1;
    Progress {
        epoch: Hlc::from_u64(1_024),
        places: [place(0, 7_200_000, stamp(0), true), place(moved, 120_000, stamp(9_000), false)].into_iter().collect(),
        furthest: Position::from_millis(7_200_000),
        activity: Some(Activity {
            stamp: stamp(9_000),
            rank: 2,
            state: PlaybackState::Seeking,
            version: Version::from_u64(moved),
            position: Position::from_millis(110_000),
            speed: Speed::new(1.5).unwrap(),
            stepped_back: true,
            ..activity("6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f")
        }),
        duration: Some(KnownDuration { stamp: stamp(0), ms: 7_205_000 }),
        series: Some(KnownSeries { stamp: stamp(9_000), id: SeriesId::new("the-wire").unwrap() }),
        hidden: stamp(10_000),
    }
}

fn check(state: &Progress, golden: &str) {
    assert_eq!(hex(&state.to_bytes()), golden);
    let bytes: Vec<u8> = (0..golden.len()).step_by(2).map(|at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap()).collect();
    assert_eq!(Progress::from_bytes(&bytes).as_ref(), Ok(state));
}

#[test]
fn nothing() {
    check(&Progress::default(), "000000");
}

#[test]
fn a_heartbeat() {
    check(&heartbeat(), "02010000000000000000c0cf240000b0411183060000027476000000");
}

#[test]
fn a_hidden_title() {
    check(&Progress::hiding(Hlc::ZERO, stamp(0)), "1000000000b041118306");
}

#[test]
fn an_evening_with_everything_in_it() {
    check(
        &evening(),
        "7f0200040000000000020120fe41118306c0a90700a03c421183060000000000000080bab7030000b04111830680a1e00600006f1f4b1e9a554c8e8d530a0b0c0d0e0f21009f9c010000c03fffffe40888e1b70300087468652d7769726500404c42118306",
    );
}

#[test]
fn an_activity_whose_place_is_not_among_the_places() {
    check(
        &Progress { places: crate::progress::Places::default(), ..heartbeat() },
        "0200809f498080809ba8c4c10602747600ff00000000000000809f49",
    );
}
