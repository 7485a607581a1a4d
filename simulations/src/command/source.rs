//! Where a scenario comes from: a file, the program itself, or a seed.

use std::path::Path;

use super::{CommandError, output};
use crate::scenario::{self, Scenario, latency, library};
use crate::swarm;

/// The scenario that is meant by a file or a name, with measured latencies if it asks for them.
pub(super) fn scenario(named: &str, latencies: Option<&Path>) -> Result<Scenario, CommandError> {
    let mut scenario = written(named)?;
    let folder = Path::new(named).parent().unwrap_or(Path::new("."));
    let notice = latency::resolve(&mut scenario, latencies, folder).map_err(|error| CommandError::new(error.to_string()))?;
    if let Some(notice) = notice {
        output::note(&format!("note: {notice}\n"));
    }
    Ok(scenario)
}

/// Without latencies.
fn written(named: &str) -> Result<Scenario, CommandError> {
    let is_file = Path::new(named).extension().is_some_and(|extension| extension == "toml") || named.contains(std::path::MAIN_SEPARATOR);
    let read = if is_file { scenario::read(Path::new(named)) } else { library::scenario(named).ok_or_else(|| unknown(named))? };
    read.map_err(|error| CommandError::new(error.to_string()))
}

/// There is no scenario of that name.
pub(super) fn unknown(name: &str) -> CommandError {
    let hint = library::near(name)
        .map_or_else(|| "`leftoff-sim list` shows them; a file ends in .toml".into(), |near| format!("did you mean '{near}'?"));
    CommandError::new(format!("there is no scenario '{name}': {hint}"))
}

/// What a swarm runs for a seed: all drawn, a scenario varied, or a scenario as it is written.
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    /// The seed decides the whole scenario.
    Drawn,
    /// The seed varies this one.
    Varied(Scenario),
    /// The seed decides the world's chance only.
    AsWritten(Scenario),
}

impl Recipe {
    pub(super) fn scenario(&self, seed: u64) -> Scenario {
        match self {
            Self::Drawn => swarm::draw(seed),
            Self::Varied(scenario) => swarm::vary(scenario, seed),
            Self::AsWritten(scenario) => scenario.clone(),
        }
    }
}
