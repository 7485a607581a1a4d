//! A peer's reader of our changes.

use super::{RegisterKey, Seq};

/// How far a peer has been sent our changes, and where a scan on its behalf stands. A few dozen bytes, however far the peer lags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feed {
    pub(super) position: Seq,
    pub(super) scan: Option<FeedScan>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FeedScan {
    pub(super) next: RegisterKey,
    pub(super) tombstones_sent: bool,
    pub(super) covers: Seq,
}

impl Feed {
    /// A reader of everything that arrived after `seq`.
    pub const fn after(seq: Seq) -> Self {
        Self { position: seq, scan: None }
    }

    /// Everything up to here has been handed out.
    pub const fn position(&self) -> Seq {
        self.position
    }

    /// Whether the reader is behind the ring and reads registers by `arrived`.
    pub const fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }
}

/// What one step of a feed handed out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FeedStep {
    /// Records appended to the output.
    pub count: u32,
    /// With these and all earlier records of the feed applied, the peer has everything up to here. `None` in the middle of a scan.
    pub covers: Option<Seq>,
    /// Whether another step would hand out more right away.
    pub more: bool,
}
