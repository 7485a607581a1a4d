//! The register: everything the system knows about one profile in one title, as a product of join-semilattices.
//!
//! The merge is associative, commutative and idempotent, so replicas may join each other's states in any order and as often as they like. A
//! delta is a state too, one with little in it: what is stored, sent and joined is always a [`Progress`].

use std::convert::Infallible;

use crdts::{CmRDT, CvRDT};

use super::{Activity, Place, Places, Position, SeriesId, Version};
use crate::limits::POSITION_OVER_DURATION_MS_MAX;
use crate::time::Hlc;

/// A title's length as some player reported it. Last writer wins, then the longer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KnownDuration {
    /// When it was reported.
    pub stamp: Hlc,
    /// The length, in milliseconds.
    pub ms: u64,
}

/// The show that a title belongs to, as some player reported it. Last writer wins, then the greater id.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KnownSeries {
    /// When it was reported.
    pub stamp: Hlc,
    /// The show.
    pub id: SeriesId,
}

/// A progress register, or a delta of one: they are the same lattice.
///
/// `Default` is the bottom, which joins to nothing. Equal states have equal bytes (see the codec).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The profile's erasure that the register was begun under. The higher epoch wins whole.
    pub epoch: Hlc,
    /// The newest places.
    pub places: Places,
    /// The furthest position ever reported.
    pub furthest: Position,
    /// The last activity.
    pub activity: Option<Activity>,
    /// The title's length.
    pub duration: Option<KnownDuration>,
    /// The show.
    pub series: Option<KnownSeries>,
    /// When the title was last removed from the continue-watching row; zero for never.
    pub hidden: Hlc,
}

impl Progress {
    /// A delta that hides the title from the continue-watching row.
    pub fn hiding(epoch: Hlc, stamp: Hlc) -> Self {
        Self { epoch, hidden: stamp, ..Self::default() }
    }

    /// Joins `other` into this: the least state that holds both.
    pub fn join(&mut self, other: &Self) {
        #[cfg(leftoff_planted)]
        if super::planted::join_wrongly(self, other) {
            return;
        }
        if self.epoch > other.epoch {
            return;
        }
        if self.epoch < other.epoch {
            *self = other.clone();
            return;
        }
        self.places.join(&other.places);
        self.furthest = self.furthest.max(other.furthest);
        if other.activity > self.activity {
            self.activity.clone_from(&other.activity);
        }
        self.duration = self.duration.max(other.duration);
        if other.series > self.series {
            self.series.clone_from(&other.series);
        }
        self.hidden = self.hidden.max(other.hidden);
        #[cfg(leftoff_planted)]
        super::planted::spoil(self);
    }

    /// The join of two states.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }

    /// Whether joining `other` into this would change nothing.
    pub fn holds(&self, other: &Self) -> bool {
        // Cheap comparisons decide nearly always; only a true candidate pays for the join.
        if self.epoch != other.epoch {
            return self.epoch > other.epoch;
        }
        if self.furthest < other.furthest || self.hidden < other.hidden || self.activity < other.activity {
            return false;
        }
        if self.duration < other.duration || self.series < other.series {
            return false;
        }
        self.places.hold(&other.places)
    }

    /// Whether this is the bottom: no information.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The newest place.
    pub fn newest(&self) -> Option<&Place> {
        self.places.newest()
    }

    /// `(version, high)` of the newest place: what never decreases for a watcher of one node within the register's life.
    pub fn version_and_high(&self) -> (Version, Position) {
        self.newest().map_or_else(Default::default, |place| (place.version, place.position))
    }

    /// The title's length, unless a position beyond it has been reported since: then it is doubted until one at least as long is reported.
    pub fn trusted_duration_ms(&self) -> Option<u64> {
        self.duration.map(|known| known.ms).filter(|ms| self.furthest.as_millis() <= ms.saturating_add(POSITION_OVER_DURATION_MS_MAX))
    }

    /// Whether the newest place was played to its end, or at least to 95 % of a known length.
    pub fn completed(&self) -> bool {
        self.newest().is_some_and(|place| place.completes(self.trusted_duration_ms()))
    }

    /// The newest stamp in the register, by which it expires: of its places, its activity and its hiding. Zero if it has none.
    pub fn newest_stamp(&self) -> Hlc {
        let touched = self.places.as_slice().iter().map(|place| place.touched).max().unwrap_or_default();
        let acted = self.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.stamp);
        touched.max(acted).max(self.hidden)
    }

    /// The highest stamp or version anywhere in the state: what a receiver's clock must not fall behind, and what the drift bound is checked on.
    pub fn highest_stamp(&self) -> Hlc {
        let versions = self.newest().map_or(Hlc::ZERO, |place| place.version.as_hlc());
        let acted = self.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.version.as_hlc());
        let duration = self.duration.map_or(Hlc::ZERO, |known| known.stamp);
        let series = self.series.as_ref().map_or(Hlc::ZERO, |known| known.stamp);
        [self.newest_stamp(), versions, acted, duration, series, self.epoch].into_iter().max().unwrap_or_default()
    }

    /// The same delta by a clock that is `offset_ms` ahead of the one that stamped it.
    ///
    /// Only for what has been shared with nobody. Stamps always move; a version moves when `own` says that this device's clock made it; the
    /// epoch comes from elsewhere and stays.
    #[must_use]
    pub fn restamped(&self, offset_ms: i64, own: impl Fn(Version) -> bool) -> Self {
        let moved = |version: Version| {
            if version == Version::FIRST || !own(version) {
                version
            } else {
                Version::from_u64(version.as_hlc().shifted(offset_ms).as_u64())
            }
        };
        Self {
            epoch: self.epoch,
            places: self.places.map(|place| Place { version: moved(place.version), touched: place.touched.shifted(offset_ms), ..place }),
            furthest: self.furthest,
            activity: self.activity.clone().map(|activity| Activity {
                stamp: activity.stamp.shifted(offset_ms),
                version: moved(activity.version),
                ..activity
            }),
            duration: self.duration.map(|known| KnownDuration { stamp: known.stamp.shifted(offset_ms), ..known }),
            series: self.series.clone().map(|known| KnownSeries { stamp: known.stamp.shifted(offset_ms), ..known }),
            hidden: self.hidden.shifted(offset_ms),
        }
    }
}

impl CvRDT for Progress {
    type Validation = Infallible;

    fn validate_merge(&self, _other: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.join(&other);
    }
}

/// The operation is the delta; applying it is joining it.
impl CmRDT for Progress {
    type Op = Self;
    type Validation = Infallible;

    fn validate_op(&self, _delta: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, delta: Self) {
        self.join(&delta);
    }
}
