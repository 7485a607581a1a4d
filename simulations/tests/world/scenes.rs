//! Small scenarios for these tests.

use std::time::Duration;

use leftoff_simulations::outcome::Outcome;
use leftoff_simulations::scenario::{Checks, Fault, FaultKind, Habits, Latency, Network, Quality, Region, Replicas, Scenario, Workload};
use leftoff_simulations::world::{self, Options};

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two regions of two nodes, twenty viewers with a thin client and a replica each, ten minutes.
pub(crate) fn small() -> Scenario {
    let region = |name: &str| Region { name: name.to_owned(), nodes: 2, at: None };
    Scenario {
        name: "small".to_owned(),
        about: "nothing breaks".to_owned(),
        duration: seconds(600),
        settle: seconds(600),
        regions: vec![region("east"), region("west")],
        network: Network {
            latency: Latency::Given { rtt_ms: 80.0, jitter_ms: 2.0 },
            local_rtt_ms: 1.0,
            device_rtt_ms: 30.0,
            quality: Quality::default(),
        },
        workload: Workload {
            viewers: 20,
            viewers_per_profile: 2,
            devices_per_viewer: 2,
            replicas_share: 0.5,
            titles: 40,
            title_minutes: 25.0,
            watch_minutes: 8.0,
            heartbeat: seconds(10),
            retries: 0.05,
            reads: 0.1,
            habits: Habits {
                watch: 4.0,
                pause: 2.0,
                skip: 1.0,
                back: 1.0,
                tap: 1.0,
                restart: 0.5,
                next: 1.0,
                switch: 2.0,
                sleep: 0.2,
                idle: 0.5,
                rewatch: 0.3,
                offline: 0.5,
            },
            hot_share: 0.1,
            erasures: 1,
            hides: 3,
        },
        faults: Vec::new(),
        replicas: Replicas {
            ttl_days: None,
            sync_ms: 2.0,
            table_bytes_max: 4 << 20,
            ring_count_max: 1 << 14,
            segment_bytes: 256 << 10,
            scrub_interval: None,
            drift_ms_max: 60_000,
        },
        checks: Checks {
            bytes_per_update_max: None,
            bytes_per_repaired_max: None,
            exchanges_max: None,
            propagation_over_ms_max: None,
            one_profile_in: 1,
        },
    }
}

/// The same with a fault from the third to the sixth minute.
pub(crate) fn with(kind: FaultKind) -> Scenario {
    Scenario { faults: vec![Fault { at: seconds(180), lasts: seconds(180), kind }], ..small() }
}

pub(crate) fn run(scenario: &Scenario, seed: u64) -> Outcome {
    world::run(scenario, seed, Options::default())
}

/// Runs it and expects that it ends well.
pub(crate) fn run_well(scenario: &Scenario, seed: u64) -> Outcome {
    let outcome = run(scenario, seed);
    assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
    assert!(outcome.settled, "seed {seed} of {:?} did not settle", scenario.faults);
    assert!(outcome.accepted > 100, "{} reports", outcome.accepted);
    outcome
}
