//! What a node has lost without knowing it comes back from its peers.

use super::settle::two;
use crate::store::log::FileSystem;

#[test]
fn a_node_whose_log_was_cut_off_gets_back_what_its_peer_had_from_it() {
    // Cut within the log's only segment, which looks like a torn write, and to nothing at all, which looks like a new replica.
    for kept_percent in [60, 30, 10, 0] {
        let mut world = two();
        let (_, engine) = world.replicas[0].copy();
        world.fill(0, 0..30, 1_000);
        world.fill(1, 500..510, 1_000);
        let pair = world.link(0, 1);
        world.run_until_quiet(pair);
        world.pairs.clear();
        // As if nothing had been folded yet.
        let (files, _) = world.replicas[0].copy();
        for path in files.paths() {
            let size = files.size(&path).unwrap();
            if path.ends_with(".log") { files.truncate(&path, size * kept_percent / 100) } else { files.remove(&path) }.unwrap();
        }
        world.replicas[0].set_back((files, engine));
        let left = world.replicas[0].everything().len();
        assert!(left < 40, "{left} at {kept_percent} %");
        let pair = world.link(0, 1);
        world.run_until_quiet(pair);
        let held: Vec<usize> = world.replicas.iter().map(|replica| replica.everything().len()).collect();
        assert_eq!(held, [40, 40], "{left} were left");
    }
}
