//! Bytes and exchanges within budget: for each change, for each register that is repaired after faults, and on each link until it is.
//!
//! What a repair costs is counted from when the last of the faults that overlap is over until nothing is unequal that they left unequal among the
//! nodes, or the next fault begins. Viewers go on meanwhile, so what they change is granted its own part. After healing nobody watches: there it is
//! counted until the world is at rest, so that exchanges that go on although all is equal are seen.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, LEDGER_KINDS};
use super::ledger::{Ledger, RegisterNo};
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{HostId, Observation, Traffic, View, VirtualTime};
use crate::scenario::quantity::show_duration;
use crate::scenario::{Checks, Scenario};
use leftoff::store::Record;

/// See the module's head.
#[derive(Debug)]
pub struct TrafficBudget {
    book: Book,
    checks: Checks,
    bytes: u64,
    updates: u64,
    /// Faults that have begun and are not over.
    active: BTreeSet<usize>,
    repair: Option<Repair>,
    /// Whether anything was held against a budget.
    judged: bool,
}

/// What follows faults that are over.
#[derive(Debug, Default)]
struct Repair {
    since: VirtualTime,
    /// Whether all is healed and nobody watches any more.
    healed: bool,
    nodes: BTreeSet<HostId>,
    /// Registers that are not yet the same at all nodes.
    left: BTreeSet<RegisterNo>,
    /// Registers that some node lacked something of, counted at each node.
    unequal: u64,
    /// Changes made meanwhile.
    updates: u64,
    /// Between nodes.
    bytes: u64,
    frames: BTreeMap<(HostId, HostId), u32>,
}

impl Repair {
    fn begins(since: VirtualTime, healed: bool, ledger: &Ledger, view: &dyn View) -> Self {
        let nodes: BTreeSet<HostId> = view.hosts().into_iter().filter(|host| view.is_node(*host)).collect();
        let mut repair = Self { since, healed, nodes, ..Self::default() };
        for register in ledger.registers() {
            let lacking = repair.lacking(ledger, register);
            if lacking > 0 {
                repair.unequal += lacking;
                repair.left.insert(register);
            }
        }
        repair
    }

    /// How many nodes lack something of a register.
    fn lacking(&self, ledger: &Ledger, register: RegisterNo) -> u64 {
        let mut held = self.nodes.iter().map(|host| ledger.shared(*host, register));
        let Some(first) = held.next() else { return 0 };
        if held.all(|one| one == first) {
            return 0;
        }
        let held = || self.nodes.iter().map(|host| ledger.shared(*host, register));
        let all = Facts::of_all(held().flatten());
        held().filter(|one| one.is_none_or(|one| *one != all)).count() as u64
    }

    /// Of what was left, what is not yet equal; of one register, or of all.
    fn look(&mut self, ledger: &Ledger, register: Option<RegisterNo>) {
        let equal = |repair: &Self, register: &RegisterNo| repair.lacking(ledger, *register) == 0;
        match register {
            Some(register) if self.left.contains(&register) && equal(self, &register) => drop(self.left.remove(&register)),
            Some(_) => {}
            None => {
                let left = std::mem::take(&mut self.left);
                self.left = left.into_iter().filter(|register| !equal(self, register)).collect();
            }
        }
    }

    /// Registers that nodes lack, by which bytes are measured: what was left, and what was changed meanwhile at one node and lacked at the others.
    fn repaired(&self) -> u64 {
        self.unequal + self.updates * (self.nodes.len() as u64).saturating_sub(1)
    }
}

impl TrafficBudget {
    /// Under the scenario's budgets.
    pub const fn new(scenario: &Scenario, book: Book) -> Self {
        Self { book, checks: scenario.checks, bytes: 0, updates: 0, active: BTreeSet::new(), repair: None, judged: false }
    }

    const fn repairs_have_a_budget(&self) -> bool {
        self.checks.bytes_per_repaired_max.is_some() || self.checks.exchanges_max.is_some()
    }

    fn begin(&mut self, at: VirtualTime, healed: bool, view: &dyn View, found: &mut Vec<Violation>) {
        self.end(at, view, found);
        if self.repairs_have_a_budget() {
            let repair = Repair::begins(at, healed, &self.book.read(), view);
            self.repair = Some(repair);
        }
    }

    /// Judges what a repair has cost until now, whether it is done or not.
    fn end(&mut self, at: VirtualTime, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(repair) = self.repair.take() else { return };
        let mut over = |host: Option<HostId>, what: String| found.push(Violation { checker: "traffic-within-budget", at, host, what });
        let (within, updates) = (show_duration(at.saturating_sub(repair.since)), repair.updates);
        let after = if repair.healed { "healing" } else { "faults" };
        if let Some(bound) = self.checks.bytes_per_repaired_max.filter(|_| repair.unequal > 0) {
            self.judged = true;
            let each = repair.bytes as f64 / repair.repaired() as f64;
            if each > bound {
                let what = format!("{each:.0} bytes between nodes for each register repaired, at most {bound:.0}");
                let of = format!("{} were unequal after {after}, {updates} changed in the {within} until then", repair.unequal);
                over(None, format!("{what}; {of}"));
            }
        }
        let Some(bound) = self.checks.exchanges_max else { return };
        for ((host, peer), frames) in &repair.frames {
            self.judged = true;
            if u64::from(*frames) > u64::from(bound) + updates {
                let peer = view.name(*peer);
                let what = format!("{frames} frames to {peer} in {within} after {after}, at most {bound}");
                over(Some(*host), format!("{what} and one for each of {updates} changes made meanwhile"));
            }
        }
    }

    /// Whether a record that became durable makes equal what was not.
    fn applied(&mut self, at: VirtualTime, record: &Record, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(repair) = &mut self.repair else { return };
        if repair.left.is_empty() {
            return;
        }
        let register = match record {
            Record::Register { profile, title, .. } => self.book.register_no(profile, title),
            Record::Erased { .. } => None,
        };
        repair.look(&self.book.read(), register);
        self.end_if_repaired(at, view, found);
    }

    fn end_if_repaired(&mut self, at: VirtualTime, view: &dyn View, found: &mut Vec<Violation>) {
        if self.repair.as_ref().is_some_and(|repair| repair.left.is_empty() && !repair.healed) {
            self.end(at, view, found);
        }
    }
}

impl Checker for TrafficBudget {
    fn name(&self) -> &'static str {
        "traffic-within-budget"
    }

    fn about(&self) -> &'static str {
        "bytes for each change, and, after faults until what they left is repaired, bytes for each register repaired and frames on each link, stay within the scenario's budget"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS.and(Kinds::FAULTS).and(Kinds::PASSED)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Fault { index, begins: true } => {
                self.active.insert(*index);
                self.end(at, view, found);
            }
            Observation::Fault { index, begins: false } => {
                self.active.remove(index);
                if self.active.is_empty() {
                    self.begin(at, false, view, found);
                    self.end_if_repaired(at, view, found);
                }
            }
            Observation::Healed => self.begin(at, true, view, found),
            Observation::Applied { from, record, unshared, changed, .. } => {
                if from.is_none() && !unshared && *changed {
                    self.updates += 1;
                    self.repair.iter_mut().for_each(|repair| repair.updates += 1);
                }
                self.applied(at, record, view, found);
            }
            Observation::Passed { local: true, changed: true, .. } => {
                self.updates += 1;
                self.repair.iter_mut().for_each(|repair| repair.updates += 1);
            }
            // What an expired or erased register was is known when its host is back.
            Observation::Started { .. } => {
                if let Some(repair) = &mut self.repair {
                    repair.look(&self.book.read(), None);
                }
                self.end_if_repaired(at, view, found);
            }
            Observation::FrameSent { host, peer, traffic, bytes, .. } => {
                self.bytes += *bytes as u64;
                let exchange = matches!(traffic, Traffic::Records | Traffic::Reconciliation);
                if let Some(repair) = self.repair.as_mut().filter(|_| exchange) {
                    *repair.frames.entry((*host, *peer)).or_default() += 1;
                    if repair.nodes.contains(host) && repair.nodes.contains(peer) {
                        repair.bytes += *bytes as u64;
                    }
                }
            }
            _ => {}
        }
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        if let Some(bound) = self.checks.bytes_per_update_max
            && self.updates > 0
        {
            self.judged = true;
            let each = self.bytes as f64 / self.updates as f64;
            if each > bound {
                let what = format!("{each:.0} bytes on all links for each of {} changes, at most {bound:.0}", self.updates);
                found.push(Violation { checker: self.name(), at, host: None, what });
            }
        }
        self.end(at, view, found);
    }

    fn had_something(&self) -> bool {
        self.judged
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::EventKind;

    use crate::checkers::testing::{Hosts, scenario};
    use crate::observation::{HostId, LinkId, Observation, Traffic};
    use crate::outcome::Verdict;
    use crate::scenario::Checks;

    const NONE: Checks = Checks {
        bytes_per_update_max: None,
        exchanges_max: None,
        bytes_per_repaired_max: None,
        one_profile_in: 1,
        propagation_over_ms_max: None,
    };

    fn hosts(checks: Checks) -> Hosts {
        let mut scenario = scenario();
        scenario.checks = checks;
        Hosts::of(&scenario, 2)
    }

    fn frames(hosts: &mut Hosts, count: u32, bytes: usize) {
        for _ in 0..count {
            let (host, peer) = (HostId(0), HostId(1));
            hosts.see(&Observation::FrameSent { link: LinkId(1), host, peer, traffic: Traffic::Records, bytes });
        }
    }

    fn fault(hosts: &mut Hosts, index: usize, begins: bool) {
        hosts.see(&Observation::Fault { index, begins });
    }

    fn run(checks: Checks, bytes: usize, count: u32) -> Vec<&'static str> {
        let mut hosts = hosts(checks);
        for second in 0..10 {
            hosts.watch(0, "p", EventKind::Heartbeat, 100 + second);
        }
        hosts.see(&Observation::Healed);
        frames(&mut hosts, count, bytes / count as usize);
        hosts.send(0, 1);
        hosts.rest()
    }

    #[test]
    fn what_costs_more_than_its_budget_is_found() {
        assert!(run(NONE, 1_000_000, 100).is_empty());
        let each = Checks { bytes_per_update_max: Some(200.0), ..NONE };
        assert!(run(each, 1_900, 1).is_empty());
        assert_eq!(run(each, 2_100, 1), ["traffic-within-budget"]);
        let repaired = Checks { bytes_per_repaired_max: Some(500.0), ..NONE };
        assert!(run(repaired, 500, 1).is_empty());
        assert_eq!(run(repaired, 501, 1), ["traffic-within-budget"]);
        let exchanges = Checks { exchanges_max: Some(20), ..NONE };
        assert!(run(exchanges, 500, 20).is_empty());
        assert_eq!(run(exchanges, 500, 21), ["traffic-within-budget"]);
    }

    #[test]
    fn a_repair_costs_from_the_end_of_its_faults_until_nothing_is_left_of_them() {
        let checks = Checks { bytes_per_repaired_max: Some(500.0), exchanges_max: Some(5), ..NONE };
        let run = |repair: u32, after: u32| {
            let mut hosts = hosts(checks);
            fault(&mut hosts, 0, true);
            fault(&mut hosts, 1, true);
            hosts.watch(0, "p", EventKind::Play, 100);
            fault(&mut hosts, 0, false);
            frames(&mut hosts, 100, 100);
            fault(&mut hosts, 1, false);
            frames(&mut hosts, repair, 100);
            hosts.send(0, 1);
            frames(&mut hosts, after, 100);
            hosts.found()
        };
        assert!(run(5, 0).is_empty(), "what was sent while a fault lasted is no repair");
        assert_eq!(run(6, 0), ["traffic-within-budget"], "told when it is repaired, in the middle of the story");
        let found = run(5, 20);
        assert!(found.is_empty(), "what is sent when all is repaired is none either: {found:?}");
    }

    #[test]
    fn what_is_changed_during_a_repair_has_its_own_part() {
        let checks = Checks { bytes_per_repaired_max: Some(500.0), exchanges_max: Some(5), ..NONE };
        let run = |count: u32| {
            let mut hosts = hosts(checks);
            fault(&mut hosts, 0, true);
            hosts.watch(0, "p", EventKind::Play, 100);
            fault(&mut hosts, 0, false);
            hosts.watch(0, "q", EventKind::Play, 100);
            hosts.watch(0, "r", EventKind::Play, 100);
            frames(&mut hosts, count, 100);
            hosts.send(0, 1);
            hosts.found()
        };
        assert!(run(7).is_empty());
        assert_eq!(run(8), ["traffic-within-budget"]);
    }

    #[test]
    fn a_repair_that_the_next_fault_interrupts_is_judged_by_what_it_has_cost() {
        let mut hosts = hosts(Checks { exchanges_max: Some(5), ..NONE });
        fault(&mut hosts, 0, true);
        hosts.watch(0, "p", EventKind::Play, 100);
        fault(&mut hosts, 0, false);
        frames(&mut hosts, 6, 100);
        assert!(hosts.found().is_empty());
        fault(&mut hosts, 1, true);
        assert_eq!(hosts.found(), ["traffic-within-budget"]);
    }

    #[test]
    fn without_a_budget_there_is_nothing_to_check() {
        let verdict = |checks: Checks, count: u32| {
            let mut hosts = hosts(checks);
            hosts.watch(0, "p", EventKind::Play, 100);
            hosts.see(&Observation::Healed);
            frames(&mut hosts, count, 100);
            hosts.send(0, 1);
            hosts.rest();
            let outcomes = hosts.panel.as_ref().unwrap().outcomes();
            outcomes.into_iter().find(|one| one.name == "traffic-within-budget").map(|one| one.verdict)
        };
        assert_eq!(verdict(NONE, 9), Some(Verdict::NothingToCheck));
        assert_eq!(verdict(Checks { exchanges_max: Some(20), ..NONE }, 0), Some(Verdict::NothingToCheck), "and nobody sent anything");
        assert_eq!(verdict(Checks { exchanges_max: Some(20), ..NONE }, 9), Some(Verdict::Held));
        assert_eq!(verdict(Checks { bytes_per_update_max: Some(2_000.0), ..NONE }, 9), Some(Verdict::Held));
    }
}
