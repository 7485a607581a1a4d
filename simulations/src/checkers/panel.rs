//! All checkers of one world, each called with what it wants.

use super::{Checker, Kinds, Violation};
use crate::observation::{Observation, View, VirtualTime};
use crate::outcome::{CheckerOutcome, Verdict};
use crate::scenario::Scenario;

/// Violations kept of one checker: a bug that strikes at every step would fill the memory with the same sentence.
const FOUND_PER_CHECKER_MAX: u64 = 16;

struct Seat {
    checker: Box<dyn Checker>,
    wants: Kinds,
    /// How much it found, also what was not kept.
    found: u64,
}

/// The checkers of a world.
pub struct Panel {
    seats: Vec<Seat>,
    /// For each kind, those who want it, in order: most observations are for two or three of a dozen.
    by_kind: Vec<Vec<usize>>,
    wants: Kinds,
    found: Vec<Violation>,
    scratch: Vec<Violation>,
    count: u64,
}

impl Panel {
    /// All checkers of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self::new(super::all(scenario))
    }

    /// These checkers, called in this order.
    pub fn new(checkers: Vec<Box<dyn Checker>>) -> Self {
        let seat = |checker: Box<dyn Checker>| Seat { wants: checker.wants(), checker, found: 0 };
        let seats: Vec<Seat> = checkers.into_iter().map(seat).collect();
        let wants = seats.iter().fold(Kinds::NONE, |all, seat| all.and(seat.wants));
        let by_kind = Kinds::each().map(|kind| (0..seats.len()).filter(|index| seats[*index].wants.contains(kind)).collect()).collect();
        Self { seats, by_kind, wants, found: Vec::new(), scratch: Vec::new(), count: 0 }
    }

    /// What at least one of them wants to see: nothing else need be observed.
    pub const fn wants(&self) -> Kinds {
        self.wants
    }

    /// Shows an observation to all who want it.
    pub fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View) {
        let number = Kinds::of(seen).number();
        let mut next = 0;
        while let Some(index) = self.by_kind.get(number).and_then(|wanting| wanting.get(next)).copied() {
            next += 1;
            self.seats[index].checker.observe(at, seen, view, &mut self.scratch);
            if !self.scratch.is_empty() {
                self.keep(index);
            }
        }
    }

    /// Tells all that the world is at rest.
    pub fn at_rest(&mut self, at: VirtualTime, settled: bool, view: &dyn View) {
        for index in 0..self.seats.len() {
            self.seats[index].checker.at_rest(at, settled, view, &mut self.scratch);
            self.keep(index);
        }
    }

    fn keep(&mut self, index: usize) {
        for violation in self.scratch.drain(..) {
            self.count += 1;
            self.seats[index].found += 1;
            if self.seats[index].found <= FOUND_PER_CHECKER_MAX {
                self.found.push(violation);
            }
        }
    }

    /// What was found, the first few of each checker, in order.
    pub fn found(&self) -> &[Violation] {
        &self.found
    }

    /// Acknowledged changes that are nowhere because every disk that held them was lost; known when the world is at rest.
    pub fn lost_by_design(&self) -> u64 {
        self.seats.iter().map(|seat| seat.checker.lost_by_design()).sum()
    }

    /// How much was found, also what was not kept.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What came of each checker, in order; known when the world is at rest.
    pub fn outcomes(&self) -> Vec<CheckerOutcome> {
        let outcome = |seat: &Seat| CheckerOutcome {
            name: seat.checker.name().to_owned(),
            verdict: match seat.found {
                0 if seat.checker.had_something() => Verdict::Held,
                0 => Verdict::NothingToCheck,
                _ => Verdict::Violated,
            },
            found: seat.found,
        };
        self.seats.iter().map(outcome).collect()
    }

    /// Names of the checkers and what each promises to find.
    pub fn names(&self) -> Vec<(&'static str, &'static str)> {
        self.seats.iter().map(|seat| (seat.checker.name(), seat.checker.about())).collect()
    }
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("found", &self.found).field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds as much at rest as it is told to.
    struct Finder {
        name: &'static str,
        finds: u64,
        looked: bool,
    }

    impl Checker for Finder {
        fn name(&self) -> &'static str {
            self.name
        }

        fn about(&self) -> &'static str {
            "finds what it is told to"
        }

        fn wants(&self) -> Kinds {
            Kinds::NONE
        }

        fn observe(&mut self, _: VirtualTime, _: &Observation<'_>, _: &dyn View, _: &mut Vec<Violation>) {}

        fn at_rest(&mut self, at: VirtualTime, _: bool, _: &dyn View, found: &mut Vec<Violation>) {
            found.extend((0..self.finds).map(|_| Violation { checker: self.name, at, host: None, what: "found".into() }));
        }

        fn had_something(&self) -> bool {
            self.looked
        }
    }

    #[test]
    fn all_that_is_found_is_counted_and_the_first_of_each_checker_kept() {
        let finder = |name, finds, looked| -> Box<dyn Checker> { Box::new(Finder { name, finds, looked }) };
        let mut panel =
            Panel::new(vec![finder("many", 1_000, true), finder("few", 3, true), finder("none", 0, true), finder("idle", 0, false)]);
        panel.at_rest(VirtualTime::ZERO, true, &crate::checkers::testing::Hosts::nodes(1));
        assert_eq!((panel.count(), panel.found().len()), (1_003, 19));
        let told: Vec<(String, Verdict, u64)> = panel.outcomes().into_iter().map(|one| (one.name, one.verdict, one.found)).collect();
        let expected = [
            ("many", Verdict::Violated, 1_000),
            ("few", Verdict::Violated, 3),
            ("none", Verdict::Held, 0),
            ("idle", Verdict::NothingToCheck, 0),
        ];
        assert_eq!(told, expected.map(|(name, verdict, found)| (name.to_owned(), verdict, found)));
    }
}
