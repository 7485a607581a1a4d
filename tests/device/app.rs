//! A device as an app sees it: the replica, its link, and nothing beneath them.

use std::fs;
use std::time::Duration;

use leftoff::embedded::{LinkPhase, Replica, ReplicaConfig};
use leftoff::net::{Credentials, NetConfig};
use leftoff::progress::EventKind::{Heartbeat, Pause};
use leftoff::progress::{DeviceId, PlaybackEvent};
use tokio::time::timeout;

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::http::Client;
use crate::support::patience::{SOON, eventually};
use crate::support::relay::{Relay, Weather};

fn phone(cluster: &Cluster) -> Replica {
    Replica::open(ReplicaConfig::new(cluster.scratch("phone"), DeviceId::new("phone").unwrap())).unwrap()
}

fn credentials(cluster: &Cluster) -> Credentials {
    Credentials { ca_pem: cluster.authority.ca_pem(), token: cluster.token(&["ann"]) }
}

fn wait_for(home: &Client, title: &str, wanted_ms: u64) {
    eventually(SOON, "the node knows what the device recorded", || match home.resume("ann", title) {
        Ok(progress) if progress.position_ms == wanted_ms => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn event(kind: leftoff::progress::EventKind, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent::new("ann", "film", "phone", kind, position_ms)
}

#[test]
fn a_link_waits_for_its_node_follows_cuts_and_sends_what_was_recorded_without_it() {
    let mut dice = Dice::of_this_run("app");
    let cluster = Cluster::platform(&mut dice, 1);
    let home = cluster.client_of(0, &["ann"]);
    let line = Relay::for_anybody(dice.split());
    line.set_target(cluster.nodes[0].addresses().quic());
    line.set_elsewhere(Weather::CUT);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replica = phone(&cluster);
    replica.record(event(Pause, 60_000)).unwrap();

    let quick = NetConfig {
        keep_alive: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(1),
        backoff_max: Duration::from_millis(200),
        ..NetConfig::device("phone")
    };
    let address = line.address().to_string();
    let connected = replica.connect_with(quick, &address, credentials(&cluster));
    let link = runtime.block_on(connected).expect("that nobody answers is no error");
    assert_eq!(link.phase(), LinkPhase::Connecting);
    eventually(SOON, "the app can see why", || link.last_error().ok_or("no error yet"));

    line.set_elsewhere(Weather::FAIR);
    runtime.block_on(async { timeout(SOON, link.opened()).await }).expect("the link opens when the node is reached");
    assert!(link.is_open() && link.status().is_some());
    wait_for(&home, "film", 60_000);

    let mut phases = link.phases();
    line.set_elsewhere(Weather::CUT);
    let cut = async { timeout(SOON, phases.wait_for(|phase| *phase == LinkPhase::Connecting)).await.map(drop) };
    runtime.block_on(cut).expect("the cut is noticed");
    replica.record(event(Heartbeat, 120_000)).unwrap();
    line.set_elsewhere(Weather::FAIR);
    runtime.block_on(async { timeout(SOON, link.opened()).await }).expect("the link opens again");
    wait_for(&home, "film", 120_000);

    runtime.block_on(link.disconnect());
    let offline = replica.record(event(Heartbeat, 180_000)).unwrap();
    assert_eq!(offline.point.position.as_millis(), 180_000, "a replica works on without a link");
}

#[test]
fn what_a_link_learns_of_the_clock_is_kept_for_the_next_start() {
    let mut dice = Dice::of_this_run("app-clock");
    let cluster = Cluster::platform(&mut dice, 1);
    // A wrong belief about a right clock is a wrong clock: an hour ahead.
    let kept = cluster.scratch("phone").join("clock-offset-ms");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "3600000").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replica = phone(&cluster);
    replica.record(event(Pause, 60_000)).unwrap();
    let address = cluster.nodes[0].addresses().quic().to_string();
    let link = runtime.block_on(replica.connect(&address, credentials(&cluster))).unwrap();
    eventually(SOON, "the offset is put right on disk", || {
        let text = fs::read_to_string(&kept).unwrap();
        let offset_ms: i64 = text.parse().map_err(|_| text.clone())?;
        if offset_ms.abs() < 2_000 { Ok(()) } else { Err(text) }
    });
    drop(link);
}
