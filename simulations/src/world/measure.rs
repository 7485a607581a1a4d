//! Figures of a run, taken while it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use leftoff::progress::Progress;
use leftoff::replica::Core;
use leftoff::store::{Applied, Origin, Record, RegisterKey};
use leftoff::time::MonotonicTime;

use super::divergence::Divergence;
use super::propagation::Propagation;
use super::queue::Micros;
use super::stage::Stage;
use crate::observation::{Traffic, VirtualTime};
use crate::outcome::Peak;

/// Names of what bytes are spent on, in the order of [`Traffic`].
const TRAFFIC: [&str; 4] = ["control", "records", "acks", "reconciliation"];

/// What fills, in the order of [`Fill`].
const FILLS: [&str; 6] = [
    "table of changed registers, bytes",
    "buffer before the log, bytes",
    "ring of changes",
    "playheads",
    "stream between two hosts, bytes",
    "records in flight on a link, bytes",
];

/// Devices that are asked for their playheads in one sample, about.
const DEVICES_PER_SAMPLE: usize = 64;

/// Something bounded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fill {
    Table,
    Buffer,
    Ring,
    Playheads,
    Stream,
    InFlight,
}

/// Of events that are many, one in so many is timed. A prime, so that what takes turns is met evenly.
const TIMED_ONE_IN: u64 = 101;

/// When a part of an event began, and what had been spent in parts of it by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    at: MonotonicTime,
    nested: Duration,
}

/// What passed between two hosts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    pub(super) links: u64,
}

/// All figures.
pub(super) struct Measure {
    pub(super) reports: u64,
    pub(super) accepted: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) refused_records: BTreeMap<String, u64>,
    pub(super) updates: u64,
    pub(super) joins: u64,
    pub(super) steps: u64,
    pub(super) bytes: [u64; 4],
    pub(super) bytes_over_time: Vec<(VirtualTime, [u64; 4])>,
    bytes_before: [u64; 4],
    pub(super) passed: BTreeMap<(u32, u32), Passed>,
    peaks: [Peak; FILLS.len()],
    /// Samples taken.
    turn: usize,
    pub(super) divergence: Divergence,
    pub(super) propagation: Propagation,
    times: BTreeMap<&'static str, Duration>,
    /// So many events does the present one stand for; none: it is not timed.
    stands_for: u32,
    /// What was spent within the present event in parts that are told by themselves.
    nested: Duration,
    clock: Option<fn() -> MonotonicTime>,
}

impl Measure {
    pub(super) fn new(propagation: Propagation, clock: Option<fn() -> MonotonicTime>) -> Self {
        Self {
            reports: 0,
            accepted: 0,
            refused: BTreeMap::new(),
            refused_records: BTreeMap::new(),
            updates: 0,
            joins: 0,
            steps: 0,
            bytes: [0; 4],
            bytes_over_time: Vec::new(),
            bytes_before: [0; 4],
            passed: BTreeMap::new(),
            peaks: [Peak::default(); FILLS.len()],
            turn: 0,
            divergence: Divergence::default(),
            propagation,
            times: BTreeMap::new(),
            stands_for: 0,
            nested: Duration::ZERO,
            clock,
        }
    }

    /// A record became durable at a host. `record` is asked for the record only where a figure needs it.
    pub(super) fn applied(&mut self, stage: &Stage, host: usize, applied: &Applied<'_>) {
        self.joins += 1;
        let found = &stage.hosts[host];
        let local = matches!(applied.origin, Origin::Local);
        self.updates += u64::from(local && (applied.changed || applied.unshared));
        if !found.is_node() || !applied.changed {
            return;
        }
        if applied.is_tombstone() {
            self.propagation.forget_profile(applied.key.profile_hash());
            self.divergence.note_erased(stage, applied.key.profile_hash());
            return;
        }
        let key = applied.key;
        let place = found.place;
        // Otherwise it is from here, or from a device: its changes are news of this region.
        let from_peer = matches!(applied.origin, Origin::Peer(peer) if stage.node_ids.contains(&peer));
        let wants = !from_peer && self.divergence.wants(key);
        let measures = self.propagation.measures(key) && (!from_peer || self.propagation.awaits(key, place));
        if !wants && !measures {
            return;
        }
        let Ok(Record::Register { profile, title, state }) = applied.record() else { return };
        if measures {
            self.note_propagation(stage.now(), key, place, from_peer, state);
        }
        if wants {
            self.divergence.note(key, profile, title);
        }
    }

    fn note_propagation(&mut self, now: Micros, key: RegisterKey, place: usize, from_peer: bool, state: Progress) {
        if from_peer {
            self.propagation.arrive(key, now, place, &state);
        } else {
            self.propagation.begin(key, now, place, state);
        }
    }

    pub(super) fn sent(&mut self, traffic: Traffic, bytes: usize) {
        self.bytes[traffic as usize] += bytes as u64;
    }

    /// Takes note of how full something is, and of its bound.
    pub(super) const fn fill(&mut self, fill: Fill, most: usize, bound: usize) {
        let peak = &mut self.peaks[fill as usize];
        if most as u64 > peak.most || peak.bound == 0 {
            *peak = Peak { most: if most as u64 > peak.most { most as u64 } else { peak.most }, bound: bound as u64 };
        }
    }

    /// A group is about to be written: now the buffer before the log is at its fullest, and the table since the last fold.
    pub(super) fn flushes(&mut self, core: &Core) {
        let (fill, options) = (core.store().fill(), core.store().options());
        self.fill(Fill::Buffer, fill.pending_bytes, options.pending_bytes_max);
        self.fill(Fill::Table, fill.table_bytes, options.table_bytes_max);
        self.fill(Fill::Ring, fill.ring_count, options.ring_count_max);
    }

    pub(super) fn peaks(&self) -> BTreeMap<String, Peak> {
        FILLS.iter().zip(&self.peaks).filter(|(_, peak)| peak.bound > 0).map(|(name, peak)| ((*name).to_owned(), *peak)).collect()
    }

    /// Takes what is taken now and then.
    pub(super) fn sample(&mut self, stage: &Stage) {
        let spent: [u64; 4] = std::array::from_fn(|index| self.bytes[index] - self.bytes_before[index]);
        self.bytes_before = self.bytes;
        self.bytes_over_time.push((stage.at(), spent));
        self.divergence.sample(stage);
        // Counting playheads locks each shard of them: all nodes are asked each time, and of many devices some.
        let (nodes, devices) = stage.hosts.split_at(stage.nodes);
        let apart = (devices.len() / DEVICES_PER_SAMPLE).max(1);
        let asked = nodes.iter().chain(devices.iter().skip(self.turn % apart).step_by(apart));
        for core in asked.filter_map(|host| host.core.as_deref()) {
            self.fill(Fill::Playheads, core.playheads_count(), core.options().playheads_count_max);
            self.flushes(core);
        }
        self.turn += 1;
    }

    /// An event begins; `is_frequent`: there are so many of its kind that a few of them tell where the time goes.
    pub(super) fn begin(&mut self, is_frequent: bool) -> Option<Begun> {
        self.steps += 1;
        self.stands_for = if !is_frequent {
            1
        } else if self.steps.is_multiple_of(TIMED_ONE_IN) {
            TIMED_ONE_IN as u32
        } else {
            0
        };
        self.nested = Duration::ZERO;
        self.begin_part()
    }

    /// A part of an event begins that is told by itself.
    #[inline]
    pub(super) fn begin_part(&self) -> Option<Begun> {
        if self.stands_for == 0 {
            return None;
        }
        let clock = self.clock?;
        Some(Begun { at: clock(), nested: self.nested })
    }

    /// It ends; what was spent in parts within it is theirs.
    #[inline]
    pub(super) fn end_part(&mut self, part: &'static str, begun: Option<Begun>) {
        if let Some(begun) = begun {
            self.end_timed(part, begun);
        }
    }

    #[cold]
    fn end_timed(&mut self, part: &'static str, begun: Begun) {
        if let Some(clock) = self.clock {
            let took = clock().saturating_since(begun.at);
            let own = took.saturating_sub(self.nested.saturating_sub(begun.nested));
            self.nested = begun.nested + took;
            *self.times.entry(part).or_default() += own * self.stands_for;
        }
    }

    pub(super) fn where_time_goes(&self) -> BTreeMap<String, Duration> {
        self.times.iter().map(|(part, time)| ((*part).to_owned(), *time)).collect()
    }

    pub(super) fn bytes(&self) -> BTreeMap<String, u64> {
        named(&self.bytes)
    }

    pub(super) fn bytes_over_time(&self) -> Vec<(VirtualTime, BTreeMap<String, u64>)> {
        self.bytes_over_time.iter().map(|(at, bytes)| (*at, named(bytes))).collect()
    }
}

fn named(bytes: &[u64; 4]) -> BTreeMap<String, u64> {
    TRAFFIC.iter().zip(bytes).map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}
