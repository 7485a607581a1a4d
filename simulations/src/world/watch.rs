//! Those who look on: checkers, trace, figures.

use leftoff::progress::codec::Reader;
use leftoff::replica::RefusedReason;
use leftoff::store::Applied;
use leftoff::sync::message::{Ack, RefusalReason};

use super::measure::Measure;
use super::memory::Memory;
use super::stage::Stage;
use super::trace::Trace;
use crate::checkers::mix::is_looked_at;
use crate::checkers::{Kinds, Panel};
use crate::observation::{HostId, LinkId, Observation};
use crate::outcome::CheckerOutcome;

/// All of them.
pub(super) struct Watch {
    pub(super) trace: Trace,
    pub(super) measure: Measure,
    panel: Panel,
    /// One profile in so many is looked at closely.
    one_in: u64,
    memory: Memory,
}

impl Watch {
    pub(super) fn new(trace: Trace, measure: Measure, panel: Panel, one_in: u32) -> Self {
        Self { trace, measure, panel, one_in: u64::from(one_in), memory: Memory::default() }
    }

    /// Shows what happened to everyone.
    pub(super) fn see(&mut self, stage: &Stage, seen: &Observation<'_>) {
        self.trace.see(stage.now(), seen);
        self.check(stage, seen);
    }

    /// Whether anybody looks at what is of this kind.
    pub(super) const fn wants(&self, kind: Kinds) -> bool {
        self.panel.wants().contains(kind)
    }

    fn check(&mut self, stage: &Stage, seen: &Observation<'_>) {
        let begun = self.measure.begin_part();
        self.panel.observe(stage.at(), seen, stage);
        self.measure.end_part("checkers", begun);
    }

    /// Whether a record at a node is of a profile that is looked at closely.
    fn looks_at(&self, applied: &Applied<'_>) -> bool {
        // A record begins with its kind and its profile; bytes that do not decode are not applied.
        let profile = || Reader::new(applied.encoded().get(1..)?).id("profile").ok();
        self.one_in <= 1 || applied.is_tombstone() || profile().is_some_and(|profile| is_looked_at(profile.as_ref(), self.one_in))
    }

    /// Shows a record that became durable.
    pub(super) fn applied(&mut self, stage: &Stage, host: usize, applied: &Applied<'_>) {
        let id = HostId(host as u32);
        self.trace.applied(stage.now(), id, applied);
        self.measure.applied(stage, host, applied);
        if !self.wants(Kinds::APPLIED) {
            return;
        }
        if stage.hosts[host].is_node() && !self.looks_at(applied) {
            let (seq, local, changed) = (applied.seq, applied.origin.replica().is_none(), applied.changed);
            self.check(stage, &Observation::Passed { host: id, seq, local, changed });
            return;
        }
        let mut memory = std::mem::take(&mut self.memory);
        // Bytes that do not decode are not applied.
        if let Ok((record, same)) = memory.record(applied) {
            let from = applied.origin.replica();
            let (seq, unshared, changed) = (applied.seq, applied.unshared, applied.changed);
            self.check(stage, &Observation::Applied { host: id, seq, from, record, unshared, changed, same });
        }
        self.memory = memory;
    }

    /// Shows that a group is about to be written.
    pub(super) fn flushing(&mut self, stage: &Stage, host: usize) {
        if self.wants(Kinds::FLUSHING) {
            self.check(stage, &Observation::Flushing { host: HostId(host as u32) });
        }
    }

    /// Shows that a frame of records was not taken now.
    pub(super) fn put_off(&mut self, stage: &Stage, link: LinkId, host: HostId) {
        self.check(stage, &Observation::PutOff { link, host });
    }

    /// Shows which records of a peer an acknowledgement says were refused.
    pub(super) fn show_refused(&mut self, stage: &Stage, link: LinkId, (host, peer): (HostId, HostId), body: &[u8]) {
        // The link has just encoded it.
        let Ok(ack) = Ack::decode(body) else { return };
        for refused in ack.refused {
            let (reason, name) = match refused.reason {
                RefusalReason::AheadOfClock => (RefusedReason::TooFarAhead, "too far ahead"),
                RefusalReason::Forbidden => (RefusedReason::NotEntitled, "not entitled"),
                _ => (RefusedReason::OutOfBounds, "out of bounds"),
            };
            *self.measure.refused_records.entry(name.to_owned()).or_default() += 1;
            let (profile, title) = (&refused.profile, refused.title.as_ref());
            self.see(stage, &Observation::Refused { link, host, peer, profile, title, reason });
        }
    }

    /// The world is at rest, or out of time.
    pub(super) fn at_rest(&mut self, stage: &Stage, settled: bool) {
        self.panel.at_rest(stage.at(), settled, stage);
    }

    /// Acknowledged changes that are nowhere, as the checkers' ledger has it; 0 if it is not kept.
    pub(super) fn lost_by_design(&self) -> u64 {
        self.panel.lost_by_design()
    }

    /// What came of each checker, but for the ledger, which only keeps the books; and how much was found in all.
    pub(super) fn checkers(&self) -> (Vec<CheckerOutcome>, u64) {
        let checkers = self.panel.outcomes().into_iter().filter(|checker| checker.name != "ledger").collect();
        (checkers, self.panel.count())
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.panel.found().iter().map(ToString::to_string).collect()
    }
}
