//! Heartbeats in at one WebSocket of a profile, their acknowledgement, and the change out at its other one.
//!
//! One thread serves all sockets of the client, without a task or a timer for each: it reads what is there, and what it has to say to a socket
//! leaves in one write.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::wire::Wire;
use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::generator::mixed;
use crate::cli::bench::process::{cpu_seconds, memory, own_cpu_seconds};
use crate::cli::bench::{BenchError, Report};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

const PATIENCE: Duration = Duration::from_secs(30);
const STEP_MS: u64 = 10_000;
const READ_BYTES: usize = 64 << 10;
const EVENTS_COUNT: usize = 1_024;

/// A heartbeat under way, or none.
struct Slot {
    begun: MonotonicTime,
    position_ms: u64,
    awaits_ack: bool,
    awaits_push: bool,
}

/// A profile's two sockets: one plays, the other watches. Each slot plays a title of its own, so that no push stands for two heartbeats.
struct Couple {
    playing: Wire,
    watching: Wire,
    profile: String,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// When heartbeats were due that found no slot free.
    owed: VecDeque<MonotonicTime>,
    is_welcome: [bool; 2],
    is_in_turn: bool,
}

/// What one measurement found, in microseconds.
struct Measured {
    pushed: Histogram<u64>,
    acknowledged: Histogram<u64>,
    seconds: f64,
}

impl Couple {
    fn open(node: &str, other: &str, index: u64, in_flight: usize) -> Result<Self, BenchError> {
        let profile = format!("viewer-{in_flight}-{index}");
        let hello = |device: &str| format!("{{\"type\":\"hello\",\"device_id\":\"{device}\",\"profiles\":[\"{profile}\"]}}");
        let slot = |_| Slot { begun: MonotonicTime::ZERO, position_ms: 600_000 + index, awaits_ack: false, awaits_push: false };
        Ok(Self {
            playing: Wire::open(node, &hello("tv"))?,
            watching: Wire::open(other, &hello("phone"))?,
            profile,
            slots: (0..in_flight).map(slot).collect(),
            free: (0..in_flight).collect(),
            owed: VecDeque::new(),
            is_welcome: [false; 2],
            is_in_turn: false,
        })
    }

    /// Puts a heartbeat behind what is to be sent, if a slot is free.
    fn beat(&mut self, begun: MonotonicTime, text: &mut Vec<u8>) -> Result<bool, BenchError> {
        let Some(number) = self.free.pop() else { return Ok(false) };
        let slot = &mut self.slots[number];
        slot.position_ms += STEP_MS;
        (slot.begun, slot.awaits_ack, slot.awaits_push) = (begun, true, true);
        text.clear();
        write!(
            text,
            "{{\"type\":\"events\",\"id\":{number},\"events\":[{{\"profile_id\":\"{}\",\"title_id\":\"film-{number}\",\"device_id\":\"tv\",\
             \"kind\":\"HEARTBEAT\",\"position_ms\":{}}}]}}",
            self.profile, slot.position_ms
        )?;
        self.playing.queue(text);
        Ok(true)
    }
}

/// What the node said to one of the two sockets.
enum Said {
    Welcome,
    /// To the heartbeat of a slot.
    Ack(usize),
    /// A slot's title, and where it stands.
    Push(usize, u64),
    Other,
}

fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let at = text.windows(key.len()).position(|bytes| bytes == key)? + key.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn said(text: &[u8]) -> Result<Said, BenchError> {
    let kind = text.strip_prefix(b"{\"type\":\"").unwrap_or_default();
    let said = if kind.starts_with(b"progress\"") {
        // Its own fields come first: title before position.
        number_after(text, b"\"title_id\":\"film-")
            .zip(number_after(text, b"\"position_ms\":"))
            .map(|(slot, at)| Said::Push(slot as usize, at))
    } else if kind.starts_with(b"ack\"") {
        if !kind.windows(13).any(|bytes| bytes == b"\"accepted\":1,") {
            return Err(format!("the node refused a heartbeat: {}", String::from_utf8_lossy(text)).into());
        }
        number_after(text, b"\"id\":").map(|slot| Said::Ack(slot as usize))
    } else if kind.starts_with(b"error\"") || kind.starts_with(b"bye\"") {
        None
    } else {
        Some(if kind.starts_with(b"welcome\"") { Said::Welcome } else { Said::Other })
    };
    said.ok_or_else(|| format!("the node said {}", String::from_utf8_lossy(text)).into())
}

/// All couples, and what the loop around them needs.
struct Exchange {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    text: Vec<u8>,
    couples: Vec<Couple>,
    /// Those that something came for in this turn.
    in_turn: Vec<usize>,
    under_way: usize,
    measured: Measured,
}

impl Exchange {
    fn open(node: &str, other: &str, couples: u64, in_flight: usize) -> Result<Self, BenchError> {
        let mut exchange = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_COUNT),
            buffer: vec![0; READ_BYTES],
            text: Vec::new(),
            couples: Vec::new(),
            in_turn: Vec::new(),
            under_way: 0,
            measured: Measured::new()?,
        };
        for index in 0..couples {
            let mut couple = Couple::open(node, other, index, in_flight)?;
            let token = 2 * exchange.couples.len();
            couple.playing.register(exchange.poll.registry(), Token(token))?;
            couple.watching.register(exchange.poll.registry(), Token(token + 1))?;
            exchange.couples.push(couple);
        }
        let begun = monotonic_now();
        while exchange.couples.iter().any(|couple| couple.is_welcome != [true; 2]) {
            exchange.turn(Duration::from_millis(10), false)?;
            if monotonic_now().saturating_since(begun) > PATIENCE {
                return Err("the node did not welcome all sockets within 30 s".into());
            }
        }
        // The first heartbeat of each slot begins its playhead; they are not measured.
        exchange.begin_all()?;
        exchange.end(begun)?;
        Ok(exchange)
    }

    /// Plays until the time is over, at a rate in all or as fast as the node answers.
    fn play(&mut self, seconds: f64, rate: Option<f64>) -> Result<Measured, BenchError> {
        self.measured = Measured::new()?;
        let begun = monotonic_now();
        let until = begun + Duration::from_secs_f64(seconds);
        match rate {
            None => {
                self.begin_all()?;
                while monotonic_now() < until {
                    self.turn(Duration::from_millis(100), true)?;
                }
            }
            Some(rate) => self.pace(begun, until, Duration::from_secs_f64(self.couples.len() as f64 / rate))?,
        }
        self.end(begun)?;
        Ok(std::mem::replace(&mut self.measured, Measured::new()?))
    }

    fn begin_all(&mut self) -> Result<(), BenchError> {
        for index in 0..self.couples.len() {
            let couple = &mut self.couples[index];
            while couple.beat(monotonic_now(), &mut self.text)? {
                self.under_way += 1;
            }
            couple.playing.send()?;
        }
        Ok(())
    }

    /// Each couple beats once in an interval, spread over it: a thousand viewers do not beat at once. Who is late for a beat counts that for it.
    fn pace(&mut self, begun: MonotonicTime, until: MonotonicTime, interval: Duration) -> Result<(), BenchError> {
        let phase = |index: usize| begun + interval.mul_f64((mixed(index as u64) % 100_000) as f64 / 1e5);
        let mut due: Vec<(MonotonicTime, usize)> = (0..self.couples.len()).map(|index| (phase(index), index)).collect();
        due.sort_unstable();
        let mut due = VecDeque::from(due);
        while let Some((next, _)) = due.front().copied().filter(|(next, _)| *next < until) {
            self.turn(next.saturating_since(monotonic_now()), false)?;
            let now = monotonic_now();
            while let Some((at, index)) = due.front().copied().filter(|(at, _)| *at <= now && *at < until) {
                due.pop_front();
                due.push_back((at + interval, index));
                let couple = &mut self.couples[index];
                if couple.beat(now, &mut self.text)? {
                    self.under_way += 1;
                    couple.playing.send()?;
                } else {
                    couple.owed.push_back(at);
                }
            }
        }
        Ok(())
    }

    /// Waits for all that is under way.
    fn end(&mut self, begun: MonotonicTime) -> Result<(), BenchError> {
        let patience = monotonic_now() + PATIENCE;
        while self.under_way > 0 {
            self.turn(Duration::from_millis(100), false)?;
            if monotonic_now() > patience {
                return Err(format!("{} heartbeats were not acknowledged and pushed within 30 s", self.under_way).into());
            }
        }
        self.measured.seconds = monotonic_now().saturating_since(begun).as_secs_f64();
        Ok(())
    }

    /// Takes what has come, and sends what follows from it: a heartbeat in the place of each that is over, or only those that are owed.
    fn turn(&mut self, patience: Duration, goes_on: bool) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let (index, is_watching) = (event.token().0 / 2, event.token().0 % 2 == 1);
            let couple = &mut self.couples[index];
            if !couple.is_in_turn {
                couple.is_in_turn = true;
                self.in_turn.push(index);
            }
            let Couple { playing, watching, slots, free, is_welcome, .. } = couple;
            let wire = if is_watching { watching } else { playing };
            if event.is_writable() {
                wire.send()?;
            }
            if !event.is_readable() {
                continue;
            }
            let (measured, under_way) = (&mut self.measured, &mut self.under_way);
            wire.receive(&mut self.buffer, |text| {
                let number = match said(text)? {
                    Said::Welcome => {
                        is_welcome[usize::from(is_watching)] = true;
                        return Ok(());
                    }
                    Said::Other => return Ok(()),
                    Said::Ack(number) | Said::Push(number, _) if number >= slots.len() => return Ok(()),
                    Said::Ack(number) => {
                        let slot = &mut slots[number];
                        slot.awaits_ack = false;
                        measured.acknowledged.saturating_record(monotonic_now().saturating_since(slot.begun).as_micros() as u64);
                        number
                    }
                    Said::Push(number, position_ms) => {
                        let slot = &mut slots[number];
                        if !slot.awaits_push || slot.position_ms != position_ms {
                            return Ok(());
                        }
                        slot.awaits_push = false;
                        measured.pushed.saturating_record(monotonic_now().saturating_since(slot.begun).as_micros() as u64);
                        number
                    }
                };
                if !slots[number].awaits_ack && !slots[number].awaits_push {
                    free.push(number);
                    *under_way -= 1;
                }
                Ok(())
            })?;
        }
        for index in self.in_turn.drain(..) {
            let couple = &mut self.couples[index];
            couple.is_in_turn = false;
            while !couple.free.is_empty() && (goes_on || !couple.owed.is_empty()) {
                let begun = couple.owed.pop_front().unwrap_or_else(monotonic_now);
                couple.beat(begun, &mut self.text)?;
                self.under_way += 1;
            }
            couple.playing.send()?;
        }
        Ok(())
    }
}

impl Measured {
    fn new() -> Result<Self, BenchError> {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3);
        Ok(Self { pushed: histogram()?, acknowledged: histogram()?, seconds: 0.0 })
    }
}

/// Heartbeats in at sockets of `node`, out at sockets of `other`: as fast as they are answered, for each number of
/// heartbeats that a socket has under way at once; and at a steady rate one by one, half of what was
/// reached if none is given.
pub(super) fn run(what: &str, options: &Gateway, node: &NodeProcess, other: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    connect(node)?;
    connect(other)?;
    for in_flight in &options.in_flight {
        let mut exchange = Exchange::open(&node.addresses.http, &other.addresses.http, options.sockets / 2, usize::from(*in_flight))?;
        let mut rate = None;
        // With one under way at most: at a steady rate heartbeats come one by one, however many might be under way.
        let steady = if options.rate.is_some() { "steady rate" } else { "half load" };
        let states: &[&str] = if *in_flight == 1 { &["saturated", steady] } else { &["saturated"] };
        for state in states {
            let name = format!("{what}, {} sockets, {in_flight} under way each, {state}", options.sockets);
            let cpu = |process: &NodeProcess| cpu_seconds(process.process.id());
            let before = [cpu(node), cpu(other), own_cpu_seconds()];
            let measured = exchange.play(options.seconds, rate)?;
            let after = [cpu(node), cpu(other), own_cpu_seconds()];
            let count = measured.pushed.len() as f64;
            let per_million = |which: usize| (after[which] - before[which]) / count * 1e6;
            report.note(&format!("{name}: acknowledged and pushed"), "a second", count / measured.seconds);
            report.note(&format!("{name}: CPU seconds per million, node"), "s", per_million(0));
            if node.process.id() != other.process.id() {
                report.note(&format!("{name}: CPU seconds per million, other node"), "s", per_million(1));
            }
            report.note(&format!("{name}: CPU seconds per million, load client"), "s", per_million(2));
            report.note_latencies(&format!("{name}: pushed"), &measured.pushed);
            report.note_latencies(&format!("{name}: acknowledged"), &measured.acknowledged);
            rate = Some(options.rate.map_or(count / measured.seconds / 2.0, |rate| rate as f64));
        }
    }
    report.note(&format!("{what}: resident memory"), "MiB", memory(node.process.id()).now_mib);
    Ok(())
}
