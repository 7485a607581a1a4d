//! Faults do what they say.

use std::time::Duration;

use super::scenes::{run_well, seconds, small, with};
use leftoff_simulations::scenario::{Fault, FaultKind, Latency, Quality, Scenario};

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

#[test]
fn a_cut_of_all_keeps_each_from_each() {
    let outcome = run_well(&with(FaultKind::Cut { hosts: one("all"), to: vec![], one_way: false }), 1);
    let within = outcome.bytes_over_time.iter().filter(|(at, _)| (seconds(220)..seconds(350)).contains(at));
    assert_eq!(within.flat_map(|(_, bytes)| bytes.values()).sum::<u64>(), 0, "nobody sends anything when its links have broken");
    let lone = run_well(&with(FaultKind::Cut { hosts: one("nodes"), to: one("nodes"), one_way: false }), 1);
    assert!(lone.faults[0].unequal_max > 3, "{:?}", lone.faults);
}

#[test]
fn a_fault_of_a_disk_is_over_when_its_host_runs_again_and_the_refilling_counts() {
    let mut scenario = with(FaultKind::LoseDisk { hosts: one("west/0") });
    scenario.faults[0].lasts = seconds(5);
    let fault = &run_well(&scenario, 1).faults[0];
    assert!(fault.until >= seconds(185), "{fault:?}");
    assert!(fault.unequal_max > 10, "everything that the others had: {fault:?}");
    assert!(fault.converged.is_some_and(|after| !after.is_zero()), "{fault:?}");
}

#[test]
fn what_one_fault_has_left_is_not_repaired_on_anothers_account() {
    let mut scenario = with(FaultKind::LoseDisk { hosts: one("west/0") });
    scenario.faults[0].lasts = seconds(5);
    // When the host is back and is being refilled; over at once.
    let kind = FaultKind::Erase { host: "east/0".to_owned(), profile: 1 };
    scenario.faults.push(Fault { at: Duration::from_millis(185_050), lasts: seconds(0), kind });
    let faults = run_well(&scenario, 1).faults;
    assert!(faults[0].converged.is_some_and(|after| !after.is_zero()), "{faults:?}");
    assert!(faults[1].converged < faults[0].converged.map(|after| after / 2), "{faults:?}");
}

#[test]
fn a_host_whose_sync_failed_is_restarted_when_the_fault_is_over() {
    let fault = &run_well(&with(FaultKind::FailSync { hosts: one("east/0") }), 1).faults[0];
    assert!((seconds(360)..seconds(363)).contains(&fault.until), "{fault:?}");
}

#[test]
fn a_fault_within_another_of_its_kind_does_not_end_it() {
    let mut scenario = with(FaultKind::Pause { hosts: one("west/0") });
    let alone = run_well(&scenario, 1).faults[0].unequal_max;
    let within = Fault { at: seconds(200), lasts: seconds(10), kind: FaultKind::Pause { hosts: one("west/0") } };
    scenario.faults.push(within);
    let outcome = run_well(&scenario, 1);
    assert!(outcome.faults[1].until >= seconds(360), "its host runs again when the other is over: {:?}", outcome.faults);
    assert_eq!(outcome.faults[0].unequal_max, alone);
    assert_eq!(outcome.faults[0].converged, outcome.faults[1].converged, "both end in one moment: neither is the earlier one");
}

#[test]
fn an_erasure_behind_a_cut_leaves_registers_unequal_until_the_cut_is_over() {
    let mut scenario = with(FaultKind::Cut { hosts: one("east"), to: vec![], one_way: false });
    scenario.workload.erasures = 0;
    let kind = FaultKind::Erase { host: "east/0".to_owned(), profile: 1 };
    scenario.faults.push(Fault { at: seconds(200), lasts: seconds(0), kind });
    let alone = Scenario { faults: vec![scenario.faults[1].clone()], ..scenario.clone() };
    let erased = &run_well(&scenario, 1).faults[1];
    assert!(erased.unequal_max > 0, "{erased:?}");
    let erased = &run_well(&alone, 1).faults[0];
    assert!(erased.unequal_max > 0 && erased.converged.is_some_and(|after| after < seconds(10)), "{erased:?}");
}

#[test]
fn a_device_without_a_line_is_unequal_until_it_is_back() {
    let fault = &run_well(&with(FaultKind::Offline { hosts: one("devices") }), 1).faults[0];
    assert!(fault.unequal_max > 0, "{fault:?}");
    assert!(fault.converged.is_some_and(|after| !after.is_zero() && after < seconds(60)), "{fault:?}");
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
        FaultKind::Clock { hosts: one("devices"), offset_ms: 45_000, drift_ppm: 200, frozen: false },
        FaultKind::Clock { hosts: one("east/0"), offset_ms: 0, drift_ppm: 0, frozen: true },
        FaultKind::RollingRestart { hosts: one("nodes"), down: seconds(5) },
        FaultKind::Pause { hosts: one("east/1") },
        FaultKind::LoseDisk { hosts: one("west/0") },
        FaultKind::RestoreBackup { hosts: one("east/0"), age: seconds(100), copy: false },
        FaultKind::RestoreBackup { hosts: one("west/1"), age: seconds(60), copy: true },
        FaultKind::FailSync { hosts: one("east/0") },
        FaultKind::FullDisk { hosts: one("west/1") },
        FaultKind::FlipBits { hosts: one("east/0"), count: 3 },
        FaultKind::TruncateLog { hosts: one("east/0"), count: 1 },
        FaultKind::ZeroLog { hosts: one("west/0"), count: 2 },
        FaultKind::Offline { hosts: one("devices") },
        FaultKind::Poison { host: "device/0".to_owned(), ahead_ms: 86_400_000, every: seconds(10) },
        FaultKind::Erase { host: "east/0".to_owned(), profile: 1 },
        FaultKind::Herd { hosts: one("west") },
    ];
    for (seed, kind) in kinds.into_iter().enumerate() {
        run_well(&with(kind), seed as u64);
    }
}

#[test]
fn what_only_lost_disks_held_is_told_as_lost_by_design() {
    let mut scenario = with(FaultKind::Offline { hosts: one("devices") });
    scenario.faults.push(Fault { at: seconds(300), lasts: seconds(1), kind: FaultKind::LoseDisk { hosts: one("devices") } });
    let outcome = run_well(&scenario, 1);
    assert!(outcome.lost_by_design > 0, "devices without a line watched for two minutes, and lost their disks");
    assert!(outcome.lost_by_design < outcome.updates);
    assert_eq!(outcome.faults[0].what, "devices offline", "people are told what the fault was");
}

#[test]
fn what_others_hold_is_not_lost_by_design() {
    // A change is at the others within a millisecond: hardly ever is a disk lost in between, and not from this seed.
    let mut scenario = with(FaultKind::LoseDisk { hosts: one("west/0") });
    scenario.network.latency = Latency::Given { rtt_ms: 0.2, jitter_ms: 0.0 };
    scenario.network.local_rtt_ms = 0.1;
    scenario.replicas.sync_ms = 0.1;
    assert_eq!(run_well(&scenario, 1).lost_by_design, 0);
    assert_eq!(run_well(&with(FaultKind::Crash { hosts: one("all"), times: 2, down: seconds(10) }), 1).lost_by_design, 0);
}

#[test]
fn without_faults_a_change_takes_one_way_and_a_little() {
    let outcome = run_well(&small(), 2);
    assert_eq!(outcome.propagation.len(), 2);
    for pair in &outcome.propagation {
        assert!(pair.count > 100 && pair.p99_ms <= pair.one_way_ms + 20.0, "{pair:?}");
    }
}
