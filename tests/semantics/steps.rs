//! Rule 3: a small step back is no move, and yet resumes to the second.

use leftoff::progress::{EventKind, PlaybackEvent, Policy, Version};

use crate::node::{Node, event};

fn watching_at(position_s: u64) -> Node {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, position_s - 100);
    node.watch("tv", position_s - 100, position_s);
    node
}

#[test]
fn a_pause_right_after_a_tap_back_resumes_to_the_second() {
    let mut node = watching_at(3_600);
    assert_eq!(node.say("tv", EventKind::Seek, 3_590).version, Version::FIRST);
    assert_eq!(node.resumes_at(), 3_590);
    node.wait(2);
    node.say("tv", EventKind::Pause, 3_592);
    assert_eq!(node.resumes_at(), 3_592);
    assert_eq!(node.resume_point(Policy::Continue).high.as_millis(), 3_600_000);
}

#[test]
fn the_step_ends_when_the_place_is_passed_again() {
    let mut node = watching_at(3_600);
    node.say("tv", EventKind::Seek, 3_590);
    node.wait(5);
    node.say("tv", EventKind::Heartbeat, 3_595);
    assert_eq!(node.resumes_at(), 3_595);
    node.wait(10);
    node.say("tv", EventKind::Heartbeat, 3_605);
    assert_eq!(node.resumes_at(), 3_605);
    assert!(!node.film().unwrap().activity.as_ref().unwrap().stepped_back);
}

#[test]
fn a_tap_forward_in_the_middle_of_a_step_back_is_still_below() {
    let mut node = watching_at(3_600);
    node.say("tv", EventKind::Seek, 3_560);
    node.say("tv", EventKind::Seek, 3_570);
    node.say("tv", EventKind::Pause, 3_570);
    assert_eq!(node.resumes_at(), 3_570);
}

#[test]
fn a_step_that_the_client_reports_is_kept_when_it_no_longer_does() {
    let mut node = watching_at(3_600);
    let placed = PlaybackEvent { version: Some(0), stepped_back: Some(true), ..event("tv", EventKind::Seek, 3_590) };
    node.tell(&placed);
    node.say("tv", EventKind::Pause, 3_591);
    assert_eq!(node.resumes_at(), 3_591);
}

#[test]
fn ten_taps_weigh_no_more_than_none() {
    let mut node = watching_at(3_600);
    for tap in 1..=10 {
        node.wait(1);
        assert_eq!(node.say("tv", EventKind::Seek, 3_600 - 10 * tap).version, Version::FIRST);
    }
    assert_eq!(node.resumes_at(), 3_600, "a hundred seconds of taps are not one jump of a hundred seconds");
}

#[test]
fn a_tap_does_not_outweigh_an_hour_watched_elsewhere_and_a_jump_does() {
    let mut node = watching_at(600);
    let mut phone = node.clone();
    // The phone, away, watches an hour in the same place; the television taps back.
    phone.say("phone", EventKind::Play, 600);
    phone.watch("phone", 600, 4_200);
    node.now = phone.now;
    node.say("tv", EventKind::Seek, 590);
    let mut jumped = node.clone();
    phone.pass_to(&mut node);
    assert_eq!(node.resumes_at(), 4_200);
    jumped.wait(1);
    jumped.say("tv", EventKind::Seek, 100);
    phone.pass_to(&mut jumped);
    assert_eq!(jumped.resumes_at(), 100);
}

#[test]
fn a_step_of_exactly_a_minute_is_a_step_and_a_second_more_is_a_move() {
    let mut node = watching_at(3_600);
    assert_eq!(node.say("tv", EventKind::Seek, 3_540).version, Version::FIRST);
    let mut node = watching_at(3_600);
    assert!(node.say("tv", EventKind::Seek, 3_539).version > Version::FIRST);
}

#[test]
fn a_device_behind_that_taps_back_does_not_pull_its_place_back() {
    let mut node = watching_at(3_600);
    node.say("phone", EventKind::Play, 600);
    node.say("phone", EventKind::Seek, 590);
    node.say("phone", EventKind::Pause, 591);
    assert_eq!(node.resumes_at(), 3_600);
}

#[test]
fn another_devices_heartbeat_ends_the_offer_of_the_step() {
    let mut node = watching_at(3_600);
    node.say("tv", EventKind::Seek, 3_590);
    node.say("tv", EventKind::Pause, 3_590);
    node.wait(20);
    node.say("phone", EventKind::Play, 3_600);
    node.watch("phone", 3_600, 3_610);
    assert_eq!(node.resumes_at(), 3_610);
}
