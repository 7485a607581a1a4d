//! Nobody can park a value in the future: no shared record is taken whose stamps lie further ahead of the taker's clock than the stated bound.

use leftoff::store::Record;

use super::{Checker, Kinds, Violation};
use crate::model::wall_ms;
use crate::observation::{Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// See the module's head.
#[derive(Debug)]
pub struct Stamps {
    drift_ms_max: u64,
}

impl Stamps {
    /// Under the scenario's bound of clock drift.
    pub const fn new(scenario: &Scenario) -> Self {
        Self { drift_ms_max: scenario.replicas.drift_ms_max }
    }
}

impl Checker for Stamps {
    fn name(&self) -> &'static str {
        "no-future-stamps"
    }

    fn about(&self) -> &'static str {
        "no host takes a peer's record whose stamps are further ahead of its clock than the bound of clock drift"
    }

    fn wants(&self) -> Kinds {
        Kinds::APPLIED
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        let Observation::Applied { host, from: Some(_), record, .. } = seen else { return };
        let stamp = match record {
            Record::Register { state, .. } => state.highest_stamp().as_u64(),
            Record::Erased { erased, .. } => erased.as_u64(),
        };
        let machine = leftoff::time::WallTime::from_millis(wall_ms(view.true_stamp().as_u64())).shifted(view.clock_error_ms(*host));
        let now_ms = view.core(*host).map_or(machine, |core| core.corrected(machine)).as_millis();
        if wall_ms(stamp) > now_ms + self.drift_ms_max {
            let what = format!(
                "a record of {} is stamped {} ms ahead of the host's clock, at most {} are accepted",
                record.profile().as_str(),
                wall_ms(stamp) - now_ms,
                self.drift_ms_max
            );
            found.push(Violation { checker: self.name(), at, host: Some(*host), what });
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::Progress;
    use leftoff::store::{Record, ReplicaId, Seq};
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, NOW, ids};
    use crate::observation::{HostId, Observation};

    #[test]
    fn a_record_from_the_future_is_found_and_one_within_the_bound_is_not() {
        for (ahead_ms, is_found) in [(59_000, false), (61_000, true)] {
            let mut hosts = Hosts::nodes(1);
            let (profile, title) = ids("p");
            let record = Record::Register { profile, title, state: Progress::hiding(Hlc::ZERO, Hlc::from_wall(NOW.shifted(ahead_ms))) };
            let from = Some(ReplicaId([9; 16]));
            hosts.see(&Observation::Applied { host: HostId(0), seq: Seq(1), from, record: &record, unshared: false, changed: true });
            assert_eq!(hosts.found().contains(&"no-future-stamps"), is_found);
        }
    }
}
