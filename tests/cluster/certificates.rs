//! Certificates renewed under load: nothing is interrupted, and the new ones serve from then on.

use std::fs;

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use crate::support::watcher::Watcher;

#[test]
fn certificates_are_renewed_while_everybody_watches() {
    let mut dice = Dice::of_this_run("renewed certificates");
    let mut cluster = Cluster::mesh(&mut dice, 2);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1], 10);
    for index in 0..2 {
        let node = &cluster.nodes[index];
        // First half a file, as if the copy broke off: what is in use stays in use.
        let (cert, key) = (&node.setup.tls.cert, &node.setup.tls.key);
        let whole = fs::read(cert).unwrap();
        fs::write(cert, &whole[..whole.len() / 2]).unwrap();
        node.signal("HUP");
        eventually(SOON, "the broken certificate is said", || if node.log().contains("not reloaded") { Ok(()) } else { Err("not yet") });
        fs::remove_file(cert).unwrap();
        fs::remove_file(key).unwrap();
        cluster.authority.issue(node.name());
        node.signal("HUP");
        eventually(SOON, "the new certificate is taken", || {
            if node.log().contains("certificates reloaded") { Ok(()) } else { Err("not yet") }
        });
        audience.wait_for_batches(&[0, 1], 10);
    }
    // New links are made with the new ones.
    cluster.nodes[1].kill();
    cluster.start(1);
    audience.wait_for_batches(&[0, 1], 10);
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}
