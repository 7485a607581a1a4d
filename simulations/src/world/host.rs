//! A host: a regional node or a device, its disk, its clock and what its shell remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leftoff::progress::ProfileId;
use leftoff::replica::Core;
use leftoff::store::{ReplicaId, Seq};
use leftoff::sync::{Backoff, Clocks};

use super::clock::HostClock;
use super::disk::Disk;
use super::propagation::ByHash;
use super::queue::{Event, Micros};
use super::random::Random;
use super::workload::Report;

/// Bounds of the waits before dialing again, as the shipped network has them.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What a host is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Node,
    /// With the hash of its profile in the nodes' key space.
    Device {
        profile: ProfileId,
        profile_hash: u64,
    },
}

/// Whether its process runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Up {
    Yes,
    No,
    /// Stopped in its tracks.
    Paused,
}

/// What a dialer does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialing {
    /// There is a link with the replica at the address, whoever dialed it.
    Rests,
    /// It waits before the next attempt.
    Waits,
    /// An attempt, or the link that came of it.
    Attempts,
}

/// Keeps one address dialed.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    /// The hosts to dial: the first that answers. One, for a node.
    pub(super) targets: Vec<usize>,
    /// Which of them is next.
    pub(super) next: usize,
    /// Who was last found there.
    pub(super) replica: Option<ReplicaId>,
    pub(super) backoff: Backoff,
    pub(super) dialing: Dialing,
}

impl Dialer {
    pub(super) fn new(targets: Vec<usize>) -> Self {
        Self { targets, next: 0, replica: None, backoff: Backoff::new(BACKOFF.0, BACKOFF.1), dialing: Dialing::Waits }
    }
}

/// Somebody who waits to be told that a report is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) seq: Seq,
    pub(super) viewer: u32,
    pub(super) report: Report,
}

/// A host.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) place: usize,
    pub(super) kind: Kind,
    pub(super) disk: Disk,
    pub(super) clock: HostClock,
    pub(super) core: Option<Box<Core>>,
    pub(super) up: Up,
    /// Counts the starts of its process: what was planned for an earlier life means nothing.
    pub(super) life: u32,
    pub(super) run: u64,
    /// A device that has sent what no honest one sends.
    pub(super) hostile: bool,
    /// After a crash that is armed, down for so long.
    pub(super) down_next: Option<Micros>,
    /// A device without a line.
    pub(super) offline_until: Micros,
    /// It reads nothing from its links.
    pub(super) stuck: bool,
    /// What came due while it was paused.
    pub(super) deferred: Vec<Event>,
    /// A group of its log is being synced.
    pub(super) syncing: bool,
    pub(super) fold_planned: bool,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) links: Vec<u32>,
    /// Links with nodes, of all that there are.
    pub(super) node_links: Vec<u32>,
    /// Links with devices, by the hash of the profile that they hold.
    pub(super) by_profile: ByHash<Vec<u32>>,
    /// Links that have taken records since the last flush: they have something to acknowledge after it.
    pub(super) owing: Vec<u32>,
    /// Links that the flush under way concerns.
    pub(super) concerned: Vec<u32>,
    pub(super) poll_planned: bool,
    /// Flushes so far.
    pub(super) flushes: u64,
    pub(super) by_peer: BTreeMap<ReplicaId, u32>,
    pub(super) unsettled: BTreeSet<ReplicaId>,
    pub(super) clocks: Clocks,
    pub(super) open_count: usize,
    pub(super) dialers: Vec<Dialer>,
    pub(super) random: Random,
    /// The highest number that the replica has said is kept, to those who asked.
    pub(super) kept: Arc<AtomicU64>,
    /// Set by the replica when there is something to flush.
    pub(super) woken: Arc<AtomicBool>,
    /// Set by a device's replica when it tells its watchers to read everything again.
    pub(super) reset: Arc<AtomicBool>,
}

impl Host {
    pub(super) fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up == Up::Yes && self.core.is_some()
    }

    /// Whether there is something to flush; not any more after this.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// Enters a link, with a node or with a device that holds a profile of this hash.
    pub(super) fn enter_link(&mut self, index: u32, profile_hash: Option<u64>) {
        self.links.push(index);
        match profile_hash {
            None => self.node_links.push(index),
            Some(hash) => self.by_profile.entry(hash).or_default().push(index),
        }
    }

    /// Takes a link out.
    pub(super) fn remove_link(&mut self, index: u32) {
        self.links.retain(|link| *link != index);
        self.owing.retain(|link| *link != index);
        let before = self.node_links.len();
        self.node_links.retain(|link| *link != index);
        if self.node_links.len() == before {
            self.by_profile.retain(|_, links| {
                links.retain(|link| *link != index);
                !links.is_empty()
            });
        }
    }

    /// Forgets what only a running process knows.
    pub(super) fn forget_process(&mut self) {
        self.core = None;
        self.syncing = false;
        self.fold_planned = false;
        self.deferred.clear();
        self.links.clear();
        self.node_links.clear();
        self.by_profile.clear();
        self.owing.clear();
        self.poll_planned = false;
        self.by_peer.clear();
        self.unsettled.clear();
        self.clocks = Clocks::default();
        self.open_count = 0;
        self.woken = Arc::default();
        self.reset = Arc::default();
        self.kept = Arc::default();
        for dialer in &mut self.dialers {
            *dialer = Dialer::new(std::mem::take(&mut dialer.targets));
        }
    }
}
