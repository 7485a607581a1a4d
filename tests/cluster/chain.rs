//! Regions in a row: the ends neither know nor reach each other.

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::relay::Weather;
use crate::support::watcher::Watcher;

#[test]
fn a_chain_of_three_converges_through_its_middle() {
    let mut dice = Dice::of_this_run("chain");
    let mut cluster = Cluster::prepare(&mut dice, 3, |node, other| node.abs_diff(other) == 1);
    cluster.set_line(0, 2, &Weather::CUT);
    cluster.start_all();
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 40);
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}

#[test]
fn one_that_knows_nobody_is_found_by_those_who_know_it() {
    let mut dice = Dice::of_this_run("known by one");
    // Only the first knows the second, and only the second the third: what they learn from each other makes the rest.
    let mut cluster = Cluster::prepare(&mut dice, 3, |node, other| other == node + 1);
    cluster.start_all();
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 20);
    // The middle goes: the ends have learned of each other meanwhile, or learn it when it is back.
    cluster.nodes[1].kill();
    audience.wait_for_batches(&[0, 2], 20);
    cluster.start(1);
    audience.wait_for_batches(&[0, 1, 2], 5);
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
}
