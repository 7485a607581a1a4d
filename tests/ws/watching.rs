//! `leftoff watch`: a profile's changes on a terminal, across restarts of the node.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::{DEADLINE, TestNode, event};

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leftoff"));
        let mut child = command.arg("watch").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || out.map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line in time")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn changes_are_shown_as_they_come_and_none_is_missed_over_a_restart() {
    // An address of this test's own: between stop and start nobody else takes its port.
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__LISTEN", "127.0.1.7:0")]);
    let url = format!("http://{}", node.http.address);
    let begun = node.http.get("/v1/profiles/ada/changes?wait=0").json()["cursor"].as_str().unwrap().to_owned();
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 60_000)]);
    let people = Watching::start(&["ada", "--url", &url, "--since", &begun]);
    let programs = Watching::start(&["ada", "--url", &url, "--since", &begun, "--json"]);
    let line = people.next();
    assert!(line.ends_with("film  0:01:00  paused on tv"), "{line}");
    let change: Value = serde_json::from_str(&programs.next()).unwrap();
    assert_eq!((&change["type"], &change["position_ms"]), (&json!("progress"), &json!(60_000)));
    let listen = node.http.address.to_string();
    let folder = node.stop();
    let node = TestNode::in_folder(folder, &[("LEFTOFF_GATEWAY__LISTEN", &listen)]);
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 120_000)]);
    assert!(people.next().ends_with("film  0:02:00  paused on tv"));
    let change: Value = serde_json::from_str(&programs.next()).unwrap();
    assert_eq!(change["position_ms"], 120_000);
}

#[test]
fn what_cannot_be_watched_is_one_line_that_says_why() {
    let keys = crate::issuer::Keys::new();
    let node = keys.node();
    let token = keys.token("a", &["--profile", "ada"]);
    let url = format!("http://{}", node.http.address);
    for (arguments, words) in [
        (vec!["bob", "--url", &url, "--token", &token], "profile_not_in_token"),
        (vec!["ada", "--url", &url], "token_missing"),
        (vec!["ada", "--url", "http://127.0.0.1:1"], "cannot be reached"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_leftoff")).arg("watch").args(&arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
        assert!(told.contains(words), "{told}");
    }
}
