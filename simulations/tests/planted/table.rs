//! Which bug is caught by which checker, in which story, within how many seeds.

use leftoff::planted::Planted;

/// A row.
pub(crate) struct Row {
    pub(crate) bug: Planted,
    pub(crate) checker: &'static str,
    pub(crate) story: &'static str,
    /// Seeds from 1 to here are tried.
    pub(crate) seeds: u64,
}

const fn row(bug: Planted, checker: &'static str, story: &'static str, seeds: u64) -> Row {
    Row { bug, checker, story, seeds }
}

pub(crate) const TABLE: &[Row] = &[
    row(Planted::LastWriteWins, "monotonic", "evening", 1),
    row(Planted::PlainMax, "values-have-an-origin", "evening", 1),
    row(Planted::OlderPlacesDropped, "reads-are-durable", "evening", 1),
    row(Planted::HeartbeatInNewestPlace, "own-place", "evening", 1),
    row(Planted::CursorBeforeRecords, "converged", "storm", 3),
    row(Planted::NumberReused, "numbers-are-used-once", "flips", 3),
    row(Planted::FilterForgetsProfile, "only-entitled-hosts", "evening", 1),
    row(Planted::ExpiryByOwnClock, "converged", "days", 1),
    row(Planted::FoldOverwrites, "reads-are-durable", "evening", 1),
    row(Planted::ReadBeforeSync, "reads-are-durable", "evening", 1),
    row(Planted::AckBeforeSync, "acknowledged-survives", "evening", 1),
    row(Planted::StaleFingerprint, "converged", "scrub", 1),
    row(Planted::TombstoneForgotten, "forgotten-stays-forgotten", "erasures", 1),
    row(Planted::TombstoneNotReconciled, "converged", "backup", 3),
    row(Planted::RefusedNotOffered, "converged", "skew", 2),
    row(Planted::DamagePassedOver, "acknowledged-survives", "flips", 3),
    row(Planted::TornCalledDamaged, "acknowledged-survives", "storm", 3),
    row(Planted::RingUnbounded, "within-bounds", "evening", 1),
    row(Planted::PassedOnByAll, "traffic-within-budget", "budget", 1),
    row(Planted::FloorADayEarly, "nothing-expires-early", "days", 1),
    row(Planted::FloorByAnyClock, "nothing-expires-early", "tomorrow", 1),
    row(Planted::DriftUnchecked, "no-future-stamps", "skew", 1),
    row(Planted::DriftInSeconds, "refusals-are-true", "late", 1),
];
