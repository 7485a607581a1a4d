//! F: removed or finished titles come back; finished ones stay in the row.

use leftoff::progress::EventKind::{self, End, Heartbeat, Pause, Play};
use leftoff::progress::PlaybackEvent;
use leftoff::time::system::wall_now;

use crate::platform::Account;
use crate::support::device::{Device, agreed};
use crate::support::patience::{SOON, eventually, throughout};

const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;
const FILM_MS: u64 = 100 * 60_000;

fn about(viewer: &str, title: &str, device: &str, kind: EventKind, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent { duration_ms: Some(FILM_MS), ..PlaybackEvent::new(viewer, title, device, kind, position_ms) }
}

/// Something happened on a device a year ago.
fn happened_a_year_ago(device: &Device, events: &[PlaybackEvent]) {
    let then = wall_now().shifted(-YEAR_MS);
    let core = device.replica().core();
    let recorded = core.record(then, Some(then), events).unwrap();
    let (sender, kept) = std::sync::mpsc::sync_channel(1);
    core.when_durable(recorded.last.unwrap(), Box::new(move |result| sender.send(result).unwrap()));
    kept.recv().unwrap().unwrap();
}

#[test]
fn a_finished_title_leaves_the_row_and_a_device_that_was_off_for_a_year_does_not_bring_it_back() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    let mut tablet = account.device("tablet");
    happened_a_year_ago(
        &tablet,
        &[about(viewer, "film", "tablet", Heartbeat, 40 * 60_000), about(viewer, "series", "tablet", Heartbeat, 20 * 60_000)],
    );
    home.report(&[about(viewer, "film", "tv", Heartbeat, 99 * 60_000), about(viewer, "film", "tv", End, FILM_MS)]).unwrap();
    account.connect(&mut tablet, 1);
    agreed(&tablet, &home, viewer);
    assert!(home.resume(viewer, "film").unwrap().completed);
    assert_eq!(home.row(viewer).unwrap(), ["series"], "finished is finished; what only the device knew is there");
}

#[test]
fn a_hidden_title_stays_hidden_against_a_device_that_was_off_for_a_year() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    let mut tablet = account.device("tablet");
    happened_a_year_ago(&tablet, &[about(viewer, "film", "tablet", Heartbeat, 40 * 60_000)]);
    home.report(&[about(viewer, "film", "tv", Pause, 30 * 60_000), about(viewer, "series", "tv", Pause, 10 * 60_000)]).unwrap();
    home.hide(viewer, "film").unwrap();
    account.connect(&mut tablet, 1);
    agreed(&tablet, &home, viewer);
    assert_eq!(home.row(viewer).unwrap(), ["series"]);
    assert!(tablet.resume(viewer, "film").point.hidden);
    // But watching it again shows it again.
    home.report(&[about(viewer, "film", "tv", Play, 41 * 60_000), about(viewer, "film", "tv", Heartbeat, 42 * 60_000)]).unwrap();
    assert_eq!(home.row(viewer).unwrap(), ["film", "series"]);
}

#[test]
fn an_erased_profile_stays_erased_against_a_device_that_was_off_for_a_year_and_watched_on() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    home.report(&[about(viewer, "film", "tv", Pause, 30 * 60_000)]).unwrap();
    let mut tablet = account.device("tablet");
    account.connect(&mut tablet, 0);
    agreed(&tablet, &home, viewer);
    tablet.disconnect();
    happened_a_year_ago(
        &tablet,
        &[about(viewer, "film", "tablet", Heartbeat, 40 * 60_000), about(viewer, "other", "tablet", Heartbeat, 50 * 60_000)],
    );
    home.erase(viewer).unwrap();
    account.connect(&mut tablet, 1);
    eventually(SOON, "the device forgets", || match tablet.knows(viewer) {
        known if known.is_empty() => Ok(()),
        known => Err(format!("{known:?}")),
    });
    for index in 0..2 {
        throughout(std::time::Duration::from_millis(200), "nothing comes back", || {
            let history = account.client(index).history(viewer).unwrap();
            if history.is_empty() { Ok(()) } else { Err(format!("{history:?}")) }
        });
    }
    // A new beginning on the very same device is one.
    tablet.says(viewer, "film", Pause, 70_000);
    let known = agreed(&tablet, &home, viewer);
    assert_eq!((known.len(), known["film"].furthest_ms), (1, 70_000));
}

#[test]
fn a_profile_erased_on_a_device_is_erased_everywhere() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    home.report(&[about(viewer, "film", "tv", Pause, 30 * 60_000)]).unwrap();
    let mut phone = account.device("phone");
    account.connect(&mut phone, 1);
    eventually(SOON, "the device has it", || if phone.knows(viewer).is_empty() { Err("not yet") } else { Ok(()) });
    phone.replica().erase(&crate::support::device::profile_id(viewer)).unwrap();
    eventually(SOON, "the nodes forget", || match home.history(viewer).unwrap() {
        history if history.is_empty() => Ok(()),
        history => Err(format!("{history:?}")),
    });
}
