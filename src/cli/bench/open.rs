//! `leftoff bench open`: how soon a store answers, after a clean end and after a kill, and how soon a device's replica does.
//!
//! Opening is timed from the call to the first answered read. The files are in the system's cache, as they are when a process is restarted.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::child::Process;
use super::generator::{Evening, Population, mixed};
use super::node::{self, Workplace};
use super::pace::rest;
use super::{BenchError, Common, Report};
use crate::embedded::{Replica, ReplicaConfig};
use crate::progress::{DeviceId, Policy};
use crate::time::system::{monotonic_now, wall_now};

/// Options of `leftoff bench open`.
#[derive(Args, Clone, Debug)]
pub(super) struct Open {
    /// Registers in the store
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    registers: u64,
    /// Profiles that they belong to
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1..))]
    profiles: u64,
    /// Records that are in the log alone when the process is killed
    #[arg(long, default_value_t = 1_000_000)]
    unfolded: u64,
    /// Registers of the device's replica
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    device_registers: u64,
    /// Be the process that is killed
    #[arg(long, hide = true)]
    victim: Option<PathBuf>,
}

const BATCH: usize = 500;
const DEVICE_OPENINGS: u32 = 20;

pub(super) fn run(options: &Open, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let population = Population { registers: options.registers.max(options.profiles), profiles: options.profiles };
    if let Some(folder) = &options.victim {
        return be_victim(folder, options, population);
    }
    let workplace = Workplace::new(common)?;
    for run in 1..=common.runs {
        report.say(&format!("run {run}"));
        let folder = workplace.filled(population, report)?;
        let begun = monotonic_now();
        let replica = node::open(&folder)?;
        read_one(&replica, population, u64::from(run))?;
        report.note("clean: until the first read is answered", "s", monotonic_now().saturating_since(begun).as_secs_f64());
        drop(replica);

        let folder = workplace.filled(population, report)?;
        let mut victim = Process::start(
            &[
                "bench",
                "open",
                "--victim",
                &folder.to_string_lossy(),
                "--registers",
                &population.registers.to_string(),
                "--profiles",
                &population.profiles.to_string(),
                "--unfolded",
                &options.unfolded.to_string(),
            ],
            None,
        )?;
        victim.line()?;
        victim.kill()?;
        let begun = monotonic_now();
        let replica = node::open(&folder)?;
        read_one(&replica, population, u64::from(run))?;
        report.note("after kill -9: until the first read is answered", "s", monotonic_now().saturating_since(begun).as_secs_f64());
        report.note("after kill -9: records replayed", "", replica.open_report().replayed as f64);
        drop(replica);
    }
    device(options, common, &workplace, report)
}

fn read_one(replica: &Replica, population: Population, number: u64) -> Result<(), BenchError> {
    let (profile, title) = population.ids(mixed(number) % population.registers)?;
    if !replica.resume_point(&profile, &title, Policy::Continue)?.point.started {
        return Err("a register that was filled in is not there".into());
    }
    Ok(())
}

/// Records into the log and waits to be killed.
#[expect(clippy::print_stdout, reason = "the line tells the parent that everything is durable")]
fn be_victim(folder: &std::path::Path, options: &Open, population: Population) -> Result<(), BenchError> {
    let replica = node::open(folder)?;
    let mut evening = Evening::new(population, 0.0, BATCH);
    let mut left = options.unfolded;
    while left > 0 {
        let now = wall_now();
        match replica.record_batch(evening.batch(now)) {
            Ok(_) => left = left.saturating_sub(BATCH as u64),
            Err(error) => rest(node::retry_after(&error).ok_or(error)?),
        }
    }
    println!("ready");
    loop {
        rest(Duration::from_mins(1));
    }
}

fn device(options: &Open, common: &Common, workplace: &Workplace, report: &mut Report) -> Result<(), BenchError> {
    let population = Population { registers: options.device_registers, profiles: options.device_registers.div_ceil(1_000) };
    let folder = workplace.empty("device")?;
    let config = || -> Result<ReplicaConfig, BenchError> { Ok(ReplicaConfig::new(&folder, DeviceId::new("phone")?)) };
    let replica = Replica::open(config()?)?;
    for register in 0..population.registers {
        let mut records = Vec::new();
        let stamp = crate::time::Hlc::from_wall(wall_now());
        population.filled(register, stamp)?.encode(&mut records);
        node::apply(replica.core(), &records, 1)?;
    }
    replica.close()?;
    for number in 0..common.runs * DEVICE_OPENINGS {
        let begun = monotonic_now();
        let replica = Replica::open(config()?)?;
        read_one(&replica, population, u64::from(number))?;
        report.note_quietly("embedded: open and first read", "ms", monotonic_now().saturating_since(begun).as_secs_f64() * 1e3);
        replica.close()?;
    }
    Ok(())
}
