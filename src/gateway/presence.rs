//! `GET /v1/profiles/{p}/presence`: which devices of a profile are there, for those who have no socket to be told on.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::GatewayState;
use super::auth::Bearer;
use super::openapi::words;
use super::path::ProfilePath;
use super::problem::Problem;
use super::sessions::now_ms;
use crate::ephemeral::{PresenceState, PresentDevice};
use crate::time::system;

/// A device that is there.
#[expect(clippy::struct_field_names, reason = "the names of the fields are those of the interface")]
#[derive(Serialize, ToSchema)]
#[schema(as = PresentDevice)]
pub(super) struct Device {
    device_id: String,
    #[schema(value_type = words::Device)]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title_id: Option<String>,
}

/// The devices of a profile that are there, at any node that is heard of.
#[derive(Serialize, ToSchema)]
pub(super) struct Presence {
    profile_id: String,
    devices: Vec<Device>,
    server_time_ms: u64,
}

impl From<PresentDevice> for Device {
    fn from(present: PresentDevice) -> Self {
        let title_id = present.title.map(|title| title.as_str().to_owned());
        Self { device_id: present.device.as_str().to_owned(), state: PresenceState::as_str(present.state), title_id }
    }
}

pub(super) async fn presence(
    State(state): State<GatewayState>,
    bearer: Bearer,
    ProfilePath(profile): ProfilePath,
) -> Result<Json<Presence>, Problem> {
    bearer.may_read(&profile)?;
    let core = state.core();
    let devices = core.ephemeral().devices(system::monotonic_now(), &profile).into_iter().map(Device::from).collect();
    Ok(Json(Presence { profile_id: profile.as_str().to_owned(), devices, server_time_ms: now_ms(core) }))
}
