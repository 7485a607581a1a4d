//! Whoever watches one register at one node sees `(version, high)` never decrease, across crashes and restarts, until it is erased or expires.

use super::book::{Book, LEDGER_KINDS};
use super::ledger::{RegisterNo, floor_day};
use super::mix::Map;
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{HostId, Observation, View, VirtualTime};

/// What was last shown: epoch, version, high; and the day of the newest stamp, by which it may expire.
#[derive(Clone, Copy, Debug)]
struct Seen {
    reached: (u64, u64, u64),
    last_day: u64,
}

/// See the module's head. The erasure that a register was begun under comes before its version: a new life begins below.
#[derive(Debug)]
pub struct Monotonic {
    book: Book,
    seen: Map<(HostId, RegisterNo), Seen>,
}

impl Monotonic {
    /// Looks at what this ledger saw shown.
    pub fn new(book: Book) -> Self {
        Self { book, seen: Map::default() }
    }

    fn forget(&mut self, host: HostId) {
        self.seen.retain(|(of, _), _| *of != host);
    }

    fn shown(&mut self, at: VirtualTime, view: &dyn View, found: &mut Vec<Violation>) {
        let book = self.book.clone();
        let ledger = book.read();
        for shown in ledger.shown() {
            let key = (shown.host, shown.register);
            let now = shown.facts.as_ref().map(|facts: &Facts| Seen { reached: facts.reached(), last_day: facts.last_day() });
            let before = match now {
                Some(now) => self.seen.insert(key, now),
                None => self.seen.remove(&key),
            };
            let Some(before) = before else { continue };
            let is_erased = ledger.erased_at(shown.host, ledger.profile_of(shown.register)) > before.reached.0;
            let floor = floor_day(view, shown.host);
            let is_expired = floor > 0 && before.last_day < u64::from(floor);
            let reached = now.map_or((0, 0, 0), |now| now.reached);
            if reached < before.reached && !is_erased && !is_expired {
                let what =
                    format!("{}: epoch, version and high were {:?} and are {reached:?}", ledger.name(shown.register), before.reached);
                found.push(Violation { checker: "monotonic", at, host: Some(shown.host), what });
            }
        }
    }
}

impl Checker for Monotonic {
    fn name(&self) -> &'static str {
        "monotonic"
    }

    fn about(&self) -> &'static str {
        "for whoever watches a register at one host, (version, high) never decreases within the register's life"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            // Its watchers are told to read everything again.
            Observation::Restamped { host, .. } => self.forget(*host),
            // Another disk is another node.
            Observation::Started { host, .. } if self.book.read().may_lack(*host) => self.forget(*host),
            _ => {}
        }
        self.shown(at, view, found);
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, Place, Places, Position, Progress, Version};

    use crate::checkers::testing::{Hosts, ids};
    use crate::observation::{HostId, Observation};

    fn show(hosts: &mut Hosts, version: u64, high_s: u64) {
        let (profile, title) = ids("p");
        let place = Place { version: Version::from_u64(version), position: Position::from_millis(high_s * 1_000), ..Place::default() };
        let register = Progress { places: Places::single(place), ..Progress::default() };
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: Some(&register) });
    }

    fn is_found(hosts: &Hosts) -> bool {
        hosts.violations().iter().any(|violation| violation.checker == "monotonic")
    }

    #[test]
    fn a_newer_place_may_stand_lower_and_a_place_may_not_go_back() {
        let mut hosts = Hosts::nodes(1);
        show(&mut hosts, 0, 600);
        show(&mut hosts, 9, 0);
        show(&mut hosts, 9, 10);
        assert!(!is_found(&hosts));
        show(&mut hosts, 9, 5);
        assert!(is_found(&hosts));
    }

    #[test]
    fn a_register_that_vanishes_without_being_erased_is_found() {
        let mut hosts = Hosts::nodes(1);
        show(&mut hosts, 0, 600);
        let (profile, title) = ids("p");
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: None });
        assert!(is_found(&hosts));
    }

    #[test]
    fn an_erased_register_ends_and_a_restamped_device_begins_anew() {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 600);
        hosts.read(0, "p");
        hosts.wait(1);
        hosts.cores[&0].erase(hosts.now, &ids("p").0).unwrap();
        hosts.flush(0);
        hosts.read(0, "p");
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
        show(&mut hosts, 9, 600);
        hosts.see(&Observation::Restamped { host: HostId(0), offset_ms: 5_000 });
        show(&mut hosts, 8, 600);
        assert!(!is_found(&hosts));
    }
}
