//! Types that only the description needs: words that the code keeps as texts, and what is pushed.
#![expect(dead_code, reason = "nothing is made of these, they are described")]

use utoipa::ToSchema;

use crate::gateway::progress::ProgressBody;

/// Who may say where everybody in a party is to be.
#[derive(ToSchema)]
#[schema(as = PartyControl, rename_all = "lowercase")]
pub(in crate::gateway) enum Control {
    Host,
    Everyone,
}

/// What a device does.
#[derive(ToSchema)]
#[schema(as = DeviceState, rename_all = "lowercase")]
pub(in crate::gateway) enum Device {
    Playing,
    Paused,
    Background,
}

/// What a session does; it cannot be told that it has started.
#[derive(ToSchema)]
#[schema(as = SessionState, rename_all = "lowercase")]
pub(in crate::gateway) enum Session {
    Started,
    Playing,
    Paused,
    Stopped,
}

/// What a session is told to do.
#[derive(ToSchema)]
#[schema(as = NewSessionState, rename_all = "lowercase")]
pub(in crate::gateway) enum NewSession {
    Playing,
    Paused,
    Stopped,
}

/// What a title's last activity was.
#[derive(ToSchema)]
#[schema(as = PlaybackState, rename_all = "lowercase")]
pub(in crate::gateway) enum Playback {
    Playing,
    Seeking,
    Paused,
    Stopped,
    Ended,
}

/// A profile of which everything held is to be forgotten.
#[derive(ToSchema)]
pub(in crate::gateway) struct Forgotten {
    profile_id: String,
    cursor: String,
}

/// A change of a profile: of a register, or `erased`, or `reset` (all of it follows).
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(in crate::gateway) enum Change {
    Progress(ProgressBody),
    Erased(Forgotten),
    Reset(Forgotten),
}

/// What came since a cursor.
#[derive(ToSchema)]
pub(in crate::gateway) struct Changes {
    items: Vec<Change>,
    /// Where to go on from.
    cursor: String,
}
