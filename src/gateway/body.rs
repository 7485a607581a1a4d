//! Bodies: read within bounds, and decoded so that one bad event costs nobody else.
//!
//! A batch is decoded at once; only when that fails is it taken apart, event by event, to say which one is wrong and why.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures_core::Stream;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use super::GatewayState;
pub(super) use super::batch::{Batch, RefusedEvent};
use super::problem::Problem;
use crate::limits::{BEACON_BYTES_MAX, EVENTS_BODY_BYTES_MAX, EVENTS_PER_BATCH_COUNT_MAX};
use crate::progress::{IdError, PlaybackEvent};
use crate::time::WallTime;

const DISCARD_BYTES_MAX: usize = 4 * EVENTS_BODY_BYTES_MAX;
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// Room among the bodies of the gateway is taken by this many bytes at a time.
const ROOM_STEP_BYTES: usize = 16 << 10;

/// A body, and the room it takes among the bodies of the gateway until it is dropped.
pub(super) struct HeldBody {
    pub(super) bytes: Vec<u8>,
    // None: it is empty.
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body of JSON. `text/plain` is taken too: browsers may send that across origins without asking first.
pub(super) async fn read(state: &GatewayState, headers: &HeaderMap, body: Body) -> Result<HeldBody, Problem> {
    let limits = state.limits();
    if !is_json(headers) {
        return Err(refused(body, Problem::MediaType).await);
    }
    let told = content_length(headers);
    if told.is_some_and(|bytes| bytes > EVENTS_BODY_BYTES_MAX) {
        return Err(refused(body, Problem::BodyTooLarge).await);
    }
    // Half of the request's time is for its body, so that who dribbles is told so and what then is left suffices for the work.
    let patience = limits.request_timeout / 2;
    tokio::time::timeout(patience, gather(&limits.bodies, body, told)).await.map_err(|_| Problem::BodyTimeout)?
}

/// Reads the body of a request that shows no token: it may have one in its body, if it is no longer than a browser's beacon and says so.
pub(super) async fn read_beacon(state: &GatewayState, headers: &HeaderMap, body: Body) -> Result<HeldBody, Problem> {
    match content_length(headers) {
        Some(1..=BEACON_BYTES_MAX) => read(state, headers, body).await,
        _ => Err(refused(body, Problem::TokenMissing).await),
    }
}

/// The token in a body.
pub(super) fn token(held: &HeldBody) -> Option<String> {
    #[derive(Deserialize)]
    struct Signed {
        token: Option<String>,
    }
    let strict = serde_json::from_slice::<Signed>(&held.bytes);
    strict.ok().or_else(|| serde_json::from_str(&text(&held.bytes).ok()?).ok())?.token
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Decodes a body of JSON.
pub(super) fn json<T: DeserializeOwned>(held: &HeldBody) -> Result<T, Problem> {
    serde_json::from_slice(&held.bytes).map_err(|error| Problem::Malformed { reason: error.to_string() })
}

/// An id of a body, or what is wrong with it.
pub(super) fn id<T>(field: &'static str, checked: Result<T, IdError>) -> Result<T, Problem> {
    checked.map_err(|source| Problem::BadId { field, source })
}

/// Room is taken for what has come, and not for what is announced: who sends little takes little from everybody else.
async fn gather(room: &Arc<Semaphore>, body: Body, told_bytes: Option<usize>) -> Result<HeldBody, Problem> {
    let mut bytes = Vec::with_capacity(told_bytes.unwrap_or(ROOM_STEP_BYTES).min(ROOM_STEP_BYTES));
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let chunk = chunk.map_err(|_| Problem::BodyBroken)?;
        let count = bytes.len() + chunk.len();
        if count > EVENTS_BODY_BYTES_MAX {
            discard(&mut stream).await;
            return Err(Problem::BodyTooLarge);
        }
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if count > has {
            let step = count.next_multiple_of(ROOM_STEP_BYTES).min(told_bytes.unwrap_or(usize::MAX)).max(count) - has;
            let Ok(more) = Arc::clone(room).try_acquire_many_owned(step as u32) else {
                // What is read away from here on is not held.
                drop((bytes, held));
                discard(&mut stream).await;
                return Err(Problem::Overloaded { retry_ms: 1_000 });
            };
            match &mut held {
                None => held = Some(more),
                Some(held) => held.merge(more),
            }
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(HeldBody { bytes, _room: held })
}

/// Reads a body away before its request is refused. A connection that is closed over unread bytes is reset, and the client would never see
/// why.
pub(super) async fn refused(body: Body, problem: Problem) -> Problem {
    discard(&mut body.into_data_stream()).await;
    problem
}

/// Goes on with a request whose head is good; of another one the body is read away.
pub(super) async fn after<T>(head: Result<T, Problem>, body: Body) -> Result<(T, Body), Problem> {
    match head {
        Ok(head) => Ok((head, body)),
        Err(problem) => Err(refused(body, problem).await),
    }
}

async fn discard(stream: &mut BodyDataStream) {
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await {
            bytes += chunk.len();
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Whoever sends slower, or more, has to live without the reason.
    drop(tokio::time::timeout(DISCARD_TIME, read).await);
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type == "text/plain" || media_type.ends_with("+json")
}

/// A batch of events.
#[derive(Deserialize, ToSchema)]
#[schema(as = Batch)]
pub(super) struct Whole {
    #[serde(default)]
    /// The device's clock as it sends, Unix milliseconds.
    sent_at_ms: Option<u64>,
    /// The token, from whoever can set no header.
    #[serde(default, rename = "token")]
    #[schema(value_type = Option<String>)]
    _token: Option<IgnoredAny>,
    #[schema(max_items = 1000)]
    events: Vec<PlaybackEvent>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(default)]
    sent_at_ms: Option<u64>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Decodes `{sent_at_ms?, events: [..]}`.
pub(super) fn batch(body: &[u8]) -> Result<Batch, Problem> {
    match serde_json::from_slice::<Whole>(body) {
        Ok(whole) => {
            check_count(whole.events.len())?;
            let indices = (0..whole.events.len() as u32).map(Some).collect();
            Ok(Batch { sent_at: whole.sent_at_ms.map(WallTime::from_millis), events: whole.events, indices, ..Batch::default() })
        }
        Err(_) => apart(body),
    }
}

pub(super) fn check_count(count: usize) -> Result<(), Problem> {
    if count > EVENTS_PER_BATCH_COUNT_MAX { Err(Problem::TooManyEvents { count }) } else { Ok(()) }
}

/// A body as text that JSON can be read from, event by event.
pub(super) fn text(body: &[u8]) -> Result<String, Problem> {
    std::str::from_utf8(body).map(quote_non_numbers).map_err(|error| Problem::Malformed { reason: error.to_string() })
}

fn apart(body: &[u8]) -> Result<Batch, Problem> {
    let malformed = |reason: String| Problem::Malformed { reason };
    let text = text(body)?;
    let parts: Parts<'_> = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    check_count(parts.events.len())?;
    let mut batch = Batch { sent_at: parts.sent_at_ms.map(WallTime::from_millis), ..Batch::default() };
    for (index, raw) in (0..).zip(parts.events) {
        match serde_json::from_str::<PlaybackEvent>(raw.get()) {
            Ok(event) => batch.push(index, event),
            Err(error) => {
                let (code, reason) = explain(raw.get()).unwrap_or_else(|| ("malformed", error.to_string()));
                batch.refused.push(RefusedEvent { index, code, reason });
            }
        }
    }
    Ok(batch)
}

/// Puts the words `NaN` and `Infinity`, which some encoders write though JSON has no such numbers, into quotes: so the event that has one is
/// refused, and not all of its batch.
fn quote_non_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let word = if in_string { None } else { ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word)) };
        if let Some(word) = word {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = next.len_utf8();
        match next {
            '"' => in_string = !in_string,
            // An escaped quote ends no string.
            '\\' if in_string => taken += rest[taken..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

type Fits = fn(&Value) -> bool;

/// What is wrong with an event that could not be read, as far as a single field tells.
fn explain(raw: &str) -> Option<(&'static str, String)> {
    let event: Map<String, Value> = serde_json::from_str(raw).ok()?;
    let is_kind: Fits = |value| serde_json::from_value::<crate::progress::EventKind>(value.clone()).is_ok();
    let text_or_null: Fits = |value| value.is_null() || value.is_string();
    let whole_or_null: Fits = |value| value.is_null() || value.is_u64();
    let number_or_null: Fits = |value| value.is_null() || value.is_number();
    let bool_or_null: Fits = |value| value.is_null() || value.is_boolean();
    let fields: [(&str, &str, &str, Fits); 13] = [
        ("profile_id", "bad_id", "a text", Value::is_string),
        ("title_id", "bad_id", "a text", Value::is_string),
        ("device_id", "bad_id", "a text", Value::is_string),
        ("series_id", "bad_id", "a text", text_or_null),
        ("session_id", "bad_id", "a text", text_or_null),
        ("kind", "bad_kind", "one of PLAY, HEARTBEAT, PAUSE, SEEK, STOP, END", is_kind),
        ("position_ms", "bad_position", "a whole number from 0", Value::is_u64),
        ("restart", "malformed", "true or false", Value::is_boolean),
        ("duration_ms", "bad_duration", "a whole number from 0", whole_or_null),
        ("speed", "bad_speed", "a number above 0 and at most 16", number_or_null),
        ("at_ms", "bad_time", "a whole number from 0", whole_or_null),
        ("version", "bad_version", "a whole number from 0", whole_or_null),
        ("stepped_back", "malformed", "true or false", bool_or_null),
    ];
    fields.into_iter().find_map(|(name, code, expected, fits)| match event.get(name) {
        None if matches!(name, "kind" | "position_ms") => Some((code, format!("{name} is missing"))),
        Some(value) if !fits(value) => {
            let shown: String = value.to_string().chars().take(64).collect();
            Some((code, format!("{name} must be {expected}, not {shown}")))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"profile_id":"p","title_id":"t","device_id":"d","kind":"PLAY","position_ms":1}"#;

    fn codes(bad: &str) -> Vec<(u32, &'static str)> {
        let body = format!(r#"{{"sent_at_ms":7,"events":[{GOOD},{bad},{GOOD}]}}"#);
        let batch = batch(body.as_bytes()).unwrap();
        assert_eq!(batch.sent_at, Some(WallTime::from_millis(7)));
        assert_eq!(batch.indices, [Some(0), Some(2)], "the rest is kept: {bad}");
        batch.refused.into_iter().map(|refused| (refused.index, refused.code)).collect()
    }

    fn changed(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        GOOD.replace(from, to)
    }

    #[test]
    fn one_bad_event_is_refused_by_itself() {
        for (bad, code) in [
            (changed(r#""profile_id":"p","#, r#""profile_id":{},"#), "bad_id"),
            (changed(r#""title_id":"t","#, r#""title_id":null,"#), "bad_id"),
            (changed(r#""device_id":"d","#, r#""device_id":7,"#), "bad_id"),
            (changed("PLAY", "play"), "bad_kind"),
            (changed(":1}", ":-1}"), "bad_position"),
            (changed(":1}", ":1.5}"), "bad_position"),
            (changed(":1}", ":\"18:42\"}"), "bad_position"),
            (changed(":1}", ":NaN}"), "bad_position"),
            (changed(":1}", ":-Infinity}"), "bad_position"),
            (changed(":1}", ":null}"), "bad_position"),
            (changed(":1}", ":99999999999999999999999}"), "bad_position"),
            (changed(":1}", ":1,\"speed\":Infinity}"), "bad_speed"),
            (changed(":1}", ":1,\"speed\":\"fast\"}"), "bad_speed"),
            (changed(":1}", ":1,\"at_ms\":-5}"), "bad_time"),
            (changed(":1}", ":1,\"version\":0.5}"), "bad_version"),
            (changed(":1}", ":1,\"duration_ms\":[]}"), "bad_duration"),
            (changed(":1}", ":1,\"restart\":\"yes\"}"), "malformed"),
            (changed(":1}", ":1e999}"), "malformed"),
            ("7".to_owned(), "malformed"),
            ("null".to_owned(), "malformed"),
            ("[]".to_owned(), "malformed"),
            ("\"x\"".to_owned(), "malformed"),
        ] {
            assert_eq!(codes(&bad), [(1, code)], "{bad}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_whole() {
        for body in ["", "{", "[]", "7", "{}", r#"{"events":7}"#, r#"{"events":[],"sent_at_ms":-1}"#, r#"{"events":[]} x"#, "\u{feff}{}"] {
            assert!(matches!(batch(body.as_bytes()), Err(Problem::Malformed { .. })), "{body}");
        }
        assert!(matches!(batch(b"{\"events\":[\"\xff\"]}"), Err(Problem::Malformed { .. })));
        let deep = format!("{{\"events\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(batch(deep.as_bytes()), Ok(_) | Err(Problem::Malformed { .. })));
    }

    #[test]
    fn more_events_than_a_batch_may_have_are_refused() {
        let many = |count: usize| format!("{{\"events\":[{}]}}", vec![GOOD; count].join(","));
        assert_eq!(batch(many(1_000).as_bytes()).unwrap().events.len(), 1_000);
        assert!(matches!(batch(many(1_001).as_bytes()), Err(Problem::TooManyEvents { count: 1_001 })));
        let with_a_bad_one = many(1_001).replacen("PLAY", "?", 1);
        assert!(matches!(batch(with_a_bad_one.as_bytes()), Err(Problem::TooManyEvents { count: 1_001 })));
    }

    #[test]
    fn words_inside_texts_stay_as_they_are() {
        assert_eq!(quote_non_numbers(r#"{"NaN \" NaN":NaN,"a\\":-Infinity}"#), r#"{"NaN \" NaN":"NaN","a\\":"-Infinity"}"#);
    }

    #[test]
    fn fields_that_are_not_known_are_let_pass() {
        let body = format!(r#"{{"events":[{}],"app":"1.2"}}"#, changed(":1}", ":1,\"bitrate\":7}"));
        assert_eq!(batch(body.as_bytes()).unwrap().events.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_each_event_is_told_once(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            cut in 0..400_usize,
            events in proptest::collection::vec(".{0,40}|\\PC{0,20}|[\\[\\]{}\",:0-9NaInfity-]{0,30}", 0..8),
        ) {
            let _ = batch(&bytes);
            let body = format!("{{\"events\":[{GOOD},{}]}}", events.join(","));
            let cut: String = body.chars().take(cut).collect();
            let _ = batch(cut.as_bytes());
            if let Ok(batch) = batch(body.as_bytes()) {
                let mut indices: Vec<u32> = batch.indices.iter().flatten().copied().chain(batch.refused.iter().map(|refused| refused.index)).collect();
                indices.sort_unstable();
                proptest::prop_assert_eq!(indices, (0..(batch.events.len() + batch.refused.len()) as u32).collect::<Vec<_>>());
                proptest::prop_assert_eq!(batch.events.len(), batch.indices.len());
            }
        }
    }
}
