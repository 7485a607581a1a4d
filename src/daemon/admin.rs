//! The admin listener: the operator's page, health, readiness, figures, the cluster as this node sees it, backup and export. No tokens, so it stays on loopback.
//!
//! A page in a browser on the same machine can reach it too. So requests must name the host by address or as `localhost` (against names that
//! are pointed here), and what changes something must come as JSON (which no foreign page may send unasked).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::export::Export;
use super::figures;
use super::node::Running;
use super::view::{ClusterBody, StatusBody};
use crate::gateway::{Problem, RequestLayer, check_host, request_layers};
use crate::time::system::wall_now;

/// A backup copies everything, so it may take its time.
const REQUEST_TIMEOUT: Duration = Duration::from_hours(1);

/// What the admin endpoints show. The node is put in when its store is open; until then it is alive and not ready.
#[derive(Clone, Default)]
pub(super) struct AdminState(Arc<Shared>);

#[derive(Default)]
struct Shared {
    running: OnceLock<Arc<Running>>,
    draining: AtomicBool,
}

impl AdminState {
    pub(super) fn set_running(&self, running: Arc<Running>) {
        // Set once by the one who starts the node.
        let _ = self.0.running.set(running);
    }

    pub(super) fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    fn running(&self) -> Result<&Arc<Running>, Problem> {
        self.0.running.get().ok_or_else(|| Problem::NotReady { reason: "the store is being opened".to_owned() })
    }

    fn reasons(&self) -> Vec<Reason> {
        let draining =
            self.0.draining.load(Ordering::Acquire).then(|| Reason { cause: "draining", reason: "the node is stopping".to_owned() });
        let store = match self.0.running.get() {
            None => vec![Reason { cause: "opening", reason: "the store is being opened".to_owned() }],
            Some(running) => running.core().not_ready().into_iter().map(|(cause, reason)| Reason { cause, reason }).collect(),
        };
        draining.into_iter().chain(store).collect()
    }
}

#[derive(Serialize)]
struct Reason {
    cause: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<Reason>,
}

/// The admin routes.
pub(super) fn router(state: AdminState) -> Router {
    let routes = Router::new()
        .route("/livez", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/v1/cluster", get(cluster))
        .route("/v1/status", get(status))
        .route("/v1/export", get(export))
        .route("/v1/backup", post(backup))
        .with_state(state);
    let routes = super::page::with_page(routes).layer(from_fn(named_plainly));
    request_layers(routes, RequestLayer::Admin(REQUEST_TIMEOUT))
}

async fn named_plainly(request: Request, next: Next) -> Response {
    match check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn alive() -> &'static str {
    "alive\n"
}

async fn ready(State(state): State<AdminState>) -> Response {
    let reasons = state.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: reasons.is_empty(), reasons })).into_response()
}

async fn metrics_text(State(state): State<AdminState>) -> Result<Response, Problem> {
    let handle = figures::handle().ok_or(Problem::Failed { reason: "this process keeps its figures elsewhere".to_owned() })?;
    if let Ok(running) = state.running() {
        figures::refresh(running.core(), state.reasons().is_empty());
        running.refresh_link_figures();
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response())
}

async fn cluster(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(Json(ClusterBody::of(state.running()?)).into_response())
}

async fn status(State(state): State<AdminState>) -> Result<Response, Problem> {
    let running = state.running()?;
    let reasons = state.reasons();
    Ok(Json(StatusBody::of(running, reasons.is_empty(), reasons.iter().map(|reason| reason.reason.clone()).collect())).into_response())
}

async fn export(State(state): State<AdminState>) -> Result<Response, Problem> {
    let export = Export::begin(Arc::clone(state.running()?.core()));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(export)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupAsked {
    path: PathBuf,
}

async fn backup(State(state): State<AdminState>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/json"));
    if !json {
        return Err(Problem::MediaType);
    }
    let asked: BackupAsked = serde_json::from_slice(&body).map_err(|error| Problem::Malformed { reason: error.to_string() })?;
    if !asked.path.is_absolute() {
        return Err(Problem::Malformed { reason: "path must be absolute: the node's working folder is not yours".to_owned() });
    }
    let running = Arc::clone(state.running()?);
    let made = tokio::task::spawn_blocking(move || super::backup::make(wall_now(), running.core(), &asked.path)).await;
    let manifest = made.map_err(|_| Problem::Internal)?.map_err(|error| Problem::Failed { reason: error.to_string() })?;
    Ok(Json(manifest).into_response())
}
