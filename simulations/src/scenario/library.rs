//! The repository's own scenarios, which are part of the binary: `leftoff-sim list`, and `run NAME` from anywhere.

use super::reader::distance;
use super::{Scenario, ScenarioError, parse};

/// Name and text of each file in `simulations/scenarios`, by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// The names of all scenarios, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a scenario's file; none: there is none of that name.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A scenario by its name; none: there is none.
///
/// # Errors
/// What is wrong with its file; a test sees to it that nothing is.
pub fn scenario(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    text(name).map(|text| parse(&format!("scenarios/{name}.toml"), name, text))
}

/// The name that is meant, perhaps, by one that there is not.
pub fn near(name: &str) -> Option<&'static str> {
    names().filter(|known| distance(known, name) <= 3 || known.contains(name)).min_by_key(|known| distance(known, name))
}
