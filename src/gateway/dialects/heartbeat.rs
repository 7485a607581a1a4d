//! `POST /v1/heartbeats`: the heartbeat of a mobile platform.
//!
//! It says what happened and where; of the moves a viewer makes it knows `SEEK`, and no start.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{self, Fault, TextOrNumber};
use super::{Dialect, Unsaid};
use crate::progress::{EventKind, PlaybackEvent};

/// `{profile_id, movie_id, video_timestamp_ms, client_request_time, device_id, event_type}`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::gateway) struct Heartbeat {
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    profile_id: Value,
    #[serde(default)]
    #[schema(value_type = TextOrNumber, required = true)]
    movie_id: Value,
    #[serde(default)]
    #[schema(value_type = f64, required = true)]
    video_timestamp_ms: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    client_request_time: Value,
    #[serde(default)]
    #[schema(value_type = TextOrNumber, required = true)]
    device_id: Value,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    event_type: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    duration_ms: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    session_id: Value,
}

impl Dialect for Heartbeat {
    fn event(&self, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault> {
        let kind = match fields::word("event_type", &self.event_type)?.as_deref() {
            None | Some("heartbeat") => EventKind::Heartbeat,
            Some("pause") => EventKind::Pause,
            Some("stop") => EventKind::Stop,
            Some("seek") => EventKind::Seek,
            Some("play") => EventKind::Play,
            Some("end") => EventKind::End,
            Some(word) => return Err(fields::unknown_word("event_type", word, "HEARTBEAT, PAUSE, STOP, SEEK, PLAY, END")),
        };
        let duration = if self.duration_ms.is_null() { Ok(None) } else { fields::millis("duration_ms", &self.duration_ms).map(Some) };
        Ok(PlaybackEvent {
            at_ms: fields::time("client_request_time", &self.client_request_time)?,
            session_id: fields::optional_id("session_id", &self.session_id)?,
            duration_ms: duration.map_err(|error| Fault { code: "bad_duration", ..error })?,
            ..PlaybackEvent::new(
                fields::id("profile_id", &self.profile_id, unsaid.profile)?,
                fields::id("movie_id", &self.movie_id, None)?,
                fields::id("device_id", &self.device_id, unsaid.device)?,
                kind,
                fields::millis("video_timestamp_ms", &self.video_timestamp_ms)?,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(report: Value) -> Result<PlaybackEvent, Fault> {
        serde_json::from_value::<Heartbeat>(report).unwrap().event(&Unsaid::default())
    }

    #[test]
    fn the_example_of_its_document_is_an_event() {
        let report = json!({"profile_id": "u123", "movie_id": "m456", "video_timestamp_ms": 540_500, "client_request_time": 1_705_820_000,
                            "device_id": "phone_01", "event_type": "HEARTBEAT"});
        let expected = PlaybackEvent {
            at_ms: Some(1_705_820_000_000),
            ..PlaybackEvent::new("u123", "m456", "phone_01", EventKind::Heartbeat, 540_500)
        };
        assert_eq!(event(report), Ok(expected));
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let good = json!({"profile_id": "u", "movie_id": "m", "video_timestamp_ms": 1, "device_id": "d"});
        assert!(event(good.clone()).is_ok(), "a heartbeat of now, if it says neither what nor when");
        for (field, value, code) in [
            ("profile_id", json!(null), "bad_id"),
            ("movie_id", json!([]), "bad_id"),
            ("video_timestamp_ms", json!("1"), "bad_position"),
            ("video_timestamp_ms", json!(-1), "bad_position"),
            ("client_request_time", json!("now"), "bad_time"),
            ("event_type", json!("BUFFER"), "bad_kind"),
            ("duration_ms", json!("long"), "bad_duration"),
        ] {
            let mut report = good.clone();
            report[field] = value;
            let fault = event(report).unwrap_err();
            assert_eq!(fault.code, code);
            assert!(fault.reason.starts_with(field), "{}", fault.reason);
        }
    }
}
