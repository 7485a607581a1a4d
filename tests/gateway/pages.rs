//! Pages in browsers: which may use a node, and what their browsers are told.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{Answer, TestNode, event};

const LISTED: &str = "https://app.example.net";
const FOREIGN: &str = "https://evil.example";
const ORIGINS: (&str, &str) = ("LEFTOFF_GATEWAY__ORIGINS", "https://app.example.net, http://localhost:3000");

fn preflight(node: &TestNode, path: &str, origin: &str) -> Answer {
    let headers = [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    node.http.send("OPTIONS", path, &headers, b"")
}

fn pause() -> Value {
    json!({"events": [event("ann", "film", "tv", "PAUSE", 5_000)]})
}

#[test]
fn a_listed_page_is_let_in_and_may_read_answers_and_problems() {
    let keys = Keys::new();
    let node = keys.node_with(&[ORIGINS]);
    for path in ["/v1/events", "/v1/profiles/ann/titles/film"] {
        let asked = preflight(&node, path, LISTED);
        assert_eq!((asked.status, asked.text.as_str()), (204, ""), "{asked:?}");
        assert_eq!(asked.header("access-control-allow-origin"), LISTED);
        for (header, word) in [("allow-methods", "DELETE"), ("allow-headers", "authorization"), ("max-age", "7200")] {
            assert!(asked.header(&format!("access-control-{header}")).contains(word), "{asked:?}");
        }
        assert!(asked.header("vary").contains("origin"), "{asked:?}");
    }
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let from = |method: &str, path: &str, body: &str| {
        let answer = client.send(method, path, &[("origin", LISTED), ("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.header("access-control-allow-origin"), LISTED, "{answer:?}");
        assert!(answer.header("access-control-expose-headers").contains("retry-after") && answer.header("vary").contains("origin"));
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{answer:?}");
        answer
    };
    assert_eq!(from("POST", "/v1/events", &pause().to_string()).status, 200);
    assert_eq!(from("GET", "/v1/profiles/ann/titles/film", "").json()["position_ms"], 5_000);
    from("GET", "/v1/profiles/bob/titles/film", "").assert_problem(403, "profile_not_in_token");
    from("POST", "/v1/events", "{").assert_problem(400, "malformed");
}

#[test]
fn a_foreign_page_is_refused_before_it_may_send_and_can_read_nothing() {
    let keys = Keys::new();
    let node = keys.node_with(&[ORIGINS]);
    let asked = preflight(&node, "/v1/events", FOREIGN);
    asked.assert_problem(403, "foreign_origin");
    assert!(!asked.headers.contains_key("access-control-allow-origin"));
    // What needs no leave: a beacon without a token.
    let beacon = [("origin", FOREIGN), ("content-type", "text/plain")];
    node.http.send("POST", "/v1/events", &beacon, pause().to_string().as_bytes()).assert_problem(403, "foreign_origin");
    let listed = [("origin", LISTED), ("content-type", "text/plain")];
    node.http.send("POST", "/v1/events", &listed, pause().to_string().as_bytes()).assert_problem(401, "token_missing");
    // A program that sends an origin all the same is let in by its token; a browser would show its page nothing.
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let answer = client.send("GET", "/v1/profiles/ann/titles/film", &[("origin", FOREIGN)], b"");
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("access-control-allow-origin") && answer.header("vary").contains("origin"), "{answer:?}");
}

#[test]
fn pages_of_the_node_itself_need_no_listing() {
    let keys = Keys::new();
    let node = keys.node();
    let own = format!("http://{}", node.http.address);
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let answer = client.send("POST", "/v1/events", &[("origin", &own)], pause().to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(preflight(&node, "/v1/events", &own).status, 204);
    preflight(&node, "/v1/events", LISTED).assert_problem(403, "foreign_origin");
}

#[test]
fn in_development_pages_of_this_machine_may_read_and_others_may_not() {
    let node = TestNode::start();
    let local = "http://localhost:3000";
    assert_eq!(preflight(&node, "/v1/events", local).header("access-control-allow-origin"), local);
    let answer = node.http.send("GET", "/v1/profiles/ann/titles/film", &[("origin", local)], b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, local));
    let answer = node.http.send("GET", "/v1/profiles/ann/titles/film", &[("origin", FOREIGN)], b"");
    answer.assert_problem(403, "foreign_origin");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn the_list_changes_without_a_restart() {
    let node = TestNode::start();
    preflight(&node, "/v1/events", LISTED).assert_problem(403, "foreign_origin");
    node.reload(&[ORIGINS]);
    assert_eq!(preflight(&node, "/v1/events", LISTED).status, 204);
    node.reload(&[]);
    preflight(&node, "/v1/events", LISTED).assert_problem(403, "foreign_origin");
}
