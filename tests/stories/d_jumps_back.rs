//! D: the position jumps back.

use crate::evening::{EU, End, Evening, FILM_S, Heartbeat, MINUTE, Pause, Play, Seek, Stop, US};
use crate::support::dice::Dice;

#[test]
fn late_doubled_and_reordered_heartbeats_never_move_the_position_back() {
    let mut dice = Dice::of_this_run("reordered heartbeats");
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv");
    let mut beats: Vec<_> = (0..=120).map(|step| tv.event_ago(40 * MINUTE - step * 10, Heartbeat, step * 10)).collect();
    beats.extend(beats.clone().into_iter().step_by(3));
    for index in (1..beats.len()).rev() {
        beats.swap(index, dice.within(0..=index as u64) as usize);
    }
    let mut high_ms = 0;
    for chunk in beats.chunks(7) {
        // Some of them through the other region, as a device does that roams.
        tv.at(dice.within(0..=1) as usize).sends(chunk);
        for node in [EU, US] {
            let film = evening.film_at(node);
            if node == EU {
                assert!(film.high_ms >= high_ms, "{} after {high_ms}", film.high_ms);
                high_ms = film.high_ms;
            }
            assert!(film.places.len() <= 1, "nobody jumped: {:?}", film.places);
        }
    }
    evening.resumes_everywhere_at(1_200);
}

#[test]
fn a_failed_start_that_reports_zero_changes_nothing() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(90 * MINUTE, Play, 0);
    tv.watched(90 * MINUTE, 0, 50 * MINUTE);
    tv.said(30 * MINUTE, Stop, 50 * MINUTE);
    evening.resumes_everywhere_at(50 * MINUTE);
    // The phone's player does not come up, twice; then the television's own, which reports 0 before it has found its position.
    for screen in [phone, phone, tv] {
        screen.said(20, Play, 0);
        screen.said(15, Heartbeat, 0);
        screen.said(10, Stop, 0);
    }
    let film = evening.settled();
    assert_eq!((film.position_ms, film.high_ms), (50 * MINUTE * 1_000, 50 * MINUTE * 1_000));
}

#[test]
fn a_failed_start_of_a_finished_title_reopens_nothing() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(180 * MINUTE, Play, 0);
    tv.watched(180 * MINUTE, 0, FILM_S);
    tv.said(55 * MINUTE, End, FILM_S);
    evening.cluster.wait_for(US, &evening.viewer, "film", |film| film.completed);
    phone.said(30, Play, 0);
    phone.said(20, Stop, 0);
    let film = evening.settled();
    assert!(film.completed, "{film:?}");
    assert_eq!(film.places.len(), 1);
}

#[test]
fn a_retry_at_another_node_counts_once_and_where_it_belongs() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv");
    tv.said(60 * MINUTE, Play, 0);
    tv.watched(60 * MINUTE, 0, 10 * MINUTE);
    evening.resumes_everywhere_at(10 * MINUTE);
    let jump = tv.event_ago(45 * MINUTE, Seek, 90 * MINUTE);
    tv.sends(std::slice::from_ref(&jump));
    tv.watched(45 * MINUTE - 1, 90 * MINUTE, 95 * MINUTE);
    evening.resumes_everywhere_at(95 * MINUTE);
    // The answer to the jump was lost; the device tries the other region.
    tv.at(US).sends(&[jump]);
    let film = evening.settled();
    assert_eq!(film.position_ms, 95 * MINUTE * 1_000);
}

#[test]
fn but_ten_seconds_back_before_a_pause_are_resumed_to_the_second() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv");
    tv.said(60 * MINUTE, Play, 0);
    tv.watched(60 * MINUTE, 0, 50 * MINUTE);
    tv.said(9 * MINUTE, Seek, 50 * MINUTE - 10);
    tv.said(9 * MINUTE - 2, Pause, 50 * MINUTE - 8);
    evening.resumes_everywhere_at(50 * MINUTE - 8);
    assert_eq!(evening.film_at(US).high_ms, 50 * MINUTE * 1_000);
}
