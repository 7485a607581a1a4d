//! Nothing acknowledged is lost: what was acknowledged is durable then, and what was durable is there after every restart.

use leftoff::store::Seq;

use super::book::{Book, LEDGER_KINDS};
use super::ledger::floor_day;
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{HostId, Observation, View, VirtualTime};

/// See the module's head. That what is kept also reaches every other host is what `convergence` looks at in the end.
#[derive(Debug)]
pub struct Survival {
    book: Book,
}

impl Survival {
    /// Looks things up in this ledger.
    pub const fn new(book: Book) -> Self {
        Self { book }
    }

    fn acknowledged(&self, at: VirtualTime, host: HostId, seq: Seq, view: &dyn View, found: &mut Vec<Violation>) {
        let durable = view.core(host).map(|core| core.store().durable());
        if durable.is_some_and(|durable| durable < seq) {
            let what = format!("number {} was acknowledged, and {} is the last durable one", seq.0, durable.unwrap_or_default().0);
            found.push(Violation { checker: self.name(), at, host: Some(host), what });
        }
    }

    fn restarted(&self, at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let ledger = self.book.read();
        let mut lost = |what: String| found.push(Violation { checker: "acknowledged-survives", at, host: Some(host), what });
        if ledger.is_false_alarm(host) {
            lost("it says that something acknowledged is damaged or missing, and nothing was done to its disk".to_owned());
        }
        let Some(core) = view.core(host).filter(|_| !ledger.may_lack(host)) else { return };
        let floor = floor_day(view, host);
        for register in ledger.registers_at(host) {
            let Some(held) = ledger.held(host, register, floor) else { continue };
            let (profile, title) = ledger.ids(register);
            let stored = match core.store().register(profile, title) {
                Ok(stored) => stored.map(|stored| Facts::from(&stored.progress)),
                Err(error) => {
                    lost(format!("{} cannot be read after the restart: {error}", ledger.name(register)));
                    continue;
                }
            };
            let is_kept = stored.as_ref().is_some_and(|stored| stored.holds(&held));
            if !is_kept {
                lost(format!("{} held {held:?} durably, and {stored:?} is there after the restart", ledger.name(register)));
            }
        }
    }
}

impl Checker for Survival {
    fn name(&self) -> &'static str {
        "acknowledged-survives"
    }

    fn about(&self) -> &'static str {
        "what is acknowledged is durable, what was durable at a host is there after each restart with the same disk, and only a disk that was tampered with is called damaged"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Acknowledged { host, seq } => self.acknowledged(at, *host, *seq, view, found),
            Observation::Started { host, .. } => self.restarted(at, *host, view, found),
            _ => {}
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::EventKind;
    use leftoff::store::Seq;

    use crate::checkers::testing::{Hosts, node};
    use crate::observation::{DiskFault, HostId, Observation, Stop};

    fn watched() -> Hosts {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.watch(0, "p", EventKind::Heartbeat, 110);
        hosts
    }

    #[test]
    fn what_was_acknowledged_when_it_was_durable_and_is_still_there_is_well() {
        let mut hosts = watched();
        let seq = hosts.cores[&0].store().durable();
        hosts.see(&Observation::Acknowledged { host: HostId(0), seq });
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Stopped { host: HostId(0), how: Stop::Crash });
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn an_acknowledgement_before_the_sync_is_found() {
        let mut hosts = watched();
        let seq = Seq(hosts.cores[&0].store().durable().0 + 1);
        hosts.see(&Observation::Acknowledged { host: HostId(0), seq });
        assert_eq!(hosts.found(), ["acknowledged-survives"]);
    }

    #[test]
    fn what_a_restart_has_lost_is_found_unless_the_disk_was_tampered_with_and_it_says_so() {
        let said = "the database has lost what it had synced";
        for (fault, damage, is_found) in [
            (None, "", true),
            (None, said, true),
            (Some(DiskFault::FailedSync), said, true),
            (Some(DiskFault::FlippedBit), "", true),
            (Some(DiskFault::FlippedBit), said, false),
            (Some(DiskFault::EndHurt), "", false),
            (Some(DiskFault::Lost), "", false),
        ] {
            let mut hosts = watched();
            hosts.see(&Observation::Stopped { host: HostId(0), how: Stop::Crash });
            if let Some(fault) = fault {
                hosts.see(&Observation::Disk { host: HostId(0), fault });
            }
            hosts.cores.insert(0, node(1));
            let replica = hosts.cores[&0].store().id();
            hosts.see(&Observation::Started { host: HostId(0), replica, damage });
            assert_eq!(!hosts.found().is_empty(), is_found, "{fault:?}, {damage:?}: {:?}", hosts.violations());
        }
    }

    #[test]
    fn damage_that_is_told_of_a_whole_disk_is_found_though_nothing_is_lost() {
        for (fault, is_found) in [(None, true), (Some(DiskFault::FlippedBit), false)] {
            let mut hosts = watched();
            hosts.see(&Observation::Stopped { host: HostId(0), how: Stop::Crash });
            if let Some(fault) = fault {
                hosts.see(&Observation::Disk { host: HostId(0), fault });
            }
            let replica = hosts.cores[&0].store().id();
            hosts.see(&Observation::Started { host: HostId(0), replica, damage: "a page does not read back" });
            assert_eq!(!hosts.found().is_empty(), is_found, "{:?}", hosts.violations());
        }
    }

    #[test]
    fn what_was_written_and_never_shown_is_learned_when_the_host_is_back() {
        let mut hosts = watched();
        hosts.wait(10);
        let event = leftoff::progress::PlaybackEvent::new("p", "film", "tv", EventKind::Heartbeat, 120_000);
        hosts.report(0, &event);
        // Synced, and the process dies before it says so.
        hosts.cores[&0].flush().unwrap();
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Stopped { host: HostId(0), how: Stop::Crash });
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        hosts.read(0, "p");
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }
}
