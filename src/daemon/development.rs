//! What a node in development takes instead of tokens. Such a node listens on loopback only.

use crate::progress::ProfileId;
use crate::replica::{Authority, Grant, TokenError};
use crate::time::WallTime;

/// How long a grant lasts before the device's link is made anew, in milliseconds.
const GRANT_MS: i64 = 86_400_000;

/// Verifies nothing: the token of a device is the list of the profiles that it holds, separated by commas.
///
/// A list it must be all the same: a device holds its own profiles and no more, in development too.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenAuthority;

impl Authority for OpenAuthority {
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError> {
        let profiles = token.split(',').map(|profile| ProfileId::new(profile.trim())).collect::<Result<_, _>>();
        let profiles = profiles.map_err(|error| TokenError::Invalid {
            reason: format!("in development a device's token is a list of profile ids, separated by commas: {error}"),
        })?;
        Ok(Grant { account: "development".to_owned(), profiles, read: true, write: true, expires: now.shifted(GRANT_MS) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_list_of_profiles_and_nothing_else_is_granted() {
        let now = WallTime::from_millis(1_790_000_000_000);
        let grant = OpenAuthority.verify(now, "ann, ben\n").unwrap();
        let holds = |profile: &str| grant.holds(&ProfileId::new(profile).unwrap());
        assert!(holds("ann") && holds("ben") && !holds("cleo"));
        assert!(matches!(OpenAuthority.verify(now, ""), Err(TokenError::Invalid { .. })));
    }
}
