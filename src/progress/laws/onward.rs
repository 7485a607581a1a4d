//! What is told from bytes alone is what decoding and joining would tell.

use proptest::collection::vec;
use proptest::prelude::*;

use super::states::{Range, perturbation, replicas, state};
use crate::limits::STAMP_MAX;
use crate::progress::{KnownDuration, Place, Position, Progress, gone_on};
use crate::time::Hlc;

/// With an answer: the later bytes are canonical, their state is the join, and the stamp is its highest.
fn tells_the_truth(before: &Progress, after: &[u8]) -> Result<bool, TestCaseError> {
    let Some(highest) = gone_on(&before.to_bytes(), after) else { return Ok(false) };
    let after_state = Progress::from_bytes(after);
    prop_assert!(after_state.is_ok(), "{:?} was taken for canonical", after);
    let after_state = after_state.unwrap();
    prop_assert_eq!(&before.clone().joined(&after_state), &after_state);
    prop_assert_eq!(highest, after_state.highest_stamp());
    Ok(true)
}

/// A state some time later: it was played on in its places.
fn later(state: &Progress, ms: u64) -> Progress {
    let stamp = |stamp: Hlc| Hlc::from_u64((stamp.as_u64() + (ms << 10)).min(STAMP_MAX));
    let position = |position: Position| Position::from_millis((position.as_millis() + ms).min(STAMP_MAX));
    let mut later = state.clone();
    later.places = later.places.map(|place| Place { position: position(place.position), touched: stamp(place.touched), ..place });
    later.furthest = position(later.furthest);
    if let Some(activity) = &mut later.activity {
        (activity.stamp, activity.position) = (stamp(activity.stamp), position(activity.position));
    }
    later.duration = later.duration.map(|known| KnownDuration { stamp: stamp(known.stamp), ..known });
    later
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn of_any_two_states_it_tells_the_truth([a, b, c] in replicas(), d in state(Range::Whole, 3), e in state(Range::Narrow, 2)) {
        let all = [a, b, c, d, e];
        for before in &all {
            for after in &all {
                tells_the_truth(before, &after.to_bytes())?;
            }
        }
    }

    #[test]
    fn what_was_played_on_has_gone_on(before in state(Range::Narrow, 8), ms in 1..10_000_000u64) {
        prop_assume!(before.newest().is_some());
        let after = later(&before, ms);
        prop_assert!(tells_the_truth(&before, &after.to_bytes())?);
        if before.activity.is_some() {
            prop_assert!(!tells_the_truth(&after, &before.to_bytes())?);
        }
    }

    #[test]
    fn of_what_was_played_on_and_changed_it_tells_the_truth(
        before in state(Range::Narrow, 3),
        ms in 0..10_000_000u64,
        changes in vec(perturbation(), 1..3),
    ) {
        let mut after = later(&before, ms);
        for change in changes {
            change.apply(&mut after);
        }
        tells_the_truth(&before, &after.to_bytes())?;
    }

    #[test]
    fn of_damaged_bytes_it_tells_the_truth(
        before in state(Range::Narrow, 2),
        ms in 0..10_000_000u64,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut after = later(&before, ms).to_bytes();
        for (index, byte) in damage {
            let index = index.index(after.len());
            after[index] = byte;
        }
        tells_the_truth(&before, &after)?;
    }

    #[test]
    fn of_every_flipped_bit_it_tells_the_truth(before in state(Range::Narrow, 2), ms in 1..100_000u64) {
        let mut after = later(&before, ms).to_bytes();
        for bit in 0..after.len() * 8 {
            after[bit / 8] ^= 1 << (bit % 8);
            tells_the_truth(&before, &after)?;
            after[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
