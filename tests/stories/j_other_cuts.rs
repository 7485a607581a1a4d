//! J: the position of one cut is applied to another.

use leftoff::progress::PlaybackEvent;

use crate::evening::{EU, Evening, FILM_S, Heartbeat, MINUTE, Pause, US};

#[test]
fn a_position_beyond_the_event_s_own_duration_is_refused_with_a_reason() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv");
    // The player shows the short cut and still has the position of the long one.
    let wrong = PlaybackEvent { duration_ms: Some(90 * MINUTE * 1_000), ..tv.event(Heartbeat, 110 * MINUTE) };
    let right = tv.event(Heartbeat, 20 * MINUTE);
    let answer = evening.client(EU).report(&[wrong, right]).unwrap();
    assert_eq!(answer.accepted, 1, "the rest of the batch is kept");
    let [refused] = &answer.refused[..] else { panic!("{answer:?}") };
    assert_eq!(refused.index, 0);
    assert!(refused.reason.contains("duration_ms") && refused.reason.contains("6600000"), "{refused:?}");
    evening.resumes_everywhere_at(20 * MINUTE);
}

#[test]
fn a_cut_is_a_title_of_its_own() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv").of_title("film-directors-cut", 170 * MINUTE);
    tv.said(10, Pause, 150 * MINUTE);
    evening.screen(US, "tv").of_title("film-theatrical", FILM_S).said(5, Pause, 60 * MINUTE);
    for node in [EU, US] {
        evening.cluster.wait_for(node, &evening.viewer, "film-directors-cut", |cut| cut.position_ms == 150 * MINUTE * 1_000);
        evening.cluster.wait_for(node, &evening.viewer, "film-theatrical", |cut| cut.position_ms == 60 * MINUTE * 1_000);
        assert!(!evening.film_at(node).started);
    }
}

#[test]
fn but_a_few_seconds_over_the_end_are_rounding_and_are_taken_as_the_end() {
    let evening = Evening::new();
    evening.screen(EU, "tv").says(Pause, FILM_S + 4);
    evening.resumes_everywhere_at(FILM_S);
}

#[test]
fn a_position_beyond_the_duration_that_was_known_casts_doubt_on_it() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv").of_title("film", 90 * MINUTE);
    tv.said(20, Heartbeat, 80 * MINUTE);
    let longer = PlaybackEvent { duration_ms: None, ..tv.event(Heartbeat, 100 * MINUTE) };
    tv.sends(&[longer]);
    for node in [EU, US] {
        let film = evening.cluster.wait_for(node, &evening.viewer, "film", |film| film.furthest_ms == 100 * MINUTE * 1_000);
        assert_eq!(film.duration_ms, None, "not shown until one at least as long is reported");
    }
}
