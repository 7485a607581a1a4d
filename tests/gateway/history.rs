//! The history in pages, hiding, erasing.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{TestNode, event, with};

#[test]
fn the_history_comes_in_pages_and_is_whole() {
    let node = TestNode::start();
    let titles: BTreeSet<String> = (0..257).map(|n| format!("title {n} / ü?")).collect();
    node.http.record(&titles.iter().map(|title| event("ann", title, "tv", "PAUSE", 1_000)).collect::<Vec<_>>());
    for (limit, pages) in [("", 3), ("&limit=257", 1), ("&limit=256", 2), ("&limit=10", 26)] {
        let (mut seen, mut after, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let escaped: String = after.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let answer = node.http.get(&format!("/v1/profiles/ann/titles?after={escaped}{limit}"));
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            count += 1;
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["title_id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        assert_eq!(count, pages, "{limit}");
        assert_eq!(seen.len(), titles.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), titles);
    }
    assert_eq!(node.http.get("/v1/profiles/nobody/titles").json(), json!({"items": []}));
    node.http.get("/v1/profiles/ann/titles?limit=none").assert_problem(400, "bad_query");
    node.http.get(&format!("/v1/profiles/ann/titles?after={}", "x".repeat(200))).assert_problem(400, "bad_query");
}

#[test]
fn a_hidden_title_leaves_the_row_and_new_activity_brings_it_back() {
    let node = TestNode::start();
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 600_000)]);
    let row = || node.http.get("/v1/profiles/ann/continue-watching").json()["items"].as_array().unwrap().len();
    assert_eq!(row(), 1);
    let hidden = node.http.send("POST", "/v1/profiles/ann/titles/film/hide", &[], b"");
    assert_eq!((hidden.status, hidden.text.as_str()), (204, ""));
    assert_eq!(row(), 0);
    let progress = node.http.progress("ann", "film");
    assert_eq!((&progress["hidden"], &progress["position_ms"]), (&json!(true), &json!(600_000)), "hidden, not forgotten");
    node.http.record(&[event("ann", "film", "tv", "PLAY", 600_000), event("ann", "film", "tv", "PAUSE", 620_000)]);
    assert_eq!(row(), 1);
    assert_eq!(node.http.progress("ann", "film")["hidden"], false);
}

#[test]
fn an_erased_profile_is_nothing_and_stays_nothing() {
    let node = TestNode::start();
    let now = node.http.record(&[])["server_time_ms"].as_u64().unwrap();
    let old = |at| json!({"sent_at_ms": now, "events": [with(event("ann", "film", "tv", "PAUSE", 600_000), "at_ms", at)]});
    assert_eq!(node.http.post("/v1/events", &old(now - 100_000)).json()["accepted"], 1);
    assert_eq!(node.http.delete("/v1/profiles/ann").status, 202);
    assert_eq!(node.http.progress("ann", "film")["started"], false);
    assert_eq!(node.http.get("/v1/profiles/ann/titles").json(), json!({"items": []}));
    // From a device that had not heard of it: accepted, and nothing.
    assert_eq!(node.http.post("/v1/events", &old(now - 50_000)).json()["accepted"], 1);
    assert_eq!(node.http.progress("ann", "film")["started"], false);
    assert_eq!(node.http.delete("/v1/profiles/nobody").status, 202, "the same for a profile that never was");
    let node = TestNode::in_folder(node.stop(), &[]);
    assert_eq!(node.http.progress("ann", "film")["started"], false);
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 30_000)]);
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 30_000, "new watching counts");
}
