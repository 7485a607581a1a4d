//! A reader that was away misses nothing, and one that is slow gets the newest.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::support::{TestNode, event};

#[test]
fn a_reader_that_was_away_is_told_what_arrived_meanwhile_once_and_in_order() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ada"]);
    node.http.record(&[event("ada", "seen", "tv", "PAUSE", 1_000)]);
    let cursor = socket.expect("progress")["cursor"].clone();
    drop(socket);
    // Watched long ago, and uploaded now: arrival counts.
    let mut late = event("ada", "late", "tv", "PAUSE", 2_000);
    late["at_ms"] = json!(1_600_000_000_000_u64);
    node.http.post("/v1/events", &json!({"sent_at_ms": 1_600_000_100_000_u64, "events": [late]}));
    for position in [3_000, 4_000, 5_000] {
        node.http.record(&[event("ada", "other", "tv", "PAUSE", position)]);
    }
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"profiles": ["ada"], "since": cursor}));
    assert_eq!(socket.expect("progress")["title_id"], "late");
    let other = socket.expect("progress");
    assert_eq!((&other["title_id"], &other["position_ms"]), (&json!("other"), &json!(5_000)));
    socket.assert_silent();
    let mut again = Socket::open(node.http.address);
    again.hello(json!({"profiles": ["ada"], "since": {"ada": other["cursor"]}}));
    again.assert_silent();
}

#[test]
fn a_foreign_cursor_is_answered_by_a_reset_and_everything() {
    let (node, other) = (TestNode::start(), TestNode::start());
    for title in ["a", "b"] {
        node.http.record(&[event("ada", title, "tv", "PAUSE", 1_000)]);
    }
    let (_, welcome) = Socket::follow(other.http.address, &["ada"]);
    for since in [welcome["cursor"].as_str().unwrap(), "nonsense", ""] {
        let mut socket = Socket::open(node.http.address);
        socket.hello(json!({"profiles": ["ada"], "since": since}));
        assert_eq!(socket.expect("reset")["profile_id"], "ada");
        assert_eq!(socket.expect("progress")["title_id"], "a");
        assert_eq!(socket.expect("progress")["title_id"], "b");
        socket.assert_silent();
    }
}

#[test]
fn an_erasure_during_an_absence_is_told() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ada"]);
    node.http.record(&[event("ada", "before", "tv", "PAUSE", 1_000)]);
    let cursor = socket.expect("progress")["cursor"].clone();
    drop(socket);
    assert_eq!(node.http.delete("/v1/profiles/ada").status, 202);
    node.http.record(&[event("ada", "after", "tv", "PAUSE", 2_000)]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"profiles": ["ada"], "since": cursor}));
    socket.expect("erased");
    assert_eq!(socket.expect("progress")["title_id"], "after");
    socket.assert_silent();
}

#[test]
fn a_long_history_is_told_whole_also_while_it_changes() {
    let node = TestNode::start();
    let titles = 700;
    let events: Vec<Value> = (0..titles).map(|title| event("ada", &format!("t{title}"), "tv", "PAUSE", 1_000)).collect();
    node.http.record(&events);
    let writer = {
        let http = node.http.clone();
        std::thread::spawn(move || {
            for round in 0..100_u64 {
                let title = format!("t{}", round * 37 % titles);
                http.record(&[event("ada", &title, "tv", "PAUSE", 2_000 + round)]);
            }
        })
    };
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"profiles": ["ada"], "since": "nothing"}));
    socket.expect("reset");
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let told = |socket: &mut Socket, seen: &mut BTreeMap<String, Value>| loop {
        socket.send(&json!({"type": "ping", "id": 0}));
        loop {
            let message = socket.next();
            if message["type"] == "pong" {
                break;
            }
            seen.insert(message["title_id"].as_str().unwrap().to_owned(), message);
        }
        if seen.len() == titles as usize {
            break;
        }
    };
    told(&mut socket, &mut seen);
    writer.join().unwrap();
    let page = node.http.get("/v1/profiles/ada/titles?limit=1000").json();
    let wanted: BTreeMap<String, Value> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["title_id"].as_str().unwrap().to_owned(), item["position_ms"].clone()))
        .collect();
    crate::support::eventually("the last of each title is told", || {
        told(&mut socket, &mut seen);
        wanted.iter().all(|(title, position)| &seen[title]["position_ms"] == position)
    });
}

/// A reader that reconnects again and again, at whatever it was told last, while others write: in the end it holds what the node holds.
#[test]
fn a_reader_that_reconnects_under_load_misses_nothing() {
    let node = TestNode::start();
    let profiles = ["p0", "p1", "p2"];
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let http = node.http.clone();
            std::thread::spawn(move || {
                for round in 0..150_u64 {
                    let (profile, title) = (format!("p{}", round % 3), format!("t{}", (round * 7 + writer) % 11));
                    http.record(&[event(&profile, &title, &format!("d{writer}"), "HEARTBEAT", round * 1_000)]);
                }
            })
        })
        .collect();
    let mut held = Held::default();
    let mut connections = 0;
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        connections += 1;
        let mut socket = held.connect(node.http.address, &profiles);
        for _ in 0..connections % 7 + 1 {
            // Its answer is no change, and ends a wait for changes that may not come.
            socket.send(&json!({"type": "ping"}));
            held.take(&socket.next());
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(connections > 3, "it was cut off often: {connections}");
    let mut wanted = BTreeMap::new();
    for profile in profiles {
        let page = node.http.get(&format!("/v1/profiles/{profile}/titles?limit=1000")).json();
        for item in page["items"].as_array().unwrap() {
            wanted.insert((profile.to_owned(), item["title_id"].as_str().unwrap().to_owned()), item["position_ms"].clone());
        }
    }
    // Nothing changes any more: what it does not hold yet, it is told because it missed it.
    let mut socket = held.connect(node.http.address, &profiles);
    while held.registers != wanted {
        held.take(&socket.next());
    }
}

/// What a reader holds, and the cursor that it goes on from.
#[derive(Default)]
struct Held {
    registers: BTreeMap<(String, String), Value>,
    cursor: Value,
}

impl Held {
    fn connect(&self, address: std::net::SocketAddr, profiles: &[&str]) -> Socket {
        let mut socket = Socket::open(address);
        let since = if self.cursor.is_null() { json!("nothing yet") } else { self.cursor.clone() };
        socket.hello(json!({"profiles": profiles, "since": since}));
        socket
    }

    fn take(&mut self, message: &Value) {
        match message["type"].as_str().unwrap() {
            "progress" => {
                let key = (message["profile_id"].as_str().unwrap().to_owned(), message["title_id"].as_str().unwrap().to_owned());
                self.registers.insert(key, message["position_ms"].clone());
            }
            "reset" => self.registers.retain(|(profile, _), _| *profile != message["profile_id"]),
            "pong" => return,
            other => panic!("{other}"),
        }
        self.cursor = message["cursor"].clone();
    }
}
