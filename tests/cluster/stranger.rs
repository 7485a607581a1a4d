//! A node of another authority is no peer, whoever dials.

use std::time::Duration;

use leftoff::progress::{EventKind, PlaybackEvent};

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::node::{Authority, Node, Setup};
use crate::support::patience::{SOON, eventually, throughout};
use crate::support::relay::Relay;

#[test]
fn a_node_under_another_authority_learns_nothing_and_teaches_nothing() {
    let mut dice = Dice::of_this_run("another authority");
    let mut cluster = Cluster::prepare(&mut dice, 2, |_, _| true);
    let other = Authority::make(&cluster.scratch("other-certs"));
    let mut stranger = Node::new(
        &cluster.scratch("stranger"),
        Setup {
            name: "xx-1".into(),
            region: "xx".into(),
            tls: other.issue("xx-1"),
            // The same secret: only the certificate differs.
            secret: cluster.authority.secret(),
            advertise: None,
            seeds: Vec::new(),
            token_key: None,
            gateway: String::new(),
            cluster: String::new(),
            quic: String::new(),
            limits: String::new(),
            store: String::new(),
        },
    );
    // Both ways: the cluster is told to dial the stranger, and the stranger the cluster.
    let relay = Relay::for_anybody(dice.split());
    cluster.nodes[0].setup.seeds.push(relay.address());
    cluster.start_all();
    stranger.setup.seeds = cluster.nodes.iter().map(|node| node.addresses().quic()).collect();
    stranger.start();
    relay.set_target(stranger.addresses().quic());

    let event = |profile: &str| [PlaybackEvent::new(profile, "film", "tv", EventKind::Pause, 600_000)];
    stranger.client().report(&event("theirs")).unwrap();
    cluster.client(0).report(&event("ours")).unwrap();
    cluster.wait_for(1, "ours", "film", |progress| progress.started);
    // It has tried, and was turned away, before we look what came of it.
    eventually(SOON, "the stranger is turned away", || {
        let turned_away = |log: &str| log.lines().any(|line| line.to_lowercase().contains("certificate"));
        if turned_away(&stranger.log()) || turned_away(&cluster.nodes[0].log()) { Ok(()) } else { Err("no log says so") }
    });
    throughout(Duration::from_millis(500), "strangers exchange nothing", || {
        let known = |progress: crate::support::http::Progress| progress.started;
        if cluster.client(0).resume("theirs", "film").is_ok_and(known) || stranger.client().resume("ours", "film").is_ok_and(known) {
            return Err("a register crossed over");
        }
        Ok(())
    });
}
