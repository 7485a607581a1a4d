//! Leases on links: told at the opening and when something changes, over several nodes, and to no device.

use std::time::Duration;

use super::world::{Replica, World};
use crate::ephemeral::{Anchor, Command, Control, Invite, NewParty, Presence, PresenceState};
use crate::progress::{DeviceId, EventKind, PartyId, Position, ProfileId, Speed, TitleId};
use crate::sync::frame::FrameType;
use crate::sync::{Handled, LinkError};
use crate::time::Hlc;

fn profile() -> ProfileId {
    ProfileId::new("ada").unwrap()
}

fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn stamp(world: &World, replica: usize) -> Hlc {
    world.replicas[replica].core.tick(world.wall(replica))
}

fn present(world: &World, replica: usize, name: &str) {
    let who = Presence { profile: profile(), device: device(name), connection: 1, state: PresenceState::Playing, title: None };
    world.replicas[replica].core.ephemeral().present(world.mono(), stamp(world, replica), &who).unwrap();
}

fn count(world: &World, replica: usize) -> usize {
    world.replicas[replica].core.ephemeral().devices(world.mono(), &profile()).len()
}

/// Lets time pass; what is connected stays so.
fn pass(world: &mut World, ms: u64, connected: &[(usize, &str)]) {
    for passed in 0..ms {
        world.step();
        if passed % 1_000 == 0 {
            connected.iter().for_each(|(replica, name)| present(world, *replica, name));
            for replica in 0..world.replicas.len() {
                world.replicas[replica].core.ephemeral().expire(world.mono(), stamp(world, replica));
            }
        }
    }
}

fn party_id() -> PartyId {
    PartyId::new("party").unwrap()
}

fn seek(world: &World, replica: usize, name: &str, position_ms: u64) {
    let position = Position::from_millis(position_ms);
    let anchor = Anchor { title: TitleId::new("film").unwrap(), position, rate: Speed::NORMAL, playing: true };
    let command = Command { profile: profile(), device: device(name), nonce: None, anchor };
    world.replicas[replica].core.ephemeral().control_party(world.mono(), stamp(world, replica), &party_id(), command).unwrap();
}

fn position_ms(world: &World, replica: usize) -> u64 {
    let party = world.replicas[replica].core.ephemeral().party(world.mono(), &party_id()).unwrap();
    party.anchor.unwrap().anchor.position.as_millis()
}

#[test]
fn over_a_chain_of_links_presence_comes_lives_and_lapses() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2), Replica::node(3)]);
    present(&world, 0, "tv");
    world.link(0, 1);
    let second = world.link(1, 2);
    pass(&mut world, 500, &[]);
    assert_eq!((count(&world, 1), count(&world, 2)), (1, 1), "told at the opening");
    present(&world, 2, "phone");
    pass(&mut world, 100, &[]);
    assert_eq!(count(&world, 0), 2, "and when it changes");
    pass(&mut world, 60_000, &[(0, "tv"), (2, "phone")]);
    assert_eq!([0, 1, 2].map(|replica| count(&world, replica)), [2; 3], "a lease is renewed for as long as it is held");
    world.pairs[second].frames_left = Some(0);
    pass(&mut world, 31_000, &[(0, "tv"), (2, "phone")]);
    assert_eq!([0, 1, 2].map(|replica| count(&world, replica)), [1; 3], "cut off, it lapses by itself");
    world.link(1, 2);
    pass(&mut world, 500, &[(0, "tv"), (2, "phone")]);
    assert_eq!([0, 1, 2].map(|replica| count(&world, replica)), [2; 3], "healed, all show the same again");
}

#[test]
fn two_seeks_that_cross_on_the_line_end_in_one_place() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2)]);
    world.replicas[1].skew_ms = 5_000;
    world.link(0, 1);
    pass(&mut world, 200, &[]);
    let anchor = Anchor { title: TitleId::new("film").unwrap(), position: Position::ZERO, rate: Speed::NORMAL, playing: true };
    let new =
        NewParty { id: party_id(), invite: Invite([1; 16]), profile: profile(), device: device("tv"), control: Control::Everyone, anchor };
    world.replicas[0].core.ephemeral().create_party(world.mono(), stamp(&world, 0), new).unwrap();
    pass(&mut world, 100, &[]);
    let join = |world: &World| {
        world.replicas[1].core.ephemeral().join_party(world.mono(), stamp(world, 1), &party_id(), &profile(), &device("phone"), None)
    };
    assert_eq!(join(&world).unwrap().viewers, 2);
    pass(&mut world, 100, &[]);
    seek(&world, 0, "tv", 1_000);
    seek(&world, 1, "phone", 2_000);
    pass(&mut world, 100, &[]);
    assert_eq!((position_ms(&world, 0), position_ms(&world, 1)), (2_000, 2_000));
    seek(&world, 0, "tv", 3_000);
    pass(&mut world, 100, &[]);
    assert_eq!((position_ms(&world, 0), position_ms(&world, 1)), (3_000, 3_000), "five seconds behind, and still the later command");
    let age = |replica: usize| world.replicas[replica].core.ephemeral().party(world.mono(), &party_id()).unwrap().anchor_age;
    assert!(age(1) <= age(0) && age(0) - age(1) <= Duration::from_millis(50), "{:?} {:?}", age(0), age(1));
}

#[test]
fn leases_pass_while_records_flow_without_holding_them_up() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2)]);
    world.link(0, 1);
    pass(&mut world, 200, &[]);
    present(&world, 0, "tv");
    for round in 0..40_u64 {
        world.fill(0, round * 50..round * 50 + 50, 1_000);
        present(&world, 0, &format!("d{}", round % 10));
        pass(&mut world, 20, &[]);
    }
    assert_eq!(count(&world, 1), 11);
    pass(&mut world, 1_000, &[]);
    assert_eq!(world.replicas[0].everything(), world.replicas[1].everything());
}

#[test]
fn a_device_is_sent_no_leases_and_may_send_none() {
    let mut world = World::new(vec![Replica::node(1), Replica::device(2)]);
    world.authority = Some(std::sync::Arc::new(super::world::Grants(vec!["ada"])));
    present(&world, 0, "tv");
    present(&world, 1, "own");
    let pair = world.link_device(1, 0);
    pass(&mut world, 300, &[]);
    world.record(1, "ada", "film", EventKind::Pause, 5_000);
    pass(&mut world, 300, &[]);
    assert!(world.pairs[pair].is_alive());
    assert_eq!((count(&world, 0), count(&world, 1)), (1, 1));
    let (now, mono) = (world.wall(0), world.mono());
    let core = &world.replicas[0].core;
    let sent = world.pairs[pair].links[1].handle_frame(now, mono, core, FrameType::Leases as u8, &[0]);
    assert!(matches!(sent, Err(LinkError::OutOfOrder { number: 0x81 })), "{sent:?}");
    let core = &world.replicas[1].core;
    let heard = world.pairs[pair].links[0].handle_frame(now, mono, core, FrameType::Leases as u8, &[0]);
    assert!(matches!(heard, Ok(Handled::Done)), "a device lets a node's leases be: {heard:?}");
}

#[test]
fn leases_that_cannot_be_read_end_the_link() {
    let mut world = World::new(vec![Replica::node(1), Replica::node(2)]);
    let pair = world.link(0, 1);
    pass(&mut world, 200, &[]);
    let (now, mono) = (world.wall(0), world.mono());
    let core = &world.replicas[0].core;
    let ended = world.pairs[pair].links[0].handle_frame(now, mono, core, FrameType::Leases as u8, &[0, 1, 200]);
    assert!(matches!(ended, Err(LinkError::Message { number: 0x81, .. })), "{ended:?}");
}
