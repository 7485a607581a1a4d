//! What is refused for later, damage that is found while links are open, and peers whose clocks are wrong: nothing is lost, and nothing is claimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::settle::{reconciled, two};
use super::world::{Grants, Replica, World, cursor};
use crate::progress::EventKind;
use crate::replica::{AckMode, CoreOptions};
use crate::store::{Batch, StoreOptions};
use crate::sync::LinkConfig;
use crate::sync::message::Role;

#[test]
fn a_record_from_a_fast_clock_is_refused_by_name_and_taken_when_it_is_due() {
    let mut world = two();
    world.replicas[0].skew_ms = 90_000;
    let pair = world.link(0, 1);
    world.run(100);
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run(200);
    assert_eq!(world.replicas[1].position("p", "film"), 0);
    let figures = world.pairs[pair].links[0].figures(&world.replicas[0].core);
    assert_eq!((figures.refused_out, figures.waiting_out), (1, 1));
    assert!(cursor(&world, 1, 0).is_none(), "what is not here is not said to be");
    world.record(1, "p", "other", EventKind::Pause, 1_000);
    world.run(100);
    assert_eq!(world.replicas[0].position("p", "other"), 1_000);
    world.run(31_000);
    assert_eq!(world.replicas[1].position("p", "film"), 60_000);
    assert!(world.pairs[pair].is_alive());
}

#[test]
fn a_refused_record_that_was_taken_costs_the_link_nothing_more() {
    let mut world = two();
    let pair = world.link(0, 1);
    world.run(100);
    world.replicas[0].skew_ms = 65_000;
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run(1_000);
    world.record(0, "p", "series", EventKind::Pause, 60_000);
    world.replicas[0].skew_ms = 0;
    world.run(1_000);
    assert!(cursor(&world, 1, 0).is_none() && world.replicas[1].core.heard().is_empty(), "what is not here is not said to be");
    world.run(6_000);
    assert_eq!((world.replicas[1].position("p", "film"), world.replicas[1].position("p", "series")), (60_000, 60_000));
    assert!(world.unsettled(pair, 0).is_empty() && world.unsettled(pair, 1).is_empty());
    world.record(0, "p", "other", EventKind::Pause, 60_000);
    world.run(1_000);
    let durable = world.replicas[0].core.store().durable();
    assert_eq!(cursor(&world, 1, 0), Some(durable));
    assert!(world.replicas[1].core.heard().iter().any(|heard| heard.seq == durable));
}

#[test]
fn a_refused_record_outlives_the_link_on_which_it_was_refused() {
    let mut world = two();
    world.replicas[0].skew_ms = 90_000;
    let pair = world.link(0, 1);
    world.run(100);
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run(200);
    world.pairs[pair].frames_left = Some(0);
    let unsettled = [world.unsettled(pair, 0), world.unsettled(pair, 1)];
    assert!(unsettled.iter().all(|peers| peers.len() == 1));
    // One side's memory is enough.
    let configs = [world.config(true, Role::Node), LinkConfig { unsettled: unsettled[1].clone(), ..world.config(false, Role::Node) }];
    world.link_with([0, 1], configs);
    world.run(40_000);
    assert_eq!(world.replicas[1].position("p", "film"), 60_000);
}

#[test]
fn a_refused_record_outlives_the_restart_of_both_sides() {
    let mut world = two();
    world.link(0, 1);
    world.run(100);
    world.replicas[1].skew_ms = -600_000;
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run(500);
    world.record(0, "p", "series", EventKind::Pause, 90_000);
    world.run(500);
    assert_eq!(world.replicas[1].position("p", "film"), 0, "it is from ten minutes ahead");
    // Whoever refused and whoever was refused: neither remembers.
    for pair in &mut world.pairs {
        pair.frames_left = Some(0);
    }
    world.replicas[0].restart();
    world.replicas[1].restart();
    world.replicas[1].skew_ms = 0;
    world.link(0, 1);
    world.run_until_equal();
    assert_eq!(world.replicas[1].position("p", "film"), 60_000);
}

#[test]
fn nobody_is_told_that_a_refused_record_is_kept_elsewhere_while_it_is_offered_again() {
    let options = CoreOptions { ack: AckMode::Replicated, playheads_count_max: 10_000, ..CoreOptions::default() };
    let mut world = World::new(vec![Replica::new(1, options, StoreOptions::small()), Replica::node(2), Replica::node(3)]);
    let pair = world.link(0, 1);
    world.link(0, 2);
    world.run(100);
    world.replicas[0].skew_ms = 3_600_000;
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    let core = &world.replicas[0].core;
    core.when_durable(core.store().durable(), Box::new(move |kept| tell.store(kept.is_ok(), Ordering::Relaxed)));
    world.run(1_000);
    let refused = |world: &World| world.pairs[pair].links[0].figures(&world.replicas[0].core).refused_out;
    assert_eq!(refused(&world), 1);
    world.now_ms += 298_000;
    // What is passed on from the third is taken, and acknowledged all the time.
    for number in 0..4_000 {
        world.record(2, "q", &format!("film-{}", number % 100), EventKind::Pause, 60_000 + number);
        world.step();
        assert!(!told.load(Ordering::Relaxed), "after {number} ms");
    }
    assert_eq!((refused(&world), world.replicas[1].position("p", "film")), (2, 0));
}

#[test]
fn damage_found_while_links_are_open_is_repaired_by_the_next_greeting() {
    for is_device in [false, true] {
        let mut world = World::new(vec![Replica::node(1), if is_device { Replica::device(2) } else { Replica::node(2) }]);
        world.authority = Some(Arc::new(Grants(vec!["p"])));
        let link = |world: &mut World| if is_device { world.link_device(1, 0) } else { world.link(0, 1) };
        world.record(0, "p", "film", EventKind::Pause, 60_000);
        world.record(0, "p", "series", EventKind::Pause, 60_000);
        let pair = link(&mut world);
        world.run_until_equal();
        world.run(1_000);
        let store = world.replicas[1].core.store();
        store.fold_all().unwrap();
        let key = store.hasher().register(&"p".parse().unwrap(), &"film".parse().unwrap());
        world.replicas[1].engine.damage(key);
        store.fold_all().unwrap();
        assert!(store.needs_reconciliation());
        world.run(5);
        assert!(world.pairs[pair].ended.is_some() && world.replicas[1].core.heard().is_empty());
        assert_eq!(world.replicas[1].core.store().cursor(world.replicas[0].id()), None);
        link(&mut world);
        world.run_until_equal();
        world.run(1_000);
        assert_eq!(world.replicas[1].position("p", "film"), 60_000);
        assert!(!world.replicas[1].core.store().needs_reconciliation());
        world.record(0, "p", "other", EventKind::Pause, 60_000);
        world.run(1_000);
        assert!(world.replicas[1].core.store().cursor(world.replicas[0].id()).is_some() && world.pairs[pair + 1].is_alive());
    }
}

#[test]
fn a_device_does_not_make_good_what_a_node_has_lost() {
    let mut world = World::new(vec![Replica::device(1), Replica::node(2)]);
    world.authority = Some(Arc::new(Grants(vec!["p"])));
    world.record(1, "p", "film", EventKind::Pause, 60_000);
    let store = world.replicas[1].core.store();
    store.fold_all().unwrap();
    world.replicas[1].engine.damage(store.hasher().register(&"p".parse().unwrap(), &"film".parse().unwrap()));
    store.fold_all().unwrap();
    let pair = world.link_device(0, 1);
    world.run(1_000);
    assert!(reconciled(&world, pair) && world.replicas[1].core.store().needs_reconciliation() && world.pairs[pair].is_alive());
}

#[test]
fn no_peer_expires_what_the_own_clock_would_keep() {
    let options = CoreOptions { ttl_days: Some(30), playheads_count_max: 100, ..CoreOptions::default() };
    let device = CoreOptions { keeps_unshared: true, ..options.clone() };
    let new = |id, options: &CoreOptions| Replica::new(id, options.clone(), StoreOptions::small());
    let mut world = World::new(vec![new(1, &options), new(2, &options), new(3, &device)]);
    world.authority = Some(Arc::new(Grants(vec!["mine"])));
    world.fill(0, 0..10, 1_000);
    let floor = |world: &World, replica: usize| world.replicas[replica].core.store().floor_day();
    for (number, day) in [(1, u32::MAX), (2, u32::MAX), (2, crate::store::day_of(world.wall(0)) - 30)] {
        let mut batch = Batch::local();
        batch.raise_floor(day);
        world.replicas[number].core.store().append(batch).unwrap();
        world.replicas[number].core.flush().unwrap();
    }
    world.link_device(2, 0);
    world.run(500);
    assert_eq!((floor(&world, 2), floor(&world, 0)), (u32::MAX, 0), "none of a device's");
    world.link(0, 1);
    world.run(500);
    assert_eq!(floor(&world, 0), crate::store::day_of(world.wall(0)) - 29, "a node's within a day of the own");
    assert_eq!(world.replicas[0].everything().len(), 10);
}
