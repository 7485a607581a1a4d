//! Two and three nodes that converge: live, by cursor, by reconciliation, whatever is lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::world::{Grants, Replica, World, cursor};
use crate::progress::{EventKind, ProfileId, TitleId};
use crate::replica::{AckMode, CoreOptions};
use crate::store::{Batch, PeerCursor, StoreOptions};
use crate::sync::message::{RefusalReason, RefusedKey, Role};
use crate::sync::{LinkConfig, LinkError, LinkEvent};

pub(super) fn two() -> World {
    World::new(vec![Replica::node(1), Replica::node(2)])
}

#[test]
fn what_is_recorded_at_either_side_is_soon_at_both() {
    let mut world = two();
    world.record(0, "p", "before", EventKind::Pause, 60_000);
    let pair = world.link(0, 1);
    world.run(200);
    assert_eq!(world.replicas[1].position("p", "before"), 60_000);
    world.record(1, "p", "film", EventKind::Pause, 90_000);
    world.run(15);
    assert_eq!(world.replicas[0].position("p", "film"), 90_000, "one way and a flush");
    assert!(world.pairs[pair].is_alive());
}

#[test]
fn an_idle_link_falls_silent() {
    let mut world = two();
    world.fill(0, 0..200, 1_000);
    let pair = world.link(0, 1);
    world.run_until_quiet(pair);
    let before = world.pairs[pair].bytes();
    world.run(9_000);
    assert_eq!(world.pairs[pair].bytes(), before, "no record, no acknowledgement, no cursor is sent when nothing happens");
}

#[test]
fn what_changed_nothing_is_acknowledged_by_a_neighbour_all_the_same() {
    let options = CoreOptions { ack: AckMode::Replicated, playheads_count_max: 10_000, ..CoreOptions::default() };
    let mut world = World::new(vec![Replica::new(1, options, StoreOptions::small()), Replica::node(2)]);
    let pair = world.link(0, 1);
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run_until_quiet(pair);
    let before = world.pairs[pair].bytes();
    let mut batch = Batch::local();
    let known = world.replicas[0].everything();
    let ((profile, title), state) = known.first_key_value().unwrap();
    batch.register(profile, title, state);
    let core = &world.replicas[0].core;
    let last = core.store().append(batch).unwrap().last;
    let kept = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&kept);
    core.when_durable(last, Box::new(move |result| told.store(result.is_ok(), Ordering::Relaxed)));
    core.flush().unwrap();
    world.run(50);
    assert!(kept.load(Ordering::Relaxed), "a round trip is enough");
    let spent = world.pairs[pair].bytes() - before;
    world.run(5_000);
    assert!(spent > 0 && world.pairs[pair].bytes() - before == spent, "and nobody goes on about it");
}

#[test]
fn nothing_goes_back_to_where_it_came_from() {
    let mut world = two();
    let pair = world.link(0, 1);
    world.run(100);
    world.fill(0, 0..500, 1_000);
    world.run_until_quiet(pair);
    assert_eq!(world.pairs[pair].links[0].figures(&world.replicas[0].core).records_in, 0);
    assert_eq!(world.replicas[0].everything(), world.replicas[1].everything());
}

#[test]
fn a_link_cut_after_any_frame_is_made_good_by_the_next() {
    for frames in 0..40 {
        let mut world = two();
        world.fill(0, 0..300, 1_000);
        world.fill(1, 200..500, 5_000);
        let pair = world.link(0, 1);
        world.pairs[pair].frames_left = Some(frames);
        world.run(400);
        world.fill(0, 500..550, 1_000);
        world.link(0, 1);
        world.run_until_equal();
        assert_eq!(world.replicas[0].everything().len(), 550);
    }
}

#[test]
fn records_that_arrive_twice_say_nothing_new() {
    let mut world = two();
    let pair = world.link(0, 1);
    world.pairs[pair].repeats = true;
    world.fill(0, 0..100, 1_000);
    world.fill(1, 50..150, 2_000);
    world.run_until_equal();
    world.run_until_quiet(pair);
    assert_eq!(world.replicas[0].everything().len(), 150);
}

#[test]
fn a_chain_of_three_converges() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2), Replica::node(3)]);
    world.fill(0, 0..100, 1_000);
    world.fill(2, 100..200, 1_000);
    world.link(0, 1);
    world.link(1, 2);
    world.run_until_equal();
    world.record(0, "p", "film", EventKind::Pause, 1_000);
    world.record(2, "p", "film", EventKind::Pause, 61_000);
    world.run_until_equal();
    assert_eq!(world.replicas[1].position("p", "film"), 61_000);
}

/// Everybody linked with everybody, and warm: each has heard from each.
fn mesh(count: u8) -> World {
    let mut world = World::new((1..=count).map(Replica::node).collect());
    for a in 0..usize::from(count) {
        for b in a + 1..usize::from(count) {
            world.link(a, b);
        }
    }
    for round in 0..3 {
        for replica in 0..usize::from(count) {
            world.record(replica, "warm", &format!("film-{replica}"), EventKind::Play, 1_000 * (round + 1));
        }
        world.run(700);
    }
    world
}

fn records_in(world: &World) -> u64 {
    let of = |pair: &super::world::Pair, side: usize| pair.links[side].figures(&world.replicas[pair.ends[side]].core).records_in;
    world.pairs.iter().map(|pair| of(pair, 0) + of(pair, 1)).sum()
}

#[test]
fn in_a_mesh_a_change_is_sent_once_to_everybody() {
    let mut world = mesh(5);
    world.run(3_000);
    let before = records_in(&world);
    for number in 0..200 {
        world.record(number % 5, "p", &format!("film-{number}"), EventKind::Pause, 60_000);
        world.run(10);
    }
    world.run(3_000);
    let first = world.replicas[0].everything();
    assert!(world.replicas.iter().all(|replica| replica.everything() == first));
    assert_eq!(records_in(&world) - before, 200 * 4);
    let before = world.pairs.iter().map(super::world::Pair::bytes).sum::<u64>();
    world.run(5_000);
    assert_eq!(world.pairs.iter().map(super::world::Pair::bytes).sum::<u64>(), before, "and nobody goes on about it");
}

#[test]
fn a_node_that_was_away_is_told_what_it_missed_once_by_whoever_made_it() {
    let mut world = mesh(5);
    world.run(3_000);
    for pair in world.pairs.iter_mut().filter(|pair| pair.ends.contains(&4)) {
        pair.frames_left = Some(0);
    }
    for number in 0..1_000 {
        world.record(number % 4, "p", &format!("film-{}", number % 80), EventKind::Pause, 60_000 + number as u64 * 1_000);
        world.run(10);
    }
    let before = records_in(&world);
    for other in 0..4 {
        world.link(other, 4);
    }
    world.run(3_000);
    let first = world.replicas[0].everything();
    assert!(world.replicas.iter().all(|replica| replica.everything() == first));
    let told = records_in(&world) - before;
    // And a few of before, of which nobody had yet said how far they are there.
    assert!((80..=90).contains(&told), "{told}");
}

#[test]
fn a_way_that_is_cut_is_gone_around_within_a_moment() {
    let mut world = mesh(3);
    let cut = world.pairs.iter().position(|pair| pair.ends == [0, 2]).unwrap();
    // Neither side notices: nothing arrives, and the links stay open.
    world.pairs[cut].frames_left = Some(0);
    world.record(0, "p", "film", EventKind::Pause, 60_000);
    world.run(900);
    assert_eq!(world.replicas[2].position("p", "film"), 0, "for a moment it may still come straight");
    world.run(600);
    assert_eq!(world.replicas[2].position("p", "film"), 60_000);
    world.record(0, "p", "series", EventKind::Pause, 60_000);
    world.run(60);
    assert_eq!(world.replicas[2].position("p", "series"), 60_000, "from then on at once");
}

#[test]
fn what_was_left_out_for_a_way_that_broke_outlives_links_and_restarts() {
    for seed in 0..30_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = move |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let mut world = mesh(4);
        // One pair is never linked again once it is cut; the others come back.
        let gone = usize::try_from(roll(6)).unwrap();
        let ends = world.pairs[gone].ends;
        world.pairs[gone].frames_left = Some(roll(3));
        for step in 0..60 {
            let replica = usize::try_from(roll(4)).unwrap();
            world.record(replica, &format!("p{}", roll(5)), &format!("film-{}", roll(12)), EventKind::Pause, 60_000 + step * 1_000);
            world.run(roll(300));
            let pair = usize::try_from(roll(world.pairs.len() as u64)).unwrap();
            if roll(6) == 0 && world.pairs[pair].is_alive() {
                let [a, b] = world.pairs[pair].ends;
                world.pairs[pair].frames_left = Some(0);
                if roll(2) == 0 {
                    for pair in world.pairs.iter_mut().filter(|pair| pair.ends.contains(&a)) {
                        pair.frames_left = Some(0);
                    }
                    world.replicas[a].restart();
                    for other in (0..4).filter(|other| *other != a && [a.min(*other), a.max(*other)] != ends) {
                        world.link(a, other);
                    }
                } else if [a, b] != ends && [b, a] != ends {
                    world.link(a, b);
                }
            }
        }
        world.run_until_equal();
    }
}

#[test]
fn cursors_survive_a_restart_and_only_what_is_missing_travels() {
    let mut world = two();
    world.fill(0, 0..1_000, 1_000);
    let pair = world.link(0, 1);
    world.run_until_quiet(pair);
    assert!(cursor(&world, 1, 0).is_some());
    world.pairs[pair].frames_left = Some(0);
    world.replicas[1].restart();
    world.fill(0, 0..10, 2_000);
    let again = world.link(0, 1);
    world.run_until_equal();
    world.run_until_quiet(again);
    let figures = world.pairs[again].links[1].figures(&world.replicas[1].core);
    assert_eq!(figures.records_in, 10);
}

/// A folder that was copied goes on with the numbers that the copy was made at, and a peer has read those numbers already, of other changes.
#[test]
fn a_node_set_back_to_a_copy_of_its_folder_gets_back_what_it_had_and_keeps_what_it_records_then() {
    for clean in [true, false] {
        let mut world = two();
        world.fill(0, 0..30, 1_000);
        let pair = world.link(0, 1);
        world.run_until_quiet(pair);
        world.pairs.clear();
        // Stopped in good order, or copied as it runs.
        if clean {
            world.replicas[0].core.store().close().unwrap();
        }
        let copy = world.replicas[0].copy();
        if clean {
            world.replicas[0].restart();
        }
        let pair = world.link(0, 1);
        world.fill(0, 1_000..1_020, 1_000);
        world.run_until_quiet(pair);
        world.pairs.clear();
        world.replicas[0].set_back(copy);
        assert_eq!(world.replicas[0].everything().len(), 30);
        // So many that the peer's cursor lies among them.
        world.fill(0, 2_000..2_040, 1_000);
        let pair = world.link(0, 1);
        world.run_until_quiet(pair);
        let held: Vec<usize> = world.replicas.iter().map(|replica| replica.everything().len()).collect();
        assert_eq!(held, [90, 90], "clean: {clean}");
        world.run_until_equal();
    }
}

#[test]
fn two_nodes_from_copies_of_one_folder_lose_nothing_of_each_other_by_a_third() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2), Replica::node(3)]);
    world.fill(0, 0..30, 1_000);
    let pair = world.link(0, 2);
    world.run_until_quiet(pair);
    world.replicas[0].core.store().close().unwrap();
    let copies = [world.replicas[0].copy(), world.replicas[0].copy()];
    for (replica, copy) in copies.into_iter().enumerate() {
        world.replicas[replica] = Replica::node(1);
        world.replicas[replica].set_back_in(replica as u64, copy);
    }
    world.fill(0, 1_000..1_020, 1_000);
    world.fill(1, 2_000..2_040, 1_000);
    // One after the other: a node takes two links of one identity for the same node's.
    for round in 0..2 {
        for copy in [0, 1] {
            world.pairs.clear();
            let pair = world.link(copy, 2);
            world.run_until_quiet(pair);
            assert!(world.pairs[pair].is_alive(), "{round} {copy}");
        }
    }
    world.run_until_equal();
    assert_eq!(world.replicas[2].everything().len(), 90);
}

#[test]
fn catching_up_costs_little_more_than_what_changed() {
    for (changed, tail_is_gone) in [(1, false), (1, true), (100, false), (100, true), (1_000, true)] {
        let store = StoreOptions { ring_count_max: if tail_is_gone { 1 } else { 1 << 14 }, ..StoreOptions::small() };
        let options = CoreOptions { playheads_count_max: 10_000, ..CoreOptions::default() };
        let mut world = World::new(vec![Replica::new(1, options, store), Replica::node(2)]);
        world.fill(0, 0..5_000, 1_000);
        let pair = world.link(0, 1);
        world.run_until_quiet(pair);
        world.pairs[pair].frames_left = Some(0);
        world.now_ms += 60_000;
        world.fill(0, 0..changed, 100_000);
        let own: usize = world.replicas[0]
            .everything()
            .into_iter()
            .filter(|(_, progress)| progress.furthest.as_millis() >= 100_000)
            .map(|((profile, title), state)| {
                let mut bytes = Vec::new();
                crate::store::Record::Register { profile, title, state }.encode(&mut bytes);
                bytes.len()
            })
            .sum();
        let again = world.link(0, 1);
        world.run_until_quiet(again);
        assert_eq!(world.replicas[0].everything(), world.replicas[1].everything());
        let bytes = world.pairs[again].bytes();
        assert!(bytes * 10 <= own as u64 * 13 + 5_120, "{bytes} bytes for {changed} registers of {own} bytes, tail gone: {tail_is_gone}");
    }
}

#[test]
fn a_lost_disk_is_filled_again() {
    let mut world = two();
    world.fill(0, 0..2_000, 1_000);
    let pair = world.link(0, 1);
    world.run_until_quiet(pair);
    world.pairs[pair].frames_left = Some(0);
    world.replicas[1].lose_disk();
    world.record(1, "p", "film", EventKind::Pause, 9_000);
    world.link(0, 1);
    world.run_until_equal();
    assert_eq!(world.replicas[1].everything().len(), 2_001);
}

pub(super) fn reconciled(world: &World, pair: usize) -> bool {
    world.pairs[pair].events.iter().all(|events| events.iter().any(|event| matches!(event, LinkEvent::Reconciled { .. })))
}

#[test]
fn stores_without_a_common_cursor_exchange_only_what_differs() {
    let mut world = two();
    world.fill(0, 0..4_000, 1_000);
    let pair = world.link(0, 1);
    world.run_until_quiet(pair);
    world.pairs[pair].frames_left = Some(0);
    for replica in &world.replicas {
        replica.core.store().forget_cursors().unwrap();
    }
    world.fill(0, 4_000..4_010, 1_000);
    world.fill(1, 5_000..5_010, 1_000);
    let again = world.link(0, 1);
    world.run_until("reconciled", |world| reconciled(world, again));
    world.run_until_quiet(again);
    assert_eq!(world.replicas[0].everything(), world.replicas[1].everything());
    let records = |side: usize| world.pairs[again].links[side].figures(&world.replicas[side].core).records_in;
    assert!(records(0) >= 10 && records(1) >= 10 && records(0) + records(1) < 60, "{} {}", records(0), records(1));
    assert!(world.pairs[again].bytes() < 20_000, "{}", world.pairs[again].bytes());
    // And the cursors are known again.
    world.pairs[again].frames_left = Some(0);
    world.fill(1, 6_000..6_001, 1_000);
    let third = world.link(0, 1);
    world.run_until_quiet(third);
    assert!(world.pairs[third].bytes() < 700, "{}", world.pairs[third].bytes());
}

#[test]
fn writes_during_a_reconciliation_are_not_lost_and_a_cut_in_it_is_made_good() {
    for frames in [1, 3, 5, 7, 9, 11, 14, 18, 25, 40] {
        let mut world = two();
        world.fill(0, 0..1_500, 1_000);
        world.fill(1, 1_000..2_500, 1_000);
        let pair = world.link(0, 1);
        world.pairs[pair].frames_left = Some(frames);
        for burst in 0..20 {
            world.run(17);
            world.fill(0, burst * 3..burst * 3 + 3, 50_000);
            world.fill(1, 3_000 + burst..3_001 + burst, 50_000);
        }
        world.link(0, 1);
        world.run(33);
        world.fill(1, 10..30, 90_000);
        world.run_until_equal();
        assert_eq!(world.replicas[0].everything().len(), 2_520);
    }
}

#[test]
fn erasures_travel_with_cursors_and_without() {
    let mut world = two();
    world.fill(0, 0..70, 1_000);
    let pair = world.link(0, 1);
    world.run_until_quiet(pair);
    let profile = crate::progress::ProfileId::new("00000003-0000-4000-8000-000000000000").unwrap();
    let now = world.wall(0);
    world.replicas[0].core.erase(now, &profile).unwrap();
    world.run_until_equal();
    assert_eq!(world.replicas[1].everything().len(), 63);
    world.pairs[pair].frames_left = Some(0);
    for replica in &world.replicas {
        replica.core.store().forget_cursors().unwrap();
    }
    let other = crate::progress::ProfileId::new("00000004-0000-4000-8000-000000000000").unwrap();
    let now = world.wall(1);
    world.replicas[1].core.erase(now, &other).unwrap();
    world.link(0, 1);
    world.run_until_equal();
    assert_eq!(world.replicas[0].everything().len(), 56);
}

#[test]
fn a_scrub_finds_what_no_cursor_would() {
    let mut world = two();
    let scrubbing = |config: LinkConfig| LinkConfig { scrub_interval: Some(std::time::Duration::from_secs(5)), ..config };
    let configs = [world.config(true, Role::Node), world.config(false, Role::Node)].map(scrubbing);
    world.fill(0, 0..300, 1_000);
    let pair = world.link_with([0, 1], configs);
    world.run_until("a scrub", |world| reconciled(world, pair));
    let differed = |event: &LinkEvent| matches!(event, LinkEvent::Reconciled { differed: true, .. });
    assert!(!world.pairs[pair].events.iter().flatten().any(differed), "nothing differs on a healthy link");
    world.run(12_000);
    assert!(world.pairs[pair].links[0].figures(&world.replicas[0].core).reconciled >= 2);
}

#[test]
fn settings_that_differ_end_the_link_with_a_reason() {
    let options = CoreOptions { ttl_days: Some(30), playheads_count_max: 100, ..CoreOptions::default() };
    let mut world = World::new(vec![Replica::new(1, options, StoreOptions::small()), Replica::node(2)]);
    let pair = world.link(0, 1);
    world.run(50);
    assert!(matches!(world.pairs[pair].ended, Some((_, LinkError::Settings { setting: "ttl", .. }))), "{:?}", world.pairs[pair].ended);
}

#[test]
fn expiry_floors_are_joined_before_any_record() {
    let options = CoreOptions { ttl_days: Some(30), playheads_count_max: 100, ..CoreOptions::default() };
    let mut world =
        World::new(vec![Replica::new(1, options.clone(), StoreOptions::small()), Replica::new(2, options, StoreOptions::small())]);
    world.fill(0, 0..10, 1_000);
    world.now_ms += 31 * 86_400_000;
    world.replicas[1].core.expire(world.wall(1)).unwrap();
    world.replicas[1].core.flush().unwrap();
    world.link(0, 1);
    world.run(500);
    assert_eq!(world.replicas[0].core.store().floor_day(), crate::store::day_of(world.wall(0)) - 30);
    assert_eq!(world.replicas[0].everything().len() + world.replicas[1].everything().len(), 0);
}

#[test]
fn what_one_side_forgot_and_the_other_had_joined_is_found_after_the_floor_rose() {
    let options = CoreOptions { ttl_days: Some(30), playheads_count_max: 100, ..CoreOptions::default() };
    let mut world =
        World::new(vec![Replica::new(1, options.clone(), StoreOptions::small()), Replica::new(2, options, StoreOptions::small())]);
    world.record(0, "ada", "film", EventKind::Play, 600_000);
    let pair = world.link(0, 1);
    world.run_until_equal();
    // So that each has a cursor of the other.
    world.record(1, "ada", "another", EventKind::Play, 600_000);
    world.run_until_equal();
    world.run_until_quiet(pair);
    world.pairs.clear();
    world.now_ms += 32 * 86_400_000;
    // One forgets it, and it is watched there again; the other takes that before its own floor has risen, and so as what it was: a change of a register
    // that lives.
    world.replicas[0].core.expire(world.wall(0)).unwrap();
    world.replicas[0].core.flush().unwrap();
    world.record(0, "ada", "film", EventKind::Play, 1_000);
    let (ada, film) = (ProfileId::new("ada").unwrap(), TitleId::new("film").unwrap());
    let watched = world.replicas[0].core.store().register(&ada, &film).unwrap().unwrap().progress;
    let mut batch = Batch::from_peer(world.replicas[0].id());
    batch.register(&ada, &film, &watched);
    let from = world.replicas[0].core.store();
    batch.set_cursor(PeerCursor { peer: from.id(), epoch: from.epoch(), seq: from.durable() });
    world.replicas[1].core.store().append(batch).unwrap();
    world.replicas[1].core.flush().unwrap();
    world.link(0, 1);
    world.run(2_000);
    assert_eq!(world.replicas[0].core.store().floor_day(), world.replicas[1].core.store().floor_day());
    assert_ne!(world.replicas[0].everything(), world.replicas[1].everything(), "neither has anything to send");
    for _ in 0..80 {
        world.now_ms += 14_000;
        world.run(50);
    }
    assert!(world.pairs[0].is_alive());
    assert_eq!(world.replicas[0].everything(), world.replicas[1].everything());
    assert_eq!(world.replicas[0].position("ada", "film"), 600_000);
}

#[test]
fn nodes_with_different_secrets_give_each_other_everything() {
    let mut store = StoreOptions::small();
    store.key_secret = [9; 16];
    let options = CoreOptions { playheads_count_max: 1_000, ..CoreOptions::default() };
    let mut world = World::new(vec![Replica::node(1), Replica::new(2, options, store)]);
    world.fill(0, 0..200, 1_000);
    world.fill(1, 100..300, 2_000);
    world.link(0, 1);
    world.run_until("equal", |world| world.replicas.iter().all(|replica| replica.everything().len() == 300));
}

#[test]
fn a_link_to_oneself_ends() {
    let mut world = World::new(vec![Replica::node(1)]);
    let pair = world.link(0, 0);
    world.run(50);
    assert!(matches!(world.pairs[pair].ended, Some((_, LinkError::Myself))));
}

#[test]
fn a_peer_that_does_not_acknowledge_costs_its_bounded_bytes_in_flight_and_no_more() {
    let mut world = two();
    world.fill(0, 0..90_000, 1_000);
    let pair = world.link(0, 1);
    // Greeted, and then nothing more is delivered.
    world.pairs[pair].frames_left = Some(6);
    world.run(60);
    let mono = world.mono();
    let core = &world.replicas[0].core;
    let link = &mut world.pairs[pair].links[0];
    let mut out = Vec::new();
    while link.poll_frame(mono, core, &mut out).unwrap() {
        out.clear();
    }
    let profile = crate::progress::ProfileId::new("p").unwrap();
    link.outbox.offer_again(mono, RefusedKey { profile, title: None, reason: RefusalReason::AheadOfClock, retry_ms: 1 });
    let later = mono + std::time::Duration::from_secs(2);
    while link.poll_frame(later, core, &mut out).unwrap() {
        out.clear();
    }
    assert!(
        link.poll_timeout().is_none_or(|due| due > later),
        "what is due and has no room waits for an acknowledgement, and not for the time"
    );
    let bytes = link.figures(core).in_flight_bytes;
    let bound = crate::limits::IN_FLIGHT_BYTES_MAX;
    assert!(bytes >= bound && bytes < bound + crate::limits::FRAME_BYTES_MAX, "{bytes}");
}

#[test]
fn in_a_mesh_what_a_device_brings_is_sent_once_to_every_node_and_goes_around_a_way_that_is_cut() {
    let mut world = mesh(4);
    world.authority = Some(Arc::new(Grants(vec!["mine"])));
    world.replicas.push(Replica::device(9));
    world.link_device(4, 0);
    world.run(3_000);
    let before = records_in(&world);
    for number in 0..100 {
        world.record(4, "mine", &format!("film-{number}"), EventKind::Pause, 60_000);
        world.run(10);
    }
    world.run(3_000);
    assert!(world.replicas.iter().all(|replica| replica.position("mine", "film-99") == 60_000));
    assert_eq!(records_in(&world) - before, 100 * 4, "to the device's node, and from there to the three others");

    let cut = world.pairs.iter().position(|pair| pair.ends == [0, 2]).unwrap();
    world.pairs[cut].frames_left = Some(0);
    world.record(4, "mine", "film-7", EventKind::Pause, 90_000);
    world.run(1_600);
    assert_eq!(world.replicas[2].position("mine", "film-7"), 90_000);
}
