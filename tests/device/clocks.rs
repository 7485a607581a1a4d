//! A device whose clock is off by a day, either way, and does not know it.

use leftoff::progress::EventKind::{Heartbeat, Pause, Seek};
use leftoff::progress::PlaybackEvent;
use leftoff::time::system::wall_now;

use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed};
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

fn a_device_whose_clock_is_ahead_by(ahead_ms: i64, scenario: &str) {
    let mut dice = Dice::of_this_run(scenario);
    let cluster = Cluster::platform(&mut dice, 2);
    let home = cluster.client_of(0, &["ann"]);
    // Known at home before the device comes: an hour of the film.
    home.report(&[PlaybackEvent::new("ann", "film", "tv", Pause, 3_600_000)]).unwrap();
    let mut phone = Device::with_clock(cluster.folder(), "phone", ahead_ms);
    phone.says("ann", "film", Heartbeat, 4_000_000);
    phone.says("ann", "series", Heartbeat, 10_000);
    phone.says("ann", "series", Seek, 900_000);
    phone.says("ann", "series", Heartbeat, 910_000);
    phone.restart(false);

    cluster.connect(&mut phone, 0, &["ann"]);
    eventually(SOON, "the device learns of its clock", || match phone.clock_offset_ms() {
        offset_ms if offset_ms.abs() < 2_000 => Ok(()),
        offset_ms => Err(offset_ms),
    });
    let known = agreed(&phone, &home, "ann");
    // Nothing watched is lost, and nothing lies in the future or a day ago.
    assert_eq!(known["film"].furthest_ms, 4_000_000);
    assert_eq!(known["series"].furthest_ms, 910_000);
    let now_ms = wall_now().as_millis();
    for (title, known) in &known {
        let at_ms = known.at_ms.unwrap();
        assert!(at_ms <= now_ms + 1_000 && at_ms + 120_000 > now_ms, "{title} is dated {at_ms}, now is {now_ms}");
        for (version, _) in &known.places {
            assert!(version >> 10 <= now_ms + 1_000, "{title} has a place in the future: {version}");
        }
    }
    // Nobody is locked out: a later jump at home wins, and one on the device after that.
    home.report(&[PlaybackEvent::new("ann", "series", "tv", Heartbeat, 920_000)]).unwrap();
    home.report(&[PlaybackEvent::new("ann", "series", "tv", Seek, 200_000)]).unwrap();
    eventually(SOON, "the device follows", || match phone.position_ms("ann", "series") {
        200_000 => Ok(()),
        position_ms => Err(position_ms),
    });
    phone.says("ann", "series", Seek, 1_500_000);
    agreed(&phone, &home, "ann");
    agreed(&phone, &cluster.client_of(1, &["ann"]), "ann");
    assert_eq!(home.resume("ann", "series").unwrap().position_ms, 1_500_000);
    // What it has learned of its clock it still knows when it is switched on the next time, offline.
    phone.restart(true);
    assert!(phone.clock_offset_ms().abs() < 2_000, "{}", phone.clock_offset_ms());
}

#[test]
fn a_clock_a_day_fast_loses_nothing_and_locks_nobody_out() {
    a_device_whose_clock_is_ahead_by(DAY_MS, "a day fast");
}

#[test]
fn a_clock_a_day_slow_loses_nothing_and_locks_nobody_out() {
    a_device_whose_clock_is_ahead_by(-DAY_MS, "a day slow");
}

#[test]
fn a_clock_that_is_right_is_left_alone() {
    a_device_whose_clock_is_ahead_by(0, "a right clock");
}
