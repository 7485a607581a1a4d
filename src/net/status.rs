//! What can be seen of the network: for the cluster view, `leftoff status` and metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::ReplicaId;
use crate::sync::message::Role;
use crate::sync::{LinkFigures, LinkState};

/// One link, as it is now.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Its number in this process.
    pub link: u64,
    /// Whether this side dialed.
    pub dialed: bool,
    /// The peer's address, as this side sees it.
    pub address: String,
    /// The peer, once it has greeted.
    pub peer: Option<ReplicaId>,
    /// What the peer is.
    pub role: Option<Role>,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// How far the link is.
    pub state: LinkState,
    /// The transport's smoothed round trip.
    pub rtt: Duration,
    /// How far the peer's clock is ahead of ours, in milliseconds, when last compared.
    pub clock_offset_ms: Option<i64>,
    /// Counts and bytes.
    pub figures: LinkFigures,
}

/// One address that is dialed.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The address.
    pub address: String,
    /// Whether it is a seed; otherwise it was learned from another node.
    pub seed: bool,
    /// Who is there, if known.
    pub replica: Option<ReplicaId>,
    /// Whether there is a link with it.
    pub linked: bool,
    /// Why the last attempt failed, or the last link ended.
    pub last_error: Option<String>,
}

/// Counts over the life of the network.
#[derive(Debug, Default)]
pub struct NetTotals {
    /// Connections dialed, whatever became of them.
    pub dialed: AtomicU64,
    /// Connections taken.
    pub accepted: AtomicU64,
    /// Connections refused because there were too many.
    pub refused: AtomicU64,
    /// Links on which records flowed.
    pub opened: AtomicU64,
    /// Links that ended.
    pub ended: AtomicU64,
    /// Links that ended because the peer broke the protocol or was not allowed.
    pub faulted: AtomicU64,
    /// Records received on links that have ended.
    pub records_in: AtomicU64,
    /// Bytes received on links that have ended.
    pub bytes_in: AtomicU64,
    /// Bytes sent on links that have ended.
    pub bytes_out: AtomicU64,
}

impl NetTotals {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}
