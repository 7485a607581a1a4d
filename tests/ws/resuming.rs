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
    let mut held: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut cursor = Value::Null;
    let mut connections = 0;
    let mut last = false;
    loop {
        let mut socket = Socket::open(node.http.address);
        let mut hello = json!({"profiles": profiles});
        if !cursor.is_null() {
            hello["since"] = cursor.clone();
        }
        let welcome = socket.hello(hello);
        if cursor.is_null() {
            cursor = json!("nothing yet");
            drop((socket, welcome));
            continue;
        }
        connections += 1;
        let take = if last { usize::MAX } else { connections % 7 + 1 };
        let mut take_one = |message: Value| {
            cursor = message["cursor"].clone();
            match message["type"].as_str().unwrap() {
                "progress" => {
                    let key = (message["profile_id"].as_str().unwrap().to_owned(), message["title_id"].as_str().unwrap().to_owned());
                    held.insert(key, message["position_ms"].clone());
                }
                "reset" => held.retain(|(profile, _), _| *profile != message["profile_id"]),
                other => panic!("{other}"),
            }
        };
        socket.send(&json!({"type": "ping"}));
        let mut taken = 0;
        while taken < take {
            let message = socket.next();
            if message["type"] == "pong" {
                // Everything there was may be behind us; what comes next may take a while.
                if last {
                    if taken == 0 {
                        break;
                    }
                    taken = 0;
                    socket.send(&json!({"type": "ping"}));
                } else if writers.iter().all(|writer| writer.is_finished()) {
                    break;
                } else {
                    socket.send(&json!({"type": "ping"}));
                }
                continue;
            }
            take_one(message);
            taken += 1;
        }
        if last {
            break;
        }
        last = writers.iter().all(|writer| writer.is_finished());
    }
    assert!(connections > 3, "it was cut off often: {connections}");
    for writer in writers {
        writer.join().unwrap();
    }
    for profile in profiles {
        let page = node.http.get(&format!("/v1/profiles/{profile}/titles?limit=1000")).json();
        for item in page["items"].as_array().unwrap() {
            let key = (profile.to_owned(), item["title_id"].as_str().unwrap().to_owned());
            assert_eq!(held.get(&key), Some(&item["position_ms"]), "{key:?} after {connections} connections");
        }
    }
}
