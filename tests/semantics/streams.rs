//! Random streams of reports, held against the rules themselves: which of them open a place, and that none of them can do harm.

use std::collections::{BTreeMap, BTreeSet};

use leftoff::progress::{EventKind, PlaybackEvent, Progress, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Change, Node, event};

const DEVICES: [&str; 3] = ["tv", "phone", "tablet"];
const MINUTE_MS: u64 = 60_000;

#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Watch { device: usize, minutes: u64 },
    Tap { device: usize, kind: EventKind, by_s: i64 },
    Jump { device: usize, to_s: u64, restart: bool },
}

fn act() -> impl Strategy<Value = Act> {
    use EventKind::{Heartbeat, Pause, Play, Seek, Stop};
    let kind = prop::sample::select(vec![Heartbeat, Pause, Play, Seek, Stop]);
    prop_oneof![
        2 => (0..100u64).prop_map(Act::Wait),
        1 => (300..1_200u64).prop_map(Act::Wait),
        4 => (0..3usize, 1..14u64).prop_map(|(device, minutes)| Act::Watch { device, minutes }),
        4 => (0..3usize, kind, -70..130_i64).prop_map(|(device, kind, by_s)| Act::Tap { device, kind, by_s }),
        2 => (0..3usize, 0..7_200u64, any::<bool>()).prop_map(|(device, to_s, restart)| Act::Jump { device, to_s, restart }),
    ]
}

/// What the rules know of a device: its reports that were no repeats.
#[derive(Clone, Copy)]
struct Seen {
    version: Version,
    position_ms: u64,
    at_ms: u64,
    playing: bool,
    playing_since_ms: u64,
}

/// Live reports in order, of a title that is never completed: then only jumps, restarts and take-overs open places, and every one of them does.
#[derive(Default)]
struct Oracle {
    devices: BTreeMap<&'static str, Seen>,
    opened: BTreeSet<Version>,
    newest: Version,
    newest_touched_ms: u64,
}

impl Oracle {
    fn expects(&self, device: &str, kind: EventKind, position_ms: u64, restart: bool, now_ms: u64) -> Option<bool> {
        // Where a first report belongs is another rule.
        let seen = self.devices.get(device)?;
        if kind == EventKind::Play && restart {
            return Some(true);
        }
        let elapsed_ms = if seen.playing { now_ms - seen.at_ms } else { 0 };
        let (lowest, highest) = (seen.position_ms.saturating_sub(MINUTE_MS), seen.position_ms + elapsed_ms + MINUTE_MS);
        if kind == EventKind::Seek {
            return Some(!(lowest..=highest).contains(&position_ms));
        }
        let went_on = seen.playing && now_ms - seen.at_ms <= MINUTE_MS && matches!(kind, EventKind::Play | EventKind::Heartbeat);
        let watched = went_on && now_ms - seen.playing_since_ms >= 10 * MINUTE_MS;
        let alone = seen.version < self.newest && now_ms - self.newest_touched_ms >= 10 * MINUTE_MS;
        let resumed_elsewhere = kind == EventKind::Play && !(lowest..=seen.position_ms + MINUTE_MS).contains(&position_ms);
        if resumed_elsewhere { None } else { Some(watched && alone && !self.repeats(device, kind, position_ms)) }
    }

    fn repeats(&self, device: &str, kind: EventKind, position_ms: u64) -> bool {
        self.devices.get(device).is_some_and(|seen| kind == EventKind::Heartbeat && seen.position_ms == position_ms)
    }

    fn note(&mut self, device: &'static str, kind: EventKind, position_ms: u64, now_ms: u64, delta: &Progress) -> bool {
        let place = delta.places.newest().copied().unwrap();
        let is_new = place.version != Version::FIRST && self.opened.insert(place.version);
        let playing = matches!(kind, EventKind::Play | EventKind::Heartbeat);
        let before = self.devices.get(device).filter(|seen| seen.playing && now_ms - seen.at_ms <= MINUTE_MS);
        // A new place begins a new stretch with the report before it; so does one that was entered.
        let since = before.map_or(now_ms, |seen| if seen.version == place.version { seen.playing_since_ms } else { seen.at_ms });
        self.devices.insert(device, Seen { version: place.version, position_ms, at_ms: now_ms, playing, playing_since_ms: since });
        if place.version >= self.newest {
            (self.newest, self.newest_touched_ms) = (place.version, now_ms);
        }
        is_new
    }
}

struct Stream {
    node: Node,
    oracle: Oracle,
    positions: [u64; 3],
}

impl Stream {
    fn say(&mut self, device: usize, kind: EventKind, restart: bool) -> Result<(), TestCaseError> {
        let (name, position_ms, now_ms) = (DEVICES[device], self.positions[device], self.node.now.as_millis());
        let expected = self.oracle.expects(name, kind, position_ms, restart, now_ms);
        let report = self.node.tell(&PlaybackEvent { position_ms, restart, ..event(name, kind, 0) });
        let opened = if let Some(delta) = &report.delta {
            self.oracle.note(name, kind, position_ms, now_ms, delta)
        } else {
            // A first report that is nothing is remembered all the same: what follows is measured from it.
            let playing = matches!(kind, EventKind::Play | EventKind::Heartbeat);
            let first = Seen { version: report.version, position_ms, at_ms: now_ms, playing, playing_since_ms: now_ms };
            self.oracle.devices.entry(name).or_insert(first);
            false
        };
        if let Some(expected) = expected {
            prop_assert_eq!(opened, expected, "{:?} of {} at {} s", kind, name, position_ms / 1_000);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_place_is_opened_by_jumps_restarts_and_take_overs_and_by_nothing_else(acts in vec(act(), 1..60)) {
        let mut stream = Stream { node: Node::new(), oracle: Oracle::default(), positions: [0; 3] };
        for act in acts {
            match act {
                Act::Wait(seconds) => stream.node.wait(seconds),
                Act::Watch { device, minutes } => {
                    for _ in 0..minutes * 4 {
                        stream.node.wait(15);
                        stream.positions[device] += 15_000;
                        stream.say(device, EventKind::Heartbeat, false)?;
                    }
                }
                Act::Tap { device, kind, by_s } => {
                    stream.node.wait(1);
                    stream.positions[device] = stream.positions[device].saturating_add_signed(by_s * 1_000);
                    stream.say(device, kind, false)?;
                }
                Act::Jump { device, to_s, restart } => {
                    stream.node.wait(1);
                    stream.positions[device] = to_s * 1_000;
                    stream.say(device, if restart { EventKind::Play } else { EventKind::Seek }, restart)?;
                }
            }
        }
    }

    #[test]
    fn no_report_whatever_it_says_breaks_a_node(
        reports in vec((0..6usize, any_position(), any_time(), prop::option::of(any_time()), any_version(), any::<u8>()), 1..80),
    ) {
        use EventKind::{End, Heartbeat, Pause, Play, Seek, Stop};
        let mut node = Node::new();
        for (kind, position_ms, at_ms, sent_at_ms, version, flags) in reports {
            node.now = node.now.shifted(i64::from(flags) * 100);
            let raw = PlaybackEvent {
                at_ms: (flags & 1 == 1).then_some(at_ms),
                version: (flags & 2 == 2).then_some(version),
                stepped_back: Some(flags & 4 == 4),
                restart: flags & 8 == 8,
                duration_ms: (flags & 16 == 16).then_some(position_ms / 2 + u64::from(flags)),
                speed: Some(f32::from(flags) / 8.0 - 1.0),
                position_ms,
                ..event(DEVICES[usize::from(flags) % 3], [Play, Heartbeat, Pause, Seek, Stop, End][kind], 0)
            };
            node.record(sent_at_ms, &[raw]);
            if flags & 0xf0 == 0xf0 {
                node.erase();
            }
        }
        // A million playheads must fit a node.
        prop_assert!(node.playhead_bytes_max() <= 700, "{} bytes", node.playhead_bytes_max());
        let far = node.now.shifted(120_000);
        for change in &node.made {
            if let Change::Delta(_, delta) = change {
                prop_assert_eq!(&Progress::from_bytes(&delta.to_bytes()).unwrap(), delta);
                prop_assert!(delta.highest_stamp().wall() < far, "nobody parks a value in the future");
            }
        }
    }
}

fn any_position() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_000_000u64, Just(10_000_000_000), any::<u64>()]
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![1_789_999_000_000..1_790_001_000_000u64, any::<u64>(), Just(0), Just(u64::MAX)]
}

fn any_version() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), (1_789_999_000_000..1_790_000_060_000u64).prop_map(|ms| ms << 10), any::<u64>()]
}
