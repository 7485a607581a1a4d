//! Why something ephemeral was not done. Nothing has changed then.

use crate::limits::{PARTIES_PER_PROFILE_COUNT_MAX, POSITION_MS_MAX};

/// Why presence was not noted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EphemeralError {
    /// A table is full.
    #[error("this node holds no more {what}")]
    Full {
        /// Of what.
        what: &'static str,
    },
}

/// Why a party was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PartyError {
    /// There is no such party, or whoever asks is neither in it nor invited. The two are not told apart.
    #[error("there is no such party, or this profile is not invited to it")]
    NotInvited,
    /// The device has not joined at this node, or its lease has lapsed.
    #[error("this device has not joined the party here; join, then send commands")]
    NotJoined,
    /// Only the host may do this.
    #[error("only the host of the party may do this")]
    NotHost,
    /// The id is another party's.
    #[error("the party id is taken")]
    Taken,
    /// The profile has made as many parties here as it may have at once.
    #[error("this profile has {PARTIES_PER_PROFILE_COUNT_MAX} parties that are not over, more are not made")]
    TooMany,
    /// A position that is none.
    #[error("a position of {position_ms} ms is above {POSITION_MS_MAX}")]
    Position {
        /// The position.
        position_ms: u64,
    },
    /// This node takes no more.
    #[error("this node takes no more {what}")]
    Full {
        /// Of what.
        what: &'static str,
    },
}
