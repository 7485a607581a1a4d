//! Faults do what they say.

use super::scenes::{run_well, seconds, small, with};
use leftoff_simulations::scenario::{FaultKind, Quality};

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

fn one(host: &str) -> Vec<String> {
    vec![host.to_owned()]
}

#[test]
fn every_kind_of_fault_is_over_when_it_is_over() {
    let quality = Quality { loss: 0.2, duplicate: 0.1, reorder: 0.2, bytes_per_s: Some(200_000) };
    let kinds = [
        FaultKind::Cut { hosts: one("east"), to: one("west"), one_way: true },
        FaultKind::Flap { hosts: one("west"), to: vec![], every: seconds(7) },
        FaultKind::Swizzle { hosts: one("nodes") },
        FaultKind::Bridge { host: "east/0".to_owned() },
        FaultKind::Degrade { hosts: one("all"), to: one("all"), quality, slower: 3.0 },
        FaultKind::Stuck { hosts: one("west/0") },
        FaultKind::Clock { hosts: one("devices"), offset_ms: 45_000, drift_ppm: 200 },
        FaultKind::RollingRestart { hosts: one("nodes"), down: seconds(5) },
        FaultKind::Pause { hosts: one("east/1") },
        FaultKind::LoseDisk { hosts: one("west/0") },
        FaultKind::RestoreBackup { hosts: one("east/0"), age: seconds(100) },
        FaultKind::FailSync { hosts: one("east/0") },
        FaultKind::FullDisk { hosts: one("west/1") },
        FaultKind::FlipBits { hosts: one("east/0"), count: 3 },
        FaultKind::Offline { hosts: one("devices") },
        FaultKind::Poison { host: "device/0".to_owned(), ahead_ms: 86_400_000 },
        FaultKind::Erase { host: "east/0".to_owned(), profile: 1 },
        FaultKind::Herd { hosts: one("west") },
    ];
    for (seed, kind) in kinds.into_iter().enumerate() {
        run_well(&with(kind), seed as u64);
    }
}

#[test]
fn without_faults_a_change_takes_one_way_and_a_little() {
    let outcome = run_well(&small(), 2);
    assert_eq!(outcome.propagation.len(), 2);
    for pair in &outcome.propagation {
        assert!(pair.count > 100 && pair.p99_ms <= pair.one_way_ms + 20.0, "{pair:?}");
    }
}
