//! A2: an app writes {old position, now} and wins by its fresh stamp.

use crate::evening::{EU, Evening, Heartbeat, MINUTE, Pause, Play, Seek, Stop, US};

#[test]
fn an_old_position_with_a_fresh_stamp_does_not_win() {
    let evening = Evening::new();
    let (tv, app) = (evening.screen(EU, "tv"), evening.screen(US, "app"));
    app.said(120 * MINUTE, Play, 0);
    app.watched(120 * MINUTE, 0, 20 * MINUTE);
    evening.resumes_everywhere_at(20 * MINUTE);
    tv.said(90 * MINUTE, Play, 20 * MINUTE);
    tv.watched(90 * MINUTE, 20 * MINUTE, 80 * MINUTE);
    evening.resumes_everywhere_at(80 * MINUTE);
    // The app comes up and writes what it has, as of now.
    for kind in [Heartbeat, Pause, Stop, Heartbeat] {
        app.says(kind, 20 * MINUTE);
    }
    let film = evening.settled();
    assert_eq!((film.position_ms, film.version, film.furthest_ms), (80 * MINUTE * 1_000, 0, 80 * MINUTE * 1_000));
}

#[test]
fn a_report_counts_in_its_own_place_however_fresh_it_is() {
    let evening = Evening::new();
    let (tv, app) = (evening.screen(EU, "tv"), evening.screen(US, "app"));
    app.said(60 * MINUTE, Play, 0);
    app.watched(60 * MINUTE, 0, 20 * MINUTE);
    evening.resumes_everywhere_at(20 * MINUTE);
    // Somebody starts over, deliberately, and watches five minutes.
    tv.restarted(30 * MINUTE);
    tv.watched(30 * MINUTE - 1, 0, 5 * MINUTE);
    evening.resumes_everywhere_at(5 * MINUTE);
    // The app still holds the old place, and is now a minute further there.
    app.said(60, Heartbeat, 20 * MINUTE + 10);
    app.says(Pause, 21 * MINUTE);
    let film = evening.settled();
    assert_eq!(film.position_ms, 5 * MINUTE * 1_000, "the newer place stays");
    assert_eq!(film.furthest_ms, 21 * MINUTE * 1_000, "and what was watched is kept");
    assert_eq!(film.places.last().unwrap().position_ms, 21 * MINUTE * 1_000, "in its own place");
}

#[test]
fn but_a_deliberate_jump_back_wins_with_its_old_position() {
    let evening = Evening::new();
    let (tv, app) = (evening.screen(EU, "tv"), evening.screen(US, "app"));
    tv.said(90 * MINUTE, Play, 0);
    tv.watched(90 * MINUTE, 0, 80 * MINUTE);
    evening.resumes_everywhere_at(80 * MINUTE);
    app.said(10, Play, 80 * MINUTE);
    app.says(Seek, 20 * MINUTE);
    evening.resumes_everywhere_at(20 * MINUTE);
}
