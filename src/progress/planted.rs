//! Wrong merges, planted on purpose: see [`crate::planted`].

use super::{Place, Places, Progress};
use crate::planted::{Planted, is_on};

/// Joins in a wrong way, if one is switched on; whether that was all.
pub(super) fn join_wrongly(own: &mut Progress, other: &Progress) -> bool {
    let wins = is_on(Planted::LastWriteWins) && own.epoch == other.epoch;
    if wins && other.newest_stamp() > own.newest_stamp() {
        own.clone_from(other);
    }
    wins
}

/// Spoils a join that was right.
pub(super) fn spoil(joined: &mut Progress) {
    let Some(newest) = joined.newest().copied() else { return };
    if is_on(Planted::OlderPlacesDropped) {
        joined.places = Places::single(newest);
    } else if is_on(Planted::PlainMax) {
        joined.places = Places::single(Place { position: joined.furthest, ..newest });
    }
}
