//! `leftoff-sim list`: the scenarios that are part of the program.

use std::fmt::Write as _;

use super::arguments::List;
use super::{CommandError, Held, output, source};
use crate::scenario::library;
use crate::scenario::quantity::show_duration;

/// A scenario, as `--json` lists it.
#[derive(serde::Serialize)]
struct Listed {
    name: String,
    about: String,
    nodes: u32,
    devices: u32,
    viewers: u32,
    duration_s: f64,
    faults: Vec<String>,
}

pub(super) fn list(list: &List) -> Result<Held, CommandError> {
    if let Some(name) = &list.name {
        let text = library::text(name).ok_or_else(|| source::unknown(name))?;
        output::result(text);
        return Ok(true);
    }
    let mut text = String::new();
    let mut listed = Vec::new();
    for scenario in library::names().filter_map(library::scenario) {
        let scenario = scenario.map_err(|error| CommandError::new(error.to_string()))?;
        let _ = writeln!(text, "{:<34} {:>8}  {}", scenario.name, show_duration(scenario.duration), scenario.about);
        listed.push(Listed {
            nodes: scenario.node_count(),
            devices: scenario.device_count(),
            viewers: scenario.workload.viewers,
            duration_s: scenario.duration.as_secs_f64(),
            faults: scenario.faults.iter().map(|fault| fault.kind.to_string()).collect(),
            name: scenario.name,
            about: scenario.about,
        });
    }
    if list.json {
        text = output::json(&listed)?;
    }
    output::result(&text);
    Ok(true)
}
