//! A client of a node as platforms write them: JSON over HTTP, held to the contract of the surfaces and to nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use leftoff::progress::PlaybackEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::Agent;

/// A request that takes longer has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// One place, as it is shown.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) version: u64,
    pub(crate) position_ms: u64,
    pub(crate) touched_ms: u64,
}

/// A register, as it is shown.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Progress {
    pub(crate) profile_id: String,
    pub(crate) title_id: String,
    pub(crate) series_id: Option<String>,
    pub(crate) started: bool,
    pub(crate) position_ms: u64,
    pub(crate) version: u64,
    pub(crate) high_ms: u64,
    pub(crate) places: Vec<Place>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) completed: bool,
    pub(crate) furthest_ms: u64,
    pub(crate) state: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) at_ms: Option<u64>,
    pub(crate) hidden: bool,
    #[serde(default)]
    pub(crate) cursor: String,
}

impl Progress {
    /// What a node never takes back.
    pub(crate) fn mark(&self) -> (u64, u64) {
        (self.version, self.high_ms)
    }

    /// The node's epoch and the sequence number in the cursor.
    pub(crate) fn number(&self) -> (String, u64) {
        let (epoch, seq) = self.cursor.rsplit_once('-').unwrap();
        (epoch.to_owned(), seq.parse().unwrap())
    }
}

/// One refused event.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) index: usize,
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// The answer to a batch.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) accepted: usize,
    pub(crate) refused: Vec<Refused>,
    pub(crate) versions: BTreeMap<usize, u64>,
    pub(crate) server_time_ms: u64,
    #[serde(default)]
    pub(crate) progress: Vec<Progress>,
}

#[derive(Deserialize)]
struct Items {
    items: Vec<Progress>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Batch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at_ms: Option<u64>,
    events: &'a [PlaybackEvent],
}

/// Why a request was not answered as asked.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The node could not be reached, or broke off.
    Line(String),
    /// It answered with a problem.
    Problem { status: u16, code: String, document: Value },
}

impl Trouble {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Line(_) => None,
            Self::Problem { status, .. } => Some(*status),
        }
    }

    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Line(_) => None,
            Self::Problem { code, .. } => Some(code),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(reason) => f.write_str(reason),
            Self::Problem { status, document, .. } => write!(f, "{status}: {document}"),
        }
    }
}

/// A client of one node, as one account or as anybody.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).http_status_as_error(false).build();
        Self { agent: config.new_agent(), base: format!("http://{address}"), token: None }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request and answers status and body.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Result<(u16, String), Trouble> {
        let line = |error: ureq::Error| Trouble::Line(error.to_string());
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let mut answer = match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        }
        .map_err(line)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(line)?;
        if status >= 400 {
            let document: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            let code = document.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            return Err(Trouble::Problem { status, code, document });
        }
        Ok((status, text))
    }

    fn get<T: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<T, Trouble> {
        let (_, text) = self.send("GET", path, None)?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    }

    /// Reports a batch, as a device that does not know its own time.
    pub(crate) fn report(&self, events: &[PlaybackEvent]) -> Result<Accepted, Trouble> {
        self.report_at(None, events)
    }

    /// Reports a batch; `sent_at_ms` is the device's clock.
    pub(crate) fn report_at(&self, sent_at_ms: Option<u64>, events: &[PlaybackEvent]) -> Result<Accepted, Trouble> {
        let body = serde_json::to_string(&Batch { sent_at_ms, events }).unwrap();
        let (_, text) = self.send("POST", "/v1/events", Some(&body))?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    pub(crate) fn resume(&self, profile: &str, title: &str) -> Result<Progress, Trouble> {
        self.get(&format!("/v1/profiles/{profile}/titles/{title}"))
    }

    pub(crate) fn resume_under(&self, policy: &str, profile: &str, title: &str) -> Result<Progress, Trouble> {
        self.get(&format!("/v1/profiles/{profile}/titles/{title}?policy={policy}"))
    }

    /// The continue-watching row, as titles.
    pub(crate) fn row(&self, profile: &str) -> Result<Vec<String>, Trouble> {
        let row: Items = self.get(&format!("/v1/profiles/{profile}/continue-watching"))?;
        Ok(row.items.into_iter().map(|item| item.title_id).collect())
    }

    /// The whole history of a profile.
    pub(crate) fn history(&self, profile: &str) -> Result<Vec<Progress>, Trouble> {
        let mut history = Vec::new();
        let mut after = String::new();
        loop {
            let page: Items = self.get(&format!("/v1/profiles/{profile}/titles?limit=500{after}"))?;
            history.extend(page.items);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(history),
            }
        }
    }

    pub(crate) fn hide(&self, profile: &str, title: &str) -> Result<(), Trouble> {
        self.send("POST", &format!("/v1/profiles/{profile}/titles/{title}/hide"), None).map(|_| ())
    }

    pub(crate) fn erase(&self, profile: &str) -> Result<(), Trouble> {
        self.send("DELETE", &format!("/v1/profiles/{profile}"), None).map(|_| ())
    }
}
