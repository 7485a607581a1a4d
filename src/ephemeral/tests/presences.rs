//! Presence at one node.

use super::*;
use PresenceState::{Background, Paused, Playing};

#[test]
fn a_device_is_present_for_as_long_as_its_lease_is_renewed() {
    let node = Node::new(1);
    node.present("ada", "tv", 1, Playing);
    for _ in 0..6 {
        node.pass(secs(10));
        node.present("ada", "tv", 1, Playing);
    }
    assert_eq!(node.devices("ada"), [("tv".to_owned(), Playing)]);
    node.pass(secs(29));
    assert_eq!(node.devices("ada").len(), 1);
    node.pass(secs(1));
    assert_eq!(node.devices("ada"), []);
}

#[test]
fn the_liveliest_connection_of_a_device_counts() {
    let node = Node::new(1);
    node.present("ada", "laptop", 1, Background);
    node.present("ada", "laptop", 2, Playing);
    assert_eq!(node.devices("ada"), [("laptop".to_owned(), Playing)]);
    node.present("ada", "laptop", 2, Paused);
    assert_eq!(node.devices("ada"), [("laptop".to_owned(), Paused)]);
    node.ephemeral.absent(node.mono(), node.tick(), &profile_id("ada"), &device_id("laptop"), 2);
    assert_eq!(node.devices("ada"), [("laptop".to_owned(), Background)]);
    node.ephemeral.absent(node.mono(), node.tick(), &profile_id("ada"), &device_id("laptop"), 1);
    assert_eq!(node.devices("ada"), []);
}

#[test]
fn watchers_hear_of_changes_and_not_of_renewals() {
    let node = Node::new(1);
    let told = node.count(Topic::Profile(profile_id("ada")));
    let others = node.count(Topic::Profile(profile_id("grace")));
    let news = node.count(Topic::Peers);
    let id = node.ephemeral.watch(Topic::Profile(profile_id("ada")), Arc::new(|_| panic!("unwatched")));
    node.ephemeral.unwatch(id);
    node.present("ada", "tv", 1, Playing);
    let first = news.load(Ordering::Relaxed);
    for _ in 0..3 {
        node.present("ada", "tv", 1, Playing);
    }
    assert_eq!((told.load(Ordering::Relaxed), others.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(news.load(Ordering::Relaxed), first, "a renewal is not gossiped");
    node.pass(secs(30));
    assert_eq!(told.load(Ordering::Relaxed), 2, "it has gone");
}

#[test]
fn an_erased_profile_is_not_present() {
    let node = Node::new(1);
    node.present("ada", "tv", 1, Playing);
    node.start("s1", "account", "phone").unwrap();
    node.create("ada", Control::Host);
    node.ephemeral.forget_profile(node.tick(), &profile_id("ada"));
    assert_eq!(node.devices("ada"), []);
    assert_eq!(node.ended("s1"), Some(EndReason::Erased));
    let party = node.party().unwrap();
    assert_eq!((party.viewers, party.members.len()), (0, 0));
}

#[test]
fn the_table_of_a_profile_has_a_bound_and_nothing_is_left_when_all_has_lapsed() {
    let node = Node::new(1);
    for device in 0..crate::limits::DEVICES_PER_PROFILE_COUNT_MAX {
        node.present("ada", &format!("d{device}"), 1, Paused);
    }
    let who = Presence { profile: profile_id("ada"), device: device_id("more"), connection: 1, state: Paused, title: None };
    assert_eq!(node.ephemeral.present(node.mono(), node.tick(), &who), Err(EphemeralError::Full { what: "devices" }));
    for _ in 0..10 {
        node.pass(secs(30));
    }
    assert_eq!(node.ephemeral.figures(), EphemeralFigures::default());
    node.ephemeral.present(node.mono(), node.tick(), &who).unwrap();
}
