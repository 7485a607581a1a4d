//! What is read is durable, and all of it: a read shows exactly the join of what became durable at that host, no more and no less.

use super::book::{Book, LEDGER_KINDS};
use super::ledger::floor_day;
use super::{Checker, Kinds, Violation};
use crate::observation::{Observation, View, VirtualTime};

/// See the module's head. More would be lost by a crash at that instant; less is lost already.
#[derive(Debug)]
pub struct Reading {
    book: Book,
}

impl Reading {
    /// Looks at what this ledger saw shown.
    pub const fn new(book: Book) -> Self {
        Self { book }
    }
}

impl Checker for Reading {
    fn name(&self) -> &'static str {
        "reads-are-durable"
    }

    fn about(&self) -> &'static str {
        "a read shows exactly what became durable at that host: nothing that a crash would lose, and nothing less"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS
    }

    fn observe(&mut self, at: VirtualTime, _seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        let ledger = self.book.read();
        for shown in ledger.shown() {
            let floor = floor_day(view, shown.host);
            let held = ledger.held(shown.host, shown.register, floor);
            if held == shown.facts {
                continue;
            }
            let what = format!("{}: read {:?}, durable is {held:?}", ledger.name(shown.register), shown.facts);
            found.push(Violation { checker: self.name(), at, host: Some(shown.host), what });
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, PlaybackEvent};

    use crate::checkers::testing::{Hosts, ids};
    use crate::observation::{HostId, Observation};

    #[test]
    fn a_read_of_what_is_durable_is_well() {
        let mut hosts = Hosts::nodes(2);
        hosts.read(0, "p");
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.read(0, "p");
        hosts.send(0, 1);
        hosts.read(1, "p");
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn a_read_of_what_a_crash_would_lose_is_found() {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 100);
        let before = hosts.cores[&0].store().register(&ids("p").0, &ids("p").1).unwrap().unwrap().progress;
        hosts.wait(10);
        let event = PlaybackEvent::new("p", "film", "tv", EventKind::Heartbeat, 110_000);
        hosts.report(0, &event);
        let (profile, title) = ids("p");
        let mut early = before.clone();
        early.furthest = leftoff::progress::Position::from_millis(110_000);
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: Some(&early) });
        assert!(hosts.found().contains(&"reads-are-durable"));
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.see(&Observation::Read { host: HostId(0), profile: &profile, title: &title, register: None });
        assert!(hosts.found().contains(&"reads-are-durable"), "less than what is durable is found too");
    }
}
