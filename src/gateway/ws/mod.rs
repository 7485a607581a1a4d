//! `GET /v1/ws`: reports, pushes and watch parties over one WebSocket.

mod bell;
mod company;
mod message;
mod recorder;
mod socket;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;

pub(crate) use self::recorder::Recorder;
pub(in crate::gateway) use self::recorder::Submission;
use self::socket::Socket;
use super::GatewayState;
use super::auth::Bearer;
use super::problem::Problem;
use crate::limits::SOCKET_FRAME_BYTES_MAX;

const SUBPROTOCOL: &str = "leftoff.v1";
/// Buffers of one socket, in bytes: a heartbeat and its acknowledgement fit several times, and thousands of sockets cost little, also of the
/// processor's caches. The first is cleared before each read; a longer frame takes several.
const READ_BUFFER_BYTES: usize = 1 << 10;
const WRITE_BUFFER_BYTES: usize = 8 << 10;

/// Opens a WebSocket. Whose page asks is judged here; a token may follow in the first message.
pub(super) async fn open(
    State(state): State<GatewayState>,
    headers: HeaderMap,
    bearer: Result<Bearer, Problem>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    state.check_origin(&headers)?;
    let bearer = match bearer {
        Err(Problem::TokenMissing) if !headers.contains_key(AUTHORIZATION) => None,
        bearer => Some(bearer?),
    };
    let upgrade = upgrade.map_err(|rejection| Problem::UpgradeRequired { reason: rejection.body_text() })?;
    let reader = state.pushes().open(state.limits().sockets_count_max)?;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(socket::WHOLE_FRAME_BYTES_MAX)
        .max_message_size(socket::WHOLE_FRAME_BYTES_MAX);
    const { assert!(SOCKET_FRAME_BYTES_MAX < socket::WHOLE_FRAME_BYTES_MAX, "a frame that is refused is read first") };
    Ok(upgrade.on_upgrade(move |connection| Socket::new(connection, state, reader, bearer).run()))
}
