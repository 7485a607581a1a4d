//! E: "furthest wins" is too sticky: a rewatch, a viewer who fell asleep, an accidental skip.

use crate::evening::{EU, End, Evening, FILM_S, Heartbeat, MINUTE, Pause, Play, Seek, US};

#[test]
fn a_rewatch_starts_at_zero_and_stays() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(300 * MINUTE, Play, 0);
    tv.watched(300 * MINUTE, 0, FILM_S);
    tv.said(170 * MINUTE, End, FILM_S);
    evening.cluster.wait_for(US, &evening.viewer, "film", |film| film.completed);
    // Weeks later, as it were: simply played again, elsewhere.
    phone.said(60 * MINUTE, Play, 0);
    phone.watched(60 * MINUTE - 1, 0, 12 * MINUTE);
    evening.resumes_everywhere_at(12 * MINUTE);
    let film = evening.settled();
    assert!(!film.completed);
    assert_eq!(film.furthest_ms, FILM_S * 1_000);
    assert_eq!(evening.client(US).row(&evening.viewer).unwrap(), ["film"], "it is being watched again");
    // What is still in the television's queue changes nothing.
    tv.said(175 * MINUTE, Heartbeat, FILM_S - 60);
    evening.resumes_everywhere_at(12 * MINUTE);
}

#[test]
fn who_fell_asleep_goes_back_and_the_screen_that_played_on_does_not_win() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(240 * MINUTE, Play, 0);
    tv.watched(240 * MINUTE, 0, 110 * MINUTE);
    evening.resumes_everywhere_at(110 * MINUTE);
    phone.said(30 * MINUTE, Play, 110 * MINUTE);
    phone.said(30 * MINUTE - 5, Seek, 40 * MINUTE);
    phone.watched(30 * MINUTE - 6, 40 * MINUTE, 45 * MINUTE);
    evening.resumes_everywhere_at(45 * MINUTE);
    tv.says(Heartbeat, 110 * MINUTE + 10);
    tv.says(Pause, 110 * MINUTE + 20);
    let film = evening.settled();
    assert_eq!(film.position_ms, 45 * MINUTE * 1_000);
    let furthest = evening.client(EU).resume_under("furthest", &evening.viewer, "film").unwrap();
    assert!(furthest.position_ms >= 110 * MINUTE * 1_000, "who wants the furthest still gets it");
}

#[test]
fn an_accidental_skip_is_undone_and_places_offers_the_way_back() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(100 * MINUTE, Play, 0);
    tv.watched(100 * MINUTE, 0, 40 * MINUTE);
    tv.said(50 * MINUTE, Seek, 115 * MINUTE);
    evening.resumes_everywhere_at(115 * MINUTE);
    let film = evening.settled();
    let way_back = film.places[1];
    assert_eq!(way_back.position_ms, 40 * MINUTE * 1_000);
    phone.said(45 * MINUTE, Play, 115 * MINUTE);
    phone.said(45 * MINUTE - 5, Seek, way_back.position_ms / 1_000);
    evening.resumes_everywhere_at(40 * MINUTE);
}

#[test]
fn five_small_taps_do_not_outweigh_an_hour_watched_elsewhere() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    phone.said(150 * MINUTE, Play, 0);
    phone.watched(150 * MINUTE, 0, 10 * MINUTE);
    evening.resumes_everywhere_at(10 * MINUTE);
    tv.said(120 * MINUTE, Play, 10 * MINUTE);
    tv.watched(120 * MINUTE, 10 * MINUTE, 70 * MINUTE);
    evening.resumes_everywhere_at(70 * MINUTE);
    for tap in 1..=5 {
        phone.said(30 - tap * 2, Seek, 10 * MINUTE - tap * 10);
    }
    let film = evening.settled();
    assert_eq!(film.position_ms, 70 * MINUTE * 1_000);
    assert_eq!(film.places.len(), 1, "a tap opens no place");
}

#[test]
fn but_the_newest_of_two_deliberate_moves_wins_everywhere() {
    let evening = Evening::new();
    let (tv, phone) = (evening.screen(EU, "tv"), evening.screen(US, "phone"));
    tv.said(60 * MINUTE, Play, 0);
    tv.watched(60 * MINUTE, 0, 10 * MINUTE);
    evening.resumes_everywhere_at(10 * MINUTE);
    phone.said(40 * MINUTE, Play, 10 * MINUTE);
    // Reported in the wrong order: what counts is when it happened.
    phone.said(20 * MINUTE, Seek, 90 * MINUTE);
    tv.said(30 * MINUTE, Seek, 50 * MINUTE);
    evening.resumes_everywhere_at(90 * MINUTE);
    let film = evening.settled();
    assert_eq!(film.places.iter().map(|place| place.position_ms / 60_000).collect::<Vec<_>>(), [90, 50, 10]);
}
