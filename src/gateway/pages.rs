//! What a listener without tokens lets browsers do.
//!
//! Loopback keeps other machines out, and no pages: a browser on this machine shows everybody's. A page could point its own name here, so the
//! host must be named by address or as `localhost`; and it could send what needs no leave to be sent (`text/plain`, a form), so its origin
//! must be of this machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{GatewayState, body};

/// Refuses a request that a foreign page may have made.
pub(super) async fn refuse_foreign(State(state): State<GatewayState>, request: Request, next: Next) -> Response {
    match check_host(request.headers()).and_then(|()| state.check_origin(request.headers())) {
        Ok(()) => next.run(request).await,
        Err(problem) => body::refused(request.into_body(), problem).await.into_response(),
    }
}

/// Refuses a request that names its host otherwise than by address or as `localhost`.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_plain_host(host) { Ok(()) } else { Err(Problem::ForeignHost) }
}

/// Whether an origin is of this machine. Programs and pages in development are, whatever port they are served from.
pub(super) fn is_local_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| is_loopback(host))
}

fn is_plain_host(host: &str) -> bool {
    is_localhost(host) || address(host).is_some()
}

fn is_loopback(host: &str) -> bool {
    is_localhost(host) || address(host).is_some_and(|address| address.is_loopback())
}

fn is_localhost(host: &str) -> bool {
    host.split_once(':').map_or(host, |(name, _port)| name) == "localhost"
}

fn address(host: &str) -> Option<IpAddr> {
    let alone = || host.trim_matches(['[', ']']).parse().ok();
    host.parse::<SocketAddr>().ok().map(|address| address.ip()).or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in ["127.0.0.1:7402", "127.0.0.1", "[::1]:7402", "[::1]", "10.0.0.7:7402", "localhost", "localhost:7402"] {
            assert!(is_plain_host(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:7402", "127.0.0.1.evil.example:7402", "localhost.evil.example"] {
            assert!(!is_plain_host(host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_of_this_machine_by_address_or_as_localhost() {
        for origin in ["http://localhost:3000", "http://127.0.0.1:7400", "http://[::1]:8080", "https://localhost"] {
            assert!(is_local_origin(origin), "{origin}");
        }
        for origin in
            ["null", "", "https://evil.example", "http://localhost.evil.example", "http://10.0.0.8", "http://127.0.0.1@evil.example"]
        {
            assert!(!is_local_origin(origin), "{origin}");
        }
    }
}
