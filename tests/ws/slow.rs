//! Readers that are slow, and readers that do not read at all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::support::{TestNode, event, eventually};

/// These write faster than any viewer does.
const UNLIMITED: (&str, &str) = ("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "0");

/// Long ids make large pushes, so that what the system holds for a reader is full sooner.
fn long(name: &str) -> String {
    format!("{name}{}", "x".repeat(120))
}

#[test]
fn a_slow_reader_is_told_the_newest_of_each_title_and_not_all_there_was() {
    let node = TestNode::with(&[UNLIMITED]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"profiles": ["ada"]}));
    let changes = 1_500_u64;
    for change in 0..changes {
        let title = long(&format!("t{}", change % 3));
        node.http.record(&[event("ada", &title, &long("d"), "PAUSE", change * 1_000)]);
    }
    let mut told = 0;
    let mut last: [u64; 3] = [0; 3];
    let wanted = [changes - 3, changes - 2, changes - 1].map(|change| change * 1_000);
    let mut cursors: Vec<u64> = Vec::new();
    while last != wanted {
        let message = socket.expect("progress");
        let title: usize = message["title_id"].as_str().unwrap()[1..2].parse().unwrap();
        let position = message["position_ms"].as_u64().unwrap();
        assert!(position >= last[title], "never back: {position} after {}", last[title]);
        last[title] = position;
        cursors.push(message["cursor"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap());
        told += 1;
    }
    socket.assert_silent();
    assert!(told < changes * 9 / 10, "{told} of {changes} were pushed one by one");
    assert!(cursors.is_sorted(), "cursors only rise");
}

#[test]
fn a_reader_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let node = TestNode::with(&[UNLIMITED, ("LEFTOFF_GATEWAY__WRITE_TIMEOUT_MS", "700"), ("LEFTOFF_GATEWAY__SOCKETS_MAX", "2")]);
    let (mut reading, _) = Socket::follow(node.http.address, &["ada"]);
    let mut deaf = Socket::open(node.http.address);
    deaf.send(&json!({"type": "hello", "profiles": ["ada"]}));
    assert_eq!(Socket::try_open(node.http.address, &[]).err().map(|refused| refused.status), Some(503), "both places are taken");
    // More than the system holds for it, and then more than its outbox does.
    let reader = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 4_000 {
            let message: Value = reading.expect("progress");
            seen.insert(message["title_id"].as_str().unwrap().to_owned());
        }
        reading
    });
    for batch in 0..40_u64 {
        let events: Vec<Value> =
            (0..100).map(|index| event("ada", &long(&format!("{}-", batch * 100 + index)), &long("d"), "PAUSE", 1_000)).collect();
        node.http.record(&events);
    }
    let _reading = reader.join().unwrap();
    eventually("its place is free again", || Socket::try_open(node.http.address, &[]).is_ok());
    // What had left before is still on its line; then it ends without a goodbye.
    deaf.set_patience(Duration::from_secs(20));
    while deaf.inner.read().is_ok() {}
}

#[test]
fn a_stream_that_is_not_read_is_cut_off_too() {
    use std::io::{Read, Write};
    let node = TestNode::with(&[UNLIMITED, ("LEFTOFF_GATEWAY__WRITE_TIMEOUT_MS", "700"), ("LEFTOFF_GATEWAY__SOCKETS_MAX", "1")]);
    let mut deaf = std::net::TcpStream::connect(node.http.address).unwrap();
    write!(deaf, "GET /v1/profiles/ada/changes HTTP/1.1\r\nhost: {}\r\n\r\n", node.http.address).unwrap();
    // Answered, it has the only place; whoever looked for one before might have had it.
    let mut head = [0; 12];
    deaf.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert!(Socket::try_open(node.http.address, &[]).is_err(), "its place is taken");
    for batch in 0..40_u64 {
        let events: Vec<Value> =
            (0..100).map(|index| event("ada", &long(&format!("{}-", batch * 100 + index)), &long("d"), "PAUSE", 1_000)).collect();
        node.http.record(&events);
    }
    eventually("its place is free again", || Socket::try_open(node.http.address, &[]).is_ok());
}

#[test]
fn who_says_nothing_and_answers_no_ping_is_closed_and_who_answers_stays() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__SOCKET_IDLE_MS", "900"), ("LEFTOFF_GATEWAY__SOCKETS_MAX", "2")]);
    let (mut quiet, _) = Socket::follow(node.http.address, &["ada"]);
    let (silent, _) = Socket::follow(node.http.address, &["ada"]);
    quiet.set_patience(Duration::from_millis(100));
    // One reads, and by that answers pings; the other does nothing.
    eventually("the silent one's place is free", || {
        let _ = quiet.inner.read();
        Socket::try_open(node.http.address, &[]).is_ok()
    });
    quiet.set_patience(crate::support::DEADLINE);
    quiet.assert_silent();
    drop(silent);
}

#[test]
fn a_client_that_sends_much_before_it_reads_loses_nothing() {
    let node = TestNode::with(&[UNLIMITED]);
    let (mut socket, _) = Socket::follow(node.http.address, &["ada"]);
    let count = 2_000;
    for id in 0..count {
        socket.report(id, &[event("ada", "film", "tv", "HEARTBEAT", id * 1_000)]);
    }
    let mut acknowledged: Vec<u64> = (0..count).map(|_| socket.expect("ack")["id"].as_u64().unwrap()).collect();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, (0..count).collect::<Vec<_>>());
    assert_eq!(node.http.progress("ada", "film")["position_ms"], (count - 1) * 1_000);
}
