//! A: a paused or idle device keeps writing its old position over the newer one.

use crate::evening::{EU, Evening, Heartbeat, MINUTE, Pause, Play, Seek, US};

/// The television was left paused at half an hour; the film was watched on to an hour on the phone, in the other region.
fn television_left_at_half_an_hour(evening: &Evening) {
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(180 * MINUTE, Play, 0);
    tv.watched(180 * MINUTE, 0, 30 * MINUTE);
    tv.said(150 * MINUTE - 1, Pause, 30 * MINUTE);
    evening.resumes_everywhere_at(30 * MINUTE);
    phone.said(120 * MINUTE, Play, 30 * MINUTE);
    phone.watched(120 * MINUTE, 30 * MINUTE, 60 * MINUTE);
    phone.said(90 * MINUTE - 1, Pause, 60 * MINUTE);
    evening.resumes_everywhere_at(60 * MINUTE);
}

#[test]
fn a_paused_screen_that_keeps_reporting_changes_nothing() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let before = evening.settled();
    let tv = evening.screen(EU, "tv");
    for ago_s in [60 * MINUTE, 40 * MINUTE, 20 * MINUTE, 10, 0] {
        tv.said(ago_s, Pause, 30 * MINUTE);
    }
    // It changed nothing at all, not even a number: there is nothing to send to anybody.
    assert_eq!(evening.film_at(EU), before);
}

#[test]
fn a_paused_screen_that_reports_to_a_node_that_never_heard_of_it_changes_nothing() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let before = evening.film_at(US);
    let tv = evening.screen(US, "tv");
    tv.says(Pause, 30 * MINUTE);
    tv.says(Heartbeat, 30 * MINUTE);
    assert_eq!(evening.film_at(US), before);
}

#[test]
fn opening_a_title_on_a_device_that_is_behind_lowers_nothing() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let tablet = evening.screen(EU, "tablet");
    tablet.said(30, Play, 10 * MINUTE);
    tablet.said(20, Heartbeat, 10 * MINUTE + 10);
    tablet.says(Pause, 10 * MINUTE + 30);
    let film = evening.settled();
    assert_eq!((film.position_ms, film.high_ms), (60 * MINUTE * 1_000, 60 * MINUTE * 1_000));
}

#[test]
fn a_screen_that_wakes_and_plays_on_in_an_old_place_does_not_undo_a_jump() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let phone = evening.screen(US, "phone");
    phone.said(15 * MINUTE, Seek, 100 * MINUTE);
    phone.watched(15 * MINUTE - 1, 100 * MINUTE, 105 * MINUTE);
    evening.resumes_everywhere_at(105 * MINUTE);
    // The screen wakes, and a child lets it play for eight minutes.
    let tv = evening.screen(EU, "tv");
    tv.said(9 * MINUTE, Play, 30 * MINUTE);
    tv.watched(9 * MINUTE - 1, 30 * MINUTE, 38 * MINUTE);
    let film = evening.settled();
    assert_eq!(film.position_ms, 105 * MINUTE * 1_000);
}

#[test]
fn but_ten_minutes_of_real_watching_while_nobody_watched_there_count() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let phone = evening.screen(US, "phone");
    phone.said(60 * MINUTE, Seek, 100 * MINUTE);
    phone.said(60 * MINUTE - 5, Pause, 100 * MINUTE + 5);
    evening.resumes_everywhere_at(100 * MINUTE + 5);
    let tv = evening.screen(EU, "tv");
    tv.said(40 * MINUTE, Play, 60 * MINUTE);
    tv.watched(40 * MINUTE - 1, 60 * MINUTE, 75 * MINUTE);
    evening.resumes_everywhere_at(75 * MINUTE);
    // And the way back to the jump is still there.
    let film = evening.settled();
    assert!(film.places.iter().any(|place| place.position_ms == (100 * MINUTE + 5) * 1_000), "{:?}", film.places);
}

#[test]
fn and_watching_on_where_it_was_left_is_of_course_progress() {
    let evening = Evening::new();
    television_left_at_half_an_hour(&evening);
    let tv = evening.screen(EU, "tv");
    tv.said(10 * MINUTE, Play, 60 * MINUTE);
    tv.watched(10 * MINUTE - 1, 60 * MINUTE, 65 * MINUTE);
    evening.resumes_everywhere_at(65 * MINUTE);
}
