//! `ack = "replicated"`: acknowledged when one more node of the region has it on its disk, so that a lost disk loses nothing acknowledged.

use std::thread;

use leftoff::progress::{EventKind, PlaybackEvent};

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use crate::support::relay::Weather;

fn neighbours(dice: &mut Dice) -> Cluster {
    let mut cluster = Cluster::prepare(dice, 2, |_, _| true);
    for node in &mut cluster.nodes {
        node.setup.region = "eu".into();
        node.setup.cluster = "ack = \"replicated\"".into();
    }
    cluster.start_all();
    cluster.wait_for_links(0, 1);
    cluster
}

fn beat(step: u64) -> PlaybackEvent {
    PlaybackEvent::new("ann", format!("title-{}", step % 5), "tv", EventKind::Heartbeat, step * 1_000)
}

#[test]
fn what_was_acknowledged_as_replicated_survives_the_loss_of_the_disk() {
    let mut dice = Dice::of_this_run("replicated");
    for _ in 0..3 {
        let mut cluster = neighbours(&mut dice);
        let count = dice.within(5..=60);
        for step in 1..=count {
            cluster.client(0).report(&[beat(step)]).unwrap();
        }
        // In this very moment: the machine is gone, disk and all.
        cluster.nodes[0].kill();
        cluster.nodes[0].lose_disk();
        for step in count.saturating_sub(4).max(1)..=count {
            let kept = cluster.client(1).resume("ann", &format!("title-{}", step % 5)).unwrap();
            assert!(kept.high_ms >= step * 1_000, "step {step} of {count} was acknowledged, and is {kept:?}");
        }
    }
}

#[test]
fn without_a_neighbour_nothing_is_acknowledged_as_replicated_until_it_is_back() {
    let mut dice = Dice::of_this_run("no neighbour");
    let cluster = neighbours(&mut dice);
    cluster.client(0).report(&[beat(1)]).unwrap();
    cluster.set_line(0, 1, &Weather::CUT);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| cluster.client(0).report(&[beat(2)]));
        // It is recorded and shown, for it is durable here; only the acknowledgement waits for the neighbour.
        eventually(SOON, "it is recorded", || match cluster.client(0).resume("ann", "title-2").unwrap().high_ms {
            2_000 => Ok(()),
            high_ms => Err(high_ms),
        });
        assert!(!waiting.is_finished(), "acknowledged without a neighbour");
        cluster.heal();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(cluster.client(1).resume("ann", "title-2").unwrap().high_ms, 2_000);
}
