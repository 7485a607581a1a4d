//! Rule 2: deliberate moves, rewatching, and what looks like them.

use leftoff::progress::{EventKind, PlaybackEvent, Version};

use crate::node::{Node, event};

#[test]
fn a_jump_back_wins_and_leaves_the_way_back() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_590);
    node.say("tv", EventKind::Heartbeat, 3_600);
    node.wait(10);
    let moved = node.say("tv", EventKind::Seek, 600);
    assert!(moved.version > Version::FIRST);
    assert_eq!(node.resumes_at(), 600);
    let places: Vec<_> = node.film().unwrap().places.as_slice().iter().map(|place| place.position.as_millis()).collect();
    assert_eq!(places, [600_000, 3_600_000]);
}

#[test]
fn a_seek_is_measured_from_where_the_playhead_must_be_by_now() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.wait(300);
    assert_eq!(node.say("tv", EventKind::Seek, 359).version, Version::FIRST, "300 s of playing and a step");
    node.wait(300);
    // After a seek the player is not known to play, so no time counts.
    assert!(node.say("tv", EventKind::Seek, 420).version > Version::FIRST);
}

#[test]
fn time_counts_at_the_speed_of_playing_and_not_while_paused() {
    let fast = PlaybackEvent { speed: Some(2.0), ..event("tv", EventKind::Play, 0) };
    let mut node = Node::new();
    node.tell(&fast);
    node.wait(100);
    assert_eq!(node.say("tv", EventKind::Seek, 259).version, Version::FIRST);

    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.say("tv", EventKind::Pause, 5);
    node.wait(100);
    assert!(node.say("tv", EventKind::Seek, 70).version > Version::FIRST);
}

#[test]
fn a_jump_as_the_first_report_of_a_device_is_measured_from_its_place() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(60);
    assert_eq!(node.say("phone", EventKind::Seek, 3_650).version, Version::FIRST);
    assert!(node.say("tablet", EventKind::Seek, 600).version > Version::FIRST);
    assert_eq!(node.resumes_at(), 600);
}

#[test]
fn start_from_the_beginning_is_a_move_and_opening_at_the_beginning_is_none() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(60);
    node.say("phone", EventKind::Play, 0);
    assert_eq!((node.version(), node.resumes_at()), (Version::FIRST, 3_600));
    node.tell(&PlaybackEvent { restart: true, ..event("phone", EventKind::Play, 0) });
    assert!(node.version() > Version::FIRST);
    assert_eq!(node.resumes_at(), 0);
}

#[test]
fn a_failed_start_that_reports_zero_changes_nothing() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(60);
    node.say("phone", EventKind::Play, 0);
    node.say("phone", EventKind::Heartbeat, 0);
    node.say("phone", EventKind::Stop, 0);
    assert_eq!((node.version(), node.resumes_at()), (Version::FIRST, 3_600));
}

fn watched_to_the_end() -> Node {
    let mut node = Node::new();
    node.tell(&PlaybackEvent { duration_ms: Some(7_200_000), ..event("tv", EventKind::Play, 7_190) });
    node.wait(10);
    node.say("tv", EventKind::End, 7_200);
    assert!(node.film().unwrap().completed());
    node.wait(86_400);
    node
}

#[test]
fn a_rewatch_moves_when_it_has_advanced() {
    let mut node = watched_to_the_end();
    node.say("phone", EventKind::Play, 0);
    assert!(node.film().unwrap().completed(), "not yet: it may fail");
    node.wait(10);
    node.say("phone", EventKind::Heartbeat, 10);
    assert_eq!((node.film().unwrap().completed(), node.resumes_at()), (false, 10));
    node.watch("phone", 10, 600);
    assert_eq!(node.resumes_at(), 600);
}

#[test]
fn a_failed_rewatch_reopens_nothing() {
    let mut node = watched_to_the_end();
    node.say("phone", EventKind::Play, 0);
    node.say("phone", EventKind::Heartbeat, 0);
    node.say("phone", EventKind::Stop, 0);
    assert!(node.film().unwrap().completed());
    // Neither now, nor by what the player says much later of the same title.
    node.wait(3_600);
    node.say("phone", EventKind::Heartbeat, 7_195);
    assert_eq!(node.version(), Version::FIRST);
}

#[test]
fn a_player_that_says_play_again_after_buffering_rewatches_all_the_same() {
    let mut node = watched_to_the_end();
    node.say("phone", EventKind::Play, 0);
    node.wait(3);
    assert_eq!(node.say("phone", EventKind::Play, 0).version, Version::FIRST);
    node.wait(3);
    assert!(node.say("phone", EventKind::Play, 3).version > Version::FIRST, "PLAY is a report too, and it has advanced");
}

#[test]
fn a_rewatch_that_was_paused_at_its_start_goes_on() {
    let mut node = watched_to_the_end();
    node.say("phone", EventKind::Play, 0);
    node.say("phone", EventKind::Pause, 0);
    node.wait(60);
    assert!(node.say("phone", EventKind::Play, 3).version > Version::FIRST);
}

#[test]
fn a_place_opened_after_the_end_is_not_completed_by_it() {
    let mut node = watched_to_the_end();
    let jumped_to = node.say("tv", EventKind::Seek, 3_000).version;
    node.watch("tv", 3_000, 3_100);
    // A failed start, not a rewatch: the newest place is in the middle of the film.
    node.say("tv", EventKind::Play, 0);
    node.say("tv", EventKind::Heartbeat, 10);
    assert_eq!((node.version(), node.resumes_at()), (jumped_to, 3_100));
}

#[test]
fn the_same_in_a_queue_that_the_node_has_not_shown_yet() {
    let mut node = watched_to_the_end();
    let sent = node.now.as_millis();
    let at = |ago_s: u64, kind, position_s| PlaybackEvent { at_ms: Some(sent - ago_s * 1_000), ..event("phone", kind, position_s) };
    node.views_lag = true;
    let queue =
        [at(900, EventKind::Play, 7_190), at(800, EventKind::Seek, 3_000), at(700, EventKind::Play, 0), at(690, EventKind::Heartbeat, 10)];
    node.record(Some(sent), &queue);
    assert_eq!(node.resumes_at(), 3_000);
}

#[test]
fn a_length_in_the_queue_itself_is_enough_to_know_that_it_ended() {
    let mut node = Node::new();
    node.wait(86_400);
    let sent = node.now.as_millis();
    let at = |ago_s: u64, kind, position_s| PlaybackEvent {
        at_ms: Some(sent - ago_s * 1_000),
        duration_ms: Some(7_200_000),
        ..event("phone", kind, position_s)
    };
    node.views_lag = true;
    let queue = [
        at(9_000, EventKind::Play, 6_800),
        at(8_900, EventKind::Heartbeat, 6_900),
        at(8_000, EventKind::Play, 0),
        at(7_990, EventKind::Heartbeat, 10),
    ];
    node.record(Some(sent), &queue);
    assert_eq!(node.resumes_at(), 10);
}

#[test]
fn a_move_is_versioned_by_the_nodes_clock_if_live_and_by_its_own_time_if_not() {
    for (ago_s, live) in [(59, true), (60, false)] {
        let mut node = Node::new();
        node.say("tv", EventKind::Play, 3_600);
        node.wait(3_600);
        let moved_at = node.say_late(ago_s, "tv", EventKind::Seek, 600).version.as_hlc().wall();
        assert_eq!(node.now.millis_since(moved_at), if live { 0 } else { 60_000 });
    }
}

#[test]
fn a_move_away_from_a_place_is_above_it_whatever_the_clocks_say() {
    let mut fast = Node::new();
    fast.wait(30);
    fast.say("tv", EventKind::Play, 3_600);
    let ahead = fast.say("tv", EventKind::Seek, 600).version;
    let mut slow = Node::new();
    fast.pass_to(&mut slow);
    slow.wait(1);
    assert_eq!(slow.say("phone", EventKind::Play, 600).version, ahead);
    slow.wait(70);
    // Not live, and by its own time before the place that it leaves.
    let moved = slow.say_late(65, "phone", EventKind::Seek, 2_000).version;
    assert_eq!(moved.as_u64(), ahead.as_u64() + 1);
}

#[test]
fn play_near_the_start_of_a_title_that_is_not_completed_is_no_rewatch() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_600);
    node.wait(86_400);
    node.say("phone", EventKind::Play, 0);
    node.watch("phone", 0, 300);
    assert_eq!((node.version(), node.resumes_at()), (Version::FIRST, 3_600));
}

#[test]
fn play_beyond_the_start_of_a_completed_title_is_no_rewatch() {
    let mut node = watched_to_the_end();
    node.say("phone", EventKind::Play, 145);
    node.watch("phone", 145, 205);
    assert!(node.film().unwrap().completed(), "two minutes or 2 % are 144 s here");
    node.say("tablet", EventKind::Play, 144);
    node.watch("tablet", 144, 154);
    assert!(!node.film().unwrap().completed());
}

#[test]
fn a_short_clip_is_begun_again_only_below_its_half() {
    let mut node = Node::new();
    node.tell(&PlaybackEvent { duration_ms: Some(100_000), ..event("tv", EventKind::End, 100) });
    node.wait(60);
    node.say("phone", EventKind::Play, 50);
    node.watch("phone", 50, 70);
    assert!(node.film().unwrap().completed());
    node.say("tablet", EventKind::Play, 49);
    node.watch("tablet", 49, 59);
    assert!(!node.film().unwrap().completed());
}

#[test]
fn an_evening_offline_may_end_a_film_and_begin_it_again() {
    // The node shows what is durable, so a queue that arrives in one batch is placed by views that know nothing of it yet.
    let mut node = Node::new();
    node.wait(86_400);
    let sent = node.now.as_millis();
    let at = |ago_s: u64, kind, position_s| PlaybackEvent { at_ms: Some(sent - ago_s * 1_000), ..event("phone", kind, position_s) };
    let queue = [
        at(9_000, EventKind::Play, 3_600),
        at(5_400, EventKind::End, 7_200),
        at(5_000, EventKind::Play, 0),
        at(4_990, EventKind::Heartbeat, 10),
        at(3_200, EventKind::Heartbeat, 1_800),
    ];
    node.views_lag = true;
    let places: Vec<_> = node.record(Some(sent), &queue).into_iter().map(|report| report.unwrap().version).collect();
    assert!(places[3] > places[2] && places[3] == places[4], "{places:?}");
    assert_eq!((node.resumes_at(), node.film().unwrap().completed()), (1_800, false));
}

#[test]
fn what_was_completed_after_a_recorded_start_is_not_reopened_by_it() {
    let mut node = watched_to_the_end();
    // Two days ago the phone began the film without a network; yesterday it ended on the television; today the phone's queue arrives.
    node.say_late(2 * 86_400, "phone", EventKind::Play, 0);
    node.say_late(2 * 86_400 - 600, "phone", EventKind::Heartbeat, 600);
    assert!(node.film().unwrap().completed());
}

#[test]
fn the_end_completes_and_a_jump_back_takes_it_up_again() {
    let mut node = watched_to_the_end();
    let ended = node.version();
    node.say("tv", EventKind::Seek, 7_000);
    assert!(node.version() > ended);
    assert_eq!((node.film().unwrap().completed(), node.resumes_at()), (true, 7_000), "7,000 of 7,200 s are above 95 %");
    node.say("tv", EventKind::Seek, 1_000);
    assert_eq!((node.film().unwrap().completed(), node.resumes_at()), (false, 1_000));
}

#[test]
fn a_late_heartbeat_does_not_undo_a_seek() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 3_000);
    node.watch("tv", 3_000, 3_600);
    node.wait(10);
    node.say_late(0, "tv", EventKind::Seek, 600);
    let moved_to = node.version();
    assert_eq!(node.say_late(5, "tv", EventKind::Heartbeat, 3_605).version, Version::FIRST);
    assert_eq!((node.version(), node.resumes_at()), (moved_to, 600));
}

#[test]
fn a_move_outranks_watching_however_long_in_a_place_opened_before_it() {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 0);
    node.say("phone", EventKind::Play, 0);
    node.say("phone", EventKind::Seek, 1_200);
    let moved_to = node.version();
    for minute in 1..=30 {
        node.wait(60);
        node.say("tv", EventKind::Heartbeat, minute * 60);
        node.say("phone", EventKind::Heartbeat, 1_200 + minute * 60);
    }
    assert_eq!((node.version(), node.resumes_at()), (moved_to, 3_000));
}
