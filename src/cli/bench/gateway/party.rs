//! A watch party with as many viewers as one node lets into one: how soon all of them have a command, and what they hold of memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};
use serde_json::{Value, json};

use super::wire::Wire;
use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::pace::rest;
use crate::cli::bench::process::{cpu_seconds, memory};
use crate::cli::bench::{BenchError, Report};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

const PATIENCE: Duration = Duration::from_mins(2);
const READ_BYTES: usize = 64 << 10;
const EVENTS_COUNT: usize = 1_024;
/// Between a command that all have and the next.
const PAUSE: Duration = Duration::from_millis(200);
const STEP_MS: u64 = 10_000;

/// One viewer's socket, and the position of the last command that it was told of.
struct Viewer {
    wire: Wire,
    told_ms: Option<u64>,
}

struct Audience {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    viewers: Vec<Viewer>,
}

impl Audience {
    /// Everybody says hello and joins; the party's host is the first.
    fn join(node: &NodeProcess, count: u64, party: &str, invite: &str) -> Result<Self, BenchError> {
        let mut audience =
            Self { poll: Poll::new()?, events: Events::with_capacity(EVENTS_COUNT), buffer: vec![0; READ_BYTES], viewers: Vec::new() };
        for number in 0..count {
            let profile = format!("viewer-{number}");
            let hello = json!({"type": "hello", "device_id": "tv", "profiles": [profile]});
            let mut wire = Wire::open(&node.addresses.http, &hello.to_string())?;
            wire.queue(json!({"type": "party.join", "id": party, "token": invite, "profile_id": profile}).to_string().as_bytes());
            wire.send()?;
            wire.register(audience.poll.registry(), Token(audience.viewers.len()))?;
            audience.viewers.push(Viewer { wire, told_ms: None });
            // Or what the others are told of it fills their lines.
            audience.turn(Duration::ZERO, &mut |_| ())?;
        }
        Ok(audience)
    }

    /// Takes what has come; `told` is shown each new position.
    fn turn(&mut self, patience: Duration, told: &mut impl FnMut(u64)) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let Viewer { wire, told_ms } = &mut self.viewers[event.token().0];
            if event.is_writable() {
                wire.send()?;
            }
            wire.receive(&mut self.buffer, |text| {
                let message: Value = serde_json::from_slice(text)?;
                if message["type"] == "error" || message["over"] == true {
                    return Err(format!("the node said {message}").into());
                }
                let position = message["anchor"]["position_ms"].as_u64();
                if position.is_some() && position != *told_ms {
                    *told_ms = position;
                    position.into_iter().for_each(&mut *told);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until all have been told of a position; how long each took since `begun`, in microseconds.
    fn all_at(&mut self, position_ms: u64, begun: MonotonicTime, took: &mut Histogram<u64>) -> Result<(), BenchError> {
        let mut left = self.viewers.iter().filter(|viewer| viewer.told_ms != Some(position_ms)).count();
        while left > 0 {
            self.turn(Duration::from_millis(100), &mut |told| {
                if told == position_ms {
                    left -= 1;
                    took.saturating_record(monotonic_now().saturating_since(begun).as_micros() as u64);
                }
            })?;
            if monotonic_now().saturating_since(begun) > PATIENCE {
                return Err(format!("{left} viewers were not told within two minutes").into());
            }
        }
        Ok(())
    }
}

pub(super) fn run(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    let name = format!("a party of {}", options.viewers);
    let mut connection = connect(node)?;
    let mut answer = Vec::new();
    let asked = json!({"profile_id": "viewer-0", "device_id": "tv", "title_id": "film", "position_ms": 0, "playing": false});
    let status = connection.request("POST", "/v1/parties", asked.to_string().as_bytes(), &mut answer)?;
    let party: Value = serde_json::from_slice(&answer)?;
    let (Some(id), Some(invite)) = (party["id"].as_str(), party["invite"].as_str()) else {
        return Err(format!("the node answered {status}: {party}").into());
    };
    let histogram = || Histogram::<u64>::new_with_bounds(1, 600_000_000, 3);
    let begun = monotonic_now();
    let mut audience = Audience::join(node, options.viewers, id, invite)?;
    audience.all_at(0, begun, &mut histogram()?)?;
    report.note(&format!("{name}: all have joined after"), "s", monotonic_now().saturating_since(begun).as_secs_f64());
    report.note(&format!("{name}: resident memory"), "MiB", memory(node.process.id()).now_mib);
    let (mut told, mut last) = (histogram()?, histogram()?);
    let (cpu, begun) = (cpu_seconds(node.process.id()), monotonic_now());
    let mut commands = 0;
    while monotonic_now().saturating_since(begun).as_secs_f64() < options.seconds {
        rest(PAUSE);
        commands += 1;
        let position_ms = commands * STEP_MS;
        let command = json!({"type": "party.control", "id": id, "position_ms": position_ms});
        let sent = monotonic_now();
        let host = &mut audience.viewers[0].wire;
        host.queue(command.to_string().as_bytes());
        host.send()?;
        audience.all_at(position_ms, sent, &mut told)?;
        last.saturating_record(monotonic_now().saturating_since(sent).as_micros() as u64);
    }
    report.note_latencies(&format!("{name}: a viewer has a command"), &told);
    report.note_latencies(&format!("{name}: the last viewer has it"), &last);
    report.note(&format!("{name}: CPU seconds of the node for a command"), "s", (cpu_seconds(node.process.id()) - cpu) / commands as f64);
    Ok(())
}
