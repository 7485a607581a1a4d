//! What was refused was refused for a documented reason, and one that is true of it.

use leftoff::limits::{POSITION_MS_MAX, POSITION_OVER_DURATION_MS_MAX, TITLES_PER_PROFILE_COUNT_MAX};
use leftoff::progress::{DeviceId, PlaybackEvent, ProfileId, TitleId};
use leftoff::replica::RefusedReason;
use leftoff::time::WallTime;

use super::{Checker, Kinds, Violation};
use crate::model::wall_ms;
use crate::observation::{HostId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// See the module's head.
#[derive(Debug)]
pub struct Refusals {
    drift_ms_max: u64,
}

/// What a refusal says begins with one of these words; anything else is no reason.
const PASSING: [&str; 4] = ["not ready", "overloaded", "closed", "append"];

impl Refusals {
    /// Under the scenario's bound of clock drift.
    pub const fn new(scenario: &Scenario) -> Self {
        Self { drift_ms_max: scenario.replicas.drift_ms_max }
    }

    fn clock(view: &dyn View, host: HostId) -> WallTime {
        let machine = WallTime::from_millis(wall_ms(view.true_stamp().as_u64())).shifted(view.clock_error_ms(host));
        view.core(host).map_or(machine, |core| core.corrected(machine))
    }

    /// Whether the reason for refusing an event is true; none: it is no documented reason.
    fn is_true_of(&self, view: &dyn View, host: HostId, event: &PlaybackEvent, reason: &str) -> Option<bool> {
        let word = reason.split(':').next().unwrap_or_default();
        let over = |ms: u64| event.position_ms > ms + POSITION_OVER_DURATION_MS_MAX;
        Some(match word {
            "bad_id" => {
                let ids = [ProfileId::new(&event.profile_id).is_err(), TitleId::new(&event.title_id).is_err()];
                ids.contains(&true) || DeviceId::new(&event.device_id).is_err() || event.series_id.is_some()
            }
            "position_beyond_duration" => event.duration_ms.is_some_and(over),
            "position_too_large" => event.position_ms > POSITION_MS_MAX,
            "duration_too_large" => event.duration_ms.is_some_and(|ms| ms > POSITION_MS_MAX),
            "bad_speed" => event.speed.is_some_and(|speed| !(speed.is_finite() && speed > 0.0 && speed <= 16.0)),
            "version_ahead" => {
                let now_ms = Self::clock(view, host).as_millis();
                event.version.is_some_and(|version| wall_ms(version) + 1 > now_ms.saturating_add(self.drift_ms_max))
            }
            "too_many_titles" => {
                let profile = ProfileId::new(&event.profile_id).ok()?;
                let count = view.core(host)?.store().title_count(&profile).unwrap_or(0);
                count + leftoff::limits::EVENTS_PER_BATCH_COUNT_MAX >= TITLES_PER_PROFILE_COUNT_MAX
            }
            _ if PASSING.iter().any(|passing| word.starts_with(passing)) => true,
            _ => return None,
        })
    }

    fn record(&self, at: VirtualTime, view: &dyn View, refused: (HostId, HostId, &ProfileId, RefusedReason), found: &mut Vec<Violation>) {
        let (host, peer, profile, reason) = refused;
        let is_true = match reason {
            RefusedReason::NotEntitled => !view.holds(peer, profile),
            // Only what a device sends is put before bounds.
            RefusedReason::OutOfBounds => !view.is_node(peer),
            RefusedReason::TooFarAhead => {
                // The sender still has what was refused, or more.
                let Some(sender) = view.core(peer) else { return };
                let Ok(stored) = sender.store().profile(profile) else { return };
                let stamps = stored.profile.registers.values().map(leftoff::progress::Progress::highest_stamp);
                let highest = stamps.chain([stored.profile.erased]).max().unwrap_or_default();
                highest.wall().as_millis() + 1 > Self::clock(view, host).as_millis() + self.drift_ms_max
                    // By now the host's own clock may have been put right; then it was the one that was wrong.
                    || view.clock_error_ms(host) != 0
                    || view.clock_error_ms(peer) != 0
                    || highest.wall().as_millis() + self.drift_ms_max > Self::clock(view, host).as_millis()
            }
            _ => false,
        };
        if !is_true {
            let what =
                format!("a record of {} from {} was refused as {reason:?}, which is not true of it", profile.as_str(), view.name(peer));
            found.push(Violation { checker: self.name(), at, host: Some(host), what });
        }
    }
}

impl Checker for Refusals {
    fn name(&self) -> &'static str {
        "refusals-are-true"
    }

    fn about(&self) -> &'static str {
        "a report or record is refused only for a documented reason, and one that is true of it"
    }

    fn wants(&self) -> Kinds {
        Kinds::REPORTED.and(Kinds::REFUSED)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Reported { host, event, outcome: Err(reason), .. } => {
                let what = match self.is_true_of(view, *host, event, reason) {
                    Some(true) => return,
                    Some(false) => format!("{event:?} was refused as {reason:?}, which is not true of it"),
                    None => format!("{event:?} was refused as {reason:?}, which is no documented reason"),
                };
                found.push(Violation { checker: self.name(), at, host: Some(*host), what });
            }
            Observation::Refused { host, peer, profile, reason } => self.record(at, view, (*host, *peer, profile, *reason), found),
            _ => {}
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, PlaybackEvent, ProfileId};
    use leftoff::replica::RefusedReason;

    use crate::checkers::testing::Hosts;
    use crate::observation::{HostId, Observation};

    fn refused(event: &PlaybackEvent, reason: &str) -> usize {
        let mut hosts = Hosts::nodes(1);
        hosts.see(&Observation::Reported { host: HostId(0), event, sent_at: None, outcome: Err(reason) });
        hosts.violations().len()
    }

    #[test]
    fn every_refusal_of_the_product_is_true_and_a_wrong_one_is_found() {
        let good = PlaybackEvent::new("p", "film", "tv", EventKind::Play, 1_000);
        let bad = [
            PlaybackEvent { profile_id: String::new(), ..good.clone() },
            PlaybackEvent { duration_ms: Some(100_000), position_ms: 200_000, ..good.clone() },
            PlaybackEvent { position_ms: u64::MAX, ..good.clone() },
            PlaybackEvent { duration_ms: Some(u64::MAX), ..good.clone() },
            PlaybackEvent { speed: Some(f32::NAN), ..good.clone() },
            PlaybackEvent { version: Some(1 << 52), ..good.clone() },
        ];
        for event in &bad {
            let mut hosts = Hosts::nodes(1);
            hosts.report(0, event);
            assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
        }
        assert_eq!(refused(&good, "bad_speed: speed must be above 0"), 1);
        assert_eq!(refused(&good, "version_ahead: no"), 1);
        assert_eq!(refused(&good, "because"), 1, "no documented reason");
        assert_eq!(refused(&good, "not ready: the clock is wrong"), 0);
    }

    #[test]
    fn a_record_is_refused_for_want_of_a_token_only_where_there_is_none() {
        let profile = ProfileId::new("p").unwrap();
        for (tokens, is_found) in [(vec![], false), (vec!["p"], true)] {
            let mut hosts = Hosts::nodes(2);
            hosts.devices.insert(1, tokens);
            let reason = RefusedReason::NotEntitled;
            hosts.see(&Observation::Refused { host: HostId(0), peer: HostId(1), profile: &profile, reason });
            assert_eq!(!hosts.violations().is_empty(), is_found);
        }
    }

    #[test]
    fn a_record_is_refused_as_ahead_only_if_it_is() {
        let profile = ProfileId::new("p").unwrap();
        let mut hosts = Hosts::nodes(2);
        hosts.watch(1, "p", EventKind::Play, 100);
        hosts.wait(3_600);
        let reason = RefusedReason::TooFarAhead;
        hosts.see(&Observation::Refused { host: HostId(0), peer: HostId(1), profile: &profile, reason });
        assert_eq!(hosts.found(), ["refusals-are-true"]);
    }
}
