//! A region cut off while everybody goes on watching, in weather in which nothing arrives as it was sent.

use crate::support::audience::{Audience, profiles};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::relay::Weather;
use crate::support::watcher::Watcher;

#[test]
fn a_region_cut_off_in_a_storm_comes_back_equal_and_nothing_acknowledged_is_missing() {
    let mut dice = Dice::of_this_run("cut off in a storm");
    let cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 20);

    cluster.set_around(2, &Weather::STORM);
    audience.wait_for_batches(&[0, 1, 2], 40);
    // First it can still be heard and hears nothing, then neither.
    (0..2).for_each(|other| cluster.set_weather(other, 2, &Weather::CUT));
    audience.wait_for_batches(&[0, 1, 2], 20);
    cluster.set_around(2, &Weather::CUT);
    audience.wait_for_batches(&[0, 1, 2], 60);
    // It heals into the storm, and everybody still writes.
    cluster.set_around(2, &Weather::STORM);
    audience.wait_for_batches(&[0, 1, 2], 40);
    let ledger = audience.finish();

    let state = cluster.wait_until_equal();
    ledger.check(&state);
    cluster.heal();
    ledger.check(&cluster.wait_until_equal());
    let seen = watcher.finish();
    println!("{} places acknowledged; the watcher: {} looks, {} advances", ledger.count(), seen.looks, seen.advances);
}

#[test]
fn regions_that_flap_end_equal() {
    let mut dice = Dice::of_this_run("flapping lines");
    let cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    for _ in 0..12 {
        let (from, to) = (dice.within(0..=2) as usize, dice.within(0..=2) as usize);
        if from != to {
            let weather = [Weather::FAIR, Weather::STORM, Weather::CUT][dice.within(0..=2) as usize].clone();
            cluster.set_weather(from, to, &weather);
        }
        audience.wait_for_batches(&[0, 1, 2], 6);
    }
    cluster.heal();
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}

#[test]
fn a_region_away_for_so_long_that_links_are_given_up_comes_back_by_itself() {
    let mut dice = Dice::of_this_run("away for long");
    let cluster = Cluster::mesh(&mut dice, 3);
    let watcher = Watcher::start(&cluster.nodes, &profiles());
    let audience = Audience::start(&cluster.nodes, &mut dice);
    audience.wait_for_batches(&[0, 1, 2], 10);
    cluster.set_around(2, &Weather::CUT);
    cluster.wait_for_links(2, 0);
    audience.wait_for_batches(&[0, 1, 2], 40);
    // Half of the lines heals: the third node is reached again through one that is not its dialer of before.
    cluster.set_line(0, 2, &Weather::STORM);
    audience.wait_for_batches(&[0, 1, 2], 20);
    let ledger = audience.finish();
    ledger.check(&cluster.wait_until_equal());
    cluster.heal();
    cluster.wait_for_links(2, 2);
    ledger.check(&cluster.wait_until_equal());
    watcher.finish();
}
