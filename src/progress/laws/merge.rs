//! The merge is the join of a semilattice, by whatever name it is called.

use crdts::{CmRDT, CvRDT};
use proptest::collection::vec;
use proptest::prelude::*;

use super::states::{Range, replicas, state};
use crate::limits::PLACES_COUNT_MAX;
use crate::progress::Progress;

fn joined(a: &Progress, b: &Progress) -> Progress {
    a.clone().joined(b)
}

fn laws(a: &Progress, b: &Progress, c: &Progress) -> Result<(), TestCaseError> {
    let ab = joined(a, b);
    prop_assert_eq!(&ab, &joined(b, a), "commutative");
    prop_assert_eq!(joined(&ab, c), joined(a, &joined(b, c)), "associative");
    prop_assert_eq!(&joined(a, a), a, "idempotent");
    prop_assert_eq!(&joined(a, &Progress::default()), a, "the bottom is neutral");
    prop_assert!(ab.holds(a) && ab.holds(b), "inflationary");
    prop_assert_eq!(a.holds(b), ab == *a, "holding is that joining changes nothing");
    prop_assert!(ab.places.as_slice().len() <= PLACES_COUNT_MAX);
    prop_assert!(ab.places.as_slice().is_sorted_by(|newer, older| newer.version > older.version));
    // The order that the join induces is one: it is transitive and antisymmetric.
    let abc = joined(&ab, c);
    prop_assert!(abc.holds(a) && abc.holds(&ab));
    prop_assert!(!(a.holds(b) && b.holds(a)) || a == b);

    let mut by_state = a.clone();
    prop_assert!(by_state.validate_merge(b).is_ok());
    CvRDT::merge(&mut by_state, b.clone());
    let mut by_operation = a.clone();
    prop_assert!(by_operation.validate_op(b).is_ok());
    CmRDT::apply(&mut by_operation, b.clone());
    prop_assert_eq!(&by_state, &ab);
    prop_assert_eq!(&by_operation, &ab);

    // What a watcher sees within one epoch never goes back.
    if a.epoch == ab.epoch {
        prop_assert!(a.version_and_high() <= ab.version_and_high());
        prop_assert!(a.furthest <= ab.furthest && a.hidden <= ab.hidden);
        // Not the newest stamp: a place may fall out of the eight, and within a window the earlier activity may win. But the window of the
        // last activity never goes back, and a day, which the expiry floor is, ends with a window.
        let window = |state: &Progress| state.activity.as_ref().map(|activity| activity.stamp.window());
        prop_assert!(window(a) <= window(&ab));
    }
    prop_assert!(ab.highest_stamp() <= a.highest_stamp().max(b.highest_stamp()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn replicas_of_one_history_obey_the_laws([a, b, c] in replicas()) {
        laws(&a, &b, &c)?;
    }

    #[test]
    fn states_that_meet_obey_the_laws(a in state(Range::Narrow, 12), b in state(Range::Narrow, 12), c in state(Range::Narrow, 12)) {
        laws(&a, &b, &c)?;
    }

    #[test]
    fn states_from_anywhere_obey_the_laws(a in state(Range::Whole, 10), b in state(Range::Whole, 10), c in state(Range::Whole, 10)) {
        laws(&a, &b, &c)?;
    }

    #[test]
    fn any_order_and_any_repetition_of_deltas_gives_the_same_state(
        deltas in vec(state(Range::Narrow, 1), 1..30),
        order in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let in_order = deltas.iter().fold(Progress::default(), Progress::joined);
        let mut shuffled = Progress::default();
        for index in order {
            shuffled.join(index.get(&deltas));
        }
        // Whatever was lost or came twice: the rest, in reverse, completes it.
        for delta in deltas.iter().rev() {
            shuffled.join(delta);
        }
        prop_assert_eq!(in_order, shuffled);
    }

    #[test]
    fn the_order_of_activities_is_total_and_agrees_with_equality(
        a in state(Range::Narrow, 0), b in state(Range::Narrow, 0), c in state(Range::Narrow, 0),
    ) {
        let (a, b, c) = (a.activity, b.activity, c.activity);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        prop_assert!(!(a <= b && b <= c) || a <= c);
    }

    #[test]
    fn moving_the_clock_there_and_back_changes_nothing(a in state(Range::Narrow, 8), offset_ms in -86_400_000_i64..86_400_000) {
        prop_assert_eq!(a.restamped(offset_ms, |_| true).restamped(-offset_ms, |_| true), a.clone());
        let moved = a.restamped(offset_ms, |_| false);
        let versions = |state: &Progress| state.places.as_slice().iter().map(|place| place.version).collect::<Vec<_>>();
        prop_assert_eq!(versions(&moved), versions(&a), "versions that come from elsewhere stay");
    }
}
