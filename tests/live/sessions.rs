//! The limit of streams over two regions: together, cut apart, and together again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::http::Client;
use crate::support::patience::{SOON, eventually, throughout};
use crate::support::relay::Weather;
use crate::viewer::{LEASE_MS, Player, cluster, is_refused, renew, start};

/// Players that report, and whether each still has its stream.
struct Players<'a>(Vec<(&'a Client, String)>);

impl Players<'_> {
    /// Renews all; fails with whichever has lost its session.
    fn keep(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|(client, session)| renew(client, session).map_err(|trouble| format!("{session}: {trouble}")))
    }
}

/// The socket of the player that is let in too late.
fn watch(cluster: &Cluster) -> Socket {
    let mut socket = Socket::open(cluster.nodes[1].addresses().http);
    socket.hello(json!({"token": cluster.token(&["ann", "bob"]), "device_id": "watch", "profiles": ["bob"]}));
    socket
}

fn report(socket: &mut Socket, session: &str, position_ms: u64) {
    let event: Value = json!({"profile_id": "bob", "title_id": "film", "device_id": "watch", "kind": "HEARTBEAT",
        "position_ms": position_ms, "session_id": session});
    socket.report(position_ms, &[event]);
}

#[test]
fn the_limit_counts_all_regions_is_best_effort_while_they_are_cut_and_exact_again_after() {
    let mut dice = Dice::of_this_run("streams of two regions");
    let cluster = cluster(&mut dice, 2, 2);
    let (eu, us) = (cluster.client_of(0, &["ann", "bob"]), cluster.client_of(1, &["ann", "bob"]));
    let mut players = Players(vec![(&eu, start(&eu, "ann", "tv").unwrap())]);
    eventually(SOON, "the other region hears of it", || renew(&us, &players.0[0].1));
    // Renewed at the other node it is held there; its player goes on at the first.
    eventually(SOON, "and gives it back", || players.keep());
    players.0.push((&us, start(&us, "bob", "phone").unwrap()));
    eventually(SOON, "both regions know that no stream is left", || {
        players.keep()?;
        let refused = [&eu, &us].map(|client| start(client, "ann", "laptop"));
        if refused.iter().all(|answer| is_refused(answer, "too_many_streams")) {
            return Ok(());
        }
        // It came before the news did; it is not needed.
        for (client, session) in [&eu, &us].into_iter().zip(refused) {
            if let Ok(session) = session {
                let _ = client.send("DELETE", &format!("/v1/sessions/{session}"), None);
            }
        }
        Err(String::from("one more was let in"))
    });
    let other = cluster.issuer.as_ref().unwrap().token("others", &["cid"]);
    start(&us.with_token(&other), "cid", "tv").unwrap();

    cluster.set_line(0, 1, &Weather::CUT);
    // Each region counts what it hears of; what the other said lapses.
    let late = [(&eu, "ann", "tablet"), (&us, "bob", "watch")].map(|(client, profile, device)| {
        let session = eventually(SOON, "a stream is free where nothing is heard of the other region", || {
            players.keep()?;
            start(client, profile, device).map_err(|trouble| trouble.to_string())
        });
        players.0.push((client, session.clone()));
        (client, session)
    });
    throughout(Duration::from_millis(LEASE_MS), "four play while the regions are cut", || players.keep());

    let mut socket = watch(&cluster);
    report(&mut socket, &late[1].1, 1_000);
    assert_eq!(socket.expect("ack")["accepted"], 1);

    cluster.heal();
    players.0.truncate(2);
    for (client, session) in &late {
        eventually(SOON, "the later ones lose their stream", || {
            players.keep()?;
            match renew(client, session) {
                Err(trouble) if trouble.code() == Some("too_many_streams") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    let told = |socket: &mut Socket| {
        let (bye, close) = socket.goodbye();
        assert_eq!((&bye["code"], &bye["session_id"], close), (&json!("too_many_streams"), &json!(late[1].1), 1008));
    };
    told(&mut socket);
    // Who comes back with it is told again, and after what it reported was acknowledged: or it would report that for ever.
    let mut again = watch(&cluster);
    report(&mut again, &late[1].1, 2_000);
    assert_eq!(again.expect("ack")["accepted"], 1);
    told(&mut again);
    throughout(Duration::from_secs(1), "the earlier ones keep theirs", || players.keep());
    for client in [&eu, &us] {
        assert!(is_refused(&start(client, "ann", "laptop"), "too_many_streams"));
    }
}

#[test]
fn of_two_starts_at_once_in_two_regions_the_earlier_stays_and_the_later_is_told_by_bye() {
    let mut dice = Dice::of_this_run("two starts at once");
    let cluster = cluster(&mut dice, 2, 1);
    let clients = [cluster.client_of(0, &["ann"]), cluster.client_of(1, &["ann"])];
    // Neither region can know of the other's while they are cut: both are let in, one after the other.
    cluster.set_line(0, 1, &Weather::CUT);
    let sessions = [start(&clients[0], "ann", "tv").unwrap(), start(&clients[1], "ann", "phone").unwrap()];
    let mut sockets: Vec<Socket> = ["tv", "phone"]
        .iter()
        .enumerate()
        .map(|(index, device)| {
            let mut socket = Socket::open(cluster.nodes[index].addresses().http);
            socket.hello(json!({"token": cluster.token(&["ann"]), "device_id": device, "profiles": ["ann"]}));
            let beat = json!({"profile_id": "ann", "title_id": "film", "device_id": device, "kind": "HEARTBEAT", "position_ms": 1_000,
                              "session_id": sessions[index]});
            socket.report(1, &[beat]);
            socket.expect("ack");
            socket
        })
        .collect();
    let _players = [Player::of(&clients[0], &sessions[0]), Player::of(&clients[1], &sessions[1])];
    cluster.heal();
    let (bye, close) = sockets[1].goodbye();
    assert_eq!((&bye["code"], &bye["session_id"], close), (&json!("too_many_streams"), &json!(sessions[1]), 1008));
    assert!(is_refused(&renew(&clients[1], &sessions[1]), "too_many_streams"));
    throughout(Duration::from_secs(1), "the earlier one plays on", || renew(&clients[0], &sessions[0]));
    sockets[0].send(&json!({"type": "ping", "id": "here"}));
    while sockets[0].next()["id"] != "here" {}
}
