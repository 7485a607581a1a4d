//! Messages of existing players on a WebSocket, as their own documents show them.

use serde_json::json;

use crate::issuer::Keys;
use crate::socket::Socket;
use crate::support::{TestNode, event};

#[test]
fn the_update_of_a_learning_platform_is_recorded_acknowledged_and_pushed() {
    let node = TestNode::start();
    let (mut laptop, _) = Socket::follow(node.http.address, &["7f1c"]);
    let (mut phone, _) = Socket::follow(node.http.address, &["7f1c"]);
    // Word for word what its client sends, with the ids that its server reads.
    laptop.send(&json!({"type": "position_update", "position": 312.48, "state": "paused", "deviceId": "laptop",
                        "timestamp": 1_705_820_000_123_u64, "immediate": true, "userId": "7f1c", "lessonId": "intro"}));
    let ack = laptop.expect("ack");
    assert_eq!((&ack["accepted"], &ack["versions"], ack.get("id")), (&json!(1), &json!({"0": 0}), None), "{ack}");
    let pushed = phone.expect("progress");
    assert_eq!((&pushed["title_id"], &pushed["position_ms"], &pushed["state"]), (&json!("intro"), &json!(312_480), &json!("paused")));
}

#[test]
fn the_position_of_a_streamed_event_is_of_the_profile_that_the_socket_follows() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ann"]);
    let at = |position: f64| json!({"type": "playbackSync", "position": position, "eventId": "premiere", "deviceId": "laptop"});
    socket.send(&at(3_600.25));
    assert_eq!(socket.expect("ack")["accepted"], 1);
    assert_eq!(node.http.progress("ann", "premiere")["position_ms"], 3_600_250);
    // Sent back, and going on from there.
    socket.send(&at(30.0));
    let ack = socket.expect("ack");
    assert_eq!((&ack["accepted"], &ack["versions"]), (&json!(1), &json!({})), "kept back: {ack}");
    assert_eq!(node.http.progress("ann", "premiere")["position_ms"], 3_600_250);
    socket.send(&at(31.0));
    socket.expect("ack");
    assert_eq!(node.http.progress("ann", "premiere")["position_ms"], 31_000);
}

#[test]
fn what_a_dialect_cannot_say_is_refused_by_itself_and_the_socket_goes_on() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ann", "ben"]);
    socket.send(&json!({"type": "playbackSync", "position": 1, "eventId": "premiere"}));
    let ack = socket.expect("ack");
    assert_eq!((&ack["accepted"], &ack["refused"][0]["code"]), (&json!(0), &json!("bad_id")), "whose it is cannot be told: {ack}");
    socket.send(&json!({"type": "position_update", "userId": "ann", "lessonId": "l", "deviceId": "d", "position": "x"}));
    assert_eq!(socket.expect("ack")["refused"][0]["code"], "bad_position");
    socket.report(1, &[event("ann", "film", "tv", "PAUSE", 1_000)]);
    assert_eq!(socket.expect("ack")["accepted"], 1);
}

#[test]
fn another_s_profile_is_refused_in_a_dialect_too() {
    let keys = Keys::new();
    let node = keys.node();
    let token = keys.token("a", &["--profile", "ann"]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": token, "device_id": "tv", "profiles": ["ann"]}));
    socket.send(&json!({"type": "position_update", "userId": "ben", "lessonId": "l", "deviceId": "d", "position": 60}));
    assert_eq!(socket.expect("ack")["refused"][0]["code"], "profile_not_in_token");
    let ben = node.http.with_token(keys.token("a", &["--profile", "ben"]));
    assert_eq!(ben.progress("ben", "l")["started"], false);
}
