//! The values that existing players send, as far as they map onto events without their own dialects.

use serde_json::json;

use crate::support::{TestNode, event, with};

/// The heartbeat of a mobile platform: profile `u123`, movie `m456` at 540,500 ms, on `phone_01`, with its time in seconds since 1970.
#[test]
fn the_mobile_heartbeat_resumes_where_it_stood() {
    let node = TestNode::start();
    let sent_s: u64 = 1_705_820_000;
    let heartbeat = with(event("u123", "m456", "phone_01", "HEARTBEAT", 540_500), "at_ms", sent_s * 1_000);
    let answer = node.http.post("/v1/events", &json!({"sent_at_ms": sent_s * 1_000, "events": [heartbeat]})).json();
    assert_eq!(answer["accepted"], 1);
    let progress = node.http.progress("u123", "m456");
    assert_eq!(progress["position_ms"], 540_500);
    assert_eq!(progress["device_id"], "phone_01");
    assert!(progress["at_ms"].as_u64().unwrap() > sent_s * 1_000, "a clock of years ago is set right by sent_at_ms");
}

/// The record of a show: user 12345, show 789, episode 12 at `18:42`, which are 1,122 s.
#[test]
fn the_episode_record_resumes_at_18_42() {
    let node = TestNode::start();
    node.http.record(&[with(event("12345", "12", "tv", "PAUSE", 1_122_000), "series_id", "789")]);
    let row = node.http.get("/v1/profiles/12345/continue-watching").json();
    assert_eq!(row["items"][0]["series_id"], "789");
    assert_eq!(row["items"][0]["position_ms"], 1_122_000);
    let record = json!({"userId": 12345, "showId": 789, "episodeId": 12, "position": "18:42"});
    assert_eq!(node.http.post("/v1/positions", &record).json()["accepted"], 1);
    assert_eq!(node.http.progress("12345", "12")["position_ms"], row["items"][0]["position_ms"], "the same as its player shows it");
}

/// Ids composed of user, profile and video stay apart, whatever stands between them.
#[test]
fn composed_ids_stay_apart() {
    let node = TestNode::start();
    node.http.record(&[event("user/kids", "video", "tv", "PAUSE", 60_000), event("user", "kids/video", "tv", "PAUSE", 120_000)]);
    assert_eq!(node.http.progress("user%2Fkids", "video")["position_ms"], 60_000);
    assert_eq!(node.http.progress("user", "kids%2Fvideo")["position_ms"], 120_000);
}
