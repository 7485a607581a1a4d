//! `leftoff bench propagate`: how soon a write at one node is seen at another, and how much two nodes take together.
//!
//! The first part runs two replicas with their networks in this process, so that one clock times both ends; QUIC goes over loopback, and what is
//! seen at the second is durable there. The second part runs `leftoff serve` twice, with a load client over HTTP.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;

use super::child::{Cluster, NodeProcess};
use super::generator::{Evening, HEARTBEAT_MS, Population};
use super::http::Connection;
use super::load::Load;
use super::node::{self, Workplace};
use super::pace::{Pace, rest};
use super::process::{cpu_seconds, memory, own_cpu_seconds};
use super::{BenchError, Common, Report};
use crate::embedded::Replica;
use crate::net::{NetConfig, Network, TlsMaterial};
use crate::progress::{EventKind, PlaybackEvent};
use crate::time::system::{monotonic_now, wall_now};

/// Options of `leftoff bench propagate`.
#[derive(Args, Clone, Debug)]
pub(super) struct Propagate {
    /// Updates a second while the time to the other node is measured
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// How long that is measured
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Events a second over HTTP into the first of two processes
    #[arg(long, default_value_t = 139_000.0)]
    load_rate: f64,
    /// How long that is held
    #[arg(long, default_value_t = 30.0)]
    load_seconds: f64,
    /// Events in a request
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Connections of the load client
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Profiles that report
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1..))]
    profiles: u64,
    /// What to measure
    #[arg(long, value_enum, default_values_t = [Part::Latency, Part::Throughput], value_delimiter = ',')]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Write at one node to change seen at another
    Latency,
    /// Two processes and a load client
    Throughput,
}

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn run(options: &Propagate, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let workplace = Workplace::new(common)?;
    for run in 1..=common.runs {
        for part in &options.parts {
            report.say(&format!("run {run}"));
            match part {
                Part::Latency => latency(options, &workplace, report)?,
                Part::Throughput => throughput(options, &workplace, report)?,
            }
        }
    }
    Ok(())
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool, BenchError>) -> Result<(), BenchError> {
    let begun = monotonic_now();
    while !holds()? {
        if monotonic_now().saturating_since(begun) > PATIENCE {
            return Err(format!("waited {} s in vain until {what}", PATIENCE.as_secs()).into());
        }
        rest(Duration::from_millis(5));
    }
    Ok(())
}

/// A replica with its network.
struct Node {
    replica: Replica,
    network: Network,
}

fn start(
    cluster: &Cluster,
    workplace: &Workplace,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    seeds: Vec<String>,
) -> Result<Node, BenchError> {
    let files = cluster.issue(name)?;
    let tls = TlsMaterial { ca_pem: std::fs::read(files.ca)?, cert_pem: std::fs::read(files.cert)?, key_pem: std::fs::read(files.key)? };
    let replica = node::open(&workplace.empty(name)?)?;
    let listen = ([127, 0, 0, 1], 0).into();
    let config = NetConfig { name: name.into(), region: name.into(), listen, seeds, tls: Some(tls), ..NetConfig::default() };
    let network = runtime.block_on(Network::start(Arc::clone(replica.core()), config, None))?;
    Ok(Node { replica, network })
}

/// Profiles whose writes are timed: each is written once a second, so there is one write of each under way.
const TIMED_COUNT: u64 = 10_000;
const TIMED_BATCH: usize = 10;

/// When each profile was last written, in nanoseconds since the start, and how long its writes took to be seen.
struct Times {
    sent: Vec<AtomicU64>,
    micros: Mutex<Histogram<u64>>,
    seen: AtomicU64,
}

fn latency(options: &Propagate, workplace: &Workplace, report: &mut Report) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let cluster = Cluster::new(&workplace.empty("cluster")?)?;
    let one = start(&cluster, workplace, &runtime, "one", Vec::new())?;
    let address = one.network.local_addr().ok_or("the first node does not listen")?.to_string();
    let other = start(&cluster, workplace, &runtime, "other", vec![address])?;
    until("the nodes are linked", || Ok(!one.network.links().is_empty() && !other.network.links().is_empty()))?;

    let population = Population { registers: TIMED_COUNT, profiles: TIMED_COUNT };
    let times = Arc::new(Times {
        sent: (0..TIMED_COUNT).map(|_| AtomicU64::new(0)).collect(),
        micros: Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?),
        seen: AtomicU64::new(0),
    });
    let nanos = || monotonic_now().since_start().as_nanos() as u64;
    for index in 0..TIMED_COUNT {
        let times = Arc::clone(&times);
        let notify = move |_: &_| {
            let sent = times.sent[index as usize].load(Ordering::Acquire);
            times.seen.fetch_add(1, Ordering::Relaxed);
            if sent > 0 {
                let micros = monotonic_now().since_start().as_nanos() as u64 - sent;
                times.micros.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros / 1_000);
            }
        };
        other.replica.core().watch(&Population::profile_id(index)?, Arc::new(notify));
    }
    // The first round starts the playheads and is not timed.
    let total = (options.rate * options.seconds) as u64 + TIMED_COUNT;
    let mut pace = Pace::new(options.rate.min(TIMED_COUNT as f64), TIMED_BATCH);
    let mut written = 0;
    let cpu = own_cpu_seconds();
    while written < total {
        pace.next();
        let mut events = Vec::with_capacity(TIMED_BATCH);
        for number in written..written + TIMED_BATCH as u64 {
            let (profile, round) = (number % TIMED_COUNT, number / TIMED_COUNT);
            let (profile_id, title_id) = population.ids(profile)?;
            let position = Population::first_position_ms(profile) + round * HEARTBEAT_MS;
            events.push(PlaybackEvent::new(profile_id.as_str(), title_id.as_str(), "tv", EventKind::Heartbeat, position));
            times.sent[profile as usize].store(if round > 0 { nanos() } else { 0 }, Ordering::Release);
        }
        let now = wall_now();
        one.replica.core().record(now, Some(now), &events)?;
        written += TIMED_BATCH as u64;
    }
    until("everything is seen at the other node", || Ok(times.seen.load(Ordering::Relaxed) >= total))?;
    report.note("both nodes: CPU seconds per million updates", "s", (own_cpu_seconds() - cpu) / total as f64 * 1e6);
    let micros = times.micros.lock().unwrap_or_else(PoisonError::into_inner);
    report.note("timed writes", "", micros.len() as f64);
    report.note_latencies("write at one node to seen at the other", &micros);
    drop(micros);
    runtime.block_on(async {
        one.network.shutdown().await;
        other.network.shutdown().await;
    });
    Ok(())
}

/// What a process cost so far.
fn cost(node: &NodeProcess) -> f64 {
    cpu_seconds(node.process.id())
}

fn throughput(options: &Propagate, workplace: &Workplace, report: &mut Report) -> Result<(), BenchError> {
    let cluster = Cluster::new(&workplace.empty("cluster")?)?;
    let one = cluster.start("one", &[])?;
    let other = cluster.start("other", std::slice::from_ref(&one.addresses.quic))?;
    let population = Population { registers: options.profiles, profiles: options.profiles };
    let mut evening = Evening::new(population, 0.0, usize::from(options.batch));
    // One event, so that the link is up before the clock starts.
    let probe = evening.clone().batch(wall_now()).first().cloned().ok_or("an empty batch")?;
    let mut seen = HashMap::new();
    let mut connection = Connection::open(&format!("http://{}", one.addresses.http), None)?;
    let mut answer = Vec::new();
    let body = serde_json::to_vec(&serde_json::json!({"events": [probe]}))?;
    until("the first node takes an event", || Ok(connection.request("POST", "/v1/events", &body, &mut answer)? == 200))?;
    let mut reader = Connection::open(&format!("http://{}", other.addresses.http), None)?;
    until("the nodes are linked", || Ok(position(&mut reader, &probe)? >= probe.position_ms))?;

    let load = Load {
        url: format!("http://{}", one.addresses.http),
        token: None,
        rate: options.load_rate,
        batch: usize::from(options.batch),
        connections: usize::from(options.connections),
        seconds: options.load_seconds,
    };
    let costs = [cost(&one), cost(&other), own_cpu_seconds()];
    let sent = load.send(&mut evening.clone())?;
    // The last event of every profile in the last second is looked for at the other node.
    for _ in 0..sent.acknowledged / u64::from(options.batch) {
        let last = evening.batch(wall_now()).last().cloned().ok_or("an empty batch")?;
        seen.insert(last.profile_id.clone(), last);
    }
    let mut newest: Vec<PlaybackEvent> = seen.into_values().collect();
    newest.sort_by_key(|event| std::cmp::Reverse(event.position_ms));
    newest.truncate(200);
    for event in &newest {
        until("everything is applied at the other node", || Ok(position(&mut reader, event)? >= event.position_ms))?;
    }
    let applied = monotonic_now().saturating_since(sent.begun).as_secs_f64();
    let per_million = |now: f64, before: f64| (now - before) / sent.acknowledged as f64 * 1e6;
    report.note("two processes: offered", "a second", options.load_rate);
    report.note("two processes: acknowledged durable at the first", "a second", sent.acknowledged as f64 / sent.seconds);
    report.note("two processes: applied at the second", "a second", sent.acknowledged as f64 / applied);
    report.note("two processes: applied after the last acknowledgement", "s", applied - sent.seconds);
    report.note("two processes: CPU seconds per million, first", "s", per_million(cost(&one), costs[0]));
    report.note("two processes: CPU seconds per million, second", "s", per_million(cost(&other), costs[1]));
    report.note("two processes: CPU seconds per million, load client", "s", per_million(own_cpu_seconds(), costs[2]));
    report.note("two processes: resident memory, first", "MiB", memory(one.process.id()).now_mib);
    report.note("two processes: resident memory, second", "MiB", memory(other.process.id()).now_mib);
    report.note("two processes: requests to be repeated", "", sent.refused as f64);
    report.note_latencies("two processes: acknowledgement", &sent.micros);
    Ok(())
}

/// Where a node says that a title stands.
fn position(reader: &mut Connection, event: &PlaybackEvent) -> Result<u64, BenchError> {
    let mut answer = Vec::new();
    let path = format!("/v1/profiles/{}/titles/{}", event.profile_id, event.title_id);
    if reader.request("GET", &path, &[], &mut answer)? != 200 {
        return Ok(0);
    }
    let progress: serde_json::Value = serde_json::from_slice(&answer)?;
    Ok(progress["high_ms"].as_u64().unwrap_or(0))
}
