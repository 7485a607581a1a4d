//! `GET /v1/profiles/{p}/titles/{t}`: where to resume.

use std::hash::Hasher;
use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use siphasher::sip::SipHasher13;

use super::GatewayState;
use super::auth::Bearer;
use super::path::TitlePath;
use super::problem::Problem;
use super::progress::ProgressBody;
use crate::progress::Policy;

#[derive(Deserialize)]
pub(super) struct Asked {
    policy: Option<String>,
}

pub(super) async fn resume(
    State(state): State<GatewayState>,
    bearer: Bearer,
    TitlePath(profile, title): TitlePath,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    bearer.may_read(&profile)?;
    let Query(asked) = asked.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    let policy = match asked.policy.as_deref() {
        None => Policy::Continue,
        Some(word) => Policy::from_str(word).map_err(|error| Problem::BadQuery { name: "policy", reason: error.to_string() })?,
    };
    state.check_readable()?;
    let body = state
        .reading(state.core().store().is_at_hand(&profile), profile, move |core, profile| {
            let answer = core.resume_point(profile, &title, policy)?;
            Ok(ProgressBody::new(core.store(), (profile.as_str(), title.as_str()), answer.register.as_ref(), answer.arrived, policy))
        })
        .await?;
    let json = serde_json::to_vec(&body).map_err(|_| Problem::Internal)?;
    let tag = entity_tag(&json);
    let common = [(ETAG, tag.clone()), (CACHE_CONTROL, "private, no-cache".to_owned())];
    if headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| matches_tag(value, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, "application/json")], json).into_response())
}

/// A strong tag: equal bodies, equal tags. The hash is keyed with zeros; a client that makes two of its own answers collide fools itself.
fn entity_tag(body: &[u8]) -> String {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(body);
    format!("\"{:016x}\"", hasher.finish())
}

// RFC 9110, section 13.1.2: compared weakly.
fn matches_tag(if_none_match: &str, tag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_and_compared_weakly() {
        assert!(matches_tag("\"a\"", "\"a\""));
        assert!(matches_tag("\"b\", W/\"a\"", "\"a\""));
        assert!(matches_tag("*", "\"a\""));
        assert!(!matches_tag("\"ab\"", "\"a\""));
        assert!(!matches_tag("", "\"a\""));
    }
}
