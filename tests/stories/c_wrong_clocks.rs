//! C: a slow or fast clock loses real watching.

use leftoff::progress::EventKind::{Heartbeat, Pause, Seek};
use leftoff::progress::PlaybackEvent;
use leftoff::time::system::wall_now;

use crate::platform::Account;
use crate::support::device::agreed;
use crate::support::http::Progress;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
const MINUTE_MS: u64 = 60_000;

fn is_of_now(progress: &Progress) {
    let now_ms = wall_now().as_millis();
    let at_ms = progress.at_ms.unwrap();
    assert!(at_ms <= now_ms && at_ms + 60_000 > now_ms, "dated {at_ms}, and it is {now_ms}");
}

/// A thin client whose clock is off and who says when it sent its batch.
fn reported_by_a_clock_off_by(off_ms: i64, says_when_sent: bool) {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    let clock_ms = || wall_now().shifted(off_ms).as_millis();
    let box_says = |kind, position_ms, ago_ms: u64| {
        let at_ms = Some(clock_ms() - ago_ms);
        PlaybackEvent { at_ms, ..PlaybackEvent::new(viewer, "film", "box", kind, position_ms) }
    };
    let sent = || says_when_sent.then(clock_ms);
    let answer = home
        .report_at(sent(), &[box_says(Heartbeat, 10 * MINUTE_MS, 20_000), box_says(Heartbeat, 10 * MINUTE_MS + 10_000, 10_000)])
        .unwrap();
    assert_eq!((answer.accepted, answer.refused.len()), (2, 0), "nothing is refused");
    home.report_at(sent(), &[box_says(Seek, 50 * MINUTE_MS, 0)]).unwrap();
    let film = home.resume(viewer, "film").unwrap();
    assert_eq!(film.position_ms, 50 * MINUTE_MS, "nothing is lost");
    is_of_now(&film);
    // A screen with a right clock is not locked out by it,
    let tv = |kind, position_ms| PlaybackEvent {
        at_ms: Some(wall_now().as_millis()),
        ..PlaybackEvent::new(viewer, "film", "tv", kind, position_ms)
    };
    home.report_at(Some(wall_now().as_millis()), &[tv(Heartbeat, 50 * MINUTE_MS + 1_000)]).unwrap();
    home.report_at(Some(wall_now().as_millis()), &[tv(Seek, 5 * MINUTE_MS)]).unwrap();
    assert_eq!(home.resume(viewer, "film").unwrap().position_ms, 5 * MINUTE_MS);
    // nor is it by others.
    home.report_at(sent(), &[box_says(Seek, 80 * MINUTE_MS, 0)]).unwrap();
    assert_eq!(home.resume(viewer, "film").unwrap().position_ms, 80 * MINUTE_MS);
}

#[test]
fn a_thin_client_a_day_fast_is_taken_as_right_by_what_it_says_it_is() {
    reported_by_a_clock_off_by(DAY_MS, true);
}

#[test]
fn a_thin_client_a_day_slow_is_taken_as_right_by_what_it_says_it_is() {
    reported_by_a_clock_off_by(-DAY_MS, true);
}

#[test]
fn a_thin_client_a_day_fast_that_does_not_say_when_it_sent_is_measured_by_its_live_reports() {
    reported_by_a_clock_off_by(DAY_MS, false);
}

#[test]
fn a_thin_client_a_day_slow_that_does_not_say_when_it_sent_is_measured_by_its_live_reports() {
    reported_by_a_clock_off_by(-DAY_MS, false);
}

#[test]
fn a_version_from_the_future_is_refused_aloud_and_the_rest_of_the_batch_is_kept() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let tomorrow = wall_now().shifted(DAY_MS).as_millis() << 10;
    let parked = PlaybackEvent { version: Some(tomorrow), ..PlaybackEvent::new(viewer, "film", "app", Seek, 1_000_000) };
    let sound = PlaybackEvent::new(viewer, "series", "app", Pause, 60_000);
    let answer = account.client(0).report(&[parked, sound]).unwrap();
    assert_eq!(answer.accepted, 1);
    assert_eq!(answer.refused[0].index, 0);
    assert!(answer.refused[0].reason.contains("ahead"), "{:?}", answer.refused);
    assert!(!account.client(0).resume(viewer, "film").unwrap().started, "nobody parks a value in the future");
}

/// A device with a replica, which recorded by a clock off by so much and meets a jump made elsewhere meanwhile.
fn a_device_off_by(off_ms: i64) {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    let mut phone = account.device_with_clock("phone", off_ms);
    phone.says(viewer, "film", Heartbeat, 10 * MINUTE_MS);
    phone.says(viewer, "film", Seek, 70 * MINUTE_MS);
    phone.says(viewer, "other", Heartbeat, 30 * MINUTE_MS);
    // Made after the device's jump, at home: it is the newest deliberate move, whatever the device's clock said.
    home.report(&[PlaybackEvent::new(viewer, "film", "tv", Heartbeat, 10 * MINUTE_MS)]).unwrap();
    home.report(&[PlaybackEvent::new(viewer, "film", "tv", Seek, 40 * MINUTE_MS)]).unwrap();
    account.connect(&mut phone, 0);
    let known = agreed(&phone, &home, viewer);
    let film = home.resume(viewer, "film").unwrap();
    assert_eq!(film.position_ms, 40 * MINUTE_MS, "{film:?}");
    assert_eq!(known["film"].furthest_ms, 70 * MINUTE_MS, "and what the device watched is there");
    assert!(known["film"].places.iter().any(|(_, position_ms)| *position_ms == 70 * MINUTE_MS), "as a way back: {known:?}");
    is_of_now(&home.resume(viewer, "other").unwrap());
}

#[test]
fn a_device_a_day_fast_does_not_win_by_its_clock() {
    a_device_off_by(DAY_MS);
}

#[test]
fn a_device_a_day_slow_does_not_lose_by_its_clock() {
    a_device_off_by(-DAY_MS);
}
