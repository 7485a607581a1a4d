//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::COMMIT;

/// The partition simulator of leftoff: the code that ships, under faults, in virtual time.
#[derive(Debug, Parser)]
#[command(name = "leftoff-sim", version = COMMIT, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs a scenario from one seed, or, with --seeds, a swarm of worlds that differ in sizes, probabilities and faults
    Run(Run),
    /// Runs again what a seed of a swarm drew, and shows it
    Replay(Replay),
    /// Lists the scenarios that are part of the program
    List(List),
    /// Everything that must hold: every scenario from fixed seeds, every seed that ever failed, and a swarm
    Suite(Suite),
}

/// How a single run is shown.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Show {
    /// Write a report, one self-contained HTML page
    #[arg(long, value_name = "OUT.html")]
    pub(super) report: Option<PathBuf>,
    /// Write one line for each event (to standard output, if no FILE is named; the summary then goes to standard error)
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(super) trace: Option<PathBuf>,
    /// Print the outcome as JSON instead of the summary
    #[arg(long)]
    pub(super) json: bool,
}

/// `run`
#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    /// A scenario file, or the name of a scenario that `list` shows; with --seeds it may be left out: then everything is drawn
    pub(super) scenario: Option<String>,
    /// The seed; of a swarm the first of its seeds [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Run so many seeds on all cores, each with sizes, probabilities and faults of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) seeds: Option<u64>,
    /// Begin the swarm at a seed taken from the clock, to look where nobody has looked
    #[arg(long, requires = "seeds", conflicts_with = "seed")]
    pub(super) fresh: bool,
    /// Take the scenario as it is written: only the world's own chance differs from seed to seed
    #[arg(long, requires = "seeds", requires = "scenario")]
    pub(super) as_written: bool,
    /// Where the shortest failing timeline of a swarm is written [default: shrunk-SEED.toml]
    #[arg(long, requires = "seeds", value_name = "OUT.toml")]
    pub(super) shrunk: Option<PathBuf>,
    /// Worlds at once [default: one a core]
    #[arg(long, requires = "seeds", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) jobs: Option<u32>,
    /// Measured latencies (CSV), for scenarios that ask for them
    #[arg(long, value_name = "FILE")]
    pub(super) latency: Option<PathBuf>,
    /// Switch on a planted bug, to see it caught; only in a build with cfg(leftoff_planted)
    #[arg(long, value_name = "NAME")]
    pub(super) planted: Option<String>,
    /// How the outcome is shown.
    #[command(flatten)]
    pub(super) show: Show,
}

/// `replay`
#[derive(Clone, Debug, Args)]
pub(super) struct Replay {
    /// The seed, as the swarm told it
    pub(super) seed: u64,
    /// The scenario that the swarm varied, if it was given one
    pub(super) scenario: Option<String>,
    /// Only show what the seed draws, as a scenario file
    #[arg(long)]
    pub(super) show: bool,
    /// Measured latencies (CSV), for scenarios that ask for them
    #[arg(long, value_name = "FILE")]
    pub(super) latency: Option<PathBuf>,
    /// Switch on a planted bug, to see it caught; only in a build with cfg(leftoff_planted)
    #[arg(long, value_name = "NAME")]
    pub(super) planted: Option<String>,
    /// How the outcome is shown.
    #[command(flatten)]
    pub(super) output: Show,
}

/// `list`
#[derive(Clone, Debug, Args)]
pub(super) struct List {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show the file of one of them
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// `suite`
#[derive(Clone, Debug, Args)]
pub(super) struct Suite {
    /// Drawn worlds in its swarm
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(super) swarm: u64,
    /// Seeds of each scenario
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(super) seeds: u64,
    /// Seeds that failed once: lines of `SCENARIO SEED`, `vary:SCENARIO SEED` or `drawn SEED`
    #[arg(long, default_value = "simulations/seeds.txt", value_name = "FILE")]
    pub(super) seeds_file: PathBuf,
    /// Worlds at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) jobs: Option<u32>,
}
