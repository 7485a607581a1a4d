//! Dialects: the payloads that existing players send, taken as they are.
//!
//! A dialect is one file: its fields, and a pure function from a report in them to a [`PlaybackEvent`]. What is recorded, answered and refused
//! is the same as for `POST /v1/events`. Most of these players say only where they are, again and again; `jumps` tells when such a player has
//! been sent back, which it does not say itself.

mod fields;
mod heartbeat;
mod jumps;
mod playback_sync;
mod position;
mod progress_sync;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use self::fields::Fault;
pub(super) use self::heartbeat::Heartbeat;
pub(super) use self::jumps::{Judged, Jumps};
use self::playback_sync::PlaybackSync;
pub(super) use self::position::PositionRecord;
pub(super) use self::progress_sync::ProgressSync;
use super::batch::{Batch, RefusedEvent};
use super::body;
use super::problem::Problem;
use crate::progress::PlaybackEvent;

/// What a report leaves unsaid and its surroundings know: the only profile of the token, what a socket's `hello` said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsaid<'a> {
    /// Whose progress.
    pub(super) profile: Option<&'a str>,
    /// On which device.
    pub(super) device: Option<&'a str>,
}

/// A payload that some players send.
pub(super) trait Dialect: DeserializeOwned {
    /// The report as an event. Bounds are checked where events are recorded; here only what the event cannot express.
    fn event(&self, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault>;
}

/// Decodes a body of one report or an array of them.
pub(super) fn batch<D: Dialect>(body: &[u8], unsaid: &Unsaid<'_>) -> Result<Batch, Problem> {
    let malformed = |error: serde_json::Error| Problem::Malformed { reason: error.to_string() };
    let text = body::text(body)?;
    let many = text.trim_start().starts_with('[');
    let parts: Vec<&RawValue> =
        if many { serde_json::from_str(&text).map_err(malformed)? } else { vec![serde_json::from_str(&text).map_err(malformed)?] };
    body::check_count(parts.len())?;
    let mut batch = Batch { guess_moves: true, ..Batch::default() };
    for (index, part) in (0..).zip(parts) {
        match report::<D>(part.get(), unsaid) {
            Ok(event) => batch.push(index, event),
            // A request of one report that is none has nothing to answer for in parts.
            Err(fault) if !many && fault.code == fields::MALFORMED => return Err(Problem::Malformed { reason: fault.reason }),
            Err(Fault { code, reason }) => batch.refused.push(RefusedEvent { index, code, reason }),
        }
    }
    Ok(batch)
}

fn report<D: Dialect>(json: &str, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault> {
    let report: D = serde_json::from_str(json).map_err(|error| Fault { code: fields::MALFORMED, reason: error.to_string() })?;
    report.event(unsaid)
}

/// The dialect of a message on a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SocketDialect {
    ProgressSync,
    PlaybackSync,
}

impl SocketDialect {
    /// The dialect that has messages of this type, if one has.
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "position_update" => Some(Self::ProgressSync),
            "playbackSync" => Some(Self::PlaybackSync),
            _ => None,
        }
    }

    /// The report in a message, as a batch of one.
    pub(super) fn batch(self, json: &str, unsaid: &Unsaid<'_>) -> Result<Batch, Problem> {
        match self {
            Self::ProgressSync => batch::<ProgressSync>(json.as_bytes(), unsaid),
            Self::PlaybackSync => batch::<PlaybackSync>(json.as_bytes(), unsaid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"profile_id":"u","movie_id":"m","device_id":"d","video_timestamp_ms":1}"#;

    #[test]
    fn one_report_or_many_and_a_bad_one_is_refused_by_itself() {
        let one = batch::<Heartbeat>(GOOD.as_bytes(), &Unsaid::default()).unwrap();
        assert_eq!((one.events.len(), one.refused.len()), (1, 0));
        let many = format!(r#" [{GOOD}, {{"movie_id": {{}}}}, 7, {GOOD}]"#);
        let many = batch::<Heartbeat>(many.as_bytes(), &Unsaid::default()).unwrap();
        assert_eq!(many.indices, [Some(0), Some(3)]);
        assert_eq!(many.refused.iter().map(|refused| (refused.index, refused.code)).collect::<Vec<_>>(), [(1, "bad_id"), (2, "malformed")]);
        for bad in ["", "7", "null", "{", "[", "\"x\"", "[{}] x"] {
            assert!(matches!(batch::<Heartbeat>(bad.as_bytes(), &Unsaid::default()), Err(Problem::Malformed { .. })), "{bad}");
        }
        assert!(batch::<Heartbeat>(b"[]", &Unsaid::default()).unwrap().events.is_empty());
        let too_many = format!("[{}]", vec![GOOD; 1_001].join(","));
        assert!(matches!(batch::<Heartbeat>(too_many.as_bytes(), &Unsaid::default()), Err(Problem::TooManyEvents { count: 1_001 })));
    }

    #[test]
    fn a_socket_takes_the_messages_of_two_dialects_and_no_others() {
        let unsaid = Unsaid { profile: Some("ann"), device: Some("tv") };
        let message = r#"{"type":"playbackSync","position":61.5,"eventId":"show"}"#;
        let batch = SocketDialect::of("playbackSync").unwrap().batch(message, &unsaid).unwrap();
        let event = &batch.events[0];
        assert_eq!((event.profile_id.as_str(), event.title_id.as_str(), event.device_id.as_str()), ("ann", "show", "tv"));
        assert_eq!((event.position_ms, batch.guess_moves), (61_500, true));
        let empty = SocketDialect::of("position_update").unwrap().batch("{}", &unsaid).unwrap();
        assert_eq!((empty.events.len(), empty.refused[0].code), (0, "bad_id"));
        assert_eq!(SocketDialect::of("chat"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_dialect_panic(text in "\\PC{0,60}|[\\[\\]{}\":,a-z0-9.-]{0,80}", position in "\\PC{0,12}|[0-9:.e-]{0,12}", time in -1e30_f64..1e30) {
            let unsaid = Unsaid::default();
            let reports = [
                text.clone(),
                format!(r#"{{"userId":{text:?},"episodeId":1,"position":{position:?},"timestamp":{time}}}"#),
                format!(r#"{{"userId":1,"lessonId":2,"deviceId":3,"position":{time},"timestamp":{position:?}}}"#),
            ];
            for json in reports {
                let _ = batch::<Heartbeat>(json.as_bytes(), &unsaid);
                let _ = batch::<ProgressSync>(json.as_bytes(), &unsaid);
                let _ = batch::<PositionRecord>(json.as_bytes(), &unsaid);
                let _ = batch::<PlaybackSync>(json.as_bytes(), &unsaid);
            }
        }
    }
}
