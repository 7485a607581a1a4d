//! Too much of one profile or one account, over HTTP.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{TestNode, event, eventually, with};

const BURST: usize = 1_000;
const SLOW: [(&str, &str); 2] = [("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "1"), ("LEFTOFF_LIMITS__PROFILE_EVENTS_BURST", "1000")];

fn pauses(profile: &str, from: usize, count: usize) -> Value {
    let events: Vec<Value> = (from..from + count).map(|n| event(profile, "film", "tv", "PAUSE", 1_000 * n as u64)).collect();
    json!({ "events": events })
}

fn heartbeats(profile: &str, from: usize, count: usize) -> Value {
    let events: Vec<Value> = (from..from + count).map(|n| event(profile, "film", "tv", "HEARTBEAT", 1_000 * n as u64)).collect();
    json!({ "events": events })
}

#[test]
fn a_hammered_profile_is_coalesced_then_refused_and_others_are_served() {
    let node = TestNode::with(&SLOW);
    assert_eq!(node.http.post("/v1/events", &pauses("ann", 1, BURST - 2)).json()["accepted"], BURST - 2);
    // Two or so are left, and a hundred heartbeats of one playhead say no more than the last of them.
    let answer = node.http.post("/v1/events", &heartbeats("ann", 2_000, 100));
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(100), &json!([])), "{answer}");
    assert_eq!(answer["versions"].as_object().map(serde_json::Map::len), Some(100), "each is told its place");
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 2_099_000);

    let refused = node.http.post("/v1/events", &pauses("ann", 3_000, 100));
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{refused:?}");
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 2_099_000, "nothing of it was recorded");

    let mut mixed = pauses("ann", 4_000, 50);
    mixed["events"].as_array_mut().unwrap().push(event("ben", "film", "tv", "PAUSE", 7_000));
    let answer = node.http.post("/v1/events", &mixed).json();
    assert_eq!((&answer["accepted"], &answer["versions"]), (&json!(1), &json!({"50": 0})), "{answer}");
    assert_eq!((answer["refused"].as_array().map(Vec::len), &answer["refused"][0]["code"]), (Some(50), &json!("rate_limited")));
    assert_eq!(node.http.get("/v1/profiles/ann/titles").status, 200, "who reads is not touched");
}

/// Four a second, and all of it used up.
fn used_up() -> TestNode {
    let node = TestNode::with(&[("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "4"), ("LEFTOFF_LIMITS__PROFILE_EVENTS_BURST", "1000")]);
    assert_eq!(node.http.post("/v1/events", &pauses("ann", 1, BURST)).status, 200);
    node
}

#[test]
fn heartbeats_of_many_requests_become_the_newest_and_all_are_told_when_it_is_durable() {
    let node = used_up();
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let asked: Vec<_> = (1..=8_u64)
            .map(|n| {
                let http = node.http.clone();
                let beat = with(event("ann", "film", "tv", "HEARTBEAT", 2_000_000 + n), "at_ms", n);
                scope.spawn(move || http.post("/v1/events?return=progress", &json!({ "events": [beat] })))
            })
            .collect();
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .inspect(|answer| assert_eq!(answer.status, 200, "{answer:?}"))
            .map(|answer| answer.json())
            .collect()
    });
    for answer in &answers {
        assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(1), &json!([])), "{answer}");
        assert!(answer["versions"]["0"].is_u64(), "{answer}");
        // What stands for it is there when it is answered.
        assert!(answer["progress"][0]["position_ms"].as_u64() > Some(2_000_000), "{answer}");
    }
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 2_000_008);
    let figures = node.admin.get("/metrics").text;
    assert!(figures.contains("leftoff_heartbeats_coalesced_total"), "{figures}");
}

#[test]
fn a_pause_is_never_replaced() {
    let node = used_up();
    let (beat, pause) = std::thread::scope(|scope| {
        let http = node.http.clone();
        let beat = scope.spawn(move || http.post("/v1/events", &heartbeats("ann", 2_000, 3)));
        let mut last = None;
        eventually("the pause has its share", || {
            let answer = node.http.post("/v1/events", &json!({"events": [event("ann", "film", "tv", "PAUSE", 2_100_000)]}));
            assert!(answer.status == 200 || answer.status == 429, "{answer:?}");
            last = Some(answer);
            last.as_ref().is_some_and(|answer| answer.status == 200)
        });
        (beat.join().unwrap(), last.unwrap())
    });
    assert_eq!((&beat.json()["accepted"], &pause.json()["accepted"]), (&json!(3), &json!(1)), "{beat:?} {pause:?}");
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 2_100_000);
}

#[test]
fn more_playheads_than_can_wait_are_refused() {
    let node = used_up();
    let many: Vec<Value> = (0..40).map(|n| event("ann", &format!("t{n}"), "tv", "HEARTBEAT", 1_000)).collect();
    let refused = node.http.post("/v1/events", &json!({ "events": many }));
    refused.assert_problem(429, "rate_limited");
    assert!(!refused.header("retry-after").is_empty());
}

#[test]
fn rates_change_without_a_restart_and_zero_is_no_bound() {
    let node = TestNode::with(&SLOW);
    assert_eq!(node.http.post("/v1/events", &pauses("ann", 1, BURST)).status, 200);
    node.http.post("/v1/events", &pauses("ann", 2_000, BURST)).assert_problem(429, "rate_limited");
    node.reload(&[("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "0")]);
    for from in [2_000, 3_000, 4_000] {
        assert_eq!(node.http.post("/v1/events", &pauses("ann", from, BURST)).status, 200);
    }
}

#[test]
fn an_account_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_LIMITS__ACCOUNT_REQUESTS_PER_S", "1")]);
    let client = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let mut told = None;
    crate::support::eventually("the account is told to wait", || {
        let answer = client.get("/v1/profiles/ann/titles");
        assert!(answer.status == 200 || answer.status == 429, "{answer:?}");
        told = Some(answer);
        told.as_ref().is_some_and(|answer| answer.status == 429)
    });
    let told = told.unwrap();
    told.assert_problem(429, "rate_limited");
    assert_eq!(told.header("retry-after"), "1");
    let other = node.http.with_token(keys.token_of("a", "another-account", &["--profile", "ben"]));
    assert_eq!(other.get("/v1/profiles/ben/titles").status, 200);
}
