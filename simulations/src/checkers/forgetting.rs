//! Erased stays erased, and hidden stays hidden until watched again.

use leftoff::progress::ProfileId;
use leftoff::store::Record;

use super::book::{Book, LEDGER_KINDS};
use super::ledger::{floor_day, stamp};
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{HostId, Observation, View, VirtualTime};

/// See the module's head.
#[derive(Debug)]
pub struct Forgetting {
    book: Book,
    /// Whether anything has been erased or hidden.
    forgets: bool,
}

impl Forgetting {
    /// Looks things up in this ledger.
    pub const fn new(book: Book) -> Self {
        Self { book, forgets: false }
    }

    fn violation(at: VirtualTime, host: HostId, what: String) -> Violation {
        Violation { checker: "forgotten-stays-forgotten", at, host: Some(host), what }
    }

    fn tombstones(&self, at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(core) = view.core(host) else { return };
        let ledger = self.book.read();
        for (profile, erased) in ledger.erasures_at(host) {
            let id: &ProfileId = ledger.profile_id(profile);
            let known = core.store().erased(id).as_u64();
            if known < erased {
                let what = format!("{} was erased at {}, and the host knows {}", id.as_str(), stamp(erased), stamp(known));
                found.push(Self::violation(at, host, what));
            }
        }
    }

    fn shown(&self, at: VirtualTime, view: &dyn View, found: &mut Vec<Violation>) {
        let ledger = self.book.read();
        for shown in ledger.shown() {
            let Some(facts) = &shown.facts else { continue };
            let erased = ledger.erased_at(shown.host, ledger.profile_of(shown.register));
            if facts.epoch < erased {
                let what = format!("{}: begun under {}, erased at {}", ledger.name(shown.register), facts.epoch, stamp(erased));
                found.push(Self::violation(at, shown.host, what));
            }
            let hidden = ledger
                .held(shown.host, shown.register, floor_day(view, shown.host))
                .filter(|held| held.epoch == facts.epoch)
                .map_or(0, |held| held.hidden);
            let is_shown_again = |facts: &Facts| facts.hidden < hidden && facts.acted() <= hidden;
            if is_shown_again(facts) {
                let what = format!(
                    "{}: hidden at {}, last watched at {}, and shown again",
                    ledger.name(shown.register),
                    stamp(hidden),
                    stamp(facts.acted())
                );
                found.push(Self::violation(at, shown.host, what));
            }
        }
    }
}

impl Checker for Forgetting {
    fn name(&self) -> &'static str {
        "forgotten-stays-forgotten"
    }

    fn about(&self) -> &'static str {
        "an erased profile's earlier registers never come back, and a hidden title is not shown before it is watched again"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS.and(Kinds::HID).and(Kinds::ERASED)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Hid { .. } | Observation::Erased { .. } => {
                self.forgets = true;
                return;
            }
            Observation::Started { host, .. } => self.tombstones(at, *host, view, found),
            Observation::Applied { host, record: Record::Register { .. }, changed: true, .. } => {
                let ledger = self.book.read();
                if let Some(touched) = ledger.touched() {
                    let erased = ledger.erased_at(*host, ledger.profile_of(touched.register));
                    if touched.facts.epoch < erased {
                        let what =
                            format!("{}: taken under {}, erased at {}", ledger.name(touched.register), touched.facts.epoch, stamp(erased));
                        found.push(Self::violation(at, *host, what));
                    }
                }
            }
            _ => {}
        }
        self.shown(at, view, found);
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        for host in view.hosts() {
            self.tombstones(at, host, view, found);
        }
    }

    fn had_something(&self) -> bool {
        self.forgets
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, Progress};
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, ids, node};
    use crate::observation::{HostId, Observation, Stop};

    fn erased() -> Hosts {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.wait(1);
        hosts.cores[&0].erase(hosts.now, &ids("p").0).unwrap();
        hosts.flush(0);
        hosts
    }

    fn is_found(hosts: &Hosts) -> bool {
        hosts.violations().iter().any(|violation| violation.checker == "forgotten-stays-forgotten")
    }

    #[test]
    fn what_is_watched_after_an_erasure_is_well() {
        let mut hosts = erased();
        hosts.watch(0, "p", EventKind::Play, 7);
        hosts.read(0, "p");
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn a_register_of_before_the_erasure_is_found_when_it_is_shown() {
        let mut hosts = erased();
        let (profile, title) = ids("p");
        let register = Progress::hiding(Hlc::ZERO, Hlc::from_wall(hosts.now));
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: Some(&register) });
        assert!(is_found(&hosts));
    }

    #[test]
    fn a_tombstone_that_a_restart_forgets_is_found() {
        let mut hosts = erased();
        hosts.see(&Observation::Stopped { host: HostId(0), how: Stop::Graceful });
        hosts.cores.insert(0, node(1));
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        assert!(is_found(&hosts));
    }

    #[test]
    fn a_hidden_title_is_shown_again_only_when_it_is_watched() {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 600);
        let (profile, title) = ids("p");
        let shown = hosts.cores[&0].store().register(&profile, &title).unwrap().unwrap().progress;
        hosts.wait(1);
        hosts.cores[&0].hide(hosts.now, &profile, &title).unwrap();
        hosts.flush(0);
        hosts.read(0, "p");
        assert!(!is_found(&hosts));
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: Some(&shown) });
        assert!(is_found(&hosts));
    }
}
