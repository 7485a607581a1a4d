//! `leftoff bench ingest`: recording from events, and applying what peers send, into a store that is full already.
//!
//! Three parts, each over a fresh copy of the filled folder: heartbeats at a steady rate, remote deltas at the same rate, heartbeats in a closed
//! loop. The time of an acknowledgement counts from when its batch was due, so a generator that falls behind does not flatter the figures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;

use super::generator::{Evening, Population, mixed};
use super::load::Load;
use super::node::{self, Workplace};
use super::pace::{Pace, rest};
use super::process::{forget_peak, memory, own_cpu_seconds};
use super::{BenchError, Common, Report};
use crate::embedded::Replica;
use crate::progress::PlaybackEvent;
use crate::replica::{Core, NotDurable};
use crate::store::Seq;
use crate::time::system::{monotonic_now, wall_now};
use crate::time::{Hlc, MonotonicTime, WallTime};

/// Options of `leftoff bench ingest`.
#[derive(Args, Clone, Debug)]
pub(super) struct Ingest {
    /// Registers that the store holds before
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    registers: u64,
    /// Profiles that they belong to, each of which plays something
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1..))]
    profiles: u64,
    /// Events, or deltas, a second in the steady parts
    #[arg(long, default_value_t = 150_000.0)]
    rate: f64,
    /// How long each part is measured
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Events in a batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Events that start a playhead which is not remembered
    #[arg(long, default_value_t = 2.0)]
    starts_percent: f64,
    /// Batches under way at once in the closed loop
    #[arg(long, default_value_t = 64)]
    in_flight: u64,
    /// What to measure
    #[arg(long, value_enum, default_values_t = [Part::Heartbeats, Part::Remote, Part::Closed], value_delimiter = ',')]
    parts: Vec<Part>,
    /// Send the heartbeats to a running node over HTTP instead: http://host:port
    #[arg(long)]
    target: Option<String>,
    /// A file with a token for the target
    #[arg(long, requires = "target")]
    token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Heartbeats at a steady rate, from events
    Heartbeats,
    /// A peer's deltas, uniform over all registers, at the same rate
    Remote,
    /// Heartbeats as fast as they are taken
    Closed,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Heartbeats => "heartbeats",
            Self::Remote => "remote",
            Self::Closed => "closed loop",
        }
    }
}

pub(super) fn run(options: &Ingest, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let population = Population { registers: options.registers.max(options.profiles), profiles: options.profiles };
    if let Some(url) = &options.target {
        return over_http(url, options, population, common, report);
    }
    let workplace = Workplace::new(common)?;
    for run in 1..=common.runs {
        for part in &options.parts {
            let folder = workplace.filled(population, report)?;
            report.say(&format!("run {run}: {}", part.name()));
            let dry = dry_run(options, population, *part)?;
            let replica = node::open(&folder)?;
            let measured = match part {
                Part::Heartbeats | Part::Closed => heartbeats(options, population, &replica, *part == Part::Closed, report)?,
                Part::Remote => remote(options, population, &replica)?,
            };
            measured.note(part.name(), dry, report);
            drop(replica);
        }
    }
    Ok(())
}

/// Connections to a target.
const CONNECTIONS: usize = 8;

fn over_http(url: &str, options: &Ingest, population: Population, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let token = match &options.token_file {
        Some(path) => Some(std::fs::read_to_string(path)?.trim().to_owned()),
        None => None,
    };
    let mut evening = Evening::new(population, options.starts_percent, usize::from(options.batch));
    for run in 1..=common.runs {
        for part in options.parts.iter().filter(|part| **part != Part::Remote) {
            report.say(&format!("run {run}: {} over HTTP", part.name()));
            let rate = if *part == Part::Closed { 0.0 } else { options.rate };
            let (url, token, batch) = (url.to_owned(), token.clone(), usize::from(options.batch));
            let load = Load { url, token, rate, batch, connections: CONNECTIONS, seconds: options.seconds };
            let client = own_cpu_seconds();
            let sent = load.send(&mut evening)?;
            let name = part.name();
            report.note(&format!("{name}: acknowledged"), "a second", sent.acknowledged as f64 / sent.seconds);
            report.note(&format!("{name}: requests to be repeated"), "", sent.refused as f64);
            let per_million = (own_cpu_seconds() - client) / sent.acknowledged.max(1) as f64 * 1e6;
            report.note(&format!("{name}: CPU seconds per million, this client"), "s", per_million);
            report.note_latencies(&format!("{name}: acknowledgement"), &sent.micros);
        }
    }
    Ok(())
}

/// Acknowledgements: how long they took, and how many are awaited.
#[derive(Debug)]
struct Acks {
    micros: Mutex<Histogram<u64>>,
    pending: AtomicU64,
    failed: AtomicU64,
    generator: Thread,
}

impl Acks {
    fn new() -> Result<Arc<Self>, BenchError> {
        let micros = Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?);
        Ok(Arc::new(Self { micros, pending: AtomicU64::new(0), failed: AtomicU64::new(0), generator: std::thread::current() }))
    }

    fn expect(self: &Arc<Self>, core: &Core, last: Option<Seq>, due: MonotonicTime, most: u64) {
        let Some(last) = last else { return };
        self.pending.fetch_add(1, Ordering::Relaxed);
        let acks = Arc::clone(self);
        core.when_durable(last, Box::new(move |kept| acks.arrived(due, &kept, most)));
    }

    fn arrived(&self, due: MonotonicTime, kept: &Result<(), NotDurable>, most: u64) {
        if kept.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let took = monotonic_now().saturating_since(due);
        self.micros.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took.as_micros() as u64);
        if self.pending.fetch_sub(1, Ordering::Relaxed) == most {
            self.generator.unpark();
        }
    }

    /// Waits until fewer than `most` batches are under way.
    fn wait_below(&self, most: u64) {
        while self.pending.load(Ordering::Relaxed) >= most {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn clear(&self) {
        self.micros.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }
}

/// What one part showed.
struct Measured {
    items: u64,
    offered_rate: f64,
    seconds: f64,
    cpu_seconds: f64,
    refusals: u64,
    failed: u64,
    rss_mib: f64,
    peak_mib: f64,
    folds: u64,
    folded: u64,
    table_mib: f64,
    table_count: usize,
    log_mib: f64,
    latencies: Histogram<u64>,
}

impl Measured {
    fn note(&self, part: &str, dry_cpu_seconds_per_million: f64, report: &mut Report) {
        let per_million = self.cpu_seconds / self.items as f64 * 1e6;
        let mut note = |name: &str, unit, value| report.note(&format!("{part}: {name}"), unit, value);
        if self.offered_rate > 0.0 {
            note("offered", "a second", self.offered_rate);
        }
        note("taken and kept", "a second", self.items as f64 / self.seconds);
        note("CPU seconds per million, with generator", "s", per_million);
        note("CPU seconds per million, generator alone", "s", dry_cpu_seconds_per_million);
        note("CPU seconds per million", "s", per_million - dry_cpu_seconds_per_million);
        note("resident memory", "MiB", self.rss_mib);
        note("resident memory, peak", "MiB", self.peak_mib);
        note("folds finished", "", self.folds as f64);
        note("registers folded", "", self.folded as f64);
        note("table, memory", "MiB", self.table_mib);
        note("table, registers", "", self.table_count as f64);
        note("log", "MiB", self.log_mib);
        note("batches refused for a while", "", self.refusals as f64);
        note("batches lost", "", self.failed as f64);
        report.note_latencies(&format!("{part}: acknowledgement"), &self.latencies);
    }
}

/// The state of a replica at the start of a measurement.
struct Window {
    begun: MonotonicTime,
    cpu_seconds: f64,
    folds: u64,
    folded: u64,
}

impl Window {
    fn open(replica: &Replica) -> Self {
        forget_peak();
        let figures = replica.core().store().figures();
        Self { begun: monotonic_now(), cpu_seconds: own_cpu_seconds(), folds: figures.folds, folded: figures.folded_registers }
    }

    fn close(self, replica: &Replica, acks: &Acks, items: u64, offered_rate: f64, refusals: u64) -> Measured {
        // Until the last one is kept: what is still to be written belongs to the window.
        acks.wait_below(1);
        let figures = replica.core().store().figures();
        let memory = memory(std::process::id());
        Measured {
            items,
            offered_rate,
            seconds: monotonic_now().saturating_since(self.begun).as_secs_f64(),
            cpu_seconds: own_cpu_seconds() - self.cpu_seconds,
            refusals,
            failed: acks.failed.load(Ordering::Relaxed),
            rss_mib: memory.now_mib,
            peak_mib: memory.peak_mib,
            folds: figures.folds - self.folds,
            folded: figures.folded_registers - self.folded,
            table_mib: figures.table_bytes as f64 / f64::from(1 << 20),
            table_count: figures.table_count,
            log_mib: figures.log_bytes as f64 / f64::from(1 << 20),
            latencies: acks.micros.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn record(core: &Core, now: WallTime, events: &[PlaybackEvent], refusals: &mut u64) -> Result<Option<Seq>, BenchError> {
    loop {
        match core.record(now, Some(now), events) {
            Ok(recorded) => {
                if let Some(Err(refusal)) = recorded.outcomes.into_iter().find(Result::is_err) {
                    return Err(refusal.into());
                }
                return Ok(recorded.last);
            }
            Err(error) => match node::retry_after(&error) {
                Some(wait) => {
                    *refusals += 1;
                    rest(wait);
                }
                None => return Err(error.into()),
            },
        }
    }
}

fn heartbeats(options: &Ingest, population: Population, replica: &Replica, closed: bool, report: &Report) -> Result<Measured, BenchError> {
    let core = replica.core();
    let batch = usize::from(options.batch);
    let acks = Acks::new()?;
    let mut refusals = 0;
    // The hot playheads are remembered: one unmeasured round starts them, without strangers.
    let mut evening = Evening::new(population, 0.0, batch);
    for _ in 0..evening.round_count().div_ceil(batch as u64) {
        acks.wait_below(options.in_flight);
        let now = wall_now();
        let last = record(core, now, evening.batch(now), &mut refusals)?;
        acks.expect(core, last, monotonic_now(), options.in_flight);
    }
    acks.wait_below(1);
    acks.clear();
    evening.set_starts_percent(options.starts_percent);
    refusals = 0;
    report.say("every profile plays; measuring ...");
    let window = Window::open(replica);
    let rate = if closed { 0.0 } else { options.rate };
    let mut pace = Pace::new(rate, batch);
    let mut items = 0;
    while monotonic_now().saturating_since(window.begun).as_secs_f64() < options.seconds {
        if closed {
            acks.wait_below(options.in_flight);
        }
        let due = pace.next();
        let now = wall_now();
        let last = record(core, now, evening.batch(now), &mut refusals)?;
        acks.expect(core, last, due, if closed { options.in_flight } else { 1 });
        items += batch as u64;
    }
    Ok(window.close(replica, &acks, items, rate, refusals))
}

/// Deltas in a frame of a peer: what a full live frame holds.
const DELTAS_PER_FRAME: usize = 500;

fn frame(population: Population, now: WallTime, next: &mut u64, records: &mut Vec<u8>) -> Result<(), BenchError> {
    records.clear();
    for _ in 0..DELTAS_PER_FRAME {
        let number = *next;
        *next += 1;
        let stamp = Hlc::from_wall_with_low_bits(now, number);
        population.remote_delta(mixed(number) % population.registers, stamp, number / population.registers + 1)?.encode(records);
    }
    Ok(())
}

fn remote(options: &Ingest, population: Population, replica: &Replica) -> Result<Measured, BenchError> {
    let core = replica.core();
    let acks = Acks::new()?;
    let window = Window::open(replica);
    let mut pace = Pace::new(options.rate, DELTAS_PER_FRAME);
    let (mut next, mut records) = (0, Vec::new());
    while monotonic_now().saturating_since(window.begun).as_secs_f64() < options.seconds {
        let due = pace.next();
        frame(population, wall_now(), &mut next, &mut records)?;
        let last = node::apply(core, &records, DELTAS_PER_FRAME as u32)?;
        acks.expect(core, last, due, 1);
    }
    Ok(window.close(replica, &acks, next, options.rate, 0))
}

/// Processor time of the generator alone, in seconds per million.
fn dry_run(options: &Ingest, population: Population, part: Part) -> Result<f64, BenchError> {
    const ITEMS: u64 = 2_000_000;
    let begun = own_cpu_seconds();
    if part == Part::Remote {
        let (mut next, mut records) = (0, Vec::new());
        while next < ITEMS {
            frame(population, wall_now(), &mut next, &mut records)?;
            std::hint::black_box(&records);
        }
    } else {
        let mut evening = Evening::new(population, options.starts_percent, usize::from(options.batch));
        for _ in 0..ITEMS / u64::from(options.batch) {
            std::hint::black_box(evening.batch(wall_now()));
        }
    }
    Ok((own_cpu_seconds() - begun) / ITEMS as f64 * 1e6)
}
