//! Resume points and continue-watching rows, as fast as they are answered.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::generator::mixed;
use crate::cli::bench::process::{cpu_seconds, own_cpu_seconds};
use crate::cli::bench::{BenchError, Report};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

const PROFILES: u64 = 1_000;
const TITLES: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 64 << 10;

pub(super) fn run(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    fill(node)?;
    let resume = |number: u64| format!("/v1/profiles/viewer-{}/titles/title-{}", mixed(number) % PROFILES, mixed(!number) % TITLES);
    let row = |number: u64| format!("/v1/profiles/viewer-{}/continue-watching?limit=20", mixed(number) % PROFILES);
    measure("resume", options, node, report, &resume)?;
    measure("continue watching, 20 of 200", options, node, report, &row)
}

/// Every title of every profile, watched for a while.
fn fill(node: &NodeProcess) -> Result<(), BenchError> {
    let mut connection = connect(node)?;
    let mut answer = Vec::new();
    for profile in 0..PROFILES {
        let event = |title: u64| {
            json!({"profile_id": format!("viewer-{profile}"), "title_id": format!("title-{title}"), "device_id": "tv", "kind": "PAUSE",
                   "position_ms": 600_000 + mixed(profile * TITLES + title) % 3_000_000, "duration_ms": 7_200_000})
        };
        let body = serde_json::to_vec(&json!({"events": (0..TITLES).map(event).collect::<Vec<_>>()}))?;
        let status = connection.request("POST", "/v1/events", &body, &mut answer)?;
        if status != 200 {
            return Err(format!("the node answered {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// One connection, which asks again as soon as it is answered.
struct Asking {
    stream: TcpStream,
    asked: MonotonicTime,
    answer: Vec<u8>,
    request: Vec<u8>,
    sent: usize,
}

impl Asking {
    fn open(address: &str) -> Result<Self, BenchError> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, asked: MonotonicTime::ZERO, answer: Vec::new(), request: Vec::new(), sent: 0 })
    }

    fn ask(&mut self, address: &str, path: &str) -> Result<(), BenchError> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
        (self.sent, self.asked) = (0, monotonic_now());
        self.answer.clear();
        self.send()
    }

    fn send(&mut self) -> Result<(), BenchError> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; answers whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, BenchError> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the node closed a connection".into()),
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // All is read, so that whatever comes later is told.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if self.is_whole()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_whole(&self) -> Result<bool, BenchError> {
        const LENGTH: &[u8] = b"content-length: ";
        let find = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|bytes| bytes == wanted);
        let Some(end) = find(&self.answer, b"\r\n\r\n") else { return Ok(false) };
        let head = &self.answer[..end];
        if !head.starts_with(b"HTTP/1.1 200") {
            return Err(format!("the node answered {}", String::from_utf8_lossy(&self.answer)).into());
        }
        let begin = find(head, LENGTH).ok_or("the node does not say how long its answer is")? + LENGTH.len();
        let digits = head[begin..].iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
        Ok(self.answer.len() >= end + 4 + length)
    }
}

/// One thread asks over all connections; each has one request under way.
fn measure(what: &str, options: &Gateway, node: &NodeProcess, report: &mut Report, path: &dyn Fn(u64) -> String) -> Result<(), BenchError> {
    let address = &node.addresses.http;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(usize::from(options.connections));
    let mut buffer = vec![0; READ_BYTES];
    let mut askings = Vec::new();
    for number in 0..usize::from(options.connections) {
        let mut asking = Asking::open(address)?;
        poll.registry().register(&mut asking.stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        askings.push(asking);
    }
    let mut micros = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    let (node_cpu, own_cpu, begun) = (cpu_seconds(node.process.id()), own_cpu_seconds(), monotonic_now());
    let mut asked = 0;
    for asking in &mut askings {
        asking.ask(address, &path(asked))?;
        asked += 1;
    }
    let mut heard = begun;
    while monotonic_now().saturating_since(begun).as_secs_f64() < options.seconds {
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        let now = monotonic_now();
        for event in &events {
            let asking = &mut askings[event.token().0];
            asking.send()?;
            if event.is_readable() && asking.receive(&mut buffer)? {
                heard = now;
                micros.saturating_record(monotonic_now().saturating_since(asking.asked).as_micros() as u64);
                asking.ask(address, &path(asked))?;
                asked += 1;
            }
        }
        if now.saturating_since(heard) > PATIENCE {
            return Err("the node answered nothing for 30 s".into());
        }
    }
    let seconds = monotonic_now().saturating_since(begun).as_secs_f64();
    let per_million = |cpu: f64| cpu / micros.len() as f64 * 1e6;
    report.note(&format!("{what}: answered"), "a second", micros.len() as f64 / seconds);
    report.note(&format!("{what}: CPU seconds per million, node"), "s", per_million(cpu_seconds(node.process.id()) - node_cpu));
    report.note(&format!("{what}: CPU seconds per million, load client"), "s", per_million(own_cpu_seconds() - own_cpu));
    report.note_latencies(&format!("{what}:"), &micros);
    Ok(())
}
