//! Problems: everything that may go wrong with a request, as RFC 9457 documents. The only place that knows status codes.
//!
//! A problem leaves a handler without its request's id; the outermost layer writes the document, because it knows the id.

use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ephemeral::PartyError;
use crate::limits::{EVENTS_BODY_BYTES_MAX, EVENTS_PER_BATCH_COUNT_MAX, SOCKET_FRAME_BYTES_MAX, TITLES_PER_PROFILE_COUNT_MAX};
use crate::progress::IdError;
use crate::replica::{NotDurable, RecordError, TokenError};
use crate::store::{AppendError, ReadError};

/// How long a client is asked to stay away when nothing better is known, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// How long a client is asked to stay away from what somebody else has to free, in milliseconds.
const STREAM_RETRY_MS: u64 = 10_000;

/// Why a request was not answered as asked. `code` is stable, `detail` is for people.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The body is no batch of events.
    #[error("the body is not what is expected here: {reason}")]
    Malformed { reason: String },
    /// An id in the path.
    #[error("{field}: {source}")]
    BadId { field: &'static str, source: IdError },
    /// The path is not UTF-8 once decoded.
    #[error("the path cannot be read: {reason}")]
    BadPath { reason: String },
    /// A parameter of the query.
    #[error("{name}: {reason}")]
    BadQuery { name: &'static str, reason: String },
    /// No token.
    #[error("send 'Authorization: Bearer <token>' once")]
    TokenMissing,
    /// A token that grants nothing.
    #[error(transparent)]
    Token(TokenError),
    /// Another's profile, or nobody's.
    #[error("the token does not hold this profile")]
    ProfileNotInToken,
    /// The token does not allow this.
    #[error("the token does not allow to {scope}")]
    ScopeMissing { scope: &'static str },
    /// From a page or host name that has no business here.
    #[error("without tokens, this listener answers to an address or to 'localhost' only")]
    ForeignHost,
    /// From a page of another origin, where no token tells whether it may.
    #[error("pages of this origin may not use the node; gateway.origins lists those that may")]
    ForeignOrigin,
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// No such method on this path.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body broke off.
    #[error("the body broke off")]
    BodyBroken,
    /// The profile is full.
    #[error("the profile holds {TITLES_PER_PROFILE_COUNT_MAX} titles, more are not kept")]
    TooManyTitles,
    /// The account has as many streams as it may.
    #[error("the account has {limit} streams, more are not allowed at once")]
    TooManyStreams { limit: usize },
    /// A session that others of its account, started earlier, have displaced.
    #[error("streams of this account that were started earlier take up all there are; this session has ended")]
    StreamTaken,
    /// An id that is another session's.
    #[error("the session id is taken; leave session_id out to be given a fresh one")]
    SessionTaken,
    /// A session that is over, or another's, or never was.
    #[error("there is no such session, or it is over; start one")]
    SessionGone,
    /// What a party does not allow.
    #[error(transparent)]
    Party(PartyError),
    /// A table of this node is full.
    #[error("this node takes no more {what}")]
    Full { what: &'static str },
    /// A message on a WebSocket beyond the bound.
    #[error("the message is larger than {SOCKET_FRAME_BYTES_MAX} bytes; send smaller batches")]
    FrameTooLarge,
    /// A message on a WebSocket of a type that nobody knows.
    #[error("messages of type '{kind}' are not known")]
    UnknownType { kind: String },
    /// A request to a path that speaks WebSocket only.
    #[error("open a WebSocket here: {reason}")]
    UpgradeRequired { reason: String },
    /// A body beyond the bound.
    #[error("the body is larger than {EVENTS_BODY_BYTES_MAX} bytes; send smaller batches")]
    BodyTooLarge,
    /// Too many events.
    #[error("{count} events, at most {EVENTS_PER_BATCH_COUNT_MAX} are taken; send smaller batches")]
    TooManyEvents { count: usize },
    /// A media type that is not taken.
    #[error("send application/json (or text/plain with JSON in it)")]
    MediaType,
    /// A fault of ours.
    #[error("something went wrong here; the request id leads to it in the node's log")]
    Internal,
    /// What the admin was asked to do did not work.
    #[error("{reason}")]
    Failed { reason: String },
    /// Too much at once.
    #[error("more is asked for than can be done now")]
    Overloaded { retry_ms: u64 },
    /// One profile reports, or one account asks, faster than it may.
    #[error("more of this profile or account than is allowed; come back in {retry_ms} ms")]
    RateLimited { retry_ms: u64 },
    /// The replica must not serve now.
    #[error("the node is not ready: {reason}")]
    NotReady { reason: String },
    /// The work took too long. What was asked for may have been done; asking again does no harm.
    #[error("the request took too long; it may be repeated")]
    Timeout,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. }
            | Self::BadId { .. }
            | Self::BadPath { .. }
            | Self::BadQuery { .. }
            | Self::BodyBroken
            | Self::UnknownType { .. }
            | Self::Party(PartyError::Position { .. }) => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::ProfileNotInToken
            | Self::ScopeMissing { .. }
            | Self::ForeignHost
            | Self::ForeignOrigin
            | Self::Party(PartyError::NotInvited | PartyError::NotHost) => StatusCode::FORBIDDEN,
            Self::NotFound | Self::SessionGone => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyStreams { .. } | Self::StreamTaken | Self::RateLimited { .. } | Self::Party(PartyError::TooMany) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::TooManyTitles | Self::SessionTaken | Self::Party(PartyError::NotJoined | PartyError::Taken) => StatusCode::CONFLICT,
            Self::UpgradeRequired { .. } => StatusCode::UPGRADE_REQUIRED,
            Self::BodyTooLarge | Self::FrameTooLarge | Self::TooManyEvents { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Internal | Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded { .. } | Self::NotReady { .. } | Self::Timeout | Self::Party(PartyError::Full { .. }) | Self::Full { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// A stable word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::BadId { .. } => "bad_id",
            Self::BadPath { .. } => "bad_path",
            Self::BadQuery { .. } => "bad_query",
            Self::TokenMissing => "token_missing",
            Self::Token(TokenError::Expired) => "token_expired",
            Self::Token(TokenError::NotYet) => "token_not_yet",
            Self::Token(_) => "token_invalid",
            Self::ProfileNotInToken => "profile_not_in_token",
            Self::ScopeMissing { .. } => "scope_missing",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::TooManyTitles => "too_many_titles",
            Self::TooManyStreams { .. } | Self::StreamTaken => "too_many_streams",
            Self::SessionTaken => "session_taken",
            Self::SessionGone => "session_gone",
            Self::Party(PartyError::NotInvited) => "not_invited",
            Self::Party(PartyError::NotJoined) => "not_joined",
            Self::Party(PartyError::NotHost) => "not_host",
            Self::Party(PartyError::Position { .. }) => "position_too_large",
            Self::Party(PartyError::TooMany) => "too_many_parties",
            Self::Party(PartyError::Full { .. }) | Self::Full { .. } => "full",
            Self::Party(_) => "party_taken",
            Self::FrameTooLarge => "frame_too_large",
            Self::UnknownType { .. } => "unknown_type",
            Self::UpgradeRequired { .. } => "upgrade_required",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyEvents { .. } => "too_many_events",
            Self::MediaType => "media_type",
            Self::Internal => "internal",
            Self::Failed { .. } => "failed",
            Self::Overloaded { .. } => "overloaded",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotReady { .. } => "not_ready",
            Self::Timeout => "timeout",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Malformed { .. }
            | Self::BadId { .. }
            | Self::BadPath { .. }
            | Self::BadQuery { .. }
            | Self::BodyBroken
            | Self::UnknownType { .. }
            | Self::Party(PartyError::Position { .. }) => "The request cannot be understood",
            Self::TokenMissing | Self::Token(_) => "A valid token is needed",
            Self::ProfileNotInToken | Self::ScopeMissing { .. } | Self::ForeignHost | Self::ForeignOrigin => "Not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::BodyTimeout => "The body came too slowly",
            Self::TooManyTitles => "The profile is full",
            Self::TooManyStreams { .. } | Self::StreamTaken => "Too many streams",
            Self::Party(PartyError::TooMany) => "Too many parties",
            Self::SessionTaken | Self::SessionGone => "No such session",
            Self::Party(PartyError::NotInvited | PartyError::NotHost | PartyError::NotJoined | PartyError::Taken) => "Not in this party",
            Self::UpgradeRequired { .. } => "A WebSocket is spoken here",
            Self::BodyTooLarge | Self::FrameTooLarge | Self::TooManyEvents { .. } => "Too much at once",
            Self::MediaType => "Unsupported media type",
            Self::Internal | Self::Failed { .. } => "The node failed",
            Self::Overloaded { .. }
            | Self::RateLimited { .. }
            | Self::NotReady { .. }
            | Self::Timeout
            | Self::Party(PartyError::Full { .. })
            | Self::Full { .. } => "Not now",
        }
    }

    /// How long to stay away, in milliseconds, where that would help.
    pub(super) fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_ms } | Self::RateLimited { retry_ms } => Some(*retry_ms),
            // What frees a stream is a viewer who stops, or a lease that ends; a party too.
            Self::TooManyStreams { .. }
            | Self::StreamTaken
            | Self::Full { .. }
            | Self::Party(PartyError::Full { .. } | PartyError::TooMany) => Some(STREAM_RETRY_MS),
            Self::NotReady { .. } | Self::Timeout => Some(RETRY_MS),
            _ => None,
        }
    }

    /// The document, for the request with the given id.
    pub(super) fn document(&self, request_id: &str) -> Response {
        let status = self.status();
        let retry_ms = self.retry_ms();
        let document = Document {
            kind: format!("urn:leftoff:problem:{}", self.code()),
            title: self.title(),
            status: status.as_u16(),
            code: self.code(),
            detail: self.to_string(),
            request_id,
            retry_after_ms: retry_ms,
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(retry_ms) = retry_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_ms.div_ceil(1_000).max(1)));
        }
        match self {
            Self::TokenMissing => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Token(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            Self::ScopeMissing { .. } => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\""));
            }
            _ => {}
        }
        response
    }
}

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // The document follows in the outermost layer; the status is right already for what lies between.
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Append(AppendError::Overloaded { retry_ms, .. }) => Self::Overloaded { retry_ms },
            RecordError::Append(AppendError::Closed(reason)) => Self::NotReady { reason: reason.to_string() },
            RecordError::Append(AppendError::TooLarge { .. }) => Self::BodyTooLarge,
            RecordError::NotReady { reason } => Self::NotReady { reason },
            RecordError::Read(error) => error.into(),
            RecordError::NotDurable(error) => error.into(),
        }
    }
}

impl From<PartyError> for Problem {
    fn from(error: PartyError) -> Self {
        Self::Party(error)
    }
}

impl From<NotDurable> for Problem {
    fn from(error: NotDurable) -> Self {
        Self::NotReady { reason: error.to_string() }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "reading failed");
        Self::Internal
    }
}

/// Copies the methods that a path takes from the router's own answer.
pub(super) fn keep_allow(from: &Response, to: &mut Response) {
    if let Some(allow) = from.headers().get(ALLOW) {
        to.headers_mut().insert(ALLOW, allow.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Texts between backticks.
    fn quoted(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_code_stands_in_the_table_of_problems_and_every_code_of_the_table_exists() {
        let source = include_str!("problem.rs");
        let (_, code) = source.split_once("fn code(&self)").unwrap();
        let (code, _) = code.split_once("\n    }\n").unwrap();
        let codes: BTreeSet<&str> = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(codes.len() > 20, "{codes:?}");
        let docs = include_str!("../../docs/http.md");
        let (_, section) = docs.split_once("## Problems").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
        let told: BTreeSet<&str> = rows.flat_map(|row| quoted(row.split('|').nth(2).unwrap())).collect();
        assert_eq!(codes.difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new(), "in the code and not in docs/http.md");
        assert_eq!(told.difference(&codes).collect::<Vec<_>>(), Vec::<&&str>::new(), "in docs/http.md and not in the code");
    }
}
