//! `leftoff bench gateway`: what a node does for thin clients, over real sockets, from a process of its own.
//!
//! The load client is one thread for WebSockets and for reads, and one for each connection that sends batches, on the same machine: what it costs
//! is shown beside what the node costs.

mod churn;
mod exchange;
mod party;
mod reads;
mod sockets;
mod wire;

use clap::{Args, ValueEnum};

use super::child::{Cluster, NodeProcess};
use super::generator::{Evening, Population};
use super::http::Connection;
use super::load::Load;
use super::node::Workplace;
use super::pace::rest;
use super::process::{cpu_seconds, memory, own_cpu_seconds};
use super::{BenchError, Common, Report};
use crate::time::system::monotonic_now;

/// How long playheads are begun before it is looked whether all have been.
const BEGINNING_SECONDS: f64 = 0.25;

/// Connections that a node keeps beside those of a party.
const SPARE_CONNECTIONS: u64 = 64;

/// Options of `leftoff bench gateway`.
#[derive(Args, Clone, Debug)]
pub(super) struct Gateway {
    /// WebSockets, two a profile: one plays, the other watches
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(2..=20_000))]
    sockets: u64,
    /// Heartbeats that a playing socket has under way at once, one measurement for each number
    #[arg(long, default_values_t = [1, 8], value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=32))]
    in_flight: Vec<u16>,
    /// Heartbeats a second at the steady rate [default: half of what was reached]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// WebSockets that are open and say nothing
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    idle: u64,
    /// Viewers of the watch party
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    viewers: u64,
    /// How long each part is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Playheads that report in batches
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    playheads: u64,
    /// Events in a request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Connections for batches and for reads
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How long viewers come and go, in minutes
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What to measure
    #[arg(long, value_enum, default_values_t = [Part::Sockets, Part::Across, Part::Events, Part::Reads, Part::Idle], value_delimiter = ',')]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Heartbeats in at one socket, out at the profile's other, at one node
    Sockets,
    /// The same, the other socket at another node
    Across,
    /// Batches of events over HTTP
    Events,
    /// Resume points and continue-watching rows
    Reads,
    /// Sockets that say nothing: memory, and all of them back at once
    Idle,
    /// A watch party: how soon all of its viewers have a command
    Party,
    /// Viewers that come and go in every way: fails if anything grows or stays
    Churn,
}

pub(super) fn run(options: &Gateway, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let workplace = Workplace::new(common)?;
    for run in 1..=common.runs {
        report.say(&format!("run {run}"));
        for part in &options.parts {
            // A fresh node for each: none pays for what another left behind.
            let cluster = Cluster::new(&workplace.empty("cluster")?)?;
            if *part == Part::Churn {
                let lease_ms = churn::lease_ms(options);
                let more = [format!("socket_idle_ms = {}", 2 * lease_ms), format!("[limits]\nlease_ms = {lease_ms}")];
                churn::run(options, &cluster.start_with("one", &[], &more)?, report)?;
                continue;
            }
            if *part == Part::Party {
                let bounds = options.viewers + SPARE_CONNECTIONS;
                let more = [format!("sockets_max = {bounds}\nconnections_max = {bounds}"), String::new()];
                party::run(options, &cluster.start_with("one", &[], &more)?, report)?;
                continue;
            }
            let node = cluster.start("one", &[])?;
            match part {
                Part::Sockets => exchange::run("one node", options, &node, &node, report)?,
                Part::Across => {
                    let other = cluster.start("other", std::slice::from_ref(&node.addresses.quic))?;
                    exchange::run("two nodes", options, &node, &other, report)?;
                }
                Part::Events => events(options, &node, report)?,
                Part::Reads => reads::run(options, &node, report)?,
                Part::Idle => sockets::idle(options, &node, report)?,
                Part::Churn | Part::Party => {}
            }
        }
    }
    Ok(())
}

fn events(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    let population = Population { registers: options.playheads, profiles: options.playheads };
    let mut evening = Evening::new(population, 0.0, usize::from(options.batch));
    let load = Load {
        url: format!("http://{}", node.addresses.http),
        token: None,
        rate: 0.0,
        batch: usize::from(options.batch),
        connections: usize::from(options.connections),
        seconds: options.seconds,
    };
    // Every playhead once, so that what is measured is heartbeats and not their beginning.
    let mut begun = 0;
    while begun < options.playheads {
        begun += Load { seconds: BEGINNING_SECONDS, ..load.clone() }.send(&mut evening)?.acknowledged;
    }
    report.note("events: before it is measured", "", begun as f64);
    let (node_cpu, own_cpu) = (cpu_seconds(node.process.id()), own_cpu_seconds());
    let sent = load.send(&mut evening)?;
    let per_million = |seconds: f64| seconds / sent.acknowledged as f64 * 1e6;
    report.note("events: acknowledged durable", "a second", sent.acknowledged as f64 / sent.seconds);
    report.note("events: CPU seconds per million, node", "s", per_million(cpu_seconds(node.process.id()) - node_cpu));
    report.note("events: CPU seconds per million, load client", "s", per_million(own_cpu_seconds() - own_cpu));
    report.note("events: requests to be repeated", "", sent.refused as f64);
    report.note_latencies("events: acknowledgement of a batch", &sent.micros);
    report.note("events: resident memory", "MiB", memory(node.process.id()).now_mib);
    Ok(())
}

/// Connects to a node's gateway, which may still be starting.
fn connect(node: &NodeProcess) -> Result<Connection, BenchError> {
    let url = format!("http://{}", node.addresses.http);
    let begun = monotonic_now();
    loop {
        match Connection::open(&url, None) {
            Ok(connection) => return Ok(connection),
            Err(error) if monotonic_now().saturating_since(begun).as_secs() > 10 => return Err(error),
            Err(_) => rest(std::time::Duration::from_millis(20)),
        }
    }
}
