//! Presence over two regions, and what a killed node leaves behind.

use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::socket::Socket;
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use crate::viewer::{Player, cluster, is_refused, renew, start};

#[test]
fn a_killed_node_takes_its_devices_and_streams_with_it() {
    let mut dice = Dice::of_this_run("a node is killed");
    let mut cluster = cluster(&mut dice, 2, 2);
    let (eu, us) = (cluster.client_of(0, &["ann"]), cluster.client_of(1, &["ann"]));
    let hello = |index: usize, device: &str| {
        let mut socket = Socket::open(cluster.nodes[index].addresses().http);
        socket.hello(json!({"token": cluster.token(&["ann"]), "device_id": device, "profiles": ["ann"]}));
        socket
    };
    let mut phone = hello(1, "phone");
    phone.wait_for_presence("ann", &json!([{"device_id": "phone", "state": "paused"}]));
    let mut tv = hello(0, "tv");
    tv.send(&json!({"type": "state", "state": "playing", "title_id": "film"}));
    let both = json!([{"device_id": "phone", "state": "paused"}, {"device_id": "tv", "state": "playing", "title_id": "film"}]);
    phone.wait_for_presence("ann", &both);
    tv.wait_for_presence("ann", &both);

    let lost = start(&eu, "ann", "console").unwrap();
    let kept = start(&us, "ann", "phone").unwrap();
    let _player = Player::of(&us, &kept);
    eventually(SOON, "no stream is left at the other node", || match start(&us, "ann", "laptop") {
        answer if is_refused(&answer, "too_many_streams") => Ok(()),
        answer => {
            if let Ok(session) = &answer {
                let _ = us.send("DELETE", &format!("/v1/sessions/{session}"), None);
            }
            Err(format!("{answer:?}"))
        }
    });
    cluster.nodes[0].kill();
    phone.set_patience(Duration::from_millis(200));
    eventually(SOON, "its devices are gone when its lease has ended", || match phone.inner.read() {
        Ok(Message::Text(text)) => {
            let message: Value = serde_json::from_str(&text).unwrap();
            let devices = message["devices"].as_array().cloned().unwrap_or_default();
            let only_phone = !devices.is_empty() && devices.iter().all(|device| device["device_id"] == "phone");
            if message["type"] == "presence" && only_phone { Ok(()) } else { Err(message.to_string()) }
        }
        other => Err(format!("{other:?}")),
    });
    let second = eventually(SOON, "its stream is free", || start(&us, "ann", "laptop"));
    let _other_player = Player::of(&us, &second);
    // Started again, it knows nothing of them, and hears what there is.
    cluster.start(0);
    let eu = cluster.client_of(0, &["ann"]);
    eventually(SOON, "the streams that there are can be renewed where the lost ones were", || renew(&eu, &kept).and(renew(&eu, &second)));
    assert!(is_refused(&start(&eu, "ann", "tv"), "too_many_streams"));
    assert!(is_refused(&renew(&eu, &lost), "session_gone"));
}
