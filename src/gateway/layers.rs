//! What every request goes through: its id, its figures, its deadline, admission, and its problem document.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::catch_panic::CatchPanicLayer;

use super::cors::Page;
use super::problem::{Problem, keep_allow};
use super::{GatewayState, body};
use crate::time::system;

const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_BYTES_MAX: usize = 64;
/// Where the durations of requests that last are counted, apart from those of all others.
const LASTING_FIGURE: &str = "leftoff_http_lasting_request_duration_seconds";

/// The settings of [`request_layers`].
#[derive(Clone)]
pub(crate) enum RequestLayer {
    /// Requests within the gateway's limits.
    Gateway(GatewayState),
    /// Every request, each within the given time: for the admin listener, which must answer when the gateway is full.
    Admin(Duration),
}

/// Puts routes behind what every request goes through.
pub(crate) fn request_layers(routes: Router, layer: RequestLayer) -> Router {
    routes
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        // Outermost last: a panic becomes a problem, and every problem gets its document.
        .layer(CatchPanicLayer::custom(|_panic| Problem::Internal.into_response()))
        .layer(from_fn_with_state(layer, handle))
}

async fn handle(State(layer): State<RequestLayer>, request: Request, next: Next) -> Response {
    let begun = system::monotonic_now();
    let request_id = request_id(&request);
    let method = request.method().as_str().to_owned();
    // The pattern, never the path: ids must not become labels.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let page = match &layer {
        RequestLayer::Gateway(state) => Some(Page::of(state, &request)),
        RequestLayer::Admin(_) => None,
    };
    let answered = match page.as_ref().and_then(Page::stopped) {
        Some(Ok(response)) => Ok(response),
        Some(Err(problem)) => Err(body::refused(request.into_body(), problem).await),
        None => admitted(&layer, request, next).await,
    };
    let mut response = documented(answered.unwrap_or_else(IntoResponse::into_response), &request_id);
    if let Some(page) = page {
        page.mark(&mut response);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let seconds = system::monotonic_now().saturating_since(begun).as_secs_f64();
    let code = response.status().as_u16().to_string();
    // A poll lasts for as long as nothing changes, which says nothing of how soon requests are answered.
    let figure = if super::LASTING.contains(&route.as_str()) { LASTING_FIGURE } else { "leftoff_http_request_duration_seconds" };
    metrics::histogram!(figure, "route" => route.clone(), "method" => known_method(&method), "code" => code).record(seconds);
    if response.status().is_server_error() {
        tracing::warn!(%request_id, method, route, status = response.status().as_u16(), "request failed");
    } else {
        tracing::debug!(%request_id, method, route, status = response.status().as_u16(), seconds, "request");
    }
    response
}

async fn admitted(layer: &RequestLayer, request: Request, next: Next) -> Result<Response, Problem> {
    let (timeout, place) = match layer {
        RequestLayer::Admin(timeout) => (*timeout, None),
        // They have places and patience of their own: they wait for as long as nothing changes.
        RequestLayer::Gateway(_) if is_lasting(&request) => return Ok(next.run(request).await),
        RequestLayer::Gateway(state) => {
            let limits = state.limits();
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let places = if reads { &limits.reads } else { &limits.writes };
            (limits.request_timeout, Some(Place { places: Arc::clone(places), taken: OnceLock::new() }))
        }
    };
    let Some(place) = place else { return tokio::time::timeout(timeout, next.run(request)).await.map_err(|_| Problem::Timeout) };
    // A body need not come for nothing.
    if place.places.available_permits() == 0 {
        return Err(body::refused(request.into_body(), Problem::Overloaded { retry_ms: 1_000 }).await);
    }
    tokio::time::timeout(timeout, PLACE.scope(place, next.run(request))).await.map_err(|_| Problem::Timeout)
}

/// A request's place among those worked on. Taken when its work begins and its body is there: who dribbles takes none from others.
struct Place {
    places: Arc<Semaphore>,
    taken: OnceLock<Arc<OwnedSemaphorePermit>>,
}

impl Place {
    fn take(&self) -> Result<Arc<OwnedSemaphorePermit>, Problem> {
        if let Some(taken) = self.taken.get() {
            return Ok(Arc::clone(taken));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Problem::Overloaded { retry_ms: 1_000 })?;
        Ok(Arc::clone(self.taken.get_or_init(|| Arc::new(place))))
    }
}

tokio::task_local! {
    static PLACE: Place;
}

/// Takes the place of the request that is being worked on, to be kept with what is done for it. None: what is done is done for no request.
pub(super) fn take_place() -> Result<Option<Arc<OwnedSemaphorePermit>>, Problem> {
    PLACE.try_with(|place| place.take().map(Some)).unwrap_or(Ok(None))
}

fn is_lasting(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| super::LASTING.contains(&path.as_str()))
}

fn documented(mut response: Response, request_id: &str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    metrics::counter!("leftoff_problems_total", "code" => problem.code()).increment(1);
    let mut document = problem.document(request_id);
    keep_allow(&response, &mut document);
    document
}

/// The client's own id where it sends a sound one, so that its log and ours meet; else a number of ours.
fn request_id(request: &Request) -> String {
    let told = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match told {
        Some(id) if (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) => id.to_owned(),
        _ => {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            format!("{:x}-{:x}", system::wall_now().as_millis(), NEXT.fetch_add(1, Ordering::Relaxed))
        }
    }
}

// A method is a client's text: only those that exist become labels.
fn known_method(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;
    use crate::gateway::GatewayOptions;
    use crate::replica::{Core, CoreOptions};
    use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};

    #[tokio::test]
    async fn a_request_that_timed_out_keeps_its_place_until_its_work_is_done() {
        let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
        let core = Arc::new(Core::new(Store::in_memory(StoreOptions::small(), fresh), CoreOptions::default()));
        let options = GatewayOptions { requests_count_max: 1, request_timeout: Duration::from_secs(2), ..GatewayOptions::default() };
        let state = GatewayState::new(core, None, options);
        let (disk, stalled) = mpsc::channel::<()>();
        let stalled = Arc::new(Mutex::new(stalled));
        let stuck = move |State(state): State<GatewayState>| async move {
            // Until the sender is gone.
            let wait = move |_: &Core| {
                let _ = stalled.lock().unwrap().recv();
                Ok(())
            };
            state.blocking(wait).await
        };
        let writes = |State(state): State<GatewayState>| async move { state.blocking(|_| Ok(())).await };
        let routes = Router::new().route("/stuck", get(stuck).post(writes)).with_state(state.clone());
        let service = TowerToHyperService::new(request_layers(routes, RequestLayer::Gateway(state.clone())));
        let service = &service;
        let ask = |method: Method| async move {
            let request = axum::http::Request::builder().method(method).uri("/stuck").body(Body::empty()).unwrap();
            let answer = service.call(request).await.unwrap();
            let retry = answer.headers().get("retry-after").is_some_and(|seconds| seconds == "1");
            (String::from_utf8(to_bytes(answer.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap(), retry)
        };
        assert!(ask(Method::GET).await.0.contains("\"timeout\""));
        for _ in 0..3 {
            let (document, retry) = ask(Method::GET).await;
            assert!(document.contains("\"overloaded\"") && retry, "what nobody waits for is not piled up: {document}");
            assert_eq!(ask(Method::POST).await.0, "", "who writes does not stand behind those who read");
        }
        drop(disk);
        let freed = async {
            while state.limits().reads.available_permits() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), freed).await.unwrap();
    }
}
