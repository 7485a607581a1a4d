//! WebSockets: heartbeats in at one, out at the profile's other; and thousands that say nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::generator::mixed;
use crate::cli::bench::process::{cpu_seconds, memory, own_cpu_seconds};
use crate::cli::bench::{BenchError, Report};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

type Socket = WebSocketStream<TcpStream>;

const PATIENCE: Duration = Duration::from_secs(30);
/// Sockets being opened at once: more would only fill the queue of the listener.
const OPENING: usize = 64;
const STEP_MS: u64 = 10_000;

async fn open(address: &str, device: &str, profile: &str) -> Result<Socket, BenchError> {
    let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("leftoff.v1"));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(request, stream).await?;
    let hello = json!({"type": "hello", "device_id": device, "profiles": [profile]});
    socket.send(Message::text(hello.to_string())).await?;
    until(&mut socket, |text| text.contains("\"welcome\"")).await?;
    Ok(socket)
}

/// Reads until a message for which `wanted` holds.
async fn until(socket: &mut Socket, wanted: impl Fn(&str) -> bool) -> Result<(), BenchError> {
    loop {
        let next = timeout(PATIENCE, socket.next()).await.map_err(|_| "the node said nothing for 30 s")?;
        let message = next.ok_or("the node closed a socket")??;
        let text = message.to_text()?;
        if wanted(text) {
            return Ok(());
        }
        if text.contains("\"type\":\"error\"") || text.contains("\"type\":\"bye\"") {
            return Err(format!("the node said {text}").into());
        }
    }
}

/// What the exchanges of one measurement share.
struct Measured {
    until: MonotonicTime,
    count: Cell<u64>,
    pushed: RefCell<Histogram<u64>>,
    acknowledged: RefCell<Histogram<u64>>,
}

/// A profile's two sockets: one plays, the other watches.
struct Couple {
    playing: Socket,
    watching: Socket,
    profile: String,
    position_ms: u64,
    number: u64,
}

impl Couple {
    async fn open(node: &str, other: &str, index: u64) -> Result<Self, BenchError> {
        let profile = format!("viewer-{index}");
        let playing = open(node, "tv", &profile).await?;
        let watching = open(other, "phone", &profile).await?;
        let mut couple = Self { playing, watching, profile, position_ms: 600_000 + index, number: 0 };
        // The first begins the playhead; it is not measured.
        couple.beat().await?;
        Ok(couple)
    }

    /// A heartbeat in, its acknowledgement, and the change out at the other socket: how long each took, in microseconds.
    async fn beat(&mut self) -> Result<[u64; 2], BenchError> {
        self.position_ms += STEP_MS;
        self.number += 1;
        let (number, position) = (self.number, self.position_ms);
        let profile = &self.profile;
        let text = format!(
            "{{\"type\":\"events\",\"id\":{number},\"events\":[{{\"profile_id\":\"{profile}\",\"title_id\":\"film\",\"device_id\":\"tv\",\
             \"kind\":\"HEARTBEAT\",\"position_ms\":{position}}}]}}"
        );
        let begun = monotonic_now();
        let took = || monotonic_now().saturating_since(begun).as_micros() as u64;
        self.playing.send(Message::text(text)).await?;
        let wanted = format!("\"position_ms\":{position}");
        let (playing, watching) = (&mut self.playing, &mut self.watching);
        let acknowledged = async { until(playing, |text| text.contains("\"ack\"")).await.map(|()| took()) };
        let pushed = async { until(watching, |text| text.contains(&wanted)).await.map(|()| took()) };
        let (acknowledged, pushed) = tokio::try_join!(acknowledged, pushed)?;
        Ok([acknowledged, pushed])
    }

    /// Beats until the time is over: as fast as the node answers, or each when it is due.
    async fn play(&mut self, measured: &Measured, phase: Duration, interval: Option<Duration>) -> Result<(), BenchError> {
        let mut due = Instant::now() + phase;
        while monotonic_now() < measured.until {
            let mut late = 0;
            if let Some(interval) = interval {
                sleep_until(due).await;
                // Lateness of the beat before counts for this one: load does not wait for the node.
                late = Instant::now().saturating_duration_since(due).as_micros() as u64;
                due += interval;
            }
            let [acknowledged, pushed] = self.beat().await?;
            measured.count.set(measured.count.get() + 1);
            measured.acknowledged.borrow_mut().saturating_record(acknowledged + late);
            measured.pushed.borrow_mut().saturating_record(pushed + late);
        }
        Ok(())
    }
}

/// One thread for all sockets of the client.
fn on_one_thread<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}

/// Heartbeats in at sockets of `node`, out at sockets of `other`: as fast as they are answered, then at half of that rate.
pub(super) fn exchange(
    what: &str,
    options: &Gateway,
    node: &NodeProcess,
    other: &NodeProcess,
    report: &mut Report,
) -> Result<(), BenchError> {
    connect(node)?;
    connect(other)?;
    on_one_thread(async {
        let (here, there) = (node.addresses.http.clone(), other.addresses.http.clone());
        let opening = futures_util::stream::iter((0..options.sockets / 2).map(|index| {
            let (here, there) = (here.clone(), there.clone());
            async move { Couple::open(&here, &there, index).await }
        }));
        let opened: Vec<_> = opening.buffer_unordered(OPENING).collect().await;
        let mut couples = opened.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut rate = None;
        for state in ["saturated", "half load"] {
            let name = format!("{what}, {} sockets, {state}", options.sockets);
            let before = [cpu_seconds(node.process.id()), cpu_seconds(other.process.id()), own_cpu_seconds()];
            let begun = monotonic_now();
            let (measured, back) = play(couples, begun + Duration::from_secs_f64(options.seconds), rate).await?;
            couples = back;
            let seconds = monotonic_now().saturating_since(begun).as_secs_f64();
            let count = measured.count.get() as f64;
            let per_million = |now: f64, before: f64| (now - before) / count * 1e6;
            report.note(&format!("{name}: acknowledged and pushed"), "a second", count / seconds);
            report.note(&format!("{name}: CPU seconds per million, node"), "s", per_million(cpu_seconds(node.process.id()), before[0]));
            if node.process.id() != other.process.id() {
                let cpu = per_million(cpu_seconds(other.process.id()), before[1]);
                report.note(&format!("{name}: CPU seconds per million, other node"), "s", cpu);
            }
            report.note(&format!("{name}: CPU seconds per million, load client"), "s", per_million(own_cpu_seconds(), before[2]));
            report.note_latencies(&format!("{name}: pushed"), &measured.pushed.borrow());
            report.note_latencies(&format!("{name}: acknowledged"), &measured.acknowledged.borrow());
            rate.get_or_insert(count / seconds / 2.0);
        }
        report.note(&format!("{what}: resident memory"), "MiB", memory(node.process.id()).now_mib);
        Ok(())
    })
}

/// Lets all couples play, at a rate in all or as fast as they are answered.
async fn play(couples: Vec<Couple>, until: MonotonicTime, rate: Option<f64>) -> Result<(Rc<Measured>, Vec<Couple>), BenchError> {
    let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3).map(RefCell::new);
    let measured = Rc::new(Measured { until, count: Cell::new(0), pushed: histogram()?, acknowledged: histogram()? });
    let interval = rate.map(|rate| Duration::from_secs_f64(couples.len() as f64 / rate));
    let tasks: Vec<_> = couples
        .into_iter()
        .enumerate()
        .map(|(index, mut couple)| {
            let measured = Rc::clone(&measured);
            // Spread over the interval: a thousand viewers do not beat at once.
            let phase = interval.unwrap_or_default().mul_f64((mixed(index as u64) % 1_000) as f64 / 1e3);
            tokio::task::spawn_local(async move { couple.play(&measured, phase, interval).await.map(|()| couple) })
        })
        .collect();
    let mut back = Vec::with_capacity(tasks.len());
    for task in tasks {
        back.push(task.await??);
    }
    Ok((measured, back))
}

/// Sockets that are open and say nothing: what they hold of memory, and how soon all are back when all are cut at once.
pub(super) fn idle(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    connect(node)?;
    on_one_thread(async {
        let address = node.addresses.http.clone();
        let empty = memory(node.process.id()).now_mib;
        let all = |at_once: usize| {
            let address = address.clone();
            async move {
                let opening = futures_util::stream::iter((0..options.idle).map(|index| {
                    let address = address.clone();
                    async move { open_patiently(&address, index).await }
                }));
                let opened: Vec<Result<Socket, BenchError>> = opening.buffer_unordered(at_once).collect().await;
                opened.into_iter().collect::<Result<Vec<_>, _>>()
            }
        };
        let sockets = all(OPENING).await?;
        report.note(&format!("{} idle sockets: resident memory", options.idle), "MiB", memory(node.process.id()).now_mib);
        report.note("the same node without sockets", "MiB", empty);
        drop(sockets);
        // Everybody at once, as after the fall of a proxy.
        let begun = monotonic_now();
        let cpu = cpu_seconds(node.process.id());
        let sockets = all(usize::try_from(options.idle)?).await?;
        let took = monotonic_now().saturating_since(begun).as_secs_f64();
        report.note(&format!("{} sockets back at once: all welcome after", options.idle), "s", took);
        report.note("their return: CPU seconds of the node", "s", cpu_seconds(node.process.id()) - cpu);
        report.note("resident memory after it", "MiB", memory(node.process.id()).now_mib);
        drop(sockets);
        let mut answer = Vec::new();
        let status = connect(node)?.request("GET", "/v1/profiles/viewer-0/continue-watching", &[], &mut answer)?;
        if status != 200 {
            let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
            return Err(format!("after it the node answers {status}: {problem}").into());
        }
        Ok(())
    })
}

/// Opens a socket as a client does: told to come back later, it does.
async fn open_patiently(address: &str, index: u64) -> Result<Socket, BenchError> {
    let (device, profile) = (format!("tv-{index}"), format!("viewer-{index}"));
    let begun = monotonic_now();
    let mut tries: u32 = 0;
    loop {
        match open(address, &device, &profile).await {
            Ok(socket) => return Ok(socket),
            Err(error) if monotonic_now().saturating_since(begun) > PATIENCE => return Err(error),
            Err(_) => {
                tries += 1;
                let most_ms = 100 << tries.min(5);
                sleep_until(Instant::now() + Duration::from_millis(mixed(index << 8 | u64::from(tries)) % most_ms)).await;
            }
        }
    }
}
