//! Reading a register: where to resume, under one of three policies.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Place, PlaybackState, Position, Progress, Speed, Version};
use crate::time::WallTime;

/// How a resume position is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The newest place, to the second: monotonic progress, deliberate moves respected.
    #[default]
    Continue,
    /// The furthest position ever reported.
    Furthest,
    /// Where the last activity stood, whatever it was: last writer wins.
    LastActivity,
}

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
        match word {
            "continue" => Ok(Self::Continue),
            "furthest" => Ok(Self::Furthest),
            "last_activity" => Ok(Self::LastActivity),
            _ => Err(UnknownPolicy),
        }
    }
}

/// A word that names no policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown policy; say continue, furthest or last_activity")]
pub struct UnknownPolicy;

/// A pause that is at most this far below its place is resumed to the second.
const STEPPED_BACK_MS_MAX: u64 = 60_000;

/// Where to resume a title, and what is known about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResumePoint {
    /// Whether anything has been recorded.
    pub started: bool,
    /// Where to resume, under the policy asked for.
    pub position: Position,
    /// The newest place's version.
    pub version: Version,
    /// The newest place's position: what never decreases within a version.
    pub high: Position,
    /// The title's length, in milliseconds, if it is known and not doubted.
    pub duration_ms: Option<u64>,
    /// Whether the newest place is completed.
    pub completed: bool,
    /// The furthest position ever reported.
    pub furthest: Position,
    /// The places, newest first: the way back.
    pub places: Vec<Place>,
    /// The device of the last activity.
    pub device: Option<DeviceId>,
    /// What it was doing.
    pub state: Option<PlaybackState>,
    /// At which rate.
    pub speed: Speed,
    /// When.
    pub at: Option<WallTime>,
    /// Whether the title is removed from the continue-watching row.
    pub hidden: bool,
}

impl ResumePoint {
    /// Reads a register; none means that nothing was recorded: start at 0.
    pub fn read(register: Option<&Progress>, policy: Policy) -> Self {
        let nothing = Progress::default();
        let register = register.unwrap_or(&nothing);
        let (version, high) = register.version_and_high();
        let activity = register.activity.as_ref();
        Self {
            started: !register.places.as_slice().is_empty(),
            position: position(register, policy),
            version,
            high,
            duration_ms: register.trusted_duration_ms(),
            completed: register.completed(),
            furthest: register.furthest,
            places: register.places.as_slice().to_vec(),
            device: activity.map(|activity| activity.device.clone()),
            state: activity.map(|activity| activity.state),
            speed: activity.map_or(Speed::NORMAL, |activity| activity.speed),
            at: activity.map(|activity| activity.stamp.wall()),
            hidden: register.is_hidden(),
        }
    }
}

fn position(register: &Progress, policy: Policy) -> Position {
    let (version, high) = register.version_and_high();
    match (policy, &register.activity) {
        (Policy::Furthest, _) => register.furthest,
        (Policy::LastActivity, Some(activity)) => activity.position,
        (Policy::Continue, Some(activity))
            if activity.version == version
                && activity.stepped_back
                && activity.position <= high
                && high.as_millis() - activity.position.as_millis() <= STEPPED_BACK_MS_MAX =>
        {
            activity.position
        }
        _ => high,
    }
}

impl Progress {
    /// Whether the title is removed from the continue-watching row: hidden at or after its last activity.
    pub fn is_hidden(&self) -> bool {
        self.hidden > crate::time::Hlc::ZERO
            && self.hidden >= self.activity.as_ref().map_or(crate::time::Hlc::ZERO, |activity| activity.stamp)
    }
}
