//! WebSockets that say nothing, by the thousand.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
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
use crate::cli::bench::process::{cpu_seconds, memory};
use crate::cli::bench::{BenchError, Report};
use crate::time::system::monotonic_now;

pub(super) type Socket = WebSocketStream<TcpStream>;

const PATIENCE: Duration = Duration::from_secs(30);
/// Sockets being opened at once: more would only fill the queue of the listener.
const OPENING: usize = 64;

pub(super) async fn open(address: &str, device: &str, profile: &str) -> Result<Socket, BenchError> {
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

/// One thread for all sockets of the client.
pub(super) fn on_one_thread<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
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
