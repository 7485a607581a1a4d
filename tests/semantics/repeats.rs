//! Rule 6: a repeat is nothing.

use leftoff::progress::{EventKind, PlaybackEvent, Version};

use crate::node::{Node, event};

#[test]
fn an_idle_screen_changes_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 100);
    node.wait(10);
    node.say("tv", EventKind::Pause, 110);
    let before = node.film().cloned();
    for _ in 0..100 {
        node.wait(10);
        assert_eq!(node.say("tv", EventKind::Pause, 110).delta, None);
        assert_eq!(node.say("tv", EventKind::Heartbeat, 110).delta, None, "some players send heartbeats while paused");
    }
    assert_eq!(node.film().cloned(), before);
}

#[test]
fn a_pause_and_a_stop_at_the_same_position_are_two_things() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 100);
    assert!(node.say("tv", EventKind::Pause, 100).delta.is_some());
    assert!(node.say("tv", EventKind::Stop, 100).delta.is_some());
    assert!(node.say("tv", EventKind::Stop, 100).delta.is_none());
}

#[test]
fn an_idle_screen_that_the_node_does_not_remember_changes_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(3_600);
    node.forget_playheads();
    for kind in [EventKind::Heartbeat, EventKind::Pause, EventKind::Stop] {
        node.forget_playheads();
        assert_eq!(node.say("tv", kind, 3_600).delta, None, "{kind:?} at its place's position");
        node.forget_playheads();
        assert_eq!(node.say("tv", kind, 3_599).delta, None, "{kind:?} below it");
    }
    assert!(node.say("tv", EventKind::Heartbeat, 3_601).delta.is_some(), "advancing is activity");
}

#[test]
fn an_idle_client_that_names_its_place_changes_nothing_either() {
    let mut node = Node::new();
    let placed = PlaybackEvent { version: Some(0), ..event("browser", EventKind::Heartbeat, 600) };
    assert!(node.tell(&placed).delta.is_some());
    node.wait(10);
    assert!(node.tell(&placed).delta.is_none());
}

#[test]
fn a_retry_at_the_same_node_is_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(10);
    let jump = PlaybackEvent { at_ms: Some(node.now.as_millis()), ..event("tv", EventKind::Seek, 600) };
    let first = node.tell(&jump);
    node.wait(5);
    let again = node.tell(&jump);
    assert_eq!((again.delta, again.version), (None, first.version));
    assert_eq!(node.film().unwrap().places.as_slice().len(), 2);
}

#[test]
fn a_retry_of_an_old_batch_is_recognised_among_the_last_thirty_two() {
    let mut node = Node::new();
    let started = node.now.as_millis();
    let at = |seconds: u64| PlaybackEvent { at_ms: Some(started + seconds * 1_000), ..event("tv", EventKind::Heartbeat, 100 + seconds) };
    let batch: Vec<_> = (0..32).map(at).collect();
    node.wait(32);
    let sent = Some(node.now.as_millis());
    assert!(node.record(sent, &batch).iter().all(|report| report.as_ref().unwrap().delta.is_some()));
    assert!(node.record(sent, &batch).iter().all(|report| report.as_ref().unwrap().delta.is_none()));
}

#[test]
fn a_retry_at_another_node_that_knows_the_move_opens_no_second_place() {
    let mut eu = Node::new();
    let mut us = Node::new();
    eu.say("tv", EventKind::Play, 3_600);
    eu.wait(10);
    us.now = eu.now;
    let jump = PlaybackEvent { at_ms: Some(eu.now.as_millis()), ..event("tv", EventKind::Seek, 600) };
    let first = eu.tell(&jump);
    eu.pass_to(&mut us);
    us.wait(2);
    assert_eq!(us.tell(&jump).version, first.version);
    assert_eq!(us.film().unwrap().places.as_slice().len(), 2);
}

#[test]
fn a_retry_at_another_node_that_does_not_yet_know_the_move_resumes_at_the_same_position() {
    let mut eu = Node::new();
    let mut us = Node::new();
    eu.say("tv", EventKind::Play, 3_600);
    eu.pass_to(&mut us);
    eu.wait(10);
    let jump = PlaybackEvent { at_ms: Some(eu.now.as_millis()), ..event("tv", EventKind::Seek, 600) };
    eu.tell(&jump);
    us.now = eu.now;
    us.wait(2);
    us.tell(&jump);
    us.watch("tv", 600, 700);
    eu.pass_to(&mut us);
    us.pass_to(&mut eu);
    assert_eq!((eu.film(), eu.resumes_at()), (us.film(), 700));
}

#[test]
fn a_recorded_move_retried_at_another_node_is_the_same_place() {
    // Not live: both nodes derive the version from the event alone.
    let mut eu = Node::new();
    let mut us = Node::new();
    eu.say("tv", EventKind::Play, 3_600);
    eu.pass_to(&mut us);
    eu.wait(3_600);
    us.wait(3_600);
    let sent = eu.now.as_millis();
    let jump = PlaybackEvent { at_ms: Some(sent - 600_000), ..event("tv", EventKind::Seek, 600) };
    let first = eu.record(Some(sent), std::slice::from_ref(&jump)).remove(0).unwrap();
    let second = us.record(Some(sent), &[jump]).remove(0).unwrap();
    assert!(first.version > Version::FIRST);
    assert_eq!(first.version, second.version);
}

#[test]
fn a_client_that_names_its_place_retries_exactly_at_every_node() {
    let mut eu = Node::new();
    let mut us = Node::new();
    eu.say("tv", EventKind::Play, 3_600);
    let version = eu.now.as_millis() << 10 | 5;
    let jump = PlaybackEvent { at_ms: Some(eu.now.as_millis()), version: Some(version), ..event("tv", EventKind::Seek, 600) };
    eu.tell(&jump);
    us.wait(2);
    us.tell(&jump);
    eu.pass_to(&mut us);
    assert_eq!(us.film().unwrap().places.as_slice().len(), 2);
    assert_eq!((us.version().as_u64(), us.resumes_at()), (version, 600));
}
