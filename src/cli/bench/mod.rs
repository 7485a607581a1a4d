//! `leftoff bench`: figures of this build on this machine.
//!
//! Every benchmark drives the code that ships, over a store on disk that it fills itself. Load is made from numbers, so that the generator
//! costs little memory; what processor time it costs is measured by a dry run and shown beside the rest. A figure is the median of the runs, with the
//! lowest and highest behind it.

mod generator;
mod ingest;
mod node;
mod pace;
mod process;
mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::report::Report;

/// A benchmark that could not be run: the message says what failed.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// What every benchmark takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// How many times to measure; the figures shown are medians
    #[arg(long, default_value_t = 3, global = true, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder for the data, on the disk that is to be measured; what was filled there is used again by the next run [default: a temporary folder, removed at the end]
    #[arg(long, global = true)]
    pub data: Option<PathBuf>,
}

/// `leftoff bench`.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Recording: heartbeats and remote deltas at a steady rate, and as fast as they are taken
    Ingest(ingest::Ingest),
}

/// Runs a benchmark and prints its figures.
///
/// # Errors
///
/// The benchmark could not be run to its end; nothing was printed.
pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let mut report = Report::begin(&bench.common);
    match &bench.what {
        What::Ingest(ingest) => ingest::run(ingest, &bench.common, &mut report)?,
    }
    report.print(bench.common.json);
    Ok(())
}
