//! The register: what one profile has watched of one title, as a mergeable value, and the pure rules that make it from a player's reports.
//!
//! [`PlaybackEvent`] is what a player says; [`Event`] is the same, checked. A [`Playhead`] turns the events of one device in one title into
//! deltas. A delta is a [`Progress`] with little in it, and joining deltas in any order, any number of times, gives the same [`Progress`]
//! everywhere. [`Policy`] and [`Profile`] answer the questions people ask: where do I resume, what was I watching.
//!
//! Nothing here does I/O, reads a clock, draws a random number or awaits.

mod activity;
pub mod codec;
mod event;
mod id;
mod onward;
mod place;
#[cfg(leftoff_planted)]
mod planted;
mod playhead;
mod policy;
mod profile;
mod register;
pub mod row;

#[cfg(test)]
mod laws;

pub use activity::{Activity, PlaybackState, Speed, SpeedError};
pub use codec::DecodeError;
pub use event::{DeviceOffset, Event, EventKind, PlaybackEvent, Refusal, event_time};
pub use id::{AccountId, DeviceId, IdError, PartyId, ProfileId, SeriesId, SessionId, TitleId};
pub(crate) use onward::gone_on;
pub use place::{Place, Places, Position, Version};
pub use playhead::{Playhead, Report, View};
pub use policy::{Policy, ResumePoint};
pub use profile::Profile;
pub use register::{KnownDuration, KnownSeries, Progress};
