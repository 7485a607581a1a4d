//! `/v1/sessions`: runs of players, counted by account.
//!
//! A session is started before playback, renewed by its heartbeats or by `PUT`, and ended by `DELETE` or by silence. The count is what this
//! node knows: exact while nodes hear of each other, and again after a cut.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::GatewayState;
use super::auth::Bearer;
use super::body;
use super::openapi::words;
use super::path::bad_path;
use super::problem::Problem;
use super::progress::ProgressBody;
use crate::ephemeral::{EndReason, NewSession, Session, SessionGone, SessionState, StartSessionError};
use crate::progress::{AccountId, DeviceId, PlaybackEvent, Policy, ProfileId, SessionId, TitleId};
use crate::replica::Core;
use crate::time::{WallTime, system};

/// A report older than this says nothing of what plays now, in milliseconds.
const LIVE_MS: u64 = 60_000;

/// A session to begin.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSession)]
#[expect(clippy::struct_field_names, reason = "the fields are called so")]
pub(super) struct Asked {
    profile_id: String,
    title_id: String,
    device_id: String,
    session_id: Option<String>,
}

/// What plays now; nothing of it: as before.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = SessionRenewal)]
pub(super) struct Renewal {
    title_id: Option<String>,
    #[schema(value_type = Option<words::NewSession>)]
    state: Option<String>,
}

/// A session that has begun, and where to resume.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionStarted)]
pub(super) struct Started {
    session_id: String,
    lease_ms: u64,
    server_time_ms: u64,
    #[serde(flatten)]
    progress: ProgressBody,
}

/// A session that goes on.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionRenewed)]
pub(super) struct Renewed {
    session_id: String,
    title_id: String,
    #[schema(value_type = words::Session)]
    state: &'static str,
    lease_ms: u64,
    server_time_ms: u64,
}

pub(super) async fn start(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let (bearer, body) = body::after(bearer, body).await?;
    let asked: Asked = body::json(&body::read(&state, &headers, body).await?)?;
    let profile = body::id("profile_id", ProfileId::new(&asked.profile_id))?;
    bearer.may_write(&profile)?;
    bearer.may_read(&profile)?;
    let title = body::id("title_id", TitleId::new(&asked.title_id))?;
    let device = body::id("device_id", DeviceId::new(&asked.device_id))?;
    let id = match asked.session_id {
        Some(id) => body::id("session_id", SessionId::new(id))?,
        None => body::id("session_id", SessionId::new(super::random_text()?))?,
    };
    let account = bearer.account(&profile)?;
    state.check_readable()?;
    let started = state
        .blocking(move |core| {
            let answer = core.resume_point(&profile, &title, Policy::Continue)?;
            let ids = (profile.as_str(), title.as_str());
            let progress = ProgressBody::new(core.store(), ids, answer.register.as_ref(), answer.arrived, Policy::Continue);
            start_one(core, NewSession { id: id.clone(), account, profile, device, title })?;
            let (lease_ms, server_time_ms) = (lease_ms(core), now_ms(core));
            Ok(Started { session_id: id.as_str().to_owned(), lease_ms, server_time_ms, progress })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(started)))
}

fn start_one(core: &Core, new: NewSession) -> Result<Session, Problem> {
    let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
    core.ephemeral().start_session(now, stamp, new).map_err(|error| match error {
        StartSessionError::TooManyStreams { limit } => Problem::TooManyStreams { limit },
        StartSessionError::Taken => Problem::SessionTaken,
        _ => Problem::Full { what: "sessions" },
    })
}

pub(super) async fn renew(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Renewed>, Problem> {
    let ((bearer, id), body) = body::after(bearer.and_then(|bearer| Ok((bearer, session_id(id)?))), body).await?;
    let held = body::read(&state, &headers, body).await?;
    let Renewal { title_id, state: word } = if held.bytes.is_empty() { Renewal::default() } else { body::json(&held)? };
    let title = title_id.map(|title| body::id("title_id", TitleId::new(title))).transpose()?;
    let known = own(state.core(), &bearer, &id)?;
    let playing = match word.as_deref() {
        None => None,
        Some("playing") => Some(SessionState::Playing),
        Some("paused") => Some(SessionState::Paused),
        Some("stopped") => Some(SessionState::Stopped),
        Some(other) => return Err(Problem::Malformed { reason: format!("state '{other}' is not known; say playing, paused or stopped") }),
    };
    let core = state.core();
    let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
    let renewed = core.ephemeral().renew_session(now, stamp, &id, &known.profile, title, playing).map_err(gone)?;
    Ok(Json(Renewed {
        session_id: id.as_str().to_owned(),
        title_id: renewed.title.as_str().to_owned(),
        state: renewed.state.as_str(),
        lease_ms: lease_ms(core),
        server_time_ms: now_ms(core),
    }))
}

pub(super) async fn end(
    State(state): State<GatewayState>,
    bearer: Bearer,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = session_id(id)?;
    let core = state.core();
    own(core, &bearer, &id)?;
    core.ephemeral().end_session(system::monotonic_now(), core.tick(system::wall_now()), &id);
    Ok(StatusCode::NO_CONTENT)
}

fn session_id(path: Result<Path<String>, axum::extract::rejection::PathRejection>) -> Result<SessionId, Problem> {
    let Path(text) = path.map_err(|rejection| bad_path(&rejection))?;
    body::id("session_id", SessionId::new(text))
}

/// A session that the bearer may write. Another's is answered like one that never was.
fn own(core: &Core, bearer: &Bearer, id: &SessionId) -> Result<Session, Problem> {
    let known = core.ephemeral().session(id).filter(|session| bearer.holds(&session.profile)).ok_or(Problem::SessionGone)?;
    bearer.may_write(&known.profile)?;
    Ok(known)
}

fn gone(error: SessionGone) -> Problem {
    match error.reason {
        Some(EndReason::TooManyStreams) => Problem::StreamTaken,
        _ => Problem::SessionGone,
    }
}

pub(super) fn lease_ms(core: &Core) -> u64 {
    core.ephemeral().options().lease.as_millis() as u64
}

pub(super) fn now_ms(core: &Core) -> u64 {
    core.corrected(system::wall_now()).as_millis()
}

impl Bearer {
    /// The account that sessions of a profile count for; where tokens are off, the profile is its own.
    pub(crate) fn account(&self, profile: &ProfileId) -> Result<AccountId, Problem> {
        let text = self.grant().map_or(profile.as_str(), |grant| grant.account.as_str());
        body::id("sub", AccountId::new(text))
    }
}

/// Renews the sessions that reports name: their heartbeats are what they live by. For events whose bearer may write their profiles. `sent`: when, by
/// the clock that dates them.
///
/// Reports of long ago say nothing of now, and an unknown session is none: sessions are started, not reported.
pub(crate) fn heard(core: &Core, now: WallTime, sent: WallTime, events: &[PlaybackEvent]) {
    let mut last: BTreeMap<&str, &PlaybackEvent> = BTreeMap::new();
    for event in events {
        let Some(session) = &event.session_id else { continue };
        if event.at_ms.is_none_or(|at_ms| sent.as_millis().saturating_sub(at_ms) <= LIVE_MS) {
            last.insert(session, event);
        }
    }
    for (session, event) in last {
        let ids = (SessionId::new(session), ProfileId::new(&event.profile_id), TitleId::new(&event.title_id));
        let (Ok(session), Ok(profile), Ok(title)) = ids else { continue };
        let state = SessionState::of(event.kind);
        // Over, or unknown: its player learns that from its next PUT, or by the push that told it.
        let _ = core.ephemeral().renew_session(system::monotonic_now(), core.tick(now), &session, &profile, Some(title), state);
    }
}
