//! Rule 4: someone is really watching in an old place.

use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{Event, EventKind, Place, Places, Playhead, Version, View};
use leftoff::time::HybridClock;

use crate::node::{EVENING, Node, event};

/// The television plays at 1,000 s in the first place; the phone has jumped to 3,600 s.
fn an_old_place_and_a_newer_one() -> (Node, Version) {
    let mut node = Node::new();
    node.say("tv", EventKind::Play, 990);
    node.say("tv", EventKind::Heartbeat, 1_000);
    node.say("phone", EventKind::Play, 1_000);
    node.say("phone", EventKind::Seek, 3_600);
    let moved_to = node.version();
    (node, moved_to)
}

#[test]
fn ten_minutes_of_watching_where_nobody_else_watches_take_over() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    node.watch("tv", 1_000, 1_590);
    assert_eq!((node.version(), node.resumes_at()), (moved_to, 3_600), "not yet");
    node.watch("tv", 1_590, 1_610);
    assert!(node.version() > moved_to);
    assert_eq!(node.resumes_at(), 1_610);
    node.watch("tv", 1_610, 1_700);
    assert_eq!(node.resumes_at(), 1_700);
}

#[test]
fn an_idle_screen_never_takes_over() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    for _ in 0..500 {
        node.wait(10);
        node.say("tv", EventKind::Heartbeat, 1_000);
    }
    node.say("tv", EventKind::Heartbeat, 1_001);
    assert_eq!((node.version(), node.resumes_at()), (moved_to, 3_600));
}

#[test]
fn a_screen_that_wakes_in_an_old_place_does_not_undo_the_jump() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    node.say("tv", EventKind::Pause, 1_000);
    node.wait(8 * 3_600);
    node.say("tv", EventKind::Play, 1_000);
    node.watch("tv", 1_000, 1_300);
    assert_eq!((node.version(), node.resumes_at()), (moved_to, 3_600));
}

#[test]
fn nobody_takes_over_while_the_newest_place_is_watched() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    for step in 1..=120 {
        node.wait(10);
        node.say("tv", EventKind::Heartbeat, 1_000 + step * 10);
        if step % 50 == 0 {
            node.say("phone", EventKind::Heartbeat, 3_600 + step * 10);
        }
    }
    assert_eq!(node.version(), moved_to);
}

#[test]
fn a_view_of_a_minute_ago_does_not_undo_a_move_that_is_being_watched() {
    // The newest place is touched between the television's last look and the moment when its ten minutes are full.
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    node.watch("tv", 1_000, 1_590);
    node.wait(5);
    node.say("phone", EventKind::Heartbeat, 3_605);
    node.watch("tv", 1_590, 1_650);
    assert_eq!(node.version(), moved_to);
}

#[test]
fn a_view_is_asked_for_once_a_minute_in_an_older_place_and_when_a_newer_one_is_noticed() {
    let mut clock = HybridClock::default();
    let heartbeat = |position_s| Event::check(EVENING, CLOCK_DRIFT_MS_MAX, &event("tv", EventKind::Heartbeat, position_s)).unwrap();
    let at = |seconds: i64| EVENING.shifted(seconds * 1_000);
    let mut playhead = Playhead::start(&heartbeat(10), at(0), Some(clock.tick(at(0))), &View::default());
    playhead.report(&heartbeat(10), at(0), Some(clock.tick(at(0))), Some(&View::default()));
    assert!(!playhead.wants_view(&heartbeat(3_600), at(3_590)), "in the newest place the steady heartbeat reads nothing");
    let newer = Version::from_u64(clock.tick(at(0)).as_u64());
    playhead.notice(newer);
    assert!(playhead.wants_view(&heartbeat(20), at(10)));
    let place = Place { version: newer, touched: newer.as_hlc(), ..Place::default() };
    let view = View { places: Places::single(place), ..View::default() };
    playhead.report(&heartbeat(20), at(10), Some(clock.tick(at(10))), Some(&view));
    assert!(!playhead.wants_view(&heartbeat(79), at(69)));
    assert!(playhead.wants_view(&heartbeat(80), at(70)));
}

#[test]
fn a_gap_of_more_than_a_minute_starts_the_ten_minutes_anew() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    node.watch("tv", 1_000, 1_500);
    node.wait(51);
    node.watch("tv", 1_500, 1_900);
    assert_eq!(node.version(), moved_to);
    node.watch("tv", 1_900, 2_120);
    assert!(node.version() > moved_to);
}

#[test]
fn a_pause_starts_the_ten_minutes_anew() {
    let (mut node, moved_to) = an_old_place_and_a_newer_one();
    node.watch("tv", 1_000, 1_500);
    node.say("tv", EventKind::Pause, 1_500);
    node.say("tv", EventKind::Play, 1_500);
    node.watch("tv", 1_500, 1_900);
    assert_eq!(node.version(), moved_to);
}

#[test]
fn a_place_that_fell_out_of_the_eight_takes_over_just_so() {
    let (mut node, _) = an_old_place_and_a_newer_one();
    for jump in 1..=9 {
        node.wait(1);
        node.say("phone", EventKind::Seek, 3_600 + 300 * (jump % 2));
    }
    assert!(node.film().unwrap().places.find(Version::FIRST).is_none());
    let moved_to = node.version();
    node.watch("tv", 1_000, 1_700);
    assert!(node.version() > moved_to);
    assert_eq!(node.resumes_at(), 1_700);
}
