//! The end of the story, judged: did everyone end equal, and did no resume point ever go back.

use std::collections::BTreeSet;
use std::fmt;

use super::belief::{Registers, StepBack};
use super::party::Party;
use super::world::World;
use crate::cli::failure::Failure;
use crate::progress::Progress;

/// Differences that are told; further ones are only counted.
const DIFFERENCES_TOLD_MAX: usize = 4;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    registers_count: usize,
    looks: u64,
    unobserved: Vec<Party>,
    differences: Vec<String>,
    steps_back_count: u64,
    steps_back: Vec<StepBack>,
}

impl Verdict {
    /// Compares everything that every replica holds, read from its store now, and gathers what the observers saw.
    pub(super) fn of(world: &World) -> Result<Self, Failure> {
        let mut verdict = Self::default();
        for (belief, party) in world.beliefs().iter().zip(Party::ALL) {
            verdict.looks += belief.looks;
            verdict.steps_back_count += belief.steps_back_count;
            verdict.steps_back.extend(belief.steps_back.iter().cloned());
            if belief.looks == 0 {
                // Who was never looked at was never seen to go back, which proves nothing.
                verdict.unobserved.push(party);
            }
        }
        let all = world.read_all()?;
        if let Some(((first, expected), rest)) = all.split_first() {
            verdict.registers_count = expected.len();
            for (party, registers) in rest {
                verdict.differences.extend(differences(*first, expected, *party, registers));
            }
        }
        Ok(verdict)
    }

    /// Whether it is as it must be.
    pub(super) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.steps_back_count == 0 && self.unobserved.is_empty() && self.registers_count > 0
    }

    /// Whether nothing is wrong but that something known to one has not arrived at all others.
    pub(super) fn is_only_apart(&self) -> bool {
        !self.differences.is_empty() && Self { differences: Vec::new(), ..self.clone() }.is_good()
    }
}

fn differences(one: Party, expected: &Registers, other: Party, found: &Registers) -> Vec<String> {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differing = keys.into_iter().filter(|key| expected.get(*key) != found.get(*key));
    differing.map(|key| format!("{} of {}: {}", key.1, key.0, difference(one, expected.get(key), other, found.get(key)))).collect()
}

// The parts of two registers that differ, with both values.
fn difference(one: Party, expected: Option<&Progress>, other: Party, found: Option<&Progress>) -> String {
    let (Some(expected), Some(found)) = (expected, found) else {
        let lacking = if expected.is_none() { one } else { other };
        return format!("{lacking} knows nothing of it");
    };
    let parts = [
        ("epoch", format!("{:?}", expected.epoch), format!("{:?}", found.epoch)),
        ("places", format!("{:?}", expected.places), format!("{:?}", found.places)),
        ("furthest", expected.furthest.to_string(), found.furthest.to_string()),
        ("activity", format!("{:?}", expected.activity), format!("{:?}", found.activity)),
        ("duration", format!("{:?}", expected.duration), format!("{:?}", found.duration)),
        ("series", format!("{:?}", expected.series), format!("{:?}", found.series)),
        ("hidden", expected.hidden.to_string(), found.hidden.to_string()),
    ];
    let differing = parts.iter().filter(|(_, expected, found)| expected != found);
    let told: Vec<_> = differing.map(|(name, expected, found)| format!("{name} is {expected} at {one} and {found} at {other}")).collect();
    told.join(", ")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            return write!(
                f,
                "Full states compared: all four are equal. Of {} states seen at the four replicas, after each change, none went back.",
                self.looks
            );
        }
        let mut faults = Vec::new();
        if !self.differences.is_empty() {
            let told: Vec<_> = self.differences.iter().take(DIFFERENCES_TOLD_MAX).map(String::as_str).collect();
            faults.push(format!("{} registers differ: {}", self.differences.len(), told.join("; ")));
        }
        if self.steps_back_count > 0 {
            let told: Vec<_> = self.steps_back.iter().map(ToString::to_string).collect();
            faults.push(format!("{} times a resume point went back: {}", self.steps_back_count, told.join("; ")));
        }
        if !self.unobserved.is_empty() {
            let names: Vec<_> = self.unobserved.iter().map(|party| party.name()).collect();
            faults.push(format!("nobody looked at {}", names.join(", ")));
        }
        if self.registers_count == 0 {
            faults.push("nothing was recorded at all".to_owned());
        }
        f.write_str(&faults.join(". "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Position, ProfileId, TitleId, Version};

    fn good() -> Verdict {
        Verdict { registers_count: 1, looks: 40, ..Verdict::default() }
    }

    #[test]
    fn only_equal_states_that_were_watched_are_good() {
        assert!(good().is_good());
        assert!(!Verdict { registers_count: 0, ..good() }.is_good());
        assert!(!Verdict { unobserved: vec![Party::Ap], ..good() }.is_good());
        let step = StepBack {
            party: Party::Us,
            title: TitleId::new("night-train").unwrap(),
            from: (Version::FIRST, Position::from_millis(60_000)),
            to: None,
        };
        let went_back = Verdict { steps_back_count: 1, steps_back: vec![step], ..good() };
        assert!(!went_back.is_good());
        assert_eq!(
            went_back.to_string(),
            "1 times a resume point went back: night-train at region us went back from 0:01:00 in place 0 to nothing"
        );
    }

    #[test]
    fn a_difference_is_told_with_both_sides() {
        let key = (ProfileId::new("viewer").unwrap(), TitleId::new("night-train").unwrap());
        let held = Registers::from([(key, Progress::default())]);
        let found = differences(Party::Eu, &held, Party::Phone, &Registers::new());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], "night-train of viewer: the phone knows nothing of it");
        let further = held.keys().map(|key| (key.clone(), Progress { furthest: Position::from_millis(60_000), ..Progress::default() }));
        let found = differences(Party::Eu, &held, Party::Ap, &further.collect());
        assert_eq!(found, ["night-train of viewer: furthest is 0:00:00 at region eu and 0:01:00 at region ap"]);
        assert!(differences(Party::Eu, &held, Party::Us, &held).is_empty());
    }
}
