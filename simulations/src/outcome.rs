//! What came of a run: figures for the summary, the JSON and the report.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Everything that a run found and measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What it asks.
    pub about: String,
    /// The seed.
    pub seed: u64,
    /// The version of the code: the commit, if it was built in a work tree.
    pub commit: String,
    /// The hash of the trace: equal for equal histories.
    pub trace_hash: String,
    /// Virtual time from the beginning to rest.
    pub virtual_time: Duration,
    /// Real time it took. Not part of what a seed decides.
    pub real_time: Duration,
    /// What was broken, as the checkers say it; empty when all is well.
    pub violations: Vec<String>,
    /// Whether all replicas ended equal.
    pub settled: bool,
    /// Hosts by name, nodes first.
    pub hosts: Vec<String>,
    /// Reports handed in; accepted; refused by reason.
    pub reports: u64,
    /// Those that were accepted.
    pub accepted: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Registers made or changed by reports at their own host.
    pub updates: u64,
    /// Records applied at all hosts, their own included: joins.
    pub joins: u64,
    /// Updates that went with a later one of the same register.
    pub coalesced: u64,
    /// Records refused between replicas, by reason.
    pub refused_records: BTreeMap<String, u64>,
    /// Acknowledged reports that are nowhere any more, because every disk that held them was lost.
    pub lost_by_design: u64,
    /// Registers at rest.
    pub registers: u64,
    /// Events of the event loop.
    pub steps: u64,
    /// Bytes sent, by what is in them.
    pub bytes: BTreeMap<String, u64>,
    /// Bytes sent over time, by what is in them.
    pub bytes_over_time: Vec<(Duration, BTreeMap<String, u64>)>,
    /// Registers unequal among nodes, over time.
    pub divergence: Vec<(Duration, u64)>,
    /// The faults, with when all was equal again after each.
    pub faults: Vec<FaultOutcome>,
    /// From a change made durable in one region to it being durable in another.
    pub propagation: Vec<Propagation>,
    /// Highest fill of tables and queues at any host, by name, with their bounds.
    pub peaks: BTreeMap<String, Peak>,
    /// Links between hosts.
    pub links: Vec<LinkOutcome>,
    /// Real time by part of the simulator, where it was measured.
    pub where_time_goes: BTreeMap<String, Duration>,
}

/// What became of a fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultOutcome {
    /// What it was, for people.
    pub what: String,
    /// When it began.
    pub at: Duration,
    /// When it ended.
    pub until: Duration,
    /// Most registers unequal while it lasted.
    pub unequal_max: u64,
    /// From its end until all nodes that were up were equal, or until the next fault began; none: not before the end.
    pub converged: Option<Duration>,
}

/// How long changes took from one region to another.
#[derive(Clone, Debug, Serialize)]
pub struct Propagation {
    /// From this region.
    pub from: String,
    /// To that.
    pub to: String,
    /// Changes measured.
    pub count: u64,
    /// The mean one way of the pair without faults, in milliseconds.
    pub one_way_ms: f64,
    /// Half took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
    /// Counts by upper bound in milliseconds: for the plot.
    pub histogram: Vec<(f64, u64)>,
}

/// The highest fill of something bounded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Peak {
    /// The most that there was.
    pub most: u64,
    /// The bound.
    pub bound: u64,
}

/// What passed between two hosts.
#[derive(Clone, Debug, Serialize)]
pub struct LinkOutcome {
    /// From this host.
    pub from: String,
    /// To that.
    pub to: String,
    /// Bytes sent.
    pub bytes: u64,
    /// Frames sent.
    pub frames: u64,
    /// Links begun between them, by this side.
    pub links: u64,
    /// Mean one-way delay without faults, in milliseconds.
    pub one_way_ms: f64,
}
