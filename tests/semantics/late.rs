//! Rule 5 and event time: reports that come late, early, or with a clock of their own.

use leftoff::progress::{EventKind, PlaybackEvent, PlaybackState, Version};

use crate::node::{Node, event};

#[test]
fn a_late_report_counts_in_the_place_of_its_time() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.watch("tv", 0, 100);
    let first = node.say("tv", EventKind::Seek, 1_000).version;
    node.watch("tv", 1_000, 1_100);
    let second = node.say("tv", EventKind::Seek, 3_000).version;
    node.watch("tv", 3_000, 3_100);
    assert_eq!(node.say_late(150, "tv", EventKind::Heartbeat, 1_055).version, first);
    assert_eq!(node.say_late(250, "tv", EventKind::Heartbeat, 55).version, Version::FIRST);
    assert_eq!(node.say_late(50, "tv", EventKind::Heartbeat, 3_055).version, second);
    assert_eq!((node.version(), node.resumes_at()), (second, 3_100));
}

#[test]
fn a_late_move_descends_from_the_place_of_its_time() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.watch("tv", 0, 600);
    let second = node.say("tv", EventKind::Seek, 3_000).version;
    node.watch("tv", 3_000, 3_100);
    // A jump of five minutes ago, which the network kept back.
    let late = node.say_late(400, "tv", EventKind::Seek, 2_000).version;
    assert!(late > Version::FIRST && late < second);
    assert_eq!((node.version(), node.resumes_at()), (second, 3_100));
    assert_eq!(node.say_late(350, "tv", EventKind::Heartbeat, 2_050).version, late);
    assert_eq!(node.say_late(450, "tv", EventKind::Heartbeat, 250).version, Version::FIRST);
}

#[test]
fn a_late_move_after_the_last_one_takes_the_playhead_along() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_000);
    node.watch("tv", 3_000, 3_600);
    node.wait(20);
    // The jump back was 15 s ago, but the heartbeat after it arrives first.
    assert_eq!(node.say_late(5, "tv", EventKind::Heartbeat, 610).version, Version::FIRST);
    assert_eq!(node.resumes_at(), 3_600);
    let moved = node.say_late(15, "tv", EventKind::Seek, 600).version;
    assert!(moved > Version::FIRST);
    node.wait(5);
    assert_eq!(node.say("tv", EventKind::Heartbeat, 620).version, moved);
    assert_eq!(node.resumes_at(), 620);
}

#[test]
fn a_late_move_is_versioned_by_its_own_time_even_if_it_is_live() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(20);
    node.say_late(0, "tv", EventKind::Heartbeat, 3_620);
    let moved_at = node.say_late(5, "tv", EventKind::Seek, 600).version.as_hlc().wall();
    assert_eq!(node.now.millis_since(moved_at), 5_000);
}

#[test]
fn a_late_end_ends_the_place_of_its_time_only() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 7_000);
    node.watch("tv", 7_000, 7_100);
    node.wait(60);
    node.say("tv", EventKind::Seek, 0);
    node.watch("tv", 0, 100);
    assert_eq!(node.say_late(120, "tv", EventKind::End, 7_140).version, Version::FIRST);
    assert_eq!((node.film().unwrap().completed(), node.resumes_at()), (false, 100));
    assert!(node.film().unwrap().places.find(Version::FIRST).unwrap().ended);
}

#[test]
fn a_devices_later_report_beats_its_earlier_one_in_whatever_order_they_arrive() {
    let pause_then_play = |late: bool| {
        let mut node = Node::new();
        node.say("tv", EventKind::Play, 90);
        node.watch("tv", 90, 100);
        node.wait(4);
        if late {
            node.say_late(0, "tv", EventKind::Heartbeat, 102);
            node.say_late(2, "tv", EventKind::Pause, 101);
        } else {
            node.say_late(2, "tv", EventKind::Pause, 101);
            node.say_late(0, "tv", EventKind::Heartbeat, 102);
        }
        let activity = node.film().unwrap().activity.clone().unwrap();
        (activity.state, activity.position.as_millis())
    };
    assert_eq!(pause_then_play(false), (PlaybackState::Playing, 102_000));
    assert_eq!(pause_then_play(true), (PlaybackState::Playing, 102_000));
}

#[test]
fn a_pause_beats_the_heartbeat_of_another_device_within_the_grace_period_and_not_after_it() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 1_000);
    node.say("phone", EventKind::Play, 1_000);
    node.wait(10);
    node.say("tv", EventKind::Pause, 1_010);
    node.wait(2);
    node.say("phone", EventKind::Heartbeat, 1_012);
    let state = |node: &Node| node.film().unwrap().activity.clone().unwrap().state;
    assert_eq!(state(&node), PlaybackState::Paused);
    node.wait(5);
    node.say("phone", EventKind::Heartbeat, 1_017);
    assert_eq!(state(&node), PlaybackState::Playing);
}

#[test]
fn a_live_queue_ages_by_the_smallest_offset_of_its_device() {
    // The device's clock is a day ahead; its queue holds a heartbeat, a jump, and a heartbeat of before the jump.
    let mut node = Node::new();
    let own = node.now.as_millis() + 86_400_000;
    let at = |at_ms: u64, event: PlaybackEvent| PlaybackEvent { at_ms: Some(at_ms), ..event };
    node.record(None, &[at(own, event("tv", EventKind::Play, 100))]);
    node.wait(120);
    let outcomes = node.record(
        None,
        &[
            at(own + 30_000, event("tv", EventKind::Heartbeat, 130)),
            at(own + 110_000, event("tv", EventKind::Seek, 3_000)),
            at(own + 100_000, event("tv", EventKind::Heartbeat, 200)),
        ],
    );
    let stamped: Vec<_> = outcomes.iter().map(|report| report.as_ref().unwrap().delta.as_ref().unwrap().newest_stamp().wall()).collect();
    assert_eq!(stamped[0].as_millis(), node.now.as_millis() - 90_000);
    assert_eq!(outcomes[2].as_ref().unwrap().version, Version::FIRST);
    assert_eq!(node.resumes_at(), 3_000);
}

#[test]
fn a_queue_that_says_when_it_was_sent_ages_by_that() {
    let mut node = Node::new();
    node.wait(86_400);
    let (now, own) = (node.now.as_millis(), 1_000_000_000);
    let queued = PlaybackEvent { at_ms: Some(own - 3_600_000), ..event("tv", EventKind::Heartbeat, 100) };
    let report = node.record(Some(own), &[queued]).remove(0).unwrap();
    assert_eq!(report.delta.unwrap().newest_stamp().wall().as_millis(), now - 3_600_000);
}

#[test]
fn what_a_device_showed_of_its_clock_counts_for_an_hour() {
    let mut node = Node::new();
    let own = node.now.as_millis() + 5_000_000;
    let at = |at_ms: u64| PlaybackEvent { at_ms: Some(at_ms), ..event("tv", EventKind::Heartbeat, at_ms / 1_000 % 1_000_000 / 100) };
    node.tell(&at(own));
    node.wait(58 * 60);
    let late = node.tell(&PlaybackEvent { position_ms: 2_000_000, ..at(own + 48 * 60_000) });
    assert_eq!(late.delta.unwrap().newest_stamp().wall().as_millis(), node.now.as_millis() - 600_000);
    node.wait(3 * 3_600);
    let alone = node.tell(&PlaybackEvent { position_ms: 3_000_000, ..at(own + 60 * 60_000) });
    assert_eq!(alone.delta.unwrap().newest_stamp().wall(), node.now, "forgotten: a lone event is now");
}

#[test]
fn recorded_stamps_of_two_devices_in_one_millisecond_differ() {
    let mut node = Node::new();
    node.wait(3_600);
    let [tv, phone] = ["tv", "phone"].map(|device| node.say_late(600, device, EventKind::Play, 100).delta.unwrap().newest_stamp());
    assert_eq!(tv.wall(), phone.wall());
    assert_ne!(tv, phone);
}

#[test]
fn stamps_of_a_playheads_reports_grow_even_where_its_events_share_a_millisecond() {
    let mut node = Node::new();
    node.wait(3_600);
    let sent = node.now.as_millis();
    let at = |kind, position_s| PlaybackEvent { at_ms: Some(sent - 600_000), ..event("tv", kind, position_s) };
    let events = [at(EventKind::Play, 1), at(EventKind::Heartbeat, 2), at(EventKind::Pause, 3), at(EventKind::Stop, 4)];
    let stamps: Vec<_> = node.record(Some(sent), &events).into_iter().map(|report| report.unwrap().delta.unwrap().newest_stamp()).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}
