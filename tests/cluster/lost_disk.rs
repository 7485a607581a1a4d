//! A node whose disk is gone, or spoiled, gets everything back from its peers.

use std::fs;

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::watcher::Watcher;

#[test]
fn a_lost_disk_is_rebuilt_from_peers() {
    let mut dice = Dice::of_this_run("lost disk");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 40);
    let mut ledger = audience.finish();
    let before = cluster.wait_until_equal();
    ledger.check(&before);

    cluster.nodes[1].kill();
    cluster.nodes[1].lose_disk();
    // The others go on meanwhile, and have folded what they kept for it.
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 2], 20);
    cluster.start(1);
    audience.wait_for_batches(&[0, 1, 2], 5);
    let more = audience.finish();
    let after = cluster.wait_until_equal();
    ledger.check(&after);
    more.check(&after);
    watcher.finish();

    // And once more with nobody writing: everything must come by comparing.
    cluster.nodes[0].kill();
    cluster.nodes[0].lose_disk();
    cluster.start(0);
    let again = cluster.wait_until_equal();
    assert_eq!(again, after);
    ledger = more;
    ledger.check(&again);
}

#[test]
fn a_spoiled_database_is_rebuilt_from_peers_and_nothing_spoiled_is_shown_or_spread() {
    let mut dice = Dice::of_this_run("spoiled database");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 40);
    let ledger = audience.finish();
    let before = cluster.wait_until_equal();
    ledger.check(&before);
    let watcher = Watcher::start(&cluster.nodes[..2], &profiles());
    for round in 0..6 {
        // Stopped, so that everything is folded and the log is short.
        assert_eq!(cluster.nodes[2].stop().code(), Some(0));
        let part = if round % 3 == 2 { "log" } else { "engine" };
        spoil(&cluster.nodes[2].data_folder().join("store").join(part), &mut dice);
        cluster.start(2);
        assert_eq!(cluster.wait_until_equal(), before, "round {round}, {part}");
    }
    watcher.finish();
}

/// Flips eight bits of the largest file in a folder.
fn spoil(folder: &std::path::Path, dice: &mut Dice) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let largest = files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    for _ in 0..8 {
        let offset = dice.within(0..=bytes.len() as u64 - 1) as usize;
        bytes[offset] ^= 1 << dice.within(0..=7);
    }
    fs::write(&largest, bytes).unwrap();
}
