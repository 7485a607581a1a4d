//! What a token allows, and who says so.

use std::collections::BTreeSet;

use crate::progress::ProfileId;
use crate::time::WallTime;

/// What the bearer of a verified token may do, with which profiles, until when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The account that the token was issued to.
    pub account: String,
    /// The profiles it holds; all others do not exist for its bearer.
    pub profiles: BTreeSet<ProfileId>,
    /// Whether progress may be read.
    pub read: bool,
    /// Whether events may be recorded, titles hidden and profiles erased.
    pub write: bool,
    /// When the token ends.
    pub expires: WallTime,
}

impl Grant {
    /// Whether the profile is in the token.
    pub fn holds(&self, profile: &ProfileId) -> bool {
        self.profiles.contains(profile)
    }
}

/// Why a token grants nothing. The text never repeats the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a token, not signed by a known key, or signed by another algorithm than the key's.
    #[error("the token is not valid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The token's time has passed.
    #[error("the token has expired; fetch a new one")]
    Expired,
    /// The token's time has not come.
    #[error("the token is not valid yet; check the clocks")]
    NotYet,
}

/// Verifies tokens.
pub trait Authority: Send + Sync {
    /// What a token grants at `now`.
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError>;
}
