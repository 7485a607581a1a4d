//! `DELETE /v1/profiles/{p}`: erases a profile, here and everywhere it reaches.

use axum::extract::State;
use axum::http::StatusCode;

use super::GatewayState;
use super::auth::Bearer;
use super::path::ProfilePath;
use super::problem::Problem;
use crate::time::system;

pub(super) async fn erase(
    State(state): State<GatewayState>,
    bearer: Bearer,
    ProfilePath(profile): ProfilePath,
) -> Result<StatusCode, Problem> {
    bearer.may_write(&profile)?;
    let now = system::wall_now();
    let seq = state.blocking(move |core| Ok(core.erase(now, &profile)?)).await?;
    state.durable(seq).await?;
    // Accepted, not done: the other nodes, and devices that are away, forget it when it reaches them.
    Ok(StatusCode::ACCEPTED)
}
