//! H: not saved in time: the app closed, the car was switched off; not shown in time elsewhere.

use std::time::Duration;

use leftoff::time::system::monotonic_now;

use crate::evening::{EU, Evening, Heartbeat, Pause, US};
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use leftoff::progress::{EventKind, PlaybackEvent};

#[test]
fn other_devices_see_a_change_within_a_second() {
    let evening = Evening::new();
    let tv = evening.screen(EU, "tv");
    let mut took = Vec::new();
    for step in 1..=21 {
        let position_s = step * 10;
        let begun = monotonic_now();
        tv.says(if step % 2 == 0 { Heartbeat } else { Pause }, position_s);
        eventually(SOON, "the other region shows it", || match evening.film_at(US) {
            film if film.position_ms == position_s * 1_000 => Ok(()),
            film => Err(film.position_ms),
        });
        took.push(monotonic_now().saturating_since(begun));
    }
    took.sort();
    println!("reported at one region, shown at the other: median {:?}, worst {:?}", took[10], took[20]);
    assert!(took[20] < Duration::from_secs(1), "{took:?}");
}

#[test]
fn what_was_reported_is_there_after_the_node_is_killed_without_warning() {
    let mut dice = Dice::of_this_run("killed after a heartbeat");
    let mut cluster = Cluster::mesh(&mut dice, 1);
    let mut position_ms = 0;
    for _ in 0..5 {
        for _ in 0..dice.within(1..=5) {
            position_ms += 10_000;
            let beat = PlaybackEvent::new("viewer", "film", "car", EventKind::Heartbeat, position_ms);
            cluster.client(0).report(&[beat]).unwrap();
        }
        cluster.nodes[0].kill();
        cluster.start(0);
        assert_eq!(cluster.client(0).resume("viewer", "film").unwrap().position_ms, position_ms);
    }
}
