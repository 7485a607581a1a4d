//! What was refused was refused for a documented reason, and one that is true of it.

use leftoff::limits::{POSITION_MS_MAX, POSITION_OVER_DURATION_MS_MAX, TITLES_PER_PROFILE_COUNT_MAX};
use leftoff::progress::{DeviceId, PlaybackEvent, ProfileId, SeriesId, TitleId};
use leftoff::replica::RefusedReason;
use leftoff::store::Record;

use super::taken::Taken;
use super::{Checker, Kinds, Violation, clocks};
use crate::model::{Facts, wall_ms};
use crate::observation::{HostId, LinkId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// See the module's head.
#[derive(Debug)]
pub struct Refusals {
    drift_ms_max: u64,
    taken: Taken,
    /// Whether anything has been refused.
    refused: bool,
}

impl Refusals {
    /// Under the scenario's bound of clock drift.
    pub fn new(scenario: &Scenario) -> Self {
        Self { drift_ms_max: scenario.replicas.drift_ms_max, taken: Taken::default(), refused: false }
    }

    /// Whether the reason for refusing an event is true; none: it is no documented reason.
    fn is_true_of(&self, view: &dyn View, host: HostId, event: &PlaybackEvent, reason: &str) -> Option<bool> {
        let word = reason.split(':').next().unwrap_or_default();
        let over = |ms: u64| event.position_ms > ms + POSITION_OVER_DURATION_MS_MAX;
        Some(match word {
            "bad_id" => {
                let ids = [ProfileId::new(&event.profile_id).is_err(), TitleId::new(&event.title_id).is_err()];
                let series = event.series_id.as_ref().is_some_and(|id| SeriesId::new(id).is_err());
                ids.contains(&true) || DeviceId::new(&event.device_id).is_err() || series
            }
            "position_beyond_duration" => event.duration_ms.is_some_and(over),
            "position_too_large" => event.position_ms > POSITION_MS_MAX,
            "duration_too_large" => event.duration_ms.is_some_and(|ms| ms > POSITION_MS_MAX),
            "bad_speed" => event.speed.is_some_and(|speed| !(speed.is_finite() && speed > 0.0 && speed <= 16.0)),
            "version_ahead" => {
                let now_ms = clocks::reading(view, host).as_millis();
                event.version.is_some_and(|version| wall_ms(version) + 1 > now_ms.saturating_add(self.drift_ms_max))
            }
            "too_many_titles" => {
                let profile = ProfileId::new(&event.profile_id).ok()?;
                let count = view.core(host)?.store().title_count(&profile).unwrap_or(0);
                count + leftoff::limits::EVENTS_PER_BATCH_COUNT_MAX >= TITLES_PER_PROFILE_COUNT_MAX
            }
            "not ready" => !view.core(host)?.not_ready().is_empty(),
            "append" => {
                let store = view.core(host)?.store();
                let (figures, options) = (store.figures(), store.options());
                let is_full = figures.table_bytes > options.table_bytes_max || figures.pending_bytes > options.pending_bytes_max;
                figures.closed || is_full
            }
            _ => return None,
        })
    }

    /// Whether the reason for refusing a record is true of one that was sent and not answered for.
    fn is_true_of_record(&self, view: &dyn View, refused: &Refused<'_>) -> bool {
        let Refused { link, host, peer, profile, title, reason } = *refused;
        let mut sent = self.taken.of(link, host, profile, title).into_iter();
        match reason {
            RefusedReason::NotEntitled => sent.next().is_some() && !view.holds(peer, profile),
            // Only what a device sends is put before bounds.
            RefusedReason::OutOfBounds => {
                let count = view.core(host).map_or(0, |core| core.store().title_count(profile).unwrap_or(0));
                !view.is_node(peer) && sent.any(|(_, record)| is_out_of_bounds(&record) || count >= TITLES_PER_PROFILE_COUNT_MAX)
            }
            // The clock is known within a millisecond.
            RefusedReason::TooFarAhead => {
                sent.any(|(at, record)| wall_ms(highest_stamp(&record)) + 1 > at.as_millis().saturating_add(self.drift_ms_max))
            }
            _ => false,
        }
    }
}

/// What is said of a record that was refused.
struct Refused<'a> {
    link: LinkId,
    host: HostId,
    peer: HostId,
    profile: &'a ProfileId,
    title: Option<&'a TitleId>,
    reason: RefusedReason,
}

fn highest_stamp(record: &Record) -> u64 {
    match record {
        Record::Register { state, .. } => Facts::from(state).highest_stamp(),
        Record::Erased { erased, .. } => erased.as_u64(),
    }
}

fn is_out_of_bounds(record: &Record) -> bool {
    let Record::Register { state, .. } = record else { return false };
    let facts = Facts::from(state);
    let positions = facts.places.iter().map(|place| place.position_ms).chain(facts.activity.iter().map(|activity| activity.position_ms));
    positions.chain([facts.furthest_ms, facts.duration.map_or(0, |(_, ms)| ms)]).any(|ms| ms > POSITION_MS_MAX)
}

impl Checker for Refusals {
    fn name(&self) -> &'static str {
        "refusals-are-true"
    }

    fn about(&self) -> &'static str {
        "a report or record is refused only for a documented reason, and one that is true of it"
    }

    fn wants(&self) -> Kinds {
        Kinds::REPORTED.and(Kinds::REFUSED).and(Kinds::FRAME_ARRIVED).and(Kinds::LINKS).and(Kinds::LIVES)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Reported { host, event, outcome: Err(reason), .. } => {
                self.refused = true;
                let what = match self.is_true_of(view, *host, event, reason) {
                    Some(true) => return,
                    Some(false) => format!("{event:?} was refused as {reason:?}, which is not true of it"),
                    None => format!("{event:?} was refused as {reason:?}, which is no documented reason"),
                };
                found.push(Violation { checker: self.name(), at, host: Some(*host), what });
            }
            Observation::Refused { link, host, peer, profile, title, reason } => {
                self.refused = true;
                let refused = Refused { link: *link, host: *host, peer: *peer, profile, title: *title, reason: *reason };
                if !self.is_true_of_record(view, &refused) {
                    let title = title.map_or("its erasure", |title| title.as_str());
                    let (profile, peer) = (profile.as_str(), view.name(*peer));
                    let what = format!("a record of {profile}, {title}, from {peer} was refused as {reason:?}, which is not true of it");
                    found.push(Violation { checker: self.name(), at, host: Some(*host), what });
                }
            }
            other => self.taken.note(other, view),
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}

    fn had_something(&self) -> bool {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use leftoff::limits::POSITION_MS_MAX;
    use leftoff::progress::{EventKind, Place, Places, PlaybackEvent, Position, Progress};
    use leftoff::replica::RefusedReason;
    use leftoff::store::Record;
    use leftoff::sync::frame::FrameType;
    use leftoff::sync::message::{Ack, Records, Says};
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, ids};
    use crate::observation::{HostId, LinkId, Observation};

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
        assert_eq!(refused(&good, "not ready: the clock is wrong"), 1, "it is ready");
        assert_eq!(refused(&good, "append: the table is full"), 1, "it has room");
        let mut hosts = Hosts::nodes(1);
        hosts.cores[&0].set_not_ready("clock", "wrong".into());
        hosts.see(&Observation::Reported { host: HostId(0), event: &good, sent_at: None, outcome: Err("not ready: the clock is wrong") });
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    const LINK: LinkId = LinkId(7);

    /// A host sends a record of the profile to host 0, in a frame of its own.
    fn sends(hosts: &mut Hosts, peer: u32, state: Progress) {
        let (profile, title) = ids("p");
        let mut records = Vec::new();
        Record::Register { profile, title, state }.encode(&mut records);
        let mut body = Vec::new();
        Records::put_head(&mut body, Says::default(), 1);
        body.extend(records);
        let number = FrameType::Records as u8;
        hosts.see(&Observation::FrameArrived { link: LINK, host: HostId(0), peer: HostId(peer), number, body: &body });
    }

    fn is_refused(hosts: &mut Hosts, peer: u32, reason: RefusedReason) {
        let (profile, title) = ids("p");
        let (host, peer) = (HostId(0), HostId(peer));
        hosts.see(&Observation::Refused { link: LINK, host, peer, profile: &profile, title: Some(&title), reason });
    }

    fn ahead(hosts: &Hosts, ms: i64) -> Progress {
        Progress::hiding(Hlc::ZERO, Hlc::from_wall(hosts.now.shifted(ms)))
    }

    fn at(position_ms: u64) -> Progress {
        let place = Place { position: Position::from_millis(position_ms), ..Place::default() };
        Progress { places: Places::single(place), ..Progress::default() }
    }

    #[test]
    fn a_record_is_refused_for_want_of_a_token_only_where_there_is_none() {
        for (tokens, is_found) in [(vec![], false), (vec!["p"], true)] {
            let mut hosts = Hosts::nodes(2);
            hosts.devices.insert(1, tokens);
            sends(&mut hosts, 1, at(1_000));
            is_refused(&mut hosts, 1, RefusedReason::NotEntitled);
            assert_eq!(!hosts.violations().is_empty(), is_found);
        }
    }

    #[test]
    fn a_record_is_refused_as_out_of_bounds_only_if_it_is_and_a_device_sent_it() {
        let cases = [(POSITION_MS_MAX + 1, true, false), (POSITION_MS_MAX, true, true), (POSITION_MS_MAX + 1, false, true)];
        for (position_ms, is_device, is_found) in cases {
            let mut hosts = Hosts::nodes(2);
            if is_device {
                hosts.devices.insert(1, vec!["p"]);
            }
            sends(&mut hosts, 1, at(position_ms));
            is_refused(&mut hosts, 1, RefusedReason::OutOfBounds);
            assert_eq!(!hosts.violations().is_empty(), is_found, "{position_ms}, of a device: {is_device}");
        }
    }

    #[test]
    fn a_record_is_refused_as_ahead_only_if_it_is_by_the_clock_that_the_host_had_when_it_came() {
        // How far the clock is ahead, how far the record is, both by the true time.
        let cases = [
            (0, 60_001, false),
            (0, 59_000, true),
            (-120_000, 0, false),
            (-50_000, 0, true),
            (90_000, 100_000, true),
            (90_000, 151_000, false),
        ];
        for (clock_ms, ahead_ms, is_found) in cases {
            let mut hosts = Hosts::nodes(2);
            hosts.clock_errors_ms.insert(0, clock_ms);
            let state = ahead(&hosts, ahead_ms);
            sends(&mut hosts, 1, state);
            // Set right, or further wrong, before it says so: that changes nothing.
            hosts.clock_errors_ms.insert(0, -clock_ms);
            hosts.wait(1);
            is_refused(&mut hosts, 1, RefusedReason::TooFarAhead);
            assert_eq!(!hosts.violations().is_empty(), is_found, "a clock {clock_ms} ms ahead, a record {ahead_ms} ms");
        }
    }

    /// Host 0 answers for what it took, up to there.
    fn answers(hosts: &mut Hosts, up_to: u64) {
        let mut body = Vec::new();
        Ack { up_to, refused: Vec::new() }.encode(&mut body);
        let number = FrameType::Ack as u8;
        hosts.see(&Observation::FrameArrived { link: LINK, host: HostId(1), peer: HostId(0), number, body: &body });
    }

    #[test]
    fn a_frame_that_a_busy_host_was_handed_again_is_answered_for_once() {
        let mut hosts = Hosts::nodes(2);
        for _ in 0..3 {
            let state = ahead(&hosts, 90_000);
            sends(&mut hosts, 1, state);
            hosts.see(&Observation::PutOff { link: LINK, host: HostId(0) });
        }
        let state = ahead(&hosts, 90_000);
        sends(&mut hosts, 1, state);
        answers(&mut hosts, 1);
        is_refused(&mut hosts, 1, RefusedReason::TooFarAhead);
        assert_eq!(hosts.found(), ["refusals-are-true"]);
    }

    #[test]
    fn what_was_never_sent_or_is_answered_for_cannot_be_refused() {
        let mut hosts = Hosts::nodes(2);
        is_refused(&mut hosts, 1, RefusedReason::TooFarAhead);
        assert_eq!(hosts.found(), ["refusals-are-true"], "it was never sent");

        let mut hosts = Hosts::nodes(2);
        for _ in 0..2 {
            let state = ahead(&hosts, 90_000);
            sends(&mut hosts, 1, state);
        }
        answers(&mut hosts, 1);
        is_refused(&mut hosts, 1, RefusedReason::TooFarAhead);
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
        answers(&mut hosts, 2);
        is_refused(&mut hosts, 1, RefusedReason::TooFarAhead);
        assert_eq!(hosts.found(), ["refusals-are-true"], "both are answered for");
    }
}
