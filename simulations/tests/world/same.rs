//! One seed, one history.

use super::scenes::{run, run_well, small, with};
use leftoff_simulations::scenario::FaultKind;

#[test]
fn the_same_seed_is_the_same_history_and_another_is_another() {
    let scenario = with(FaultKind::Crash { hosts: vec!["east".into()], times: 2, down: super::scenes::seconds(20) });
    let (one, again, other) = (run(&scenario, 7), run(&scenario, 7), run(&scenario, 8));
    assert_eq!(one.trace_hash, again.trace_hash);
    assert_eq!(serde_json::to_value(&one).unwrap(), serde_json::to_value(&again).unwrap(), "and all figures with it");
    assert_ne!(one.trace_hash, other.trace_hash);
}

#[test]
fn a_world_without_faults_settles() {
    let outcome = run_well(&small(), 1);
    assert!(outcome.registers > 10);
    assert!(outcome.joins > outcome.updates);
}

fn history() -> String {
    run(&with(FaultKind::LoseDisk { hosts: vec!["west/1".into()] }), 3).trace_hash
}

/// Says it on the standard output, for the other process below.
#[test]
#[expect(clippy::print_stdout, reason = "the other process reads it there")]
fn the_hash_of_a_history() {
    println!("hash {}", history());
}

#[test]
fn two_processes_see_the_same_history() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["same::the_hash_of_a_history", "--exact", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let hash = history();
    assert!(text.contains(&format!("hash {hash}")), "{hash} is not in {text}");
}
