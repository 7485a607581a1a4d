//! A sequence number is never used twice: a replica's numbers only grow, across crashes and restarts, until its history is lost or its folder set back.

use std::collections::{BTreeMap, BTreeSet};

use leftoff::store::{ReplicaId, Seq, Store};

use super::mix::Map;
use super::{Checker, Kinds, Violation};
use crate::observation::{DiskFault, HostId, Observation, View, VirtualTime};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Where the last number of each replica is kept, whatever lives it has had.
    replicas: BTreeMap<ReplicaId, usize>,
    last: Vec<Seq>,
    /// The same of the replicas that hosts are.
    present: Map<HostId, usize>,
    /// Hosts whose folder was set back since they were last started, and hosts whose log was hurt.
    set_back: BTreeSet<HostId>,
    hurt: BTreeSet<HostId>,
}

impl Numbers {
    fn begin(&mut self, host: HostId, store: &Store) -> usize {
        let index = *self.replicas.entry(store.id()).or_insert_with(|| {
            self.last.push(Seq::default());
            self.last.len() - 1
        });
        // What came after a copy is another's past, and so is what a damaged log has lost, if the store says so: such numbers are told apart by the
        // lives that they were used in. What the store says of a disk that nobody has touched is no excuse.
        let says_lost = store.lives().oldest() == store.epoch();
        if self.set_back.remove(&host) | (self.hurt.remove(&host) && says_lost) {
            self.last[index] = Seq::default();
        }
        self.present.insert(host, index);
        index
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
            Observation::Started { host, .. } => {
                if let Some(core) = view.core(*host) {
                    self.begin(*host, core.store());
                }
            }
            Observation::Applied { host, seq, .. } | Observation::Passed { host, seq, .. } => {
                let index = match self.present.get(host) {
                    Some(index) => *index,
                    None => match view.core(*host) {
                        Some(core) => self.begin(*host, core.store()),
                        None => return,
                    },
                };
                let last = &mut self.last[index];
                if *seq <= *last {
                    let what = format!("number {} after {}: used before", seq.0, last.0);
                    found.push(Violation { checker: "numbers-are-used-once", at, host: Some(*host), what });
                }
                *last = (*seq).max(*last);
            }
            Observation::Disk { host, fault: DiskFault::Restored } => _ = self.set_back.insert(*host),
            Observation::Disk { host, fault: DiskFault::FlippedBit | DiskFault::EndHurt | DiskFault::Truncated | DiskFault::Zeroed } => {
                self.hurt.insert(*host);
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
    use crate::observation::{DiskFault, HostId, Observation, Same};

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
    fn a_restart_counts_on_unless_the_folder_was_set_back_or_a_damaged_log_has_lost_its_past() {
        // A replica in memory that is made anew says that it has no past.
        for (fault, is_excused) in
            [(None, false), (Some(DiskFault::FailedSync), false), (Some(DiskFault::Restored), true), (Some(DiskFault::FlippedBit), true)]
        {
            let mut hosts = Hosts::nodes(1);
            apply(&mut hosts, 7);
            if let Some(fault) = fault {
                hosts.see(&Observation::Disk { host: HostId(0), fault });
            }
            let replica = hosts.cores[&0].store().id();
            hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
            apply(&mut hosts, 5);
            assert_eq!(is_found(&hosts), !is_excused, "{fault:?}");
        }
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
