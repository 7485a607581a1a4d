//! Faults do what they say.

use super::scenes::{run_well, seconds, with};
use leftoff_simulations::scenario::FaultKind;

#[test]
fn a_cut_diverges_and_heals() {
    let outcome = run_well(&with(FaultKind::Cut { hosts: vec!["east".into()], to: vec![], one_way: false }), 1);
    assert!(outcome.faults[0].unequal_max > 0, "{:?}", outcome.faults);
    assert!(outcome.faults[0].converged.is_some(), "{:?}", outcome.faults);
    let before = outcome.divergence.iter().filter(|(at, _)| *at < seconds(180)).map(|(_, unequal)| *unequal).max();
    assert!(outcome.faults[0].unequal_max > before.unwrap());
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    for seed in 0..5 {
        run_well(&with(FaultKind::Crash { hosts: vec!["all".into()], times: 2, down: seconds(10) }), seed);
    }
}
