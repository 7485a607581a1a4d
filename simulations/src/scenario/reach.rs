//! Whom a fault of the network comes between: one that comes between nobody is a mistake in the file.

use super::{FaultKind, Scenario, Selector};

/// What the network knows: nodes, then devices, then the thin clients of each region.
struct Spots {
    nodes: usize,
    found: Vec<bool>,
}

impl Spots {
    fn of(scenario: &Scenario, selectors: &[Selector]) -> Self {
        let (nodes, devices) = (scenario.node_count() as usize, scenario.device_count() as usize);
        let mut found = vec![false; nodes + devices + scenario.regions.len()];
        for selector in selectors {
            for host in scenario.select(selector).unwrap_or_default() {
                found[host.0 as usize] = true;
            }
            // Which devices are in a region is decided by the seed: they talk to whom its clients talk to.
            for (place, region) in scenario.regions.iter().enumerate() {
                found[nodes + devices + place] |= region.name == *selector || selector == "all";
            }
        }
        Self { nodes, found }
    }

    fn is_everybody(&self) -> bool {
        self.found.iter().all(|found| *found)
    }

    fn others(&self) -> Self {
        let everybody = self.is_everybody();
        Self { nodes: self.nodes, found: self.found.iter().map(|found| everybody || !found).collect() }
    }

    /// Whether a node is in one of them and anybody else in the other: only with nodes do others talk.
    fn meets(&self, other: &Self) -> bool {
        let one_way = |from: &Self, to: &Self| {
            let to_count = to.found.iter().filter(|found| **found).count();
            (0..from.nodes).any(|node| from.found[node] && to_count > usize::from(to.found[node]))
        };
        one_way(self, other) || one_way(other, self)
    }
}

impl Scenario {
    /// Whether a fault of the network comes between any two who talk to each other. Every other kind of fault does not ask.
    pub(crate) fn reaches(&self, kind: &FaultKind) -> bool {
        match kind {
            FaultKind::Cut { hosts, to, .. } | FaultKind::Flap { hosts, to, .. } | FaultKind::Degrade { hosts, to, .. } => {
                let from = Spots::of(self, hosts);
                // That nobody is named is told by itself.
                if hosts.is_empty() {
                    return true;
                }
                let to = if to.is_empty() { from.others() } else { Spots::of(self, to) };
                from.meets(&to)
            }
            // It keeps the other nodes apart: there must be two of them.
            FaultKind::Bridge { host } => {
                let bridge = Spots::of(self, std::slice::from_ref(host));
                bridge.found[..bridge.nodes].iter().filter(|found| !**found).count() > 1
            }
            _ => true,
        }
    }
}
