//! A node killed under load, fifty times over, while somebody watches from outside.

use std::path::Path;
use std::time::Duration;

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::{SMALL_STORE, entries};
use crate::support::dice::Dice;
use crate::support::node::{Authority, Node, Setup};
use crate::support::patience::pause;
use crate::support::watcher::Watcher;

pub(crate) fn alone(folder: &Path) -> Node {
    let authority = Authority::make(&folder.join("certs"));
    let setup = Setup {
        name: "eu-1".into(),
        region: "eu".into(),
        tls: authority.issue("eu-1"),
        secret: authority.secret(),
        advertise: None,
        seeds: Vec::new(),
        token_key: None,
        gateway: String::new(),
        cluster: String::new(),
        quic: String::new(),
        limits: String::new(),
        store: SMALL_STORE.to_owned(),
    };
    Node::new(&folder.join("eu"), setup)
}

#[test]
fn a_node_killed_fifty_times_under_load_loses_nothing_and_uses_no_number_twice() {
    let mut dice = Dice::of_this_run("node killed under load");
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = [alone(folder.path())];
    nodes[0].start();
    let watcher = Watcher::start(&nodes, &profiles());
    let audience = Audience::start(&nodes, &mut dice);
    for _ in 0..50 {
        audience.wait_for_batches(&[0], dice.within(1..=15) as usize);
        // At any moment of a batch, a flush or a fold.
        pause(Duration::from_micros(dice.within(0..=8_000)));
        nodes[0].kill();
        nodes[0].start();
    }
    let ledger = audience.finish();
    ledger.check(&entries(&nodes[0]));
    let seen = watcher.finish();
    println!("{} places acknowledged; the watcher: {} looks, {} advances", ledger.count(), seen.looks, seen.advances);
    assert_eq!(nodes[0].stop().code(), Some(0));
}

#[test]
fn a_node_killed_while_it_starts_starts_the_next_time() {
    let mut dice = Dice::of_this_run("node killed while it starts");
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = [alone(folder.path())];
    nodes[0].start();
    let audience = Audience::start(&nodes, &mut dice);
    for _ in 0..6 {
        audience.wait_for_batches(&[0], 12);
        nodes[0].kill();
        for _ in 0..8 {
            nodes[0].begin();
            pause(Duration::from_micros(dice.within(0..=60_000)));
            nodes[0].kill();
        }
        nodes[0].start();
    }
    let ledger = audience.finish();
    ledger.check(&entries(&nodes[0]));
}
