//! What a token says, and what that grants at a moment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::limits::{ID_BYTES_MAX, PROFILES_PER_TOKEN_COUNT_MAX};
use crate::progress::ProfileId;
use crate::replica::{Grant, TokenError};
use crate::time::WallTime;

/// The audience that a token must name.
pub const AUDIENCE: &str = "leftoff";

/// The claims of a token. Further ones are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub sub: String,
    /// The profiles it may touch.
    pub profiles: Vec<ProfileId>,
    /// For whom the token is made; must hold [`AUDIENCE`].
    pub aud: OneOrMany,
    /// When it ends, Unix seconds.
    pub exp: f64,
    /// From when it counts, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
    /// What it allows: `read`, `write`, or both separated by a space. Without it: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<OneOrMany>,
}

/// A text, or a list of texts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Claims {
    /// What the claims grant at `now`, by an issuer whose clock may differ by `leeway_ms`.
    pub(super) fn grant(&self, now: WallTime, leeway_ms: u64) -> Result<Grant, TokenError> {
        if !self.aud.as_slice().iter().any(|aud| aud == AUDIENCE) {
            return Err(invalid(format!("its audience (aud) is not '{AUDIENCE}'")));
        }
        if self.sub.is_empty() || self.sub.len() > ID_BYTES_MAX || self.sub.chars().any(char::is_control) {
            return Err(invalid(format!("its account (sub) must have 1 to {ID_BYTES_MAX} bytes without control characters")));
        }
        if self.profiles.len() > PROFILES_PER_TOKEN_COUNT_MAX {
            let count = self.profiles.len();
            return Err(invalid(format!("it holds {count} profiles, at most {PROFILES_PER_TOKEN_COUNT_MAX} are taken")));
        }
        let expires = wall("exp", self.exp)?;
        if now.as_millis() >= expires.as_millis().saturating_add(leeway_ms) {
            return Err(TokenError::Expired);
        }
        if let Some(nbf) = self.nbf
            && wall("nbf", nbf)?.as_millis() > now.as_millis().saturating_add(leeway_ms)
        {
            return Err(TokenError::NotYet);
        }
        Ok(Grant {
            account: self.sub.clone(),
            profiles: self.profiles.iter().cloned().collect::<BTreeSet<_>>(),
            read: self.allows("read"),
            write: self.allows("write"),
            expires,
        })
    }

    fn allows(&self, what: &str) -> bool {
        let Some(scope) = &self.scope else { return true };
        scope.as_slice().iter().flat_map(|words| words.split_ascii_whitespace()).any(|word| word == what)
    }
}

// Seconds may have a fraction (RFC 7519, section 2, NumericDate).
fn wall(name: &str, seconds: f64) -> Result<WallTime, TokenError> {
    const SECONDS_MAX: f64 = 8e12;
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(invalid(format!("its {name} is not a number of seconds since 1970")));
    }
    #[expect(clippy::cast_sign_loss, reason = "checked to lie in 0 to 8e12")]
    Ok(WallTime::from_millis((seconds * 1_000.0) as u64))
}
