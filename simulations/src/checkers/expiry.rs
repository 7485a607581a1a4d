//! Nothing expires early: the floor below which registers are nothing is never further than a clock that may raise it has come.
//!
//! A floor never sinks again, so whoever raises it by a wrong clock ends what lives. By the contract a node that has peers raises it only while the
//! clock of one of them agrees with its own, and nobody takes a floor that its own clock would not reach within a day. A right clock may always be
//! followed, and so may the one that a device was told by its node.

use std::time::Duration;

use leftoff::sync::frame::FrameType;

use super::mix::Map;
use super::{Checker, Kinds, Violation, clocks};
use crate::observation::{HostId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// Two clocks that have agreed may still be taken to agree for so long: until links that are there compare them again.
const AGREED_FOR: Duration = Duration::from_mins(2);

/// Clocks that are compared over a slow line may agree though they are further apart than the bound by this.
const COMPARED_WITHIN_MS: u64 = 30_000;

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The furthest that the host's own clock has shown, in milliseconds since the Unix epoch.
    own_ms: u64,
    /// The same while it had been compared with a node's, which a device's must be before it expires anything by it.
    compared_ms: u64,
    /// When another node's clock last agreed with it.
    agreed: Option<VirtualTime>,
    /// The floor as it was last judged.
    floor_day: u32,
}

/// See the module's head.
#[derive(Debug)]
pub struct Expiry {
    ttl_days: Option<u32>,
    drift_ms_max: u64,
    known: Map<HostId, Known>,
    /// The furthest that a node's clock has shown that it may raise floors by.
    reached_ms: u64,
}

impl Expiry {
    /// Under the scenario's time to live.
    pub fn new(scenario: &Scenario) -> Self {
        let replicas = &scenario.replicas;
        Self { ttl_days: replicas.ttl_days, drift_ms_max: replicas.drift_ms_max, known: Map::default(), reached_ms: 0 }
    }

    /// Notes how far a host's clock is, and whether it may raise floors by it.
    fn note(&mut self, at: VirtualTime, host: HostId, view: &dyn View) {
        let shown_ms = clocks::reading(view, host).as_millis();
        let true_ms = clocks::true_now(view).as_millis();
        let known = self.known.entry(host).or_default();
        known.own_ms = known.own_ms.max(shown_ms);
        if view.core(host).is_some_and(|core| !core.keeps_apart()) {
            known.compared_ms = known.compared_ms.max(shown_ms);
        }
        if !view.is_node(host) {
            return;
        }
        // What a right clock shows needs nobody's word; it is asked for where it would go further.
        if shown_ms > true_ms + self.drift_ms_max {
            let mut others = view.hosts().into_iter().filter(|other| *other != host && view.is_node(*other)).peekable();
            let is_alone = others.peek().is_none();
            let agrees = |other| clocks::reading(view, other).as_millis().abs_diff(shown_ms) <= self.drift_ms_max + COMPARED_WITHIN_MS;
            if is_alone || others.any(agrees) {
                known.agreed = Some(at);
            }
            if known.agreed.is_none_or(|agreed| agreed + AGREED_FOR < at) {
                return;
            }
        }
        self.reached_ms = self.reached_ms.max(shown_ms);
    }

    fn look(&mut self, at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let (Some(core), Some(ttl_days)) = (view.core(host), self.ttl_days) else { return };
        let floor_day = core.store().floor_day();
        let known = self.known.entry(host).or_default();
        if floor_day == std::mem::replace(&mut known.floor_day, floor_day) || floor_day == 0 {
            return;
        }
        let day = |ms: u64| ms / DAY_MS;
        let true_ms = clocks::true_now(view).as_millis() + self.drift_ms_max;
        let own_ms = if view.is_node(host) { 0 } else { known.compared_ms };
        let raised = day(true_ms.max(self.reached_ms).max(own_ms));
        let taken = day(known.own_ms.max(true_ms)) + 1;
        let bound = raised.min(taken).saturating_sub(u64::from(ttl_days));
        if u64::from(floor_day) > bound {
            let what = format!("what was last touched before day {floor_day} has expired; it may have before day {bound}, and not later");
            found.push(Violation { checker: self.name(), at, host: Some(host), what });
        }
    }
}

impl Checker for Expiry {
    fn name(&self) -> &'static str {
        "nothing-expires-early"
    }

    fn about(&self) -> &'static str {
        "no register expires before its time to live is over, by a clock that is right or that nodes agree on"
    }

    fn wants(&self) -> Kinds {
        if self.ttl_days.is_none() {
            return Kinds::NONE;
        }
        Kinds::FLUSHING.and(Kinds::FRAME_ARRIVED).and(Kinds::FRAME_SENT).and(Kinds::LIVES).and(Kinds::FAULTS)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            // A floor is raised in the group that is written now, or was there when the store was opened.
            Observation::Flushing { host } | Observation::Started { host, .. } => {
                self.note(at, *host, view);
                self.look(at, *host, view, found);
            }
            // Clocks are compared, or a peer's floor is heard.
            Observation::FrameArrived { host, number, .. } if [FrameType::Hello as u8, FrameType::Pong as u8].contains(number) => {
                self.note(at, *host, view);
            }
            Observation::FrameSent { host, .. } => self.look(at, *host, view, found),
            Observation::Fault { .. } => view.hosts().into_iter().for_each(|host| self.note(at, host, view)),
            _ => {}
        }
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        for host in view.hosts() {
            self.look(at, host, view, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use leftoff::store::{Batch, day_of};

    use crate::checkers::testing::{Hosts, NOW, scenario};
    use crate::observation::{HostId, Observation};

    const DAY_MS: i64 = 86_400_000;

    /// Whether something is found when a host of three raises its floor to so many days after today less the time to live.
    fn is_found(clocks_days: [i64; 3], host: u32, days: u32) -> bool {
        let mut scenario = scenario();
        scenario.replicas.ttl_days = Some(30);
        let mut hosts = Hosts::of(&scenario, 3);
        hosts.clock_errors_ms.extend((0..3).zip(clocks_days.map(|days| days * DAY_MS)));
        for host in 0..3 {
            hosts.see(&Observation::Flushing { host: HostId(host) });
        }
        // Set right again: what was done by them stays.
        hosts.clock_errors_ms.clear();
        let mut batch = Batch::local();
        batch.raise_floor(day_of(NOW) - 30 + days);
        hosts.cores[&host].store().append(batch).unwrap();
        hosts.cores[&host].flush().unwrap();
        assert!(hosts.violations().is_empty(), "it has not been looked at");
        hosts.rest().contains(&"nothing-expires-early")
    }

    #[test]
    fn a_floor_above_what_a_right_clock_has_reached_is_found() {
        assert!(!is_found([0; 3], 0, 0));
        assert!(is_found([0; 3], 0, 1));
        assert!(!is_found([-5; 3], 0, 0), "a clock behind raises it late, and may hear it from others");
    }

    #[test]
    fn a_floor_by_a_clock_that_nobody_agrees_with_is_found_and_one_that_two_agree_on_is_the_contract() {
        assert!(is_found([1, 0, 0], 0, 1) && is_found([1, 5, 9], 0, 1));
        assert!(!is_found([1, 1, 0], 0, 1) && !is_found([5, 5, 0], 1, 5));
        assert!(is_found([5, 5, 0], 1, 6));
    }

    #[test]
    fn a_floor_that_its_own_clock_would_not_reach_within_a_day_is_found() {
        assert!(!is_found([5, 5, 0], 2, 1));
        assert!(is_found([5, 5, 0], 2, 2));
        assert!(!is_found([5, 5, 4], 2, 5));
    }

    #[test]
    fn a_device_may_follow_its_own_clock_and_nobody_follows_a_device() {
        for (host, is_found) in [(2, false), (0, true)] {
            let mut scenario = scenario();
            scenario.replicas.ttl_days = Some(30);
            let mut hosts = Hosts::of(&scenario, 3);
            hosts.devices.insert(2, vec!["p"]);
            hosts.clock_errors_ms.insert(2, DAY_MS);
            hosts.see(&Observation::Flushing { host: HostId(2) });
            let mut batch = Batch::local();
            batch.raise_floor(day_of(NOW) - 29);
            hosts.cores[&host].store().append(batch).unwrap();
            hosts.cores[&host].flush().unwrap();
            assert_eq!(hosts.rest().contains(&"nothing-expires-early"), is_found, "host {host}");
        }
    }
}
