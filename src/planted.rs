//! Bugs planted on purpose, so that the simulator's checkers are checked themselves. Compiled only with `--cfg leftoff_planted`; never a feature,
//! and nothing of it is in a normal build. Each is switched on by name, for the present thread; where it strikes it looks here.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

/// A planted bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Planted {
    /// The register of the later stamp replaces the other.
    LastWriteWins,
    /// Places are not told apart: the highest position wins, wherever it was reported.
    PlainMax,
    /// A merge keeps the newest place and drops the way back.
    OlderPlacesDropped,
    /// A heartbeat counts in the newest place instead of its playhead's own.
    HeartbeatInNewestPlace,
    /// A peer's cursor is in the log before the records that it covers.
    CursorBeforeRecords,
    /// After a crash sequence numbers go on where the log ends.
    NumberReused,
    /// A narrow link's filter forgets the profile.
    FilterForgetsProfile,
    /// A peer's record is dropped because it is too old by this replica's own clock.
    ExpiryByOwnClock,
    /// A fold overwrites what the engine holds.
    FoldOverwrites,
    /// What is appended is shown before it is synced.
    ReadBeforeSync,
    /// What is appended is acknowledged before it is synced.
    AckBeforeSync,
    /// A merge into the engine leaves the old fingerprint standing.
    StaleFingerprint,
    /// Tombstones of folded erasures are not read back.
    TombstoneForgotten,
    /// Reconciliation compares no tombstones.
    TombstoneNotReconciled,
    /// A record that a peer refused for now is never offered again.
    RefusedNotOffered,
    /// Damage in the log is passed over without a word.
    DamagePassedOver,
    /// A write that a crash has cut is called damage.
    TornCalledDamaged,
    /// The ring of changes drops nothing.
    RingUnbounded,
    /// A node passes everything on to everybody, and leaves nothing to those who made it.
    PassedOnByAll,
    /// The expiry floor is raised a day too far.
    FloorADayEarly,
    /// The expiry floor is raised by a clock that no peer's agrees with.
    FloorByAnyClock,
    /// Nobody looks how far ahead a peer's stamps are.
    DriftUnchecked,
    /// The bound of clock drift is taken for seconds where it is milliseconds.
    DriftInSeconds,
}

/// Whether any is switched on.
pub fn is_any_on() -> bool {
    Planted::ALL.into_iter().any(is_on)
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::LastWriteWins,
        Self::PlainMax,
        Self::OlderPlacesDropped,
        Self::HeartbeatInNewestPlace,
        Self::CursorBeforeRecords,
        Self::NumberReused,
        Self::FilterForgetsProfile,
        Self::ExpiryByOwnClock,
        Self::FoldOverwrites,
        Self::ReadBeforeSync,
        Self::AckBeforeSync,
        Self::StaleFingerprint,
        Self::TombstoneForgotten,
        Self::TombstoneNotReconciled,
        Self::RefusedNotOffered,
        Self::DamagePassedOver,
        Self::TornCalledDamaged,
        Self::RingUnbounded,
        Self::PassedOnByAll,
        Self::FloorADayEarly,
        Self::FloorByAnyClock,
        Self::DriftUnchecked,
        Self::DriftInSeconds,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastWriteWins => "last-write-wins",
            Self::PlainMax => "plain-max",
            Self::OlderPlacesDropped => "older-places-dropped",
            Self::HeartbeatInNewestPlace => "heartbeat-in-newest-place",
            Self::CursorBeforeRecords => "cursor-before-records",
            Self::NumberReused => "number-reused",
            Self::FilterForgetsProfile => "filter-forgets-profile",
            Self::ExpiryByOwnClock => "expiry-by-own-clock",
            Self::FoldOverwrites => "fold-overwrites",
            Self::ReadBeforeSync => "read-before-sync",
            Self::AckBeforeSync => "ack-before-sync",
            Self::StaleFingerprint => "stale-fingerprint",
            Self::TombstoneForgotten => "tombstone-forgotten",
            Self::TombstoneNotReconciled => "tombstone-not-reconciled",
            Self::RefusedNotOffered => "refused-not-offered",
            Self::DamagePassedOver => "damage-passed-over",
            Self::TornCalledDamaged => "torn-called-damaged",
            Self::RingUnbounded => "ring-unbounded",
            Self::PassedOnByAll => "passed-on-by-all",
            Self::FloorADayEarly => "floor-a-day-early",
            Self::FloorByAnyClock => "floor-by-any-clock",
            Self::DriftUnchecked => "drift-unchecked",
            Self::DriftInSeconds => "drift-in-seconds",
        }
    }
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no planted bug has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no planted bug is called {0:?}")]
pub struct NoSuchBug(String);

impl FromStr for Planted {
    type Err = NoSuchBug;

    fn from_str(name: &str) -> Result<Self, NoSuchBug> {
        Self::ALL.into_iter().find(|bug| bug.name() == name).ok_or_else(|| NoSuchBug(name.to_owned()))
    }
}

thread_local! {
    static PRESENT: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Switches a bug on, for this thread, in the place of any other; none: all is well again.
pub fn switch_to(bug: Option<Planted>) {
    PRESENT.set(bug);
}

/// Whether a bug is switched on.
pub fn is_on(bug: Planted) -> bool {
    PRESENT.get() == Some(bug)
}
