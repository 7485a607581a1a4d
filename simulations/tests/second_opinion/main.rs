//! A second opinion: what the simulator says of the end of a story is said again by another simulator.
//!
//! The simulator of this crate tells a story (viewers, a region cut off, healing); every report is written down with the host that took it and
//! that host's clock. Then the same reports are told to the same replicas and links over `turmoil`: its network, its TCP, its partitions, tokio's
//! timers, and a shell around the links that shares nothing with the simulator's. Both must end with the same registers, byte for byte.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod cluster;
mod script;

use script::Script;

const STORY: &str = r#"
about = "Three regions; viewers in all of them share profiles; one region is cut off, and comes back when everybody has gone to bed."
duration = "5min"
settle = "5min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]

[network]
latency = "120ms"

[workload]
viewers = 24
viewers_per_profile = 3
replicas_share = "0 %"
titles = 12
retries = "0 %"
watch = "3min"
hides = 4
erasures = 1

[replicas]
sync = "0ms"

[[faults]]
kind = "cut"
at = "2min"
lasts = "3min"
hosts = "us-east-1"
"#;

#[test]
fn another_simulator_ends_with_the_same_registers() {
    for seed in [1, 2, 3] {
        let script = Script::of(STORY, seed);
        assert!(script.reports() > 200, "there is something to tell: {} reports", script.reports());
        let end = cluster::tell(&script);
        assert!(script.end.len() > 20, "and something to compare: {} registers", script.end.len());
        for (node, stock) in end.iter().enumerate() {
            assert_eq!(stock.keys().collect::<Vec<_>>(), script.end.keys().collect::<Vec<_>>(), "seed {seed}, node {node}");
            for (register, bytes) in stock {
                let (here, there) = (script::show(bytes), script::show(&script.end[register]));
                assert_eq!(here, there, "seed {seed}, node {node}, register {register:?}");
                assert_eq!(bytes, &script.end[register]);
            }
        }
    }
}
