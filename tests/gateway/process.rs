//! A node as a process: signals, the data folder, and what wrong configuration is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Client, DEADLINE, event, eventually};

/// A node in a process of its own.
pub struct NodeProcess {
    child: Child,
    pub http: Client,
    pub admin: Client,
    pub log: Arc<Mutex<Vec<Value>>>,
}

pub fn leftoff() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leftoff"));
    // Settings of whoever runs the tests are none of a node's.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEFTOFF_")) {
        command.env_remove(name);
    }
    command
}

fn serve(folder: &Path) -> Command {
    let mut command = leftoff();
    command.args(["serve", "--dev"]).env("LEFTOFF_NODE__DATA_DIR", folder).env("LEFTOFF_LOG__FORMAT", "json");
    for section in ["GATEWAY", "QUIC", "ADMIN"] {
        command.env(format!("LEFTOFF_{section}__LISTEN"), "127.0.0.1:0");
    }
    command
}

/// A node that wants tokens by the keys of a file.
pub fn serve_with_tokens(folder: &Path, setting: &str, keys: &Path, filter: &str) -> Command {
    let mut command = serve(folder);
    command.env(setting, keys).env("LEFTOFF_LOG__FILTER", filter).env("LEFTOFF_AUTH__LEEWAY_MS", "0");
    command
}

impl NodeProcess {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    pub fn start_with(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = serve(folder);
        command.envs(settings.iter().copied());
        Self::of(command)
    }

    /// A node by the command that runs it, with its log as JSON.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "text": line }));
                kept.lock().unwrap().push(entry);
            }
        });
        let mut addresses = None;
        eventually("the node serves", || {
            let log = log.lock().unwrap();
            addresses =
                log.iter().find_map(|entry| Some((entry["gateway"].as_str()?.parse().ok()?, entry["admin"].as_str()?.parse().ok()?)));
            addresses.is_some()
        });
        let (gateway, admin) = addresses.unwrap();
        Self { child, http: Client::new(gateway), admin: Client::new(admin), log }
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|entry| entry.to_string().contains(text))
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Ends what a failed test leaves; one that has ended already is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that must end by itself.
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = leftoff::time::system::monotonic_now();
    let (_keep, tick) = std::sync::mpsc::channel::<()>();
    while child.try_wait().unwrap().is_none() {
        if leftoff::time::system::monotonic_now().saturating_since(begun) > DEADLINE {
            child.kill().unwrap();
        }
        let _ = tick.recv_timeout(std::time::Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_one_line(output: &Output, code: i32, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    for word in words {
        assert!(told.contains(word), "{word} in {told}");
    }
}

#[test]
fn a_stop_is_graceful_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(folder.path());
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 540_500)]);
    node.signal("TERM");
    assert_eq!(node.wait().code(), Some(0));
    assert!(node.logged("stopping") && node.logged("stopped"));
    let node = NodeProcess::start(folder.path());
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 540_500);
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(folder.path());
    let mut slow = TcpStream::connect(node.http.address).unwrap();
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    let body = json!({"events": [event("ann", "film", "tv", "PAUSE", 5_000)]}).to_string();
    slow.write_all(format!("POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    // Connections are taken in turn: when a later one has been answered, the slow one has been taken.
    node.http.progress("ann", "film");
    node.signal("TERM");
    eventually("it takes no new connections", || TcpStream::connect(node.http.address).is_err());
    assert_eq!(node.admin.get("/readyz").status, 503, "a balancer is told");
    slow.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.wait().code(), Some(0));
    let node = NodeProcess::start(folder.path());
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 5_000);
}

#[test]
fn told_twice_it_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start_with(
        folder.path(),
        &[("LEFTOFF_NODE__DRAIN_TIMEOUT_MS", "600000"), ("LEFTOFF_GATEWAY__REQUEST_TIMEOUT_MS", "600000")],
    );
    let mut slow = TcpStream::connect(node.http.address).unwrap();
    slow.write_all(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n").unwrap();
    node.http.progress("ann", "film");
    node.signal("TERM");
    eventually("it has begun to stop", || node.logged("stopping"));
    node.signal("TERM");
    assert_eq!(node.wait().code(), Some(1));
}

#[test]
fn who_stays_connected_does_not_keep_it_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start_with(folder.path(), &[("LEFTOFF_NODE__DRAIN_TIMEOUT_MS", "300")]);
    let mut slow = TcpStream::connect(node.http.address).unwrap();
    slow.write_all(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n").unwrap();
    let _idle = TcpStream::connect(node.http.address).unwrap();
    node.http.progress("ann", "film");
    node.signal("TERM");
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(folder.path());
    for n in 0..20 {
        node.http.record(&[event("ann", &format!("t{n}"), "tv", "PAUSE", 60_000 + n)]);
    }
    node.signal("KILL");
    assert_eq!(node.wait().signal(), Some(9));
    let node = NodeProcess::start(folder.path());
    for n in 0..20 {
        assert_eq!(node.http.progress("ann", &format!("t{n}"))["position_ms"], 60_000 + n);
    }
}

#[test]
fn every_log_line_names_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_with(folder.path(), &[("LEFTOFF_NODE__NAME", "eu-1")]);
    let log = node.log.lock().unwrap();
    assert!(log.iter().filter(|entry| entry.get("text").is_none()).all(|entry| entry["node"] == "eu-1"), "{log:?}");
    assert!(log.iter().any(|entry| entry["message"] == "serving"));
}

#[test]
fn a_hangup_reloads_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    assert!(leftoff().args(["token", "keys", "--dir"]).arg(&keys).stdout(Stdio::null()).status().unwrap().success());
    let public = keys.join("tokens.pub.pem");
    let node = NodeProcess::start_with(&folder.path().join("data"), &[("LEFTOFF_AUTH__KEY_FILES", public.to_str().unwrap())]);
    node.signal("HUP");
    eventually("the keys are read again", || node.logged("token keys reloaded"));
    node.http.get("/v1/profiles/ann/titles").assert_problem(401, "token_missing");
}

#[test]
fn a_second_process_on_the_same_folder_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(folder.path());
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 5_000)]);
    let output = ended(serve(folder.path()).env("LEFTOFF_LOG__FILTER", "off"));
    assert_one_line(&output, 1, &["the node did not start", folder.path().to_str().unwrap(), "another process"]);
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 5_000, "the first is not disturbed");
}

#[test]
fn wrong_configuration_is_one_line_that_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let with = |settings: &[(&str, &str)]| ended(serve(folder.path()).envs(settings.iter().copied()));
    assert_one_line(&with(&[("LEFTOFF_GATEWAY__LISTEN", "0.0.0.0:0")]), 1, &["gateway.listen = 0.0.0.0:0", "loopback"]);
    assert_one_line(&with(&[("LEFTOFF_GATEWAY__LISEN", "x")]), 1, &["lisen"]);
    let many = with(&[("LEFTOFF_GATEWAY__REQUESTS_MAX", "0"), ("LEFTOFF_CLUSTER__ACK", "maybe")]);
    assert_one_line(&many, 1, &["gateway.requests_max = 0: must be 1 to 100000", "cluster.ack = maybe: must be one of local, replicated"]);
    assert_one_line(&with(&[("LEFTOFF_LOG__FILTER", "a=b=c")]), 1, &["log.filter = a=b=c"]);
    assert_one_line(&with(&[("LEFTOFF_AUTH__KEY_FILES", "/nowhere.pem")]), 1, &["/nowhere.pem"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_one_line(&with(&[("LEFTOFF_GATEWAY__LISTEN", &address), ("LEFTOFF_LOG__FILTER", "off")]), 1, &["gateway.listen", &address]);
    let none = leftoff().args(["serve", "--config", "/nowhere/leftoff.toml"]).output().unwrap();
    assert_one_line(&none, 1, &["/nowhere/leftoff.toml"]);
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["serve"][..], &["fly"], &["get", "ann"], &["put", "ann", "film", "--position", "far"], &[]] {
        let output = leftoff().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
    let help = leftoff().arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("serve"));
}

#[test]
fn a_check_tells_what_a_start_would_fail_at() {
    let check = |settings: &[(&str, &str)]| leftoff().args(["serve", "--dev", "--check"]).envs(settings.iter().copied()).output().unwrap();
    let loud = check(&[("LEFTOFF_LOG__FILTER", "leftoff=loud")]);
    assert_eq!(loud.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&loud.stderr).contains("log.filter = leftoff=loud"), "{loud:?}");
    // The files may be elsewhere, so they are told of and no fault.
    let missing = check(&[("LEFTOFF_AUTH__KEY_FILES", "/nowhere.pem"), ("LEFTOFF_CLUSTER__SECRET_FILE", "/nowhere.secret")]);
    assert!(missing.status.success(), "{missing:?}");
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(told.contains("auth: /nowhere.pem") && told.contains("cluster.secret_file"), "{told}");
    let sound = check(&[]);
    assert!(sound.status.success() && sound.stderr.is_empty(), "{sound:?}");
}

#[test]
fn the_example_configuration_is_sound() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("leftoff.example.toml");
    let output = leftoff().args(["serve", "--check", "--config"]).arg(example).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
