//! What is said on a WebSocket: from frames to messages, and back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::company::{PartyFrame, StateFrame};
use crate::gateway::batch::{Batch, Counted};
use crate::gateway::body;
use crate::gateway::dialects::SocketDialect;
use crate::gateway::problem::Problem;
use crate::limits::{EVENTS_PER_BATCH_COUNT_MAX, MESSAGE_ID_BYTES_MAX, PROFILES_PER_TOKEN_COUNT_MAX};
use crate::progress::{DeviceId, PlaybackEvent, ProfileId, SessionId};
use crate::time::WallTime;

/// How often a player says where it is while it plays, in milliseconds.
const HEARTBEAT_MS: u64 = 10_000;

/// The client's own id of a message: a number or a text, in JSON as it came. Empty where it gave none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct MessageId(Box<str>);

/// A message of a client.
#[derive(Debug)]
pub(super) enum Message {
    Hello(Box<Hello>),
    Events(MessageId, Batch),
    /// A message of an existing player, of which nothing but its type has been read.
    Dialect(SocketDialect),
    State(MessageId, StateFrame),
    Join(MessageId, PartyFrame),
    Leave(MessageId, PartyFrame),
    Control(MessageId, PartyFrame),
    Ping(MessageId),
}

impl Message {
    /// The id of a message that counts as a request of the account. Reports are counted by their profiles, and a hello where its token is known.
    pub(super) fn counted(&self) -> Option<&MessageId> {
        match self {
            Self::State(id, _) | Self::Join(id, _) | Self::Leave(id, _) | Self::Control(id, _) | Self::Ping(id) => Some(id),
            Self::Events(id, batch) => batch.events.is_empty().then_some(id),
            Self::Hello(_) | Self::Dialect(_) => None,
        }
    }
}

/// Who the client is and what it follows.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) token: Option<String>,
    pub(super) device: Option<DeviceId>,
    /// Each with the cursor to go on from.
    pub(super) profiles: Vec<(ProfileId, Option<String>)>,
}

/// A message that cannot be taken, and the id that it had, as far as could be seen.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) id: MessageId,
    pub(super) problem: Problem,
}

#[derive(Deserialize)]
enum EventsTag {
    #[serde(rename = "events")]
    Events,
}

/// Nearly all messages: decoded in one go.
#[derive(Deserialize)]
struct EventsFrame<'a> {
    #[serde(rename = "type")]
    _tag: EventsTag,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    sent_at_ms: Option<u64>,
    events: Vec<PlaybackEvent>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct HelloFrame {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    since: Option<Since>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Since {
    OfAll(String),
    OfEach(BTreeMap<String, String>),
}

fn malformed(reason: impl Into<String>) -> Problem {
    Problem::Malformed { reason: reason.into() }
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Result<Message, Fault> {
    if let Ok(frame) = serde_json::from_str::<EventsFrame<'_>>(text)
        && frame.events.len() <= EVENTS_PER_BATCH_COUNT_MAX
    {
        let id = message_id(frame.id)?;
        let indices = (0..frame.events.len() as u32).map(Some).collect();
        let sent_at = frame.sent_at_ms.map(WallTime::from_millis);
        return Ok(Message::Events(id, Batch { sent_at, events: frame.events, indices, ..Batch::default() }));
    }
    let nameless = |problem| Fault { id: MessageId::default(), problem };
    let head: Head<'_> = serde_json::from_str(text).map_err(|error| nameless(malformed(error.to_string())))?;
    // Dialects have ids of other kinds, or none.
    if let Some(dialect) = SocketDialect::of(&head.kind) {
        return Ok(Message::Dialect(dialect));
    }
    let id = message_id(head.id)?;
    let message = match &*head.kind {
        "hello" => hello(text).map(|hello| Message::Hello(Box::new(hello))),
        "events" => body::batch(text.as_bytes()).map(|batch| Message::Events(id.clone(), batch)),
        "state" => frame(text).map(|frame| Message::State(id.clone(), frame)),
        "party.join" => frame(text).map(|frame| Message::Join(id.clone(), frame)),
        "party.leave" => frame(text).map(|frame| Message::Leave(id.clone(), frame)),
        "party.control" => frame(text).map(|frame| Message::Control(id.clone(), frame)),
        "ping" => Ok(Message::Ping(id.clone())),
        other => Err(Problem::UnknownType { kind: other.chars().take(64).collect() }),
    };
    message.map_err(|problem| Fault { id, problem })
}

fn message_id(raw: Option<&RawValue>) -> Result<MessageId, Fault> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(MessageId::default()) };
    let is_scalar = raw.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
    if raw.len() > MESSAGE_ID_BYTES_MAX || !is_scalar {
        let problem = malformed(format!("an id is a number or a text of at most {MESSAGE_ID_BYTES_MAX} bytes"));
        return Err(Fault { id: MessageId::default(), problem });
    }
    Ok(MessageId(raw.into()))
}

fn frame<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| malformed(error.to_string()))
}

fn hello(text: &str) -> Result<Hello, Problem> {
    let frame: HelloFrame = frame(text)?;
    if frame.profiles.len() > PROFILES_PER_TOKEN_COUNT_MAX {
        return Err(malformed(format!("{} profiles, at most {PROFILES_PER_TOKEN_COUNT_MAX} are followed", frame.profiles.len())));
    }
    let device = frame.device_id.map(DeviceId::new).transpose().map_err(|source| Problem::BadId { field: "device_id", source })?;
    let mut profiles: Vec<(ProfileId, Option<String>)> = Vec::with_capacity(frame.profiles.len());
    for profile in frame.profiles {
        let since = match &frame.since {
            None => None,
            Some(Since::OfAll(cursor)) => Some(cursor.clone()),
            Some(Since::OfEach(cursors)) => cursors.get(&profile).cloned(),
        };
        let profile = ProfileId::new(profile).map_err(|source| Problem::BadId { field: "profiles", source })?;
        if !profiles.iter().any(|(known, _)| *known == profile) {
            profiles.push((profile, since));
        }
    }
    Ok(Hello { token: frame.token, device, profiles })
}

/// Begins an object of the given type, with the id of what it answers.
fn begin(kind: &str, id: &MessageId) -> String {
    let mut json = String::with_capacity(192);
    // Writing to a string does not fail, here and below.
    let _ = write!(json, "{{\"type\":\"{kind}\"");
    if !id.0.is_empty() {
        let _ = write!(json, ",\"id\":{}", id.0);
    }
    json
}

/// Appends a field, given as JSON would have it.
fn put(json: &mut String, name: &str, value: &impl Serialize) {
    // Texts, numbers and lists of them are always JSON.
    let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    let _ = write!(json, ",\"{name}\":{value}");
}

fn end(mut json: String) -> Utf8Bytes {
    json.push('}');
    json.into()
}

pub(super) fn welcome(now: WallTime, cursor: &str) -> Utf8Bytes {
    let mut json = begin("welcome", &MessageId::default());
    let _ = write!(json, ",\"server_time_ms\":{},\"heartbeat_ms\":{HEARTBEAT_MS}", now.as_millis());
    put(&mut json, "cursor", &cursor);
    end(json)
}

pub(super) fn ack(id: &MessageId, counted: &Counted, now: WallTime) -> Utf8Bytes {
    let mut json = begin("ack", id);
    let _ = write!(json, ",\"accepted\":{}", counted.accepted);
    if counted.refused.is_empty() {
        json.push_str(",\"refused\":[]");
    } else {
        put(&mut json, "refused", &counted.refused);
    }
    json.push_str(",\"versions\":{");
    for (position, (index, version)) in counted.versions.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        let _ = write!(json, "{comma}\"{index}\":{}", version.as_u64());
    }
    let _ = write!(json, "}},\"server_time_ms\":{}", now.as_millis());
    end(json)
}

pub(super) fn pong(id: &MessageId, now: WallTime) -> Utf8Bytes {
    let mut json = begin("pong", id);
    let _ = write!(json, ",\"server_time_ms\":{}", now.as_millis());
    end(json)
}

pub(super) fn error(id: &MessageId, problem: &Problem) -> Utf8Bytes {
    let mut json = begin("error", id);
    put(&mut json, "code", &problem.code());
    put(&mut json, "reason", &problem.to_string());
    if let Some(retry_ms) = problem.retry_ms() {
        let _ = write!(json, ",\"retry_after_ms\":{retry_ms}");
    }
    end(json)
}

pub(super) fn bye(code: &str, retry_ms: u64, session: Option<&SessionId>) -> Utf8Bytes {
    let mut json = begin("bye", &MessageId::default());
    put(&mut json, "code", &code);
    let _ = write!(json, ",\"retry_after_ms\":{retry_ms}");
    if let Some(session) = session {
        put(&mut json, "session_id", &session.as_str());
    }
    end(json)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gateway::batch::RefusedEvent;
    use crate::progress::Version;

    fn json_of(text: &Utf8Bytes) -> Value {
        serde_json::from_str(text.as_str()).unwrap()
    }

    #[test]
    fn what_the_node_says_is_json_with_the_id_of_what_it_answers() {
        let Ok(Message::Ping(id)) = read(r#"{"id":"a\"b","type":"ping"}"#) else { panic!() };
        let now = WallTime::from_millis(7);
        assert_eq!(json_of(&pong(&id, now)), json!({"type":"pong","id":"a\"b","server_time_ms":7}));
        let refused = vec![RefusedEvent { index: 1, code: "bad_id", reason: "\"no\"".to_owned() }];
        let counted = Counted { accepted: 2, versions: vec![(0, Version::from_u64(5)), (2, Version::FIRST)], refused };
        assert_eq!(
            json_of(&ack(&MessageId("12".into()), &counted, now)),
            json!({"type":"ack","id":12,"accepted":2,"refused":[{"index":1,"code":"bad_id","reason":"\"no\""}],
                   "versions":{"0":5,"2":0},"server_time_ms":7})
        );
        assert_eq!(json_of(&bye("restart", 9, None)), json!({"type":"bye","code":"restart","retry_after_ms":9}));
        assert_eq!(json_of(&welcome(now, "c")), json!({"type":"welcome","server_time_ms":7,"heartbeat_ms":10_000,"cursor":"c"}));
        let error = json_of(&error(&MessageId::default(), &Problem::Overloaded { retry_ms: 3 }));
        assert_eq!((&error["code"], &error["retry_after_ms"], error.get("id")), (&json!("overloaded"), &json!(3), None));
    }

    #[test]
    fn one_bad_event_is_refused_by_itself_here_too() {
        let text = r#"{"type":"events","id":1,"events":[{"profile_id":"p","title_id":"t","device_id":"d","kind":"PLAY","position_ms":1},
            {"kind":"PLAY","position_ms":-1}]}"#;
        let Ok(Message::Events(id, batch)) = read(text) else { panic!() };
        assert_eq!(id, MessageId("1".into()));
        assert_eq!((batch.indices.len(), batch.refused.len()), (1, 1));
    }

    #[test]
    fn a_hello_takes_one_cursor_for_all_profiles_or_one_for_each() {
        let hello = |text: &str| match read(text) {
            Ok(Message::Hello(hello)) => hello.profiles.into_iter().map(|(_, since)| since).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(hello(r#"{"type":"hello","profiles":["a","b","a"]}"#), [None, None]);
        assert_eq!(hello(r#"{"type":"hello","profiles":["a"],"since":"x"}"#), [Some("x".to_owned())]);
        assert_eq!(hello(r#"{"type":"hello","profiles":["a","b"],"since":{"b":"y"}}"#), [None, Some("y".to_owned())]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_id_where_it_has_one() {
        for (text, code) in [
            ("", "malformed"),
            ("[]", "malformed"),
            ("{}", "malformed"),
            (r#"{"type":7}"#, "malformed"),
            (r#"{"type":"dance"}"#, "unknown_type"),
            (r#"{"type":"ping","id":{}}"#, "malformed"),
            (r#"{"type":"ping","id":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#, "malformed"),
            (r#"{"type":"events"}"#, "malformed"),
            (r#"{"type":"hello","profiles":[""]}"#, "bad_id"),
            (r#"{"type":"hello","profiles":7}"#, "malformed"),
        ] {
            assert_eq!(read(text).unwrap_err().problem.code(), code, "{text}");
        }
        assert_eq!(read(r#"{"type":"dance","id":4}"#).unwrap_err().id, MessageId("4".into()));
        let deep = format!("{{\"type\":\"ping\",\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        let _ = read(&deep);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}|[\\[\\]{}\",:0-9a-z]{0,80}", kind in "hello|events|ping|state|x") {
            let _ = read(&text);
            let _ = read(&format!("{{\"type\":\"{kind}\",\"id\":1,\"events\":{text}}}"));
            let _ = read(&format!("{{\"type\":\"{kind}\",{text}}}"));
        }
    }
}
