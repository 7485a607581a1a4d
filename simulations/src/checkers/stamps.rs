//! Nobody can park a value in the future: no shared record is taken whose stamps lie further ahead of the taker's clock than the stated bound.

use std::collections::VecDeque;
use std::time::Duration;

use leftoff::store::Record;
use leftoff::sync::frame::FrameType;

use super::clocks::{ahead_ms, true_now};
use super::mix::Map;
use super::{Checker, Kinds, Violation};
use crate::model::wall_ms;
use crate::observation::{HostId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// A record is durable so long after it was taken, at most: the longest sync several times over.
const DURABLE_WITHIN: Duration = Duration::from_mins(1);

/// See the module's head. A host takes a record by the clock that it has when the frame arrives; until the record is durable, and seen here, the clock
/// may have been set.
#[derive(Debug)]
pub struct Stamps {
    drift_ms_max: u64,
    /// When frames of records arrived, and how far the host's clock was ahead then: where it differs from the one before.
    taken: Map<HostId, VecDeque<(VirtualTime, i64)>>,
}

impl Stamps {
    /// Under the scenario's bound of clock drift.
    pub fn new(scenario: &Scenario) -> Self {
        Self { drift_ms_max: scenario.replicas.drift_ms_max, taken: Map::default() }
    }

    fn note_frame(&mut self, at: VirtualTime, host: HostId, ahead_ms: i64) {
        let taken = self.taken.entry(host).or_default();
        if taken.back().is_none_or(|(_, before)| *before != ahead_ms) {
            // The first of those that are left stands until the second.
            while taken.get(1).is_some_and(|(second, _)| *second + DURABLE_WITHIN < at) {
                taken.pop_front();
            }
            taken.push_back((at, ahead_ms));
        }
    }

    /// How far ahead the host's clock can have been when it took what is durable now.
    fn ahead_when_taken_ms(&self, at: VirtualTime, host: HostId) -> Option<i64> {
        let taken = self.taken.get(&host)?;
        let first = taken.partition_point(|(since, _)| *since + DURABLE_WITHIN < at).saturating_sub(1);
        taken.iter().skip(first).map(|(_, ahead_ms)| *ahead_ms).max()
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
        Kinds::APPLIED.and(Kinds::FRAME_ARRIVED)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        if let Observation::FrameArrived { host, number, .. } = seen
            && *number == FrameType::Records as u8
        {
            self.note_frame(at, *host, ahead_ms(view, *host));
        }
        let Observation::Applied { host, from: Some(_), record, .. } = seen else { return };
        let stamp = match record {
            Record::Register { state, .. } => state.highest_stamp().as_u64(),
            Record::Erased { erased, .. } => erased.as_u64(),
        };
        let read_ms = |ahead_ms: i64| true_now(view).shifted(ahead_ms).as_millis();
        let mut now_ms = read_ms(ahead_ms(view, *host));
        if wall_ms(stamp) > now_ms + self.drift_ms_max {
            now_ms = self.ahead_when_taken_ms(at, *host).map_or(now_ms, |ahead_ms| now_ms.max(read_ms(ahead_ms)));
        }
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
    use leftoff::store::Record;
    use leftoff::sync::frame::FrameType;
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, NOW, ids};
    use crate::observation::{HostId, LinkId, Observation};

    #[test]
    fn a_record_from_the_future_is_found_and_one_within_the_bound_is_not() {
        for (ahead_ms, is_found) in [(59_000, false), (61_000, true)] {
            let mut hosts = Hosts::nodes(1);
            let (profile, title) = ids("p");
            let record = Record::Register { profile, title, state: Progress::hiding(Hlc::ZERO, Hlc::from_wall(NOW.shifted(ahead_ms))) };
            hosts.take(0, &record);
            assert_eq!(hosts.found().contains(&"no-future-stamps"), is_found);
        }
    }

    #[test]
    fn what_was_taken_just_before_the_clock_was_set_back_is_well() {
        for (taken_at_s, is_found) in [(0, true), (170, false)] {
            let mut hosts = Hosts::nodes(1);
            let (profile, title) = ids("p");
            let host = HostId(0);
            let frame = |hosts: &mut Hosts| {
                let number = FrameType::Records as u8;
                hosts.see(&Observation::FrameArrived { link: LinkId(1), host, peer: HostId(9), number, body: &[] });
            };
            hosts.wait(taken_at_s);
            frame(&mut hosts);
            hosts.clock_errors_ms.insert(0, -3_600_000);
            hosts.wait(1);
            frame(&mut hosts);
            hosts.wait(170 - taken_at_s);
            let record = Record::Register { profile, title, state: Progress::hiding(Hlc::ZERO, Hlc::from_wall(hosts.now)) };
            hosts.take(0, &record);
            assert_eq!(hosts.found().contains(&"no-future-stamps"), is_found);
        }
    }
}
