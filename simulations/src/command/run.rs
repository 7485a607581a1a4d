//! `leftoff-sim run` with one seed, and `leftoff-sim replay`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use leftoff::time::system::monotonic_now;

use super::arguments::{Replay, Run, Show};
use super::source::{self, Recipe};
use super::{COMMIT, CommandError, Held, output};
use crate::outcome::Outcome;
use crate::scenario::{Scenario, library};
use crate::swarm::pool::{self, End};
use crate::world::{self, TRACE_COLUMNS};
use crate::{report, summary};

pub(super) fn run(run: &Run) -> Result<Held, CommandError> {
    let Some(named) = &run.scenario else {
        let eaten = run.show.trace.as_deref().and_then(Path::to_str).filter(|file| library::text(file).is_some());
        let hint = eaten.map_or("name one, or draw them with --seeds N".into(), |name| format!("write --trace behind '{name}'"));
        return Err(CommandError::new(format!("no scenario is named: {hint}")));
    };
    let scenario = source::scenario(named, run.latency.as_deref())?;
    plant(run.planted.as_deref())?;
    one(&scenario, run.seed.unwrap_or(1), &run.show, named)
}

pub(super) fn replay(replay: &Replay) -> Result<Held, CommandError> {
    let recipe = match &replay.scenario {
        Some(named) => Recipe::Varied(source::scenario(named, replay.latency.as_deref())?),
        None => Recipe::Drawn,
    };
    let scenario = recipe.scenario(replay.seed);
    if replay.show {
        output::result(&scenario.to_toml());
        return Ok(true);
    }
    output::note(&format!("{}\n", scenario.to_toml()));
    plant(replay.planted.as_deref())?;
    let named = replay.scenario.as_deref().map_or(String::new(), |name| format!(" {name}"));
    one_told(&scenario, replay.seed, &replay.output, &format!("leftoff-sim replay {}{named}", replay.seed))
}

fn one(scenario: &Scenario, seed: u64, show: &Show, named: &str) -> Result<Held, CommandError> {
    one_told(scenario, seed, show, &format!("leftoff-sim run {named} --seed {seed}"))
}

fn one_told(scenario: &Scenario, seed: u64, show: &Show, again: &str) -> Result<Held, CommandError> {
    // A trace on standard output leaves no room there for anything else.
    let to_stdout = show.trace.as_deref() == Some(Path::new("-"));
    let tell = |text: &str| if to_stdout { output::note(text) } else { output::result(text) };
    if !show.json {
        tell(&summary::heading(scenario, seed, COMMIT));
    }
    let trace = show.trace.clone();
    // The file is opened before the world runs: a folder that is not there is told now, not in an hour.
    let mut sink = trace.as_deref().map(open).transpose()?;
    let sink = std::cell::RefCell::new(sink.take());
    let how = |scenario: &Scenario, seed: u64| {
        let trace = sink.borrow_mut().take();
        observed(scenario, seed, trace)
    };
    match pool::run(&how, scenario, seed) {
        End::Panicked(what) => Err(CommandError::new(format!("the world ended in a panic: {what}; again with: {again}"))),
        End::Done(outcome) => {
            let checked = summary::checked(scenario);
            let text = if show.json { output::json(&outcome)? } else { summary::summary(&outcome, &checked) };
            tell(&text);
            if let Some(path) = &show.report {
                output::write_file(path, &report::page(scenario, &outcome, &checked, again))?;
                output::note(&format!("report: {}\n", path.display()));
            }
            Ok(!outcome.failed())
        }
    }
}

/// Runs a world with this program's clock for what is real, and its commit.
pub(super) fn observed(scenario: &Scenario, seed: u64, trace: Option<Box<dyn Write>>) -> Outcome {
    let begin = monotonic_now().since_start();
    let options = world::Options { trace, clock: Some(monotonic_now), ..world::Options::default() };
    let mut outcome = world::run(scenario, seed, options);
    outcome.real_time = output::since(begin);
    COMMIT.clone_into(&mut outcome.commit);
    outcome
}

/// A file for the trace, with the names of its columns; `-` is standard output.
fn open(path: &Path) -> Result<Box<dyn Write>, CommandError> {
    let failed = |error: io::Error| CommandError::new(format!("{}: cannot be written: {error}", path.display()));
    let mut sink: Box<dyn Write> = if path == Path::new("-") {
        Box::new(BufWriter::new(io::stdout()))
    } else {
        Box::new(BufWriter::with_capacity(1 << 20, File::create(PathBuf::from(path)).map_err(failed)?))
    };
    let names: Vec<&str> = TRACE_COLUMNS.iter().map(|(name, _)| *name).collect();
    writeln!(sink, "{}", names.join("\t")).map_err(failed)?;
    Ok(sink)
}

/// Switches a planted bug on for this thread, in a build that has them.
#[cfg(leftoff_planted)]
fn plant(name: Option<&str>) -> Result<(), CommandError> {
    use leftoff::planted::{Planted, switch_to};
    let Some(name) = name else { return Ok(()) };
    let names = || Planted::ALL.map(Planted::name).join(", ");
    let planted =
        name.parse::<Planted>().map_err(|_| CommandError::new(format!("there is no planted bug '{name}'; there are {}", names())))?;
    switch_to(Some(planted));
    Ok(())
}

#[cfg(not(leftoff_planted))]
fn plant(name: Option<&str>) -> Result<(), CommandError> {
    match name {
        None => Ok(()),
        Some(name) => Err(CommandError::new(format!(
            "this build has no planted bugs, so not '{name}': build with RUSTFLAGS=\"--cfg leftoff_planted\""
        ))),
    }
}
