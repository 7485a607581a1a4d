//! What becomes of an event that waits to be recorded, told to all whose reports it stands for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::{Counted, RefusedEvent};
use super::problem::Problem;
use crate::progress::{PlaybackEvent, Version};

/// What became of it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It is durable; none: kept back as the report of a player that may have jumped.
    Accepted(Option<Version>),
    /// It does not count.
    Refused(&'static str, String),
    /// It could not be kept.
    Failed(Problem),
}

impl Outcome {
    /// That of the only event of a batch.
    pub(super) fn of_one(counted: &Counted) -> Self {
        match (counted.refused.first(), counted.versions.first()) {
            (Some(refused), _) => Self::Refused(refused.code, refused.reason.clone()),
            (None, version) => Self::Accepted(version.map(|(_, version)| *version)),
        }
    }
}

type Then = Box<dyn FnOnce(&Outcome) + Send>;

enum State {
    Open(Vec<Then>),
    Known(Outcome),
}

/// The fate of one event that waits.
pub(super) struct Fate {
    state: Mutex<State>,
    profile: String,
    title: String,
}

impl std::fmt::Debug for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fate").finish_non_exhaustive()
    }
}

impl Fate {
    /// Not known yet.
    pub(super) fn of(event: &PlaybackEvent) -> Arc<Self> {
        let (profile, title) = (event.profile_id.clone(), event.title_id.clone());
        Arc::new(Self { state: Mutex::new(State::Open(Vec::new())), profile, title })
    }

    /// The register that it is about, by profile and title.
    pub(super) fn register(&self) -> (&str, &str) {
        (&self.profile, &self.title)
    }

    /// Makes it known. The first word holds.
    pub(super) fn settle(&self, outcome: &Outcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Open(told) = &mut *state else { return };
        let told = std::mem::take(told);
        *state = State::Known(outcome.clone());
        drop(state);
        for then in told {
            then(outcome);
        }
    }

    /// Calls `then` when it is known, which may be now.
    pub(super) fn when_known(&self, then: Then) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Open(told) => told.push(then),
            State::Known(outcome) => {
                let outcome = outcome.clone();
                drop(state);
                then(&outcome);
            }
        }
    }

    fn known(&self) -> Option<Outcome> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(_) => None,
            State::Known(outcome) => Some(outcome.clone()),
        }
    }
}

/// An event of a batch, by its index, that waits to be recorded with others'.
pub(super) type Waits = Vec<(u32, Arc<Fate>)>;

/// Calls `then` when all of `fates` are known.
pub(super) fn when_all_known(fates: &[Arc<Fate>], then: impl FnOnce() + Send + 'static) {
    if fates.is_empty() {
        return then();
    }
    let (left, then) = (Arc::new(AtomicUsize::new(fates.len())), Arc::new(Mutex::new(Some(then))));
    for fate in fates {
        let (left, then) = (Arc::clone(&left), Arc::clone(&then));
        fate.when_known(Box::new(move |_| {
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let then = then.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(then) = then {
                    then();
                }
            }
        }));
    }
}

/// Puts what became of those that waited into what became of their batch. A failure that left nothing of the batch is its answer.
pub(super) fn put_in(waits: &[(u32, Arc<Fate>)], counted: &mut Counted) -> Result<(), Problem> {
    let mut failed = None;
    for (index, fate) in waits {
        // All of them are known here; one that is not would be refused, not passed over.
        match fate.known().unwrap_or(Outcome::Failed(Problem::Internal)) {
            Outcome::Accepted(version) => {
                counted.accepted += 1;
                counted.versions.extend(version.map(|version| (*index, version)));
            }
            Outcome::Refused(code, reason) => counted.refused.push(RefusedEvent { index: *index, code, reason }),
            Outcome::Failed(problem) => {
                counted.refused.push(RefusedEvent { index: *index, code: problem.code(), reason: problem.to_string() });
                failed = Some(problem);
            }
        }
    }
    counted.versions.sort_by_key(|(index, _)| *index);
    counted.refused.sort_by_key(|refused| refused.index);
    match failed {
        Some(problem) if counted.accepted == 0 => Err(problem),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::EventKind;

    #[test]
    fn whoever_waits_is_told_once_all_is_known_and_late_comers_at_once() {
        let event = PlaybackEvent::new("p", "t", "d", EventKind::Heartbeat, 1);
        let fates = [Fate::of(&event), Fate::of(&event)];
        let told = Arc::new(AtomicUsize::new(0));
        let tell = || {
            let told = Arc::clone(&told);
            move || {
                told.fetch_add(1, Ordering::AcqRel);
            }
        };
        when_all_known(&fates, tell());
        fates[0].settle(&Outcome::Accepted(Some(Version::from_u64(7))));
        assert_eq!(told.load(Ordering::Acquire), 0);
        fates[1].settle(&Outcome::Failed(Problem::Overloaded { retry_ms: 1 }));
        fates[1].settle(&Outcome::Accepted(None));
        assert_eq!(told.load(Ordering::Acquire), 1);
        when_all_known(&fates, tell());
        when_all_known(&[], tell());
        assert_eq!(told.load(Ordering::Acquire), 3);

        let mut counted = Counted::default();
        put_in(&[(4, Arc::clone(&fates[1])), (2, Arc::clone(&fates[0]))], &mut counted).unwrap();
        assert_eq!((counted.accepted, counted.versions.len(), counted.refused[0].code), (1, 1, "overloaded"));
        put_in(&[(4, Arc::clone(&fates[1]))], &mut Counted::default()).unwrap_err();
    }
}
