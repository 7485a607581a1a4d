//! Why a link ends, and what the other side is told.

use crate::replica::ApplyError;
use crate::store::{AppendError, ReadError};
use crate::sync::frame::FrameError;
use crate::sync::message::{Bye, ByeCode};
use crate::sync::reconcile::SessionError;

/// Why a link ended. Nothing else is affected: neither the store nor other links.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The peer's bytes are not frames.
    #[error("the peer sent bytes that are no frame: {0}")]
    Frame(#[from] FrameError),
    /// The peer's frame is not the message that it should be.
    #[error("the peer's frame of type {number:#04x} cannot be read: {source}")]
    Message {
        /// Type of the frame.
        number: u8,
        /// What is wrong.
        source: crate::progress::DecodeError,
    },
    /// A frame type that must be known and is not.
    #[error("the peer sent a frame of unknown type {number:#04x}")]
    UnknownType {
        /// Type of the frame.
        number: u8,
    },
    /// A frame at a moment when it may not come.
    #[error("the peer sent a frame of type {number:#04x} out of order")]
    OutOfOrder {
        /// Type of the frame.
        number: u8,
    },
    /// No version in common.
    #[error(
        "the peer speaks versions {min} to {max} of the protocol, this replica {} to {}",
        crate::sync::message::PROTOCOL_MIN,
        crate::sync::message::PROTOCOL_MAX
    )]
    Version {
        /// First version of the peer.
        min: u16,
        /// Last version of the peer.
        max: u16,
    },
    /// A setting that must be equal is not.
    #[error("{setting} is {theirs} ms at the peer and {ours} ms here; it must be equal in the whole cluster")]
    Settings {
        /// Which.
        setting: &'static str,
        /// Its value here.
        ours: u64,
        /// Its value at the peer.
        theirs: u64,
    },
    /// The peer may not have this link.
    #[error("not allowed: {reason}")]
    Unauthorized {
        /// Why.
        reason: String,
    },
    /// The device's token has ended.
    #[error("the device's token has expired")]
    TokenExpired,
    /// Something acknowledged may be missing here since the two greeted: the next link finds it.
    #[error("this replica must be reconciled, which begins with a greeting")]
    Damaged,
    /// The peer is this replica.
    #[error("a link to oneself")]
    Myself,
    /// The peer did not answer in time.
    #[error("the peer did not send {what} in time")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
    /// The peer asks faster than it takes answers.
    #[error("the peer asks faster than it reads the answers")]
    Flooded,
    /// The peer's records cannot be read.
    #[error(transparent)]
    Records(ApplyError),
    /// A pass of reconciliation cannot go on.
    #[error(transparent)]
    Reconcile(SessionError),
    /// This replica's store takes nothing any more.
    #[error("the store failed: {0}")]
    Append(AppendError),
    /// This replica's store cannot be read.
    #[error("the store failed: {0}")]
    Read(#[from] ReadError),
    /// This device's own work could not be shared.
    #[error("unshared work could not be shared: {reason}")]
    Share {
        /// Why.
        reason: String,
    },
    /// The peer ended the link.
    #[error("the peer ended the link ({code:?}): {reason}")]
    Bye {
        /// Why, for programs.
        code: ByeCode,
        /// Why, for people.
        reason: String,
        /// When to come back, in milliseconds; 0 leaves it to us.
        retry_ms: u64,
    },
}

impl LinkError {
    /// The code that the peer is told.
    pub const fn code(&self) -> ByeCode {
        match self {
            Self::Frame(_)
            | Self::Message { .. }
            | Self::UnknownType { .. }
            | Self::OutOfOrder { .. }
            | Self::Timeout { .. }
            | Self::Records(_)
            | Self::Reconcile(SessionError::Decode(_) | SessionError::OutOfTurn | SessionError::Budget { .. }) => ByeCode::Protocol,
            Self::Version { .. } => ByeCode::Version,
            Self::Settings { .. } => ByeCode::Settings,
            Self::Unauthorized { .. } => ByeCode::Unauthorized,
            Self::TokenExpired => ByeCode::TokenExpired,
            Self::Myself => ByeCode::Myself,
            Self::Flooded => ByeCode::Overloaded,
            Self::Reconcile(_) | Self::Append(_) | Self::Read(_) | Self::Share { .. } => ByeCode::Internal,
            Self::Damaged | Self::Bye { .. } => ByeCode::Done,
        }
    }

    /// The last frame of the link. What failed inside this replica is not told to others.
    pub fn bye(&self) -> Bye {
        let code = self.code();
        let reason = if code == ByeCode::Internal { "internal failure".to_owned() } else { self.to_string() };
        Bye { code, reason: reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), retry_ms: 0 }
    }
}

impl From<SessionError> for LinkError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Read(error) => Self::Read(error),
            other => Self::Reconcile(other),
        }
    }
}
