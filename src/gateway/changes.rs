//! `GET /v1/profiles/{p}/changes`: a profile's changes as server-sent events, or by long poll.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::Instant;

use super::GatewayState;
use super::auth::Bearer;
use super::path::ProfilePath;
use super::problem::Problem;
use super::pushes::{PushKind, Reader, jitter_ms};
use crate::time::system;

/// How long one poll may wait, in seconds.
const WAIT_SECONDS_MAX: u64 = 60;
/// How long a poll waits that does not say.
const WAIT_SECONDS_DEFAULT: u64 = 25;
/// How often a silent stream shows that it lives.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again, in milliseconds.
const RETRY_MS: u64 = 2_000;

#[derive(Deserialize)]
pub(super) struct Asked {
    wait: Option<String>,
    since: Option<String>,
}

pub(super) async fn changes(
    State(state): State<GatewayState>,
    bearer: Bearer,
    ProfilePath(profile): ProfilePath,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    bearer.may_read(&profile)?;
    let Query(asked) = asked.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    state.check_readable()?;
    let wait = match asked.wait.as_deref() {
        None => None,
        Some(text) => Some(text.parse::<u64>().ok().filter(|seconds| *seconds <= WAIT_SECONDS_MAX).ok_or_else(|| Problem::BadQuery {
            name: "wait",
            reason: format!("'{text}' is not a whole number of seconds, at most {WAIT_SECONDS_MAX}"),
        })?),
    };
    let last_seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let since = last_seen.or(asked.since).filter(|since| !since.is_empty());
    let mut reader = state.pushes().open(state.limits().sockets_count_max)?;
    reader.follow(vec![(profile, since)]);
    match wait {
        Some(seconds) => poll(reader, Duration::from_secs(seconds)).await,
        None if wants_json(&headers) => poll(reader, Duration::from_secs(WAIT_SECONDS_DEFAULT)).await,
        None => Ok(stream(reader, expiry(&bearer))),
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("application/json") && !accepted.contains("text/event-stream")
}

fn expiry(bearer: &Bearer) -> Option<Instant> {
    let left_ms = |expires: crate::time::WallTime| u64::try_from(expires.millis_since(system::wall_now())).unwrap_or(0);
    bearer.expires().map(|expires| Instant::now() + Duration::from_millis(left_ms(expires).max(1_000)))
}

async fn poll(mut reader: Reader, wait: Duration) -> Result<Response, Problem> {
    // Also without any patience, what is there already is answered.
    let patience = wait.max(Duration::from_millis(if reader.is_behind() { 2_000 } else { 0 }));
    let pushes = match tokio::time::timeout(patience, reader.next()).await {
        Ok(delivery) => delivery?.pushes,
        Err(_) => Vec::new(),
    };
    let mut json = String::from("{\"items\":[");
    for (index, push) in pushes.iter().enumerate() {
        json.push_str(if index == 0 { "" } else { "," });
        json.push_str(push.text.as_str());
    }
    json.push_str("],\"cursor\":\"");
    // Hexadecimal digits and dashes.
    json.push_str(&reader.cursor());
    json.push_str("\"}");
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], json).into_response())
}

fn stream(reader: Reader, expires: Option<Instant>) -> Response {
    let begun = Streaming { reader, expires, is_new: true, has_ended: false };
    let events = futures_util::stream::unfold(begun, |mut streaming| async move {
        let text = streaming.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), streaming))
    });
    // The last one is for nginx, which would gather a stream otherwise.
    let headers = [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")];
    (headers, Body::from_stream(events)).into_response()
}

struct Streaming {
    reader: Reader,
    expires: Option<Instant>,
    is_new: bool,
    has_ended: bool,
}

impl Streaming {
    /// What to send next; none: the stream ends.
    async fn next(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        if std::mem::take(&mut self.is_new) {
            // An id without data is remembered by the client, and shown to nobody.
            return Some(format!("retry: {RETRY_MS}\nid: {}\n\n", self.reader.cursor()));
        }
        // First: a reader of a profile that changes all the time never waits, and its token ends all the same.
        if self.expires.is_some_and(|expires| expires <= Instant::now()) {
            return Some(self.bye("token_expired", 0));
        }
        let silent_until = Instant::now() + COMMENT_INTERVAL;
        let until = self.expires.map_or(silent_until, |expires| expires.min(silent_until));
        let delivery = match tokio::time::timeout_at(until, self.reader.next()).await {
            Ok(Ok(delivery)) => delivery,
            Ok(Err(problem)) => return Some(self.bye(problem.code(), jitter_ms(RETRY_MS))),
            Err(_) if self.expires.is_some_and(|expires| expires <= Instant::now()) => return Some(self.bye("token_expired", 0)),
            Err(_) => return Some(":\n\n".to_owned()),
        };
        let mut text = String::new();
        for push in &delivery.pushes {
            let event = match push.kind {
                PushKind::Progress => "progress",
                PushKind::Hidden => "hidden",
                PushKind::Erased => "erased",
                PushKind::Reset => "reset",
            };
            for part in ["event: ", event, "\nid: ", &self.reader.cursor_of(push), "\ndata: ", push.text.as_str(), "\n\n"] {
                text.push_str(part);
            }
        }
        if delivery.stopping {
            text.push_str(&self.bye("restart", jitter_ms(RETRY_MS)));
        }
        Some(text)
    }

    fn bye(&mut self, code: &str, retry_ms: u64) -> String {
        self.has_ended = true;
        let retry = if retry_ms > 0 { format!("retry: {retry_ms}\n") } else { String::new() };
        format!("{retry}event: bye\ndata: {{\"type\":\"bye\",\"code\":\"{code}\",\"retry_after_ms\":{retry_ms}}}\n\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::GatewayOptions;
    use crate::replica::{Core, CoreOptions};
    use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};

    #[tokio::test]
    async fn a_stream_that_always_has_something_to_say_ends_with_its_token_too() {
        let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
        let core = Arc::new(Core::new(Store::in_memory(StoreOptions::small(), fresh), CoreOptions::default()));
        let state = GatewayState::new(core, None, GatewayOptions::default());
        let reader = state.pushes().open(1).unwrap();
        let mut streaming = Streaming { reader, expires: Some(Instant::now()), is_new: true, has_ended: false };
        assert!(streaming.next().await.unwrap().starts_with("retry"));
        // It is there to be handed out at once.
        state.stop_pushes();
        let last = streaming.next().await.unwrap();
        assert!(last.contains("token_expired"), "{last}");
        assert_eq!(streaming.next().await, None);
    }
}
