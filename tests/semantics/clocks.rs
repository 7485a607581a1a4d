//! Clocks that are wrong: of devices by a day, of nodes by half a minute.

use leftoff::progress::{EventKind, PlaybackEvent};

use crate::node::{Node, event};

#[test]
fn a_device_whose_clock_is_wrong_by_a_day_counts_like_any_other() {
    for wrong_ms in [-86_400_000, 86_400_000] {
        let mut node = Node::new();
        let tell = |node: &mut Node, kind, position_s| {
            let own = node.now.shifted(wrong_ms).as_millis();
            node.tell(&PlaybackEvent { at_ms: Some(own), ..event("tv", kind, position_s) })
        };
        node.say("phone", EventKind::Play, 3_600);
        node.wait(10);
        tell(&mut node, EventKind::Play, 3_600);
        node.wait(10);
        tell(&mut node, EventKind::Seek, 600);
        assert_eq!(node.resumes_at(), 600);
        node.wait(10);
        node.say("phone", EventKind::Seek, 5_000);
        assert_eq!(node.resumes_at(), 5_000, "and locks nobody out");
    }
}

#[test]
fn nodes_whose_clocks_are_half_a_minute_apart_keep_the_order_of_moves_that_know_of_each_other() {
    let mut fast = Node::new();
    let mut slow = Node::new();
    fast.wait(30);
    fast.say("tv", EventKind::Play, 3_600);
    fast.say("tv", EventKind::Seek, 600);
    fast.pass_to(&mut slow);
    slow.wait(1);
    slow.say("phone", EventKind::Play, 600);
    slow.say("phone", EventKind::Seek, 2_000);
    slow.pass_to(&mut fast);
    assert_eq!((slow.resumes_at(), fast.resumes_at()), (2_000, 2_000));
    assert_eq!(slow.film(), fast.film());
}

#[test]
fn a_title_ended_at_a_node_that_is_half_a_minute_ahead_can_be_begun_again_at_once() {
    let mut fast = Node::new();
    let mut slow = Node::new();
    fast.wait(30);
    fast.say("tv", EventKind::Play, 7_000);
    fast.say("tv", EventKind::End, 7_200);
    fast.pass_to(&mut slow);
    slow.wait(1);
    slow.say("phone", EventKind::Play, 0);
    slow.wait(9);
    slow.say("phone", EventKind::Heartbeat, 9);
    assert_eq!(slow.resumes_at(), 9);
}

#[test]
fn a_device_that_moves_between_such_nodes_keeps_its_place() {
    let mut fast = Node::new();
    let mut slow = Node::new();
    fast.wait(30);
    fast.say("tv", EventKind::Play, 3_600);
    let moved_to = fast.say("tv", EventKind::Seek, 600).version;
    fast.watch("tv", 600, 700);
    fast.pass_to(&mut slow);
    slow.wait(100);
    assert_eq!(slow.say("tv", EventKind::Heartbeat, 710).version, moved_to);
    slow.pass_to(&mut fast);
    assert_eq!(fast.resumes_at(), 710);
}
