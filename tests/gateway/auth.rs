//! Tokens at the gateway: what answers 401, what 403, and that neither says more than it must.

use std::path::Path;

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{Client, event};

fn requests(profile: &str) -> Vec<(&'static str, String, Value)> {
    let titles = format!("/v1/profiles/{profile}/titles");
    vec![
        ("POST", "/v1/events".to_owned(), json!({"events": [event(profile, "film", "tv", "PAUSE", 1_000)]})),
        ("GET", format!("{titles}/film"), Value::Null),
        ("GET", titles.clone(), Value::Null),
        ("GET", format!("/v1/profiles/{profile}/continue-watching"), Value::Null),
        ("POST", format!("{titles}/film/hide"), Value::Null),
        ("POST", "/v1/parties".to_owned(), json!({"profile_id": profile, "device_id": "tv", "title_id": "film"})),
        ("DELETE", format!("/v1/parties/p/members?profile_id={profile}&device_id=tv"), Value::Null),
        ("DELETE", format!("/v1/profiles/{profile}"), Value::Null),
    ]
}

fn send(client: &Client, (method, path, body): &(&'static str, String, Value)) -> crate::support::Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(method, path, &[("content-type", "application/json")], body.as_bytes())
}

#[test]
fn every_request_wants_a_token() {
    let keys = Keys::new();
    let node = keys.node();
    keys.make("other");
    for request in requests("ann") {
        let answer = send(&node.http, &request);
        answer.assert_problem(401, "token_missing");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        for bad in ["garbage", "a.b.c", &keys.token("other", &["--profile", "ann"])] {
            send(&node.http.with_token(bad), &request).assert_problem(401, "token_invalid");
        }
    }
    let basic = node.http.send("GET", "/v1/profiles/ann/titles", &[("authorization", "Basic YTpi")], b"");
    basic.assert_problem(401, "token_missing");
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    node.http.send("GET", "/v1/profiles/ann/titles", &twice, b"").assert_problem(401, "token_missing");
}

#[test]
fn a_token_opens_its_own_profiles() {
    let keys = Keys::new();
    let node = keys.node();
    let client = node.http.with_token(keys.token("a", &["--profile", "ann", "--profile", "bob"]));
    for profile in ["ann", "bob"] {
        for request in requests(profile) {
            let answer = send(&client, &request);
            assert!((200..300).contains(&answer.status), "{request:?}: {answer:?}");
        }
    }
}

#[test]
fn a_foreign_profile_is_refused_alike_whether_it_exists_or_not() {
    let keys = Keys::new();
    let node = keys.node();
    node.http.with_token(keys.token("a", &["--profile", "secret"])).record(&[event("secret", "film", "tv", "PAUSE", 600_000)]);
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    for (existing, absent) in requests("secret").iter().zip(&requests("absent")) {
        let (existing, absent) = (send(&client, existing), send(&client, absent));
        existing.assert_problem(403, "profile_not_in_token");
        let without_id = |answer: &crate::support::Answer| {
            let mut problem = answer.json();
            problem["request_id"] = Value::Null;
            problem
        };
        assert_eq!(without_id(&existing), without_id(&absent));
        assert!(!existing.text.contains("secret"));
    }
    assert_eq!(node.http.with_token(keys.token("a", &["--profile", "secret"])).progress("secret", "film")["position_ms"], 600_000);
}

#[test]
fn in_a_mixed_batch_the_own_events_count_and_the_foreign_are_refused_one_by_one() {
    let keys = Keys::new();
    let node = keys.node();
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let events = [
        event("bob", "film", "tv", "PAUSE", 1_000),
        event("ann", "film", "tv", "PAUSE", 2_000),
        json!({"profile_id": "ann", "title_id": 7}),
        event("bob", "other", "tv", "PAUSE", 3_000),
        event("ann", "other", "tv", "PAUSE", 4_000),
    ];
    let answer = client.post("/v1/events", &json!({ "events": events }));
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["accepted"], 2);
    let refused: Vec<_> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| (refused["index"].as_u64().unwrap(), refused["code"].as_str().unwrap()))
        .collect();
    assert_eq!(refused, [(0, "profile_not_in_token"), (2, "bad_id"), (3, "profile_not_in_token")]);
    assert_eq!(answer["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1", "4"]);
    assert_eq!(client.progress("ann", "other")["position_ms"], 4_000);
    let bob = node.http.with_token(keys.token("a", &["--profile", "bob"]));
    assert_eq!(bob.progress("bob", "film")["started"], false);
}

#[test]
fn a_scope_narrows_a_token() {
    let keys = Keys::new();
    let node = keys.node();
    let (all, read, write) = (
        node.http.with_token(keys.token("a", &["--profile", "ann"])),
        node.http.with_token(keys.token("a", &["--profile", "ann", "--scope", "read"])),
        node.http.with_token(keys.token("a", &["--profile", "ann", "--scope", "write"])),
    );
    all.record(&[event("ann", "film", "tv", "PAUSE", 600_000)]);
    for request in requests("ann") {
        let reads = request.0 == "GET";
        let answers = [(&read, reads), (&write, !reads)];
        for (client, allowed) in answers {
            let answer = send(client, &request);
            if allowed {
                assert!((200..300).contains(&answer.status), "{request:?}: {answer:?}");
            } else {
                answer.assert_problem(403, "scope_missing");
            }
        }
    }
    let body = json!({"events": [event("ann", "film", "tv", "PAUSE", 700_000)]});
    write.post("/v1/events?return=progress", &body).assert_problem(403, "scope_missing");
}

#[test]
fn a_token_ends_when_it_says() {
    let keys = Keys::new();
    let node = keys.node();
    let client = node.http.with_token(keys.token("a", &["--profile", "ann", "--ttl", "1"]));
    crate::support::eventually("the token ends", || {
        let answer = client.get("/v1/profiles/ann/titles");
        assert!(answer.status == 200 || answer.json()["code"] == "token_expired", "{answer:?}");
        answer.status == 401
    });
}

#[test]
fn keys_are_changed_without_a_restart_and_a_bad_file_changes_nothing() {
    let keys = Keys::new();
    let node = keys.node();
    keys.make("b");
    let in_use = keys.in_use();
    let setting = [("LEFTOFF_AUTH__KEY_FILES", in_use.to_str().unwrap())];
    let status = |name: &str| node.http.with_token(keys.token(name, &["--profile", "ann"])).get("/v1/profiles/ann/titles").status;
    assert_eq!((status("a"), status("b")), (200, 401));
    replace(&in_use, b"-----BEGIN PUBLIC KEY-----\nhalf");
    node.reload(&setting);
    assert_eq!((status("a"), status("b")), (200, 401), "half a file leaves the old key in use");
    replace(&in_use, &std::fs::read(keys.dir("b").join("tokens.pub.pem")).unwrap());
    node.reload(&setting);
    assert_eq!((status("a"), status("b")), (401, 200));
}

fn replace(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
