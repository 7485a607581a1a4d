//! Devices: narrow links, unshared work, tokens.

use std::sync::Arc;

use super::world::{Grants, Replica, World};
use crate::progress::{EventKind, ProfileId};
use crate::sync::message::Role;
use crate::sync::{LinkConfig, LinkError, LinkEvent};

/// A device (0) and a node (1) that grants these profiles.
fn world(profiles: Vec<&'static str>) -> World {
    let mut world = World::new(vec![Replica::device(1), Replica::node(2)]);
    world.authority = Some(Arc::new(Grants(profiles)));
    world
}

#[test]
fn a_device_exchanges_its_profiles_and_nothing_else() {
    let mut world = world(vec!["mine", "ours"]);
    world.record(1, "mine", "film", EventKind::Pause, 60_000);
    world.record(1, "foreign", "film", EventKind::Pause, 60_000);
    world.fill(1, 0..500, 1_000);
    world.record(0, "ours", "offline", EventKind::Pause, 30_000);
    world.record(0, "kept", "offline", EventKind::Pause, 30_000);
    let pair = world.link_device(0, 1);
    world.run(1_000);
    assert_eq!(world.replicas[0].position("mine", "film"), 60_000);
    assert_eq!(world.replicas[1].position("ours", "offline"), 30_000);
    assert_eq!(world.replicas[1].position("kept", "offline"), 0);
    assert_eq!(world.replicas[0].everything().len(), 3, "two of its own and one of the node's");
    world.record(1, "foreign", "film", EventKind::Pause, 90_000);
    world.record(1, "ours", "film", EventKind::Pause, 90_000);
    world.record(0, "mine", "film", EventKind::Pause, 120_000);
    world.run(200);
    assert_eq!(world.replicas[0].position("foreign", "film"), 0);
    assert_eq!(world.replicas[0].position("ours", "film"), 90_000);
    assert_eq!(world.replicas[1].position("mine", "film"), 120_000);
    let granted = |event: &LinkEvent| matches!(event, LinkEvent::Granted { profiles, .. } if profiles.len() == 2);
    assert!(world.pairs[pair].events[0].iter().any(granted));
    assert!(world.pairs[pair].is_alive());
}

#[test]
fn a_device_with_a_wrong_clock_moves_its_work_before_it_shares_it() {
    let mut world = world(vec!["mine"]);
    world.replicas[0].skew_ms = 86_400_000;
    world.record(0, "mine", "film", EventKind::Pause, 60_000);
    let pair = world.link_device(0, 1);
    world.run(1_000);
    assert_eq!(world.replicas[1].position("mine", "film"), 60_000, "no record was refused, none is in the future");
    assert_eq!(world.pairs[pair].links[1].figures(&world.replicas[1].core).refused_in, 0);
    assert!(
        world.pairs[pair].events[0]
            .iter()
            .any(|event| matches!(event, LinkEvent::Shared { clock_offset_ms } if (clock_offset_ms + 86_400_000).abs() < 1_000))
    );
    world.record(1, "mine", "film", EventKind::Pause, 61_000);
    world.run(200);
    assert_eq!(world.replicas[0].position("mine", "film"), 61_000);
}

#[test]
fn a_device_follows_a_node_whose_clock_is_put_right() {
    let mut world = world(vec!["mine"]);
    world.replicas[1].skew_ms = -3_600_000;
    let pair = world.link_device(0, 1);
    world.run(1_000);
    assert_eq!(world.replicas[0].core.clock_offset_ms() / 60_000, -60, "an hour behind, like its node");
    world.replicas[1].skew_ms = 0;
    world.run(12_000);
    assert!(world.replicas[0].core.clock_offset_ms().abs() < 1_000, "with the next comparison");
    world.record(1, "mine", "film", EventKind::Pause, 60_000);
    world.run(1_000);
    assert_eq!(world.replicas[0].position("mine", "film"), 60_000, "not refused for an hour");
    world.record(0, "mine", "film", EventKind::Pause, 90_000);
    world.run(1_000);
    assert_eq!(world.replicas[1].position("mine", "film"), 90_000);
    assert!(world.pairs[pair].is_alive());
}

#[test]
fn a_device_that_returns_gets_what_changed_in_its_profiles_by_cursor() {
    let mut world = world(vec!["mine"]);
    for title in 0..300 {
        world.record_quietly(1, "mine", &format!("film-{title}"), EventKind::Pause, 60_000);
    }
    let pair = world.link_device(0, 1);
    world.run_until_quiet(pair);
    assert_eq!(world.replicas[0].everything().len(), 300);
    world.pairs[pair].frames_left = Some(0);
    world.replicas[0].core.stop_sharing();
    world.fill(1, 0..1_000, 1_000);
    world.record(1, "mine", "film-7", EventKind::Pause, 90_000);
    world.record(0, "mine", "film-8", EventKind::Pause, 95_000);
    let again = world.link_device(0, 1);
    world.run_until_quiet(again);
    assert_eq!(world.replicas[0].position("mine", "film-7"), 90_000);
    assert_eq!(world.replicas[1].position("mine", "film-8"), 95_000);
    assert!(world.pairs[again].bytes() < 1_200, "{}", world.pairs[again].bytes());
}

#[test]
fn a_token_with_one_profile_more_brings_what_that_profile_had_before() {
    let mut world = world(vec!["mine"]);
    world.record(1, "mine", "film", EventKind::Pause, 60_000);
    world.record(1, "other", "film", EventKind::Pause, 61_000);
    let pair = world.link_device(0, 1);
    world.run_until_quiet(pair);
    world.pairs[pair].frames_left = Some(0);
    world.authority = Some(Arc::new(Grants(vec!["mine", "other"])));
    let again = world.link_device(0, 1);
    world.run_until_quiet(again);
    assert_eq!(world.replicas[0].position("other", "film"), 61_000);
}

#[test]
fn a_device_cut_off_at_any_frame_converges_with_the_next_link() {
    for frames in 0..30 {
        let mut world = world(vec!["mine"]);
        for title in 0..60 {
            world.record_quietly(1, "mine", &format!("film-{title}"), EventKind::Pause, 60_000);
            world.record_quietly(0, "mine", &format!("film-{}", title + 40), EventKind::Pause, 30_000 + title);
        }
        let pair = world.link_device(0, 1);
        world.pairs[pair].frames_left = Some(frames);
        world.run(500);
        world.replicas[0].core.stop_sharing();
        world.record(0, "mine", "last", EventKind::Pause, 30_000);
        world.link_device(0, 1);
        world.run_until_equal();
        assert_eq!(world.replicas[0].everything().len(), 101);
    }
}

#[test]
fn a_device_that_calls_itself_by_a_nodes_id_moves_no_nodes_cursor() {
    let mut world = World::new(vec![Replica::device(3), Replica::node(2), Replica::node(3)]);
    world.authority = Some(Arc::new(Grants(vec!["mine"])));
    assert_eq!(world.replicas[0].id(), world.replicas[2].id());
    world.record(0, "mine", "film", EventKind::Pause, 60_000);
    let pair = world.link_device(0, 1);
    world.run(500);
    assert_eq!(world.replicas[1].position("mine", "film"), 60_000);
    assert_ne!(world.pairs[pair].links[1].peer(), Some(world.replicas[2].id()));
    world.link(1, 2);
    world.run(500);
    assert_eq!(world.replicas[2].position("mine", "film"), 60_000, "the true node is sent what the device brought");
}

#[test]
fn who_may_not_have_a_link_is_told_why() {
    let mut world = world(vec!["mine"]);
    let bad = LinkConfig { token: "other".into(), authority: None, ..world.config(true, Role::Device) };
    let node = LinkConfig { peer_is_node: false, ..world.config(false, Role::Node) };
    let pair = world.link_with([0, 1], [bad, node]);
    world.run(100);
    assert!(matches!(&world.pairs[pair].ended, Some((1, LinkError::Unauthorized { reason })) if reason.contains("expired")));
    let nameless = [world.config(true, Role::Node), LinkConfig { peer_is_node: false, ..world.config(false, Role::Node) }];
    let pair = world.link_with([0, 1], nameless);
    world.run(100);
    assert!(matches!(&world.pairs[pair].ended, Some((1, LinkError::Unauthorized { reason })) if reason.contains("certificate")));
    world.authority = None;
    let pair = world.link_device(0, 1);
    world.run(100);
    assert!(matches!(&world.pairs[pair].ended, Some((1, LinkError::Unauthorized { .. }))));
}

#[test]
fn the_end_of_a_token_ends_the_link() {
    let mut world = world(vec!["mine"]);
    let pair = world.link_device(0, 1);
    world.run(200);
    assert!(world.pairs[pair].is_alive());
    world.now_ms += 3_600_000;
    // The jump is longer than any answer may take; only the node's side is looked at.
    let (now, mono) = (world.wall(1), world.mono());
    let error = world.pairs[pair].links[1].handle_timeout(now, mono, &world.replicas[1].core).unwrap_err();
    assert!(matches!(error, LinkError::TokenExpired));
    assert_eq!(ProfileId::new("mine").unwrap().as_str(), "mine");
}

#[test]
fn a_token_that_may_only_read_or_only_write_does_only_that() {
    for (token, gets, gives) in [("read", true, false), ("write", false, true)] {
        let mut world = world(vec!["mine"]);
        world.record(1, "mine", "before", EventKind::Pause, 60_000);
        world.record(0, "mine", "offline", EventKind::Pause, 61_000);
        let pair = world.link_device_with(0, 1, token);
        world.run(500);
        world.record(1, "mine", "live", EventKind::Pause, 62_000);
        world.record(0, "mine", "own", EventKind::Pause, 63_000);
        world.run(500);
        let has = |replica: usize, title: &str| world.replicas[replica].position("mine", title) > 0;
        assert_eq!([has(0, "before"), has(0, "live")], [gets; 2], "{token}");
        assert_eq!([has(1, "offline"), has(1, "own")], [gives; 2], "{token}");
        assert!(world.pairs[pair].is_alive());
    }
}

#[test]
fn an_old_link_that_ends_late_does_not_keep_a_devices_work_apart_for_ever() {
    let mut world = world(vec!["mine"]);
    let pair = world.link_device(0, 1);
    world.run(500);
    world.replicas[0].core.stop_sharing();
    world.record(0, "mine", "film", EventKind::Pause, 60_000);
    world.run(15_000);
    assert_eq!(world.replicas[1].position("mine", "film"), 60_000, "shared with the next comparison of clocks");
    assert!(world.pairs[pair].is_alive());
}

#[test]
fn an_account_whose_devices_change_their_ids_leaves_a_bounded_number_of_cursors() {
    let mut world = world(vec!["mine"]);
    for id in 10..80 {
        world.replicas.push(Replica::device(id));
        let device = world.replicas.len() - 1;
        world.record(device, "mine", "film", EventKind::Pause, 60_000 + u64::from(id) * 1_000);
        let pair = world.link_device(device, 1);
        let has_cursor = |world: &World| {
            let peer = world.pairs[pair].links[1].peer();
            peer.is_some_and(|peer| world.replicas[1].core.store().cursor(peer).is_some())
        };
        world.run_until("a cursor: the newest is kept", has_cursor);
        world.pairs[pair].frames_left = Some(0);
    }
    let known = |pair: &super::world::Pair| world.replicas[1].core.store().cursor(pair.links[1].peer().unwrap()).is_some();
    assert_eq!(world.pairs.iter().filter(|pair| known(pair)).count(), crate::limits::CURSORS_PER_ACCOUNT_COUNT_MAX);
}
