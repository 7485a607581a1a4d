//! Random registers: replicas of one history, and states that have nothing to do with each other.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::limits::STAMP_MAX;
use crate::progress::{
    Activity, DeviceId, KnownDuration, KnownSeries, Place, Places, PlaybackState, Position, Progress, SeriesId, Speed, Version,
};
use crate::time::Hlc;

/// How far apart values lie.
#[derive(Clone, Copy)]
pub(super) enum Range {
    /// A few windows, a dozen versions, three devices: states that meet.
    Narrow,
    /// Everything that can be encoded.
    Whole,
}

const EVENING: u64 = 1_790_000_000_000 << 10;

fn stamp(range: Range) -> BoxedStrategy<Hlc> {
    match range {
        Range::Narrow => {
            (0..12u64, 0..3u64).prop_map(|(second, counter)| Hlc::from_u64(EVENING + ((second * 1_000) << 10) + counter)).boxed()
        }
        Range::Whole => (0..=STAMP_MAX).prop_map(Hlc::from_u64).boxed(),
    }
}

fn version(range: Range) -> BoxedStrategy<Version> {
    match range {
        Range::Narrow => prop_oneof![Just(0), EVENING..EVENING + 14].prop_map(Version::from_u64).boxed(),
        Range::Whole => prop_oneof![Just(0), 0..=STAMP_MAX].prop_map(Version::from_u64).boxed(),
    }
}

fn position(range: Range) -> BoxedStrategy<Position> {
    match range {
        Range::Narrow => (0..6u64).prop_map(|step| Position::from_millis(step * 10_000)).boxed(),
        Range::Whole => (0..=STAMP_MAX).prop_map(Position::from_millis).boxed(),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("tv".to_owned()),
        Just("phone".to_owned()),
        Just("6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f".to_owned()),
        // Nearly a UUID, and so no UUID.
        Just("6F1F4B1E-9A55-4C8E-8D53-0A0B0C0D0E0F".to_owned()),
        Just("6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0".to_owned()),
        "[a-zé€]{1,20}",
        any::<[u8; 16]>().prop_map(|bytes| {
            let hex = hex(&bytes);
            [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
        }),
    ]
}

fn place(range: Range) -> impl Strategy<Value = Place> {
    (version(range), position(range), stamp(range), any::<bool>()).prop_map(|(version, position, touched, ended)| Place {
        version,
        position,
        touched,
        ended,
    })
}

fn activity(range: Range) -> impl Strategy<Value = Activity> {
    let speed = prop_oneof![4 => Just(1.0f32), 1 => Just(1.5), 1 => 0.01f32..16.0];
    let state = (0..5u8).prop_flat_map(|state| (Just(state), state..5));
    (stamp(range), state, text(), version(range), position(range), speed, any::<bool>()).prop_map(
        |(stamp, (state, rank), device, version, position, speed, stepped_back)| Activity {
            stamp,
            rank,
            device: DeviceId::new(device).unwrap(),
            state: PlaybackState::from_rank(state).unwrap(),
            version,
            position,
            speed: Speed::new(speed).unwrap(),
            stepped_back,
        },
    )
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// One state, of at most `places` places.
pub(super) fn state(range: Range, places: usize) -> impl Strategy<Value = Progress> {
    let epoch = match range {
        Range::Narrow => prop_oneof![6 => Just(Hlc::ZERO), 1 => Just(Hlc::from_u64(EVENING))].boxed(),
        Range::Whole => prop_oneof![Just(Hlc::ZERO), stamp(range)].boxed(),
    };
    let duration = (stamp(range), 0..=STAMP_MAX).prop_map(|(stamp, ms)| KnownDuration { stamp, ms });
    let series = (stamp(range), text()).prop_map(|(stamp, id)| KnownSeries { stamp, id: SeriesId::new(id).unwrap() });
    (
        epoch,
        vec(place(range), 0..=places),
        position(range),
        option::of(activity(range)),
        option::of(duration),
        option::of(series),
        prop_oneof![3 => Just(Hlc::ZERO), 1 => stamp(range)],
    )
        .prop_map(|(epoch, places, furthest, activity, duration, series, hidden)| Progress {
            epoch,
            places: places.into_iter().collect::<Places>(),
            furthest,
            activity,
            duration,
            series,
            hidden,
        })
}

/// Three replicas of one history: each has joined its own part of the deltas, some of them changed a little, in its own order, some twice.
pub(super) fn replicas() -> impl Strategy<Value = [Progress; 3]> {
    vec(state(Range::Narrow, 1), 1..40).prop_flat_map(|history| {
        let count = history.len();
        let replica = vec((0..count, option::weighted(0.1, perturbation())), 0..2 * count);
        (Just(history), replica.clone(), replica.clone(), replica).prop_map(|(history, a, b, c)| {
            [a, b, c].map(|deliveries| {
                deliveries.into_iter().fold(Progress::default(), |mut joined, (index, change)| {
                    let mut delta = history[index].clone();
                    if let Some(change) = change {
                        change.apply(&mut delta);
                    }
                    joined.join(&delta);
                    joined
                })
            })
        })
    })
}

/// A small difference between two states that are nearly equal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Perturbation {
    Rank,
    SteppedBack,
    Speed,
    Device,
    Hidden,
    Ended,
    Version,
    Position,
    Length,
}

pub(super) fn perturbation() -> impl Strategy<Value = Perturbation> + Clone {
    use Perturbation::{Device, Ended, Hidden, Length, Position, Rank, Speed, SteppedBack, Version};
    prop::sample::select(vec![Rank, SteppedBack, Speed, Device, Hidden, Ended, Version, Position, Length])
}

impl Perturbation {
    pub(super) fn apply(self, state: &mut Progress) {
        if let Some(activity) = &mut state.activity {
            match self {
                Self::Rank => activity.rank = 4,
                Self::SteppedBack => activity.stepped_back ^= true,
                Self::Speed => activity.speed = Speed::new(1.25).unwrap(),
                Self::Device => activity.device = DeviceId::new("radio").unwrap(),
                _ => {}
            }
        }
        let rewritten = |place: Place| match self {
            Self::Ended => Place { ended: !place.ended, ..place },
            Self::Version => Place { version: Version::from_u64(place.version.as_u64() + 1), ..place },
            Self::Position => Place { position: Position::from_millis(place.position.as_millis() + 1), ..place },
            _ => place,
        };
        state.places = state.places.map(rewritten);
        match self {
            Self::Hidden => state.hidden = state.hidden.next(),
            Self::Length => state.duration = None,
            _ => {}
        }
    }
}
