//! Figures of a run, taken while it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use leftoff::limits::IN_FLIGHT_BYTES_MAX;
use leftoff::progress::Progress;
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
    pub(super) lost_by_design: u64,
    pub(super) bytes: [u64; 4],
    pub(super) bytes_over_time: Vec<(VirtualTime, [u64; 4])>,
    bytes_before: [u64; 4],
    pub(super) passed: BTreeMap<(u32, u32), Passed>,
    pub(super) peaks: BTreeMap<&'static str, Peak>,
    pub(super) divergence: Divergence,
    pub(super) propagation: Propagation,
    times: BTreeMap<&'static str, Duration>,
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
            lost_by_design: 0,
            bytes: [0; 4],
            bytes_over_time: Vec::new(),
            bytes_before: [0; 4],
            passed: BTreeMap::new(),
            peaks: BTreeMap::new(),
            divergence: Divergence::default(),
            propagation,
            times: BTreeMap::new(),
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
            return;
        }
        let key = applied.key;
        let wants = self.divergence.wants(key);
        let measures = self.propagation.measures(key);
        if !wants && !measures {
            return;
        }
        let place = found.place;
        // From here, or from a device: its changes are news of this region.
        let from_peer = matches!(applied.origin, Origin::Peer(peer) if stage.node_ids.contains(&peer));
        if !wants && from_peer && !self.propagation.awaits(key, place) {
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

    pub(super) fn peak(&mut self, name: &'static str, most: u64, bound: u64) {
        let peak = self.peaks.entry(name).or_default();
        *peak = Peak { most: peak.most.max(most), bound };
    }

    /// Takes what is taken now and then.
    pub(super) fn sample(&mut self, stage: &Stage) {
        let spent: [u64; 4] = std::array::from_fn(|index| self.bytes[index] - self.bytes_before[index]);
        self.bytes_before = self.bytes;
        self.bytes_over_time.push((stage.at(), spent));
        self.divergence.sample(stage);
        for host in &stage.hosts {
            let Some(core) = host.core.as_deref() else { continue };
            let (figures, options) = (core.store().figures(), core.store().options());
            self.peak("table of changed registers, bytes", figures.table_bytes as u64, options.table_bytes_max as u64);
            self.peak("buffer before the log, bytes", figures.pending_bytes as u64, options.pending_bytes_max as u64);
            self.peak("ring of changes", figures.ring_count as u64, options.ring_count_max as u64);
            self.peak("playheads", core.playheads_count() as u64, core.options().playheads_count_max as u64);
        }
        for (_, conn) in stage.conns.iter() {
            for (side, wire) in conn.sides.iter().zip(&conn.wires) {
                let (fill, window) = wire.fill();
                self.peak("stream between two hosts, bytes", fill as u64, window as u64);
                if let (Some(link), Some(core)) = (&side.link, stage.hosts[side.host].core.as_deref()) {
                    self.peak("records in flight on a link, bytes", link.figures(core).in_flight_bytes as u64, IN_FLIGHT_BYTES_MAX as u64);
                }
            }
        }
    }

    /// Runs a part of the simulator and notes the real time it took, if there is a clock.
    pub(super) fn begin(&self) -> Option<MonotonicTime> {
        self.clock.map(|clock| clock())
    }

    pub(super) fn end(&mut self, part: &'static str, begun: Option<MonotonicTime>) {
        if let (Some(clock), Some(begun)) = (self.clock, begun) {
            *self.times.entry(part).or_default() += clock().saturating_since(begun);
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
