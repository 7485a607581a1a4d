//! Payloads of existing players over HTTP, as their own documents show them, and rewatching with players that say only where they are.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{Answer, Client, TestNode, event, with};

/// A mobile platform's document, word for word.
const HEARTBEAT: &str = r#"{
  "profile_id": "u123",
  "movie_id": "m456",
  "video_timestamp_ms": 540500,
  "client_request_time": 1705820000,
  "device_id": "phone_01",
  "event_type": "HEARTBEAT"
}"#;

/// A show's record, word for word.
const RECORD: &str = r#"{
"userId": 12345,
"showId": 789,
"episodeId": 12,
"position": 1122
}"#;

fn send(client: &Client, path: &str, body: &str) -> Answer {
    // What `fetch` and `sendBeacon` say of a text when nobody tells them otherwise.
    client.send("POST", path, &[("content-type", "text/plain;charset=UTF-8")], body.as_bytes())
}

#[track_caller]
fn accepted(answer: &Answer, count: u64) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_array().map(Vec::len)), (Some(count), Some(0)), "{answer}");
    assert!(answer["server_time_ms"].is_u64());
    answer
}

#[test]
fn the_heartbeat_of_its_document_is_resumed_where_it_stood() {
    let node = TestNode::start();
    let answer = accepted(&send(&node.http, "/v1/heartbeats", HEARTBEAT), 1);
    assert_eq!(answer["versions"], json!({"0": 0}));
    let progress = node.http.progress("u123", "m456");
    assert_eq!(
        (&progress["position_ms"], &progress["device_id"], &progress["state"]),
        (&json!(540_500), &json!("phone_01"), &json!("playing"))
    );
    assert!(progress["at_ms"].as_u64().unwrap() > 1_705_820_000_000, "a lone heartbeat is of now, whatever its clock says");
    accepted(&send(&node.http, "/v1/heartbeats", HEARTBEAT), 1);
    assert_eq!(node.http.progress("u123", "m456"), progress, "a retry is nothing");
}

#[test]
fn three_heartbeats_are_sent_in_one_request_and_each_is_answered_for() {
    let node = TestNode::start();
    let heartbeat = |time: u64, position: Value| json!({"profile_id": "u", "movie_id": "m", "device_id": "d", "video_timestamp_ms": position, "client_request_time": time});
    let body =
        json!([heartbeat(1_705_820_000, json!(10_000)), heartbeat(1_705_820_010, json!("x")), heartbeat(1_705_820_020, json!(30_000))]);
    let answer = node.http.post("/v1/heartbeats?return=progress", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["versions"], json!({"0": 0, "2": 0}));
    assert_eq!((&answer["refused"][0]["index"], &answer["refused"][0]["code"]), (&json!(1), &json!("bad_position")));
    assert_eq!(answer["progress"][0]["position_ms"], 30_000);
}

#[test]
fn the_update_of_a_learning_platform_is_taken_with_its_states() {
    let node = TestNode::start();
    let now = leftoff::time::system::wall_now().as_millis();
    let update = |position: f64, state: &str, immediate: bool, after_ms: u64| {
        json!({"userId": "7f1c", "lessonId": "intro", "position": position, "state": state, "deviceId": "browser-1",
               "timestamp": now + after_ms, "immediate": immediate})
        .to_string()
    };
    accepted(&send(&node.http, "/api/progress/sync", &update(310.0, "playing", false, 0)), 1);
    accepted(&send(&node.http, "/api/progress/sync", &update(312.48, "paused", true, 2_480)), 1);
    let progress = node.http.progress("7f1c", "intro");
    assert_eq!((&progress["position_ms"], &progress["state"]), (&json!(312_480), &json!("paused")));
    // At once and playing: the viewer has sought.
    accepted(&send(&node.http, "/api/progress/sync", &update(12.0, "playing", true, 4_000)), 1);
    assert_eq!(node.http.progress("7f1c", "intro")["position_ms"], 12_000);
}

#[test]
fn the_record_of_an_episode_resumes_at_18_42() {
    let node = TestNode::start();
    accepted(&send(&node.http, "/v1/positions", RECORD), 1);
    let row = node.http.get("/v1/profiles/12345/continue-watching").json();
    assert_eq!((&row["items"][0]["title_id"], &row["items"][0]["series_id"]), (&json!("12"), &json!("789")));
    assert_eq!(row["items"][0]["position_ms"], 1_122_000);
    let by_clock = RECORD.replace("1122", "\"18:52\"");
    accepted(&send(&node.http, "/v1/positions", &by_clock), 1);
    assert_eq!(node.http.progress("12345", "12")["position_ms"], 1_132_000);
}

/// Heartbeats of one player by its own clock, so that nobody has to wait for it.
struct Player<'a> {
    node: &'a TestNode,
    clock_s: u64,
}

impl Player<'_> {
    fn at(&mut self, after_s: u64, position_s: u64) -> Value {
        self.clock_s += after_s;
        let heartbeat = json!({"profile_id": "ann", "movie_id": "film", "device_id": "tv", "video_timestamp_ms": position_s * 1_000,
                               "client_request_time": self.clock_s, "duration_ms": 7_200_000});
        accepted(&self.node.http.post("/v1/heartbeats", &heartbeat), 1)
    }

    fn position_s(&self) -> u64 {
        self.node.http.progress("ann", "film")["position_ms"].as_u64().unwrap() / 1_000
    }
}

#[test]
fn with_heartbeats_alone_a_film_can_be_watched_again() {
    let node = TestNode::start();
    let mut player = Player { node: &node, clock_s: 1_705_820_000 };
    player.at(0, 3_600);
    player.at(10, 3_610);
    assert_eq!(player.at(10, 30)["versions"], json!({}), "kept back until the next one");
    assert_eq!(player.position_s(), 3_610);
    player.at(10, 40);
    assert_eq!(player.position_s(), 40);
    player.at(10, 50);
    assert_eq!(player.position_s(), 50);
    let places = node.http.progress("ann", "film")["places"].clone();
    assert_eq!(places[1]["position_ms"], 3_610_000, "the way back: {places}");
}

#[test]
fn a_single_stray_old_heartbeat_changes_nothing() {
    let node = TestNode::start();
    let mut player = Player { node: &node, clock_s: 1_705_820_000 };
    player.at(0, 3_600);
    player.at(10, 3_610);
    let before = node.http.progress("ann", "film");
    player.at(1, 30);
    assert_eq!(node.http.progress("ann", "film"), before);
    player.at(9, 3_620);
    assert_eq!(player.position_s(), 3_620);
    player.at(1, 40);
    player.at(9, 3_630);
    assert_eq!(player.position_s(), 3_630);
    assert_eq!(node.http.progress("ann", "film")["places"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_screen_that_wakes_up_in_an_old_place_has_not_jumped() {
    let node = TestNode::start();
    let mut player = Player { node: &node, clock_s: 1_705_820_000 };
    player.at(0, 600);
    player.at(10, 610);
    // Watched on elsewhere, by a player that says what it does.
    node.http.record(&[event("ann", "film", "phone", "SEEK", 3_000_000), event("ann", "film", "phone", "HEARTBEAT", 3_010_000)]);
    player.at(600, 620);
    player.at(10, 630);
    assert_eq!(player.position_s(), 3_010, "it goes on where it was, and that is no move of the viewer");
}

#[test]
fn a_film_that_was_watched_to_its_end_begins_again_on_a_device_of_heartbeats() {
    let node = TestNode::start();
    node.http.record(&[with(event("ann", "film", "phone", "END", 7_200_000), "duration_ms", 7_200_000)]);
    let mut player = Player { node: &node, clock_s: 1_705_820_000 };
    for _ in 0..3 {
        player.at(10, 5);
    }
    assert_eq!(node.http.progress("ann", "film")["completed"], true, "an idle screen has not begun");
    for position in [15, 25, 35] {
        player.at(10, position);
    }
    let progress = node.http.progress("ann", "film");
    assert_eq!((&progress["completed"], &progress["position_ms"]), (&json!(false), &json!(35_000)));
}

#[test]
fn positions_without_a_time_are_judged_by_when_they_arrive() {
    let node = TestNode::start();
    let at = |position: &str| accepted(&send(&node.http, "/v1/positions", &RECORD.replace("1122", position)), 1);
    at("1122");
    at("30");
    assert_eq!(node.http.progress("12345", "12")["position_ms"], 1_122_000);
    at("31");
    assert_eq!(node.http.progress("12345", "12")["position_ms"], 31_000);
}

#[test]
fn a_token_of_one_profile_says_whose_a_report_is_and_no_token_reaches_another_s() {
    let keys = Keys::new();
    let node = keys.node();
    let ann = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    accepted(
        &send(&ann, "/api/progress/sync", r#"{"lessonId":"intro","position":60,"state":"paused","deviceId":"b","immediate":true}"#),
        1,
    );
    assert_eq!(ann.progress("ann", "intro")["position_ms"], 60_000);
    send(&ann, "/v1/heartbeats", HEARTBEAT).assert_problem(403, "profile_not_in_token");
    send(&ann, "/v1/positions", RECORD).assert_problem(403, "profile_not_in_token");
    let both = node.http.with_token(keys.token("a", &["--profile", "ann", "--profile", "ben"]));
    let answer = send(&both, "/api/progress/sync", r#"{"lessonId":"intro","position":60,"deviceId":"b"}"#);
    assert_eq!((answer.status, &answer.json()["refused"][0]["code"]), (200, &json!("bad_id")));
    for path in ["/v1/heartbeats", "/v1/positions", "/api/progress/sync"] {
        send(&node.http, path, HEARTBEAT).assert_problem(401, "token_missing");
        send(&ann, path, "{").assert_problem(400, "malformed");
    }
}
