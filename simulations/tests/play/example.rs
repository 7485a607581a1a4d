//! An outcome made by hand, with something of everything.

use std::collections::BTreeMap;
use std::time::Duration;

use leftoff_simulations::outcome::{FaultOutcome, LinkOutcome, Outcome, Peak, Propagation};
use leftoff_simulations::scenario::{Scenario, library};

pub(crate) fn scenario() -> Scenario {
    library::scenario("region-cut").unwrap().unwrap()
}

fn named(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

pub(crate) fn example() -> Outcome {
    let scenario = scenario();
    let seconds = Duration::from_secs;
    let nodes: Vec<String> = scenario.host_names().into_iter().filter(|name| !name.starts_with("device")).collect();
    let mut links = Vec::new();
    for (i, from) in nodes.iter().enumerate() {
        for (j, to) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
            links.push(LinkOutcome {
                from: from.clone(),
                to: to.clone(),
                bytes: 1_000 * (1 + i as u64 * j as u64 * 37),
                frames: 40,
                links: 1,
                one_way_ms: 40.0 + (i * j) as f64,
            });
        }
        links.push(LinkOutcome { from: format!("device/{i}"), to: from.clone(), bytes: 9_000, frames: 12, links: 2, one_way_ms: 15.0 });
    }
    let regions = ["eu-central-1", "us-east-1", "ap-southeast-2"];
    let mut propagation = Vec::new();
    for (i, from) in regions.iter().enumerate() {
        for (j, to) in regions.iter().enumerate().filter(|(j, _)| *j != i) {
            let way = 42.0 + 40.0 * (i + j) as f64 - 40.0;
            propagation.push(Propagation {
                from: (*from).into(),
                to: (*to).into(),
                count: 4_321,
                one_way_ms: way,
                p50_ms: way + 3.0,
                p99_ms: way + 19.0,
                max_ms: 90_000.0,
                histogram: vec![(way * 1.1, 2_000), (way * 1.34, 2_200), (way * 1.64, 100), (way * 2.0, 0), (60_000.0, 11), (90_000.0, 10)],
            });
        }
    }
    let cut = |second: u64| (180..660).contains(&second);
    let divergence = (0..=100).map(|step| (seconds(step * 10), if cut(step * 10) { step * 5 } else { step * 7 % 6 })).collect();
    Outcome {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: 7,
        commit: "0123456789ab".into(),
        trace_hash: "00112233445566778899aabbccddeeff".into(),
        virtual_time: Duration::from_millis(1_000_500),
        real_time: Duration::from_millis(840),
        settled: true,
        hosts: scenario.host_names(),
        reports: 3_000,
        accepted: 2_990,
        refused: named(&[("too-many-titles", 3), ("not ready", 7)]),
        updates: 2_800,
        joins: 16_000,
        coalesced: 412,
        refused_records: named(&[("from the future", 2)]),
        lost_by_design: 0,
        registers: 210,
        steps: 182_233,
        bytes: named(&[("records", 900_000), ("acks", 80_000), ("control", 30_000), ("reconciliation", 120_000)]),
        bytes_over_time: (1..=100)
            .map(|step| {
                (
                    seconds(step * 10),
                    named(&[
                        ("records", if cut(step * 10) { 3_000 } else { 9_000 }),
                        ("acks", 800),
                        ("control", 300),
                        ("reconciliation", if step == 67 { 120_000 } else { 0 }),
                    ]),
                )
            })
            .collect(),
        divergence,
        faults: vec![
            FaultOutcome {
                what: "cut of eu-central-1".into(),
                at: seconds(180),
                until: seconds(660),
                unequal_max: 325,
                converged: Some(Duration::from_millis(1_250)),
            },
            FaultOutcome {
                what: "worse links of everyone: 5 % lost".into(),
                at: seconds(700),
                until: seconds(860),
                unequal_max: 30,
                converged: None,
            },
            FaultOutcome {
                what: "crash of us-east-1/0, down 10 s".into(),
                at: seconds(880),
                until: seconds(890),
                unequal_max: 12,
                converged: Some(Duration::from_millis(17_300)),
            },
        ],
        propagation,
        peaks: [("table of changed registers, bytes", 120_000, 4 << 20), ("ring of changes", 4_096, 4_096)]
            .into_iter()
            .map(|(name, most, bound)| (name.to_owned(), Peak { most, bound }))
            .collect(),
        links,
        where_time_goes: BTreeMap::from([
            ("store".to_owned(), Duration::from_millis(300)),
            ("sync".to_owned(), Duration::from_millis(200)),
        ]),
        ..Outcome::default()
    }
}
