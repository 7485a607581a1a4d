//! What a playhead is shown of its register, and where in it a first report belongs.

use crate::progress::{Place, Places, Position, Progress};
use crate::time::Hlc;

use super::STEP_MS;

/// A new playhead may be this far ahead of the newest place and still belong to it.
const AHEAD_MS: u64 = 10 * 60_000;
/// A rewatch begins within this much of the start, or within 2 % of the title.
const REWATCH_MS: u64 = 2 * 60_000;

/// What the register last showed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// Its places.
    pub places: Places,
    /// Whether its newest place is completed.
    pub completed: bool,
    /// The title's length, in milliseconds, if it is known and not doubted.
    pub duration_ms: Option<u64>,
    /// The profile's erasure, under which new deltas are begun.
    pub epoch: Hlc,
}

impl View {
    /// The view of a register (none: nothing recorded) in a profile last erased at `erased`.
    pub fn of(register: Option<&Progress>, erased: Hlc) -> Self {
        match register {
            Some(register) if register.epoch >= erased => Self {
                places: register.places,
                completed: register.completed(),
                duration_ms: register.trusted_duration_ms(),
                epoch: register.epoch,
            },
            _ => Self { epoch: erased, ..Self::default() },
        }
    }

    /// This view together with a place that is known from elsewhere, in a title of that length if the view knows none.
    pub(super) fn joined(&self, place: Place, duration_ms: Option<u64>) -> Self {
        let mut places = self.places;
        places.join_place(place);
        let duration_ms = self.duration_ms.or(duration_ms);
        let newest = places.newest().filter(|newest| newest.version == place.version);
        let superseded = self.places.newest().is_none_or(|shown| shown.version < place.version);
        let completed = newest.is_some_and(|newest| newest.completes(duration_ms)) || (self.completed && !superseded);
        Self { places, completed, duration_ms, epoch: self.epoch }
    }

    /// The place that a first report belongs to (rule 1); in an empty register, the one with version 0.
    pub(super) fn start_place(&self, position: Position, hlc_at: Hlc) -> Place {
        // The highest; of equals the newest, which comes first (`max_by_key` would keep the last).
        let below = || {
            let candidates = self.places_until(hlc_at).filter(|place| place.position <= position);
            candidates.copied().reduce(|best, place| if place.position > best.position { place } else { best })
        };
        self.resumed_place(position, hlc_at).or_else(below).or_else(|| self.places_until(hlc_at).last().copied()).unwrap_or_default()
    }

    /// The place that a player opened at `position` resumes: one within 60 s of it, or the newest if it is a little ahead of that.
    pub(super) fn resumed_place(&self, position: Position, hlc_at: Hlc) -> Option<Place> {
        let distance = |place: &Place| place.position.as_millis().abs_diff(position.as_millis());
        // Of equals the newest, which comes first.
        let near = self.places_until(hlc_at).filter(|place| distance(place) <= STEP_MS).min_by_key(|place| distance(place));
        let ahead = || {
            let newest = self.places_until(hlc_at).next()?;
            position.as_millis().checked_sub(newest.position.as_millis()).filter(|ahead_ms| *ahead_ms <= AHEAD_MS).map(|_| newest)
        };
        near.or_else(ahead).copied()
    }

    /// Whether a `PLAY` at `position` begins again what was completed before it.
    pub(super) fn begins_again(&self, position: Position, hlc_at: Hlc) -> bool {
        let newest = self.places.newest().copied().unwrap_or_default();
        let length_ms = self.duration_ms.unwrap_or(newest.position.as_millis());
        let position_ms = position.as_millis();
        // Compared as stamps, not as wall times: the title may have ended at a node whose clock is half a minute ahead of this one, and a
        // node's next stamp is above everything that it has seen.
        self.completed && newest.touched <= hlc_at && position_ms <= REWATCH_MS.max(length_ms / 50) && position_ms < length_ms / 2
    }

    // A place opened after the event cannot be the event's.
    fn places_until(&self, hlc_at: Hlc) -> impl Iterator<Item = &Place> + Clone {
        self.places.as_slice().iter().filter(move |place| place.version.as_hlc() <= hlc_at)
    }
}
