//! `leftoff-sim suite`: what must hold before anything is merged. Every scenario from fixed seeds, every seed that ever failed, and a swarm.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use leftoff::time::system::monotonic_now;

use super::arguments::Suite;
use super::source::{self, Recipe};
use super::swarm::again;
use super::{CommandError, Held, output, run};
use crate::scenario::library;
use crate::scenario::quantity::show_duration;
use crate::swarm::pool;

/// Scenarios whose worlds are too large for a test; they are run for figures.
const FIGURES: [&str; 2] = ["mixed-faults", "big-day"];

/// One world of the suite.
struct Job {
    recipe: Recipe,
    seed: u64,
    again: String,
}

pub(super) fn suite(options: &Suite, stop: &AtomicBool) -> Result<Held, CommandError> {
    let begin = monotonic_now().since_start();
    let jobs = options.jobs.map_or_else(output::cores, |jobs| jobs as usize);
    let mut fixed = Vec::new();
    for name in library::names().filter(|name| !FIGURES.contains(name)) {
        let scenario = source::scenario(name, None)?;
        for seed in 1..=options.seeds {
            fixed.push(Job { recipe: Recipe::AsWritten(scenario.clone()), seed, again: again(Some(name), true, seed) });
        }
    }
    let failed_once = failed_once(&options.seeds_file)?;
    let drawn = (1..=options.swarm).map(|seed| Job { recipe: Recipe::Drawn, seed, again: again(None, false, seed) }).collect();
    let mut held = true;
    for (what, part) in [("scenarios from fixed seeds", fixed), ("seeds that failed once", failed_once), ("drawn worlds", drawn)] {
        held &= run_part(what, &part, jobs, stop);
    }
    output::result(&format!("{} after {}\n", if held { "held" } else { "FAILED" }, show_duration(output::since(begin))));
    Ok(held)
}

/// Runs the worlds of one part and says how long they took, and which was the slowest.
fn run_part(what: &str, part: &[Job], jobs: usize, stop: &AtomicBool) -> Held {
    let begin = monotonic_now().since_start();
    let bar = output::bar(part.len() as u64, what);
    let mut failures = Vec::new();
    let mut slowest = None;
    let one = |job: &Job| pool::run(&|scenario, seed| run::observed(scenario, seed, None), &job.recipe.scenario(job.seed), job.seed);
    let ran = pool::run_all(part, jobs, stop, &one, |job, end| {
        bar.inc(1);
        if let pool::End::Done(outcome) = &end {
            slowest = slowest.take().max(Some((outcome.real_time, job.again.clone())));
        }
        failures.extend(end.first_failure().map(|what| format!("  {what}\n    again: {}\n", job.again)));
    });
    bar.finish_and_clear();
    let slowest = slowest.map_or(String::new(), |(time, again)| format!(", slowest {} ({again})", show_duration(time)));
    let took = show_duration(output::since(begin));
    output::result(&format!("{what}: {ran} of {} run in {took}, {} failed{slowest}\n", part.len(), failures.len()));
    failures.sort();
    for failure in &failures {
        output::result(failure);
    }
    failures.is_empty() && ran == part.len()
}

/// The worlds of a file of seeds: `drawn SEED`, `SCENARIO SEED`, `vary:SCENARIO SEED`; what follows `#` is their story.
fn failed_once(path: &Path) -> Result<Vec<Job>, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|error| CommandError::new(format!("{}: cannot be read: {error}", path.display())))?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let wrong = || {
            CommandError::new(format!("{}:{}: must be `drawn SEED`, `SCENARIO SEED` or `vary:SCENARIO SEED`", path.display(), index + 1))
        };
        let (what, seed) = match words[..] {
            [] => continue,
            [what, seed] => (what, seed.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        // A file of its own is named as seen from the file of seeds.
        let named = |name: &str| match path.parent() {
            Some(folder) if name.contains('/') => folder.join(name).display().to_string(),
            _ => name.to_owned(),
        };
        let (recipe, again) = match what.strip_prefix("vary:") {
            _ if what == "drawn" => (Recipe::Drawn, again(None, false, seed)),
            Some(name) => (Recipe::Varied(source::scenario(&named(name), None)?), again(Some(&named(name)), false, seed)),
            None => (Recipe::AsWritten(source::scenario(&named(what), None)?), again(Some(&named(what)), true, seed)),
        };
        found.push(Job { recipe, seed, again });
    }
    Ok(found)
}
