//! Nodes that go and come while people watch: for an upgrade, without warning, and frozen for a while.

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::watcher::Watcher;

#[test]
fn a_rolling_restart_loses_nothing_and_every_node_stops_cleanly() {
    let mut dice = Dice::of_this_run("rolling restart");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    for index in 0..3 {
        audience.wait_for_batches(&[0, 1, 2], 15);
        let status = cluster.nodes[index].stop();
        assert_eq!(status.code(), Some(0), "{} did not stop cleanly", cluster.nodes[index].name());
        let others: Vec<usize> = (0..3).filter(|other| *other != index).collect();
        audience.wait_for_batches(&others, 15);
        cluster.start(index);
    }
    audience.wait_for_batches(&[0, 1, 2], 15);
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}

#[test]
fn nodes_killed_in_turn_under_load_lose_nothing() {
    let mut dice = Dice::of_this_run("killed in turn");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    for _ in 0..6 {
        let victim = dice.within(0..=2) as usize;
        audience.wait_for_batches(&[0, 1, 2], dice.within(3..=12) as usize);
        cluster.nodes[victim].kill();
        cluster.start(victim);
    }
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}

#[test]
fn a_node_frozen_for_a_while_catches_up() {
    let mut dice = Dice::of_this_run("frozen");
    let cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes[..2], &profiles());
    let audience = Audience::start(&cluster.nodes[..2], &mut dice);
    audience.wait_for_batches(&[0, 1], 10);
    cluster.nodes[2].signal("STOP");
    audience.wait_for_batches(&[0, 1], 80);
    cluster.nodes[2].signal("CONT");
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}
