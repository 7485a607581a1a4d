//! Sessions over HTTP, at one node.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{Client, TestNode, event, eventually, with};

fn start(client: &Client, profile: &str, device: &str) -> crate::support::Answer {
    client.post("/v1/sessions", &json!({"profile_id": profile, "title_id": "film", "device_id": device}))
}

fn id(answer: &crate::support::Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["session_id"].as_str().unwrap().to_owned()
}

fn put(client: &Client, id: &str, body: &Value) -> crate::support::Answer {
    client.send("PUT", &format!("/v1/sessions/{id}"), &[("content-type", "application/json")], body.to_string().as_bytes())
}

#[test]
fn a_start_answers_where_to_resume() {
    let node = TestNode::start();
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 540_500)]);
    let answer = start(&node.http, "ann", "phone");
    assert_eq!(id(&answer).len(), 32);
    let started = answer.json();
    assert_eq!((&started["position_ms"], &started["started"], &started["title_id"]), (&json!(540_500), &json!(true), &json!("film")));
    assert_eq!(started["lease_ms"], 30_000);
    assert!(started["server_time_ms"].as_u64().is_some());
    let fresh = node.http.post("/v1/sessions", &json!({"profile_id": "ann", "title_id": "other", "device_id": "phone"}));
    assert_eq!((fresh.status, &fresh.json()["started"]), (201, &json!(false)));
}

#[test]
fn an_account_over_its_limit_is_told_so_until_a_session_ends() {
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_LIMITS__STREAMS_MAX", "2")]);
    let client = node.http.with_token(keys.token("a", &["--profile", "ann", "--profile", "bob"]));
    let first = id(&start(&client, "ann", "tv"));
    id(&start(&client, "bob", "phone"));
    let refused = start(&client, "bob", "laptop");
    refused.assert_problem(429, "too_many_streams");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(client.delete(&format!("/v1/sessions/{first}")).status, 204);
    assert_eq!(client.delete(&format!("/v1/sessions/{first}")).status, 204, "ended is ended");
    put(&client, &first, &json!({})).assert_problem(404, "session_gone");
    id(&start(&client, "bob", "laptop"));
    // Another bound, while it runs: those that are there stay.
    node.reload(&[
        ("LEFTOFF_LIMITS__STREAMS_MAX", "3"),
        ("LEFTOFF_AUTH__KEY_FILES", keys.in_use().to_str().unwrap()),
        ("LEFTOFF_AUTH__LEEWAY_MS", "0"),
    ]);
    id(&start(&client, "ann", "tv"));
    start(&client, "ann", "tv").assert_problem(429, "too_many_streams");
}

#[test]
fn heartbeats_keep_a_session_and_silence_ends_it() {
    let node = TestNode::with(&[("LEFTOFF_LIMITS__LEASE_MS", "2000"), ("LEFTOFF_LIMITS__STREAMS_MAX", "1")]);
    let session = id(&start(&node.http, "ann", "tv"));
    let mut position_ms = 0;
    let begun = leftoff::time::system::monotonic_now();
    eventually("two leases have passed", || {
        position_ms += 1_000;
        node.http.record(&[with(event("ann", "film", "tv", "HEARTBEAT", position_ms), "session_id", session.as_str())]);
        leftoff::time::system::monotonic_now().saturating_since(begun).as_millis() > 4_000
    });
    let renewed = put(&node.http, &session, &json!({}));
    assert_eq!((renewed.status, &renewed.json()["state"]), (200, &json!("playing")), "{renewed:?}");
    let renewed = put(&node.http, &session, &json!({"state": "paused", "title_id": "next"})).json();
    assert_eq!((&renewed["state"], &renewed["title_id"]), (&json!("paused"), &json!("next")));
    start(&node.http, "ann", "phone").assert_problem(429, "too_many_streams");
    eventually("the stream is free again", || start(&node.http, "ann", "phone").status == 201);
    put(&node.http, &session, &json!({})).assert_problem(404, "session_gone");
}

#[test]
fn a_session_of_a_foreign_profile_is_like_none() {
    let keys = Keys::new();
    let node = keys.node();
    let (ann, bob) =
        (node.http.with_token(keys.token("a", &["--profile", "ann"])), node.http.with_token(keys.token("a", &["--profile", "bob"])));
    start(&node.http, "ann", "tv").assert_problem(401, "token_missing");
    start(&bob, "ann", "tv").assert_problem(403, "profile_not_in_token");
    let session = id(&start(&ann, "ann", "tv"));
    for id in [session.as_str(), "absent"] {
        put(&bob, id, &json!({})).assert_problem(404, "session_gone");
        bob.delete(&format!("/v1/sessions/{id}")).assert_problem(404, "session_gone");
    }
    // A heartbeat that names another's session renews nothing of it, and is recorded.
    bob.record(&[with(event("bob", "film", "tv", "PAUSE", 1_000), "session_id", session.as_str())]);
    assert_eq!(put(&ann, &session, &json!({})).json()["state"], "started");
    let write_only = node.http.with_token(keys.token("a", &["--profile", "ann", "--scope", "write"]));
    start(&write_only, "ann", "tv").assert_problem(403, "scope_missing");
    let read_only = node.http.with_token(keys.token("a", &["--profile", "ann", "--scope", "read"]));
    put(&read_only, &session, &json!({})).assert_problem(403, "scope_missing");
}

#[test]
fn what_is_no_session_is_refused() {
    let node = TestNode::start();
    node.http.post("/v1/sessions", &json!({"profile_id": "ann"})).assert_problem(400, "malformed");
    node.http.post("/v1/sessions", &json!({"profile_id": "", "title_id": "t", "device_id": "d"})).assert_problem(400, "bad_id");
    let session = id(&start(&node.http, "ann", "tv"));
    put(&node.http, &session, &json!({"state": "dancing"})).assert_problem(400, "malformed");
    let taken = json!({"profile_id": "eve", "title_id": "t", "device_id": "d", "session_id": session});
    node.http.post("/v1/sessions", &taken).assert_problem(409, "session_taken");
    let again = json!({"profile_id": "ann", "title_id": "film", "device_id": "tv", "session_id": session});
    assert_eq!(node.http.post("/v1/sessions", &again).status, 201, "a start may be repeated");
    node.http.send("PUT", "/v1/sessions", &[], b"").assert_problem(405, "method_not_allowed");
}

#[test]
fn erasing_a_profile_ends_its_sessions() {
    let node = TestNode::start();
    let session = id(&start(&node.http, "ann", "tv"));
    assert_eq!(node.http.delete("/v1/profiles/ann").status, 202);
    put(&node.http, &session, &json!({})).assert_problem(404, "session_gone");
}
