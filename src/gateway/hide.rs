//! `POST /v1/profiles/{p}/titles/{t}/hide`: removes a title from the continue-watching row.

use axum::extract::State;
use axum::http::StatusCode;

use super::GatewayState;
use super::auth::Bearer;
use super::path::TitlePath;
use super::problem::Problem;
use crate::limits::TITLES_PER_PROFILE_COUNT_MAX;
use crate::time::system;

pub(super) async fn hide(
    State(state): State<GatewayState>,
    bearer: Bearer,
    TitlePath(profile, title): TitlePath,
) -> Result<StatusCode, Problem> {
    bearer.may_write(&profile)?;
    let now = system::wall_now();
    let seq = state
        .blocking(move |core| {
            // Hiding makes a register where there is none, for activity that is still on its way here; within the profile's bound.
            if core.store().register(&profile, &title)?.is_none() && core.store().title_count(&profile)? >= TITLES_PER_PROFILE_COUNT_MAX {
                return Err(Problem::TooManyTitles);
            }
            Ok(core.hide(now, &profile, &title)?)
        })
        .await?;
    state.durable(seq).await?;
    Ok(StatusCode::NO_CONTENT)
}
