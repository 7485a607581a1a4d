//! The token in a request's `Authorization` header, and what it may touch.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::gateway::GatewayState;
use crate::gateway::problem::Problem;
use crate::progress::ProfileId;
use crate::replica::Grant;
use crate::time::{WallTime, system};

/// Who asks: a verified grant, or anyone where tokens are off.
pub(crate) struct Bearer(Option<Grant>);

impl Bearer {
    /// What a token grants its bearer that was not sent in a header.
    pub(crate) fn of_token(state: &GatewayState, token: &str) -> Result<Self, Problem> {
        let Some(authority) = state.authority() else { return Ok(Self(None)) };
        let grant = authority.verify(system::wall_now(), token).map_err(Problem::Token)?;
        // Counted when it is known whose it is: nobody uses up another's allowance.
        state.rates().request(&grant.account)?;
        Ok(Self(Some(grant)))
    }

    /// Counts a message that came without a header of its own as a request of the account; nobody counts where tokens are off.
    pub(crate) fn count(&self, state: &GatewayState) -> Result<(), Problem> {
        self.0.as_ref().map_or(Ok(()), |grant| state.rates().request(&grant.account))
    }

    /// When the token ends; never, where tokens are off.
    pub(crate) fn expires(&self) -> Option<WallTime> {
        self.0.as_ref().map(|grant| grant.expires)
    }

    /// Whether tokens are off.
    pub(crate) fn is_anyone(&self) -> bool {
        self.0.is_none()
    }

    /// What the token grants; none where tokens are off.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.0.as_ref()
    }

    /// Whether the profile is in the token; every one is where tokens are off.
    pub(crate) fn holds(&self, profile: &ProfileId) -> bool {
        self.0.as_ref().is_none_or(|grant| grant.holds(profile))
    }

    /// The token's profile, where it holds one only: for reports that do not say whose they are.
    pub(crate) fn sole_profile(&self) -> Option<&ProfileId> {
        let profiles = &self.0.as_ref()?.profiles;
        profiles.first().filter(|_| profiles.len() == 1)
    }

    /// Whether the profile may be read. Refused alike whether the profile exists or not.
    pub(crate) fn may_read(&self, profile: &ProfileId) -> Result<(), Problem> {
        self.may(profile, |grant| grant.read, "read")
    }

    /// Whether the profile may be written. Refused alike whether the profile exists or not.
    pub(crate) fn may_write(&self, profile: &ProfileId) -> Result<(), Problem> {
        self.may(profile, |grant| grant.write, "write")
    }

    fn may(&self, profile: &ProfileId, allowed: impl Fn(&Grant) -> bool, scope: &'static str) -> Result<(), Problem> {
        match &self.0 {
            Some(grant) if !grant.holds(profile) => Err(Problem::ProfileNotInToken),
            Some(grant) if !allowed(grant) => Err(Problem::ScopeMissing { scope }),
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<GatewayState> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &GatewayState) -> Result<Self, Problem> {
        if state.authority().is_none() {
            return Ok(Self(None));
        }
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Problem::TokenMissing)?;
        if values.next().is_some() {
            return Err(Problem::TokenMissing);
        }
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        Self::of_token(state, token.ok_or(Problem::TokenMissing)?)
    }
}
