//! `GET /v1/profiles/{p}/titles/{t}` and `.../continue-watching`.

use serde_json::{Value, json};

use crate::support::{TestNode, event, with};

#[test]
fn nothing_recorded_is_the_same_answer_with_nothing_in_it() {
    let node = TestNode::start();
    let progress = node.http.progress("ann", "film");
    assert_eq!(progress["profile_id"], "ann");
    assert_eq!(progress["title_id"], "film");
    assert_eq!(progress["started"], false);
    assert_eq!(progress["position_ms"], 0);
    assert_eq!(progress["version"], 0);
    assert_eq!(progress["places"], json!([]));
    assert_eq!(progress["completed"], false);
}

#[test]
fn progress_has_every_field_and_no_number_beyond_javascript() {
    let node = TestNode::start();
    let play = with(with(event("ann", "e1", "tv", "PLAY", 0), "series_id", "show"), "duration_ms", 2_400_000);
    node.http.record(&[
        play,
        event("ann", "e1", "tv", "SEEK", 1_200_000),
        with(event("ann", "e1", "tv", "PAUSE", 1_260_000), "speed", 1.25),
    ]);
    let progress = node.http.progress("ann", "e1");
    let fields = [
        "profile_id",
        "title_id",
        "series_id",
        "started",
        "position_ms",
        "version",
        "high_ms",
        "places",
        "duration_ms",
        "completed",
        "furthest_ms",
        "state",
        "device_id",
        "speed",
        "at_ms",
        "hidden",
        "cursor",
    ];
    for field in fields {
        assert!(!progress[field].is_null(), "{field} in {progress}");
    }
    assert_eq!(progress.as_object().unwrap().len(), fields.len(), "{progress}");
    assert_eq!(progress["series_id"], "show");
    assert_eq!(progress["duration_ms"], 2_400_000);
    assert_eq!(progress["speed"], 1.25);
    assert_eq!(progress["state"], "paused");
    assert_eq!(progress["high_ms"], 1_260_000);
    let places = progress["places"].as_array().unwrap();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0]["version"], progress["version"], "newest first");
    assert_eq!(places[1]["position_ms"], 0);
    assert!(places.iter().all(|place| place["touched_ms"].as_u64().unwrap() > 1_700_000_000_000));
    each_number(&progress, &mut |number| assert!(number.abs() < 9_007_199_254_740_992.0, "{number}"));
}

fn each_number(value: &Value, visit: &mut impl FnMut(f64)) {
    match value {
        Value::Number(number) => visit(number.as_f64().unwrap()),
        Value::Array(items) => items.iter().for_each(|item| each_number(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| each_number(field, visit)),
        _ => {}
    }
}

#[test]
fn each_policy_reads_its_own_position() {
    let node = TestNode::start();
    node.http.record(&[
        event("ann", "film", "tv", "PLAY", 0),
        event("ann", "film", "tv", "SEEK", 3_000_000),
        event("ann", "film", "tv", "SEEK", 600_000),
    ]);
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 660_000), event("ann", "film", "phone", "PAUSE", 3_050_000)]);
    let position = |policy: &str| node.http.get(&format!("/v1/profiles/ann/titles/film?policy={policy}")).json()["position_ms"].clone();
    assert_eq!(position("continue"), 660_000, "the newest place");
    assert_eq!(position("furthest"), 3_050_000);
    assert_eq!(position("last_activity"), 3_050_000);
    node.http.get("/v1/profiles/ann/titles/film?policy=newest").assert_problem(400, "bad_query");
}

#[test]
fn an_unchanged_register_is_not_sent_again() {
    let node = TestNode::start();
    let path = "/v1/profiles/ann/titles/film";
    for stage in ["nothing recorded", "recorded"] {
        let first = node.http.get(path);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 4, "{stage}: {tag}");
        for value in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = node.http.send("GET", path, &[("if-none-match", &value)], b"");
            assert_eq!((again.status, again.text.as_str()), (304, ""), "{stage}: {value}");
            assert_eq!(again.header("etag"), tag);
        }
        assert_eq!(node.http.send("GET", path, &[("if-none-match", "\"other\"")], b"").status, 200);
        node.http.record(&[event("ann", "film", "tv", "PAUSE", 60_000 + first.text.len() as u64)]);
        let changed = node.http.send("GET", path, &[("if-none-match", &tag)], b"");
        assert_eq!(changed.status, 200, "{stage}");
        assert_ne!(changed.header("etag"), tag);
    }
}

#[test]
fn ids_travel_percent_encoded() {
    let node = TestNode::start();
    node.http.record(&[event("account/profile", "Die Brücke: Teil 1?", "tv", "PAUSE", 61_000)]);
    let progress = node.http.progress("account%2Fprofile", "Die%20Br%C3%BCcke%3A%20Teil%201%3F");
    assert_eq!(progress["position_ms"], 61_000);
    assert_eq!(progress["profile_id"], "account/profile");
    assert_eq!(node.http.progress("account", "profile")["started"], false);
    let long = "x".repeat(129);
    node.http.get(&format!("/v1/profiles/{long}/titles/t")).assert_problem(400, "bad_id");
    node.http.get("/v1/profiles/a%00b/titles/t").assert_problem(400, "bad_id");
    node.http.get("/v1/profiles/%FF/titles/t").assert_problem(400, "bad_path");
}

#[test]
fn the_row_is_what_is_to_be_continued_most_recent_first() {
    let node = TestNode::start();
    let episode = |title: &str| with(with(event("ann", title, "tv", "PAUSE", 700_000), "series_id", "show"), "duration_ms", 2_400_000);
    node.http.record(&[episode("e1")]);
    node.http.record(&[with(event("ann", "done", "tv", "END", 3_000_000), "duration_ms", 3_000_000)]);
    node.http.record(&[with(event("ann", "glimpsed", "tv", "PAUSE", 10_000), "duration_ms", 3_000_000)]);
    node.http.record(&[event("ann", "film", "tv", "PAUSE", 600_000)]);
    node.http.record(&[episode("e2")]);
    let row = |query: &str| -> Vec<String> {
        let answer = node.http.get(&format!("/v1/profiles/ann/continue-watching{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["items"].as_array().unwrap().iter().map(|item| item["title_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(row(""), ["e2", "film"]);
    assert_eq!(row("?limit=1"), ["e2"]);
    assert_eq!(row("?limit=5000"), ["e2", "film"]);
    for bad in ["0", "-1", "ten", ""] {
        node.http.get(&format!("/v1/profiles/ann/continue-watching?limit={bad}")).assert_problem(400, "bad_query");
    }
    assert_eq!(node.http.get("/v1/profiles/nobody/continue-watching").json(), json!({"items": []}));
}

#[test]
fn the_row_is_twenty_long_when_nobody_says_and_two_hundred_at_most() {
    let node = TestNode::start();
    node.http.record(&(0..250).map(|n| event("ann", &format!("t{n}"), "tv", "PAUSE", 40_000)).collect::<Vec<_>>());
    let count =
        |query: &str| node.http.get(&format!("/v1/profiles/ann/continue-watching{query}")).json()["items"].as_array().unwrap().len();
    assert_eq!(count(""), 20);
    assert_eq!(count("?limit=250"), 200);
}

#[test]
fn what_is_read_is_what_was_acknowledged_also_after_a_restart() {
    let node = TestNode::start();
    node.http.record(&[event("ann", "film", "tv", "PLAY", 0), event("ann", "film", "tv", "PAUSE", 540_500)]);
    let before = node.http.progress("ann", "film");
    let node = TestNode::in_folder(node.stop(), &[]);
    let after = node.http.progress("ann", "film");
    for field in ["position_ms", "version", "high_ms", "places", "at_ms", "state", "device_id", "furthest_ms"] {
        assert_eq!(before[field], after[field], "{field}");
    }
}
