//! A node in this process, and a client of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use leftoff::daemon::{Config, Node};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Nothing on loopback takes this long; a test that waits for it has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Asserts that this is a problem of the given status and code, as RFC 9457 says.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:leftoff:problem:{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()) && problem["title"].is_string());
        assert!(!self.header("x-request-id").is_empty());
    }
}

/// A client of one listener.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    agent: ureq::Agent,
    token: Option<String>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).proxy(None).build().new_agent();
        Self { address, agent, token: None }
    }

    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = if matches!(method, "GET" | "DELETE") && body.is_empty() {
            self.agent.run(request.body(()).unwrap()).unwrap()
        } else {
            self.agent.run(request.body(body.to_vec()).unwrap()).unwrap()
        };
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        Answer { status: answer.status().as_u16(), headers, text: answer.body_mut().read_to_string().unwrap() }
    }

    /// Records events that must all be accepted.
    #[track_caller]
    pub fn record(&self, events: &[Value]) -> Value {
        let answer = self.post("/v1/events", &json!({ "events": events }));
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["accepted"], events.len(), "{answer}");
        answer
    }

    /// Where a title is resumed.
    #[track_caller]
    pub fn progress(&self, profile: &str, title: &str) -> Value {
        let answer = self.get(&format!("/v1/profiles/{profile}/titles/{title}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// An event with what every event has.
pub fn event(profile: &str, title: &str, device: &str, kind: &str, position_ms: u64) -> Value {
    json!({"profile_id": profile, "title_id": title, "device_id": device, "kind": kind, "position_ms": position_ms})
}

/// Another field in an event.
pub fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

/// A node in a folder of its own, in this process.
pub struct TestNode {
    pub http: Client,
    pub admin: Client,
    pub folder: TempDir,
    runtime: Runtime,
    node: Option<Node>,
}

impl TestNode {
    /// A node without tokens.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A node with settings, as the environment would give them.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), settings)
    }

    pub fn in_folder(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().unwrap();
        let node = runtime.block_on(Node::start(config(folder.path(), settings))).unwrap();
        let (http, admin) = (Client::new(node.gateway_addr()), Client::new(node.admin_addr()));
        Self { http, admin, folder, runtime, node: Some(node) }
    }

    /// Reloads with settings, as a changed configuration would give them.
    pub fn reload(&self, settings: &[(&str, &str)]) {
        self.node.as_ref().unwrap().reload(&config(self.folder.path(), settings));
    }

    /// Stops the node and gives its folder back.
    pub fn stop(mut self) -> TempDir {
        let node = self.node.take().unwrap();
        assert!(self.runtime.block_on(node.shutdown()), "it stops in time");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        drop(self);
        folder
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            self.runtime.block_on(node.shutdown());
        }
    }
}

/// The configuration of a node in a folder, on free ports.
pub fn config(folder: &Path, settings: &[(&str, &str)]) -> Config {
    let ports =
        [("LEFTOFF_GATEWAY__LISTEN", "127.0.0.1:0"), ("LEFTOFF_QUIC__LISTEN", "127.0.0.1:0"), ("LEFTOFF_ADMIN__LISTEN", "127.0.0.1:0")];
    let mut environment: Vec<(std::ffi::OsString, std::ffi::OsString)> =
        ports.iter().chain(settings).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    environment.push(("LEFTOFF_NODE__DATA_DIR".into(), folder.into()));
    environment.push(("LEFTOFF_LOG__FILTER".into(), "warn".into()));
    Config::from_sources(None, true, environment).unwrap()
}

/// Sends bytes as they are and reads until the other side closes.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // Closed with what was sent still unread, a socket answers with a reset: what came before it counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits for a condition, in small steps, until the deadline.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = leftoff::time::system::monotonic_now();
    let (_keep, tick) = std::sync::mpsc::channel::<()>();
    while !condition() {
        assert!(leftoff::time::system::monotonic_now().saturating_since(begun) < DEADLINE, "not in time: {what}");
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
}
