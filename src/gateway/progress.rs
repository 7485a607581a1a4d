//! `Progress` in JSON: a register as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::cursor;
use super::openapi::words;
use crate::progress::{Policy, Progress, ResumePoint};
use crate::store::{Seq, Store};

/// The JSON of one register. All numbers are below 2^53.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(crate) struct ProgressBody {
    profile_id: String,
    title_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    series_id: Option<String>,
    started: bool,
    position_ms: u64,
    version: u64,
    high_ms: u64,
    places: Vec<PlaceBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    completed: bool,
    furthest_ms: u64,
    #[schema(value_type = Option<words::Playback>, required = true)]
    state: Option<&'static str>,
    #[schema(required = true)]
    device_id: Option<String>,
    speed: f32,
    #[schema(required = true)]
    at_ms: Option<u64>,
    hidden: bool,
    cursor: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Place)]
struct PlaceBody {
    version: u64,
    position_ms: u64,
    touched_ms: u64,
}

impl ProgressBody {
    /// A register (none: nothing recorded) as it is read under a policy. `arrived` is the number of its last change at this node.
    pub(crate) fn new(store: &Store, (profile, title): (&str, &str), register: Option<&Progress>, arrived: Seq, policy: Policy) -> Self {
        let point = ResumePoint::read(register, policy);
        Self {
            profile_id: profile.to_owned(),
            title_id: title.to_owned(),
            series_id: register.and_then(|register| register.series.as_ref()).map(|series| series.id.as_str().to_owned()),
            started: point.started,
            position_ms: point.position.as_millis(),
            version: point.version.as_u64(),
            high_ms: point.high.as_millis(),
            places: point
                .places
                .iter()
                .map(|place| PlaceBody {
                    version: place.version.as_u64(),
                    position_ms: place.position.as_millis(),
                    touched_ms: place.touched.wall().as_millis(),
                })
                .collect(),
            duration_ms: point.duration_ms,
            completed: point.completed,
            furthest_ms: point.furthest.as_millis(),
            state: point.state.map(crate::progress::PlaybackState::as_str),
            device_id: point.device.map(|device| device.as_str().to_owned()),
            speed: point.speed.as_f32(),
            at_ms: point.at.map(crate::time::WallTime::as_millis),
            hidden: point.hidden,
            cursor: cursor(store, arrived),
        }
    }

    /// Whether the title is hidden from the row.
    pub(super) const fn is_hidden(&self) -> bool {
        self.hidden
    }
}
