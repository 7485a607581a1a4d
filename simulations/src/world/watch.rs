//! Those who look on: checkers, trace, figures.

use leftoff::store::{Applied, Origin};

use super::measure::Measure;
use super::stage::Stage;
use super::trace::Trace;
use crate::checkers::{Checker, Violation};
use crate::observation::{HostId, Observation};

/// Violations kept; a run that breaks everywhere says the same again and again.
const FOUND_COUNT_MAX: usize = 1_000;

/// All of them.
pub(super) struct Watch {
    pub(super) trace: Trace,
    pub(super) measure: Measure,
    checkers: Vec<Box<dyn Checker>>,
    found: Vec<Violation>,
}

impl Watch {
    pub(super) fn new(trace: Trace, measure: Measure, checkers: Vec<Box<dyn Checker>>) -> Self {
        Self { trace, measure, checkers, found: Vec::new() }
    }

    /// Shows what happened to everyone.
    pub(super) fn see(&mut self, stage: &Stage, seen: &Observation<'_>) {
        self.trace.see(stage.now(), seen);
        self.check(stage, seen);
    }

    fn check(&mut self, stage: &Stage, seen: &Observation<'_>) {
        if self.found.len() < FOUND_COUNT_MAX {
            for checker in &mut self.checkers {
                checker.observe(stage.at(), seen, stage, &mut self.found);
            }
        }
    }

    /// Shows a record that became durable.
    pub(super) fn applied(&mut self, stage: &Stage, host: usize, applied: &Applied<'_>) {
        let id = HostId(host as u32);
        self.trace.applied(stage.now(), id, applied);
        self.measure.applied(stage, host, applied);
        if self.checkers.is_empty() {
            return;
        }
        // Bytes that do not decode are not applied.
        let Ok(record) = applied.record() else { return };
        let from = match applied.origin {
            Origin::Local => None,
            Origin::Peer(peer) => Some(peer),
        };
        let (seq, unshared, changed) = (applied.seq, applied.unshared, applied.changed);
        self.check(stage, &Observation::Applied { host: id, seq, from, record: &record, unshared, changed });
    }

    /// The world is at rest, or out of time.
    pub(super) fn at_rest(&mut self, stage: &Stage, settled: bool) {
        for checker in &mut self.checkers {
            checker.at_rest(stage.at(), settled, stage, &mut self.found);
        }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }
}
