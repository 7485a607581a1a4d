//! Parties at one node.

use super::*;

#[test]
fn only_the_invitation_lets_one_in() {
    let node = Node::new(1);
    node.create("ada", Control::Everyone);
    assert_eq!(node.join("grace", None), Err(PartyError::NotInvited));
    assert_eq!(node.join("grace", Some(Invite([8; 16]))), Err(PartyError::NotInvited));
    assert_eq!(node.seek("grace", 5, None), Err(PartyError::NotInvited));
    let party = node.join("grace", Some(INVITE)).unwrap();
    assert_eq!((party.viewers, party.members), (2, vec![profile_id("ada"), profile_id("grace")]));
    assert_eq!(Invite::parse(&INVITE.to_string()), Some(INVITE));
    assert_eq!(Invite::parse("xyz"), None);
    assert_eq!(format!("{INVITE:?}"), "Invite(..)", "it does not get into logs");
}

#[test]
fn when_the_host_leaves_the_longest_member_takes_over() {
    let node = Node::new(1);
    node.create("ada", Control::Host);
    for profile in ["zoe", "bob", "eve"] {
        node.join(profile, Some(INVITE)).unwrap();
    }
    assert_eq!(node.seek("zoe", 1_000, None), Err(PartyError::NotHost));
    assert!(node.leave("ada"));
    assert_eq!(node.host().as_deref(), Some("zoe"));
    node.seek("zoe", 1_000, None).unwrap();
    // A host who says nothing any more is a host no longer, and comes back at the end of the row, without an invitation.
    for _ in 0..4 {
        node.pass(secs(10));
        for profile in ["bob", "eve"] {
            node.join(profile, None).unwrap();
        }
    }
    assert_eq!(node.host().as_deref(), Some("bob"));
    node.join("zoe", None).unwrap();
    assert_eq!(node.host().as_deref(), Some("bob"));
    assert_eq!(node.join("ada", None), Err(PartyError::NotInvited), "who left needs an invitation again");
}

#[test]
fn a_command_repeated_does_not_undo_a_later_one() {
    let node = Node::new(1);
    node.create("ada", Control::Everyone);
    node.join("grace", Some(INVITE)).unwrap();
    node.seek("ada", 1_000, Some(1)).unwrap();
    node.seek("grace", 2_000, Some(1)).unwrap();
    let repeated = node.seek("ada", 1_000, Some(1)).unwrap();
    assert_eq!(repeated.anchor.unwrap().anchor.position.as_millis(), 2_000);
    node.seek("ada", 1_000, Some(2)).unwrap();
    assert_eq!(node.position_ms(), 1_000);
}

#[test]
fn a_late_joiner_finds_the_anchor_and_its_age() {
    let node = Node::new(1);
    node.create("ada", Control::Host);
    node.seek("ada", 60_000, None).unwrap();
    node.pass(secs(12));
    let party = node.join("grace", Some(INVITE)).unwrap();
    assert_eq!(party.anchor.unwrap().anchor.position.as_millis(), 60_000);
    assert_eq!(party.anchor_age, secs(12));
}

#[test]
fn only_the_host_says_who_steers() {
    let node = Node::new(1);
    node.create("ada", Control::Host);
    node.join("grace", Some(INVITE)).unwrap();
    let set =
        |profile: &str| node.ephemeral.set_party_control(node.mono(), node.tick(), &party_id(), &profile_id(profile), Control::Everyone);
    assert_eq!(set("grace"), Err(PartyError::NotHost));
    assert_eq!(set("ada").unwrap().control, Control::Everyone);
    node.seek("grace", 5, None).unwrap();
}

#[test]
fn ten_thousand_viewers_are_counted_and_told_of_seldom() {
    let node = Node::new(1);
    node.create("ada", Control::Everyone);
    let told = node.count(Topic::Party(party_id()));
    for viewer in 1..crate::limits::VIEWERS_PER_PARTY_COUNT_MAX {
        node.join(&format!("p{viewer}"), Some(INVITE)).unwrap();
    }
    assert_eq!(told.load(Ordering::Relaxed), 0, "soon");
    node.pass(secs(1));
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let party = node.party().unwrap();
    assert_eq!(party.viewers as usize, crate::limits::VIEWERS_PER_PARTY_COUNT_MAX);
    assert_eq!(party.members.len(), crate::limits::MEMBERS_PER_PARTY_COUNT_MAX, "further ones are counted, not named");
    assert_eq!(node.join("more", Some(INVITE)), Err(PartyError::Full { what: "viewers of this party" }));
    node.seek("ada", 1_000, None).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 2, "a command is told at once");
}

#[test]
fn a_party_without_viewers_is_over() {
    let node = Node::new(1);
    let told = node.count(Topic::Party(party_id()));
    node.create("ada", Control::Host);
    for _ in 0..12 {
        node.pass(secs(30));
    }
    assert_eq!(node.party(), None);
    assert_eq!(node.join("ada", Some(INVITE)), Err(PartyError::NotInvited));
    assert!(told.load(Ordering::Relaxed) >= 3, "made, left, over");
    assert_eq!(node.ephemeral.figures(), EphemeralFigures { watches: 1, ..EphemeralFigures::default() }, "but for who watches");
}

#[test]
fn a_party_id_is_made_once() {
    let node = Node::new(1);
    node.create("ada", Control::Host);
    assert_eq!(node.create("ada", Control::Host).viewers, 1, "asked again");
    let (profile, device) = (profile_id("eve"), device_id("eve"));
    let new = NewParty { id: party_id(), invite: Invite([9; 16]), profile, device, control: Control::Host, anchor: anchor(0) };
    assert_eq!(node.ephemeral.create_party(node.mono(), node.tick(), new), Err(PartyError::Taken));
    let far = crate::limits::POSITION_MS_MAX + 1;
    assert_eq!(node.seek("ada", far, None), Err(PartyError::Position { position_ms: far }));
}

#[test]
fn commands_that_follow_each_other_closely_are_told_together() {
    let node = Node::new(1);
    node.create("ada", Control::Host);
    let told = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = std::sync::Arc::clone(&told);
    let notify = move |_: &EphemeralChange| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    node.ephemeral.watch(Topic::Party(party_id()), std::sync::Arc::new(notify));
    node.pass(secs(1));
    let before = told.load(Ordering::Relaxed);
    for second in 1..=100 {
        node.seek("ada", second * 1_000, None).unwrap();
    }
    assert_eq!(told.load(Ordering::Relaxed) - before, 1, "the first at once");
    assert_eq!(node.position_ms(), 100_000, "and all of them count at once");
    node.pass(secs(1));
    assert_eq!(told.load(Ordering::Relaxed) - before, 2, "then the last");
}
