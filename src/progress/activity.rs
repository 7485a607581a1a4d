//! The last activity: which device did what, and when. Last writer wins, by a total order in which a pause beats a "simultaneous" heartbeat.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{DeviceId, Position, Version};
use crate::time::Hlc;

/// What a player was doing, in the order of its rank: within one window a higher one wins.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum PlaybackState {
    /// Advancing.
    Playing = 0,
    /// Jumped, and not yet reported again.
    Seeking = 1,
    /// Standing still, with the title open.
    Paused = 2,
    /// The title was closed.
    Stopped = 3,
    /// The title was played to its end.
    Ended = 4,
}

impl PlaybackState {
    /// The state's own rank, 0 to 4.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    pub(crate) const fn from_rank(rank: u8) -> Option<Self> {
        Some(match rank {
            0 => Self::Playing,
            1 => Self::Seeking,
            2 => Self::Paused,
            3 => Self::Stopped,
            4 => Self::Ended,
            _ => return None,
        })
    }

    /// The state as a lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Playing => "playing",
            Self::Seeking => "seeking",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }
}

/// Playback rate, above 0 and at most 16; 1 is normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f32);

/// A playback rate that is not finite or not in (0, 16].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a speed of {0} is not above 0 and at most 16")]
pub struct SpeedError(f32);

impl Speed {
    /// Normal speed.
    pub const NORMAL: Self = Self(1.0);

    /// Checks a playback rate.
    pub fn new(rate: f32) -> Result<Self, SpeedError> {
        if rate.is_finite() && rate > 0.0 && rate <= 16.0 { Ok(Self(rate)) } else { Err(SpeedError(rate)) }
    }

    /// The rate as a number.
    pub const fn as_f32(self) -> f32 {
        self.0
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::NORMAL
    }
}

// Never NaN, so equality is reflexive and the bits of positive floats are in numeric order.
impl Eq for Speed {}

/// The last activity in a title.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Activity {
    /// When, which also gives the window.
    pub stamp: Hlc,
    /// The rank it competes with inside its window: its state's, or a higher one that the same playhead had in the same window.
    pub rank: u8,
    /// Which device.
    pub device: DeviceId,
    /// What it was doing.
    pub state: PlaybackState,
    /// The place it was in.
    pub version: Version,
    /// Where it stood.
    pub position: Position,
    /// At which rate.
    pub speed: Speed,
    /// Whether it had stepped back a little and not yet passed its place's position again.
    pub stepped_back: bool,
}

impl Ord for Activity {
    /// Window, rank, stamp, device, position; then everything else, in a fixed order.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |a: &Self| (a.stamp.window(), a.rank, a.stamp);
        let rest = |a: &Self| (a.position, a.state, a.version, a.speed.as_f32().to_bits(), a.stepped_back);
        key(self).cmp(&key(other)).then_with(|| self.device.cmp(&other.device)).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl PartialOrd for Activity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
