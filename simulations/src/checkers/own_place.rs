//! A report counts in its playhead's own place: a heartbeat never slips into a place that another device opened.
//!
//! After section 4 of the semantics: between a device's deliberate moves its reports at one node count where its last one counted, or open a
//! place that was not there before (a take-over, the first step of a rewatch). What came late is not judged here.

use std::collections::BTreeSet;

use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, ProfileId, TitleId, Version};
use leftoff::store::Record;
use leftoff::time::WallTime;

use super::book::Book;
use super::ledger::{ProfileNo, RegisterNo};
use super::mix::Map;
use super::{Checker, Kinds, Violation, clocks};
use crate::observation::{HostId, Observation, View, VirtualTime};

#[derive(Clone, Copy, Debug)]
struct Head {
    /// None: a move that came late has taken it elsewhere, or not.
    version: Option<u64>,
    at_ms: Option<u64>,
    /// When it was, as the host dates it: by its own clock, which may be set back, and makes late what it dates until it is there again.
    dated_ms: u64,
}

type Key = (HostId, RegisterNo, DeviceId);

/// A device's clock that agrees with the host's this well is taken as right: `docs/semantics.md`.
const OFFSET_IGNORED_MS: i64 = 2_000;

/// When and where a report was taken.
#[derive(Clone, Copy)]
struct Moment<'a> {
    at: VirtualTime,
    host: HostId,
    view: &'a dyn View,
    /// When its device says that it was sent.
    sent_at: Option<WallTime>,
}

impl Moment<'_> {
    /// When a report was, as the host dates it: section 2 of the semantics. Without a time of its own, or a time that its device sent it, it is now.
    fn dated_ms(&self, event: &PlaybackEvent) -> u64 {
        let taken = clocks::reading(self.view, self.host);
        let (Some(at_ms), Some(sent_at)) = (event.at_ms, self.sent_at) else { return taken.as_millis() };
        let offset_ms = taken.millis_since(sent_at);
        let offset_ms = if offset_ms.abs() <= OFFSET_IGNORED_MS { 0 } else { offset_ms };
        at_ms.saturating_add_signed(offset_ms).min(taken.as_millis())
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct OwnPlace {
    book: Book,
    heads: Map<Key, Head>,
    /// Where a profile was ever erased: reports of before that are accepted and are nothing.
    erased: BTreeSet<(HostId, ProfileNo)>,
}

impl OwnPlace {
    /// Looks things up in this ledger.
    pub fn new(book: Book) -> Self {
        Self { book, heads: Map::default(), erased: BTreeSet::new() }
    }

    fn key(&self, host: HostId, event: &PlaybackEvent) -> Option<Key> {
        if !self.book.read().looks_at(&event.profile_id) {
            return None;
        }
        let profile = ProfileId::new(&event.profile_id).ok()?;
        let register = self.book.register_no(&profile, &TitleId::new(&event.title_id).ok()?)?;
        Some((host, register, DeviceId::new(&event.device_id).ok()?))
    }

    fn reported(&mut self, moment: Moment<'_>, event: &PlaybackEvent, version: Version, found: &mut Vec<Violation>) {
        let Moment { at, host, .. } = moment;
        let Some(key) = self.key(host, event) else { return };
        if version == Version::FIRST && self.erased.contains(&(host, self.book.read().profile_of(key.1))) {
            self.heads.remove(&key);
            return;
        }
        let now = Head { version: Some(version.as_u64()), at_ms: event.at_ms, dated_ms: moment.dated_ms(event) };
        let version = version.as_u64();
        if let Some(named) = event.version
            && named != version
        {
            let what = format!("{}: a report of place {named} counted in {version}", self.book.read().name(key.1));
            found.push(Violation { checker: self.name(), at, host: Some(host), what });
        }
        let before = self.heads.get(&key).copied();
        let is_late = before.is_some_and(|before| match (before.at_ms, now.at_ms) {
            // Of one moment are the end of a title and the `PLAY` that begins it again.
            (Some(before), Some(now)) => now < before,
            (None, None) => false,
            // One with a time of its own beside one without: their order is not told by what is seen here.
            _ => true,
        });
        let is_late = is_late || before.is_some_and(|before| now.dated_ms < before.dated_ms);
        let moves = matches!(event.kind, EventKind::Play | EventKind::Seek) || event.version.is_some();
        if is_late {
            // A move that comes late, after the last one, takes the playhead along; a retry of an earlier one does not.
            if let Some(head) = self.heads.get_mut(&key).filter(|head| moves && head.version.is_some_and(|before| version > before)) {
                head.version = None;
            }
            return;
        }
        self.heads.insert(key.clone(), now);
        let Some(before) = before.and_then(|before| before.version).filter(|before| !moves && *before != version) else { return };
        let ledger = self.book.read();
        let was_there = ledger.held(host, key.1, 0).is_some_and(|held| held.places.iter().any(|place| place.version == version));
        if was_there || version < before {
            let what = format!(
                "{}: a {:?} of {} at {} ms, whose playhead was in place {before}, counted in {version}, which was there before",
                ledger.name(key.1),
                event.kind,
                event.device_id,
                event.position_ms,
            );
            found.push(Violation { checker: self.name(), at, host: Some(host), what });
        }
    }

    fn forget(&mut self, gone: impl Fn(&Key) -> bool) {
        self.heads.retain(|key, _| !gone(key));
    }

    fn erase(&mut self, host: HostId, profile: &ProfileId) {
        let Some(profile) = self.book.profile_no(profile) else { return };
        self.erased.insert((host, profile));
        self.forget_profile(host, Some(profile));
    }

    fn forget_profile(&mut self, host: HostId, profile: Option<ProfileNo>) {
        let book = self.book.clone();
        let ledger = book.read();
        self.forget(|key| key.0 == host && Some(ledger.profile_of(key.1)) == profile);
    }
}

impl Checker for OwnPlace {
    fn name(&self) -> &'static str {
        "own-place"
    }

    fn about(&self) -> &'static str {
        "between deliberate moves a device's reports count in its own place, never in one that another device opened"
    }

    fn wants(&self) -> Kinds {
        Kinds::REPORTED.and(Kinds::ERASED).and(Kinds::APPLIED).and(Kinds::RESTAMPED).and(Kinds::LIVES)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Reported { host, event, sent_at, outcome: Ok(version) } => {
                self.reported(Moment { at, host: *host, view, sent_at: *sent_at }, event, *version, found);
            }
            // Playheads are remembered in memory only, and forgotten with their profile.
            Observation::Started { host, .. } | Observation::Restamped { host, .. } => self.forget(|key| key.0 == *host),
            Observation::Erased { host, profile } => self.erase(*host, profile),
            Observation::Applied { host, record: Record::Erased { profile, .. }, .. } => self.erase(*host, profile),
            _ => {}
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, PlaybackEvent, Version};
    use leftoff::time::WallTime;

    use crate::checkers::testing::Hosts;
    use crate::observation::{HostId, Observation};

    fn two_places() -> (Hosts, Version) {
        let mut hosts = Hosts::nodes(1);
        hosts.watch(0, "p", EventKind::Play, 3_000);
        hosts.watch(0, "p", EventKind::Heartbeat, 3_010);
        hosts.wait(1);
        let phone = PlaybackEvent::new("p", "film", "phone", EventKind::Play, 3_010_000);
        hosts.report(0, &phone);
        let back = PlaybackEvent { kind: EventKind::Seek, position_ms: 0, ..phone };
        hosts.report(0, &back);
        hosts.flush(0);
        let (profile, title) = crate::checkers::testing::ids("p");
        let newest = hosts.cores[&0].store().register(&profile, &title).unwrap().unwrap().progress.version_and_high().0;
        (hosts, newest)
    }

    #[test]
    fn a_heartbeat_in_its_own_older_place_is_well() {
        let (mut hosts, _) = two_places();
        hosts.watch(0, "p", EventKind::Heartbeat, 3_020);
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn a_heartbeat_that_slips_into_the_newest_place_is_found() {
        let (mut hosts, newest) = two_places();
        let event = PlaybackEvent::new("p", "film", "tv", EventKind::Heartbeat, 3_020_000);
        hosts.see(&Observation::Reported { host: HostId(0), event: &event, sent_at: None, outcome: Ok(newest) });
        assert_eq!(hosts.found(), ["own-place"]);
    }

    #[test]
    fn a_retry_of_what_was_before_a_move_says_nothing_of_where_the_playhead_is() {
        let mut hosts = Hosts::nodes(1);
        let at =
            |kind, position_ms, at_ms| PlaybackEvent { at_ms: Some(at_ms), ..PlaybackEvent::new("p", "film", "tv", kind, position_ms) };
        let now_ms = |hosts: &Hosts| hosts.now.as_millis();
        let play = at(EventKind::Play, 3_000_000, now_ms(&hosts));
        hosts.report(0, &play);
        hosts.wait(10);
        let back = at(EventKind::Seek, 0, now_ms(&hosts));
        hosts.report(0, &back);
        hosts.flush(0);
        hosts.report(0, &play);
        hosts.wait(10);
        let on = at(EventKind::Heartbeat, 10_000, now_ms(&hosts));
        hosts.report(0, &on);
        hosts.flush(0);
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn what_is_played_again_in_the_moment_of_its_end_goes_on_in_the_new_place() {
        let mut hosts = Hosts::nodes(1);
        let event =
            |kind, position_ms, at_ms| PlaybackEvent { at_ms: Some(at_ms), ..PlaybackEvent::new("p", "film", "tv", kind, position_ms) };
        let begun_ms = hosts.now.as_millis();
        let reported = |hosts: &mut Hosts, event: &PlaybackEvent, version| {
            hosts.see(&Observation::Reported { host: HostId(0), event, sent_at: None, outcome: Ok(Version::from_u64(version)) });
        };
        let end = event(EventKind::End, 3_000_000, begun_ms);
        reported(&mut hosts, &end, 9);
        reported(&mut hosts, &event(EventKind::Play, 0, begun_ms), 0);
        reported(&mut hosts, &event(EventKind::Heartbeat, 10_000, begun_ms + 10_000), 0);
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
        // A move of before that comes late may have opened a place that the playhead is in now; a retry does not tell where it is.
        reported(&mut hosts, &event(EventKind::Seek, 600_000, begun_ms + 5_000), 17);
        reported(&mut hosts, &end, 9);
        reported(&mut hosts, &event(EventKind::Heartbeat, 610_000, begun_ms + 20_000), 17);
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
        reported(&mut hosts, &event(EventKind::Heartbeat, 620_000, begun_ms + 30_000), 0);
        assert_eq!(hosts.found(), ["own-place"]);
    }

    /// A title was played again by a clock that was ahead, which was then put right: what is from before that move, by the right clock, counts where the
    /// playhead was before, also when it is sent once more after the move is due.
    #[test]
    fn what_is_dated_before_the_last_move_of_a_clock_that_was_ahead_is_late() {
        for (retried_after_s, is_found) in [(-1, false), (1, true)] {
            let mut hosts = Hosts::nodes(1);
            let begun = hosts.now;
            let reported = |hosts: &mut Hosts, seconds: i64, kind, version| {
                let at_ms = Some(begun.shifted(seconds * 1_000).as_millis());
                let event = PlaybackEvent { at_ms, ..PlaybackEvent::new("p", "film", "tv", kind, seconds.unsigned_abs() * 1_000) };
                let (sent_at, outcome) = (Some(hosts.now), Ok(Version::from_u64(version)));
                hosts.see(&Observation::Reported { host: HostId(0), event: &event, sent_at, outcome });
            };
            hosts.clock_errors_ms.insert(0, 28_000);
            reported(&mut hosts, 0, EventKind::Play, 17);
            hosts.clock_errors_ms.clear();
            hosts.wait(10);
            reported(&mut hosts, 10, EventKind::Heartbeat, 0);
            hosts.wait(28);
            reported(&mut hosts, 28 + retried_after_s, EventKind::Heartbeat, 0);
            assert_eq!(!hosts.violations().is_empty(), is_found, "{:?}", hosts.violations());
        }
    }

    #[test]
    fn a_restart_forgets_the_playheads_and_a_move_opens_a_place() {
        let (mut hosts, newest) = two_places();
        let replica = hosts.cores[&0].store().id();
        let seek = PlaybackEvent::new("p", "film", "tv", EventKind::Seek, 3_000);
        hosts.see(&Observation::Reported {
            host: HostId(0),
            event: &seek,
            sent_at: None,
            outcome: Ok(Version::from_u64(newest.as_u64() + 9)),
        });
        hosts.see(&Observation::Started { host: HostId(0), replica, damage: "" });
        let event = PlaybackEvent::new("p", "film", "tv", EventKind::Heartbeat, 4_000);
        hosts.see(&Observation::Reported { host: HostId(0), event: &event, sent_at: None, outcome: Ok(newest) });
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn what_is_repeated_to_a_clock_that_stands_still_is_late() {
        let run = |then: Version| {
            let (mut hosts, newest) = two_places();
            let at = |kind, ms| PlaybackEvent { at_ms: Some(ms), ..PlaybackEvent::new("p", "film", "pad", kind, 0) };
            let (first, seek, on) = (at(EventKind::Seek, 40_000), at(EventKind::Seek, 50_000), at(EventKind::Heartbeat, 60_000));
            for (event, sent_ms, counted) in
                [(&first, 40_000, newest), (&seek, 50_000, newest), (&seek, 52_000, Version::FIRST), (&on, 60_000, then)]
            {
                let sent_at = Some(WallTime::from_millis(sent_ms));
                hosts.see(&Observation::Reported { host: HostId(0), event, sent_at, outcome: Ok(counted) });
            }
            hosts.found()
        };
        assert!(run(two_places().1).is_empty(), "the heartbeat counts where the move had led");
        assert_eq!(run(Version::FIRST), ["own-place"], "and not where its repetition did");
    }
}
