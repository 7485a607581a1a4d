//! Tokens: who may read and write which profiles.
//!
//! A token is a JWT signed by the platform, never by a node. Its algorithm is a property of the key that verifies it, not of the token's
//! header: that is the whole defence against `none` and against a public RSA key used as an HMAC secret. Times are checked against the `now`
//! that is passed in.

mod bearer;
mod claims;
mod keys;

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode_header};
use quick_cache::sync::Cache;

pub(crate) use self::bearer::Bearer;
pub use self::claims::{AUDIENCE, Claims};
use self::keys::VerifyingKey;
pub use self::keys::{KeyError, KeyFiles, KeySet};
use crate::limits::TOKEN_BYTES_MAX;
use crate::replica::{Authority, Grant, TokenError};
use crate::time::WallTime;

/// Verified tokens whose claims are remembered, so that a player's heartbeats do not pay for a signature each.
const REMEMBERED_COUNT: usize = 4_096;

/// Verifies tokens under the keys of the platform. Keys can be replaced while it is in use.
#[derive(Debug)]
pub struct TokenVerifier {
    inner: RwLock<Arc<Inner>>,
    leeway_ms: u64,
}

#[derive(Debug)]
struct Inner {
    keys: KeySet,
    // Only what a signature proves is remembered; the times in it are checked each time. Goes with the keys it was verified under.
    verified: Cache<Box<str>, Arc<Claims>>,
}

impl Inner {
    fn new(keys: KeySet) -> Arc<Self> {
        Arc::new(Self { keys, verified: Cache::new(REMEMBERED_COUNT) })
    }
}

impl TokenVerifier {
    /// A verifier under the given keys. `leeway_ms` is how far the issuer's clock may differ from ours.
    pub fn new(keys: KeySet, leeway_ms: u64) -> Self {
        Self { inner: RwLock::new(Inner::new(keys)), leeway_ms }
    }

    /// Takes other keys from here on; tokens under keys that are gone are refused with their next request.
    pub fn replace_keys(&self, keys: KeySet) {
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Inner::new(keys);
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Authority for TokenVerifier {
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid(format!("it has {} bytes, at most {TOKEN_BYTES_MAX} are read", token.len())));
        }
        let inner = self.inner();
        let claims = if let Some(claims) = inner.verified.get(token) {
            claims
        } else {
            let claims = Arc::new(signed_claims(&inner.keys, token)?);
            inner.verified.insert(token.into(), Arc::clone(&claims));
            claims
        };
        claims.grant(now, self.leeway_ms)
    }
}

fn invalid(reason: impl Into<String>) -> TokenError {
    TokenError::Invalid { reason: reason.into() }
}

fn signed_claims(keys: &KeySet, token: &str) -> Result<Claims, TokenError> {
    let header = decode_header(token).map_err(|_| invalid("it is not a JWT signed by EdDSA, ES256, RS256 or HS256"))?;
    if header.crit.is_some() {
        return Err(invalid("its header asks for extensions (crit) that are not known here"));
    }
    let mut last = invalid("no key of this node fits its algorithm and kid");
    for key in keys.candidates(header.alg, header.kid.as_deref()) {
        match claims_under(key, &header, token) {
            Ok(claims) => return Ok(claims),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn claims_under(key: &VerifyingKey, header: &Header, token: &str) -> Result<Claims, TokenError> {
    debug_assert_eq!(key.algorithm(), header.alg, "candidates have the header's algorithm");
    let mut validation = Validation::new(key.algorithm());
    // The library reads the clock by itself; audience and times are checked by `Claims::grant`, at the caller's `now`.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    match jsonwebtoken::decode::<Claims>(token, key.decoding(), &validation) {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::Json(error) => invalid(format!("its claims: {error}")),
            ErrorKind::InvalidSignature => invalid("its signature is by no key of this node"),
            _ => invalid("it could not be verified"),
        }),
    }
}

#[cfg(test)]
mod attacks;
