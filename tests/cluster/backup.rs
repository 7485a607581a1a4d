//! A copy of a running node, restored as a node of its own: it continues where the copy was made, and uses no number of the original's.

use std::path::Path;
use std::process::Command;

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::watcher::Watcher;

fn leftoff(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_leftoff")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_node_restored_from_a_copy_made_under_load_catches_up_as_a_node_of_its_own() {
    let mut dice = Dice::of_this_run("restored from a backup");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 30);
    let (copy, admin) = (cluster.scratch("copy"), cluster.nodes[1].addresses().admin);
    leftoff(&["backup", text(&copy), "--admin-url", &format!("http://{admin}")]);
    leftoff(&["verify", text(&copy)]);
    audience.wait_for_batches(&[0, 1, 2], 30);
    let identity = |cluster: &Cluster| cluster.client(1).history("viewer-0").unwrap()[0].number().0;
    let before = identity(&cluster);

    cluster.nodes[1].kill();
    cluster.nodes[1].lose_disk();
    let (data, secret) = (cluster.nodes[1].data_folder(), cluster.authority.secret());
    leftoff(&["restore", text(&copy), text(&data), "--secret-file", text(&secret)]);
    // The watcher knows what every number of every node stood for; one used again would be noticed.
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    cluster.start(1);
    audience.wait_for_batches(&[0, 1, 2], 20);
    assert_ne!(identity(&cluster), before, "the copy must not pass for the original");
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}
