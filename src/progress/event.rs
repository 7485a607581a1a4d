//! Events: what players report, checked one by one, and placed in time.

use serde::{Deserialize, Serialize};

use super::{DeviceId, IdError, PlaybackState, Position, ProfileId, SeriesId, SessionId, Speed, TitleId, Version};
use crate::limits::{POSITION_MS_MAX, POSITION_OVER_DURATION_MS_MAX, STAMP_MAX};
use crate::time::{Hlc, HybridClock, WallTime};

/// What happened in a player.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
pub enum EventKind {
    /// Playback began or went on.
    Play = 0,
    /// Playback goes on; sent every ten seconds or so.
    Heartbeat = 1,
    /// Playback was paused.
    Pause = 2,
    /// The viewer jumped.
    Seek = 3,
    /// The title was closed.
    Stop = 4,
    /// The title was played to its end.
    End = 5,
}

impl EventKind {
    /// The player's state after the event.
    pub const fn state_after(self) -> PlaybackState {
        match self {
            Self::Play | Self::Heartbeat => PlaybackState::Playing,
            Self::Pause => PlaybackState::Paused,
            Self::Seek => PlaybackState::Seeking,
            Self::Stop => PlaybackState::Stopped,
            Self::End => PlaybackState::Ended,
        }
    }
}

/// One report of a player, as it arrives: unchecked. The same fields in JSON over HTTP and WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PlaybackEvent {
    /// Whose progress. Left out, it is empty, and so refused with its own event and not with the whole batch; like the next two.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(required = true))]
    pub profile_id: String,
    /// In which title.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(required = true))]
    pub title_id: String,
    /// On which device.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(required = true))]
    pub device_id: String,
    /// The show, if the title is an episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_id: Option<String>,
    /// The run of the player; for presence and limits, not stored in the register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What happened.
    pub kind: EventKind,
    /// Where the playhead is after the event, in milliseconds.
    pub position_ms: u64,
    /// For `PLAY`: the viewer chose "start from the beginning".
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
    /// Length of the title, in milliseconds, if the player knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Playback rate; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// When it happened, Unix milliseconds, by the device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// The place the playhead is in after the event, from clients that run the playhead rules themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// With `version`: the playhead stepped back a little and has not yet passed its place's position again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_back: Option<bool>,
}

impl PlaybackEvent {
    /// A report with nothing optional in it.
    pub fn new(
        profile_id: impl Into<String>,
        title_id: impl Into<String>,
        device_id: impl Into<String>,
        kind: EventKind,
        position_ms: u64,
    ) -> Self {
        Self {
            profile_id: profile_id.into(),
            title_id: title_id.into(),
            device_id: device_id.into(),
            series_id: None,
            session_id: None,
            kind,
            position_ms,
            restart: false,
            duration_ms: None,
            speed: None,
            at_ms: None,
            version: None,
            stepped_back: None,
        }
    }
}

/// Why an event was refused. Nothing of it was stored; the rest of its batch was not touched by it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A missing or malformed id.
    #[error("{field}: {source}")]
    Id {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// The position lies too far beyond the event's own duration: probably another cut, which is another title.
    #[error(
        "position_ms {position_ms} is more than {POSITION_OVER_DURATION_MS_MAX} ms beyond the event's own duration_ms {duration_ms}; another cut is another title_id"
    )]
    PositionBeyondDuration {
        /// The position.
        position_ms: u64,
        /// The duration in the same event.
        duration_ms: u64,
    },
    /// The position is no position.
    #[error("position_ms {position_ms} is above {POSITION_MS_MAX}")]
    PositionTooLarge {
        /// The position.
        position_ms: u64,
    },
    /// The duration is no duration.
    #[error("duration_ms {duration_ms} is above {POSITION_MS_MAX}")]
    DurationTooLarge {
        /// The duration.
        duration_ms: u64,
    },
    /// The rate is not finite or not in (0, 16].
    #[error("speed must be above 0 and at most 16")]
    Speed,
    /// The version lies too far in this node's future.
    #[error(
        "version {version} is {ahead_ms} ms ahead of this node's clock, at most {bound_ms} ms are accepted; take the time from server_time_ms"
    )]
    VersionAhead {
        /// The version.
        version: u64,
        /// How far ahead, in milliseconds.
        ahead_ms: u64,
        /// The bound.
        bound_ms: u64,
    },
    /// The profile is full.
    #[error("the profile holds {count} titles, at most {bound} are kept")]
    TooManyTitles {
        /// Titles in the profile.
        count: usize,
        /// The bound.
        bound: usize,
    },
}

impl Refusal {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Id { .. } => "bad_id",
            Self::PositionBeyondDuration { .. } => "position_beyond_duration",
            Self::PositionTooLarge { .. } => "position_too_large",
            Self::DurationTooLarge { .. } => "duration_too_large",
            Self::Speed => "bad_speed",
            Self::VersionAhead { .. } => "version_ahead",
            Self::TooManyTitles { .. } => "too_many_titles",
        }
    }
}

/// A report that passed its checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose progress.
    pub profile: ProfileId,
    /// In which title.
    pub title: TitleId,
    /// On which device.
    pub device: DeviceId,
    /// The show.
    pub series: Option<SeriesId>,
    /// The run of the player.
    pub session: Option<SessionId>,
    /// What happened.
    pub kind: EventKind,
    /// Where the playhead is after it; clamped to the event's own duration.
    pub position: Position,
    /// For `PLAY`: start from the beginning.
    pub restart: bool,
    /// Length of the title, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Playback rate.
    pub speed: Speed,
    /// When, by the device's clock.
    pub at: Option<WallTime>,
    /// The place it belongs to, and whether the playhead had stepped back, from clients that run the playhead rules themselves.
    pub placed: Option<(Version, bool)>,
}

impl Event {
    /// Checks a report. `now` is the node's clock, `drift_ms_max` how far ahead of it a version may be.
    pub fn check(now: WallTime, drift_ms_max: u64, raw: &PlaybackEvent) -> Result<Self, Refusal> {
        let id = |field| move |source| Refusal::Id { field, source };
        // A length of zero is what players say before they know it.
        let duration_ms = raw.duration_ms.filter(|ms| *ms > 0);
        let position_ms = match duration_ms {
            Some(duration_ms) if duration_ms > POSITION_MS_MAX => return Err(Refusal::DurationTooLarge { duration_ms }),
            _ if raw.position_ms > POSITION_MS_MAX => return Err(Refusal::PositionTooLarge { position_ms: raw.position_ms }),
            Some(duration_ms) if raw.position_ms > duration_ms + POSITION_OVER_DURATION_MS_MAX => {
                return Err(Refusal::PositionBeyondDuration { position_ms: raw.position_ms, duration_ms });
            }
            Some(duration_ms) => raw.position_ms.min(duration_ms),
            None => raw.position_ms,
        };
        let speed = raw.speed.map_or(Ok(Speed::NORMAL), Speed::new).map_err(|_| Refusal::Speed)?;
        if let Some(version) = raw.version {
            let ahead = |ahead_ms| Refusal::VersionAhead { version, ahead_ms, bound_ms: drift_ms_max };
            if version > STAMP_MAX {
                return Err(ahead(u64::MAX));
            }
            HybridClock::check(Hlc::from_u64(version), now, drift_ms_max)
                .map_err(|crate::time::ClockError::TooFarAhead { ahead_ms, .. }| ahead(ahead_ms))?;
        }
        Ok(Self {
            profile: ProfileId::new(&raw.profile_id).map_err(id("profile_id"))?,
            title: TitleId::new(&raw.title_id).map_err(id("title_id"))?,
            device: DeviceId::new(&raw.device_id).map_err(id("device_id"))?,
            series: raw.series_id.as_deref().map(SeriesId::new).transpose().map_err(id("series_id"))?,
            session: raw.session_id.as_deref().map(SessionId::new).transpose().map_err(id("session_id"))?,
            kind: raw.kind,
            position: Position::from_millis(position_ms),
            restart: raw.restart,
            duration_ms,
            speed,
            at: raw.at_ms.map(WallTime::from_millis),
            placed: raw.version.map(|version| (Version::from_u64(version), raw.stepped_back.unwrap_or(false))),
        })
    }
}

/// What one device has shown of the difference between its clock and the node's, from live batches within the last hour.
///
/// A device's clock is never trusted by itself: the smallest `now - at_ms` is the one of its most recent report, whose delay was smallest.
/// Five quarter-hour buckets stand for the hour, so a reading counts for between an hour and an hour and a quarter after it was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceOffset {
    bucket: u64,
    // The smallest reading of each bucket, the present one first.
    readings_ms: [i64; OFFSET_BUCKETS],
}

const OFFSET_BUCKETS: usize = 5;
const OFFSET_BUCKET_MS: u64 = 15 * 60 * 1_000;
const NO_READING: i64 = i64::MAX;

impl Default for DeviceOffset {
    fn default() -> Self {
        Self { bucket: 0, readings_ms: [NO_READING; OFFSET_BUCKETS] }
    }
}

impl DeviceOffset {
    /// Takes note of one event's own time.
    pub fn observe(&mut self, now: WallTime, at: WallTime) {
        self.turn(now);
        self.readings_ms[0] = self.readings_ms[0].min(now.millis_since(at));
    }

    /// What to add to the device's time, in milliseconds, if it has shown any within the hour.
    pub fn offset_ms(&mut self, now: WallTime) -> Option<i64> {
        self.turn(now);
        self.readings_ms.into_iter().min().filter(|offset_ms| *offset_ms != NO_READING)
    }

    fn turn(&mut self, now: WallTime) {
        let bucket = now.as_millis() / OFFSET_BUCKET_MS;
        match usize::try_from(bucket.wrapping_sub(self.bucket)) {
            Ok(0) => return,
            Ok(turns @ 1..OFFSET_BUCKETS) => {
                self.readings_ms.rotate_right(turns);
                self.readings_ms[..turns].fill(NO_READING);
            }
            // Long ago, or by a clock that has gone back: nothing to go by.
            _ => self.readings_ms = [NO_READING; OFFSET_BUCKETS],
        }
        self.bucket = bucket;
    }
}

/// The time of an event: `min(now, at + offset)`; without a time of its own, now.
pub fn event_time(now: WallTime, at: Option<WallTime>, offset_ms: i64) -> WallTime {
    at.map_or(now, |at| at.shifted(offset_ms).min(now))
}
