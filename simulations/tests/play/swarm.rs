//! Swarms: what a seed draws is a scenario that a file could hold, a failing one becomes shorter, a panic is one failure among others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leftoff_simulations::outcome::Outcome;
use leftoff_simulations::scenario::{FaultKind, Scenario, library, parse};
use leftoff_simulations::swarm::pool::{self, End};
use leftoff_simulations::swarm::reason::Reason;
use leftoff_simulations::swarm::shrink::{shrink, shrink_alike};
use leftoff_simulations::swarm::{draw, vary};

fn assert_could_be_a_file(scenario: &Scenario) {
    let text = scenario.to_toml();
    let read = parse("drawn.toml", &scenario.name, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&read, scenario, "{text}");
}

#[test]
fn what_a_seed_draws_is_a_scenario_that_a_file_could_hold() {
    for seed in 0..500 {
        let drawn = draw(seed);
        assert_could_be_a_file(&drawn);
        assert_eq!(drawn, draw(seed), "the seed decides everything");
    }
}

#[test]
fn what_a_seed_makes_of_a_scenario_is_one_too() {
    for name in library::names() {
        let scenario = library::scenario(name).unwrap().unwrap();
        for seed in 0..30 {
            assert_could_be_a_file(&vary(&scenario, seed));
        }
    }
}

#[test]
fn seeds_differ_in_sizes_probabilities_and_faults() {
    let drawn: Vec<Scenario> = (0..400).map(draw).collect();
    let mut kinds: Vec<&str> = drawn.iter().flat_map(|scenario| &scenario.faults).map(|fault| fault.kind.name()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 21, "every kind strikes in some seed: {kinds:?}");
    let count = |holds: &dyn Fn(&Scenario) -> bool| drawn.iter().filter(|scenario| holds(scenario)).count();
    for (what, some) in [
        ("calm", count(&|s| s.faults.is_empty())),
        ("lossy", count(&|s| s.network.quality.loss > 0.0)),
        ("with devices", count(&|s| s.device_count() > 0)),
        ("of one region", count(&|s| s.regions.len() == 1)),
        ("large", count(&|s| s.workload.viewers > 20)),
        ("with budgets of repairs", count(&|s| s.checks.exchanges_max.is_some() && s.checks.bytes_per_repaired_max.is_some())),
        ("of days", count(&|s| s.duration > Duration::from_hours(24))),
        ("with a clock that stands still", count(&|s| s.faults.iter().any(|f| matches!(f.kind, FaultKind::Clock { frozen: true, .. })))),
    ] {
        assert!((10..=390).contains(&some), "{what}: {some} of 400");
    }
}

#[test]
fn seeds_that_failed_before_more_was_drawn_draw_nothing_more() {
    let text = include_str!("../../seeds.txt");
    let seeds: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("drawn ")?.split_whitespace().next()?.parse().ok()).collect();
    // Whoever adds a seed adds it behind these.
    let before = &seeds[..45];
    assert_eq!((before[0], before[44]), (14, 1_838_394_137_264_814));
    for seed in before {
        let drawn = draw(*seed);
        let later = |fault: &FaultKind| match fault {
            FaultKind::TruncateLog { .. } | FaultKind::ZeroLog { .. } => true,
            FaultKind::Clock { frozen, .. } => *frozen,
            _ => false,
        };
        assert!(drawn.duration <= Duration::from_mins(7) && !drawn.faults.iter().any(|fault| later(&fault.kind)), "{seed}");
    }
}

#[test]
fn a_failing_scenario_shrinks_to_what_makes_it_fail() {
    let scenario = (0..)
        .map(draw)
        .find(|s| s.faults.len() > 4 && s.workload.viewers > 20 && s.faults.iter().any(|f| f.kind.name() == "crash"))
        .unwrap();
    let fails = |scenario: &Scenario| scenario.workload.viewers >= 5 && scenario.faults.iter().any(|fault| fault.kind.name() == "crash");
    let mut seen = 0;
    let shrunk = shrink(&scenario, 1_000, |candidate| {
        seen += 1;
        assert_could_be_a_file(candidate);
        fails(candidate)
    });
    assert!(shrunk.done && shrunk.tries == seen);
    assert!(fails(&shrunk.scenario));
    assert!((5..10).contains(&shrunk.scenario.workload.viewers));
    assert!(shrunk.scenario.duration < scenario.duration);
    let [fault] = &shrunk.scenario.faults[..] else { panic!("{:?}", shrunk.scenario.faults) };
    assert!(matches!(fault.kind, FaultKind::Crash { times: 1, .. }));
    assert_eq!(shrunk.scenario.node_count(), 1);
}

#[test]
fn shrinking_keeps_the_failure_that_was_found_and_not_another_of_the_same_checker() {
    let scenario = (0..).map(draw).find(|s| s.faults.len() > 4 && s.workload.viewers > 20).unwrap();
    // Every world is unequal in the end, as after every other bug; only the larger ones lack something.
    let end = |scenario: &Scenario| {
        let mut violations = vec!["converged at 9s, host 1: its fingerprint is not that of us-west-2/1".to_owned()];
        if scenario.workload.viewers >= 5 && !scenario.faults.is_empty() {
            violations
                .push(format!("converged at 9s, host 1: p1/t{} is missing; us-west-2/1 has Progress {{ }}", scenario.workload.viewers));
        }
        End::Done(Box::new(Outcome { violations, settled: true, ..Outcome::default() }))
    };
    let (reason, _) = end(&scenario).failures().pop().unwrap();
    let (shrunk, what) = shrink_alike(&scenario, &reason, 1_000, |candidate| Some(end(candidate)));
    assert!(shrunk.done && (5..10).contains(&shrunk.scenario.workload.viewers) && shrunk.scenario.faults.len() == 1);
    let said = format!("converged at 9s, host 1: p1/t{} is missing; us-west-2/1 has Progress {{ }}", shrunk.scenario.workload.viewers);
    assert_eq!(what.as_ref(), Some(&said), "what the shortest says, not the first");
    assert_eq!(Reason::of_violation(&said), reason);
}

#[test]
fn shrinking_a_panic_keeps_its_place() {
    let scenario = (0..).map(draw).find(|s| s.workload.viewers > 20).unwrap();
    let end = |scenario: &Scenario| {
        let line = if scenario.workload.viewers >= 5 { 7 } else { 8 };
        End::Panicked(format!("index {} is out of bounds (src/store/table.rs:{line})", scenario.workload.viewers))
    };
    let reason = end(&scenario).failures().remove(0).0;
    let (shrunk, what) = shrink_alike(&scenario, &reason, 1_000, |candidate| Some(end(candidate)));
    assert!((5..10).contains(&shrunk.scenario.workload.viewers), "{}", shrunk.scenario.workload.viewers);
    assert!(what.unwrap().ends_with("table.rs:7)"));
    let (_, nothing) = shrink_alike(&scenario, &reason, 1_000, |_| None);
    assert_eq!(nothing, None, "stopped, or nothing shorter fails");
}

#[test]
fn shrinking_ends_at_its_bound() {
    let shrunk = shrink(&draw(1), 7, |_| true);
    assert_eq!((shrunk.tries, shrunk.done), (7, false));
}

#[test]
fn a_panic_is_a_failure_of_its_own_world_and_the_others_go_on() {
    pool::tell_panics();
    let seeds: Vec<u64> = (0..20).collect();
    let how = |_: &Scenario, seed: u64| {
        assert_ne!(seed, 7, "seven");
        Outcome { seed, settled: seed != 9, ..Outcome::default() }
    };
    let scenario = draw(1);
    let mut failed = Vec::new();
    let ran = pool::run_all(&seeds, 4, &AtomicBool::new(false), &|seed| pool::run(&how, &scenario, *seed), |seed, end| {
        failed.extend(end.first_failure().map(|what| (*seed, end.failed().into_iter().next().unwrap(), what)));
    });
    // The hook has done its work; what fails from here on is told as usual.
    drop(std::panic::take_hook());
    failed.sort();
    assert_eq!(ran, 20);
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!((failed[0].0, failed[0].1.as_str()), (7, "panic"));
    assert!(failed[0].2.starts_with("panic: ") && failed[0].2.contains("seven") && failed[0].2.contains("swarm.rs:"), "{}", failed[0].2);
    assert_eq!((failed[1].0, failed[1].1.as_str()), (9, "settling"));
}

#[test]
fn a_swarm_that_is_stopped_finishes_what_runs_and_begins_no_more() {
    let stop = AtomicBool::new(false);
    let begun = AtomicUsize::new(0);
    let seeds: Vec<u64> = (0..1_000).collect();
    let ran = pool::run_all(
        &seeds,
        2,
        &stop,
        &|_| {
            if begun.fetch_add(1, Ordering::Relaxed) == 10 {
                stop.store(true, Ordering::Relaxed);
            }
            End::Done(Box::default())
        },
        |_, _| {},
    );
    assert_eq!(ran, begun.load(Ordering::Relaxed));
    assert!((11..20).contains(&ran), "{ran}");
}
