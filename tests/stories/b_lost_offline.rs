//! B: what was watched offline is lost or overwritten on reconnect.

use leftoff::progress::EventKind::{End, Heartbeat, Pause, Seek};
use leftoff::progress::{EventKind, PlaybackEvent};

use crate::platform::Account;
use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed};
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};

const FILM_MS: u64 = 100 * 60_000;
const PERCENT_MS: u64 = FILM_MS / 100;

fn at_home(viewer: &str, kind: EventKind, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent { duration_ms: Some(FILM_MS), ..PlaybackEvent::new(viewer, "film", "tv", kind, position_ms) }
}

/// Watches on a device, a heartbeat for each percent.
fn watch(device: &Device, viewer: &str, from_percent: u64, to_percent: u64) {
    for percent in from_percent..=to_percent {
        let event = device.event(viewer, "film", Heartbeat, percent * PERCENT_MS);
        device.replica().record(PlaybackEvent { duration_ms: Some(FILM_MS), ..event }).unwrap();
    }
}

#[test]
fn what_was_watched_offline_survives_restarts_and_is_not_overwritten_from_the_server() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    home.report(&[at_home(viewer, Pause, 60 * PERCENT_MS)]).unwrap();
    let mut phone = account.device("phone");
    watch(&phone, viewer, 55, 70);
    phone.restart(false);
    watch(&phone, viewer, 71, 80);
    phone.restart(true);
    account.connect(&mut phone, 0);
    let known = agreed(&phone, &home, viewer);
    assert_eq!(known["film"].furthest_ms, 80 * PERCENT_MS);
    assert_eq!(home.resume(viewer, "film").unwrap().position_ms, 80 * PERCENT_MS);
    assert_eq!(phone.position_ms(viewer, "film"), 80 * PERCENT_MS);
}

#[test]
fn nor_is_what_the_server_has_overwritten_by_a_device_that_is_behind() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    let mut phone = account.device("phone");
    watch(&phone, viewer, 40, 60);
    home.report(&[at_home(viewer, Pause, 80 * PERCENT_MS)]).unwrap();
    // The device reports last, and connects last.
    phone.says(viewer, "film", Pause, 60 * PERCENT_MS);
    account.connect(&mut phone, 1);
    agreed(&phone, &home, viewer);
    assert_eq!(home.resume(viewer, "film").unwrap().position_ms, 80 * PERCENT_MS);
    assert_eq!(phone.position_ms(viewer, "film"), 80 * PERCENT_MS);
}

#[test]
fn but_a_deliberate_jump_made_later_wins_and_leaves_the_way_back() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let home = account.client(0);
    home.report(&[at_home(viewer, Pause, 80 * PERCENT_MS)]).unwrap();
    let mut phone = account.device("phone");
    account.connect(&mut phone, 0);
    agreed(&phone, &home, viewer);
    phone.disconnect();
    phone.says(viewer, "film", Seek, 20 * PERCENT_MS);
    watch(&phone, viewer, 21, 25);
    account.connect(&mut phone, 1);
    let known = agreed(&phone, &home, viewer);
    assert_eq!(home.resume(viewer, "film").unwrap().position_ms, 25 * PERCENT_MS);
    let positions: Vec<u64> = known["film"].places.iter().map(|(_, position_ms)| position_ms / PERCENT_MS).collect();
    assert_eq!(positions, [25, 80]);
}

#[test]
fn two_devices_that_were_offline_together_both_keep_what_they_watched() {
    let account = Account::new();
    let viewer = account.viewer.as_str();
    let (mut phone, mut tablet) = (account.device("phone"), account.device("tablet"));
    watch(&phone, viewer, 1, 30);
    for episode in 1..=5 {
        tablet.says(viewer, &format!("episode-{episode}"), End, 1_500_000);
    }
    watch(&tablet, viewer, 1, 10);
    account.connect(&mut phone, 0);
    account.connect(&mut tablet, 1);
    let known = eventually(SOON, "both devices know everything", || {
        let (one, other) = (phone.knows(viewer), tablet.knows(viewer));
        if one == other && one.len() == 6 { Ok(one) } else { Err(format!("{one:?}\n{other:?}")) }
    });
    assert_eq!(known["film"].furthest_ms, 30 * PERCENT_MS);
    assert!(known["episode-5"].completed);
}

#[test]
fn absence_at_the_server_is_never_read_as_a_deletion() {
    // A platform of its own: it loses everything it has, at all nodes at once.
    let mut cluster = Cluster::platform(&mut Dice::of_this_run("the server forgot everything"), 2);
    let drawer = tempfile::tempdir().unwrap();
    let mut phone = Device::new(drawer.path(), "phone");
    for episode in 1..=30 {
        phone.says("ann", &format!("episode-{episode}"), Pause, 60_000 + episode * 1_000);
    }
    cluster.connect(&mut phone, 0, &["ann"]);
    let before = agreed(&phone, &cluster.client_of(0, &["ann"]), "ann");
    agreed(&phone, &cluster.client_of(1, &["ann"]), "ann");
    phone.disconnect();
    for index in 0..2 {
        cluster.nodes[index].kill();
        cluster.nodes[index].lose_disk();
    }
    cluster.start_all();
    cluster.client_of(0, &["ann"]).report(&[PlaybackEvent::new("ann", "new", "tv", Pause, 90_000)]).unwrap();
    cluster.connect(&mut phone, 0, &["ann"]);
    let after = agreed(&phone, &cluster.client_of(1, &["ann"]), "ann");
    assert_eq!(after.len(), 31);
    assert!(before.iter().all(|(title, known)| after[title] == *known), "what the device kept came back as it was");
}
