//! Beacons: the last words of a page, which can set no headers and so carry their token in the body.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::process::{NodeProcess, serve_with_tokens};
use crate::support::{Answer, Client, event, eventually};

const TEXT: (&str, &str) = ("content-type", "text/plain;charset=UTF-8");

fn body(token: &Value, profile: &str) -> Value {
    json!({"token": token, "events": [event(profile, "film", "tv", "PAUSE", 540_500)]})
}

fn beacon(client: &Client, body: &Value) -> Answer {
    client.send("POST", "/v1/events", &[TEXT], body.to_string().as_bytes())
}

#[test]
fn a_beacon_is_recorded_by_the_token_in_its_body_and_refused_as_by_a_header() {
    let keys = Keys::new();
    keys.make("other");
    let node = keys.node();
    let token = json!(keys.token("a", &["--profile", "ada"]));
    let answer = beacon(&node.http, &body(&token, "ada"));
    assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(1)), "{answer:?}");
    let reader = node.http.with_token(token.as_str().unwrap());
    assert_eq!(reader.progress("ada", "film")["position_ms"], 540_500);
    // As JSON too, and with a number that is none: the event is refused, the token is still found.
    assert_eq!(node.http.post("/v1/events", &body(&token, "ada")).status, 200);
    let odd = body(&token, "ada").to_string().replace("540500", "NaN");
    let answer = node.http.send("POST", "/v1/events", &[TEXT], odd.as_bytes());
    assert_eq!((answer.status, &answer.json()["refused"][0]["code"]), (200, &json!("bad_position")), "{answer:?}");

    beacon(&node.http, &body(&token, "bob")).assert_problem(403, "profile_not_in_token");
    let read_only = json!(keys.token("a", &["--profile", "ada", "--scope", "read"]));
    beacon(&node.http, &body(&read_only, "ada")).assert_problem(403, "scope_missing");
    for (bad, code) in [
        (json!("garbage"), "token_invalid"),
        (json!(keys.token("other", &["--profile", "ada"])), "token_invalid"),
        (json!("x".repeat(10_000)), "token_invalid"),
        (Value::Null, "token_missing"),
        (json!(7), "token_missing"),
        (json!({"a": token}), "token_missing"),
    ] {
        beacon(&node.http, &body(&bad, "ada")).assert_problem(401, code);
    }
    for text in ["", "[]", "{", "\u{0}", "\"x\""] {
        node.http.send("POST", "/v1/events", &[TEXT], text.as_bytes()).assert_problem(401, "token_missing");
    }
}

#[test]
fn only_there_and_only_as_much_as_a_browser_sends() {
    let keys = Keys::new();
    let node = keys.node();
    let token = json!(keys.token("a", &["--profile", "ada"]));
    // A header that is there counts alone.
    let mut with_header = node.http.with_token("garbage");
    beacon(&with_header, &body(&token, "ada")).assert_problem(401, "token_invalid");
    with_header = node.http.with_token(token.as_str().unwrap());
    assert_eq!(beacon(&with_header, &body(&json!("garbage"), "ada")).status, 200);
    let mut large = body(&token, "ada");
    large["filler"] = json!("x".repeat(64 << 10));
    beacon(&node.http, &large).assert_problem(401, "token_missing");
    for path in ["/v1/heartbeats", "/v1/positions", "/api/progress/sync", "/v1/sessions", "/v1/parties"] {
        let answer = node.http.send("POST", path, &[TEXT], body(&token, "ada").to_string().as_bytes());
        answer.assert_problem(401, "token_missing");
    }
    for path in ["/v1/events?token=", "/v1/events?access_token="] {
        let path = format!("{path}{}", token.as_str().unwrap());
        let answer = node.http.send("POST", &path, &[TEXT], json!({"events": []}).to_string().as_bytes());
        answer.assert_problem(401, "token_missing");
    }
}

#[test]
fn a_beacon_of_a_page_that_is_not_listed_is_refused() {
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_GATEWAY__ORIGINS", "https://app.example")]);
    let text = body(&json!(keys.token("a", &["--profile", "ada"])), "ada").to_string();
    let send = |origin| node.http.send("POST", "/v1/events", &[TEXT, ("origin", origin)], text.as_bytes());
    send("https://evil.example").assert_problem(403, "foreign_origin");
    assert_eq!(send("https://app.example").status, 200);
}

#[test]
fn a_token_is_in_no_log_however_much_is_logged() {
    let keys = Keys::new();
    let folder = tempfile::tempdir().unwrap();
    let public = keys.dir("a").join("tokens.pub.pem");
    let node = NodeProcess::of(serve_with_tokens(folder.path(), "LEFTOFF_AUTH__KEY_FILES", &public, "trace,hyper=info"));
    let token = keys.token("a", &["--profile", "ada"]);
    let parts: Vec<String> = token.split('.').skip(1).map(str::to_owned).collect();
    assert_eq!(beacon(&node.http, &body(&json!(token), "ada")).status, 200);
    let broken = format!("{}.{}.AAAA", token.split('.').next().unwrap(), parts[0]);
    beacon(&node.http, &body(&json!(broken), "ada")).assert_problem(401, "token_invalid");
    node.http.with_token(&token).get("/v1/profiles/bob/titles").assert_problem(403, "profile_not_in_token");
    eventually("its requests are logged", || node.logged("/v1/profiles/{profile}/titles"));
    let log = node.log.lock().unwrap();
    for part in &parts {
        assert!(!log.iter().any(|entry| entry.to_string().contains(part.as_str())), "{part}");
    }
}
