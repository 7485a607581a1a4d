//! `GET /v1/profiles/{p}/titles`: the whole history, in pages.
//!
//! Pages go by title, not by time: a title that is watched while somebody pages is neither missed nor seen twice.

use std::ops::Bound;

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
use super::row::limit;
use crate::progress::{Policy, TitleId};
use crate::store::Seq;

const PAGE_COUNT_DEFAULT: usize = 100;
const PAGE_COUNT_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Asked {
    after: Option<String>,
    limit: Option<String>,
}

/// A page of the history.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryPage)]
pub(super) struct Page {
    items: Vec<ProgressBody>,
    /// What to say as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn titles(
    State(state): State<GatewayState>,
    bearer: Bearer,
    ProfilePath(profile): ProfilePath,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    bearer.may_read(&profile)?;
    let Query(asked) = asked.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    let limit = limit(asked.limit.as_deref(), PAGE_COUNT_DEFAULT, PAGE_COUNT_MAX)?;
    let after = match asked.after.as_deref() {
        None | Some("") => None,
        Some(text) => Some(TitleId::new(text).map_err(|error| Problem::BadQuery { name: "after", reason: error.to_string() })?),
    };
    state.check_readable()?;
    state
        .blocking(move |core| {
            let stored = core.profile(&profile)?;
            let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut rest = stored.profile.registers.range::<TitleId, _>((from, Bound::Unbounded));
            let mut last = None;
            let items: Vec<_> = rest
                .by_ref()
                .take(limit)
                .map(|(title, register)| {
                    last = Some(title);
                    let arrived = stored.arrived.get(title).copied().unwrap_or(Seq(0));
                    ProgressBody::new(core.store(), (profile.as_str(), title.as_str()), Some(register), arrived, Policy::Continue)
                })
                .collect();
            let next = if rest.next().is_some() { last.map(|title| title.as_str().to_owned()) } else { None };
            Ok(Json(Page { items, next }))
        })
        .await
}
