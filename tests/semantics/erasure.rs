//! Hiding and erasing, against devices that were away.

use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{Event, EventKind, PlaybackEvent, Playhead, Policy, Progress, TitleId, Version, View};

use crate::node::{Change, EVENING, Node, event};

#[test]
fn hiding_removes_from_the_row_until_there_is_new_activity() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 600);
    assert_eq!(node.row(), ["film"]);
    node.wait(1);
    node.hide("film");
    assert!(node.row().is_empty());
    assert_eq!(node.resumes_at(), 600, "the position is kept");
    node.say_late(3_600, "phone", EventKind::Heartbeat, 700);
    assert!(node.row().is_empty(), "watching of before the hiding does not undo it");
    node.wait(1);
    node.say("tv", EventKind::Heartbeat, 610);
    assert_eq!(node.row(), ["film"]);
}

#[test]
fn hiding_an_episode_hides_the_older_activity_of_its_series() {
    let mut node = Node::new();
    let episode = |title: &str, position_s: u64| PlaybackEvent {
        title_id: title.into(),
        series_id: Some("show".into()),
        ..event("tv", EventKind::Play, position_s)
    };
    node.tell(&episode("one", 600));
    node.wait(60);
    node.tell(&episode("two", 300));
    assert_eq!(node.row(), ["two"]);
    node.wait(60);
    node.hide("two");
    assert!(node.row().is_empty(), "and does not bring the first episode back");
    node.wait(60);
    node.tell(&episode("one", 700));
    assert_eq!(node.row(), ["one"]);
}

#[test]
fn hidden_at_the_very_stamp_of_the_last_activity_is_hidden() {
    for series_id in [None, Some("show".to_owned())] {
        let mut node = Node::new();
        let delta = node.tell(&PlaybackEvent { series_id, ..event("tv", EventKind::Play, 600) }).delta.unwrap();
        node.join(&Change::Delta(TitleId::new("film").unwrap(), Progress::hiding(delta.epoch, delta.newest_stamp())));
        assert!(node.row().is_empty() && node.film().unwrap().is_hidden());
    }
}

#[test]
fn erased_is_nothing_and_the_same_title_begins_anew() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.say("tv", EventKind::Seek, 5_000);
    node.wait(1);
    node.erase();
    assert!(!node.resume_point(Policy::Continue).started);
    node.wait(1);
    node.say("tv", EventKind::Heartbeat, 10);
    assert_eq!(node.resumes_at(), 10);
    assert_eq!(node.film().unwrap().places.as_slice().len(), 1);
}

#[test]
fn a_device_that_was_away_during_the_erasure_brings_nothing_back() {
    let mut node = Node::new();
    let mut away = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.pass_to(&mut away);
    node.wait(60);
    node.erase();
    // A year without a network, and it watched on, in the epoch that it knew.
    away.wait(365 * 86_400);
    away.say("tablet", EventKind::Play, 3_600);
    away.watch("tablet", 3_600, 4_000);
    node.now = away.now;
    let mut ours = node.clone();
    away.pass_to(&mut ours);
    assert!(!ours.resume_point(Policy::Continue).started);
    node.pass_to(&mut away);
    assert!(!away.resume_point(Policy::Continue).started);
    // From now on its activity counts, in the new epoch, also at the node.
    away.wait(10);
    away.say("tablet", EventKind::Heartbeat, 4_010);
    away.pass_to(&mut ours);
    assert_eq!(ours.resumes_at(), 4_010);
}

#[test]
fn a_queue_of_before_the_erasure_is_accepted_and_is_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(3_600);
    node.erase();
    node.wait(3_600);
    assert_eq!(node.say_late(2 * 3_600 - 10, "phone", EventKind::Heartbeat, 3_700).delta, None);
    let placed = PlaybackEvent { version: Some((node.now.as_millis() - 7_000_000) << 10), ..event("browser", EventKind::Heartbeat, 3_700) };
    assert_eq!(node.tell(&placed).delta, None);
    assert!(!node.resume_point(Policy::Continue).started);
    assert!(node.say_late(60, "phone", EventKind::Heartbeat, 20).delta.is_some());
}

#[test]
fn a_playhead_that_is_shown_a_later_erasure_starts_anew() {
    let mut node = Node::new();
    let check = |raw: &PlaybackEvent| Event::check(EVENING, CLOCK_DRIFT_MS_MAX, raw).unwrap();
    let first = check(&event("tv", EventKind::Play, 3_600));
    let mut playhead = Playhead::start(&first, EVENING, Some(node.clock.tick(EVENING)), &View::default());
    playhead.report(&first, EVENING, Some(node.clock.tick(EVENING)), Some(&View::default()));
    let moved = check(&event("tv", EventKind::Seek, 600));
    assert!(playhead.report(&moved, EVENING, Some(node.clock.tick(EVENING)), Some(&View::default())).version > Version::FIRST);
    let erased = node.clock.tick(EVENING);
    let again = check(&event("tv", EventKind::Play, 620));
    let report = playhead.report(&again, EVENING, Some(node.clock.tick(EVENING)), Some(&View::of(None, erased)));
    assert_eq!((report.version, report.delta.unwrap().epoch), (Version::FIRST, erased));
}

#[test]
fn two_erasures_at_two_nodes_end_in_one_epoch() {
    let mut eu = Node::new();
    let mut us = Node::new();
    eu.say("tv", EventKind::Play, 100);
    eu.pass_to(&mut us);
    us.wait(60);
    eu.wait(30);
    eu.erase();
    eu.wait(10);
    eu.say("tv", EventKind::Heartbeat, 200);
    us.erase();
    us.wait(10);
    us.say("phone", EventKind::Play, 50);
    eu.pass_to(&mut us);
    us.pass_to(&mut eu);
    assert_eq!(eu.registers, us.registers);
    assert_eq!(eu.resumes_at(), 50, "what was begun under the earlier erasure fell under the later one");
}
