//! Resume points and continue-watching rows, as fast as they are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use serde_json::json;

use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::generator::mixed;
use crate::cli::bench::process::{cpu_seconds, own_cpu_seconds};
use crate::cli::bench::{BenchError, Report};
use crate::time::system::monotonic_now;

const PROFILES: u64 = 1_000;
const TITLES: u64 = 200;

pub(super) fn run(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    fill(node)?;
    let resume = |number: u64| format!("/v1/profiles/viewer-{}/titles/title-{}", mixed(number) % PROFILES, mixed(!number) % TITLES);
    let row = |number: u64| format!("/v1/profiles/viewer-{}/continue-watching?limit=20", mixed(number) % PROFILES);
    measure("resume", options, node, report, &resume)?;
    measure("continue watching, 20 of 200", options, node, report, &row)
}

/// Every title of every profile, watched for a while.
fn fill(node: &NodeProcess) -> Result<(), BenchError> {
    let mut connection = connect(node)?;
    let mut answer = Vec::new();
    for profile in 0..PROFILES {
        let event = |title: u64| {
            json!({"profile_id": format!("viewer-{profile}"), "title_id": format!("title-{title}"), "device_id": "tv", "kind": "PAUSE",
                   "position_ms": 600_000 + mixed(profile * TITLES + title) % 3_000_000, "duration_ms": 7_200_000})
        };
        let body = serde_json::to_vec(&json!({"events": (0..TITLES).map(event).collect::<Vec<_>>()}))?;
        let status = connection.request("POST", "/v1/events", &body, &mut answer)?;
        if status != 200 {
            return Err(format!("the node answered {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

fn measure(
    what: &str,
    options: &Gateway,
    node: &NodeProcess,
    report: &mut Report,
    path: &(dyn Fn(u64) -> String + Sync),
) -> Result<(), BenchError> {
    let next = AtomicU64::new(0);
    let micros = Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?);
    let (node_cpu, own_cpu, begun) = (cpu_seconds(node.process.id()), own_cpu_seconds(), monotonic_now());
    std::thread::scope(|scope| -> Result<(), BenchError> {
        let one = || -> Result<(), BenchError> {
            let mut connection = connect(node)?;
            let mut answer = Vec::new();
            let mut own = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
            while monotonic_now().saturating_since(begun).as_secs_f64() < options.seconds {
                let asked = monotonic_now();
                let status = connection.request("GET", &path(next.fetch_add(1, Ordering::Relaxed)), &[], &mut answer)?;
                if status != 200 {
                    return Err(format!("the node answered {status}: {}", String::from_utf8_lossy(&answer)).into());
                }
                own.saturating_record(monotonic_now().saturating_since(asked).as_micros() as u64);
            }
            micros.lock().unwrap_or_else(PoisonError::into_inner).add(own)?;
            Ok(())
        };
        let threads: Vec<_> = (0..options.connections).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a reader ended in a panic")?)
    })?;
    let seconds = monotonic_now().saturating_since(begun).as_secs_f64();
    let micros = micros.into_inner().unwrap_or_else(PoisonError::into_inner);
    let per_million = |cpu: f64| cpu / micros.len() as f64 * 1e6;
    report.note(&format!("{what}: answered"), "a second", micros.len() as f64 / seconds);
    report.note(&format!("{what}: CPU seconds per million, node"), "s", per_million(cpu_seconds(node.process.id()) - node_cpu));
    report.note(&format!("{what}: CPU seconds per million, load client"), "s", per_million(own_cpu_seconds() - own_cpu));
    report.note_latencies(&format!("{what}:"), &micros);
    Ok(())
}
