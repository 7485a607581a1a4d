//! The checkers, checked: each planted bug is caught by the checker that is named for it, and without a bug every checker is silent.
//!
//! Runs only with `RUSTFLAGS="--cfg leftoff_planted"`, in a target folder of its own: `cargo test --profile sim -p leftoff-simulations --test
//! planted`. A bug that is no longer caught is a hole in the checkers or in the stories: mend those, not the table.
#![cfg(leftoff_planted)]
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod stories;
mod table;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use leftoff::planted::{Planted, switch_to};
use leftoff::time::system::monotonic_now;
use leftoff_simulations::checkers::{Kinds, Panel, all};
use leftoff_simulations::outcome::Outcome;
use leftoff_simulations::scenario::Scenario;
use leftoff_simulations::world::{self, Options};

use table::TABLE;

fn run(scenario: &Scenario, seed: u64, bug: Option<Planted>) -> Outcome {
    switch_to(bug);
    let begun = monotonic_now();
    let mut outcome = world::run(scenario, seed, Options::default());
    outcome.real_time = monotonic_now().saturating_since(begun);
    switch_to(None);
    outcome
}

/// Does all of a kind of work, on both cores of a small machine.
fn on_all_cores(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count) {
                    work(index);
                }
            });
        }
    });
}

fn checkers_of(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.violations.iter().filter_map(|violation| violation.split(' ').next()).collect()
}

#[test]
fn every_planted_bug_has_its_row_and_every_checker_its_bug() {
    for bug in Planted::ALL {
        assert_eq!(TABLE.iter().filter(|row| row.bug == bug).count(), 1, "{bug}");
        assert_eq!(bug.name().parse(), Ok(bug));
    }
    let panel = Panel::of(&stories::scenario(TABLE[0].story));
    for row in TABLE {
        assert!(panel.names().iter().any(|(name, _)| *name == row.checker), "{} is a checker", row.checker);
    }
    // The ledger finds nothing itself.
    for (name, _) in panel.names().into_iter().filter(|(name, _)| *name != "ledger") {
        assert!(TABLE.iter().any(|row| row.checker == name), "no planted bug is for {name} to catch");
    }
    assert!(all(&stories::scenario(TABLE[0].story)).iter().any(|checker| checker.wants() != Kinds::NONE));
}

#[test]
fn every_planted_bug_is_caught_by_the_checker_named_for_it() {
    let missed = std::sync::Mutex::new(Vec::new());
    on_all_cores(TABLE.len(), |index| {
        let row = &TABLE[index];
        let scenario = stories::scenario(row.story);
        let mut seen = BTreeSet::new();
        for seed in 1..=row.seeds {
            let outcome = run(&scenario, seed, Some(row.bug));
            let checkers: BTreeSet<String> = checkers_of(&outcome).into_iter().map(str::to_owned).collect();
            if checkers.contains(row.checker) {
                println!(
                    "{:<28} caught by {:<26} in {:<10} at seed {seed} in {:.1} s, with {checkers:?}",
                    row.bug.name(),
                    row.checker,
                    row.story,
                    outcome.real_time.as_secs_f64()
                );
                return;
            }
            seen.extend(checkers);
        }
        missed.lock().unwrap().push(format!("{} in {} within {} seeds; caught only by {seen:?}", row.bug, row.story, row.seeds));
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "\n{}", missed.join("\n"));
}

#[test]
fn without_a_bug_every_story_is_told_in_silence() {
    let stories: Vec<(&str, u64)> = stories::NAMES
        .iter()
        .flat_map(|story| {
            let seeds = TABLE.iter().filter(|row| row.story == *story).map(|row| row.seeds).max().unwrap_or(1);
            (1..=seeds).map(move |seed| (*story, seed))
        })
        .collect();
    let found = std::sync::Mutex::new(Vec::new());
    on_all_cores(stories.len(), |index| {
        let (story, seed) = stories[index];
        let outcome = run(&stories::scenario(story), seed, None);
        println!("{story:<10} seed {seed}: silent in {:.1} s", outcome.real_time.as_secs_f64());
        if !outcome.violations.is_empty() || !outcome.settled {
            found.lock().unwrap().push(format!("{story}, seed {seed}: settled {}, {:#?}", outcome.settled, outcome.violations));
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
