//! `leftoff-sim run --seeds N`: many worlds, the seeds that failed, and the first of them made shorter.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftoff::time::system::{monotonic_now, wall_now};

use super::arguments::Run;
use super::source::{self, Recipe};
use super::{COMMIT, CommandError, Held, output, run};
use crate::scenario::Scenario;
use crate::scenario::quantity::{show_bytes, show_count, show_duration};
use crate::swarm::pool::{self, End};
use crate::swarm::reason::Reason;
use crate::swarm::shrink;

/// Runs that shrinking may take.
const SHRINK_TRIES_MAX: usize = 400;
/// Failing seeds that are told one by one; the JSON has all.
const FAILURES_SHOWN_MAX: usize = 20;

/// Failing seeds that are kept; the count goes on.
const FAILURES_KEPT_MAX: usize = 10_000;

/// A seed that failed.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Failure {
    /// The seed.
    pub(super) seed: u64,
    /// What failed: checkers, `settling`, `panic`.
    pub(super) failed: Vec<String>,
    /// The first thing that went wrong.
    pub(super) what: String,
    /// The kind of that failure: what stays the same while it is made shorter.
    #[serde(skip)]
    reason: Option<Reason>,
    /// How to run it again.
    pub(super) again: String,
}

/// What a swarm came to, as `--json` prints it.
#[derive(Debug, Default, serde::Serialize)]
struct Told {
    commit: String,
    scenario: Option<String>,
    first_seed: u64,
    worlds: u64,
    virtual_time_s: f64,
    real_time_s: f64,
    steps: u64,
    joins: u64,
    bytes: u64,
    failed: u64,
    failures: Vec<Failure>,
    shrunk: Option<PathBuf>,
    shrunk_alike: Option<String>,
}

pub(super) fn swarm(options: &Run, stop: &AtomicBool) -> Result<Held, CommandError> {
    if options.show.report.is_some() || options.show.trace.is_some() {
        return Err(CommandError::new("a swarm has no report and no trace: replay one of its seeds with --report or --trace"));
    }
    if options.planted.is_some() {
        return Err(CommandError::new("planted bugs are for one seed at a time: leave out --seeds"));
    }
    let recipe = match &options.scenario {
        None => Recipe::Drawn,
        Some(named) => {
            let scenario = source::scenario(named, options.latency.as_deref())?;
            if options.as_written { Recipe::AsWritten(scenario) } else { Recipe::Varied(scenario) }
        }
    };
    // The clock's milliseconds leave room for a swarm of any length before the next one's seeds.
    let first = if options.fresh { wall_now().as_millis() << 10 } else { options.seed.unwrap_or(1) };
    let count = options.seeds.unwrap_or(1);
    if first.checked_add(count - 1).is_none() {
        return Err(CommandError::new(format!("--seed {first} with --seeds {count}: the last seed may be at most {}", u64::MAX)));
    }
    let jobs = options.jobs.map_or_else(output::cores, |jobs| jobs as usize);
    let name = options.scenario.as_deref();
    if !options.show.json {
        let what = name.map_or("drawn worlds".to_owned(), |name| format!("worlds of {name}"));
        output::result(&format!(
            "swarm: {} {what}, seeds {first} to {}, {jobs} at once, commit {COMMIT}\n",
            show_count(count),
            first + (count - 1)
        ));
    }
    let begin = monotonic_now().since_start();
    let mut told = Told { commit: COMMIT.into(), scenario: options.scenario.clone(), first_seed: first, ..Told::default() };
    let bar = output::bar(count, "worlds");
    let seeds: Vec<u64> = (first..=first + (count - 1)).collect();
    let one = |seed: &u64| pool::run(&|scenario, seed| run::observed(scenario, seed, None), &recipe.scenario(*seed), *seed);
    let mut virtual_time = Duration::ZERO;
    let mut failed_count = 0;
    let ran = pool::run_all(&seeds, jobs, stop, &one, |seed, end| {
        bar.inc(1);
        if let End::Done(outcome) = &end {
            virtual_time += outcome.virtual_time;
            told.steps += outcome.steps;
            told.joins += outcome.joins;
            told.bytes += outcome.bytes_all();
        }
        if let Some(what) = end.first_failure() {
            let failed = end.failed().into_iter().collect();
            let reason = end.failures().into_iter().next().map(|(reason, _)| reason);
            let again = again(name, options.as_written, *seed);
            bar.suspend(|| output::note(&format!("seed {seed}: {what}\n")));
            failed_count += 1;
            bar.set_message(format!("{failed_count} failed"));
            if told.failures.len() < FAILURES_KEPT_MAX {
                told.failures.push(Failure { seed: *seed, failed, what, reason, again });
            }
        }
    });
    bar.finish_and_clear();
    told.worlds = ran as u64;
    told.failed = failed_count;
    told.virtual_time_s = virtual_time.as_secs_f64();
    told.real_time_s = output::since(begin).as_secs_f64();
    told.failures.sort_by_key(|failure| failure.seed);
    if let Some(first_failure) = told.failures.first().filter(|_| !stop.load(Ordering::Relaxed)) {
        let path = options.shrunk.clone().unwrap_or_else(|| format!("shrunk-{}.toml", first_failure.seed).into());
        let shrunk = shrunk(&recipe.scenario(first_failure.seed), first_failure, stop);
        output::write_file(&path, &shrunk)?;
        told.shrunk = Some(path);
        told.shrunk_alike = first_failure.reason.as_ref().map(ToString::to_string);
    }
    output::result(&if options.show.json { output::json(&told)? } else { text(&told, count) });
    Ok(told.failures.is_empty() && told.worlds == count)
}

/// How a seed of the swarm is run again.
pub(super) fn again(scenario: Option<&str>, as_written: bool, seed: u64) -> String {
    match scenario {
        None => format!("leftoff-sim replay {seed}"),
        Some(name) if as_written => format!("leftoff-sim run {name} --seed {seed}"),
        Some(name) => format!("leftoff-sim replay {seed} {name}"),
    }
}

/// The text of the shortest scenario found that fails like the given failure.
fn shrunk(scenario: &Scenario, failure: &Failure, stop: &AtomicBool) -> String {
    let bar = output::bar(SHRINK_TRIES_MAX as u64, "shrinking");
    let reason = failure.reason.clone().unwrap_or_else(|| Reason::of_violation(&failure.what));
    let (shrunk, what) = shrink::shrink_alike(scenario, &reason, SHRINK_TRIES_MAX, |candidate| {
        bar.inc(1);
        let one = || pool::run(&|scenario, seed| run::observed(scenario, seed, None), candidate, failure.seed);
        (!stop.load(Ordering::Relaxed)).then(one)
    });
    bar.finish_and_clear();
    let line = |text: &str| text.replace('\n', " ");
    let end = if shrunk.done { "nothing shorter fails alike" } else { "shorter ones may fail alike" };
    format!(
        "# Fails with seed {}: {}\n# Shrunk in {} runs, each kept one failing alike ({reason}); {end}\n# From: {}, which failed with: {}\n{}",
        failure.seed,
        line(what.as_ref().unwrap_or(&failure.what)),
        shrunk.tries,
        failure.again,
        line(&failure.what),
        shrunk.scenario.to_toml()
    )
}

fn text(told: &Told, asked: u64) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} worlds, {} of virtual time in {}; {} events, {} joins, {} on the links",
        show_count(told.worlds),
        show_duration(Duration::from_secs_f64(told.virtual_time_s)),
        show_duration(Duration::from_secs_f64(told.real_time_s)),
        show_count(told.steps),
        show_count(told.joins),
        show_bytes(told.bytes),
    );
    if told.worlds < asked {
        let _ = writeln!(text, "interrupted: {} were not run", show_count(asked - told.worlds));
    }
    if told.failures.is_empty() {
        let _ = writeln!(text, "held: nothing failed");
        return text;
    }
    let _ = writeln!(text, "FAILED: {} of {}", show_count(told.failed), show_count(told.worlds));
    for failure in told.failures.iter().take(FAILURES_SHOWN_MAX) {
        let _ = writeln!(text, "  seed {} ({}): {}\n    again: {}", failure.seed, failure.failed.join(", "), failure.what, failure.again);
    }
    if told.failed > FAILURES_SHOWN_MAX as u64 {
        let _ = writeln!(text, "  … and {} more; --json lists them", told.failed - FAILURES_SHOWN_MAX as u64);
    }
    if let (Some(path), Some(first)) = (&told.shrunk, told.failures.first()) {
        let _ = writeln!(text, "the first, shrunk: leftoff-sim run {} --seed {}", path.display(), first.seed);
        let alike = told.shrunk_alike.as_deref().unwrap_or("unknown");
        let _ = writeln!(text, "  it fails alike ({alike}); what fails otherwise was not taken");
    }
    text
}
