//! A sequence number is never used twice: a replica's numbers only grow, across crashes and restarts, until its history is lost or its folder set back.

use std::collections::BTreeMap;

use leftoff::store::{Epoch, ReplicaId, Seq};

use super::mix::Map;
use super::{Checker, Kinds, Violation};
use crate::observation::{DiskFault, HostId, Observation, View, VirtualTime};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Where the last number is kept of each replica, and the earliest epoch that its present one goes on from.
    lives: BTreeMap<(ReplicaId, Epoch), usize>,
    last: Vec<(Epoch, Seq)>,
    /// The same of the lives that hosts are in.
    present: Map<HostId, usize>,
}

impl Numbers {
    fn begin(&mut self, host: HostId, id: ReplicaId, epoch: Epoch) -> usize {
        let life = *self.lives.entry((id, epoch)).or_insert_with(|| {
            self.last.push((epoch, Seq::default()));
            self.last.len() - 1
        });
        self.present.insert(host, life);
        life
    }
}

impl Checker for Numbers {
    fn name(&self) -> &'static str {
        "numbers-are-used-once"
    }

    fn about(&self) -> &'static str {
        "a replica's numbers only grow, until its history is lost or its folder is set back"
    }

    fn wants(&self) -> Kinds {
        Kinds::APPLIED.and(Kinds::PASSED).and(Kinds::LIVES)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Started { host, replica, .. } => {
                if let Some(core) = view.core(*host) {
                    self.begin(*host, *replica, core.store().lives().oldest());
                }
            }
            Observation::Applied { host, seq, .. } | Observation::Passed { host, seq, .. } => {
                let life = match self.present.get(host) {
                    Some(life) => *life,
                    None => match view.core(*host) {
                        Some(core) => self.begin(*host, core.store().id(), core.store().lives().oldest()),
                        None => return,
                    },
                };
                let (epoch, last) = &mut self.last[life];
                if *seq <= *last {
                    let what = format!("number {} of epoch {:x} after {}: used before", seq.0, epoch.0, last.0);
                    found.push(Violation { checker: "numbers-are-used-once", at, host: Some(*host), what });
                }
                *last = (*seq).max(*last);
            }
            // What came after the copy is another's past: its numbers are told apart by the lives that they were used in.
            Observation::Disk { host, fault: DiskFault::Restored } => {
                if let Some(life) = self.present.remove(host) {
                    self.lives.retain(|_, known| *known != life);
                }
            }
            _ => {}
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::Progress;
    use leftoff::store::{Record, Seq};
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, NOW, ids, node};
    use crate::observation::{HostId, Observation, Same};

    fn apply(hosts: &mut Hosts, seq: u64) {
        let (profile, title) = ids("p");
        let record = Record::Register { profile, title, state: Progress::hiding(Hlc::ZERO, Hlc::from_wall(NOW)) };
        hosts.see(&Observation::Applied {
            host: HostId(0),
            seq: Seq(seq),
            from: None,
            record: &record,
            unshared: false,
            changed: true,
            same: Same::UNKNOWN,
        });
    }

    fn is_found(hosts: &Hosts) -> bool {
        hosts.violations().iter().any(|violation| violation.checker == "numbers-are-used-once")
    }

    #[test]
    fn numbers_may_be_skipped_and_never_come_again() {
        let mut hosts = Hosts::nodes(1);
        apply(&mut hosts, 1);
        apply(&mut hosts, 1_000);
        assert!(!is_found(&hosts));
        apply(&mut hosts, 2);
        assert!(is_found(&hosts));
    }

    #[test]
    fn another_identity_counts_anew() {
        let mut hosts = Hosts::nodes(1);
        apply(&mut hosts, 7);
        hosts.cores.insert(0, node(2));
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "a new disk" });
        apply(&mut hosts, 1);
        assert!(!is_found(&hosts));
    }
}
