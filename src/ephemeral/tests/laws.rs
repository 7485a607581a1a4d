//! Laws: joins commute, associate and repeat; whatever happened in whichever order, nodes that have heard of each other show the same.

use proptest::prelude::*;

use super::gossip::Lines;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Present(usize, u8, u8),
    Absent(usize, u8),
    Start(usize, u8),
    Renew(usize, u8),
    End(usize, u8),
    Join(usize, u8),
    Leave(usize, u8),
    Seek(usize, u8, u64),
    Control(usize, u8, bool),
    Gossip(usize, usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (node, who) = (0..3_usize, 0..4_u8);
    prop_oneof![
        (node.clone(), who.clone(), 0..3_u8).prop_map(|(node, who, state)| Step::Present(node, who, state)),
        (node.clone(), who.clone()).prop_map(|(node, who)| Step::Absent(node, who)),
        (node.clone(), 0..8_u8).prop_map(|(node, id)| Step::Start(node, id)),
        (node.clone(), 0..8_u8).prop_map(|(node, id)| Step::Renew(node, id)),
        (node.clone(), 0..8_u8).prop_map(|(node, id)| Step::End(node, id)),
        (node.clone(), who.clone()).prop_map(|(node, who)| Step::Join(node, who)),
        (node.clone(), who.clone()).prop_map(|(node, who)| Step::Leave(node, who)),
        (node.clone(), who.clone(), 0..1_000_u64).prop_map(|(node, who, to)| Step::Seek(node, who, to)),
        (node.clone(), who, any::<bool>()).prop_map(|(node, who, all)| Step::Control(node, who, all)),
        (node.clone(), node).prop_map(|(from, to)| Step::Gossip(from, to)),
        (0..4_000_u64).prop_map(Step::Pass),
    ]
}

fn take(nodes: &[Node], lines: Option<&mut Lines>, step: Step) {
    let name = |who: u8| format!("p{who}");
    match step {
        Step::Present(node, who, state) => {
            let state = [PresenceState::Background, PresenceState::Paused, PresenceState::Playing][usize::from(state)];
            nodes[node].present("ada", &name(who), 1, state);
        }
        Step::Absent(node, who) => {
            let node = &nodes[node];
            node.ephemeral.absent(node.mono(), node.tick(), &profile_id("ada"), &device_id(name(who)), 1);
        }
        Step::Start(node, id) => drop(nodes[node].start(&format!("s{id}"), "family", &format!("d{id}"))),
        Step::Renew(node, id) => drop(nodes[node].renew(&format!("s{id}"))),
        Step::End(node, id) => {
            let node = &nodes[node];
            node.ephemeral.end_session(node.mono(), node.tick(), &SessionId::new(format!("s{id}")).unwrap());
        }
        Step::Join(node, who) => drop(nodes[node].join(&name(who), Some(INVITE))),
        Step::Leave(node, who) => _ = nodes[node].leave(&name(who)),
        Step::Seek(node, who, to) => drop(nodes[node].seek(&name(who), to, Some(to))),
        Step::Control(node, who, all) => {
            let control = if all { Control::Everyone } else { Control::Host };
            let node = &nodes[node];
            drop(node.ephemeral.set_party_control(node.mono(), node.tick(), &party_id(), &profile_id(&name(who)), control));
        }
        Step::Gossip(from, to) if let Some(lines) = lines => lines.send(nodes, from, to),
        Step::Gossip(from, to) if from != to => _ = super::gossip::Line::open(&nodes[from]).send(&nodes[from], &nodes[to]),
        Step::Gossip(..) => {}
        Step::Pass(ms) => nodes.iter().for_each(|node| node.pass(Duration::from_millis(ms))),
    }
}

/// What a node shows of all of it; the age of the anchor aside, which is a matter of milliseconds on the way.
fn shown(node: &Node) -> impl PartialEq + std::fmt::Debug {
    let sessions: Vec<_> = (0..8).map(|id| node.ephemeral.session(&SessionId::new(format!("s{id}")).unwrap())).collect();
    let party = node.party().map(|party| PartyView { anchor_age: Duration::ZERO, ..party });
    (node.devices("ada"), sessions, party)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nodes_that_have_heard_of_each_other_show_the_same(steps in prop::collection::vec(step(), 1..80), skews in prop::array::uniform3(-9_000..9_000_i64)) {
        let options = EphemeralOptions { streams_count_max: 3, ..EphemeralOptions::default() };
        let nodes: Vec<Node> = (1..=3).zip(skews).map(|(number, skew)| Node::with(number, skew, options)).collect();
        nodes[0].create("p0", Control::Everyone);
        for step in steps {
            take(&nodes, None, step);
        }
        let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2), (2, 0)]);
        lines.settle(&nodes);
        let first = shown(&nodes[0]);
        for node in &nodes[1..] {
            let other = shown(node);
            prop_assert!(first == other, "{first:?}\n{other:?}");
        }
        // Heard again, from the beginning and by another way, nothing changes.
        let mut again = Lines::new(&nodes, &[(2, 0), (0, 1)]);
        again.settle(&nodes);
        prop_assert!(first == shown(&nodes[0]) && first == shown(&nodes[2]));
        let streams = (0..8).filter(|id| {
            let id = SessionId::new(format!("s{id}")).unwrap();
            nodes[0].ephemeral.session(&id).is_some_and(|session| session.ended.is_none())
        });
        prop_assert!(streams.count() <= 3, "the limit is exact");
    }

    #[test]
    fn what_lines_carry_is_enough(steps in prop::collection::vec(step(), 1..80), skews in prop::array::uniform3(-9_000..9_000_i64)) {
        let nodes: Vec<Node> = (1..=3).zip(skews).map(|(number, skew)| Node::with(number, skew, EphemeralOptions::default())).collect();
        let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
        nodes[0].create("p0", Control::Everyone);
        for step in steps {
            // Lines that carry nothing for the time of a lease break, and are opened anew.
            let step = if let Step::Pass(ms) = step { Step::Pass(ms / 20) } else { step };
            take(&nodes, Some(&mut lines), step);
        }
        lines.settle(&nodes);
        let first = shown(&nodes[0]);
        for node in &nodes[1..] {
            let other = shown(node);
            prop_assert!(first == other, "{first:?}\n{other:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_frame_do_no_harm(steps in prop::collection::vec(step(), 1..30), cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let nodes: Vec<Node> = (1..=3).map(Node::new).collect();
        nodes[0].create("p0", Control::Everyone);
        for step in steps {
            take(&nodes, None, step);
        }
        let mut frame = super::gossip::Line::open(&nodes[0]).poll(&nodes[0], &nodes[1]).unwrap();
        let _ = nodes[1].take(&nodes[0], &junk);
        let _ = nodes[1].take(&nodes[0], &frame[..cut.index(frame.len())]);
        for (at, byte) in flips {
            let at = at.index(frame.len());
            frame[at] ^= byte;
        }
        let _ = nodes[1].take(&nodes[0], &frame);
        nodes[1].pass(secs(1));
        nodes[1].present("ada", "tv", 1, PresenceState::Playing);
        prop_assert!(nodes[1].devices("ada").iter().any(|(device, _)| device == "tv"));
    }
}
