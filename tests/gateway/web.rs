//! The pages that a node serves: to try it, and for its operator.

use crate::issuer::Keys;
use crate::support::{Client, TestNode, event, with};

/// What a page names as its own, in its HTML and in what that loads.
fn loaded(http: &Client) -> Vec<String> {
    let mut paths = vec!["/".to_owned()];
    let mut index = 0;
    while index < paths.len() {
        let answer = http.get(&paths[index]);
        assert_eq!(answer.status, 200, "{}", paths[index]);
        let folder = if paths[index] == "/" { "/" } else { "/page/" };
        let named =
            answer.text.split(['"', '\'']).filter(|word| word.starts_with("/page/") || word.starts_with("./") || *word == "/leftoff.js");
        for word in named.map(|word| word.replacen("./", folder, 1)).collect::<Vec<_>>() {
            if !paths.contains(&word) && !word.ends_with(".webm") {
                paths.push(word);
            }
        }
        index += 1;
    }
    paths
}

fn assert_strict(http: &Client) {
    let page = http.get("/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!((page.header("x-content-type-options"), page.header("referrer-policy")), ("nosniff", "no-referrer"));
}

#[test]
fn a_node_in_development_has_a_page_that_loads_only_what_the_node_serves() {
    let node = TestNode::start();
    assert_strict(&node.http);
    let paths = loaded(&node.http);
    for expected in ["/page/page.js", "/page/player.js", "/page/why.js", "/leftoff.js", "/page/base.css", "/page/world.json"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} in {paths:?}");
    }
    assert_eq!(node.http.get("/page/world.json").json()["demo"], false);
    let part = node.http.send("GET", "/page/night-train.webm", &[("range", "bytes=0-3")], b"");
    assert_eq!((part.status, part.header("content-type")), (206, "video/webm"));
}

#[test]
fn a_page_of_another_name_or_origin_gets_nothing() {
    let node = TestNode::start();
    for path in ["/", "/page/page.js", "/page/world.json"] {
        node.http.send("GET", path, &[("host", "evil.example")], b"").assert_problem(403, "foreign_host");
    }
    node.admin.send("GET", "/", &[("host", "evil.example")], b"").assert_problem(403, "foreign_host");
}

#[test]
fn a_node_with_tokens_has_no_page() {
    let node = Keys::new().node();
    for path in ["/", "/page/page.js", "/page/world.json"] {
        node.http.get(path).assert_problem(404, "not_found");
    }
}

#[test]
fn the_switches_of_a_demo_are_on_no_node() {
    let node = TestNode::start();
    for http in [&node.http, &node.admin] {
        for path in ["/demo/events", "/demo/lines", "/demo/take-over"] {
            http.get(path).assert_problem(404, "not_found");
            http.post(path, &serde_json::json!({"region": "eu", "cut": true})).assert_problem(404, "not_found");
        }
    }
}

#[test]
fn the_operator_has_a_page_and_it_is_not_the_players() {
    let node = TestNode::start();
    assert_strict(&node.admin);
    let paths = loaded(&node.admin);
    for expected in ["/page/admin.js", "/page/figures.js", "/page/admin.css"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} in {paths:?}");
        node.http.get(expected).assert_problem(404, "not_found");
    }
}

#[test]
fn the_figures_name_their_bounds_and_what_was_refused_has_a_reason() {
    let node = TestNode::start();
    let bad = with(event("ann", "film", "tv", "PAUSE", 1_000), "kind", "JUMP");
    node.http.post("/v1/events", &serde_json::json!({ "events": [bad] }));
    node.http.get("/v1/nothing").assert_problem(404, "not_found");
    let figures = node.admin.get("/metrics").text;
    for line in ["leftoff_events_refused_total{code=\"bad_kind\"} ", "leftoff_problems_total{code=\"not_found\"} "] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    let status = node.admin.get("/v1/status").json();
    for bound in ["table_bytes_max", "pending_bytes_max", "ring_changes_max", "fold_log_bytes"] {
        assert!(status["store"][bound].as_u64().unwrap() > 0, "{bound} in {status}");
    }
    assert!(status["playheads_max"].as_u64().unwrap() > 0, "{status}");
}
