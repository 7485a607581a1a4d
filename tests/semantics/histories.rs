//! Random evenings over several nodes, held against the model.
//!
//! Devices with clocks of their own report to three nodes whose clocks differ; reports come late, twice, in queues and at other nodes; changes
//! travel between the nodes as deltas or as states, lost, repeated and out of order; profiles are erased and titles hidden. At any moment, every
//! node must answer what the model answers from the changes that the node has seen, and no resume point may ever have gone back.

use std::collections::{BTreeMap, BTreeSet};

use leftoff::progress::{EventKind, PlaybackEvent, Policy, Profile, ProfileId, ResumePoint, TitleId};
use leftoff::time::{Hlc, WallTime};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::Model;
use crate::node::{Change, EVENING, Node};

const NODES: usize = 3;
const NODE_SKEWS_MS: [i64; NODES] = [0, 27_000, -21_000];
const DEVICES: [&str; 4] = ["tv", "phone", "6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f", "browser"];
const DEVICE_SKEWS_MS: [i64; 4] = [0, 86_400_000, -86_400_000, 17_000];
const TITLES: [&str; 3] = ["film", "episode 1", "episode 2"];

#[derive(Clone, Debug)]
enum Movement {
    Advance,
    Stay,
    Step(i64),
    Jump(u64),
}

#[derive(Clone, Copy, Debug)]
enum Timing {
    Unsaid,
    Live,
    Late(u64),
    LateBySentAt(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Report { who: Who, kind: EventKind, movement: Movement, timing: Timing, flags: u8 },
    Watch { who: Who, minutes: u64 },
    Offline { who: Who, kinds: Vec<(EventKind, i64)>, order: Vec<Index> },
    Retry { who: Who },
    Hide { node: usize, title: usize },
    Erase { node: usize },
    Restart { node: usize },
    PassDeltas { from: usize, to: usize, picks: Vec<Index> },
    PassStates { from: usize, to: usize, titles: u8 },
}

#[derive(Clone, Copy, Debug)]
struct Who {
    node: usize,
    device: usize,
    title: usize,
}

fn who() -> impl Strategy<Value = Who> {
    (0..NODES, 0..DEVICES.len(), 0..TITLES.len()).prop_map(|(node, device, title)| Who { node, device, title })
}

fn kind() -> impl Strategy<Value = EventKind> {
    use EventKind::{End, Heartbeat, Pause, Play, Seek, Stop};
    prop_oneof![3 => Just(Play), 6 => Just(Heartbeat), 2 => Just(Pause), 4 => Just(Seek), 1 => Just(Stop), 1 => Just(End)]
}

fn movement() -> impl Strategy<Value = Movement> {
    prop_oneof![
        4 => Just(Movement::Advance),
        2 => Just(Movement::Stay),
        2 => (-60..60_i64).prop_map(Movement::Step),
        3 => (0..7_200u64).prop_map(Movement::Jump),
        1 => (0..100u64).prop_map(Movement::Jump),
    ]
}

fn timing() -> impl Strategy<Value = Timing> {
    prop_oneof![
        2 => Just(Timing::Unsaid),
        4 => Just(Timing::Live),
        1 => (0..120u64).prop_map(Timing::Late),
        1 => (0..14_400u64).prop_map(Timing::Late),
        1 => (0..14_400u64).prop_map(Timing::LateBySentAt),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..900u64).prop_map(Step::Wait),
        4 => (0..12u64).prop_map(Step::Wait),
        30 => (who(), kind(), movement(), timing(), any::<u8>())
            .prop_map(|(who, kind, movement, timing, flags)| Step::Report { who, kind, movement, timing, flags }),
        4 => (who(), 1..25u64).prop_map(|(who, minutes)| Step::Watch { who, minutes }),
        3 => (who(), vec((kind(), -600..600_i64), 1..20), vec(any::<Index>(), 0..4))
            .prop_map(|(who, kinds, order)| Step::Offline { who, kinds, order }),
        3 => who().prop_map(|who| Step::Retry { who }),
        1 => (0..NODES, 0..TITLES.len()).prop_map(|(node, title)| Step::Hide { node, title }),
        1 => (0..NODES).prop_map(|node| Step::Erase { node }),
        1 => (0..NODES).prop_map(|node| Step::Restart { node }),
        6 => (0..NODES, 0..NODES, vec(any::<Index>(), 0..12)).prop_map(|(from, to, picks)| Step::PassDeltas { from, to, picks }),
        4 => (0..NODES, 0..NODES, any::<u8>()).prop_map(|(from, to, titles)| Step::PassStates { from, to, titles }),
    ]
}

/// A node, and which of all changes it has seen.
struct Site {
    node: Node,
    seen: BTreeSet<usize>,
    shown: BTreeMap<TitleId, (Hlc, u64, u64)>,
}

struct World {
    now: WallTime,
    changes: Vec<Change>,
    sites: Vec<Site>,
    // Where each device stands in each title, since when, and the batch it sent last.
    stands: BTreeMap<(usize, usize), (u64, WallTime)>,
    sent: BTreeMap<usize, (Option<u64>, Vec<PlaybackEvent>)>,
}

impl World {
    fn new() -> Self {
        let site = |_| Site { node: Node::new(), seen: BTreeSet::new(), shown: BTreeMap::new() };
        let sites = (0..NODES).map(site).collect();
        Self { now: EVENING, changes: Vec::new(), sites, stands: BTreeMap::new(), sent: BTreeMap::new() }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Wait(seconds) => self.wait(*seconds),
            Step::Report { who, kind, movement, timing, flags } => self.report(*who, *kind, movement, *timing, *flags),
            Step::Watch { who, minutes } => {
                for _ in 0..minutes * 3 {
                    self.wait(20);
                    self.report(*who, EventKind::Heartbeat, &Movement::Advance, Timing::Live, 0);
                }
            }
            Step::Offline { who, kinds, order } => self.report_queue(*who, kinds, order),
            Step::Retry { who } => {
                if let Some((sent_at, events)) = self.sent.get(&who.device).cloned() {
                    self.record(who.node, sent_at, &events);
                }
            }
            Step::Hide { node, title } => {
                self.at(*node).hide(TITLES[*title]);
                self.collect(*node);
            }
            Step::Erase { node } => {
                self.at(*node).erase();
                self.collect(*node);
            }
            Step::Restart { node } => self.at(*node).forget_playheads(),
            Step::PassDeltas { from, to, picks } => {
                let known: Vec<usize> = self.sites[*from].seen.iter().copied().collect();
                for pick in picks.iter().filter(|_| !known.is_empty()) {
                    self.deliver(*to, *pick.get(&known));
                }
            }
            Step::PassStates { from, to, titles } => self.pass_states(*from, *to, *titles),
        }
        self.nothing_went_back();
    }

    fn at(&mut self, node: usize) -> &mut Node {
        let now = self.now.shifted(NODE_SKEWS_MS[node]);
        let node = &mut self.sites[node].node;
        node.now = now;
        node
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.shifted(i64::try_from(seconds).unwrap() * 1_000);
    }

    fn report(&mut self, who: Who, kind: EventKind, movement: &Movement, timing: Timing, flags: u8) {
        let (position_ms, since) = self.stands.get(&(who.device, who.title)).copied().unwrap_or((0, self.now));
        let position_ms = match movement {
            Movement::Advance => position_ms + u64::try_from(self.now.millis_since(since)).unwrap().min(120_000),
            Movement::Stay => position_ms,
            Movement::Step(seconds) => position_ms.saturating_add_signed(seconds * 1_000),
            Movement::Jump(to_s) => to_s * 1_000,
        };
        self.stands.insert((who.device, who.title), (position_ms, self.now));
        let mut event = Self::event(who, kind, position_ms);
        let clock = self.now.shifted(DEVICE_SKEWS_MS[who.device]).as_millis();
        let (at_ms, sent_at) = match timing {
            Timing::Unsaid => (None, None),
            Timing::Live => (Some(clock), None),
            Timing::Late(seconds) => (Some(clock - seconds * 1_000), None),
            Timing::LateBySentAt(seconds) => (Some(clock - seconds * 1_000), Some(clock)),
        };
        event.at_ms = at_ms;
        event.restart = kind == EventKind::Play && flags & 7 == 7;
        event.speed = (flags & 0x18 == 0x18).then_some(1.5);
        event.duration_ms = (flags & 0x60 == 0x60).then_some(5_400_000 + u64::from(flags & 1) * 1_800_000);
        if DEVICES[who.device] == "browser" {
            // A client that runs the rules itself: a move opens a place by its own stamp, everything else counts in the newest it knows.
            let newest = self.sites[who.node].node.registers.get(&TitleId::new(TITLES[who.title]).unwrap());
            let known = newest.map_or(0, |register| register.version_and_high().0.as_u64());
            event.version = Some(if kind == EventKind::Seek { known.max(self.now.as_millis() << 10) } else { known });
            event.stepped_back = Some(flags & 2 == 2);
        }
        self.record(who.node, sent_at, &[event]);
    }

    fn report_queue(&mut self, who: Who, kinds: &[(EventKind, i64)], order: &[Index]) {
        let clock = self.now.shifted(DEVICE_SKEWS_MS[who.device]).as_millis();
        let (mut position_ms, _) = self.stands.get(&(who.device, who.title)).copied().unwrap_or((0, self.now));
        let mut events = Vec::new();
        for (index, (kind, moved_s)) in kinds.iter().enumerate() {
            position_ms = if *kind == EventKind::Seek { position_ms.saturating_add_signed(moved_s * 1_000) } else { position_ms + 30_000 };
            let at_ms = clock - (kinds.len() - index) as u64 * 30_000;
            events.push(PlaybackEvent { at_ms: Some(at_ms), ..Self::event(who, *kind, position_ms) });
        }
        for pair in order.chunks_exact(2) {
            events.swap(pair[0].index(kinds.len()), pair[1].index(kinds.len()));
        }
        self.stands.insert((who.device, who.title), (position_ms, self.now));
        self.record(who.node, Some(clock), &events);
    }

    fn event(who: Who, kind: EventKind, position_ms: u64) -> PlaybackEvent {
        let title = TITLES[who.title];
        let series_id = title.starts_with("episode").then(|| "show".to_owned());
        PlaybackEvent { series_id, ..PlaybackEvent::new("ann", title, DEVICES[who.device], kind, position_ms) }
    }

    fn record(&mut self, node: usize, sent_at: Option<u64>, events: &[PlaybackEvent]) {
        if let Some(first) = events.first() {
            let device = DEVICES.iter().position(|device| *device == first.device_id).unwrap();
            self.sent.insert(device, (sent_at, events.to_vec()));
        }
        self.at(node).record(sent_at, events);
        self.collect(node);
    }

    // What a node has made becomes part of all changes.
    fn collect(&mut self, node: usize) {
        let site = &mut self.sites[node];
        for change in site.node.made.drain(..) {
            site.seen.insert(self.changes.len());
            self.changes.push(change);
        }
    }

    fn deliver(&mut self, to: usize, change: usize) {
        self.sites[to].node.join(&self.changes[change]);
        self.sites[to].seen.insert(change);
    }

    fn pass_states(&mut self, from: usize, to: usize, titles: u8) {
        if from == to {
            return;
        }
        let source = &self.sites[from];
        let mut passed: Vec<Change> = Vec::new();
        let mut of = BTreeSet::new();
        for (index, title) in TITLES.iter().enumerate().filter(|(index, _)| titles >> index & 1 == 1) {
            let title = TitleId::new(title).unwrap();
            let Some(register) = source.node.registers.get(&title) else { continue };
            passed.push(Change::Delta(title, register.clone()));
            of.insert(index);
        }
        let with_tombstone = titles & 0x80 == 0x80 && source.node.erased > Hlc::ZERO;
        if with_tombstone {
            passed.push(Change::Erased(source.node.erased));
        }
        let carried = |index: &&usize| match &self.changes[**index] {
            Change::Delta(title, _) => of.iter().any(|of| TITLES[*of] == title.as_str()),
            Change::Erased(_) => with_tombstone,
        };
        let seen: Vec<usize> = source.seen.iter().filter(carried).copied().collect();
        // Twice, which must be once.
        for change in passed.iter().chain(passed.iter().rev()) {
            self.sites[to].node.join(change);
        }
        self.sites[to].seen.extend(seen);
    }

    /// The guarantee: at one node, within a register's life, `(version, high)` never decreases.
    fn nothing_went_back(&mut self) {
        for site in &mut self.sites {
            for (title, register) in &site.node.registers {
                let (version, high) = register.version_and_high();
                let now = (register.epoch, version.as_u64(), high.as_millis());
                let before = site.shown.insert(title.clone(), now);
                assert!(before.is_none_or(|before| before <= now), "{title}: {before:?} was followed by {now:?}");
            }
        }
    }

    fn check(&self, node: usize) {
        let site = &self.sites[node];
        let model = Model::of(site.seen.iter().map(|index| &self.changes[*index]));
        assert_eq!(site.node.erased.as_u64(), model.erased());
        let titles: Vec<&str> = site.node.registers.keys().map(TitleId::as_str).collect();
        assert_eq!(titles, model.titles());
        for (title, register) in &site.node.registers {
            let known = model.title(title.as_str()).unwrap();
            for policy in [Policy::Continue, Policy::Furthest, Policy::LastActivity] {
                let point = ResumePoint::read(Some(register), policy);
                assert_eq!(point.position.as_millis(), known.position(policy), "{policy:?} of {title}");
                assert_eq!((point.version.as_u64(), point.high.as_millis()), known.version_and_high());
                assert_eq!(point.started, !known.places().is_empty());
                assert_eq!((point.duration_ms, point.completed), (known.duration_ms(), known.completed()), "length of {title}");
                assert_eq!((point.furthest.as_millis(), point.hidden), (known.furthest(), known.is_hidden()));
                assert_eq!((point.state, point.device.as_ref()), (known.state(), known.activity().map(|activity| &activity.device)));
                let places: Vec<_> = point.places.iter().map(|place| (place.version.as_u64(), place.position.as_millis())).collect();
                assert_eq!(places, known.places().iter().map(|place| (place.version, place.position_ms)).collect::<Vec<_>>());
                let rest: Vec<_> = point.places.iter().map(|place| (place.touched.as_u64(), place.ended)).collect();
                assert_eq!(rest, known.places().iter().map(|place| (place.touched, place.ended)).collect::<Vec<_>>());
            }
            assert_eq!(register.activity.as_ref(), known.activity());
            assert_eq!(register.series.as_ref().map(|series| series.id.as_str()), known.series());
            assert!(register.places.as_slice().len() <= 8);
        }
        let profile = Profile { registers: site.node.registers.clone(), ..Profile::empty(ProfileId::new("ann").unwrap()) };
        let row: Vec<&str> = profile.continue_watching(200).into_iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(row, model.row());
    }

    // Everything reaches everybody, each by another way round.
    fn heal(&mut self) {
        let count = self.changes.len();
        for change in 0..count {
            self.deliver(0, change);
            self.deliver(1, count - 1 - change);
            self.deliver(2, (change * 7 + 3) % count);
        }
        for change in 0..count {
            self.deliver(2, change);
        }
        self.nothing_went_back();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_read_is_what_the_set_of_all_deltas_says(steps in vec(step(), 1..120)) {
        let mut world = World::new();
        for (count, step) in steps.iter().enumerate() {
            world.run(step);
            if count % 8 == 7 {
                world.check(count / 8 % NODES);
            }
        }
        (0..NODES).for_each(|node| world.check(node));
        world.heal();
        (0..NODES).for_each(|node| world.check(node));
        for site in &world.sites {
            prop_assert_eq!(&site.node.registers, &world.sites[0].node.registers);
            for (title, register) in &site.node.registers {
                // A register expires by the last day on which anything happened in it, also where that place fell out of the eight.
                let model = Model::of(&world.changes);
                let last_day = model.title(title.as_str()).unwrap().last_day();
                prop_assert_eq!(register.newest_stamp().wall().as_millis() / 86_400_000, last_day);
            }
        }
    }
}
