//! The places that a playhead was in before its moves, so that a report that arrives late counts where the playhead was at that time.

use crate::limits::PLAYHEAD_MOVES_REMEMBERED;
use crate::progress::{Position, Version};
use crate::time::WallTime;

/// A place that the playhead has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Left {
    /// When it was left: by the move's own time.
    pub(super) until: WallTime,
    /// Which place.
    pub(super) version: Version,
    /// Where the playhead stood when it left.
    pub(super) position: Position,
}

/// The last places left, the earliest first, at most [`PLAYHEAD_MOVES_REMEMBERED`].
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    left: Vec<Left>,
}

impl Trail {
    /// The place that the playhead was in at that time, if it has left it since.
    pub(super) fn at(&self, at: WallTime) -> Option<Left> {
        self.left.iter().find(|left| at < left.until).copied()
    }

    /// Remembers a place that was left.
    pub(super) fn leave(&mut self, left: Left) {
        let index = self.left.partition_point(|earlier| earlier.until <= left.until);
        self.left.insert(index, left);
        if self.left.len() > PLAYHEAD_MOVES_REMEMBERED {
            self.left.remove(0);
        }
    }

    /// Remembers a move that became known late: what was left then, and that from then on the playhead was in the place that it opened.
    pub(super) fn leave_late(&mut self, left: Left, opened: Version, position: Position) {
        // First the later place, then the insertion, which may push the oldest one out.
        if let Some(next) = self.left.iter_mut().find(|next| left.until < next.until) {
            (next.version, next.position) = (opened, position);
        }
        self.leave(left);
    }

    /// Moves every time, and the versions, by the clock's correction.
    pub(super) fn restamp(&mut self, offset_ms: i64, moved: impl Fn(Version) -> Version) {
        for left in &mut self.left {
            left.until = left.until.shifted(offset_ms);
            left.version = moved(left.version);
        }
    }

    /// Heap bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.left.capacity() * size_of::<Left>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(until: u64, version: u64) -> Left {
        Left { until: WallTime::from_millis(until), version: Version::from_u64(version), position: Position::ZERO }
    }

    fn version_at(trail: &Trail, at: u64) -> Option<u64> {
        trail.at(WallTime::from_millis(at)).map(|left| left.version.as_u64())
    }

    #[test]
    fn a_time_finds_the_place_of_that_time() {
        let mut trail = Trail::default();
        trail.leave(left(10, 1));
        trail.leave(left(20, 2));
        assert_eq!([5, 9, 10, 19, 20].map(|at| version_at(&trail, at)), [Some(1), Some(1), Some(2), Some(2), None]);
    }

    #[test]
    fn a_late_move_splits_the_time_that_it_falls_in() {
        let mut trail = Trail::default();
        trail.leave(left(10, 1));
        trail.leave(left(20, 2));
        trail.leave_late(left(15, 2), Version::from_u64(7), Position::ZERO);
        assert_eq!([5, 14, 15, 19, 20].map(|at| version_at(&trail, at)), [Some(1), Some(2), Some(7), Some(7), None]);
    }

    #[test]
    fn a_late_move_in_a_full_trail_touches_no_other_place() {
        let mut trail = Trail::default();
        for (until, version) in [(10, 1), (20, 2), (30, 3), (40, 4)] {
            trail.leave(left(until, version));
        }
        trail.leave_late(left(5, 1), Version::from_u64(7), Position::ZERO);
        assert_eq!([4, 9, 15, 25, 35].map(|at| version_at(&trail, at)), [Some(7), Some(7), Some(2), Some(3), Some(4)]);
        assert_eq!(trail.left.len(), PLAYHEAD_MOVES_REMEMBERED);
    }
}
