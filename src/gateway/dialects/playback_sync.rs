//! `{"type": "playbackSync"}` on a socket: the position of a viewer of a streamed event.
//!
//! It names neither the viewer nor, mostly, anything but the place: the profile is the one that the socket said hello for.

use serde::Deserialize;
use serde_json::Value;

use super::fields::{self, Fault};
use super::{Dialect, Unsaid};
use crate::progress::{EventKind, PlaybackEvent};

/// `{type, position, eventId, deviceId}`; the position in seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct PlaybackSync {
    #[serde(default)]
    position: Value,
    #[serde(default)]
    event_id: Value,
    #[serde(default)]
    device_id: Value,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    duration: Value,
    #[serde(default)]
    session_id: Value,
}

impl Dialect for PlaybackSync {
    fn event(&self, unsaid: &Unsaid<'_>) -> Result<PlaybackEvent, Fault> {
        Ok(PlaybackEvent {
            session_id: fields::optional_id("sessionId", &self.session_id)?,
            at_ms: fields::time("timestamp", &self.timestamp)?,
            duration_ms: fields::duration_seconds("duration", &self.duration)?,
            ..PlaybackEvent::new(
                fields::id("userId", &self.user_id, unsaid.profile)?,
                fields::id("eventId", &self.event_id, None)?,
                fields::id("deviceId", &self.device_id, unsaid.device)?,
                EventKind::Heartbeat,
                fields::seconds("position", &self.position)?,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_message_of_its_document_is_an_event_of_the_socket_s_profile() {
        let message = json!({"type": "playbackSync", "position": 61.25, "eventId": "premiere", "deviceId": "laptop"});
        let message: PlaybackSync = serde_json::from_value(message).unwrap();
        let event = message.event(&Unsaid { profile: Some("ann"), device: Some("tv") }).unwrap();
        assert_eq!(event, PlaybackEvent::new("ann", "premiere", "laptop", EventKind::Heartbeat, 61_250));
        assert_eq!(message.event(&Unsaid::default()).unwrap_err().code, "bad_id", "whose it is must be known");
    }
}
