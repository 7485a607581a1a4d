//! `POST /v1/positions`: the record of a show's episode, with nothing but who, what and where.
//!
//! It names no device, so without a `deviceId` all of a viewer's players count as one.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{self, Fault, TextOrNumber};
use super::{Dialect, Unsaid};
use crate::progress::{EventKind, PlaybackEvent};

/// The device of reports that name none.
const NAMELESS: &str = "player";

/// `{userId, showId, episodeId, position}`; the position in seconds or as `"18:42"`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct PositionRecord {
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    user_id: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    show_id: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    episode_id: Value,
    #[serde(default)]
    #[schema(value_type = TextOrNumber, required = true)]
    position: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    timestamp: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    device_id: Value,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    duration: Value,
    #[serde(default)]
    #[schema(value_type = Option<TextOrNumber>)]
    session_id: Value,
}

impl Dialect for PositionRecord {
    fn event(&self, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault> {
        let (show, episode) = (fields::optional_id("showId", &self.show_id)?, fields::optional_id("episodeId", &self.episode_id)?);
        let (title, series) = match (show, episode) {
            (show, Some(episode)) => (episode, show),
            // What has no episodes is a film.
            (Some(show), None) => (show, None),
            (None, None) => (fields::id("episodeId", &Value::Null, None)?, None),
        };
        Ok(PlaybackEvent {
            series_id: series,
            session_id: fields::optional_id("sessionId", &self.session_id)?,
            at_ms: fields::time("timestamp", &self.timestamp)?,
            duration_ms: fields::duration_seconds("duration", &self.duration)?,
            ..PlaybackEvent::new(
                fields::id("userId", &self.user_id, unsaid.profile)?,
                title,
                fields::id("deviceId", &self.device_id, Some(unsaid.device.unwrap_or(NAMELESS)))?,
                EventKind::Heartbeat,
                fields::seconds_or_clock("position", &self.position)?,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(report: Value) -> Result<PlaybackEvent, Fault> {
        serde_json::from_value::<PositionRecord>(report).unwrap().event(&Unsaid::default())
    }

    #[test]
    fn the_record_of_its_document_is_an_event() {
        let expected = PlaybackEvent {
            series_id: Some("789".to_owned()),
            ..PlaybackEvent::new("12345", "12", "player", EventKind::Heartbeat, 1_122_000)
        };
        for position in [json!(1122), json!("18:42")] {
            assert_eq!(event(json!({"userId": 12345, "showId": 789, "episodeId": 12, "position": position})), Ok(expected.clone()));
        }
    }

    #[test]
    fn a_show_without_episodes_is_a_film_and_neither_is_nothing() {
        let film = event(json!({"userId": 1, "showId": "film", "position": 1})).unwrap();
        assert_eq!((film.title_id.as_str(), film.series_id), ("film", None));
        assert_eq!(event(json!({"userId": 1, "position": 1})).unwrap_err().code, "bad_id");
        assert_eq!(event(json!({"userId": 1, "episodeId": 2})).unwrap_err().code, "bad_position");
    }
}
