//! The bytes are canonical, bounded, and safe to read from anybody.

use proptest::collection::vec;
use proptest::prelude::*;

use super::states::{Range, perturbation, replicas, state};
use crate::limits::{PLACES_COUNT_MAX, POSITION_MS_MAX, REGISTER_BYTES_MAX, STAMP_MAX};
use crate::progress::codec::{Reader, put_id, put_varint};
use crate::progress::{
    Activity, DecodeError, DeviceId, KnownDuration, KnownSeries, Place, Places, PlaybackState, Position, Progress, SeriesId, Speed, Version,
};
use crate::time::Hlc;

/// What every reader of foreign bytes relies on: an error, or a state whose bytes these are.
fn canonical_or_refused(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(state) = Progress::from_bytes(bytes) {
        prop_assert_eq!(state.to_bytes(), bytes);
    }
    Ok(())
}

fn round_trip(state: &Progress) -> Result<(), TestCaseError> {
    let bytes = state.to_bytes();
    prop_assert!(bytes.len() <= REGISTER_BYTES_MAX);
    prop_assert_eq!(&Progress::from_bytes(&bytes).unwrap(), state);
    let acted = state.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.stamp);
    prop_assert_eq!(Progress::glance(&bytes).unwrap(), (acted, state.series.is_some()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_state_is_read_back(narrow in state(Range::Narrow, 12), whole in state(Range::Whole, 8)) {
        round_trip(&narrow)?;
        round_trip(&whole)?;
    }

    #[test]
    fn equal_states_are_equal_bytes_and_only_they([a, b, c] in replicas()) {
        let (ab, ba) = (a.clone().joined(&b), b.clone().joined(&a));
        prop_assert_eq!(ab.to_bytes(), ba.to_bytes());
        for (one, other) in [(&a, &b), (&b, &c), (&a, &ab), (&c, &ab)] {
            prop_assert_eq!(one == other, one.to_bytes() == other.to_bytes());
        }
    }

    #[test]
    fn the_smallest_difference_is_a_difference_of_bytes(a in state(Range::Narrow, 8), change in perturbation()) {
        let mut b = a.clone();
        change.apply(&mut b);
        prop_assert_eq!(a == b, a.to_bytes() == b.to_bytes());
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(
        state in state(Range::Narrow, 8),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = state.to_bytes();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        canonical_or_refused(&bytes)?;
    }

    #[test]
    fn every_flipped_bit_is_refused_or_canonical(state in state(Range::Narrow, 3)) {
        let mut bytes = state.to_bytes();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            canonical_or_refused(&bytes)?;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn cut_and_continued_bytes_are_refused(state in state(Range::Narrow, 8), more in vec(any::<u8>(), 1..4)) {
        let bytes = state.to_bytes();
        for length in 0..bytes.len() {
            prop_assert!(Progress::from_bytes(&bytes[..length]).is_err());
        }
        let longer = [bytes.as_slice(), &more].concat();
        prop_assert_eq!(Progress::from_bytes(&longer), Err(DecodeError::Trailing { bytes: more.len() }));
    }

    #[test]
    fn garbage_is_refused_or_canonical(flags in any::<u8>(), places in 0..10u8, rest in vec(any::<u8>(), 0..200)) {
        canonical_or_refused(&rest)?;
        canonical_or_refused(&[&[flags, places], rest.as_slice()].concat())?;
    }

    #[test]
    fn varints_and_ids_have_one_form(value in any::<u64>(), bytes in vec(any::<u8>(), 0..12), text in "\\PC{1,40}") {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        prop_assert_eq!(Reader::new(&out).varint("value"), Ok(value));
        let mut reader = Reader::new(&bytes);
        if let Ok(value) = reader.varint("value") {
            let mut again = Vec::new();
            put_varint(&mut again, value);
            prop_assert_eq!(&again, &bytes[..bytes.len() - reader.remaining()]);
        }
        if let Ok(id) = DeviceId::new(&text) {
            let mut out = Vec::new();
            put_id(&mut out, id.as_str());
            let read = Reader::new(&out).id("id").unwrap();
            prop_assert_eq!(read.as_ref(), id.as_str());
        }
    }

    #[test]
    fn one_place_with_uuid_ids_takes_at_most_96_bytes(
        position_ms in 0..200_000_000u64,
        back_ms in 0..60_000u64,
        duration_ms in 0..200_000_000u64,
        speed in prop_oneof![Just(1.0f32), 0.5f32..4.0],
        ages_ms in [0..31_536_000_000u64, 0..31_536_000_000u64],
    ) {
        // The whole register that a playhead leaves behind, with a length and a show reported up to a year before, erased once and hidden.
        let at_ms = 1_790_000_000_000;
        let stamp = |at_ms: u64| Hlc::from_u64(at_ms << 10 | 1_023);
        let uuid = "6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f";
        let version = Version::from_u64((at_ms - 3_600_000) << 10);
        let register = Progress {
            epoch: stamp(at_ms - 40_000_000_000),
            places: Places::single(Place { version, position: Position::from_millis(position_ms), touched: stamp(at_ms), ended: true }),
            furthest: Position::from_millis(position_ms),
            activity: Some(Activity {
                stamp: stamp(at_ms),
                rank: 2,
                device: DeviceId::new(uuid).unwrap(),
                state: PlaybackState::Paused,
                version,
                position: Position::from_millis(position_ms),
                speed: Speed::new(speed).unwrap(),
                stepped_back: back_ms > 0,
            }),
            duration: Some(KnownDuration { stamp: stamp(at_ms - ages_ms[0]), ms: duration_ms }),
            series: Some(KnownSeries { stamp: stamp(at_ms - ages_ms[1]), id: SeriesId::new(uuid).unwrap() }),
            hidden: stamp(at_ms + 1),
        };
        prop_assert!(register.to_bytes().len() <= 96, "{} bytes", register.to_bytes().len());
    }
}

fn largest(position: fn(usize) -> u64) -> Progress {
    let place = |index: usize| Place {
        version: Version::from_u64(STAMP_MAX - 1 - index as u64),
        position: Position::from_millis(position(index)),
        touched: Hlc::MAX,
        ended: true,
    };
    Progress {
        epoch: Hlc::MAX,
        places: (0..PLACES_COUNT_MAX).map(place).collect(),
        furthest: Position::ZERO,
        activity: Some(Activity {
            stamp: Hlc::ZERO,
            rank: 4,
            device: DeviceId::new("d".repeat(128)).unwrap(),
            state: PlaybackState::Ended,
            version: Version::from_u64(STAMP_MAX),
            position: Position::ZERO,
            speed: Speed::new(1.5).unwrap(),
            stepped_back: true,
        }),
        duration: Some(KnownDuration { stamp: Hlc::ZERO, ms: STAMP_MAX }),
        series: Some(KnownSeries { stamp: Hlc::ZERO, id: SeriesId::new("s".repeat(128)).unwrap() }),
        hidden: Hlc::MAX,
    }
}

#[test]
fn the_largest_state_fits_its_bound() {
    let state = largest(|_| STAMP_MAX);
    assert_eq!(Progress::from_bytes(&state.to_bytes()).unwrap(), state);
    assert!(state.to_bytes().len() <= REGISTER_BYTES_MAX, "{} bytes", state.to_bytes().len());
    assert_eq!(state.to_bytes().len(), 512);
    assert!(largest(|_| POSITION_MS_MAX).to_bytes().len() < 512);
}

#[test]
fn forms_that_no_encoder_writes_are_refused() {
    let refused = |bytes: &[u8], field: &str| match Progress::from_bytes(bytes) {
        Err(DecodeError::Invalid { field: found }) => assert_eq!(found, field),
        other => panic!("{other:?} instead of a refusal of {field}"),
    };
    refused(&[128, 0, 0], "flags");
    refused(&[32, 0, 0], "flags");
    refused(&[0, 9], "places");
    refused(&[1, 0, 0, 0, 0, 0, 0, 0, 0], "epoch");
    refused(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "epoch");
    refused(&[0, 0, 0x80, 0], "furthest");
    refused(&[0, 0, 1], "furthest");
    refused(&[16, 0, 0, 0, 0, 0, 0, 0, 0, 0], "hidden");
    refused(&[0, 1, 2], "ended");
    // The same version twice.
    let place = [1, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0];
    refused(&[[0, 2, 0].as_slice(), &place, &place, &[0]].concat(), "version");
}
