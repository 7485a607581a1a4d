//! Bytes and exchanges within budget: for each change, for each register that healing repaired, and on each link after healing.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, LEDGER_KINDS};
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{HostId, Observation, Traffic, View, VirtualTime};
use crate::scenario::{Checks, Scenario};

/// See the module's head.
#[derive(Debug)]
pub struct TrafficBudget {
    book: Book,
    checks: Checks,
    bytes: u64,
    updates: u64,
    healed: Option<Healed>,
}

#[derive(Debug, Default)]
struct Healed {
    /// Registers that some host lacked something of.
    unequal: u64,
    bytes: u64,
    frames: BTreeMap<(HostId, HostId), u32>,
    nodes: BTreeSet<HostId>,
}

impl TrafficBudget {
    /// Under the scenario's budgets.
    pub const fn new(scenario: &Scenario, book: Book) -> Self {
        Self { book, checks: scenario.checks, bytes: 0, updates: 0, healed: None }
    }

    fn unequal(&self, view: &dyn View) -> u64 {
        let ledger = self.book.read();
        let nodes: Vec<HostId> = view.hosts().into_iter().filter(|host| view.is_node(*host)).collect();
        let mut count = 0;
        for register in ledger.registers() {
            let held: Vec<Option<&Facts>> = nodes.iter().map(|host| ledger.shared(*host, register)).collect();
            if held.iter().all(|one| *one == held[0]) {
                continue;
            }
            let all = Facts::of_all(held.iter().flatten().copied());
            count += held.iter().filter(|one| one.is_none_or(|one| *one != all)).count() as u64;
        }
        count
    }
}

impl Checker for TrafficBudget {
    fn name(&self) -> &'static str {
        "traffic-within-budget"
    }

    fn about(&self) -> &'static str {
        "bytes for each change and for each register repaired after healing, and frames on each link after healing, stay within the scenario's budget"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS.and(Kinds::FAULTS).and(Kinds::PASSED)
    }

    fn observe(&mut self, _at: VirtualTime, seen: &Observation<'_>, view: &dyn View, _found: &mut Vec<Violation>) {
        match seen {
            Observation::Healed => {
                let unequal = if self.checks.bytes_per_repaired_max.is_some() { self.unequal(view) } else { 0 };
                let nodes = view.hosts().into_iter().filter(|host| view.is_node(*host)).collect();
                self.healed = Some(Healed { unequal, nodes, ..Healed::default() });
            }
            Observation::Applied { from: None, unshared: false, changed: true, .. }
            | Observation::Passed { local: true, changed: true, .. } => {
                self.updates += 1;
            }
            Observation::FrameSent { host, peer, traffic, bytes, .. } => {
                self.bytes += *bytes as u64;
                let exchange = matches!(traffic, Traffic::Records | Traffic::Reconciliation);
                if let Some(healed) = self.healed.as_mut().filter(|_| exchange) {
                    *healed.frames.entry((*host, *peer)).or_default() += 1;
                    if healed.nodes.contains(host) && healed.nodes.contains(peer) {
                        healed.bytes += *bytes as u64;
                    }
                }
            }
            _ => {}
        }
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        let mut over = |host: Option<HostId>, what: String| found.push(Violation { checker: "traffic-within-budget", at, host, what });
        if let Some(bound) = self.checks.bytes_per_update_max
            && self.updates > 0
        {
            let each = self.bytes as f64 / self.updates as f64;
            if each > bound {
                over(None, format!("{each:.0} bytes on all links for each of {} changes, at most {bound:.0}", self.updates));
            }
        }
        let Some(healed) = &self.healed else { return };
        if let Some(bound) = self.checks.bytes_per_repaired_max.filter(|_| healed.unequal > 0) {
            let each = healed.bytes as f64 / healed.unequal as f64;
            if each > bound {
                over(None, format!("{each:.0} bytes between nodes for each of {} registers repaired, at most {bound:.0}", healed.unequal));
            }
        }
        for ((host, peer), frames) in &healed.frames {
            if self.checks.exchanges_max.is_some_and(|bound| *frames > bound) {
                let bound = self.checks.exchanges_max.unwrap_or_default();
                over(Some(*host), format!("{frames} frames to {} after healing, at most {bound}", view.name(*peer)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::EventKind;

    use crate::checkers::testing::{Hosts, scenario};
    use crate::observation::{HostId, LinkId, Observation, Traffic};
    use crate::scenario::Checks;

    fn run(checks: Checks, bytes: usize, frames: u32) -> Vec<&'static str> {
        let mut scenario = scenario();
        scenario.checks = checks;
        let mut hosts = Hosts::of(&scenario, 2);
        for second in 0..10 {
            hosts.watch(0, "p", EventKind::Heartbeat, 100 + second);
        }
        hosts.see(&Observation::Healed);
        for _ in 0..frames {
            let (host, peer) = (HostId(0), HostId(1));
            hosts.see(&Observation::FrameSent { link: LinkId(1), host, peer, traffic: Traffic::Records, bytes: bytes / frames as usize });
        }
        hosts.send(0, 1);
        hosts.rest()
    }

    #[test]
    fn what_costs_more_than_its_budget_is_found() {
        let none = scenario().checks;
        assert!(run(none, 1_000_000, 100).is_empty());
        let each = Checks { bytes_per_update_max: Some(200.0), ..none };
        assert!(run(each, 1_900, 1).is_empty());
        assert_eq!(run(each, 2_100, 1), ["traffic-within-budget"]);
        let repaired = Checks { bytes_per_repaired_max: Some(500.0), ..none };
        assert!(run(repaired, 500, 1).is_empty());
        assert_eq!(run(repaired, 501, 1), ["traffic-within-budget"]);
        let exchanges = Checks { exchanges_max: Some(20), ..none };
        assert!(run(exchanges, 500, 20).is_empty());
        assert_eq!(run(exchanges, 500, 21), ["traffic-within-budget"]);
    }
}
