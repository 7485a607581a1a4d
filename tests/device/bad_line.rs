//! A device on a train: the line drops, doubles and reorders, and is gone in every tunnel.

use leftoff::progress::EventKind::{Heartbeat, Seek};
use leftoff::progress::PlaybackEvent;

use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed};
use crate::support::dice::Dice;
use crate::support::relay::{Relay, Weather};

#[test]
fn a_line_full_of_tunnels_loses_nothing() {
    let mut dice = Dice::of_this_run("tunnels");
    let cluster = Cluster::platform(&mut dice, 1);
    let train = Relay::for_anybody(dice.split());
    train.set_target(cluster.nodes[0].addresses().quic());
    train.set_elsewhere(Weather::STORM);
    let mut phone = Device::new(cluster.folder(), "phone");
    phone.connect(train.address(), &cluster.authority.ca_pem(), &cluster.token(&["ann"]));
    let home = cluster.client_of(0, &["ann"]);
    for round in 1..=8 {
        train.set_elsewhere(if round % 2 == 0 { Weather::CUT } else { Weather::STORM });
        for step in 0..10 {
            let title = format!("title-{step}");
            let kind = if dice.chance(200) { Seek } else { Heartbeat };
            phone.says("ann", &title, kind, round * 200_000 + dice.within(0..=100_000));
            home.report(&[PlaybackEvent::new("ann", &title, "tv", Heartbeat, round * 200_000)]).unwrap();
        }
    }
    train.set_elsewhere(Weather::STORM);
    assert_eq!(agreed(&phone, &home, "ann").len(), 10);
}
