//! Churn: viewers that come, play, and go in every way there is, for as long as is asked for; and whether anything of it stays.
//!
//! Profiles and titles are always the same, so whatever grows is a leak: the figures after the first part of the time are compared with those at the end,
//! and after everybody has gone with nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::sockets::{Socket, on_one_thread, open};
use super::{Gateway, connect};
use crate::cli::bench::child::NodeProcess;
use crate::cli::bench::generator::mixed;
use crate::cli::bench::http::Connection;
use crate::cli::bench::process::memory;
use crate::cli::bench::{BenchError, Report};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

const VIEWERS: u64 = 32;
const PROFILES: u64 = 400;
/// Sockets that nobody reads, writes or closes, until there are more of them.
const HALF_OPEN_COUNT_MAX: usize = 64;
/// What holds something for somebody who may be gone.
const TABLES: [&str; 8] = [
    "leftoff_push_readers",
    "leftoff_push_profiles",
    "leftoff_push_circles",
    "leftoff_presence_devices",
    "leftoff_sessions",
    "leftoff_parties",
    "leftoff_party_viewers",
    "leftoff_ephemeral_watches",
];
/// Beyond this a table has grown: what is in it comes and goes by chance.
const TABLE_SLACK: f64 = 64.0;
const MEMORY_SLACK_MIB: f64 = 24.0;
const FACTOR_MAX: f64 = 1.5;
const PATIENCE: Duration = Duration::from_mins(1);

/// Settings of the node that churns: leases of this many milliseconds, so that what is left behind lapses many times over.
pub(super) fn lease_ms(options: &Gateway) -> u64 {
    ((options.minutes * 60_000.0 / 20.0) as u64).clamp(1_000, 5_000)
}

struct Shared {
    address: String,
    until: MonotonicTime,
    http: RefCell<Connection>,
    half_open: RefCell<VecDeque<Socket>>,
    visits: Cell<u64>,
    sessions: Cell<u64>,
    parties: Cell<u64>,
}

impl Shared {
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), BenchError> {
        let mut answer = Vec::new();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let status = self.http.borrow_mut().request(method, path, body.as_bytes(), &mut answer)?;
        Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
    }
}

/// Lets viewers come and go, and fails if anything grows or stays.
pub(super) fn run(options: &Gateway, node: &NodeProcess, report: &mut Report) -> Result<(), BenchError> {
    let http = connect(node)?;
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    // The first minute, or the first quarter of a run that is shorter; what has ended is remembered for a few leases.
    let settled = (length / 4).min(Duration::from_mins(1)).max(8 * Duration::from_millis(lease_ms(options)));
    if settled >= length {
        return Err("so short a run compares nothing: give it more minutes".into());
    }
    let empty = figures(node)?;
    let begun = monotonic_now();
    let shared = Rc::new(Shared {
        address: node.addresses.http.clone(),
        until: begun + length,
        http: RefCell::new(http),
        half_open: RefCell::default(),
        visits: Cell::new(0),
        sessions: Cell::new(0),
        parties: Cell::new(0),
    });
    on_one_thread(async {
        let viewers: Vec<_> = (0..VIEWERS).map(|number| tokio::task::spawn_local(view(Rc::clone(&shared), number))).collect();
        let mut first: BTreeMap<&str, f64> = BTreeMap::new();
        let mut last: BTreeMap<&str, f64> = BTreeMap::new();
        // The most of several looks: what is in a table when one looks is chance.
        while monotonic_now() < shared.until {
            sleep(Duration::from_millis(500)).await;
            let now = monotonic_now();
            let kept = if now.saturating_since(begun) < settled {
                &mut first
            } else if now + settled / 2 > shared.until {
                &mut last
            } else {
                continue;
            };
            for (name, value) in figures(node)? {
                let most = kept.entry(name).or_default();
                *most = value.max(*most);
            }
        }
        for viewer in viewers {
            viewer.await??;
        }
        report.note("visits", "", shared.visits.get() as f64);
        report.note("sessions started", "", shared.sessions.get() as f64);
        report.note("parties created", "", shared.parties.get() as f64);
        let mut grown = Vec::new();
        for (name, before) in &first {
            let after = last.get(name).copied().unwrap_or_default();
            report.note(&format!("{name}, at first"), "", *before);
            report.note(&format!("{name}, at the end"), "", after);
            let slack = if *name == MEMORY { MEMORY_SLACK_MIB } else { TABLE_SLACK };
            if after > before * FACTOR_MAX + slack {
                grown.push(format!("{name} from {before:.0} to {after:.0}"));
            }
        }
        shared.half_open.borrow_mut().clear();
        let gone = monotonic_now();
        let left = loop {
            let left: Vec<String> = figures(node)?
                .into_iter()
                .filter(|(name, value)| *name != MEMORY && *value > empty[name])
                .map(|(name, value)| format!("{name} {value:.0}"))
                .collect();
            if left.is_empty() || monotonic_now().saturating_since(gone) > PATIENCE {
                break left;
            }
            sleep(Duration::from_millis(200)).await;
        };
        report.note("all tables empty after", "s", monotonic_now().saturating_since(gone).as_secs_f64());
        if grown.is_empty() && left.is_empty() {
            return Ok(());
        }
        Err(format!("grown: {grown:?}; left behind: {left:?}").into())
    })
}

const MEMORY: &str = "resident memory, MiB";

fn figures(node: &NodeProcess) -> Result<BTreeMap<&'static str, f64>, BenchError> {
    let mut text = Vec::new();
    Connection::open(&format!("http://{}", node.addresses.admin), None)?.request("GET", "/metrics", &[], &mut text)?;
    let text = String::from_utf8(text)?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        // A figure that was never set is none.
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    let mut figures = BTreeMap::from([(MEMORY, memory(node.process.id()).now_mib)]);
    for name in TABLES {
        figures.insert(name, value(name));
    }
    Ok(figures)
}

/// One viewer after the other.
async fn view(shared: Rc<Shared>, number: u64) -> Result<(), BenchError> {
    for visit in 0.. {
        if monotonic_now() >= shared.until {
            break;
        }
        visit_once(&shared, mixed(number << 32 | visit)).await?;
        shared.visits.set(shared.visits.get() + 1);
    }
    Ok(())
}

async fn visit_once(shared: &Shared, dice: u64) -> Result<(), BenchError> {
    let profile = format!("viewer-{}", dice % PROFILES);
    let device = format!("device-{}", (dice >> 16) % 3);
    // Every way to go meets every other thing that a viewer does.
    let (does, goes) = ((dice >> 24) % 4, (dice >> 32) % 4);
    let mut socket = open(&shared.address, &device, &profile).await?;
    let mut session = None;
    if does == 1 || does == 3 {
        let body = json!({"profile_id": profile, "device_id": device, "title_id": "film"});
        let (status, answer) = shared.ask("POST", "/v1/sessions", &body)?;
        if status == 201 {
            shared.sessions.set(shared.sessions.get() + 1);
            session = answer["session_id"].as_str().map(str::to_owned);
        }
    }
    let mut party = None;
    if does == 2 || does == 3 {
        let body = json!({"profile_id": profile, "device_id": device, "title_id": "film"});
        let (status, answer) = shared.ask("POST", "/v1/parties", &body)?;
        if status == 201 {
            shared.parties.set(shared.parties.get() + 1);
            party = answer["id"].as_str().map(str::to_owned);
            socket.send(Message::text(json!({"type": "party.join", "id": party}).to_string())).await?;
        }
    }
    for beat in 0..3 {
        let event = json!({"profile_id": profile, "device_id": device, "title_id": "film", "kind": "HEARTBEAT",
                           "position_ms": 1_000 * beat, "session_id": session});
        socket.send(Message::text(json!({"type": "events", "id": beat, "events": [event]}).to_string())).await?;
    }
    if dice >> 40 & 1 == 1 {
        if let Some(session) = &session {
            shared.ask("DELETE", &format!("/v1/sessions/{session}"), &Value::Null)?;
        }
        if let Some(party) = &party {
            shared.ask("DELETE", &format!("/v1/parties/{party}/members?profile_id={profile}&device_id={device}"), &Value::Null)?;
        }
    }
    if (dice >> 41).is_multiple_of(4) {
        let mut stream = TcpStream::connect(&shared.address).await?;
        let request = format!("GET /v1/profiles/{profile}/changes HTTP/1.1\r\nhost: {}\r\n\r\n", shared.address);
        stream.write_all(request.as_bytes()).await?;
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(dice >> 44 & 31)).await;
    match goes {
        // With a farewell, without, and with a reset.
        0 => drop(socket.close(None).await),
        1 => drop(socket),
        2 => {
            socket.get_ref().set_zero_linger()?;
            drop(socket);
        }
        _ => {
            let mut half_open = shared.half_open.borrow_mut();
            half_open.push_back(socket);
            if half_open.len() > HALF_OPEN_COUNT_MAX {
                half_open.pop_front();
            }
        }
    }
    Ok(())
}
