//! Watch parties over HTTP, at one node.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::support::{Answer, Client, TestNode, eventually};

fn create(client: &Client, profile: &str, control: &str) -> (String, String) {
    let body =
        json!({"profile_id": profile, "device_id": "tv", "title_id": "film", "position_ms": 1_000, "playing": true, "control": control});
    let answer = client.post("/v1/parties", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let party = answer.json();
    assert_eq!((&party["viewers"], &party["host"]["profile_id"]), (&json!(1), &json!(profile)), "{party}");
    (party["id"].as_str().unwrap().to_owned(), party["invite"].as_str().unwrap().to_owned())
}

fn join(client: &Client, party: &str, profile: &str, invite: Option<&str>) -> Answer {
    client.post(&format!("/v1/parties/{party}/members"), &json!({"profile_id": profile, "device_id": "tv", "invite": invite}))
}

fn command(client: &Client, party: &str, profile: &str, command: Value) -> Answer {
    let mut body = json!({"profile_id": profile, "device_id": "tv"});
    body.as_object_mut().unwrap().extend(command.as_object().unwrap().clone());
    client.post(&format!("/v1/parties/{party}/control"), &body)
}

fn look(client: &Client, party: &str) -> Answer {
    client.get(&format!("/v1/parties/{party}"))
}

#[test]
fn a_party_from_its_making_to_its_second_host() {
    let node = TestNode::start();
    let (party, invite) = create(&node.http, "ann", "host");
    for profile in ["bob", "cid"] {
        let joined = join(&node.http, &party, profile, Some(&invite));
        assert_eq!(joined.status, 200, "{joined:?}");
        assert_eq!(joined.json()["anchor"]["title_id"], "film");
        assert!(joined.json()["invite"].is_null(), "whoever has it passes it on, the node does not");
    }
    let shown = look(&node.http, &party).json();
    assert_eq!(shown["viewers"], 3);
    assert_eq!(shown["members"], json!([{"profile_id": "ann"}, {"profile_id": "bob"}, {"profile_id": "cid"}]));
    assert_eq!(
        (&shown["anchor"]["position_ms"], &shown["anchor"]["playing"], &shown["control"]),
        (&json!(1_000), &json!(true), &json!("host"))
    );
    command(&node.http, &party, "bob", json!({"position_ms": 5_000})).assert_problem(403, "not_host");
    let seek = command(&node.http, &party, "ann", json!({"position_ms": 5_000, "nonce": 1}));
    assert_eq!((seek.status, &seek.json()["anchor"]["position_ms"], &seek.json()["anchor"]["playing"]), (200, &json!(5_000), &json!(true)));
    let leave = format!("/v1/parties/{party}/members?profile_id=ann&device_id=tv");
    assert_eq!(node.http.delete(&leave).status, 204);
    assert_eq!(node.http.delete(&leave).status, 204);
    assert_eq!(look(&node.http, &party).json()["host"]["profile_id"], "bob");
    command(&node.http, &party, "ann", json!({"position_ms": 9_000})).assert_problem(403, "not_invited");
    assert_eq!(command(&node.http, &party, "bob", json!({"control": "everyone"})).json()["control"], "everyone");
    // A remote control that only pauses leaves everybody where they are.
    let paused = command(&node.http, &party, "cid", json!({"playing": false})).json()["anchor"].clone();
    let stood = paused["position_ms"].as_u64().unwrap();
    assert!((5_000..60_000).contains(&stood) && paused["playing"] == false, "{paused}");
    let played = command(&node.http, &party, "bob", json!({"playing": true})).json()["anchor"].clone();
    assert_eq!((&played["position_ms"], &played["playing"]), (&json!(stood), &json!(true)));
    assert_eq!(command(&node.http, &party, "bob", json!({"title_id": "other"})).json()["anchor"]["position_ms"], 0, "of another title");
    let paused =
        command(&node.http, &party, "cid", json!({"position_ms": 7_000, "playing": false, "rate": 1.5, "title_id": "next"})).json();
    let anchor = &paused["anchor"];
    assert_eq!(
        (&anchor["position_ms"], &anchor["playing"], &anchor["rate"], &anchor["title_id"]),
        (&json!(7_000), &json!(false), &json!(1.5), &json!("next"))
    );
}

#[test]
fn only_those_who_were_invited_see_a_party() {
    let keys = Keys::new();
    let node = keys.node();
    let client = |profile: &str| node.http.with_token(keys.token("a", &["--profile", profile]));
    let (ann, bob, eve) = (client("ann"), client("bob"), client("eve"));
    let (party, invite) = create(&ann, "ann", "host");
    look(&node.http, &party).assert_problem(401, "token_missing");
    for party in [party.as_str(), "absent"] {
        look(&eve, party).assert_problem(403, "not_invited");
        join(&eve, party, "eve", None).assert_problem(403, "not_invited");
        join(&eve, party, "eve", Some("00000000000000000000000000000000")).assert_problem(403, "not_invited");
        join(&eve, party, "eve", Some("guess")).assert_problem(403, "not_invited");
        command(&eve, party, "eve", json!({"position_ms": 1})).assert_problem(403, "not_invited");
        // Nor does what is wrong with a command tell of the party.
        for wrong in [json!({"rate": -1.0}), json!({"title_id": ""}), json!({"position_ms": 20_000_000_000_u64})] {
            command(&eve, party, "eve", wrong).assert_problem(403, "not_invited");
        }
        command(&eve, party, "eve", json!({"control": "everyone"})).assert_problem(403, "not_invited");
        assert_eq!(eve.delete(&format!("/v1/parties/{party}/members?profile_id=eve&device_id=tv")).status, 204);
    }
    join(&eve, &party, "ann", Some(&invite)).assert_problem(403, "profile_not_in_token");
    assert_eq!(bob.send("GET", &format!("/v1/parties/{party}"), &[("leftoff-invite", &invite)], b"").status, 200);
    assert_eq!(join(&bob, &party, "bob", Some(&invite)).status, 200);
    assert_eq!(look(&bob, &party).status, 200);
    assert_eq!(join(&bob, &party, "bob", None).status, 200, "who is in needs no invitation any more");
    assert_eq!(look(&ann, &party).json()["viewers"], 2);
}

#[test]
fn one_profile_cannot_use_up_the_parties_of_everybody() {
    let node = TestNode::with(&[("LEFTOFF_LIMITS__LEASE_MS", "1000")]);
    for _ in 0..8 {
        create(&node.http, "ann", "host");
    }
    let body = json!({"profile_id": "ann", "device_id": "tv", "title_id": "film"});
    let refused = node.http.post("/v1/parties", &body);
    refused.assert_problem(429, "too_many_parties");
    assert!(!refused.header("retry-after").is_empty());
    create(&node.http, "bob", "host");
    eventually("parties that nobody is in are over, and make room", || node.http.post("/v1/parties", &body).status == 201);
}

#[test]
fn what_is_no_party_is_refused() {
    let node = TestNode::start();
    let body = json!({"profile_id": "ann", "device_id": "tv"});
    node.http.post("/v1/parties", &body).assert_problem(400, "malformed");
    for (field, value, code) in [
        ("control", json!("nobody"), "malformed"),
        ("rate", json!(0.0), "malformed"),
        ("position_ms", json!(20_000_000_000_u64), "position_too_large"),
        ("device_id", json!(""), "bad_id"),
    ] {
        let mut body = json!({"profile_id": "ann", "device_id": "tv", "title_id": "film"});
        body[field] = value;
        node.http.post("/v1/parties", &body).assert_problem(400, code);
    }
    let (party, _) = create(&node.http, "ann", "everyone");
    node.http.delete(&format!("/v1/parties/{party}/members")).assert_problem(400, "bad_query");
    look(&node.http, "absent").assert_problem(403, "not_invited");
    let far = command(&node.http, &party, "ann", json!({"position_ms": 20_000_000_000_u64}));
    far.assert_problem(400, "position_too_large");
}
