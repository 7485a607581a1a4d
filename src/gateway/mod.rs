//! The gateway: HTTP for players, browsers and programs that embed no replica.
//!
//! A handler checks who asks, hands the work to [`Core`] on a thread that may block, and answers when the result is durable. What may go
//! wrong is a `Problem`, and only `problem` knows status codes. Routes are added in [`router`]; what every request goes
//! through (its id, its figures, its deadline, admission) is in `layers`.

pub mod auth;
mod batch;
mod body;
mod changes;
mod cors;
mod cursor;
mod dialects;
mod erase;
mod events;
mod fate;
mod gather;
mod hide;
mod history;
mod https;
mod layers;
mod listener;
mod openapi;
mod origins;
mod pages;
pub(crate) mod parties;
mod path;
mod patience;
mod presence;
mod problem;
mod progress;
mod pushes;
mod rates;
mod resume;
mod row;
pub(crate) mod sessions;
mod waiting;
pub(crate) mod web;
mod ws;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, post, put};
use tokio::sync::{Semaphore, oneshot};

use self::dialects::Jumps;
pub use self::https::{Https, HttpsError, HttpsFiles};
pub(crate) use self::layers::{RequestLayer, request_layers};
pub use self::listener::{Listener, ListenerOptions, ListenerShutdown};
use self::origins::Provenance;
pub use self::origins::{OriginError, Origins};
pub(crate) use self::pages::check_host;
pub(crate) use self::problem::Problem;
pub(crate) use self::progress::ProgressBody;
use self::pushes::Pushes;
pub use self::rates::RateOptions;
use self::rates::Rates;
use self::waiting::Waiting;
use self::ws::Recorder;
use crate::limits::{EVENTS_BODY_BYTES_MAX, SOCKET_IN_FLIGHT_BYTES_MAX};
use crate::progress::ProfileId;
use crate::replica::{Authority, Core, RecordError};
use crate::store::Seq;

/// The bounds of a gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewayOptions {
    /// Requests worked on at once, those that read and those that write counted apart; further ones are answered 503.
    pub requests_count_max: usize,
    /// Bodies held at once, in bytes, a quarter of it for messages of WebSockets; further ones are answered 503.
    pub bodies_bytes_max: usize,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// WebSockets and streams of events at once; further ones are answered 503.
    pub sockets_count_max: usize,
    /// How long a WebSocket may say nothing before it is closed.
    pub socket_idle: Duration,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            requests_count_max: 1_024,
            bodies_bytes_max: 64 << 20,
            request_timeout: Duration::from_secs(10),
            sockets_count_max: 10_000,
            socket_idle: Duration::from_mins(1),
        }
    }
}

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct GatewayState(Arc<Shared>);

struct Shared {
    core: Arc<Core>,
    authority: Option<Arc<dyn Authority>>,
    limits: RwLock<Arc<Limits>>,
    origins: RwLock<Origins>,
    pushes: Arc<Pushes>,
    recorder: Recorder,
    jumps: Arc<Jumps>,
    rates: RwLock<Arc<Rates>>,
    waiting: Waiting,
}

/// The bounds in force, and what is taken of them.
pub(crate) struct Limits {
    pub(crate) request_timeout: Duration,
    pub(crate) sockets_count_max: usize,
    pub(crate) socket_idle: Duration,
    /// A write may wait long, for a disk or for a neighbour; a viewer who wants to go on watching must not stand behind it.
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) writes: Arc<Semaphore>,
    pub(crate) bodies: Arc<Semaphore>,
    /// Messages of WebSockets, apart: large bodies must not keep them out.
    pub(crate) frames: Arc<Semaphore>,
}

impl Limits {
    fn new(options: GatewayOptions) -> Arc<Self> {
        let requests = || Arc::new(Semaphore::new(options.requests_count_max.min(Semaphore::MAX_PERMITS)));
        // One of each always fits, or nothing could ever be recorded.
        let room = |bytes: usize, least: usize| Arc::new(Semaphore::new(bytes.clamp(least, u32::MAX as usize)));
        let frames_bytes = options.bodies_bytes_max / 4;
        let bodies = room(options.bodies_bytes_max - frames_bytes, EVENTS_BODY_BYTES_MAX);
        Arc::new(Self {
            request_timeout: options.request_timeout,
            sockets_count_max: options.sockets_count_max,
            socket_idle: options.socket_idle,
            reads: requests(),
            writes: requests(),
            bodies,
            frames: room(frames_bytes, SOCKET_IN_FLIGHT_BYTES_MAX),
        })
    }
}

impl GatewayState {
    /// A gateway to a replica. Without an authority everyone may do everything: only for a listener on loopback.
    pub fn new(core: Arc<Core>, authority: Option<Arc<dyn Authority>>, options: GatewayOptions) -> Self {
        let pushes = Pushes::start(Arc::clone(&core));
        let jumps = Arc::<Jumps>::default();
        let recorder = Recorder::start(Arc::clone(&core), &pushes, Arc::clone(&jumps));
        let limits = RwLock::new(Limits::new(options));
        let rates = RwLock::new(Arc::new(Rates::new(RateOptions::default())));
        Self(Arc::new(Shared {
            core,
            authority,
            limits,
            origins: RwLock::default(),
            pushes,
            recorder,
            jumps,
            rates,
            waiting: Waiting::default(),
        }))
    }

    /// Takes other bounds from here on. Requests under way finish under those they began with.
    pub fn set_options(&self, options: GatewayOptions) {
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = Limits::new(options);
    }

    /// Takes other rates from here on. Everyone begins with a full allowance.
    pub fn set_rates(&self, options: RateOptions) {
        *self.0.rates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rates::new(options));
    }

    fn rates(&self) -> Arc<Rates> {
        Arc::clone(&self.0.rates.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says goodbye to WebSockets and event streams, and lets no more in: before the listener is shut down.
    pub fn stop_pushes(&self) {
        self.pushes().stop();
    }

    pub(crate) fn pushes(&self) -> &Pushes {
        &self.0.pushes
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// Lets in the pages of other origins from here on; those that were let in stay.
    pub fn set_origins(&self, origins: Origins) {
        *self.0.origins.write().unwrap_or_else(PoisonError::into_inner) = origins;
    }

    /// Where a request comes from. Without tokens, pages of this machine count as listed: such a node listens on loopback only.
    pub(crate) fn provenance(&self, headers: &HeaderMap) -> Provenance {
        match self.origins().provenance(headers) {
            Provenance::Foreign if self.authority().is_none() && is_local(headers) => Provenance::Listed,
            provenance => provenance,
        }
    }

    /// Refuses a request that a page made which is neither this listener's own nor of a listed origin: for WebSockets, which browsers open
    /// across origins without asking first.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.provenance(headers) == Provenance::Foreign { Err(Problem::ForeignOrigin) } else { Ok(()) }
    }

    /// Whether an answer to one origin may differ from that to another.
    pub(crate) fn tells_origins_apart(&self) -> bool {
        self.authority().is_none() || !self.origins().is_empty()
    }

    fn origins(&self) -> Origins {
        self.0.origins.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn jumps(&self) -> &Arc<Jumps> {
        &self.0.jumps
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    pub(crate) fn authority(&self) -> Option<&dyn Authority> {
        self.0.authority.as_deref()
    }

    pub(crate) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.0.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs what may wait for locks or the disk on a thread that may. The request's place among those worked on is taken here, and goes along: a
    /// request that times out leaves its work behind, and as long as that is not done nobody else is let in for it.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (core, place) = (Arc::clone(self.core()), layers::take_place()?);
        let work = move || {
            let done = work(&core);
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            // The panic itself has been logged by its hook; the request gets an answer like any other failure.
            tracing::error!(%error, "a request's work did not finish");
            Err(Problem::Internal)
        })
    }

    /// Reads of a profile: at once what is at hand and short, else on a thread that may wait for the disk, so that it is at hand the next time. To
    /// hand a short read to another thread and back costs more than the read.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        is_short: bool,
        profile: ProfileId,
        work: impl FnOnce(&Core, &ProfileId) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if is_short {
            return work(self.core(), &profile);
        }
        self.blocking(move |core| {
            core.store().bring_to_hand(&profile)?;
            work(core, &profile)
        })
        .await
    }

    /// Waits until everything up to `seq` is kept.
    pub(crate) async fn durable(&self, seq: Seq) -> Result<(), Problem> {
        let (sender, receiver) = oneshot::channel();
        // The receiver is gone when the client has hung up; what it sent is kept nevertheless.
        self.core().when_durable(seq, Box::new(move |kept| drop(sender.send(kept))));
        match receiver.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Problem::from(RecordError::from(error))),
            Err(_) => Err(Problem::Internal),
        }
    }

    /// Refuses a read that could not be answered truly: of a replica that is rebuilding itself.
    pub(crate) fn check_readable(&self) -> Result<(), Problem> {
        // A wrong clock spoils what is recorded, not what is read. And a store that takes nothing more, for want of space or after a failed
        // sync, still shows what was durable before.
        match self.core().not_ready().into_iter().find(|(cause, _)| !matches!(*cause, "clock" | "draining" | "store")) {
            Some((_, reason)) => Err(Problem::NotReady { reason }),
            None => Ok(()),
        }
    }
}

fn is_local(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ORIGIN).iter().map(|value| value.to_str().unwrap_or_default());
    values.all(pages::is_local_origin)
}

/// Bytes that nobody can guess.
fn random_bytes() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system has no randomness");
        Problem::Internal
    })?;
    Ok(bytes)
}

/// The same as text, for ids.
fn random_text() -> Result<String, Problem> {
    Ok(crate::ephemeral::Invite(random_bytes()?).to_string())
}
/// Requests that last: WebSockets, event streams, polls.
const LASTING: [&str; 2] = [SOCKET_PATH, CHANGES_PATH];
const SOCKET_PATH: &str = "/v1/ws";
const CHANGES_PATH: &str = "/v1/profiles/{profile}/changes";

/// The gateway's routes.
pub fn router(state: &GatewayState) -> Router {
    let routes = Router::new()
        .route("/v1/events", post(events::record))
        .route("/v1/parties", post(parties::create))
        .route("/v1/parties/{party}", get(parties::look))
        .route("/v1/parties/{party}/control", post(parties::command))
        .route("/v1/parties/{party}/members", post(parties::join).delete(parties::leave))
        .route("/v1/openapi.json", get(openapi::describe))
        .route("/v1/heartbeats", post(events::record_in::<dialects::Heartbeat>))
        .route("/v1/positions", post(events::record_in::<dialects::PositionRecord>))
        .route("/api/progress/sync", post(events::record_in::<dialects::ProgressSync>))
        .route("/v1/profiles/{profile}", delete(erase::erase))
        .route(CHANGES_PATH, get(changes::changes))
        .route("/v1/profiles/{profile}/continue-watching", get(row::continue_watching))
        .route("/v1/profiles/{profile}/presence", get(presence::presence))
        .route("/v1/profiles/{profile}/titles", get(history::titles))
        .route("/v1/profiles/{profile}/titles/{title}", get(resume::resume))
        .route("/v1/profiles/{profile}/titles/{title}/hide", post(hide::hide))
        .route("/v1/sessions", post(sessions::start))
        .route("/v1/sessions/{session}", put(sessions::renew).delete(sessions::end))
        .route(SOCKET_PATH, any(ws::open))
        .with_state(state.clone());
    let routes = web::with_library(routes);
    let routes = if state.authority().is_none() {
        // Without tokens there is a page to try the node on; with them it could show nobody anything.
        web::page::with_page(routes, web::page::World::node()).layer(from_fn_with_state(state.clone(), pages::refuse_foreign))
    } else {
        routes
    };
    request_layers(routes, RequestLayer::Gateway(state.clone()))
}
