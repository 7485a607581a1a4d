//! Devices' tokens: each holds the one profile that it names.

use leftoff::progress::ProfileId;
use leftoff::replica::{Authority, Grant, TokenError};
use leftoff::time::WallTime;

/// How long a token lives.
const LIFE_MS: i64 = 30 * 86_400_000;

/// Takes a profile's name for a token that holds it.
pub(super) struct Tokens;

impl Authority for Tokens {
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError> {
        let profile = ProfileId::new(token).map_err(|error| TokenError::Invalid { reason: error.to_string() })?;
        let account = token.to_owned();
        Ok(Grant { account, profiles: [profile].into(), read: true, write: true, expires: now.shifted(LIFE_MS) })
    }
}
