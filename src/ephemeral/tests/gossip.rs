//! Several nodes that gossip: what one says all know, for as long as it is heard of.

use super::*;
use PresenceState::{Paused, Playing};

/// A line from one node to another, open.
pub(super) struct Line {
    cursor: GossipCursor,
}

impl Line {
    pub(super) fn open(from: &Node) -> Self {
        Self { cursor: from.ephemeral.gossip_cursor() }
    }

    /// Sends what is new, frame by frame; how many frames.
    pub(super) fn send(&mut self, from: &Node, to: &Node) -> usize {
        let mut frames = 0;
        while let Some(frame) = self.poll(from, to) {
            to.take(from, &frame).unwrap();
            frames += 1;
        }
        frames
    }

    pub(super) fn poll(&mut self, from: &Node, to: &Node) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        from.ephemeral.put_news(from.mono(), to.ephemeral.lock().me, &mut self.cursor, &mut frame).then_some(frame)
    }
}

impl Node {
    pub(super) fn take(&self, from: &Node, frame: &[u8]) -> Result<Joined, crate::progress::DecodeError> {
        let stamp_max = Hlc::from_wall(self.wall().shifted(60_000));
        let joined = self.ephemeral.join_news(self.mono(), self.tick(), stamp_max, from.ephemeral.lock().me, frame)?;
        self.clock.lock().unwrap().observe(joined.highest);
        Ok(joined)
    }
}

/// Lines between nodes, both ways each.
pub(super) struct Lines(Vec<(usize, usize, Line)>);

impl Lines {
    pub(super) fn new(nodes: &[Node], pairs: &[(usize, usize)]) -> Self {
        let both = pairs.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]);
        Self(both.map(|(from, to)| (from, to, Line::open(&nodes[from]))).collect())
    }

    /// Sends what is new from one to another, if there is a line.
    pub(super) fn send(&mut self, nodes: &[Node], from: usize, to: usize) {
        for (_, _, line) in self.0.iter_mut().filter(|line| (line.0, line.1) == (from, to)) {
            line.send(&nodes[from], &nodes[to]);
        }
    }

    /// Lets everything pass until nothing moves; how many frames that took.
    pub(super) fn settle(&mut self, nodes: &[Node]) -> usize {
        let mut all = 0;
        for _ in 0..100 {
            let frames: usize = self.0.iter_mut().map(|(from, to, line)| line.send(&nodes[*from], &nodes[*to])).sum();
            if frames == 0 {
                return all;
            }
            all += frames;
        }
        panic!("it goes round and round");
    }

    /// Lets time pass at the nodes, with gossip in between, second by second.
    fn pass(&mut self, nodes: &[Node], time: Duration) {
        for _ in 0..time.as_secs() {
            nodes.iter().for_each(|node| node.pass(secs(1)));
            self.settle(nodes);
        }
    }
}

fn nodes(count: u8) -> Vec<Node> {
    (1..=count).map(Node::new).collect()
}

#[test]
fn over_a_chain_everybody_knows_who_is_present() {
    let nodes = nodes(3);
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    nodes[0].present("ada", "tv", 1, Playing);
    nodes[2].present("ada", "phone", 1, Paused);
    lines.settle(&nodes);
    for node in &nodes {
        assert_eq!(node.devices("ada"), [("phone".to_owned(), Paused), ("tv".to_owned(), Playing)]);
    }
    let told = nodes[2].count(Topic::Profile(profile_id("ada")));
    for _ in 0..20 {
        nodes.iter().for_each(|node| node.pass(secs(5)));
        nodes[0].present("ada", "tv", 1, Playing);
        nodes[2].present("ada", "phone", 1, Paused);
        lines.settle(&nodes);
        assert_eq!(nodes[2].devices("ada").len(), 2, "the lease is renewed over the chain");
    }
    assert_eq!(told.load(Ordering::Relaxed), 0, "a renewal is no change");
    nodes[0].ephemeral.absent(nodes[0].mono(), nodes[0].tick(), &profile_id("ada"), &device_id("tv"), 1);
    lines.settle(&nodes);
    assert_eq!(nodes[2].devices("ada"), [("phone".to_owned(), Paused)]);
}

#[test]
fn an_idle_cluster_exchanges_a_lease_and_nothing_else() {
    let nodes = nodes(2);
    let mut line = Line::open(&nodes[0]);
    for device in 0..50 {
        nodes[0].present("ada", &format!("d{device}"), 1, Paused);
    }
    line.send(&nodes[0], &nodes[1]);
    nodes[0].pass(secs(10));
    for device in 0..50 {
        nodes[0].present("ada", &format!("d{device}"), 1, Paused);
    }
    let frame = line.poll(&nodes[0], &nodes[1]).unwrap();
    assert!(frame.len() <= 1 + 16 + 8 + 8 + 3, "{} bytes", frame.len());
    assert!(line.poll(&nodes[0], &nodes[1]).is_none());
}

#[test]
fn in_a_ring_nothing_goes_round() {
    let nodes = nodes(4);
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2), (2, 3), (3, 0)]);
    nodes[0].create("ada", Control::Everyone);
    lines.settle(&nodes);
    nodes[1].join("grace", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    nodes[0].seek("ada", 1, None).unwrap();
    let frames = lines.settle(&nodes);
    assert!(frames <= 8, "a change passes each line at most once: {frames}");
    assert_eq!(lines.settle(&nodes), 0);
}

#[test]
fn what_a_lost_node_said_lapses_with_its_lease() {
    let nodes = nodes(3);
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    nodes[0].present("ada", "tv", 1, Playing);
    nodes[0].start("s1", "family", "tv").unwrap();
    nodes[0].create("ada", Control::Host);
    lines.settle(&nodes);
    let told = nodes[2].count(Topic::Profile(profile_id("ada")));
    nodes[1].pass(secs(29));
    nodes[2].pass(secs(29));
    assert_eq!(nodes[2].devices("ada"), [("tv".to_owned(), Playing)]);
    nodes[1].pass(secs(2));
    nodes[2].pass(secs(2));
    for node in &nodes[1..] {
        assert_eq!(node.devices("ada"), []);
        assert_eq!((node.party().unwrap().viewers, node.host()), (0, None));
    }
    assert_eq!(told.load(Ordering::Relaxed), 1, "its watchers are told");
    for _ in 0..12 {
        nodes[1].pass(secs(30));
        nodes[2].pass(secs(30));
    }
    let left = EphemeralFigures { watches: 1, ..EphemeralFigures::default() };
    assert_eq!(nodes[2].ephemeral.figures(), left, "and it is forgotten");
}

#[test]
fn a_lease_that_comes_late_brings_back_what_it_stands_for() {
    let nodes = nodes(3);
    let mut first = Line::open(&nodes[0]);
    nodes[0].present("ada", "tv", 1, Playing);
    first.send(&nodes[0], &nodes[1]);
    nodes.iter().for_each(|node| node.pass(secs(25)));
    nodes[0].present("ada", "tv", 1, Playing);
    nodes.iter().for_each(|node| node.pass(secs(15)));
    assert_eq!(nodes[1].devices("ada"), []);
    // Whoever comes while it is hidden is told when it shows again.
    let mut second = Line::open(&nodes[1]);
    second.send(&nodes[1], &nodes[2]);
    first.send(&nodes[0], &nodes[1]);
    second.send(&nodes[1], &nodes[2]);
    assert_eq!(nodes[1].devices("ada").len(), 1);
    assert_eq!(nodes[2].devices("ada").len(), 1);
}

#[test]
fn a_node_started_anew_ends_what_it_said_before() {
    let mut nodes = nodes(3);
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    nodes[0].present("ada", "tv", 1, Playing);
    nodes[0].start("s1", "family", "tv").unwrap();
    nodes[1].create("bob", Control::Host);
    lines.settle(&nodes);
    nodes[0].join("ada", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    assert_eq!(nodes[2].party().unwrap().viewers, 2);
    nodes.iter().for_each(|node| node.pass(secs(1)));
    let elapsed = nodes[0].mono().since_start();
    nodes[0] = Node::new(1);
    *nodes[0].elapsed.lock().unwrap() = elapsed;
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    lines.settle(&nodes);
    for node in &nodes {
        assert_eq!(node.party().unwrap().viewers, 1, "nobody is connected to it");
        // The session's player may not have noticed: it has the time of a lease to be heard.
        assert_eq!(node.devices("ada"), [("tv".to_owned(), Paused)]);
    }
    nodes[0].renew("s1").unwrap();
    lines.pass(&nodes, secs(31));
    assert_eq!(nodes[0].ended("s1"), Some(EndReason::Expired));
    assert_eq!(nodes[2].devices("ada"), []);
    // Its counters begin anew; nobody who joins there is taken for somebody who left.
    nodes[0].create("bob", Control::Host);
    lines.settle(&nodes);
    nodes[0].join("eve", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    assert!(nodes[2].party().unwrap().members.contains(&profile_id("eve")));
}

#[test]
fn of_simultaneous_starts_the_earlier_stay() {
    let options = EphemeralOptions { streams_count_max: 2, ..EphemeralOptions::default() };
    let nodes = [1, 2, 3].map(|number| Node::with(number, 0, options));
    nodes[0].start("a1", "family", "tv").unwrap();
    nodes[1].pass(Duration::from_millis(5));
    nodes[1].start("b1", "family", "phone").unwrap();
    nodes[0].pass(Duration::from_millis(9));
    nodes[0].start("a2", "family", "laptop").unwrap();
    nodes[1].pass(Duration::from_millis(9));
    nodes[1].start("b2", "family", "tablet").unwrap();
    let told = nodes[1].count(Topic::Session(SessionId::new("b2").unwrap()));
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    lines.settle(&nodes);
    for node in &nodes {
        assert_eq!((node.ended("a1"), node.ended("b1")), (None, None));
        assert_eq!(node.ended("a2"), Some(EndReason::TooManyStreams));
        assert_eq!(node.ended("b2"), Some(EndReason::TooManyStreams));
        assert_eq!(node.start("c", "family", "watch"), Err(StartSessionError::TooManyStreams { limit: 2 }));
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert_eq!(nodes[1].renew("b2"), Err(SessionGone { reason: Some(EndReason::TooManyStreams) }));
}

/// Only who holds a session ends it; whoever held this one knew nothing of the other's.
#[test]
fn a_session_that_is_taken_over_may_be_one_too_many() {
    let options = EphemeralOptions { streams_count_max: 2, ..EphemeralOptions::default() };
    for asks_again in [true, false] {
        let nodes = [1, 2].map(|number| Node::with(number, if number == 1 { 8_000 } else { 0 }, options));
        nodes[0].start("a1", "family", "tv").unwrap();
        nodes[0].start("a2", "family", "laptop").unwrap();
        nodes[1].start("b1", "family", "phone").unwrap();
        Line::open(&nodes[0]).send(&nodes[0], &nodes[1]);
        if asks_again {
            assert_eq!(nodes[1].start("a2", "family", "laptop"), Err(StartSessionError::TooManyStreams { limit: 2 }));
        } else {
            assert_eq!(nodes[1].renew("a2"), Err(SessionGone { reason: Some(EndReason::TooManyStreams) }));
        }
        Lines::new(&nodes, &[(0, 1)]).settle(&nodes);
        for node in &nodes {
            assert_eq!(["a1", "a2", "b1"].map(|id| node.ended(id)), [None, Some(EndReason::TooManyStreams), None]);
        }
    }
}

#[test]
fn the_limit_is_exact_again_after_a_cut() {
    let options = EphemeralOptions { streams_count_max: 1, ..EphemeralOptions::default() };
    let nodes = [1, 2].map(|number| Node::with(number, 0, options));
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].start("a", "family", "tv").unwrap();
    lines.settle(&nodes);
    assert!(nodes[1].start("b", "family", "phone").is_err());
    // Cut: what the other says lapses, and each counts by itself.
    for _ in 0..4 {
        nodes[0].pass(secs(10));
        nodes[0].renew("a").unwrap();
        nodes[1].pass(secs(10));
    }
    nodes[1].start("b", "family", "phone").unwrap();
    Lines::new(&nodes, &[(0, 1)]).settle(&nodes);
    for node in &nodes {
        assert_eq!((node.ended("a"), node.ended("b")), (None, Some(EndReason::TooManyStreams)));
    }
}

#[test]
fn a_session_goes_on_at_another_node() {
    let nodes = nodes(2);
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].start("s", "family", "tv").unwrap();
    lines.settle(&nodes);
    nodes[1].renew("s").unwrap();
    lines.settle(&nodes);
    for _ in 0..4 {
        lines.pass(&nodes, secs(15));
        nodes[1].renew("s").unwrap();
    }
    assert_eq!(nodes[0].ended("s"), None, "the first node holds it no more, and does not end it");
    assert!(nodes[0].ephemeral.end_session(nodes[0].mono(), nodes[0].tick(), &SessionId::new("s").unwrap()));
    lines.settle(&nodes);
    assert_eq!(nodes[1].renew("s"), Err(SessionGone { reason: Some(EndReason::Ended) }));
}

#[test]
fn two_seeks_that_cross_end_with_everyone_in_one_place() {
    let nodes = nodes(3);
    let mut lines = Lines::new(&nodes, &[(0, 1), (1, 2)]);
    nodes[0].create("ada", Control::Everyone);
    lines.settle(&nodes);
    nodes[1].join("bob", Some(INVITE)).unwrap();
    nodes[2].join("eve", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    let told: Vec<_> = nodes.iter().map(|node| node.count(Topic::Party(party_id()))).collect();
    // Given at the same millisecond, before either is heard of.
    nodes[0].seek("ada", 100_000, Some(1)).unwrap();
    nodes[2].seek("eve", 200_000, Some(1)).unwrap();
    lines.settle(&nodes);
    let places: Vec<u64> = nodes.iter().map(Node::position_ms).collect();
    assert_eq!(places, [places[0]; 3]);
    assert_eq!(lines.settle(&nodes), 0, "and nobody answers");
    assert!(told.iter().all(|told| told.load(Ordering::Relaxed) <= 3), "{told:?}");
    // Whoever saw the outcome and moves on wins, also with a clock that is behind.
    nodes[1].seek("bob", 300_000, None).unwrap();
    lines.settle(&nodes);
    assert!(nodes.iter().all(|node| node.position_ms() == 300_000));
    // A command repeated at another node changes nothing.
    let (now, stamp) = (nodes[1].mono(), nodes[1].tick());
    nodes[1].ephemeral.join_party(now, stamp, &party_id(), &profile_id("eve"), &device_id("eve"), None).unwrap();
    nodes[1].seek("eve", 200_000, Some(1)).unwrap();
    lines.settle(&nodes);
    assert!(nodes.iter().all(|node| node.position_ms() == 300_000));
}

#[test]
fn clocks_that_differ_do_not_move_the_anchor() {
    let nodes = [Node::with(1, 5_000, EphemeralOptions::default()), Node::with(2, -5_000, EphemeralOptions::default())];
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].create("ada", Control::Everyone);
    lines.settle(&nodes);
    nodes[1].join("bob", Some(INVITE)).unwrap();
    nodes[0].seek("ada", 60_000, None).unwrap();
    nodes.iter().for_each(|node| node.pass(secs(7)));
    lines.settle(&nodes);
    nodes.iter().for_each(|node| node.pass(secs(3)));
    for node in &nodes {
        let party = node.party().unwrap();
        assert_eq!((party.anchor.unwrap().anchor.position.as_millis(), party.anchor_age), (60_000, secs(10)));
    }
    nodes[1].seek("bob", 1_000, None).unwrap();
    lines.settle(&nodes);
    assert_eq!(nodes[0].position_ms(), 1_000, "ten seconds behind, and still the later command");
}

#[test]
fn a_host_behind_a_cut_is_the_host_again_when_it_is_healed() {
    let nodes = nodes(2);
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].create("ada", Control::Host);
    lines.settle(&nodes);
    nodes[1].join("bob", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    let keep = |time| {
        for _ in 0..time {
            nodes.iter().for_each(|node| node.pass(secs(10)));
            nodes[0].join("ada", None).unwrap();
            nodes[1].join("bob", None).unwrap();
        }
    };
    keep(5);
    assert_eq!((nodes[0].host().as_deref(), nodes[1].host().as_deref()), (Some("ada"), Some("bob")));
    nodes[0].seek("ada", 1_000, None).unwrap();
    keep(1);
    nodes[1].seek("bob", 2_000, None).unwrap();
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    lines.settle(&nodes);
    for node in &nodes {
        assert_eq!((node.host().as_deref(), node.position_ms(), node.party().unwrap().viewers), (Some("ada"), 2_000, 2));
    }
    assert!(nodes[0].leave("ada"));
    lines.settle(&nodes);
    assert!(nodes.iter().all(|node| node.host().as_deref() == Some("bob")));
}

#[test]
fn who_leaves_at_one_node_and_joins_at_another_is_in() {
    let nodes = nodes(2);
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].create("ada", Control::Host);
    nodes[0].join("bob", Some(INVITE)).unwrap();
    lines.settle(&nodes);
    assert!(nodes[0].leave("bob"));
    nodes[1].join("bob", None).unwrap();
    lines.settle(&nodes);
    for node in &nodes {
        assert_eq!(node.party().unwrap().members, [profile_id("ada"), profile_id("bob")]);
    }
}

#[test]
fn what_is_stamped_far_ahead_is_refused_and_the_rest_is_taken() {
    let nodes = [Node::new(1), Node::with(2, 120_000, EphemeralOptions::default()), Node::new(3)];
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[1].present("ada", "tv", 1, Playing);
    nodes[0].present("ada", "phone", 1, Playing);
    lines.settle(&nodes);
    assert_eq!(nodes[0].devices("ada"), [("phone".to_owned(), Playing)]);
    assert_eq!(nodes[1].devices("ada").len(), 2, "a stamp of the past is no danger");
    let mut line = Line::open(&nodes[1]);
    let frame = line.poll(&nodes[1], &nodes[2]).unwrap();
    let joined = nodes[2].take(&nodes[1], &frame).unwrap();
    assert_eq!(joined.refused, 2, "its lease, and what it says; what it passes on is taken");
    assert_eq!(nodes[2].devices("ada").len(), 1);
}

#[test]
fn everything_is_told_in_frames_with_a_bound() {
    let nodes = nodes(2);
    for profile in 0..3_000 {
        nodes[0].present(&format!("profile-{profile}"), "00000000-0000-4000-8000-000000000000", 1, Playing);
    }
    let mut line = Line::open(&nodes[0]);
    let mut frames = 0;
    while let Some(frame) = line.poll(&nodes[0], &nodes[1]) {
        assert!(frame.len() <= crate::limits::LEASES_FRAME_BYTES, "{} bytes", frame.len());
        nodes[1].take(&nodes[0], &frame).unwrap();
        frames += 1;
    }
    assert!(frames > 1);
    assert_eq!(nodes[1].ephemeral.figures().devices, 3_000);
}

// Found over real regions: a player was heard once at the other node, a cut came, and what lapsed there ended the session that had been
// renewed here all the time.
#[test]
fn a_session_that_is_heard_at_one_node_does_not_end_because_it_lapsed_at_another() {
    for told in [false, true] {
        let nodes = nodes(2);
        let mut lines = Lines::new(&nodes, &[(0, 1)]);
        nodes[0].start("a", "family", "tv").unwrap();
        lines.settle(&nodes);
        nodes[1].renew("a").unwrap();
        if told {
            lines.settle(&nodes);
        }
        let ended = nodes[0].count(Topic::Session(SessionId::new("a").unwrap()));
        for _ in 0..8 {
            nodes[0].renew("a").unwrap();
            nodes.iter().for_each(|node| node.pass(secs(5)));
        }
        assert_eq!(nodes[1].ended("a"), Some(EndReason::Expired));
        let mut lines = Lines::new(&nodes, &[(0, 1)]);
        lines.settle(&nodes);
        assert!(nodes.iter().all(|node| node.ended("a").is_none()));
        assert_eq!(ended.load(Ordering::Relaxed), 0, "and its player is told nothing");
        nodes[0].renew("a").unwrap();
        lines.pass(&nodes, secs(31));
        assert!(nodes.iter().all(|node| node.ended("a") == Some(EndReason::Expired)), "silent, it lapses everywhere");
    }
}

#[test]
fn what_a_node_said_before_it_was_lost_takes_no_stream_when_it_is_started_again() {
    let options = EphemeralOptions { streams_count_max: 1, ..EphemeralOptions::default() };
    let mut nodes = [1, 2].map(|number| Node::with(number, 0, options));
    let mut lines = Lines::new(&nodes, &[(0, 1)]);
    nodes[0].start("lost", "family", "tv").unwrap();
    nodes[0].present("ada", "tablet", 1, Paused);
    lines.settle(&nodes);
    nodes.iter().for_each(|node| node.pass(secs(40)));
    nodes[1].start("new", "family", "phone").unwrap();
    let elapsed = nodes[0].mono().since_start();
    nodes[0] = Node::with(1, 0, options);
    *nodes[0].elapsed.lock().unwrap() = elapsed;
    nodes[0].present("ada", "laptop", 1, Paused);
    Lines::new(&nodes, &[(0, 1)]).settle(&nodes);
    for node in &nodes {
        assert_eq!(node.ended("new"), None);
        assert_eq!(node.devices("ada"), [("laptop".to_owned(), Paused), ("phone".to_owned(), Paused)]);
    }
}
