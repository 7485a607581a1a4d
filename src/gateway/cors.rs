//! Pages of other origins: what browsers are told they may do (CORS), and what is refused whatever they do.
//!
//! Nothing here rests on cookies: a token in a header is something only a page that was given it can send, so `credentials` are never
//! allowed. What needs no leave to be sent (a beacon of `text/plain`, a form) and carries no token is refused to foreign pages.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::GatewayState;
use super::origins::Provenance;
use super::problem::Problem;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, if-none-match, last-event-id, leftoff-invite, x-request-id");
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after, x-request-id");
/// Two hours: the longest that browsers keep an answer.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");
const PREFLIGHT_VARY: HeaderValue = HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");

/// The page behind a request, if there is one.
pub(super) struct Page {
    provenance: Provenance,
    origin: Option<HeaderValue>,
    preflight: bool,
    // A request that changes something and carries no proof that the page was given a token.
    unproven: bool,
    // Answers differ by origin: a cache must not hand one page's answer to another.
    varies: bool,
}

impl Page {
    /// Reads a request's headers.
    pub(super) fn of(state: &GatewayState, request: &Request) -> Self {
        let (method, headers) = (request.method(), request.headers());
        let reads = matches!(*method, Method::GET | Method::HEAD);
        Self {
            provenance: state.provenance(headers),
            origin: headers.get(ORIGIN).cloned(),
            preflight: method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
            unproven: !reads && !headers.contains_key(AUTHORIZATION),
            varies: state.tells_origins_apart(),
        }
    }

    /// The answer to a preflight, which goes no further; or why a request goes no further.
    pub(super) fn stopped(&self) -> Option<Result<Response, Problem>> {
        match self.provenance {
            Provenance::Foreign if self.preflight || self.unproven => Some(Err(Problem::ForeignOrigin)),
            _ if self.preflight => {
                let granted =
                    [(ACCESS_CONTROL_ALLOW_METHODS, METHODS), (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS), (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S)];
                Some(Ok((StatusCode::NO_CONTENT, granted).into_response()))
            }
            _ => None,
        }
    }

    /// Says on an answer which page may read it. Problems too: a page must see that it is asked to wait.
    pub(super) fn mark(self, response: &mut Response) {
        let headers = response.headers_mut();
        if let (Provenance::Listed, Some(origin)) = (self.provenance, self.origin) {
            headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin);
            if !self.preflight {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
        }
        if self.preflight {
            headers.insert(VARY, PREFLIGHT_VARY);
        } else if self.varies {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}
