//! Viewers as clients of nodes: what they ask, and how they stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::http::{Client, Trouble};
use crate::support::issuer::Issuer;
use crate::support::patience::pause;

/// Short enough for a test, long enough for a machine that is busy with everything else.
pub const LEASE_MS: u64 = 6_000;

/// Regions that want tokens, with short leases and few streams.
pub fn cluster(dice: &mut Dice, count: usize, streams_max: usize) -> Cluster {
    let mut cluster = Cluster::prepare(dice, count, |_, _| true);
    let issuer = Issuer::make(&cluster.scratch("keys"));
    for node in &mut cluster.nodes {
        node.setup.token_key = Some(issuer.public_key());
        node.setup.limits = format!("streams_max = {streams_max}\nlease_ms = {LEASE_MS}");
    }
    cluster.issuer = Some(issuer);
    cluster.start_all();
    for index in 0..count {
        cluster.wait_for_links(index, count - 1);
    }
    cluster
}

pub fn post(client: &Client, path: &str, body: &Value) -> Result<Value, Trouble> {
    client.send("POST", path, Some(&body.to_string())).map(|(_, text)| serde_json::from_str(&text).unwrap())
}

pub fn start(client: &Client, profile: &str, device: &str) -> Result<String, Trouble> {
    let body = json!({"profile_id": profile, "title_id": "film", "device_id": device});
    post(client, "/v1/sessions", &body).map(|started| started["session_id"].as_str().unwrap().to_owned())
}

pub fn renew(client: &Client, session: &str) -> Result<(), Trouble> {
    client.send("PUT", &format!("/v1/sessions/{session}"), Some("{}")).map(|_| ())
}

pub fn join(client: &Client, party: &str, profile: &str, invite: Option<&str>) -> Result<Value, Trouble> {
    post(client, &format!("/v1/parties/{party}/members"), &json!({"profile_id": profile, "device_id": "tv", "invite": invite}))
}

pub fn seek(client: &Client, party: &str, profile: &str, position_ms: u64) -> Result<Value, Trouble> {
    let body = json!({"profile_id": profile, "device_id": "tv", "position_ms": position_ms, "playing": true, "nonce": position_ms});
    post(client, &format!("/v1/parties/{party}/control"), &body)
}

pub fn look(client: &Client, party: &str) -> Result<Value, Trouble> {
    client.send("GET", &format!("/v1/parties/{party}"), None).map(|(_, text)| serde_json::from_str(&text).unwrap())
}

/// Refused with this code: the streams are taken, or there is no such thing here.
pub fn is_refused<T>(answer: &Result<T, Trouble>, code: &str) -> bool {
    answer.as_ref().is_err_and(|trouble| trouble.code() == Some(code))
}

/// A player that stays: it renews its session until it is dropped.
pub struct Player {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    pub fn of(client: &Client, session: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, session, stopped) = (client.clone(), session.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                // What is lost is found by the test that looks for it.
                let _ = renew(&client, &session);
                pause(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
