//! `POST /api/progress/sync`, and `{"type": "position_update"}` on a socket: the update of a learning platform.
//!
//! Its players send every few seconds while they play, and at once (`immediate`) on pause, seek, close and end. So an immediate update of a
//! player that goes on playing is a seek; close to where the player would be anyway, that is no move.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{self, Fault, TextOrNumber};
use super::{Dialect, Unsaid};
use crate::progress::{EventKind, PlaybackEvent};

/// `{userId, lessonId, position, state, deviceId, timestamp, immediate}`; the position in seconds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct ProgressSync {
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    user_id: Value,
    #[serde(default)]
    #[schema(value_type = TextOrNumber, required = true)]
    lesson_id: Value,
    #[serde(default)]
    #[schema(value_type = f64, required = true)]
    position: Value,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    state: Value,
    #[serde(default)]
    #[schema(value_type = TextOrNumber, required = true)]
    device_id: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    timestamp: Value,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    immediate: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    duration: Value,
    #[serde(default)]
    #[schema(value_type = Option<f32>)]
    playback_speed: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    session_id: Value,
}

impl Dialect for ProgressSync {
    fn event(&self, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault> {
        let immediate = self.immediate.as_bool().unwrap_or(false);
        let kind = match fields::word("state", &self.state)?.as_deref() {
            Some("playing") if immediate => EventKind::Seek,
            None | Some("playing") => EventKind::Heartbeat,
            Some("paused") => EventKind::Pause,
            Some("seeking") => EventKind::Seek,
            Some("stopped") => EventKind::Stop,
            Some("ended") => EventKind::End,
            Some(word) => return Err(fields::unknown_word("state", word, "playing, paused, seeking, stopped, ended")),
        };
        Ok(PlaybackEvent {
            session_id: fields::optional_id("sessionId", &self.session_id)?,
            at_ms: fields::time("timestamp", &self.timestamp)?,
            duration_ms: fields::duration_seconds("duration", &self.duration)?,
            speed: fields::speed("playbackSpeed", &self.playback_speed)?,
            ..PlaybackEvent::new(
                fields::id("userId", &self.user_id, unsaid.profile)?,
                fields::id("lessonId", &self.lesson_id, None)?,
                fields::id("deviceId", &self.device_id, unsaid.device)?,
                kind,
                fields::seconds("position", &self.position)?,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(report: Value) -> Result<PlaybackEvent, Fault> {
        serde_json::from_value::<ProgressSync>(report).unwrap().event(&Unsaid::default())
    }

    #[test]
    fn the_update_of_its_document_is_an_event() {
        let report = |state: &str, immediate: bool| {
            json!({"userId": "7f1c", "lessonId": "intro", "position": 312.48, "state": state, "deviceId": "browser-1",
                   "timestamp": 1_705_820_000_123_u64, "immediate": immediate})
        };
        for (state, immediate, kind) in [
            ("playing", false, EventKind::Heartbeat),
            ("playing", true, EventKind::Seek),
            ("paused", true, EventKind::Pause),
            ("paused", false, EventKind::Pause),
            ("stopped", true, EventKind::Stop),
            ("ended", true, EventKind::End),
        ] {
            let expected =
                PlaybackEvent { at_ms: Some(1_705_820_000_123), ..PlaybackEvent::new("7f1c", "intro", "browser-1", kind, 312_480) };
            assert_eq!(event(report(state, immediate)), Ok(expected));
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let good = json!({"userId": 1, "lessonId": 2, "position": 3, "deviceId": 4});
        assert!(event(good.clone()).is_ok());
        for (field, value, code) in [
            ("userId", json!(null), "bad_id"),
            ("position", json!("3"), "bad_position"),
            ("state", json!("buffering"), "bad_kind"),
            ("timestamp", json!({}), "bad_time"),
            ("duration", json!("x"), "bad_duration"),
            ("playbackSpeed", json!("fast"), "bad_speed"),
        ] {
            let mut report = good.clone();
            report[field] = value;
            let fault = event(report).unwrap_err();
            assert_eq!(fault.code, code);
            assert!(fault.reason.starts_with(field), "{}", fault.reason);
        }
    }
}
