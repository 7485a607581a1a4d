//! Section 6 and the checks of section 2: the three policies, completion, the row, and what is refused.

use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{Event, EventKind, PlaybackEvent, Policy, Position, Refusal, TitleId};

use crate::node::{Change, EVENING, Node, event};

fn with_duration(event: PlaybackEvent, duration_s: u64) -> PlaybackEvent {
    PlaybackEvent { duration_ms: Some(duration_s * 1_000), ..event }
}

#[test]
fn the_three_policies_answer_three_questions() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 5_000);
    node.wait(10);
    node.say("tv", EventKind::Seek, 600);
    node.wait(10);
    node.say("phone", EventKind::Play, 5_000);
    node.say("phone", EventKind::Seek, 4_990);
    let position = |policy| node.resume_point(policy).position.as_millis() / 1_000;
    assert_eq!(position(Policy::Continue), 600, "the newest deliberate move");
    assert_eq!(position(Policy::Furthest), 5_000);
    assert_eq!(position(Policy::LastActivity), 4_990);
}

#[test]
fn a_step_back_that_lies_ahead_of_its_place_is_none() {
    // No playhead says so; a hostile device may, and neither moves the resume point by it nor trips the reader.
    let mut node = Node::new();
    let mut delta = node.say("tv", EventKind::Play, 600).delta.unwrap();
    let activity = delta.activity.as_mut().unwrap();
    (activity.position, activity.stepped_back, activity.rank) = (Position::from_millis(9_000_000), true, 4);
    node.join(&Change::Delta(TitleId::new("film").unwrap(), delta));
    assert_eq!(node.resumes_at(), 600);
}

#[test]
fn nothing_recorded_is_a_start_at_zero() {
    let node = Node::new();
    for policy in [Policy::Continue, Policy::Furthest, Policy::LastActivity] {
        let point = node.resume_point(policy);
        assert!(!point.started && !point.completed && !point.hidden);
        assert_eq!(point.position.as_millis(), 0);
    }
}

#[test]
fn ninety_five_percent_of_a_known_length_complete() {
    let mut node = Node::new();
    node.tell(&with_duration(event("tv", EventKind::Play, 949), 1_000));
    assert!(!node.film().unwrap().completed());
    node.say("tv", EventKind::Heartbeat, 950);
    assert!(node.film().unwrap().completed());
}

#[test]
fn a_length_that_was_exceeded_is_doubted_until_a_longer_one_is_reported() {
    let mut node = Node::new();
    node.tell(&with_duration(event("tv", EventKind::Play, 100), 1_000));
    assert_eq!(node.resume_point(Policy::Continue).duration_ms, Some(1_000_000));
    node.say("tv", EventKind::Heartbeat, 1_005);
    assert_eq!(node.resume_point(Policy::Continue).duration_ms, Some(1_000_000), "five seconds are credits");
    node.say("tv", EventKind::Heartbeat, 1_100);
    assert_eq!((node.resume_point(Policy::Continue).duration_ms, node.resume_point(Policy::Continue).completed), (None, false));
    node.tell(&with_duration(event("tv", EventKind::Heartbeat, 1_110), 2_000));
    assert_eq!(node.resume_point(Policy::Continue).duration_ms, Some(2_000_000));
}

#[test]
fn the_row_leaves_out_what_is_completed_or_barely_begun() {
    let mut node = Node::new();
    let of = |title: &str, position_s, duration_s| PlaybackEvent {
        title_id: title.into(),
        ..with_duration(event("tv", EventKind::Play, position_s), duration_s)
    };
    for told in [of("begun", 600, 7_200), of("glimpsed", 29, 7_200), of("clip", 29, 60), of("done", 7_000, 7_200), of("half", 3_600, 7_200)]
    {
        node.tell(&told);
        node.wait(10);
    }
    assert_eq!(node.row(), ["half", "clip", "begun"]);
}

#[test]
fn a_completed_episode_hides_its_series_until_another_is_begun() {
    let mut node = Node::new();
    let of = |title: &str, position_s| PlaybackEvent {
        title_id: title.into(),
        series_id: Some("show".into()),
        ..with_duration(event("tv", EventKind::Play, position_s), 1_000)
    };
    node.tell(&of("one", 500));
    node.wait(10);
    node.tell(&of("two", 990));
    assert!(node.row().is_empty(), "the most recently active title stands for its series");
    node.wait(10);
    node.tell(&of("three", 100));
    assert_eq!(node.row(), ["three"]);
}

fn check(raw: &PlaybackEvent) -> Result<Event, Refusal> {
    Event::check(EVENING, CLOCK_DRIFT_MS_MAX, raw)
}

#[test]
fn a_position_a_little_beyond_its_own_duration_is_clamped_and_more_is_another_cut() {
    let near = with_duration(event("tv", EventKind::Heartbeat, 1_005), 1_000);
    assert_eq!(check(&near).unwrap().position.as_millis(), 1_000_000);
    let beyond = PlaybackEvent { position_ms: 1_005_001, ..near };
    assert!(matches!(check(&beyond), Err(Refusal::PositionBeyondDuration { .. })));
}

#[test]
fn a_duration_of_zero_is_an_unknown_one() {
    // Players say 0 before the metadata are loaded; taken at its word, that refused every position above five seconds.
    let event = check(&with_duration(event("tv", EventKind::Heartbeat, 600), 0)).unwrap();
    assert_eq!((event.position.as_millis(), event.duration_ms), (600_000, None));
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let base = event("tv", EventKind::Heartbeat, 10);
    let code = |raw: PlaybackEvent| check(&raw).map_err(|refusal| refusal.code());
    assert_eq!(code(PlaybackEvent { position_ms: 10_000_000_001, ..base.clone() }), Err("position_too_large"));
    assert!(code(PlaybackEvent { position_ms: 10_000_000_000, ..base.clone() }).is_ok());
    for speed in [0.0, -1.0, 16.1, f32::NAN, f32::INFINITY] {
        assert_eq!(code(PlaybackEvent { speed: Some(speed), ..base.clone() }), Err("bad_speed"));
    }
    assert!(code(PlaybackEvent { speed: Some(16.0), ..base.clone() }).is_ok());
    let ahead = |ms: u64| Some((EVENING.as_millis() + ms) << 10);
    assert!(code(PlaybackEvent { version: ahead(60_000), ..base.clone() }).is_ok());
    assert_eq!(code(PlaybackEvent { version: ahead(60_001), ..base.clone() }), Err("version_ahead"));
    assert_eq!(code(PlaybackEvent { version: Some(u64::MAX), ..base.clone() }), Err("version_ahead"));
    assert_eq!(code(PlaybackEvent { series_id: Some(String::new()), ..base.clone() }), Err("bad_id"));
    let without_profile = serde_json::json!({"title_id": "film", "device_id": "tv", "kind": "PLAY", "position_ms": 1});
    assert_eq!(code(serde_json::from_value(without_profile).unwrap()), Err("bad_id"));
}
