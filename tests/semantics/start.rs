//! Rule 1: where the first report of a device belongs.

use leftoff::progress::{EventKind, PlaybackEvent, Version};

use crate::node::{Node, event};

#[test]
fn an_empty_register_has_the_place_with_version_zero() {
    let mut node = Node::new();
    assert_eq!(node.say("tv", EventKind::Play, 0).version, Version::FIRST);
    assert_eq!(node.say("phone", EventKind::Play, 3_000).version, Version::FIRST);
}

#[test]
fn a_device_that_opens_a_title_where_it_was_last_week_lowers_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 1_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 3_600);
    let jumped_to = node.version();
    node.wait(7 * 86_400);
    node.forget_playheads();
    assert_eq!(node.say("phone", EventKind::Play, 1_000).version, Version::FIRST);
    node.watch("phone", 1_000, 1_200);
    assert_eq!((node.version(), node.resumes_at()), (jumped_to, 3_600));
}

#[test]
fn a_device_that_opens_a_title_where_another_left_off_goes_on_there() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.wait(60);
    node.say("tv", EventKind::Seek, 3_600);
    let jumped_to = node.version();
    node.wait(60);
    assert_eq!(node.say("phone", EventKind::Play, 3_595).version, jumped_to);
    node.watch("phone", 3_595, 3_705);
    assert_eq!(node.resumes_at(), 3_705);
}

#[test]
fn a_known_device_that_opens_a_title_where_another_left_off_goes_on_there_too() {
    let mut node = Node::new();
    node.say("phone", EventKind::Play, 0);
    node.watch("phone", 0, 600);
    node.say("phone", EventKind::Stop, 600);
    node.say("tv", EventKind::Play, 600);
    node.say("tv", EventKind::Seek, 3_600);
    node.watch("tv", 3_600, 4_000);
    node.say("tv", EventKind::Stop, 4_000);
    let jumped_to = node.version();
    assert_eq!(node.say("phone", EventKind::Play, 4_000).version, jumped_to);
    node.watch("phone", 4_000, 4_300);
    assert_eq!(node.resumes_at(), 4_300);
}

#[test]
fn a_known_device_that_wakes_where_it_was_stays_in_its_own_place() {
    let mut node = Node::new();
    node.say("phone", EventKind::Play, 590);
    node.say("phone", EventKind::Pause, 600);
    node.wait(60);
    node.say("tv", EventKind::Play, 600);
    node.say("tv", EventKind::Seek, 3_600);
    node.wait(60);
    assert_eq!(node.say("phone", EventKind::Play, 600).version, Version::FIRST);
    assert_eq!(node.resumes_at(), 3_600);
}

#[test]
fn the_nearest_place_within_a_minute_is_taken_before_a_newer_one() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 1_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 1_100);
    let newer = node.version();
    node.wait(60);
    assert_eq!(node.say("phone", EventKind::Play, 1_045).version, Version::FIRST);
    assert_eq!(node.say("tablet", EventKind::Play, 1_055).version, newer);
}

#[test]
fn ten_minutes_ahead_of_the_newest_is_before_the_highest_below_and_a_second_more_is_not() {
    for (position_s, newest) in [(1_600, true), (1_601, false)] {
        let mut node = Node::new();
        node.say("tv", EventKind::Play, 1_300);
        node.wait(60);
        node.say("tv", EventKind::Seek, 1_000);
        let report = node.say("phone", EventKind::Heartbeat, position_s);
        assert_eq!(report.version == node.version(), newest, "{position_s}");
    }
}

#[test]
fn a_minute_away_is_near_and_a_second_more_is_not() {
    for (position_s, near) in [(940, true), (939, false)] {
        let mut node = Node::new();
        node.say("tv", EventKind::Play, 2_000);
        node.wait(60);
        node.say("tv", EventKind::Seek, 1_000);
        let report = node.say("phone", EventKind::Play, position_s);
        assert_eq!(report.version == node.version(), near, "{position_s}: otherwise the oldest");
    }
}

#[test]
fn of_places_at_the_same_position_the_newest_is_taken() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 1_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 3_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 1_000);
    let newest = node.version();
    assert_eq!(node.clone().say("phone", EventKind::Play, 1_010).version, newest);
    assert_eq!(node.say("tablet", EventKind::Play, 2_500).version, newest, "the highest below, of equals the newest");
}

#[test]
fn ten_minutes_ahead_is_the_newest_place_and_more_is_the_highest_below() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 1_000);
    let newest = node.version();
    assert_eq!(node.say("phone", EventKind::Heartbeat, 1_600).version, newest);
    // The newest has advanced to 1,600 by the phone's report.
    assert_eq!(node.say("tablet", EventKind::Heartbeat, 2_201).version, newest, "nothing else lies below");
    assert_eq!(node.say("radio", EventKind::Heartbeat, 3_500).version, Version::FIRST, "the highest-positioned place below");
}

#[test]
fn below_every_place_is_the_oldest() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_000);
    node.wait(60);
    node.say("tv", EventKind::Seek, 2_000);
    assert_eq!(node.say("phone", EventKind::Play, 0).version, Version::FIRST);
    assert_eq!(node.resumes_at(), 2_000);
}

#[test]
fn a_report_of_this_morning_does_not_start_in_a_place_of_this_evening() {
    let mut node = Node::new();
    node.wait(86_400);
    node.say("tv", EventKind::Play, 0);
    node.wait(60);
    node.say("tv", EventKind::Seek, 3_600);
    let jumped_to = node.version();
    assert_eq!(node.say_late(10 * 3_600, "phone", EventKind::Heartbeat, 3_610).version, Version::FIRST);
    assert_eq!((node.version(), node.resumes_at()), (jumped_to, 3_600));
    assert_eq!(node.say("tablet", EventKind::Heartbeat, 3_601).version, jumped_to);
}

#[test]
fn a_late_report_from_before_the_playheads_start_does_not_count_in_a_place_opened_since() {
    // The device comes back near a place that another opened meanwhile; then its queue of this morning arrives.
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 5_000);
    node.wait(60);
    let yesterday = node.say("tv", EventKind::Seek, 4_000).version;
    node.wait(86_400);
    node.say("tv", EventKind::Seek, 600);
    let jumped_to = node.version();
    node.wait(60);
    assert_eq!(node.say("phone", EventKind::Play, 605).version, jumped_to);
    assert_eq!(node.say_late(10 * 3_600, "phone", EventKind::Heartbeat, 4_010).version, yesterday, "placed like a first report");
    assert_eq!((node.version(), node.resumes_at()), (jumped_to, 605));
    assert_eq!(node.say("phone", EventKind::Heartbeat, 615).version, jumped_to, "and the playhead is still where it was");
}

#[test]
fn a_client_that_names_its_place_is_believed() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_000);
    let own = node.now.as_millis() << 10;
    let placed = PlaybackEvent { version: Some(own), ..event("browser", EventKind::Seek, 100) };
    assert_eq!(node.tell(&placed).version.as_u64(), own);
    assert_eq!((node.version().as_u64(), node.resumes_at()), (own, 100));
}
