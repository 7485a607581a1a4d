//! Usable offline from the first call, and in step with everybody as soon as there is a line.

use leftoff::progress::EventKind::{Heartbeat, Pause, Seek};
use leftoff::progress::PlaybackEvent;

use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed, profile_id};
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};

#[test]
fn offline_work_survives_restarts_and_joins_both_ways_on_connecting() {
    let mut dice = Dice::of_this_run("offline, then connected");
    let cluster = Cluster::platform(&mut dice, 2);
    let mut phone = Device::new(cluster.folder(), "phone");
    // Half on the train, half at home: some titles on either side, some on both.
    for title in 0..20 {
        phone.says("ann", &format!("title-{title}"), Heartbeat, 60_000 + title * 1_000);
    }
    phone.restart(true);
    for title in 10..25 {
        phone.says("ann", &format!("title-{title}"), Heartbeat, 100_000 + title * 1_000);
    }
    phone.restart(false);
    assert_eq!(phone.knows("ann").len(), 25);
    let home = cluster.client_of(0, &["ann"]);
    let at_home = |title: u64| PlaybackEvent::new("ann", format!("title-{title}"), "tv", Pause, 90_000 + title * 2_000);
    home.report(&(15..40).map(at_home).collect::<Vec<_>>()).unwrap();

    cluster.connect(&mut phone, 0, &["ann"]);
    let known = agreed(&phone, &home, "ann");
    assert_eq!(known.len(), 40);
    assert_eq!(phone.position_ms("ann", "title-3"), 63_000);
    assert_eq!(phone.position_ms("ann", "title-12"), 112_000);
    assert_eq!(phone.position_ms("ann", "title-20"), 130_000, "the further of both, in one place");
    assert_eq!(phone.position_ms("ann", "title-39"), 168_000);
    // And at the other region, which the device never spoke to.
    agreed(&phone, &cluster.client_of(1, &["ann"]), "ann");

    // Offline again, it still has everything; and what changes meanwhile on either side meets on the next connection.
    phone.restart(true);
    assert_eq!(phone.knows("ann"), known);
    phone.says("ann", "title-1", Seek, 1_000_000);
    home.report(&[PlaybackEvent::new("ann", "title-2", "tv", Seek, 2_000_000)]).unwrap();
    cluster.connect(&mut phone, 1, &["ann"]);
    agreed(&phone, &home, "ann");
    assert_eq!((phone.position_ms("ann", "title-1"), phone.position_ms("ann", "title-2")), (1_000_000, 2_000_000));
}

#[test]
fn a_connected_device_shows_changes_from_elsewhere_as_they_come() {
    let mut dice = Dice::of_this_run("watched from a device");
    let cluster = Cluster::platform(&mut dice, 2);
    let mut phone = Device::new(cluster.folder(), "phone");
    let mut changes = phone.replica().watch(&profile_id("ann"));
    cluster.connect(&mut phone, 0, &["ann"]);
    let elsewhere = cluster.client_of(1, &["ann"]);
    for step in 1..=10 {
        elsewhere.report(&[PlaybackEvent::new("ann", "film", "tv", Heartbeat, step * 10_000)]).unwrap();
        // A change may be shown more than once; what counts is that the stream comes to it by itself.
        loop {
            let shown = phone.next_change(&mut changes, SOON).expect("the watch shows what happened elsewhere");
            assert_eq!(shown.title.as_str(), "film");
            assert!(shown.point.high.as_millis() <= step * 10_000);
            if shown.point.high.as_millis() == step * 10_000 {
                break;
            }
        }
    }
    // Its own reports go the other way as soon as they are made.
    for step in 11..=20 {
        phone.says("ann", "film", Heartbeat, step * 10_000);
        eventually(SOON, "the other region shows what the device did", || match elsewhere.resume("ann", "film").unwrap().high_ms {
            high_ms if high_ms == step * 10_000 => Ok(()),
            high_ms => Err(high_ms),
        });
    }
}

#[test]
fn a_device_that_moves_to_another_node_takes_everything_along() {
    let mut dice = Dice::of_this_run("roaming");
    let mut cluster = Cluster::platform(&mut dice, 2);
    let mut phone = Device::new(cluster.folder(), "phone");
    cluster.connect(&mut phone, 0, &["ann"]);
    phone.says("ann", "film", Heartbeat, 10_000);
    agreed(&phone, &cluster.client_of(0, &["ann"]), "ann");
    // Its node is gone, and with it perhaps what it had not yet passed on.
    cluster.nodes[0].kill();
    phone.says("ann", "film", Heartbeat, 20_000);
    phone.disconnect();
    phone.says("ann", "film", Heartbeat, 30_000);
    cluster.connect(&mut phone, 1, &["ann"]);
    let known = agreed(&phone, &cluster.client_of(1, &["ann"]), "ann");
    assert_eq!(known["film"].furthest_ms, 30_000);
    cluster.start(0);
    agreed(&phone, &cluster.client_of(0, &["ann"]), "ann");
}
