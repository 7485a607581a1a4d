//! The admin listener.

use serde_json::Value;

use crate::support::{TestNode, event};

#[test]
fn a_serving_node_is_alive_and_ready() {
    let node = TestNode::start();
    for path in ["/livez", "/healthz", "/readyz"] {
        assert_eq!(node.admin.get(path).status, 200, "{path}");
    }
    assert_eq!(node.admin.get("/readyz").json(), serde_json::json!({"ready": true, "reasons": []}));
    assert_eq!(node.http.get("/healthz").status, 404, "the operator's view is not the players'");
}

#[test]
fn the_cluster_view_names_this_node() {
    let node = TestNode::with(&[("LEFTOFF_NODE__NAME", "eu-1"), ("LEFTOFF_NODE__REGION", "eu")]);
    let view = node.admin.get("/v1/cluster").json();
    assert_eq!((view["node"]["name"].as_str(), view["node"]["region"].as_str()), (Some("eu-1"), Some("eu")));
    assert_eq!(view["node"]["replica_id"].as_str().map(str::len), Some(32));
    assert!(view["links"].is_array());
    let status = node.admin.get("/v1/status").json();
    assert!(status["store"]["durable"].is_u64() && status["uptime_s"].is_u64() && status["ready"] == true, "{status}");
}

#[test]
fn figures_are_prometheus_text_and_hold_no_ids() {
    let node = TestNode::start();
    node.http.record(&[event("marker-profile", "marker-title", "marker-device", "PAUSE", 1_000)]);
    node.http.progress("marker-profile", "marker-title");
    node.http.get("/marker-path");
    node.http.get("/v1/profiles/marker-profile/changes?wait=0");
    let answer = node.admin.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain"), "{answer:?}");
    for name in [
        "leftoff_build_info{version=",
        "leftoff_http_request_duration_seconds_bucket{route=\"/v1/profiles/{profile}/titles/{title}\",method=\"GET\",code=\"200\"",
        "leftoff_http_lasting_request_duration_seconds_bucket{route=\"/v1/profiles/{profile}/changes\",method=\"GET\",code=\"200\"",
        "leftoff_events_accepted_total",
        "leftoff_store_durable_sequence",
        "leftoff_store_poisoned 0",
        "leftoff_ready 1",
    ] {
        assert!(answer.text.contains(name), "{name} in {}", answer.text);
    }
    let poll = "leftoff_http_request_duration_seconds_count{route=\"/v1/profiles/{profile}/changes\"";
    assert!(!answer.text.contains(poll), "a poll says nothing of how soon requests are answered");
    assert!(!answer.text.contains("marker"), "no id and no path becomes a label");
}

#[test]
fn an_export_has_every_register_once() {
    let node = TestNode::start();
    let events: Vec<_> = (0..300).map(|n| event(&format!("p{}", n % 7), &format!("t{n}"), "tv", "PAUSE", 1_000 + n)).collect();
    node.http.record(&events);
    let lines: Vec<Value> = node.admin.get("/v1/export").text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 300);
    let line = lines.iter().find(|line| line["title_id"] == "t42").unwrap();
    assert_eq!(*line, node.http.progress("p0", "t42"));
}

#[test]
fn a_page_that_points_its_name_here_is_refused() {
    let node = TestNode::start();
    let send = |host: &str| {
        crate::support::raw(node.admin.address, format!("GET /v1/export HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
    };
    assert!(send("evil.example").starts_with("HTTP/1.1 403"));
    assert!(send("evil.example:7402").contains("\"foreign_host\""));
    assert!(send("localhost:7402").starts_with("HTTP/1.1 200"));
    assert!(send("127.0.0.1").starts_with("HTTP/1.1 200"));
}
