//! `leftoff bench`: figures of this build on this machine.
//!
//! Every benchmark drives the code that ships, over a store on disk that it fills itself. Load is made from numbers, so that the generator
//! costs little memory; what processor time it costs is measured by a dry run and shown beside the rest. A figure is the median of the runs, with the
//! lowest and highest behind it.
#![expect(clippy::cast_sign_loss, reason = "rates and times given as options are not negative, and figures of nothing are zero")]

mod child;
mod gateway;
mod generator;
mod http;
mod ingest;
mod load;
mod node;
mod open;
mod pace;
mod process;
mod propagate;
mod reconcile;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use self::report::Report;
use super::failure::Failure;

/// A benchmark that could not be run: the message says what failed.
pub(super) type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// What every benchmark takes.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Common {
    /// How many times to measure; the figures shown are medians
    #[arg(long, default_value_t = 3, global = true, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) runs: u32,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Folder for the data, on the disk that is to be measured; what was filled there is used again by the next run [default: a temporary folder, removed at the end]
    #[arg(long, global = true)]
    pub(super) data: Option<PathBuf>,
}

/// Measure this build on this machine
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Recording: heartbeats and remote deltas at a steady rate, and as fast as they are taken
    Ingest(ingest::Ingest),
    /// Replication: how soon another node knows, and how much two nodes take
    Propagate(propagate::Propagate),
    /// Catching up after a cut: bytes on the wire
    Reconcile(reconcile::Reconcile),
    /// Thin clients: WebSockets, batches over HTTP, reads
    Gateway(gateway::Gateway),
    /// Opening: after a clean end, after a kill, and on a device
    Open(open::Open),
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut report = Report::begin(&args.common);
    let measured = match &args.what {
        What::Ingest(ingest) => ingest::run(ingest, &args.common, &mut report),
        What::Propagate(propagate) => propagate::run(propagate, &args.common, &mut report),
        What::Reconcile(reconcile) => reconcile::run(reconcile, &args.common, &mut report),
        What::Gateway(gateway) => gateway::run(gateway, &args.common, &mut report),
        What::Open(open) => open::run(open, &args.common, &mut report),
    };
    measured.map_err(|error| Failure::of("the benchmark could not be run to its end", error.as_ref()))?;
    report.print(args.common.json);
    Ok(ExitCode::SUCCESS)
}
