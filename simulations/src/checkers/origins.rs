//! No value that nobody wrote: each place, position, activity and length that any host takes stems from a delta that was recorded somewhere.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::book::{Book, LEDGER_KINDS};
use super::ledger::RegisterNo;
use super::mix::Mix;
use super::{Checker, Kinds, Violation};
use crate::model::Facts;
use crate::observation::{Observation, Same, View, VirtualTime};

/// See the module's head. What was recorded is kept as hashes of 64 bits, one a value: about 16 bytes each.
#[derive(Debug)]
pub struct Origins {
    book: Book,
    recorded: HashSet<u64, BuildHasherDefault<Mix>>,
    /// Records all of whose values were found recorded, by the places of their numbers: what was recorded once stays so.
    vouched: Vec<Same>,
}

/// The values of a register, each as a hash and in words when they are asked for.
fn values(register: RegisterNo, facts: &Facts, visit: &mut dyn FnMut(u64, &dyn Fn() -> String)) {
    let hash = |kind: u8, numbers: &[u64], text: &str| {
        let mut hasher = Mix::default();
        hasher.write_u32(register.0);
        hasher.write_u8(kind);
        for number in numbers {
            hasher.write_u64(*number);
        }
        hasher.write(text.as_bytes());
        hasher.finish()
    };
    for place in &facts.places {
        visit(hash(1, &[place.version, place.position_ms], ""), &|| {
            format!("position {} ms in the place of version {}", place.position_ms, place.version)
        });
        visit(hash(2, &[place.version, place.touched], ""), &|| {
            format!("stamp {} in the place of version {}", place.touched, place.version)
        });
        if place.ended {
            visit(hash(3, &[place.version], ""), &|| format!("the end of the place of version {}", place.version));
        }
    }
    visit(hash(4, &[facts.furthest_ms], ""), &|| format!("furthest position {} ms", facts.furthest_ms));
    if let Some(activity) = &facts.activity {
        let numbers = [activity.stamp, activity.version, activity.position_ms, u64::from(activity.state), u64::from(activity.rank)];
        visit(hash(5, &numbers, &activity.device), &|| format!("{activity:?}"));
    }
    if let Some((stamp, ms)) = facts.duration {
        visit(hash(6, &[stamp, ms], ""), &|| format!("length {ms} ms"));
    }
    if let Some((stamp, series)) = &facts.series {
        visit(hash(7, &[*stamp], series), &|| format!("series {series}"));
    }
    if facts.hidden > 0 {
        visit(hash(8, &[facts.hidden], ""), &|| format!("hiding at {}", facts.hidden));
    }
}

impl Origins {
    /// Looks things up in this ledger.
    pub fn new(book: Book) -> Self {
        Self { book, recorded: HashSet::default(), vouched: vec![Same::UNKNOWN; Same::COUNT] }
    }

    fn record(&mut self, register: RegisterNo, facts: &Facts) {
        values(register, facts, &mut |hash, _| {
            self.recorded.insert(hash);
        });
        // The bottom's furthest position is nobody's report.
        values(register, &Facts::default(), &mut |hash, _| {
            self.recorded.insert(hash);
        });
    }
}

impl Checker for Origins {
    fn name(&self) -> &'static str {
        "values-have-an-origin"
    }

    fn about(&self) -> &'static str {
        "each place, position, activity and length that a host takes or shows stems from a delta recorded somewhere"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS
    }

    fn observe(&mut self, at: VirtualTime, _seen: &Observation<'_>, _view: &dyn View, found: &mut Vec<Violation>) {
        let book = self.book.clone();
        let ledger = book.read();
        for (_, register, facts) in ledger.absorbed() {
            self.record(*register, facts);
        }
        let mut check = |host, register: RegisterNo, facts: &Facts| {
            let mut all = true;
            values(register, facts, &mut |hash, words| {
                if !self.recorded.contains(&hash) {
                    all = false;
                    let what = format!("{}: nobody recorded {}", ledger.name(register), words());
                    found.push(Violation { checker: "values-have-an-origin", at, host: Some(host), what });
                }
            });
            all
        };
        let is_vouched = |same: Same| same.place().is_some_and(|place| self.vouched[place] == same);
        let mut vouched = None;
        if let Some(touched) = ledger.touched().filter(|touched| !touched.local && !is_vouched(touched.same))
            && check(touched.host, touched.register, &touched.facts)
        {
            vouched = Some(touched.same);
        }
        for shown in ledger.shown() {
            if let Some(facts) = &shown.facts {
                check(shown.host, shown.register, facts);
            }
        }
        if let Some(same) = vouched
            && let Some(place) = same.place()
        {
            self.vouched[place] = same;
        }
        if let Some(touched) = ledger.touched().filter(|touched| touched.local) {
            self.record(touched.register, &touched.facts);
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, Position, Version};
    use leftoff::store::Record;

    use crate::checkers::testing::{Hosts, ids};

    #[test]
    fn what_was_recorded_may_travel() {
        let mut hosts = Hosts::nodes(2);
        hosts.watch(0, "p", EventKind::Play, 100);
        hosts.watch(0, "p", EventKind::Seek, 5_000);
        hosts.watch(1, "p", EventKind::Play, 40);
        hosts.send(0, 1);
        hosts.send(1, 0);
        hosts.read(0, "p");
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn a_position_in_a_place_where_nobody_reported_it_is_found() {
        let mut hosts = Hosts::nodes(2);
        hosts.watch(0, "p", EventKind::Play, 100);
        let (profile, title) = ids("p");
        let mut state = hosts.cores[&0].store().register(&profile, &title).unwrap().unwrap().progress;
        // The same position, in another place: what a plain maximum would make of two.
        state.places =
            state.places.as_slice().iter().map(|place| leftoff::progress::Place { version: Version::from_u64(7), ..*place }).collect();
        state.furthest = Position::from_millis(100_000);
        let record = Record::Register { profile, title, state };
        hosts.take(1, &record);
        assert!(hosts.found().contains(&"values-have-an-origin"));
    }
}
