//! The client of a running node: HTTP by `ureq`, with a token, and problems as failures in the node's own words.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use super::failure::Failure;

const GATEWAY_URL: &str = "http://127.0.0.1:7400";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which node, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The node's gateway [default: http://127.0.0.1:7400]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A token; better kept in a file, where other users' `ps` does not see it
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with a token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For https: the certificate authorities to trust, PEM; the system's if left out
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

/// Where the operator reaches a node.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AdminArgs {
    /// The node's admin listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7402")]
    pub(super) admin_url: String,
}

/// A client of one node.
pub(super) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

/// What a node said instead of yes.
#[derive(Debug)]
pub(super) enum Refused {
    /// It may say yes later: overloaded, not ready, or not reachable.
    Later(Failure, Duration),
    /// It will not.
    Never(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Later(failure, _) | Refused::Never(failure) => failure,
        }
    }
}

impl NodeArgs {
    /// Whether anything was said of the gateway at all.
    pub(super) fn is_told(&self) -> bool {
        self.url.is_some() || self.token.is_some() || self.token_file.is_some() || self.tls_ca.is_some()
    }

    /// A client of the node's gateway.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| Failure::of(path.display(), &error))?;
                Some(text.trim().to_owned())
            }
            (None, None) => None,
        };
        Client::trusting(self.url.as_deref().unwrap_or(GATEWAY_URL), token.as_deref(), self.tls_ca.as_deref())
    }
}

impl AdminArgs {
    /// A client of the node's admin listener.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.admin_url, None)
    }
}

impl Client {
    /// A client of the node at a URL.
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        Self::trusting(url, token, None)
    }

    /// The same, for https, under the authorities in a file instead of the system's.
    fn trusting(url: &str, token: Option<&str>, authorities: Option<&Path>) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Failure::new(format!("'{url}' is not a URL; it looks like http://127.0.0.1:7400")));
        }
        let roots = if base.starts_with("https://") { trusted(authorities)? } else { Vec::new() };
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(ureq::tls::RootCerts::new_with_certs(&roots))
            .build();
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("leftoff/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { agent, base, authorization: token.map(|token| format!("Bearer {token}")) })
    }

    /// The JSON at a path.
    pub(super) fn get(&self, path: &str) -> Result<Value, Refused> {
        json(self.open(path)?)
    }

    /// What is at a path, to be read piece by piece.
    pub(super) fn open(&self, path: &str) -> Result<Response<ureq::Body>, Refused> {
        self.answered(self.agent.get(format!("{}{path}", self.base)))
    }

    /// The same of what does not end by itself, until nothing comes of it for so long.
    pub(super) fn follow(&self, path: &str, silence_max: Duration) -> Result<Response<ureq::Body>, Refused> {
        let request = self.agent.get(format!("{}{path}", self.base)).config().timeout_per_read(Some(silence_max)).build();
        self.answered(request)
    }

    fn answered(&self, mut request: ureq::RequestBuilder<ureq::typestate::WithoutBody>) -> Result<Response<ureq::Body>, Refused> {
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.checked(request.call())
    }

    /// Sends JSON to a path. The answer is null where the node says nothing.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        json(self.checked(request.send_json(body))?)
    }

    /// The same, with as long as it takes for the answer.
    pub(super) fn post_patiently(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let request = self.agent.post(format!("{}{path}", self.base)).config().timeout_recv_response(None).build();
        json(self.checked(request.send_json(body))?)
    }

    fn checked(&self, answer: Result<Response<ureq::Body>, ureq::Error>) -> Result<Response<ureq::Body>, Refused> {
        let answer = answer.map_err(|error| {
            let failure = Failure::of(format!("{} cannot be reached (is the node running?)", self.base), &error);
            Refused::Later(failure, Duration::from_secs(1))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let failure = Failure::new(format!("the node refused: {}", told(status, answer)));
        Err(match retry {
            Some(seconds) => Refused::Later(failure, Duration::from_secs(seconds)),
            None if status == StatusCode::SERVICE_UNAVAILABLE => Refused::Later(failure, Duration::from_secs(1)),
            None => Refused::Never(failure),
        })
    }
}

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

fn trusted(authorities: Option<&Path>) -> Result<Vec<ureq::tls::Certificate<'static>>, Failure> {
    let path = authorities
        .or_else(|| SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.is_file()))
        .ok_or_else(|| Failure::new("no certificate authorities found on this system; name a file with --tls-ca"))?;
    let pem = std::fs::read(path).map_err(|error| Failure::of(path.display(), &error))?;
    let found: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(Failure::new(format!("{} holds no certificate", path.display()))) } else { Ok(found) }
}

fn told(status: StatusCode, mut answer: Response<ureq::Body>) -> String {
    let problem: Value = answer.body_mut().with_config().limit(64 << 10).read_json().unwrap_or_default();
    match (problem["detail"].as_str(), problem["code"].as_str()) {
        (Some(detail), Some(code)) => {
            let request = problem["request_id"].as_str().unwrap_or("-");
            format!("{detail} ({status}, {code}, request {request})")
        }
        _ => status.to_string(),
    }
}

fn json(mut answer: Response<ureq::Body>) -> Result<Value, Refused> {
    let garbled = |error: &dyn std::error::Error| Refused::Never(Failure::of("the node's answer cannot be read", error));
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(|error| garbled(&error))?;
    if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).map_err(|error| garbled(&error)) }
}

/// An id as a segment of a path: everything but letters, digits and `-._~` percent-encoded.
pub(super) fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A dot or two alone mean a folder to some who stand between.
    if matches!(out.as_str(), "." | "..") { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_travels_as_one_segment() {
        assert_eq!(segment("account/profile"), "account%2Fprofile");
        assert_eq!(segment("Chernobyl 1986: Teil ü?"), "Chernobyl%201986%3A%20Teil%20%C3%BC%3F");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
