//! What a replica believes: every register it holds, since when, and whether one ever went back.
//!
//! A [`Belief`] is a value; who looks and when is [`observer`](super::observer)'s matter.

use std::collections::BTreeMap;
use std::fmt;

use super::party::Party;
use crate::progress::{Position, ProfileId, Progress, TitleId, Version};
use crate::time::{Hlc, MonotonicTime};

/// Steps back that are told; further ones are only counted.
const STEPS_BACK_TOLD_MAX: usize = 8;

/// Which register.
pub(super) type Key = (ProfileId, TitleId);

/// Registers as a store holds them.
pub(super) type Registers = BTreeMap<Key, Progress>;

/// Profiles that were erased, and when.
pub(super) type Erased = BTreeMap<ProfileId, Hlc>;

/// One register, and when it was first seen as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) progress: Progress,
    pub(super) seen: Seen,
}

/// When a change was seen: between these two moments. Times that are told go from the first of one replica to the second of another, so
/// that they may be too long by the looking, and are never too short.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    /// When the replica said that something had changed.
    pub(super) rung: MonotonicTime,
    /// When the change had been read.
    pub(super) read: MonotonicTime,
}

/// A register that went back, which must never happen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct StepBack {
    pub(super) party: Party,
    pub(super) title: TitleId,
    pub(super) from: (Version, Position),
    pub(super) to: Option<(Version, Position)>,
}

impl fmt::Display for StepBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, high) = self.from;
        write!(f, "{} at {} went back from {high} in place {}", self.title, self.party, version.as_u64())?;
        match self.to {
            Some((version, high)) => write!(f, " to {high} in place {}", version.as_u64()),
            None => write!(f, " to nothing"),
        }
    }
}

/// Everything that one replica holds, as far as the demo looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Belief {
    pub(super) registers: BTreeMap<Key, Known>,
    pub(super) erased: Erased,
    /// How often the replica was looked at.
    pub(super) looks: u64,
    pub(super) steps_back_count: u64,
    pub(super) steps_back: Vec<StepBack>,
}

impl Belief {
    /// What is believed after this, when the replica was seen to hold `registers`.
    #[must_use]
    pub(super) fn after(&self, party: Party, seen: Seen, registers: BTreeMap<Key, Progress>, erased: BTreeMap<ProfileId, Hlc>) -> Self {
        let mut next = Self {
            looks: self.looks + 1,
            erased,
            steps_back_count: self.steps_back_count,
            steps_back: self.steps_back.clone(),
            registers: BTreeMap::new(),
        };
        for (key, before) in &self.registers {
            let to = registers.get(key);
            if went_back(&before.progress, to, next.erased.get(&key.0).copied().unwrap_or_default()) {
                next.steps_back_count += 1;
                if next.steps_back.len() < STEPS_BACK_TOLD_MAX {
                    let (from, to) = (before.progress.version_and_high(), to.map(Progress::version_and_high));
                    next.steps_back.push(StepBack { party, title: key.1.clone(), from, to });
                }
            }
        }
        for (key, progress) in registers {
            let seen = self.registers.get(&key).filter(|before| before.progress == progress).map_or(seen, |before| before.seen);
            next.registers.insert(key, Known { progress, seen });
        }
        next
    }

    /// The register of a title, if anything is known.
    pub(super) fn register(&self, key: &Key) -> Option<&Progress> {
        self.registers.get(key).map(|known| &known.progress)
    }

    /// Where a title is resumed.
    pub(super) fn high(&self, key: &Key) -> (Version, Position) {
        self.register(key).map(Progress::version_and_high).unwrap_or_default()
    }

    /// Titles of which `all` holds something that this does not.
    pub(super) fn titles_behind(&self, all: &Self) -> usize {
        let lacks = |(key, known): &(&Key, &Known)| self.register(key).is_none_or(|own| !own.holds(&known.progress));
        all.registers.iter().filter(lacks).count()
    }

    /// The same registers and erasures, whatever else is different.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let state = |belief: &Self| belief.registers.iter().map(|(key, known)| (key.clone(), known.progress.clone())).collect::<Vec<_>>();
        self.erased == other.erased && state(self) == state(other)
    }

    /// The join of what all believe: what is known anywhere.
    pub(super) fn joined<'a>(beliefs: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for belief in beliefs {
            for (profile, erased) in &belief.erased {
                let known = all.erased.entry(profile.clone()).or_default();
                *known = (*known).max(*erased);
            }
            for (key, known) in &belief.registers {
                let joined = all.registers.entry(key.clone()).or_insert_with(|| known.clone());
                joined.progress.join(&known.progress);
            }
        }
        all.registers.retain(|(profile, _), known| all.erased.get(profile).is_none_or(|erased| known.progress.epoch >= *erased));
        all
    }
}

// The guarantee holds from a register's first record until its profile is erased; one begun anew after that starts from nothing.
fn went_back(before: &Progress, after: Option<&Progress>, erased: Hlc) -> bool {
    match after {
        Some(after) if after.epoch > before.epoch => false,
        Some(after) => after.version_and_high() < before.version_and_high(),
        None => erased <= before.epoch,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::progress::{Place, Places};

    fn key() -> Key {
        (ProfileId::new("viewer").unwrap(), TitleId::new("night-train").unwrap())
    }

    fn at(version: u64, position_ms: u64) -> Progress {
        let place = Place { version: Version::from_u64(version), position: Position::from_millis(position_ms), ..Place::default() };
        Progress { places: Places::single(place), ..Progress::default() }
    }

    fn seen(before: &Belief, ms: u64, progress: Option<Progress>) -> Belief {
        let now = MonotonicTime::from_start(Duration::from_millis(ms));
        before.after(
            Party::Eu,
            Seen { rung: now, read: now },
            progress.into_iter().map(|progress| (key(), progress)).collect(),
            before.erased.clone(),
        )
    }

    #[test]
    fn a_belief_keeps_the_moment_since_which_it_holds() {
        let first = seen(&Belief::default(), 5, Some(at(0, 100)));
        let same = seen(&first, 9, Some(at(0, 100)));
        assert_eq!(same.registers[&key()].seen.read.since_start(), Duration::from_millis(5));
        let moved = seen(&same, 12, Some(at(0, 200)));
        assert_eq!(moved.registers[&key()].seen.read.since_start(), Duration::from_millis(12));
        assert_eq!((moved.looks, moved.steps_back_count), (3, 0));
    }

    #[test]
    fn a_newer_place_is_no_step_back_and_a_lower_position_in_one_place_is() {
        let first = seen(&Belief::default(), 1, Some(at(3, 9_000)));
        let moved = seen(&first, 2, Some(at(4, 10_000)));
        assert_eq!(moved.steps_back, []);
        let back = seen(&moved, 3, Some(at(4, 9_000)));
        assert_eq!(back.steps_back_count, 1);
        assert_eq!(back.steps_back[0].to_string(), "night-train at region eu went back from 0:00:10 in place 4 to 0:00:09 in place 4");
    }

    #[test]
    fn what_vanishes_went_back_unless_its_profile_was_erased() {
        let first = seen(&Belief::default(), 1, Some(at(0, 9_000)));
        assert_eq!(seen(&first, 2, None).steps_back_count, 1);
        let erased = Belief { erased: [(key().0, Hlc::from_u64(77))].into(), ..first };
        assert_eq!(seen(&erased, 2, None).steps_back_count, 0);
    }

    #[test]
    fn who_lacks_something_known_elsewhere_is_behind_by_that_title() {
        let (one, other) = (seen(&Belief::default(), 1, Some(at(0, 500))), seen(&Belief::default(), 1, Some(at(0, 900))));
        let all = Belief::joined([&one, &other]);
        assert_eq!((one.titles_behind(&all), other.titles_behind(&all)), (1, 0));
        assert!(!one.equals(&other) && other.equals(&all));
    }
}
