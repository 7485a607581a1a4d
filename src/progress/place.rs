//! Places: the points in a title that a viewer chose, and how far watching went on from each.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{PLACES_COUNT_MAX, STAMP_MAX};
use crate::time::Hlc;

/// Where a playhead stands in a title, in milliseconds from its start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Position(u64);

impl Position {
    /// The start of the title.
    pub const ZERO: Self = Self(0);

    /// The given number of milliseconds into the title.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds from the start of the title.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    /// Hours, minutes, seconds, as people say it: `1:02:16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        write!(f, "{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

/// Which deliberate move opened a place: the stamp of that move. Zero is the place that every title starts in.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Version(u64);

impl Version {
    /// The place that every title starts in, opened by nobody.
    pub const FIRST: Self = Self(0);

    /// A version from its number; numbers above 2^53 - 1 become that.
    pub const fn from_u64(raw: u64) -> Self {
        Self(if raw > STAMP_MAX { STAMP_MAX } else { raw })
    }

    /// The version's number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The version as the stamp of the move that opened it.
    pub const fn as_hlc(self) -> Hlc {
        Hlc::from_u64(self.0)
    }

    /// The version of a move away from this place, stamped `at`: above both.
    #[must_use]
    pub fn opened_at(self, at: Hlc) -> Self {
        Self::from_u64(self.0.saturating_add(1).max(at.as_u64()))
    }
}

/// A point in a title that a viewer chose, and how far watching went on from there.
///
/// Opened by a deliberate move (a jump, a restart), whose stamp is its version. Inside a place the position only grows, so a late or repeated
/// heartbeat can never move it back; a newer place wins however small its position is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The move that opened it.
    pub version: Version,
    /// The furthest position reported in it.
    pub position: Position,
    /// When it was last reported in.
    pub touched: Hlc,
    /// Whether the title was played to its end in it.
    pub ended: bool,
}

impl Place {
    /// Whether a title of that length (none: unknown) is completed in this place: played to its end, or at least to 95 %.
    pub fn completes(&self, duration_ms: Option<u64>) -> bool {
        let reached = |ms| ms > 0 && u128::from(self.position.as_millis()) * 100 >= u128::from(ms) * 95;
        self.ended || duration_ms.is_some_and(reached)
    }
}

/// The newest places of a register, at most eight, newest first.
///
/// A join-semilattice: union by version; equal versions join by max, max, or; then the eight highest versions are kept.
#[derive(Clone, Copy, Default)]
pub struct Places {
    count: u8,
    entries: [Place; PLACES_COUNT_MAX],
}

impl Places {
    /// One place.
    pub fn single(place: Place) -> Self {
        let mut places = Self::default();
        places.entries[0] = place;
        places.count = 1;
        places
    }

    /// The places, newest first.
    pub fn as_slice(&self) -> &[Place] {
        &self.entries[..usize::from(self.count)]
    }

    /// The newest place: where to resume.
    pub fn newest(&self) -> Option<&Place> {
        self.as_slice().first()
    }

    /// The place of a version, if it is among the eight.
    pub fn find(&self, version: Version) -> Option<&Place> {
        self.as_slice().iter().find(|place| place.version == version)
    }

    /// Adds a place below all others; beyond eight it would not be kept.
    pub(super) fn push_lowest(&mut self, place: Place) {
        if let Some(entry) = self.entries.get_mut(usize::from(self.count)) {
            *entry = place;
            self.count += 1;
        }
    }

    /// Whether joining others into these would change nothing.
    pub(super) fn hold(&self, other: &Self) -> bool {
        let own = self.as_slice();
        let holds = |place: &Place| match own.iter().find(|own| own.version <= place.version) {
            Some(own) if own.version == place.version => {
                own.position >= place.position && own.touched >= place.touched && own.ended >= place.ended
            }
            Some(_) => false,
            // Below all others: kept only while there is room.
            None => own.len() == PLACES_COUNT_MAX,
        };
        other.as_slice().iter().all(holds)
    }

    /// Joins one place into these.
    pub fn join_place(&mut self, place: Place) {
        let count = usize::from(self.count);
        let index = self.as_slice().iter().position(|own| own.version <= place.version).unwrap_or(count);
        if index < count && self.entries[index].version == place.version {
            let own = &mut self.entries[index];
            own.position = own.position.max(place.position);
            own.touched = own.touched.max(place.touched);
            own.ended |= place.ended;
        } else if index < PLACES_COUNT_MAX {
            let kept = count.min(PLACES_COUNT_MAX - 1);
            self.entries.copy_within(index..kept, index + 1);
            self.entries[index] = place;
            self.count = (kept + 1) as u8;
        }
    }

    /// Joins other places into these.
    pub fn join(&mut self, other: &Self) {
        for place in other.as_slice() {
            self.join_place(*place);
        }
    }

    /// Rewrites every place (for the re-stamping of what was shared with nobody) and restores the order.
    pub(crate) fn map(&self, mut rewrite: impl FnMut(Place) -> Place) -> Self {
        let mut mapped = Self::default();
        for place in self.as_slice() {
            mapped.join_place(rewrite(*place));
        }
        mapped
    }
}

impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Places {}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut all = Self::default();
        for place in places {
            all.join_place(place);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(version: u64, position_ms: u64) -> Place {
        Place { version: Version::from_u64(version), position: Position::from_millis(position_ms), ..Place::default() }
    }

    #[test]
    fn the_eight_highest_versions_are_kept_whatever_the_order() {
        let up: Places = (0..12).map(|v| place(v, v)).collect();
        let down: Places = (0..12).rev().map(|v| place(v, v)).collect();
        assert_eq!(up, down);
        assert_eq!(up.as_slice().len(), PLACES_COUNT_MAX);
        assert_eq!(up.newest().map(|p| p.version.as_u64()), Some(11));
        assert_eq!(up.as_slice().last().map(|p| p.version.as_u64()), Some(4));
    }

    #[test]
    fn inside_a_place_the_position_only_grows() {
        let mut places = Places::single(place(7, 500));
        places.join_place(place(7, 300));
        assert_eq!(places.find(Version::from_u64(7)).map(|p| p.position.as_millis()), Some(500));
        places.join_place(place(7, 900));
        assert_eq!(places.find(Version::from_u64(7)).map(|p| p.position.as_millis()), Some(900));
    }

    #[test]
    fn a_position_is_shown_as_people_say_it() {
        assert_eq!(Position::from_millis(3_736_999).to_string(), "1:02:16");
    }
}
