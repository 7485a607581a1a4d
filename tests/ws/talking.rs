//! Reports and pushes on one node.

use serde_json::json;

use crate::socket::Socket;
use crate::support::{TestNode, event};

#[test]
fn a_report_is_acknowledged_when_it_is_durable_and_pushed_to_the_other_devices_only() {
    let node = TestNode::start();
    let (mut tv, welcome) = Socket::follow(node.http.address, &["ada"]);
    assert_eq!(welcome["heartbeat_ms"], 10_000);
    assert!(welcome["server_time_ms"].is_u64() && welcome["cursor"].is_string(), "{welcome}");
    let (mut phone, _) = Socket::follow(node.http.address, &["ada"]);
    let (mut stranger, _) = Socket::follow(node.http.address, &["bob"]);
    tv.report(1, &[event("ada", "film", "tv", "PAUSE", 540_500)]);
    let ack = tv.expect("ack");
    assert_eq!((&ack["id"], &ack["accepted"], &ack["refused"], &ack["versions"]), (&json!(1), &json!(1), &json!([]), &json!({"0": 0})));
    assert_eq!(node.http.progress("ada", "film")["position_ms"], 540_500, "durable and visible");
    let pushed = phone.expect("progress");
    let read = node.http.progress("ada", "film");
    for (field, value) in read.as_object().unwrap() {
        assert_eq!(&pushed[field], value, "{field}");
    }
    tv.assert_silent();
    stranger.assert_silent();
    // Over HTTP it was made elsewhere for everybody.
    node.http.record(&[event("ada", "film", "laptop", "SEEK", 60_000)]);
    for socket in [&mut tv, &mut phone] {
        assert_eq!(socket.expect("progress")["position_ms"], 60_000);
    }
}

#[test]
fn one_bad_event_costs_nobody_else_and_texts_are_ids_too() {
    let node = TestNode::start();
    let mut socket = Socket::open(node.http.address);
    socket.send(&json!({"type": "events", "id": "x\"y", "events": [
        event("ada", "film", "tv", "PLAY", 1), {"kind": "PLAY", "position_ms": -1}, event("", "film", "tv", "PLAY", 1)]}));
    let ack = socket.expect("ack");
    assert_eq!((&ack["id"], &ack["accepted"], &ack["versions"]), (&json!("x\"y"), &json!(1), &json!({"0": 0})));
    let codes: Vec<_> =
        ack["refused"].as_array().unwrap().iter().map(|refused| (refused["index"].clone(), refused["code"].clone())).collect();
    assert_eq!(codes, [(json!(1), json!("bad_position")), (json!(2), json!("bad_id"))]);
}

#[test]
fn hiding_and_erasing_are_pushed() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ada"]);
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 500_000)]);
    assert_eq!(socket.expect("progress")["hidden"], false);
    assert_eq!(node.http.send("POST", "/v1/profiles/ada/titles/film/hide", &[], b"").status, 204);
    assert_eq!(socket.expect("progress")["hidden"], true);
    assert_eq!(node.http.delete("/v1/profiles/ada").status, 202);
    let erased = socket.expect("erased");
    assert_eq!(erased["profile_id"], "ada");
    assert!(erased["cursor"].is_string());
}

#[test]
fn one_socket_follows_several_profiles_and_changes_its_mind() {
    let node = TestNode::start();
    let (mut socket, _) = Socket::follow(node.http.address, &["ada", "bob"]);
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 1_000), event("bob", "film", "tv", "PAUSE", 2_000)]);
    assert_eq!(socket.expect("progress")["profile_id"], "ada");
    assert_eq!(socket.expect("progress")["profile_id"], "bob");
    socket.hello(json!({"profiles": ["bob", "eve"]}));
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 3_000)]);
    node.http.record(&[event("bob", "film", "tv", "PAUSE", 4_000), event("eve", "film", "tv", "PAUSE", 5_000)]);
    assert_eq!(socket.expect("progress")["position_ms"], 4_000);
    assert_eq!(socket.expect("progress")["position_ms"], 5_000);
    socket.assert_silent();
}

#[test]
fn what_is_no_message_is_told_and_the_socket_stays() {
    let node = TestNode::start();
    let mut socket = Socket::open(node.http.address);
    for (text, code) in [("{", "malformed"), ("[1]", "malformed"), (r#"{"type":"dance","id":3}"#, "unknown_type")] {
        socket.inner.send(tungstenite::Message::text(text)).unwrap();
        assert_eq!(socket.expect("error")["code"], code, "{text}");
    }
    socket.inner.send(tungstenite::Message::binary(vec![1, 2, 3])).unwrap();
    assert_eq!(socket.expect("error")["code"], "malformed");
    socket.inner.send(tungstenite::Message::text(format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(70_000)))).unwrap();
    assert_eq!(socket.expect("error")["code"], "frame_too_large");
    socket.assert_silent();
    for _ in 0..40 {
        socket.inner.send(tungstenite::Message::text("{")).unwrap();
    }
    let (bye, close) = socket.goodbye();
    assert_eq!((&bye["code"], close), (&json!("malformed"), 1008));
}

#[test]
fn a_node_that_stops_says_when_to_come_back() {
    let node = TestNode::start();
    let mut sockets: Vec<Socket> = (0..8).map(|_| Socket::follow(node.http.address, &["ada"]).0).collect();
    let stopping = std::thread::spawn(move || node.stop());
    let waits: std::collections::BTreeSet<u64> = sockets
        .iter_mut()
        .map(|socket| {
            let (bye, close) = socket.goodbye();
            assert_eq!((&bye["code"], close), (&json!("restart"), 1012));
            bye["retry_after_ms"].as_u64().unwrap()
        })
        .collect();
    assert!(waits.len() > 4 && waits.iter().all(|wait| (500..10_000).contains(wait)), "not all at once: {waits:?}");
    stopping.join().unwrap();
}
