//! Who may open a socket, and what it shows to whom.

use serde_json::json;

use crate::issuer::Keys;
use crate::socket::Socket;
use crate::streams::Stream;
use crate::support::{TestNode, event};

#[test]
fn a_page_of_another_origin_cannot_open_a_socket() {
    let node = TestNode::start();
    let refused = Socket::try_open(node.http.address, &[("origin", "https://evil.example")]).err().unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text.contains("foreign_origin"), "{refused:?}");
    assert!(Socket::try_open(node.http.address, &[("origin", "http://localhost:3000")]).is_ok());
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_GATEWAY__ORIGINS", "https://app.example")]);
    let bearer = format!("Bearer {}", keys.token("a", &["--profile", "ada"]));
    for origin in ["https://evil.example", "null", "http://localhost:3000", "https://app.example.evil.example"] {
        let refused = Socket::try_open(node.http.address, &[("origin", origin), ("authorization", &bearer)]).err().unwrap();
        assert_eq!(refused.status, 403, "{origin}: {refused:?}");
    }
    for headers in [vec![("authorization", bearer.as_str())], vec![("authorization", bearer.as_str()), ("origin", "https://app.example")]] {
        let mut socket = Socket::try_open(node.http.address, &headers).unwrap();
        socket.hello(json!({"profiles": ["ada"]}));
    }
}

#[test]
fn a_token_comes_with_the_request_or_with_the_first_message() {
    let keys = Keys::new();
    let node = keys.node();
    let token = keys.token("a", &["--profile", "ada"]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": token, "profiles": ["ada"]}));
    socket.report(1, &[event("ada", "film", "tv", "PAUSE", 1_000)]);
    assert_eq!(socket.expect("ack")["accepted"], 1);
    let refused = Socket::try_open(node.http.address, &[("authorization", "Bearer nonsense")]).err().unwrap();
    assert_eq!(refused.status, 401, "{refused:?}");
    for (hello, code) in [
        (json!({"type": "hello", "profiles": ["ada"]}), "token_missing"),
        (json!({"type": "hello", "token": "nonsense", "profiles": ["ada"]}), "token_invalid"),
        (json!({"type": "hello", "token": token, "profiles": ["ada", "bob"]}), "profile_not_in_token"),
        (json!({"type": "events", "id": 1, "events": []}), "token_missing"),
    ] {
        let mut socket = Socket::open(node.http.address);
        socket.send(&hello);
        let (bye, close) = socket.goodbye();
        assert_eq!((&bye["code"], close), (&json!(code), 1008), "{hello}");
    }
    let reader = keys.token("a", &["--profile", "ada", "--scope", "read"]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": reader, "profiles": ["ada"]}));
    socket.report(1, &[event("ada", "film", "tv", "PAUSE", 2_000)]);
    assert_eq!(socket.expect("ack")["refused"][0]["code"], "scope_missing");
}

#[test]
fn messages_on_a_socket_count_as_requests_of_its_account() {
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_LIMITS__ACCOUNT_REQUESTS_PER_S", "1")]);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": keys.token("a", &["--profile", "ada"]), "device_id": "tv", "profiles": ["ada"]}));
    let mut told = json!(null);
    // Ten at once are allowed.
    for id in 0..1_000 {
        socket.send(&json!({"type": "ping", "id": id}));
        told = socket.next();
        if told["type"] != "pong" {
            break;
        }
    }
    assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!("rate_limited")), "{told}");
    assert!(told["id"].is_u64() && told["retry_after_ms"].as_u64() > Some(0), "{told}");
    // Reports have an allowance of their own, and others theirs.
    socket.report(1, &[event("ada", "film", "tv", "PAUSE", 1_000)]);
    assert_eq!(socket.expect("ack")["accepted"], 1);
    let mut other = Socket::open(node.http.address);
    other.hello(json!({"token": keys.token_of("a", "another", &["--profile", "bob"]), "profiles": ["bob"]}));
    // A hello beyond it ends the socket.
    for _ in 0..100 {
        socket.send(&json!({"type": "hello", "profiles": ["ada"]}));
    }
    let (bye, close) = socket.goodbye();
    assert_eq!((&bye["code"], close), (&json!("rate_limited"), 1013));
}

#[test]
fn a_socket_is_closed_when_its_token_ends_unless_it_is_renewed() {
    let keys = Keys::new();
    let node = keys.node();
    let short = keys.token("a", &["--profile", "ada", "--ttl", "2"]);
    let mut closed = Socket::open(node.http.address);
    closed.hello(json!({"token": short, "profiles": ["ada"]}));
    let mut renewed = Socket::open(node.http.address);
    renewed.hello(json!({"token": short, "profiles": ["ada"]}));
    renewed.hello(json!({"token": keys.token("a", &["--profile", "ada"]), "profiles": ["ada"]}));
    let bearer = format!("Bearer {short}");
    let mut stream = Stream::open(node.http.address, "/v1/profiles/ada/changes", &[("authorization", &bearer)]);
    stream.next().unwrap();
    let (bye, close) = closed.goodbye();
    assert_eq!((&bye["code"], close), (&json!("token_expired"), 1008));
    let last = stream.next().unwrap();
    assert_eq!((last.name.as_str(), &last.data["code"]), ("bye", &json!("token_expired")));
    assert_eq!(stream.next(), None);
    renewed.assert_silent();
}

#[test]
fn a_socket_for_one_profile_never_sees_another() {
    let keys = Keys::new();
    let node = keys.node();
    let (ada, bob) = (keys.token("a", &["--profile", "ada"]), keys.token("a", &["--profile", "bob"]));
    let mut of_ada = Socket::open(node.http.address);
    of_ada.hello(json!({"token": ada, "profiles": ["ada"]}));
    let mut of_bob = Socket::open(node.http.address);
    of_bob.hello(json!({"token": bob, "profiles": ["bob"]}));
    let at_bob = node.http.with_token(bob.clone());
    for position in 1..50_u64 {
        at_bob.record(&[event("bob", "film", "tv", "HEARTBEAT", position * 1_000)]);
    }
    // Reports for another's profile are refused, and change nothing.
    of_ada.report(1, &[event("bob", "film", "tv", "SEEK", 1)]);
    let ack = of_ada.expect("ack");
    assert_eq!((&ack["accepted"], &ack["refused"][0]["code"]), (&json!(0), &json!("profile_not_in_token")));
    assert_eq!(at_bob.progress("bob", "film")["position_ms"], 49_000);
    of_ada.assert_silent();
    // Nor by any other way in, whether the profile exists or not.
    let at_ada = node.http.with_token(ada);
    for profile in ["bob", "nobody"] {
        at_ada.get(&format!("/v1/profiles/{profile}/changes?wait=0")).assert_problem(403, "profile_not_in_token");
        at_ada.get(&format!("/v1/profiles/{profile}/changes")).assert_problem(403, "profile_not_in_token");
    }
    while of_bob.expect("progress")["position_ms"] != 49_000 {}
}

#[test]
fn who_does_not_say_who_it_is_is_closed() {
    let keys = Keys::new();
    let node = keys.node();
    let mut socket = Socket::open(node.http.address);
    let (bye, close) = socket.goodbye();
    assert_eq!((&bye["code"], close), (&json!("token_missing"), 1008));
}

#[test]
fn no_more_sockets_are_let_in_than_are_allowed() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__SOCKETS_MAX", "2")]);
    let first = Socket::open(node.http.address);
    let _second = Socket::open(node.http.address);
    let refused = Socket::try_open(node.http.address, &[]).err().unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.text.to_lowercase().contains("retry-after") && refused.text.contains("retry_after_ms"), "{refused:?}");
    node.http.get("/v1/profiles/ada/changes?wait=0").assert_problem(503, "overloaded");
    drop(first);
    crate::support::eventually("there is room again", || Socket::try_open(node.http.address, &[]).is_ok());
}

#[test]
fn a_plain_request_is_told_that_a_websocket_is_spoken_here() {
    let node = TestNode::start();
    node.http.get("/v1/ws").assert_problem(426, "upgrade_required");
}
