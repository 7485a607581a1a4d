//! A viewer's history told as events: the playhead rules run here, in the importer, over registers of its own that start empty.
//!
//! So the events that a file becomes depend on the file alone, not on what a node already holds: importing it twice, or the rest of it after
//! an interruption, sends the same places again, and joining them again changes nothing.

use std::collections::BTreeMap;

use super::netflix::Session;
use crate::progress::{
    DeviceId, Event, EventKind, PlaybackEvent, Playhead, Policy, Position, ProfileId, Progress, Refusal, ResumePoint, TitleId, Version,
    View,
};
use crate::time::{Hlc, WallTime};

/// The registers and playheads of everyone in the file so far.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    registers: BTreeMap<(ProfileId, TitleId), Progress>,
    playheads: BTreeMap<(ProfileId, TitleId, DeviceId), Playhead>,
}

impl Viewers {
    /// The two events of a session, in the place that each counts in: `PLAY` where it began and `STOP` at its bookmark.
    ///
    /// A session that ended below the resume point, or that belongs to another place than the newest, was started where the viewer chose:
    /// its `PLAY` is a deliberate move. Sessions must come sorted by their end.
    pub(super) fn watch(&mut self, now: WallTime, session: &Session) -> Result<[PlaybackEvent; 2], Refusal> {
        let event = |kind, position: Position, at: WallTime| PlaybackEvent {
            at_ms: Some(at.as_millis()),
            ..PlaybackEvent::new(session.profile.as_str(), session.title.as_str(), session.device.as_str(), kind, position.as_millis())
        };
        let mut play = event(EventKind::Play, session.start(), session.began);
        let mut stop = event(EventKind::Stop, session.bookmark, session.ended());
        play.restart = self.chosen(now, session, &play)?;
        play.version = Some(self.report(now, session, &play)?.as_u64());
        stop.version = Some(self.report(now, session, &stop)?.as_u64());
        // The move has been made here, by the version; the node is only to count the event in its place.
        play.restart = false;
        Ok([play, stop])
    }

    /// Where the history so far says to resume a title.
    pub(super) fn resume_position(&self, profile: &ProfileId, title: &TitleId) -> Position {
        ResumePoint::read(self.register(profile, title), Policy::Continue).position
    }

    fn register(&self, profile: &ProfileId, title: &TitleId) -> Option<&Progress> {
        self.registers.get(&(profile.clone(), title.clone()))
    }

    fn chosen(&self, now: WallTime, session: &Session, play: &PlaybackEvent) -> Result<bool, Refusal> {
        let register = self.register(&session.profile, &session.title);
        if session.bookmark < ResumePoint::read(register, Policy::Continue).position {
            return Ok(true);
        }
        let newest = register.and_then(Progress::newest).map_or(Version::FIRST, |place| place.version);
        let event = Event::check(now, crate::limits::CLOCK_DRIFT_MS_MAX, play)?;
        let own = match self.playheads.get(&(session.profile.clone(), session.title.clone(), session.device.clone())) {
            Some(playhead) => playhead.version(),
            None => Playhead::start(&event, session.began, None, &View::of(register, Hlc::ZERO)).version(),
        };
        Ok(own != newest)
    }

    fn report(&mut self, now: WallTime, session: &Session, raw: &PlaybackEvent) -> Result<Version, Refusal> {
        let event = Event::check(now, crate::limits::CLOCK_DRIFT_MS_MAX, raw)?;
        let at = event.at.unwrap_or(session.began);
        let register = self.registers.entry((session.profile.clone(), session.title.clone())).or_default();
        let view = View::of(Some(register), Hlc::ZERO);
        let playhead = self
            .playheads
            .entry((session.profile.clone(), session.title.clone(), session.device.clone()))
            .or_insert_with(|| Playhead::start(&event, at, None, &view));
        let wanted = playhead.wants_view(&event, at);
        let report = playhead.report(&event, at, None, wanted.then_some(&view));
        if let Some(delta) = report.delta {
            register.join(&delta);
        }
        Ok(report.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);
    const HOUR_MS: u64 = 3_600_000;

    fn session(device: &str, began_h: u64, lasted_ms: u64, bookmark_ms: u64) -> Session {
        Session {
            line: 0,
            profile: ProfileId::new("Ann").unwrap(),
            title: TitleId::new("Film").unwrap(),
            device: DeviceId::new(device).unwrap(),
            began: WallTime::from_millis(1_600_000_000_000 + began_h * HOUR_MS),
            lasted_ms,
            bookmark: Position::from_millis(bookmark_ms),
            latest: None,
        }
    }

    fn resumed(sessions: &[Session]) -> u64 {
        let mut viewers = Viewers::default();
        for session in sessions {
            viewers.watch(NOW, session).unwrap();
        }
        viewers.resume_position(&sessions[0].profile, &sessions[0].title).as_millis()
    }

    #[test]
    fn watching_on_resumes_where_it_stopped() {
        assert_eq!(resumed(&[session("tv", 0, 600_000, 600_000), session("tv", 20, 900_000, 1_500_000)]), 1_500_000);
    }

    #[test]
    fn a_session_that_ends_below_the_resume_point_is_where_the_viewer_chose_to_be() {
        assert_eq!(resumed(&[session("tv", 0, 3_000_000, 3_000_000), session("tv", 20, 60_000, 600_000)]), 600_000);
    }

    #[test]
    fn a_device_that_stayed_in_an_older_place_moves_when_it_is_played_on() {
        let history = [session("tv", 0, 3_000_000, 3_000_000), session("phone", 5, 60_000, 600_000), session("tv", 20, 300_000, 3_300_000)];
        assert_eq!(resumed(&history), 3_300_000);
    }

    #[test]
    fn the_same_history_becomes_the_same_events_with_the_place_of_each() {
        let history = [session("tv", 0, 3_000_000, 3_000_000), session("phone", 5, 60_000, 600_000)];
        let events = || {
            let mut viewers = Viewers::default();
            history.iter().map(|session| viewers.watch(NOW, session).unwrap()).collect::<Vec<_>>()
        };
        let told = events();
        assert_eq!(told, events());
        assert!(told.iter().flatten().all(|event| event.version.is_some() && !event.restart));
        assert_eq!(told[0][0].version, Some(0), "the first place is version 0");
        assert!(told[1][0].version > Some(0) && told[1][0].version == told[1][1].version);
    }
}
