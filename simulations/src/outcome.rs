//! What came of a run: figures for the summary, the JSON and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};

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
    #[serde(rename = "virtual_time_s", serialize_with = "seconds")]
    pub virtual_time: Duration,
    /// Real time it took. Not part of what a seed decides.
    #[serde(rename = "real_time_s", serialize_with = "seconds")]
    pub real_time: Duration,
    /// What was broken, as the checkers say it, the first few of each; empty when all is well.
    pub violations: Vec<String>,
    /// How much was found, also what is not kept in `violations`.
    pub violations_count: u64,
    /// What came of each checker.
    pub checkers: Vec<CheckerOutcome>,
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
    #[serde(serialize_with = "bytes_over_time")]
    pub bytes_over_time: Vec<(Duration, BTreeMap<String, u64>)>,
    /// Registers unequal among nodes, over time.
    #[serde(serialize_with = "divergence")]
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
    #[serde(rename = "where_time_goes_s", serialize_with = "seconds_by_name")]
    pub where_time_goes: BTreeMap<String, Duration>,
}

impl Outcome {
    /// Whether something that must hold did not.
    pub fn failed(&self) -> bool {
        !self.violations.is_empty() || !self.settled
    }

    /// The checkers that found something, by name; `settling` if replicas were not equal in the end.
    pub fn failed_checkers(&self) -> BTreeSet<&str> {
        let mut found: BTreeSet<&str> = self.violations.iter().map(|violation| checker(violation)).collect();
        if !self.settled {
            found.insert("settling");
        }
        found
    }

    /// How much a checker found, also what was not kept.
    pub fn found_by(&self, name: &str) -> u64 {
        let kept = self.violations.iter().filter(|violation| checker(violation) == name).count() as u64;
        self.checkers.iter().find(|one| one.name == name).map_or(kept, |one| one.found.max(kept))
    }

    /// Whether a checker had nothing to check in this world.
    pub fn had_nothing(&self, name: &str) -> bool {
        self.checkers.iter().any(|one| one.name == name && one.verdict == Verdict::NothingToCheck)
    }

    /// How much was found, also what was not kept.
    pub fn found_all(&self) -> u64 {
        self.violations_count.max(self.violations.len() as u64)
    }

    /// Bytes sent on all links.
    pub fn bytes_all(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// Bytes sent on all links for each update; 0 without updates.
    pub fn bytes_per_update(&self) -> f64 {
        if self.updates == 0 { 0.0 } else { self.bytes_all() as f64 / self.updates as f64 }
    }

    /// Events of the event loop a second of real time.
    pub fn steps_per_s(&self) -> f64 {
        self.steps as f64 / self.real_time.as_secs_f64().max(1e-9)
    }

    /// Records applied a second of real time, at all hosts.
    pub fn joins_per_s(&self) -> f64 {
        self.joins as f64 / self.real_time.as_secs_f64().max(1e-9)
    }
}

/// What came of a checker.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CheckerOutcome {
    /// Its name.
    pub name: String,
    /// Whether it held.
    pub verdict: Verdict,
    /// How much it found, also what was not kept.
    pub found: u64,
}

/// What a checker came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Verdict {
    /// It looked, and found nothing.
    #[serde(rename = "held")]
    Held,
    /// It found something.
    #[serde(rename = "violated")]
    Violated,
    /// Nothing happened, or nothing was asked, that it could have found fault with.
    #[serde(rename = "nothing to check")]
    NothingToCheck,
}

/// The checker that said so: the word before ` at ` or a colon.
fn checker(violation: &str) -> &str {
    let word = violation.split([' ', ':']).next().unwrap_or_default();
    if word.is_empty() { "unknown" } else { word }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
fn seconds_or_none<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

fn seconds_by_name<S: Serializer>(times: &BTreeMap<String, Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(times.iter().map(|(name, duration)| (name, duration.as_secs_f64())))
}

/// A sample of bytes, as it is serialized.
#[derive(Serialize)]
struct BytesSample<'a> {
    at_s: f64,
    bytes: &'a BTreeMap<String, u64>,
}

fn bytes_over_time<S: Serializer>(samples: &[(Duration, BTreeMap<String, u64>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(samples.iter().map(|(at, bytes)| BytesSample { at_s: at.as_secs_f64(), bytes }))
}

/// A sample of divergence, as it is serialized.
#[derive(Serialize)]
struct DivergenceSample {
    at_s: f64,
    registers_unequal: u64,
}

fn divergence<S: Serializer>(samples: &[(Duration, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(samples.iter().map(|(at, unequal)| DivergenceSample { at_s: at.as_secs_f64(), registers_unequal: *unequal }))
}

/// What became of a fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultOutcome {
    /// What it was, for people.
    pub what: String,
    /// When it began.
    #[serde(rename = "at_s", serialize_with = "seconds")]
    pub at: Duration,
    /// When it ended: its time was over, and the hosts that it had stopped ran again.
    #[serde(rename = "until_s", serialize_with = "seconds")]
    pub until: Duration,
    /// Most registers unequal from its beginning until what it had left was equal.
    pub unequal_max: u64,
    /// From its end until what it had left unequal was equal, at all nodes that were up and at devices that it struck; none: not before the end.
    #[serde(rename = "converged_s", serialize_with = "seconds_or_none")]
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
