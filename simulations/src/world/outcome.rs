//! What came of it.

use super::World;
use super::conn::Conn;
use crate::outcome::{FaultOutcome, LinkOutcome, Outcome};

impl World<'_> {
    pub(super) fn outcome(mut self) -> Outcome {
        let conns: Vec<u32> = self.stage.conns.indexes();
        for index in conns {
            if let Some(conn) = self.stage.conns.take_any(index) {
                let conn: Box<Conn> = conn;
                self.account(&conn);
            }
        }
        let trace_hash = self.watch.trace.hash();
        let mut violations = self.watch.violations();
        let (checkers, found) = self.watch.checkers();
        let kept = violations.len() as u64;
        violations.extend(self.watch.trace.finish().map(|reason| format!("trace at the end: it could not be written: {reason}")));
        violations.extend(self.unsettled.take().map(|what| format!("settling at {:?}: {what}", self.stage.at())));
        let violations_count = found + (violations.len() as u64 - kept);
        let measure = &self.watch.measure;
        let names: Vec<String> = self.stage.hosts.iter().map(|host| host.name.clone()).collect();
        let regions: Vec<String> = self.scenario.regions.iter().map(|region| region.name.clone()).collect();
        let node_of = |place: usize| self.stage.hosts[..self.stage.nodes].iter().position(|host| host.place == place);
        let one_way_ms = |from: usize, to: usize| match (node_of(from), node_of(to)) {
            (Some(from), Some(to)) => self.paths.way(from, to).mean_us() / 1_000.0,
            _ => 0.0,
        };
        let name = |host: u32| names.get(host as usize).cloned().unwrap_or_default();
        let links = measure.passed.iter().map(|((from, to), passed)| LinkOutcome {
            from: name(*from),
            to: name(*to),
            bytes: passed.bytes,
            frames: passed.frames,
            links: passed.links,
            one_way_ms: self.paths.way(*from as usize, *to as usize).mean_us() / 1_000.0,
        });
        let faults = self.scenario.faults.iter().enumerate().map(|(index, fault)| FaultOutcome {
            what: fault.kind.to_string(),
            at: fault.at,
            until: measure.divergence.ended(index).unwrap_or(fault.at + fault.lasts),
            unequal_max: measure.divergence.most(index),
            converged: measure.divergence.converged(index),
        });
        Outcome {
            scenario: self.scenario.name.clone(),
            about: self.scenario.about.clone(),
            seed: self.seed,
            trace_hash,
            virtual_time: self.stage.at(),
            violations,
            violations_count,
            checkers,
            settled: self.settled,
            reports: measure.reports,
            accepted: measure.accepted,
            refused: measure.refused.clone(),
            updates: measure.updates,
            joins: measure.joins,
            coalesced: measure.propagation.coalesced(),
            refused_records: measure.refused_records.clone(),
            lost_by_design: self.watch.lost_by_design(),
            registers: self.registers(),
            steps: measure.steps,
            bytes: measure.bytes(),
            bytes_over_time: measure.bytes_over_time(),
            divergence: measure.divergence.samples().to_vec(),
            faults: faults.collect(),
            propagation: measure.propagation.outcome(&regions, &one_way_ms),
            peaks: measure.peaks(),
            links: links.collect(),
            where_time_goes: measure.where_time_goes(),
            hosts: names,
            ..Outcome::default()
        }
    }
}
