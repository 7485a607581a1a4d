//! What must hold: one checker a file.

use std::fmt;

use crate::observation::{HostId, Observation, View, VirtualTime};

/// What was broken, when and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The checker's name.
    pub checker: &'static str,
    /// When.
    pub at: VirtualTime,
    /// Where, if at one host.
    pub host: Option<HostId>,
    /// What, for people: which register, what was expected, what was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}: {}", self.checker, self.at, self.what)
    }
}

/// Looks on while a world runs, and once more when it has come to rest.
pub trait Checker {
    /// Its name, in kebab case: stable, shown in reports and in the table of planted bugs.
    fn name(&self) -> &'static str;

    /// Called with each observation, in order. What it finds it pushes; the world goes on, so that one run shows everything.
    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>);

    /// Called once when the world has settled, or when its time to settle is over (`settled` false).
    fn at_rest(&mut self, at: VirtualTime, settled: bool, view: &dyn View, found: &mut Vec<Violation>);
}
