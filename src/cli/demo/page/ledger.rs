//! For each two regions: whether they hold the same of the page's title, since when, and how long they last differed. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::demo::belief::{Belief, Key, Known, Seen};
use crate::cli::demo::observer::Beliefs;
use crate::cli::demo::party::Party;
use crate::progress::Progress;
use crate::time::MonotonicTime;

/// Each two regions once.
pub(super) const PAIRS: [(Party, Party); 3] = [(Party::Eu, Party::Us), (Party::Us, Party::Ap), (Party::Eu, Party::Ap)];

/// What two regions hold, compared.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Pair {
    /// Whether both hold the same.
    pub(super) equal: bool,
    /// Since when that is so.
    pub(super) since: MonotonicTime,
    /// How long they differed the last time that they did and then agreed again.
    pub(super) differed: Option<Duration>,
}

/// What every two regions hold, followed from belief to belief.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    key: Key,
    pairs: [Pair; PAIRS.len()],
    last: Beliefs,
}

impl Ledger {
    /// Everybody knows nothing, and so the same.
    pub(super) fn new(now: MonotonicTime, key: Key) -> Self {
        Self { key, pairs: [Pair { equal: true, since: now, differed: None }; PAIRS.len()], last: Beliefs::default() }
    }

    /// What every two regions hold, in the order of [`PAIRS`].
    pub(super) fn pairs(&self) -> [Pair; PAIRS.len()] {
        self.pairs
    }

    /// Takes note of what everyone believes now.
    pub(super) fn note(&mut self, beliefs: &Beliefs) {
        for (pair, (one, other)) in self.pairs.iter_mut().zip(PAIRS) {
            let now = [&beliefs[one.index()], &beliefs[other.index()]].map(|belief| known(belief, &self.key));
            let before = [&self.last[one.index()], &self.last[other.index()]].map(|belief| known(belief, &self.key));
            *pair = pair.after(before, now);
        }
        self.last.clone_from(beliefs);
    }
}

fn known<'a>(belief: &'a Arc<Belief>, key: &Key) -> Option<&'a Known> {
    belief.registers.get(key)
}

impl Pair {
    fn after(self, before: [Option<&Known>; 2], now: [Option<&Known>; 2]) -> Self {
        let progress =
            |known: [Option<&Known>; 2]| -> [Option<Progress>; 2] { known.map(|known| known.map(|known| known.progress.clone())) };
        let changed = progress(before) != progress(now);
        let equal = now[0].map(|known| &known.progress) == now[1].map(|known| &known.progress);
        let seen = || now.iter().flatten().map(|known| known.seen);
        let first = |at: fn(Seen) -> MonotonicTime| seen().map(at).min().unwrap_or(self.since);
        let last = |at: fn(Seen) -> MonotonicTime| seen().map(at).max().unwrap_or(self.since);
        match (self.equal, equal) {
            // The one of them that changed last made the difference.
            (true, false) => Self { equal, since: last(|seen| seen.rung), ..self },
            (false, true) => {
                let agreed = last(|seen| seen.read);
                Self { equal, since: agreed, differed: Some(agreed.saturating_since(self.since)) }
            }
            // Both changed between two looks: they differed from the one change to the other.
            (true, true) if changed => {
                let agreed = last(|seen| seen.read);
                Self { equal, since: agreed, differed: Some(agreed.saturating_since(first(|seen| seen.rung))) }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Place, Places, Position, ProfileId, TitleId};

    fn key() -> Key {
        (ProfileId::new("viewer").unwrap(), TitleId::new("clip").unwrap())
    }

    fn time(ms: u64) -> MonotonicTime {
        MonotonicTime::from_start(Duration::from_millis(ms))
    }

    // Believes a position since a moment.
    fn at(position_ms: u64, ms: u64) -> Arc<Belief> {
        let place = Place { position: Position::from_millis(position_ms), ..Place::default() };
        let progress = Progress { places: Places::single(place), ..Progress::default() };
        let seen = Seen { rung: time(ms), read: time(ms + 1) };
        Arc::new(Belief { registers: [(key(), Known { progress, seen })].into(), ..Belief::default() })
    }

    fn all(eu: Arc<Belief>, us: Arc<Belief>, ap: Arc<Belief>) -> Beliefs {
        [eu, us, ap, Arc::default()]
    }

    #[test]
    fn a_difference_lasts_from_the_change_that_made_it_to_the_one_that_ended_it() {
        let mut ledger = Ledger::new(time(0), key());
        ledger.note(&all(at(5_000, 10), Arc::default(), Arc::default()));
        let [eu_us, us_ap, eu_ap] = ledger.pairs();
        assert_eq!((eu_us.equal, eu_us.since), (false, time(10)));
        assert_eq!((us_ap.equal, us_ap.since), (true, time(0)));
        assert!(!eu_ap.equal);
        ledger.note(&all(at(5_000, 10), at(5_000, 14), Arc::default()));
        let [eu_us, us_ap, _] = ledger.pairs();
        assert_eq!(eu_us, Pair { equal: true, since: time(15), differed: Some(Duration::from_millis(5)) });
        assert_eq!((us_ap.equal, us_ap.since), (false, time(14)));
        ledger.note(&all(at(5_000, 10), at(5_000, 14), at(5_000, 900)));
        assert_eq!(ledger.pairs()[2].differed, Some(Duration::from_millis(891)));
    }

    #[test]
    fn a_difference_that_was_over_before_anybody_looked_is_told_all_the_same() {
        let mut ledger = Ledger::new(time(0), key());
        ledger.note(&all(at(5_000, 10), at(5_000, 13), at(5_000, 12)));
        let [eu_us, us_ap, eu_ap] = ledger.pairs().map(|pair| pair.differed.unwrap().as_millis());
        assert_eq!((eu_us, us_ap, eu_ap), (4, 2, 3));
    }

    #[test]
    fn what_has_not_changed_is_left_as_it_is() {
        let mut ledger = Ledger::new(time(0), key());
        let beliefs = all(at(5_000, 10), at(5_000, 13), at(5_000, 12));
        ledger.note(&beliefs);
        let before = ledger.pairs();
        ledger.note(&beliefs);
        assert_eq!(ledger.pairs(), before);
    }
}
