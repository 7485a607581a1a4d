//! Figures for Prometheus. Names and units are a contract with dashboards; ids of people, titles and devices are never labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::net::{LinkStatus, NetTotals};
use crate::replica::Core;
use crate::sync::LinkState;
use crate::sync::message::Role;

const DURATION_BUCKETS_S: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The figures of this process. There is one set, however many nodes a test runs in it.
pub(super) fn handle() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS_S).ok()?;
    // Fails only where the program around has figures of its own; then ours are among them.
    let handle = builder.install_recorder().ok()?;
    describe();
    Some(handle)
}

fn describe() {
    describe_histogram!(
        "leftoff_http_request_duration_seconds",
        "Time from a request's headers to its answer, by route, method and status."
    );
    describe_histogram!(
        "leftoff_http_lasting_request_duration_seconds",
        "The same of polls, and of what opens event streams and WebSockets."
    );
    describe_counter!("leftoff_http_connections_refused_total", "Connections closed because as many as allowed were open.");
    describe_counter!("leftoff_tls_handshakes_failed_total", "TLS handshakes that failed or took too long.");
    describe_counter!("leftoff_events_accepted_total", "Events that were accepted over HTTP and WebSockets, repeats included.");
    describe_counter!("leftoff_events_refused_total", "Events that were refused over HTTP and WebSockets, by code.");
    describe_counter!(
        "leftoff_heartbeats_coalesced_total",
        "Heartbeats of profiles over their rate that a newer one of the same playhead stands for."
    );
    describe_gauge!("leftoff_profiles_held_back", "Profiles over their rate some of whose heartbeats wait.");
    describe_counter!("leftoff_problems_total", "Requests that were answered with a problem, by code.");
    describe_counter!(
        "leftoff_connections_cut_off_total",
        "Connections that were cut because their clients took nothing of what was sent."
    );
    describe_gauge!("leftoff_push_readers", "WebSockets, event streams and polls that are open.");
    describe_counter!("leftoff_push_readers_fell_behind_total", "Readers that were slower than what they follow, and read the store.");
    describe_counter!("leftoff_pushes_total", "Changes that were pushed, once for each reader.");
    describe_gauge!("leftoff_build_info", "Always 1; the version is a label.");
    describe_gauge!("leftoff_ready", "1 while the node serves, else 0.");
    describe_gauge!("leftoff_playheads", "Playheads remembered for clients that run none.");
    describe_gauge!("leftoff_store_table_bytes", "Changed registers that are not yet folded, with keys and overhead.");
    describe_gauge!("leftoff_store_table_registers", "Changed registers that are not yet folded.");
    describe_gauge!("leftoff_store_pending_bytes", "Bytes that wait for a flush.");
    describe_gauge!("leftoff_store_log_bytes", "The log on disk.");
    describe_gauge!("leftoff_store_log_segments", "Segments of the log.");
    describe_gauge!("leftoff_store_log_unfolded_bytes", "Log since the last finished fold; opening after a crash replays it.");
    describe_gauge!("leftoff_store_durable_sequence", "The last durable sequence number.");
    describe_gauge!("leftoff_store_folded_sequence", "Everything up to this sequence number is in the engine.");
    describe_gauge!("leftoff_store_folds", "Folds finished since the store was opened.");
    describe_gauge!("leftoff_store_folded_registers", "Registers written to the engine since the store was opened.");
    describe_gauge!("leftoff_store_reads", "Registers and profiles looked up since the store was opened.");
    describe_gauge!("leftoff_store_poisoned", "1 when the store has closed itself after a failed write.");
    describe_gauge!("leftoff_replication_link_up", "1 while the link to a node is up.");
    describe_gauge!("leftoff_replication_lag_records", "Records of this node that a node has not acknowledged; NaN without a link.");
    describe_gauge!("leftoff_replication_refused_records", "Records that a node has refused on the present link; NaN without a link.");
    describe_gauge!("leftoff_replication_devices", "Devices linked now.");
    describe_counter!("leftoff_replication_links_opened_total", "Links on which records flowed.");
    describe_counter!(
        "leftoff_replication_links_faulted_total",
        "Links that ended because the peer broke the protocol or was not allowed."
    );
    describe_gauge!("leftoff_presence_devices", "Present devices, those of other nodes and those just gone included.");
    describe_gauge!("leftoff_sessions", "Sessions, those of other nodes and those just ended included.");
    describe_gauge!("leftoff_parties", "Watch parties.");
    describe_gauge!("leftoff_party_viewers", "Viewers of watch parties at this node.");
    describe_gauge!("leftoff_ephemeral_watches", "Who is told of presence, sessions and parties within this node.");
    describe_gauge!("leftoff_push_profiles", "Profiles that a reader follows.");
    describe_gauge!("leftoff_push_circles", "Profiles and parties whose company a WebSocket is told of.");
    describe_gauge!("leftoff_clock_offset_seconds", "How far this machine's clock is known to be behind.");
}

/// Gathers samples into their histograms.
pub(super) fn upkeep() {
    if let Some(handle) = handle() {
        handle.run_upkeep();
    }
}

/// Sets the figures that are read rather than counted.
pub(super) fn refresh(core: &Core, ready: bool) {
    let store = core.store().figures();
    gauge!("leftoff_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("leftoff_ready").set(f64::from(u8::from(ready)));
    gauge!("leftoff_playheads").set(core.playheads_count() as f64);
    gauge!("leftoff_store_table_bytes").set(store.table_bytes as f64);
    gauge!("leftoff_store_table_registers").set(store.table_count as f64);
    gauge!("leftoff_store_pending_bytes").set(store.pending_bytes as f64);
    gauge!("leftoff_store_log_bytes").set(store.log_bytes as f64);
    gauge!("leftoff_store_log_segments").set(store.log_segments as f64);
    gauge!("leftoff_store_log_unfolded_bytes").set(store.unfolded_bytes as f64);
    gauge!("leftoff_store_durable_sequence").set(store.durable.0 as f64);
    gauge!("leftoff_store_folded_sequence").set(store.folded.0 as f64);
    gauge!("leftoff_store_folds").set(store.folds as f64);
    gauge!("leftoff_store_folded_registers").set(store.folded_registers as f64);
    gauge!("leftoff_store_reads").set(store.reads as f64);
    gauge!("leftoff_store_poisoned").set(f64::from(u8::from(store.closed)));
    let ephemeral = core.ephemeral().figures();
    gauge!("leftoff_presence_devices").set(ephemeral.devices as f64);
    gauge!("leftoff_sessions").set(ephemeral.sessions as f64);
    gauge!("leftoff_parties").set(ephemeral.parties as f64);
    gauge!("leftoff_party_viewers").set(ephemeral.viewers as f64);
    gauge!("leftoff_ephemeral_watches").set(ephemeral.watches as f64);
    gauge!("leftoff_clock_offset_seconds").set(core.clock_offset_ms() as f64 / 1_000.0);
}

/// Sets the figures of the links. Nodes are labels, they are few; devices are counted.
pub(super) fn refresh_links(links: &[LinkStatus], totals: &NetTotals) {
    // A node that was linked once and is not now has a link that is down.
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let nodes = links.iter().filter(|link| link.role == Some(Role::Node) && link.peer.is_some());
    // A node has two links for a moment when both dialed: the better of them counts.
    let mut by_name: BTreeMap<&str, (bool, u64, u64)> = BTreeMap::new();
    for link in nodes {
        let up = matches!(link.state, LinkState::Open | LinkState::Reconciling);
        let figures = (up, link.figures.lag, link.figures.refused_out);
        by_name.entry(&link.name).and_modify(|known| *known = if up { figures } else { *known }).or_insert(figures);
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    for name in seen.iter().filter(|name| !by_name.contains_key(name.as_str())) {
        gauge!("leftoff_replication_link_up", "peer" => name.clone()).set(0.0);
        // What such a node lacks is not known here, and the last figure would look as if it were.
        gauge!("leftoff_replication_lag_records", "peer" => name.clone()).set(f64::NAN);
        gauge!("leftoff_replication_refused_records", "peer" => name.clone()).set(f64::NAN);
    }
    seen.extend(by_name.keys().map(|name| (*name).to_owned()));
    for (name, (up, lag, refused)) in by_name {
        gauge!("leftoff_replication_link_up", "peer" => name.to_owned()).set(f64::from(u8::from(up)));
        gauge!("leftoff_replication_lag_records", "peer" => name.to_owned()).set(lag as f64);
        gauge!("leftoff_replication_refused_records", "peer" => name.to_owned()).set(refused as f64);
    }
    gauge!("leftoff_replication_devices").set(links.iter().filter(|link| link.role == Some(Role::Device)).count() as f64);
    counter!("leftoff_replication_links_opened_total").absolute(totals.opened.load(Ordering::Relaxed));
    counter!("leftoff_replication_links_faulted_total").absolute(totals.faulted.load(Ordering::Relaxed));
}
