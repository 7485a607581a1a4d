//! Too much of one profile, over sockets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::support::{TestNode, event};

/// The answers to so many messages, in whatever order they come, by their ids.
fn answers(socket: &mut Socket, count: usize) -> BTreeMap<u64, Value> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let message = socket.next();
        if let Some(id) = message["id"].as_u64() {
            answers.insert(id, message);
        }
    }
    answers
}

#[test]
fn heartbeats_of_a_hammered_profile_are_coalesced_over_sockets_and_moves_keep_their_order() {
    let node = TestNode::with(&[("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "8"), ("LEFTOFF_LIMITS__PROFILE_EVENTS_BURST", "1000")]);
    let pauses: Vec<Value> = (1..=1_000).map(|n| event("ada", "film", "tv", "PAUSE", n)).collect();
    assert_eq!(node.http.post("/v1/events", &json!({ "events": pauses })).status, 200);
    let mut sockets = [Socket::open(node.http.address), Socket::open(node.http.address)];
    for n in 0..40 {
        for socket in &mut sockets {
            socket.report(n, &[event("ada", "film", "tv", "HEARTBEAT", 500_000 + n)]);
        }
    }
    for socket in &mut sockets {
        for answer in answers(socket, 40).values() {
            assert_eq!((&answer["type"], &answer["accepted"], &answer["versions"]["0"]), (&json!("ack"), &json!(1), &json!(0)), "{answer}");
        }
    }
    assert_eq!(node.http.progress("ada", "film")["position_ms"], 500_039);

    // A heartbeat that waits, and a move behind it on the same socket: the move is refused or comes after it.
    let socket = &mut sockets[0];
    let mut id = 100;
    loop {
        socket.report(id, &[event("ada", "film", "tv", "HEARTBEAT", 600_000 + id)]);
        socket.report(id + 1, &[event("ada", "film", "tv", "SEEK", 10_000)]);
        let both = answers(socket, 2);
        let (first, second) = (&both[&id], &both[&(id + 1)]);
        if second["type"] == "ack" {
            assert_eq!((&first["versions"]["0"], first["accepted"].as_u64()), (&json!(0), Some(1)), "{first}");
            assert!(second["versions"]["0"].as_u64() > Some(0), "{second}");
            break;
        }
        assert_eq!((&second["type"], &second["code"]), (&json!("error"), &json!("rate_limited")), "{second}");
        assert!(second["retry_after_ms"].as_u64() > Some(0));
        id += 2;
    }
    let film = node.http.progress("ada", "film");
    assert_eq!(film["position_ms"], 10_000, "{film}");
    assert_eq!(film["places"][1]["position_ms"], 600_000 + id, "the heartbeat counted in the place before the move: {film}");
}
