//! `POST /v1/events`.

use serde_json::{Value, json};

use crate::support::{TestNode, event, with};

#[test]
fn a_batch_answers_where_each_event_counted() {
    let node = TestNode::start();
    let answer = node.http.record(&[
        event("ann", "film", "tv", "PLAY", 0),
        event("ann", "film", "tv", "SEEK", 3_600_000),
        event("bob", "film", "tv", "PLAY", 0),
    ]);
    assert_eq!(answer["refused"], json!([]));
    assert_eq!(answer["versions"]["0"], 0);
    assert!(answer["versions"]["1"].as_u64().unwrap() > 0, "a jump opens a place");
    assert_eq!(answer["versions"]["2"], 0);
    assert!(answer["server_time_ms"].as_u64().unwrap() > 1_700_000_000_000);
    let progress = node.http.progress("ann", "film");
    assert_eq!(progress["version"], answer["versions"]["1"]);
    assert_eq!(progress["position_ms"], 3_600_000);
}

#[test]
fn one_bad_event_costs_nobody_else() {
    let node = TestNode::start();
    let good = |title: &str| event("ann", title, "tv", "PAUSE", 60_000).to_string();
    let long = "x".repeat(129);
    let cases = [
        (r#"{"title_id":"t","device_id":"d","kind":"PLAY","position_ms":1}"#.to_owned(), "bad_id"),
        (event("ann", &long, "tv", "PLAY", 1).to_string(), "bad_id"),
        (event("ann", "a\u{7}b", "tv", "PLAY", 1).to_string(), "bad_id"),
        (event("ann", "t", "", "PLAY", 1).to_string(), "bad_id"),
        (with(event("ann", "t", "tv", "PLAY", 1), "series_id", "").to_string(), "bad_id"),
        (r#"{"profile_id":"ann","title_id":"t","device_id":"d","kind":"PLAY","position_ms":NaN}"#.to_owned(), "bad_position"),
        (r#"{"profile_id":"ann","title_id":"t","device_id":"d","kind":"PLAY","position_ms":-1}"#.to_owned(), "bad_position"),
        (r#"{"profile_id":"ann","title_id":"t","device_id":"d","kind":"PLAY"}"#.to_owned(), "bad_position"),
        (event("ann", "t", "tv", "JUMP", 1).to_string(), "bad_kind"),
        (event("ann", "t", "tv", "PLAY", 10_000_000_001).to_string(), "position_too_large"),
        (with(event("ann", "t", "tv", "PLAY", 65_001), "duration_ms", 60_000).to_string(), "position_beyond_duration"),
        (with(event("ann", "t", "tv", "PLAY", 1), "duration_ms", 10_000_000_001_u64).to_string(), "duration_too_large"),
        (with(event("ann", "t", "tv", "PLAY", 1), "speed", 0).to_string(), "bad_speed"),
        (with(event("ann", "t", "tv", "PLAY", 1), "speed", 16.5).to_string(), "bad_speed"),
        (with(event("ann", "t", "tv", "PLAY", 1), "speed", -1).to_string(), "bad_speed"),
        (r#"{"profile_id":"ann","title_id":"t","device_id":"d","kind":"PLAY","position_ms":1,"speed":NaN}"#.to_owned(), "bad_speed"),
        (with(event("ann", "t", "tv", "PLAY", 1), "version", 9_007_199_254_740_991_u64).to_string(), "version_ahead"),
    ];
    for (index, (bad, code)) in cases.iter().enumerate() {
        let (before, after) = (format!("before-{index}"), format!("after-{index}"));
        let body = format!(r#"{{"events":[{},{bad},{}]}}"#, good(&before), good(&after));
        let answer = node.http.send("POST", "/v1/events", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 200, "{bad}: {answer:?}");
        let answer = answer.json();
        assert_eq!(answer["accepted"], 2, "{bad}: {answer}");
        assert_eq!(answer["refused"][0]["index"], 1, "{bad}: {answer}");
        assert_eq!(answer["refused"][0]["code"], *code, "{bad}: {answer}");
        assert!(answer["refused"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
        assert_eq!(answer["refused"].as_array().unwrap().len(), 1);
        assert_eq!(answer["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "2"]);
        for title in [before, after] {
            assert_eq!(node.http.progress("ann", &title)["position_ms"], 60_000);
        }
    }
    assert_eq!(node.http.progress("ann", "t")["started"], false, "nothing of a refused event is stored");
}

#[test]
fn a_position_a_little_beyond_the_end_is_the_end() {
    let node = TestNode::start();
    node.http.record(&[with(event("ann", "film", "tv", "PAUSE", 64_999), "duration_ms", 60_000)]);
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 60_000);
}

#[test]
fn an_idle_screen_changes_nothing() {
    let node = TestNode::start();
    node.http.record(&[event("ann", "film", "tv", "PLAY", 0), event("ann", "film", "tv", "PAUSE", 540_500)]);
    let path = "/v1/profiles/ann/titles/film";
    let before = node.http.get(path);
    for kind in ["PAUSE", "PAUSE", "HEARTBEAT"] {
        node.http.record(&[event("ann", "film", "tv", kind, 540_500)]);
    }
    node.http.record(&[event("ann", "film", "kitchen", "HEARTBEAT", 12_000)]);
    let after = node.http.get(path);
    assert_eq!(before.text, after.text);
    assert_eq!(before.header("etag"), after.header("etag"));
}

#[test]
fn a_retry_of_a_batch_is_accepted_and_is_nothing() {
    let node = TestNode::start();
    let now = node.http.record(&[])["server_time_ms"].as_u64().unwrap();
    let events: Vec<Value> =
        (0..10).map(|n| with(event("ann", "film", "tv", "HEARTBEAT", n * 10_000), "at_ms", now - 100_000 + n * 10_000)).collect();
    let body = json!({"sent_at_ms": now, "events": events});
    assert_eq!(node.http.post("/v1/events", &body).json()["accepted"], 10);
    let before = node.http.get("/v1/profiles/ann/titles/film").text;
    assert_eq!(node.http.post("/v1/events", &body).json()["accepted"], 10);
    assert_eq!(node.http.get("/v1/profiles/ann/titles/film").text, before);
}

#[test]
fn touched_registers_are_returned_once_each_when_asked_for() {
    let node = TestNode::start();
    let events = [
        event("ann", "film", "tv", "PLAY", 0),
        event("ann", "film", "tv", "PAUSE", 30_000),
        event("ann", "other", "tv", "PAUSE", 1_000),
        event("ann", "", "tv", "PAUSE", 1_000),
    ];
    let answer = node.http.post("/v1/events?return=progress", &json!({ "events": events })).json();
    let progress = answer["progress"].as_array().unwrap();
    assert_eq!(progress.len(), 2, "{answer}");
    assert_eq!(progress[0], node.http.progress("ann", "film"));
    assert_eq!(progress[1], node.http.progress("ann", "other"));
    assert!(node.http.post("/v1/events", &json!({ "events": events })).json().get("progress").is_none());
    node.http.post("/v1/events?return=everything", &json!({ "events": events })).assert_problem(400, "bad_query");
}

#[test]
fn an_empty_batch_tells_the_time() {
    let node = TestNode::start();
    let answer = node.http.record(&[]);
    assert_eq!(answer["accepted"], 0);
    assert_eq!(answer["versions"], json!({}));
    assert!(answer["server_time_ms"].is_u64());
}

#[test]
fn a_beacon_s_plain_text_is_taken_and_a_form_is_not() {
    let node = TestNode::start();
    let body = json!({"events": [event("ann", "film", "tv", "PAUSE", 7_000)]}).to_string();
    for content_type in ["text/plain;charset=UTF-8", "application/json", "application/json; charset=utf-8", "application/vnd.player+json"] {
        let answer = node.http.send("POST", "/v1/events", &[("content-type", content_type)], body.as_bytes());
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
    }
    for content_type in ["application/x-www-form-urlencoded", "multipart/form-data", "application/octet-stream"] {
        node.http.send("POST", "/v1/events", &[("content-type", content_type)], body.as_bytes()).assert_problem(415, "media_type");
    }
}

#[test]
fn what_is_no_batch_is_refused_whole() {
    let node = TestNode::start();
    for body in ["", "{", "7", "[]", "{}", r#"{"events":{}}"#, r#"{"events":[],"sent_at_ms":"now"}"#, "{\"events\":[]}garbage"] {
        node.http.send("POST", "/v1/events", &[("content-type", "application/json")], body.as_bytes()).assert_problem(400, "malformed");
    }
}

#[test]
fn a_batch_is_at_most_a_thousand_events_and_a_mebibyte() {
    let node = TestNode::start();
    let events = |count: usize| (0..count).map(|n| event("ann", &format!("t{n}"), "tv", "PAUSE", 1)).collect::<Vec<_>>();
    node.http.record(&events(1_000));
    node.http.post("/v1/events", &json!({"events": events(1_001)})).assert_problem(413, "too_many_events");
    let padded = |bytes: usize| {
        let body = json!({"events": [event("ann", "big", "tv", "PAUSE", 1)]}).to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    let send = |body: String| node.http.send("POST", "/v1/events", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(send(padded(1 << 20)).status, 200);
    send(padded((1 << 20) + 1)).assert_problem(413, "body_too_large");
}

#[test]
fn a_device_s_wrong_clock_does_no_harm() {
    let node = TestNode::start();
    let now = node.http.record(&[])["server_time_ms"].as_u64().unwrap();
    let day = 86_400_000;
    for (title, device_now) in [("a-day-ahead", now + day), ("a-day-behind", now - day)] {
        let at = |ago: u64| device_now - ago;
        let events = [
            with(event("ann", title, "tv", "PLAY", 0), "at_ms", at(60_000)),
            with(event("ann", title, "tv", "PAUSE", 60_000), "at_ms", at(0)),
        ];
        let answer = node.http.post("/v1/events", &json!({"sent_at_ms": device_now, "events": events})).json();
        assert_eq!(answer["accepted"], 2, "{answer}");
        let progress = node.http.progress("ann", title);
        assert_eq!(progress["position_ms"], 60_000);
        let at_ms = progress["at_ms"].as_u64().unwrap();
        assert!(at_ms.abs_diff(now) < 20_000, "{title}: recorded at {at_ms}, now {now}");
    }
}

#[test]
fn a_full_profile_takes_no_further_title_and_keeps_the_others() {
    let node = TestNode::start();
    for batch in 0..10 {
        let events: Vec<_> = (0..1_000).map(|n| event("ann", &format!("t{batch}-{n}"), "tv", "PAUSE", 40_000)).collect();
        node.http.record(&events);
    }
    let answer = node
        .http
        .post("/v1/events", &json!({"events": [event("ann", "one-more", "tv", "PAUSE", 1), event("ann", "t0-0", "tv", "PAUSE", 50_000)]}))
        .json();
    assert_eq!(answer["accepted"], 1, "{answer}");
    assert_eq!(answer["refused"][0]["code"], "too_many_titles");
    assert_eq!(node.http.progress("ann", "t0-0")["position_ms"], 50_000);
    node.http.send("POST", "/v1/profiles/ann/titles/one-more/hide", &[], b"").assert_problem(409, "too_many_titles");
}
