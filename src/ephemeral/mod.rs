//! Presence, sessions and watch parties: state that is true for moments, held in memory by leases and gossiped between nodes.
//!
//! [`Ephemeral`] is the front. What a node says of its clients stands as long as the node is heard of (`node`); what all nodes share, a
//! party's members and its anchor, is joined like everything else here. Nothing in this layer is needed to serve a resume point, nothing of it
//! is on disk, and nothing of it starts a thread or reads a clock: `now` and stamps come in.
//!
//! Leases lapse by the receiver's monotonic clock, so no wall clock can end or prolong one. Stamps only decide which word is newer.

mod deadlines;
mod error;
mod front;
mod gossip;
mod node;
mod party;
mod presence;
mod session;
mod slot;
#[cfg(test)]
mod tests;
mod turn;
mod watchers;

pub use error::{EphemeralError, PartyError};
pub use front::{Ephemeral, EphemeralFigures, EphemeralOptions};
pub use gossip::{GossipCursor, Joined};
pub use node::NodeId;
pub use party::{Anchor, Command, Control, Invite, NewParty, PartyView, SetAnchor, Viewer};
pub use presence::{Presence, PresenceState, PresentDevice};
pub use session::{EndReason, NewSession, Session, SessionGone, SessionState, StartSessionError};
pub use watchers::{EphemeralChange, EphemeralNotify, EphemeralWatchId, Topic};

/// What ended is remembered for so many leases: longer than anybody can still hold an earlier word of it.
const TOMBSTONE_LEASES: u32 = 4;
