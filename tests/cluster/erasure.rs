//! An erased profile stays erased, also at a node that was away and had gone on watching.

use leftoff::progress::{EventKind, PlaybackEvent};

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use crate::support::relay::Weather;

fn pause(profile: &str, title: &str, device: &str, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent::new(profile, title, device, EventKind::Pause, position_ms)
}

fn is_gone(cluster: &Cluster, profile: &str) {
    for index in 0..cluster.nodes.len() {
        eventually(SOON, "the profile is gone", || match cluster.client(index).history(profile) {
            Ok(history) if history.is_empty() => Ok(()),
            Ok(history) => Err(format!("{} still shows {history:?}", cluster.nodes[index].name())),
            Err(trouble) => Err(trouble.to_string()),
        });
    }
}

#[test]
fn a_profile_erased_while_a_node_was_cut_off_stays_erased_there() {
    let mut dice = Dice::of_this_run("erased while cut off");
    let cluster = Cluster::mesh(&mut dice, 3);
    cluster.client(0).report(&[pause("gone", "film", "tv", 600_000), pause("stays", "film", "tv", 600_000)]).unwrap();
    cluster.wait_for(2, "gone", "film", |progress| progress.started);
    cluster.wait_until_equal();

    cluster.set_around(2, &Weather::CUT);
    // Watched on at the far side before and after the erasure, which it does not know of.
    cluster.client(2).report(&[pause("gone", "film", "phone", 700_000), pause("gone", "other", "phone", 50_000)]).unwrap();
    cluster.client(0).erase("gone").unwrap();
    cluster.client(2).report(&[pause("gone", "film", "phone", 800_000), pause("stays", "film", "phone", 700_000)]).unwrap();
    cluster.heal();

    is_gone(&cluster, "gone");
    cluster.wait_for(0, "stays", "film", |progress| progress.position_ms == 700_000);
    cluster.wait_until_equal();
    is_gone(&cluster, "gone");

    // What is watched from now on is a new beginning, everywhere.
    cluster.client(2).report(&[pause("gone", "film", "phone", 90_000)]).unwrap();
    for index in 0..3 {
        let again = cluster.wait_for(index, "gone", "film", |progress| progress.started);
        assert_eq!((again.position_ms, again.furthest_ms, again.places.len()), (90_000, 90_000, 1));
    }
}

#[test]
fn a_profile_erased_while_a_node_was_down_stays_erased_there() {
    let mut dice = Dice::of_this_run("erased while down");
    let mut cluster = Cluster::mesh(&mut dice, 3);
    cluster.client(2).report(&[pause("gone", "film", "tv", 600_000), pause("stays", "film", "tv", 600_000)]).unwrap();
    cluster.wait_until_equal();
    cluster.wait_for(0, "gone", "film", |progress| progress.started);
    cluster.nodes[2].kill();
    cluster.client(0).erase("gone").unwrap();
    is_gone_at(&cluster, 1, "gone");
    // All the others restart as well: the erasure is on their disks.
    for index in 0..2 {
        cluster.nodes[index].kill();
        cluster.start(index);
    }
    cluster.start(2);
    is_gone(&cluster, "gone");
    let state = cluster.wait_until_equal();
    assert_eq!(state.len(), 1, "{state:?}");
}

fn is_gone_at(cluster: &Cluster, index: usize, profile: &str) {
    eventually(SOON, "the erasure arrives", || match cluster.client(index).history(profile) {
        Ok(history) if history.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
