//! What was acknowledged and is nowhere any more, because every disk that held it was lost.

use super::ledger::RegisterNo;
use crate::model::Facts;

/// Deltas that no disk held when one was lost. Some may turn up again: counted are those that are nowhere in the end.
#[derive(Debug, Default)]
pub struct Losses {
    lost: Vec<(RegisterNo, Facts)>,
    /// Written when their host died, and not acknowledged: nobody was promised anything.
    unpromised: Vec<(RegisterNo, Facts)>,
    count: u64,
}

impl Losses {
    /// A delta was found in a log that nobody had acknowledged.
    pub fn was_not_promised(&mut self, register: RegisterNo, delta: Facts) {
        self.unpromised.push((register, delta));
    }

    /// The last disk that held these is gone.
    pub fn lose(&mut self, deltas: impl IntoIterator<Item = (RegisterNo, Facts)>) {
        let Self { lost, unpromised, .. } = self;
        lost.extend(deltas.into_iter().filter(|delta| !unpromised.contains(delta)));
    }

    /// How many of them are nowhere.
    pub fn count_of(&self, is_nowhere: impl Fn(RegisterNo, &Facts) -> bool) -> u64 {
        self.lost.iter().filter(|(register, delta)| is_nowhere(*register, delta)).count() as u64
    }

    /// Keeps what was counted at rest.
    pub const fn set_count(&mut self, count: u64) {
        self.count = count;
    }

    /// What was counted at rest.
    pub const fn count(&self) -> u64 {
        self.count
    }
}
