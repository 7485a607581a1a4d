//! Pushes between regions: real processes, and lines between them that can be cut. And what a process holds while clients come and go.

use std::time::Duration;

use serde_json::{Value, json};

use crate::processes::cluster::Cluster;
use crate::processes::dice::Dice;
use crate::processes::relay::Weather;
use crate::socket::Socket;
use crate::support::{Client, event, eventually};

fn http(cluster: &Cluster, index: usize) -> Client {
    Client::new(cluster.nodes[index].addresses().http)
}

fn follow(cluster: &Cluster, index: usize, device: &str) -> Socket {
    let mut socket = Socket::open(cluster.nodes[index].addresses().http);
    socket.hello(json!({"device_id": device, "profiles": ["ada"]}));
    socket
}

#[test]
fn a_change_reaches_the_devices_at_every_node_and_a_cut_only_delays_it() {
    let cluster = Cluster::mesh(&mut Dice::of_this_run("pushes between regions"), 2);
    let (mut tv, mut phone) = (follow(&cluster, 0, "tv"), follow(&cluster, 1, "phone"));
    tv.report(1, &[event("ada", "film", "tv", "PAUSE", 60_000)]);
    assert_eq!(tv.expect("ack")["accepted"], 1);
    let pushed = phone.expect("progress");
    assert_eq!((&pushed["position_ms"], &pushed["device_id"]), (&json!(60_000), &json!("tv")));
    // The cursor is of the node that pushes, not of the one where it was watched.
    let at_phone = http(&cluster, 1).progress("ada", "film")["cursor"].clone();
    assert_eq!(pushed["cursor"], at_phone);
    cluster.set_line(0, 1, &Weather::CUT);
    phone.report(1, &[event("ada", "film", "phone", "SEEK", 600_000)]);
    assert_eq!(phone.expect("ack")["accepted"], 1);
    tv.assert_silent();
    cluster.heal();
    assert_eq!(tv.expect("progress")["position_ms"], 600_000);
    // Resumed at the other node, its cursor means nothing there: everything is told.
    drop(phone);
    let mut moved = Socket::open(cluster.nodes[0].addresses().http);
    moved.hello(json!({"device_id": "phone", "profiles": ["ada"], "since": at_phone}));
    moved.expect("reset");
    assert_eq!(moved.expect("progress")["position_ms"], 600_000);
    moved.assert_silent();
}

#[test]
fn a_kill_ends_no_cursor_and_a_reader_goes_on_where_it_was() {
    let mut cluster = Cluster::mesh(&mut Dice::of_this_run("a cursor survives a kill"), 1);
    let mut socket = follow(&cluster, 0, "tv");
    http(&cluster, 0).record(&[event("ada", "seen", "phone", "PAUSE", 1_000)]);
    let cursor = socket.expect("progress")["cursor"].clone();
    http(&cluster, 0).record(&[event("ada", "missed", "phone", "PAUSE", 2_000)]);
    cluster.nodes[0].kill();
    drop(socket);
    cluster.start(0);
    let mut socket = Socket::open(cluster.nodes[0].addresses().http);
    socket.hello(json!({"device_id": "tv", "profiles": ["ada"], "since": cursor}));
    assert_eq!(socket.expect("progress")["title_id"], "missed");
    socket.assert_silent();
}

#[test]
fn a_node_with_many_sockets_of_which_some_do_not_read_stops_in_time() {
    let mut cluster = Cluster::mesh(&mut Dice::of_this_run("many sockets at a stop"), 1);
    let mut sockets: Vec<Socket> = (0..200).map(|index| follow(&cluster, 0, &format!("d{index}"))).collect();
    let begun = leftoff::time::system::monotonic_now();
    cluster.nodes[0].signal("TERM");
    // Half of them read, and are told when to come back.
    let mut waits: Vec<u64> = Vec::new();
    for socket in &mut sockets[..100] {
        let (bye, close) = socket.goodbye();
        assert_eq!((&bye["code"], close), (&json!("restart"), 1012));
        waits.push(bye["retry_after_ms"].as_u64().unwrap());
    }
    assert!(cluster.nodes[0].ended_within(Duration::from_secs(15)).success());
    assert!(leftoff::time::system::monotonic_now().saturating_since(begun) < Duration::from_secs(10));
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 50, "they do not come back together: {waits:?}");
}

/// Clients that come, report, are told and go, some of them without a word: what the node holds does not grow with how many there were.
#[test]
fn nothing_grows_while_clients_come_and_go() {
    let cluster = Cluster::mesh(&mut Dice::of_this_run("churn"), 1);
    let address = cluster.nodes[0].addresses().http;
    // LEFTOFF_TEST_ROUNDS=600 makes a run of about ten minutes.
    let rounds = std::env::var_os("LEFTOFF_TEST_ROUNDS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(12_u64);
    let mut held = Vec::new();
    for round in 0..rounds {
        let mut sockets: Vec<Socket> = (0..60_u64)
            .map(|index| {
                let mut socket = Socket::open(address);
                socket.hello(json!({"device_id": format!("d{round}-{index}"), "profiles": [format!("p{}", index % 30)], "since": "x"}));
                socket
            })
            .collect();
        for (index, socket) in sockets.iter_mut().enumerate() {
            let profile = format!("p{}", index % 30);
            socket.report(round, &[event(&profile, "film", "tv", "HEARTBEAT", round * 1_000 + index as u64)]);
            socket.send(&json!({"type": "ping", "id": round}));
        }
        for (index, socket) in sockets.iter_mut().enumerate() {
            let mut waited = vec!["ack", "pong"];
            while !waited.is_empty() {
                let message: Value = socket.next();
                waited.retain(|kind| message["type"] != *kind);
            }
            if index % 2 == 0 {
                let _ = socket.inner.close(None);
            }
        }
        drop(sockets);
        held.push(cluster.nodes[0].resident_kib());
    }
    eventually("all places are free again", || {
        let metrics = Client::new(cluster.nodes[0].addresses().admin).get("/metrics").text;
        metrics.lines().any(|line| line == "leftoff_push_readers 0")
    });
    let (early, late) = (held[held.len() / 3], *held.last().unwrap());
    assert!(late < early + 16 * 1_024, "resident KiB over the rounds: {held:?}");
}

/// All clients of a node are cut off at once and come back at once: all are let in, and others are served meanwhile.
#[test]
fn clients_that_come_back_all_at_once_are_let_in_without_an_outage() {
    let mut cluster = Cluster::prepare(&mut Dice::of_this_run("all at once"), 1, |_, _| true);
    cluster.nodes[0].setup.gateway = "sockets_max = 400".to_owned();
    cluster.nodes[0].setup.limits = "profile_events_per_s = 0".to_owned();
    cluster.start_all();
    let address = cluster.nodes[0].addresses().http;
    let sockets: Vec<Socket> = (0..400)
        .map(|index| {
            let mut socket = Socket::open(address);
            socket.hello(json!({"device_id": "d", "profiles": [format!("p{index}")]}));
            socket
        })
        .collect();
    drop(sockets);
    let returning: Vec<_> = (0..400)
        .map(|index| {
            std::thread::spawn(move || {
                // As clients are told to: those for whom there is no room yet come again.
                let mut socket = loop {
                    match Socket::try_open(address, &[]) {
                        Ok(socket) => break socket,
                        Err(refused) => assert_eq!(refused.status, 503, "{refused:?}"),
                    }
                };
                socket.hello(json!({"device_id": "d", "profiles": [format!("p{index}")], "since": "x"}));
                socket
            })
        })
        .collect();
    let http = http(&cluster, 0);
    let mut served = 0;
    while returning.iter().any(|thread| !thread.is_finished()) {
        http.record(&[event("other", "film", "tv", "HEARTBEAT", served * 1_000)]);
        served += 1;
    }
    let back: Vec<Socket> = returning.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(back.len(), 400);
}
