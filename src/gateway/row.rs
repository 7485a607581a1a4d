//! `GET /v1/profiles/{p}/continue-watching`: the row.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::GatewayState;
use super::auth::Bearer;
use super::path::ProfilePath;
use super::problem::Problem;
use super::progress::ProgressBody;
use crate::progress::row::{ROW_COUNT_DEFAULT, ROW_COUNT_MAX};
use crate::progress::{Policy, TitleId};
use crate::store::Stored;

/// A row is made of all registers of its profile: with more of them than this, not by a thread that serves connections.
const READ_AT_ONCE_COUNT_MAX: usize = 512;

#[derive(Deserialize)]
pub(super) struct Asked {
    limit: Option<String>,
}

/// Titles to continue with.
#[derive(Serialize, ToSchema)]
pub(super) struct Row {
    items: Vec<ProgressBody>,
}

/// A `limit` of the query: a whole number from 1; more than `bound` is `bound`.
pub(super) fn limit(asked: Option<&str>, default: usize, bound: usize) -> Result<usize, Problem> {
    let Some(text) = asked else { return Ok(default) };
    let bad = || Problem::BadQuery { name: "limit", reason: format!("'{text}' is not a whole number from 1 to {bound}") };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    // Digits that do not fit a number are more than any bound.
    match text.parse::<usize>().unwrap_or(bound) {
        0 => Err(bad()),
        limit => Ok(limit.min(bound)),
    }
}

pub(super) async fn continue_watching(
    State(state): State<GatewayState>,
    bearer: Bearer,
    ProfilePath(profile): ProfilePath,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Row>, Problem> {
    bearer.may_read(&profile)?;
    let Query(asked) = asked.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    let limit = limit(asked.limit.as_deref(), ROW_COUNT_DEFAULT, ROW_COUNT_MAX)?;
    state.check_readable()?;
    let is_short = state.core().store().are_few_at_hand(&profile, READ_AT_ONCE_COUNT_MAX);
    state
        .reading(is_short, profile, move |core, profile| {
            let row = core.continue_watching(profile, limit)?.into_iter();
            let item = |(title, stored): (TitleId, Stored)| {
                let ids = (profile.as_str(), title.as_str());
                ProgressBody::new(core.store(), ids, Some(&stored.progress), stored.arrived, Policy::Continue)
            };
            Ok(Json(Row { items: row.map(item).collect() }))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_and_is_cut_to_its_bound() {
        assert_eq!(limit(None, 20, 200).unwrap(), 20);
        assert_eq!(limit(Some("7"), 20, 200).unwrap(), 7);
        assert_eq!(limit(Some("201"), 20, 200).unwrap(), 200);
        assert_eq!(limit(Some("99999999999999999999999"), 20, 200).unwrap(), 200);
        for bad in ["", "0", "-1", "+1", "1.5", "ten"] {
            assert!(limit(Some(bad), 20, 200).is_err(), "{bad}");
        }
    }
}
