//! What a link tells of itself: how far it is, and its figures.

use crate::store::Seq;

/// Figures of one link, all counted from its beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkFigures {
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent, or about to be.
    pub frames_out: u64,
    /// Bytes received, headers included.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Records received.
    pub records_in: u64,
    /// Records frames sent.
    pub records_frames_out: u64,
    /// Records frames that the peer has synced.
    pub records_frames_acked: u64,
    /// Unacknowledged bytes.
    pub in_flight_bytes: usize,
    /// Records of the peer that were refused here.
    pub refused_in: u64,
    /// Records that the peer refused.
    pub refused_out: u64,
    /// Records that the peer refused and that wait to be offered again.
    pub waiting_out: usize,
    /// Our last change that the peer is known to have synced.
    pub synced: Seq,
    /// Our changes that the peer is not known to have, but for what it is known to get from others.
    pub lag: u64,
    /// Reconciliations settled.
    pub reconciled: u64,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkState {
    /// The hello has not come.
    Greeting,
    /// A device waits for what its token allows.
    Granting,
    /// What the peer remembers has not come.
    Resuming,
    /// Records flow.
    Open,
    /// Records flow, and a reconciliation is under way.
    Reconciling,
}

impl LinkState {
    /// The state's name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Granting => "granting",
            Self::Resuming => "resuming",
            Self::Open => "open",
            Self::Reconciling => "reconciling",
        }
    }
}
