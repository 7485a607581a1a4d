//! The demo's own listener: the page of three regions, what it follows, and the switches that only a demo has.
//!
//! No production node has these routes: they are of this listener, which is on loopback and which `leftoff demo` alone opens. It answers to
//! its own page and to programs; a page of any other origin, also of this machine, is refused.

mod feed;
mod ledger;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use super::belief::Key;
use super::input::Input;
use super::lines::Lines;
use super::observer::Beliefs;
use super::party::Party;
use super::world::World;
use crate::cli::failure::Failure;
use crate::gateway::web;
use crate::gateway::web::page::{self, Region};
use crate::gateway::{Listener, ListenerOptions, ListenerShutdown, Problem, RequestLayer, check_host, request_layers};
use crate::replica::Core;

/// The port, where it is free.
const PORT: u16 = 7_430;
/// Ports tried above a taken one; then whatever the system gives.
const PORTS_TRIED: u16 = 8;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers at once; each open page holds one connection to follow, and some for its files.
const CONNECTIONS_COUNT_MAX: usize = 64;

/// What the switches move and the page follows.
struct Control {
    lines: Arc<Lines>,
    beliefs: watch::Receiver<Beliefs>,
    cores: Vec<Arc<Core>>,
    key: Key,
    telling: Arc<AtomicBool>,
    inputs: mpsc::Sender<Input>,
}

/// Where the page will be, before there is anything to show.
#[derive(Debug)]
pub(super) struct Stand {
    listener: Listener,
}

/// The page, served.
#[derive(Debug)]
pub(super) struct Page {
    shutdown: ListenerShutdown,
    following: tokio::task::JoinHandle<()>,
}

impl Stand {
    /// Takes a port.
    pub(super) async fn open() -> Result<Self, Failure> {
        let options = ListenerOptions { connections_count_max: CONNECTIONS_COUNT_MAX, ..ListenerOptions::default() };
        let mut tried = Err(std::io::Error::other("no port was tried"));
        for port in (PORT..PORT + PORTS_TRIED).chain([0]) {
            tried = Listener::bind((Ipv4Addr::LOCALHOST, port).into(), options).await;
            if tried.is_ok() {
                break;
            }
        }
        tried.map(|listener| Self { listener }).map_err(|error| Failure::of("the page found no port", &error))
    }

    /// Where the page is.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves it. `telling` says whether the terminal tells its story; `inputs` is told when a switch was moved.
    pub(super) fn serve(self, world: &World, telling: Arc<AtomicBool>, inputs: mpsc::Sender<Input>) -> Page {
        let regions = Party::REGIONS.iter().filter_map(|party| {
            let admin_url = world.admin(*party).map(|address| format!("http://{address}/"));
            Some(Region { name: party.name().to_owned(), url: format!("http://{}", world.gateway(*party)?), admin_url })
        });
        let shown = page::World::demo(regions.collect());
        let control = Arc::new(Control {
            lines: world.lines(),
            beliefs: world.changes(),
            cores: world.cores(),
            key: world.key(page::TITLE),
            telling,
            inputs,
        });
        let (sender, states) = watch::channel(Arc::default());
        let following = tokio::spawn(feed::follow(Arc::clone(&control), sender));
        Page { shutdown: self.listener.serve(routes(shown, control, states)), following }
    }
}

impl Page {
    /// Stops serving. Pages that follow are let go of.
    pub(super) async fn stop(self) {
        self.following.abort();
        self.shutdown.shutdown(Duration::from_millis(100)).await;
    }
}

fn routes(shown: page::World, control: Arc<Control>, states: watch::Receiver<Arc<feed::State>>) -> Router {
    let following = Arc::clone(&control);
    let own = Router::new()
        .route("/demo/events", get(move || async move { feed::answer(following, states) }))
        .route("/demo/lines", post(set_line))
        .route("/demo/take-over", post(take_over))
        .with_state(control);
    let own = page::with_page(web::with_library(own), shown).layer(from_fn(refuse_foreign));
    request_layers(own, RequestLayer::Admin(REQUEST_TIMEOUT))
}

async fn refuse_foreign(request: Request, next: Next) -> Response {
    match check_host(request.headers()).and_then(|()| check_own_origin(request.headers())) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

// Programs send no origin; a browser sends one with everything that moves a switch.
fn check_own_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let own = headers.get(HOST).map(|host| [b"http://", host.as_bytes()].concat());
    match headers.get(ORIGIN) {
        Some(origin) if own.as_deref() != Some(origin.as_bytes()) => Err(Problem::ForeignOrigin),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    region: String,
    cut: bool,
}

// Its body is JSON by type as well, which no page of another origin may send unasked.
async fn set_line(State(control): State<Arc<Control>>, asked: Result<Json<Line>, JsonRejection>) -> Result<Response, Problem> {
    let Json(line) = asked.map_err(|rejection| Problem::Malformed { reason: rejection.body_text() })?;
    let Some(party) = Party::REGIONS.into_iter().find(|party| party.name() == line.region) else {
        return Err(Problem::Malformed { reason: format!("there is no region '{}'", line.region) });
    };
    if line.cut {
        control.lines.cut(party);
    } else {
        control.lines.heal(party);
    }
    control.tell();
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn take_over(
    State(control): State<Arc<Control>>,
    asked: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Response, Problem> {
    drop(asked.map_err(|rejection| Problem::Malformed { reason: rejection.body_text() })?);
    control.tell();
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Control {
    // The terminal looks at the lines as they are, so that one word more or less in its queue does not matter.
    fn tell(&self) {
        self.telling.store(false, Ordering::Release);
        let _ = self.inputs.try_send(Input::Page);
    }
}
