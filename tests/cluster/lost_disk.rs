//! A node whose disk is gone gets everything back from its peers.

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
