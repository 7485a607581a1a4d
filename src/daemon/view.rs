//! What the admin endpoints show of a node: the cluster as it sees it, and its figures.

use serde::Serialize;

use super::node::Running;
use crate::net::LinkStatus;
use crate::sync::message::Role;
use crate::time::system::{monotonic_now, wall_now};

/// The cluster as this node sees it.
#[derive(Serialize)]
pub(super) struct ClusterBody {
    node: NodeBody,
    members: Vec<MemberBody>,
    links: Vec<LinkBody>,
}

#[derive(Serialize)]
struct NodeBody {
    name: String,
    region: String,
    replica_id: String,
    epoch: String,
    durable: u64,
}

#[derive(Serialize)]
struct LinkBody {
    peer: String,
    role: &'static str,
    replica_id: Option<String>,
    region: String,
    address: String,
    dialed: bool,
    state: &'static str,
    rtt_ms: f64,
    clock_offset_ms: Option<i64>,
    lag_records: u64,
    in_flight_bytes: usize,
    records_in: u64,
    frames_in: u64,
    frames_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    refused_in: u64,
    refused_out: u64,
    waiting_out: usize,
    reconciled: u64,
}

impl From<LinkStatus> for LinkBody {
    fn from(link: LinkStatus) -> Self {
        let figures = link.figures;
        Self {
            peer: link.name,
            role: match link.role {
                Some(Role::Node) => "node",
                Some(Role::Device) => "device",
                None => "unknown",
            },
            replica_id: link.peer.map(|peer| peer.to_string()),
            region: link.region,
            address: link.address,
            dialed: link.dialed,
            state: link.state.as_str(),
            rtt_ms: link.rtt.as_secs_f64() * 1_000.0,
            clock_offset_ms: link.clock_offset_ms,
            lag_records: figures.lag,
            in_flight_bytes: figures.in_flight_bytes,
            records_in: figures.records_in,
            frames_in: figures.frames_in,
            frames_out: figures.frames_out,
            bytes_in: figures.bytes_in,
            bytes_out: figures.bytes_out,
            refused_in: figures.refused_in,
            refused_out: figures.refused_out,
            waiting_out: figures.waiting_out,
            reconciled: figures.reconciled,
        }
    }
}

/// One address that is dialed.
#[derive(Serialize)]
struct MemberBody {
    address: String,
    seed: bool,
    replica_id: Option<String>,
    linked: bool,
    last_error: Option<String>,
}

/// A node's figures, for people.
#[derive(Serialize)]
pub(super) struct StatusBody {
    version: &'static str,
    ready: bool,
    reasons: Vec<String>,
    uptime_s: u64,
    now_ms: u64,
    playheads: usize,
    playheads_max: usize,
    store: StoreBody,
    #[serde(flatten)]
    cluster: ClusterBody,
}

#[derive(Serialize)]
struct StoreBody {
    table_registers: usize,
    table_bytes: usize,
    table_bytes_max: usize,
    pending_bytes: usize,
    pending_bytes_max: usize,
    ring_changes: usize,
    ring_changes_max: usize,
    fold_log_bytes: u64,
    log_bytes: u64,
    log_segments: usize,
    log_unfolded_bytes: u64,
    durable: u64,
    folded: u64,
    folds: u64,
    closed: bool,
}

impl ClusterBody {
    /// Members, links and lag, now.
    pub(super) fn of(running: &Running) -> Self {
        let store = running.core().store();
        let node = NodeBody {
            name: running.name.clone(),
            region: running.region.clone(),
            replica_id: store.id().to_string(),
            epoch: format!("{:016x}", store.epoch().0),
            durable: store.durable().0,
        };
        let members = running.network.targets().into_iter().map(|target| MemberBody {
            address: target.address,
            seed: target.seed,
            replica_id: target.replica.map(|replica| replica.to_string()),
            linked: target.linked,
            last_error: target.last_error,
        });
        Self { node, members: members.collect(), links: running.network.links().into_iter().map(LinkBody::from).collect() }
    }
}

impl StatusBody {
    /// Everything that can be seen of the node, now.
    pub(super) fn of(running: &Running, ready: bool, reasons: Vec<String>) -> Self {
        let figures = running.core().store().figures();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            ready,
            reasons,
            uptime_s: monotonic_now().saturating_since(running.begun).as_secs(),
            now_ms: running.core().corrected(wall_now()).as_millis(),
            playheads: running.core().playheads_count(),
            playheads_max: running.bounds.playheads_count_max,
            store: StoreBody {
                table_registers: figures.table_count,
                table_bytes: figures.table_bytes,
                table_bytes_max: running.bounds.table_bytes_max,
                pending_bytes: figures.pending_bytes,
                pending_bytes_max: running.bounds.pending_bytes_max,
                ring_changes: figures.ring_count,
                ring_changes_max: running.bounds.ring_count_max,
                fold_log_bytes: running.bounds.fold_log_bytes,
                log_bytes: figures.log_bytes,
                log_segments: figures.log_segments,
                log_unfolded_bytes: figures.unfolded_bytes,
                durable: figures.durable.0,
                folded: figures.folded.0,
                folds: figures.folds,
                closed: figures.closed,
            },
            cluster: ClusterBody::of(running),
        }
    }
}
