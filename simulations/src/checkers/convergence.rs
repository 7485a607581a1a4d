//! After healing all is equal: entitled hosts hold the same bytes, the bytes mean what the set of all surviving deltas means, and every kept
//! fingerprint is that of what is stored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use leftoff::progress::{ProfileId, Progress, TitleId};
use leftoff::replica::Core;
use leftoff::store::{Fingerprint, Fingerprints, KeyRange, LEAF_COUNT};

use super::book::Book;
use super::ledger::{Ledger, RegisterNo, stamp};
use super::{Checker, Kinds, Violation};
use crate::model::{self, Facts};
use crate::observation::{HostId, Observation, View, VirtualTime};

/// Rows that are compared at each host.
const ROWS_MAX: usize = 256;

/// See the module's head.
#[derive(Debug)]
pub struct Convergence {
    book: Book,
}

type Stock = BTreeMap<(ProfileId, TitleId), Progress>;

impl Convergence {
    /// Compares with the deltas of this ledger.
    pub const fn new(book: Book) -> Self {
        Self { book }
    }
}

/// Everything that a host's store holds.
fn stock(core: &Core) -> Result<Stock, String> {
    let mut all = Stock::new();
    let scanned = core.store().scan(KeyRange::ALL, &mut |item| {
        all.insert((item.profile, item.title), item.progress);
        ControlFlow::Continue(())
    });
    scanned.map_err(|error| error.to_string())?;
    Ok(all)
}

/// Whether kept fingerprints are those of what is stored.
fn fingerprints_differ(core: &Core, stock: &Stock) -> Option<String> {
    let kept = match core.store().fingerprints() {
        Ok(kept) => kept,
        Err(error) => return Some(format!("fingerprints cannot be made: {error}")),
    };
    let mut leaves: BTreeMap<usize, Fingerprint> = BTreeMap::new();
    for ((profile, title), progress) in stock {
        let key = core.store().hasher().register(profile, title);
        leaves.entry(Fingerprints::leaf_of(key)).or_default().add(core.store().fingerprint(key, progress));
    }
    let wrong = (0..LEAF_COUNT).filter(|leaf| kept.over(*leaf, *leaf) != leaves.get(leaf).copied().unwrap_or_default()).count();
    (wrong > 0).then(|| format!("the kept fingerprints of {wrong} leaves are not those of what is stored"))
}

struct Comparison<'a> {
    at: VirtualTime,
    view: &'a dyn View,
    ledger: &'a Ledger,
    found: &'a mut Vec<Violation>,
}

impl Comparison<'_> {
    fn found(&mut self, host: HostId, what: String) {
        self.found.push(Violation { checker: "converged", at: self.at, host: Some(host), what });
    }

    fn with_first(&mut self, first: (HostId, &Stock), host: HostId, stock: &Stock) {
        let name = self.view.name(first.0);
        for ((profile, title), progress) in first.1 {
            if !self.view.holds(host, profile) {
                continue;
            }
            let register = format!("{}/{}", profile.as_str(), title.as_str());
            match stock.get(&(profile.clone(), title.clone())) {
                None => self.found(host, format!("{register} is missing; {name} has {progress:?}")),
                Some(own) if own.to_bytes() != progress.to_bytes() => {
                    self.found(host, format!("{register} is {own:?}; at {name} it is {progress:?}"));
                }
                Some(_) => {}
            }
        }
        for (profile, title) in stock.keys().filter(|key| !first.1.contains_key(*key)) {
            self.found(host, format!("{}/{} is here and not at {name}", profile.as_str(), title.as_str()));
        }
    }

    fn with_model(&mut self, host: HostId, stock: &Stock, floor_day: u32) {
        let registers: Vec<RegisterNo> = self.ledger.registers().collect();
        for register in registers {
            let (profile, title) = self.ledger.ids(register);
            if !self.view.holds(host, profile) {
                continue;
            }
            let result = stock.get(&(profile.clone(), title.clone())).map(Facts::from);
            let erased = self.ledger.erased(self.ledger.profile_of(register));
            let expected = self.ledger.deltas(register).expected(result.as_ref(), erased, floor_day);
            if result != expected {
                let what = format!("{} is {result:?}; all surviving deltas say {expected:?}", self.ledger.name(register));
                self.found(host, what);
            }
        }
    }

    fn tombstones(&mut self, host: HostId, core: &Core) {
        for profile in self.ledger.profiles() {
            let (id, erased) = (self.ledger.profile_id(profile), self.ledger.erased(profile));
            let known = core.store().erased(id).as_u64();
            // Of an erasure that only a lost disk knew, nobody can tell.
            if self.view.holds(host, id) && known < erased {
                let what = format!("{} was erased at {}; here it is {}", id.as_str(), stamp(erased), stamp(known));
                self.found(host, what);
            }
        }
    }

    fn rows(&mut self, host: HostId, core: &Core) {
        let profiles: Vec<ProfileId> = self.ledger.profiles().map(|profile| self.ledger.profile_id(profile).clone()).collect();
        for profile in profiles.into_iter().filter(|profile| self.view.holds(host, profile)).take(ROWS_MAX) {
            let stored = match core.profile(&profile) {
                Ok(stored) => stored.profile,
                Err(error) => {
                    self.found(host, format!("{} cannot be read: {error}", profile.as_str()));
                    continue;
                }
            };
            let facts: Vec<(&TitleId, Facts)> = stored.registers.iter().map(|(title, progress)| (title, Facts::from(progress))).collect();
            let titled: Vec<(&str, &Facts)> = facts.iter().map(|(title, facts)| (title.as_str(), facts)).collect();
            let meant: Vec<&str> = model::row(&titled).into_iter().take(200).map(|index| titled[index].0).collect();
            let shown: Vec<&str> = stored.continue_watching(200).into_iter().map(|(title, _)| title.as_str()).collect();
            if shown != meant {
                self.found(host, format!("the row of {} is {shown:?}, it should be {meant:?}", profile.as_str()));
            }
        }
    }
}

impl Checker for Convergence {
    fn name(&self) -> &'static str {
        "converged"
    }

    fn about(&self) -> &'static str {
        "after healing all entitled hosts are equal byte for byte, equal to the naive model of all surviving deltas, with fingerprints to match"
    }

    fn wants(&self) -> Kinds {
        Kinds::NONE
    }

    fn observe(&mut self, _at: VirtualTime, _seen: &Observation<'_>, _view: &dyn View, _found: &mut Vec<Violation>) {}

    fn at_rest(&mut self, at: VirtualTime, settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        if !settled {
            found.push(Violation { checker: self.name(), at, host: None, what: "the world did not settle in its time".into() });
        }
        let ledger = self.book.read();
        let mut comparison = Comparison { at, view, ledger: &ledger, found };
        let mut first: Option<(HostId, Stock)> = None;
        let mut fingerprints: Option<(HostId, Fingerprint)> = None;
        for host in view.hosts().into_iter().filter(|host| !view.is_hostile(*host)) {
            let Some(core) = view.core(host) else { continue };
            let stock = match stock(core) {
                Ok(stock) => stock,
                Err(error) => {
                    comparison.found(host, format!("its store cannot be read: {error}"));
                    continue;
                }
            };
            if !core.store().unshared().is_empty() {
                comparison.found(host, "it still keeps work apart that it has shared with nobody".into());
            }
            comparison.with_model(host, &stock, core.store().floor_day());
            comparison.tombstones(host, core);
            comparison.rows(host, core);
            if let Some((at, first)) = &first {
                comparison.with_first((*at, first), host, &stock);
            }
            if view.is_node(host) {
                if let Some(what) = fingerprints_differ(core, &stock) {
                    comparison.found(host, what);
                }
                if let Ok(kept) = core.store().fingerprints() {
                    let all = kept.over(0, LEAF_COUNT - 1);
                    let (other, expected) = *fingerprints.get_or_insert((host, all));
                    if all != expected {
                        comparison.found(host, format!("its fingerprint is not that of {}", view.name(other)));
                    }
                }
                if first.is_none() {
                    first = Some((host, stock));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::EventKind;

    use crate::checkers::testing::{Hosts, ids, node, scenario};
    use crate::observation::{DiskFault, HostId, Observation};
    use crate::scenario::{Fault, FaultKind};

    fn watched(hosts: &mut Hosts) {
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.watch(0, "p", EventKind::Seek, 3_000);
        hosts.watch(1, "p", EventKind::Play, 50);
    }

    #[test]
    fn equal_replicas_that_hold_every_delta_are_well() {
        let mut hosts = Hosts::nodes(3);
        watched(&mut hosts);
        hosts.send(0, 1);
        hosts.send(1, 2);
        hosts.send(1, 0);
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn a_replica_that_lacks_a_delta_is_found() {
        let mut hosts = Hosts::nodes(3);
        watched(&mut hosts);
        hosts.send(0, 1);
        hosts.send(1, 2);
        assert_eq!(hosts.rest(), ["converged"]);
        let mut hosts = Hosts::nodes(2);
        watched(&mut hosts);
        hosts.cores.insert(0, node(1));
        hosts.cores.insert(1, node(2));
        assert!(hosts.rest().contains(&"converged"), "equal, and both lack what was recorded");
    }

    #[test]
    fn a_tombstone_that_did_not_arrive_is_found() {
        let mut hosts = Hosts::nodes(2);
        hosts.cores[&0].erase(hosts.now, &ids("p").0).unwrap();
        hosts.flush(0);
        assert_eq!(hosts.rest(), ["converged"]);
        let mut hosts = Hosts::nodes(2);
        hosts.cores[&0].erase(hosts.now, &ids("p").0).unwrap();
        hosts.flush(0);
        hosts.send(0, 1);
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }

    fn lose_disk(reached_another: bool) -> Vec<&'static str> {
        let mut scenario = scenario();
        let kind = FaultKind::LoseDisk { hosts: vec!["all".into()] };
        scenario.faults.push(Fault { at: scenario.duration / 2, lasts: scenario.duration / 4, kind });
        let mut hosts = Hosts::of(&scenario, 2);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.send(0, 1);
        hosts.watch(0, "p", EventKind::Heartbeat, 110);
        if reached_another {
            hosts.send(0, 1);
        }
        hosts.see(&Observation::Disk { host: HostId(0), fault: DiskFault::Lost });
        hosts.cores.insert(0, node(9));
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        if reached_another {
            // Rebuilt from a neighbour that has gone back, though it had everything.
            hosts.cores.insert(1, node(2));
            return hosts.rest();
        }
        hosts.send(1, 0);
        hosts.rest()
    }

    #[test]
    fn what_every_disk_lost_may_be_gone_and_what_one_disk_held_may_not() {
        assert!(lose_disk(false).is_empty());
        assert_eq!(lose_disk(true), ["converged"]);
    }

    /// A profile is erased at a node, heard of by another host or not, and the node loses its disk.
    fn lose_erasure(count: u32, hostile: Vec<u32>) -> Vec<&'static str> {
        let mut scenario = scenario();
        let kind = FaultKind::LoseDisk { hosts: vec!["all".into()] };
        scenario.faults.push(Fault { at: scenario.duration / 2, lasts: scenario.duration / 4, kind });
        let mut hosts = Hosts::of(&scenario, count);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.wait(1);
        hosts.cores[&0].erase(hosts.now, &ids("p").0).unwrap();
        hosts.flush(0);
        if count > 1 {
            hosts.send(0, 1);
        }
        hosts.see(&Observation::Disk { host: HostId(0), fault: DiskFault::Lost });
        hosts.cores.insert(0, node(9));
        let replica = hosts.cores[&0].store().id();
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        hosts.hostile = hostile;
        hosts.rest()
    }

    #[test]
    fn an_erasure_that_nobody_else_has_heard_of_goes_with_its_disk_and_so_may_what_it_had_removed() {
        assert!(lose_erasure(1, Vec::new()).is_empty());
        assert!(lose_erasure(2, vec![1]).is_empty(), "only a hostile host has");
        assert_eq!(lose_erasure(2, Vec::new()), ["converged"]);
    }
}
