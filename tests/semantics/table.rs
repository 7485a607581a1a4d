//! One table of cases for the two playheads: the one here, and the one in `leftoff.js` (`tests/web/table.test.mjs` runs the same files).
//!
//! `playhead_cases.json` is written by hand: each rule as a story and its counter-story, times and positions in seconds. A step says in which
//! place it must count: `first`, `new`, or that which the step of that number opened. `playhead_histories.json` was written once by the
//! generator below, with what the playhead here answered then: what both must answer for ever. It is never written again unasked: if it is
//! gone, the test writes it and fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{Event, EventKind, PlaybackEvent, Playhead, Progress, Report, Version, View};
use leftoff::time::{Hlc, HybridClock, WallTime};
use serde_json::{Value, json};

use crate::node::EVENING;

const KINDS: [EventKind; 6] = [EventKind::Play, EventKind::Heartbeat, EventKind::Pause, EventKind::Seek, EventKind::Stop, EventKind::End];
const HISTORIES: u64 = 1_000;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/semantics").join(name)
}

/// Devices in one title, with a register that joins what they report.
struct Title {
    playheads: BTreeMap<String, Playhead>,
    // What the register showed after each step.
    shown: Vec<Progress>,
}

impl Title {
    fn new() -> Self {
        Self { playheads: BTreeMap::new(), shown: vec![Progress::default()] }
    }

    /// One step, with a view of the register as it was after `view` steps, if there is one.
    fn report(&mut self, raw: &PlaybackEvent, at: WallTime, live: Option<Hlc>, view: Option<usize>) -> Report {
        let event = Event::check(at, CLOCK_DRIFT_MS_MAX, raw).unwrap();
        let view = view.map(|steps| View::of(Some(&self.shown[steps]), Hlc::ZERO));
        let start = || Playhead::start(&event, at, live, view.as_ref().unwrap());
        let playhead = self.playheads.entry(raw.device_id.clone()).or_insert_with(start);
        let report = playhead.report(&event, at, live, view.as_ref());
        let mut register = self.shown.last().unwrap().clone();
        if let Some(delta) = &report.delta {
            register.join(delta);
        }
        self.shown.push(register);
        report
    }

    fn steps(&self) -> usize {
        self.shown.len() - 1
    }
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_f64().map(|seconds| (seconds * 1_000.0).round() as u64)
}

#[test]
fn the_stories_of_the_table_are_told_as_they_are_written() {
    let cases: Value = serde_json::from_str(&fs::read_to_string(file("playhead_cases.json")).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    for rule in 1..=6 {
        let of_rule =
            |counter: bool| cases.iter().any(|case| case["rule"] == rule && case["counter"].as_bool().unwrap_or(false) == counter);
        assert!(of_rule(false) && of_rule(true), "rule {rule} has a story and a counter-story");
    }
    for case in cases {
        let mut title = Title::new();
        let mut clock = HybridClock::default();
        let mut opened = BTreeMap::from([("first".to_owned(), Version::FIRST)]);
        for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let where_ = format!("{}, step {}: {step}", case["story"], index + 1);
            let at = WallTime::from_millis(EVENING.as_millis() + seconds(&step["at"]).unwrap());
            let kind = serde_json::from_value(step["kind"].clone()).unwrap();
            let mut raw =
                PlaybackEvent::new("ann", "film", step["device"].as_str().unwrap_or("tv"), kind, seconds(&step["position"]).unwrap());
            raw.restart = step["restart"].as_bool().unwrap_or(false);
            raw.duration_ms = seconds(&step["duration"]);
            raw.speed = step["speed"].as_f64().map(|speed| speed as f32);
            raw.at_ms = Some(at.as_millis());
            let live = (!step["late"].as_bool().unwrap_or(false)).then(|| clock.tick(at));
            let view = (step["view"] != false).then(|| title.steps());
            let report = title.report(&raw, at, live, view);
            let place = step["place"].as_str().map_or_else(|| step["place"].to_string(), str::to_owned);
            if place == "new" {
                assert!(opened.values().all(|version| *version < report.version), "{where_}: counted in {}", report.version.as_u64());
                opened.insert((index + 1).to_string(), report.version);
            } else {
                assert_eq!(report.version, opened[&place], "{where_}");
            }
            assert_eq!(report.delta.is_none(), step["nothing"].as_bool().unwrap_or(false), "{where_}");
            let stepped_back = report.delta.is_some_and(|delta| delta.activity.is_some_and(|activity| activity.stepped_back));
            assert_eq!(stepped_back, step["stepped_back"].as_bool().unwrap_or(false), "{where_}");
        }
    }
}

/// `[version, position, touched, flags]` of what a report changed; only the version of a repeat. The version from the evening's stamp, -1 for the
/// first place; `touched` from the stamp of the event's time.
fn answer(report: &Report, at: WallTime) -> Value {
    let from = |stamp: Hlc, origin: WallTime| stamp.as_u64().cast_signed() - Hlc::from_wall(origin).as_u64().cast_signed();
    let version = if report.version == Version::FIRST { -1 } else { from(report.version.as_hlc(), EVENING) };
    let Some(delta) = &report.delta else { return json!([version]) };
    let place = delta.newest().unwrap();
    let stepped_back = delta.activity.as_ref().is_some_and(|activity| activity.stepped_back);
    let flags = u8::from(place.ended) + 2 * u8::from(stepped_back);
    assert_eq!(place.version, report.version);
    json!([version, place.position.as_millis(), from(place.touched, at), flags])
}

/// One step of a history: `[device, kind, position, at, live, view, flags, duration]`, `at` from the evening, `live` from the stamp of that time,
/// none as -1.
fn run(title: &mut Title, step: &[i64]) -> Value {
    let [device, kind, position, at, live, view, flags, duration] = *step else { panic!("{step:?}") };
    let at = EVENING.shifted(at);
    let mut raw = PlaybackEvent::new("ann", "film", format!("device {device}"), KINDS[kind as usize], position as u64);
    raw.restart = flags & 1 > 0;
    raw.speed = (flags & 2 > 0).then_some(1.3);
    raw.at_ms = (flags & 4 > 0).then_some(at.as_millis());
    raw.duration_ms = u64::try_from(duration).ok();
    let live = (live >= 0).then(|| Hlc::from_u64(Hlc::from_wall(at).as_u64() + live as u64));
    answer(&title.report(&raw, at, live, usize::try_from(view).ok()), at)
}

#[test]
fn the_histories_of_the_table_end_as_they_always_did() {
    let path = file("playhead_histories.json");
    let Ok(text) = fs::read_to_string(&path) else {
        let lines: Vec<String> = (0..HISTORIES).map(|seed| history(seed).to_string()).collect();
        fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        panic!("{} was written: look at it before it is kept", path.display());
    };
    let histories: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(histories.len() >= 1_000);
    for (index, history) in histories.iter().enumerate() {
        let mut title = Title::new();
        for (step, pair) in history.as_array().unwrap().iter().enumerate() {
            let input: Vec<i64> = serde_json::from_value(pair[0].clone()).unwrap();
            assert_eq!(run(&mut title, &input), pair[1], "history {index}, step {step}: {input:?}");
        }
    }
}

/// Chance, the same each time (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as i64 % bound
    }
}

/// An evening of up to three devices in one title: watching, jumps, steps, pauses, late reports, retries, views that lag.
fn history(seed: u64) -> Value {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut title = Title::new();
    let mut clock = HybridClock::default();
    let mut stands: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut steps: Vec<Value> = Vec::new();
    let mut told: Vec<Vec<i64>> = Vec::new();
    let length = if chance.below(3) == 0 { 1_500_000 } else { -1 };
    let devices = 1 + chance.below(3);
    let mut now = 20_000_000;
    let count = 6 + chance.below(7);
    while (steps.len() as i64) < count {
        now += [0, 700, 10_000, 20_000, 55_000, 61_000, 300_000, 601_000][chance.below(8) as usize] + chance.below(1_000);
        let device = chance.below(devices);
        let (stood, since) = stands.get(&device).copied().unwrap_or((chance.below(3) * 600_000, now));
        let mut kind = [0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 4, 5][chance.below(12) as usize];
        let watched = (now - since).min(120_000);
        let moved = match chance.below(9) {
            0..=3 => stood + watched,
            4 => stood,
            5 => stood + chance.below(120_000) - 60_000,
            6 => chance.below(60_000),
            _ => chance.below(5_400_000),
        };
        let (at, live) = match chance.below(10) {
            0 => (now - chance.below(50_000), true),
            1 => (now - 60_000 - chance.below(3_000_000), false),
            _ => (now, true),
        };
        let watch = if chance.below(14) == 0 { 12 } else { 1 };
        for turn in 0..watch {
            // Long watching in one go, so that take-overs happen.
            let (at, position) = if turn == 0 { (at, moved) } else { (now, moved + turn * 58_000) };
            if turn > 0 {
                (kind, now) = (1, now + 58_000);
            }
            let at = if turn > 0 { now } else { at };
            let position = position.clamp(0, if length > 0 { length } else { 10_000_000 });
            let live = live || turn > 0;
            let tick = clock.tick(EVENING.shifted(now)).as_u64().cast_signed();
            let since = |at: i64| if live { tick - Hlc::from_wall(EVENING.shifted(at)).as_u64().cast_signed() } else { -1 };
            let fresh = !title.playheads.contains_key(&format!("device {device}"));
            let have = title.steps() as i64;
            let view = match chance.below(4) {
                0 if !fresh => -1,
                1 => chance.below(have + 1),
                _ => have,
            };
            let flags =
                i64::from(kind == 0 && chance.below(5) == 0) + 2 * i64::from(chance.below(6) == 0) + 4 * i64::from(chance.below(4) > 0);
            let mut step = vec![device, kind, position, at, since(at), view, flags, if chance.below(3) == 0 { length } else { -1 }];
            if !told.is_empty() && chance.below(12) == 0 {
                // A retry, as it was, only later.
                let retried = &told[chance.below(told.len() as i64) as usize];
                step = vec![retried[0], retried[1], retried[2], retried[3], since(retried[3]), have, retried[6], retried[7]];
            }
            stands.insert(step[0], (step[2], now));
            told.push(step.clone());
            let answered = run(&mut title, &step);
            steps.push(json!([step, answered]));
        }
    }
    Value::Array(steps)
}
