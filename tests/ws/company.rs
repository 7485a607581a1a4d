//! Presence, sessions and watch parties over WebSockets.

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::socket::Socket;
use crate::support::{TestNode, event, with};

fn hello(node: &TestNode, profile: &str, device: &str) -> Socket {
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"device_id": device, "profiles": [profile]}));
    socket
}

#[test]
fn the_devices_of_a_profile_see_each_other_come_play_and_go() {
    let node = TestNode::start();
    let mut tv = hello(&node, "ada", "tv");
    tv.wait_for_presence("ada", &json!([{"device_id": "tv", "state": "paused"}]));
    let mut phone = hello(&node, "ada", "phone");
    let both = json!([{"device_id": "phone", "state": "paused"}, {"device_id": "tv", "state": "paused"}]);
    tv.wait_for_presence("ada", &both);
    phone.wait_for_presence("ada", &both);
    // Its heartbeats say that it plays; what it says itself counts as well.
    tv.report(1, &[event("ada", "film", "tv", "PLAY", 1_000)]);
    phone.wait_for_presence(
        "ada",
        &json!([{"device_id": "phone", "state": "paused"}, {"device_id": "tv", "state": "playing", "title_id": "film"}]),
    );
    phone.send(&json!({"type": "state", "state": "background"}));
    tv.wait_for_presence(
        "ada",
        &json!([{"device_id": "phone", "state": "background"}, {"device_id": "tv", "state": "playing", "title_id": "film"}]),
    );
    drop(tv);
    phone.wait_for_presence("ada", &json!([{"device_id": "phone", "state": "background"}]));
    let mut stranger = hello(&node, "bob", "tv");
    stranger.wait_for_presence("bob", &json!([{"device_id": "tv", "state": "paused"}]));
    phone.send(&json!({"type": "state", "state": "dancing", "id": 7}));
    // What the TV played is pushed as well, before or after.
    let mut error = phone.next_of_any();
    while error["type"] != "error" {
        assert!(error["type"] == "progress" || error["type"] == "presence", "{error}");
        error = phone.next_of_any();
    }
    assert_eq!((&error["code"], &error["id"]), (&json!("malformed"), &json!(7)));
}

#[test]
fn who_has_no_socket_can_ask_which_devices_are_there() {
    let keys = Keys::new();
    let node = keys.node();
    let token = keys.token("a", &["--profile", "ada"]);
    let http = node.http.with_token(token.clone());
    let answer = http.get("/v1/profiles/ada/presence");
    assert_eq!((answer.status, &answer.json()["devices"]), (200, &json!([])), "{answer:?}");
    let mut tv = Socket::open(node.http.address);
    tv.hello(json!({"token": token, "device_id": "tv", "profiles": ["ada"]}));
    let devices = || http.get("/v1/profiles/ada/presence").json()["devices"].clone();
    assert_eq!(devices(), json!([{"device_id": "tv", "state": "paused"}]));
    tv.report(1, &[event("ada", "film", "tv", "PLAY", 1_000)]);
    tv.expect("ack");
    // A session alone makes a device present too.
    assert_eq!(http.post("/v1/sessions", &json!({"profile_id": "ada", "title_id": "show", "device_id": "phone"})).status, 201);
    let present = devices();
    assert_eq!(present[1], json!({"device_id": "tv", "state": "playing", "title_id": "film"}), "{present}");
    assert_eq!((present[0]["device_id"].as_str(), present[0]["title_id"].as_str()), (Some("phone"), Some("show")), "{present}");
    drop(tv);
    crate::support::eventually("the TV is gone", || devices().as_array().is_some_and(|devices| devices.len() == 1));
    let write_only = node.http.with_token(keys.token("a", &["--profile", "ada", "--scope", "write"]));
    write_only.get("/v1/profiles/ada/presence").assert_problem(403, "scope_missing");
    http.get("/v1/profiles/bob/presence").assert_problem(403, "profile_not_in_token");
    node.http.get("/v1/profiles/ada/presence").assert_problem(401, "token_missing");
}

#[test]
fn a_party_is_in_one_place_for_all_its_sockets() {
    let node = TestNode::start();
    let host =
        json!({"profile_id": "ada", "device_id": "tv", "title_id": "film", "position_ms": 1_000, "playing": true, "control": "everyone"});
    let party = node.http.post("/v1/parties", &host).json();
    let (id, invite) = (party["id"].clone(), party["invite"].clone());
    let mut sockets: Vec<Socket> =
        [("ada", "tv"), ("bob", "phone"), ("eve", "laptop")].into_iter().map(|(profile, device)| hello(&node, profile, device)).collect();
    for (index, socket) in sockets.iter_mut().enumerate() {
        let field = if index == 1 { "invite" } else { "token" };
        let mut join = json!({"type": "party.join", "id": id});
        join[field] = invite.clone();
        socket.send(&join);
        let joined = socket.wait_for_party("it has joined", |_| true);
        assert_eq!((&joined["id"], &joined["anchor"]["title_id"]), (&id, &json!("film")));
    }
    for socket in &mut sockets {
        let all = socket.wait_for_party("three watch", |party| party["viewers"] == 3);
        assert_eq!(all["host"]["profile_id"], "ada", "{all}");
        assert_eq!(all["members"].as_array().unwrap().len(), 3, "{all}");
    }
    // Two jumps that cross: everybody ends where the later one led.
    sockets[1].send(&json!({"type": "party.control", "id": id, "position_ms": 60_000, "playing": true}));
    sockets[2].send(&json!({"type": "party.control", "id": id, "position_ms": 90_000, "playing": false}));
    let looked = |node: &TestNode| node.http.get(&format!("/v1/parties/{}", id.as_str().unwrap())).json()["anchor"].clone();
    crate::support::eventually("both have been heard", || {
        let anchor = looked(&node);
        anchor["stamp"].as_u64() > party["anchor"]["stamp"].as_u64() && [json!(60_000), json!(90_000)].contains(&anchor["position_ms"])
    });
    for socket in &mut sockets {
        socket.wait_for_party("the last jump", |party| party["anchor"]["stamp"] == looked(&node)["stamp"]);
    }
    let stood = looked(&node)["position_ms"].clone();
    sockets[1].send(&json!({"type": "party.control", "id": id, "position_ms": stood, "playing": false}));
    sockets[0].wait_for_party("it stands", |party| party["anchor"]["position_ms"] == stood && party["anchor"]["playing"] == false);
    sockets[1].send(&json!({"type": "party.control", "id": id, "rate": 1.5}));
    let faster = sockets[0].wait_for_party("its rate is another", |party| party["anchor"]["rate"] == 1.5);
    assert_eq!((&faster["anchor"]["position_ms"], &faster["anchor"]["playing"]), (&stood, &json!(false)), "the rest stays as it is");
    sockets[2].send(&json!({"type": "party.leave", "id": id}));
    sockets[0].wait_for_party("two watch", |party| party["viewers"] == 2);
    let mut stranger = hello(&node, "mal", "tv");
    for message in [
        json!({"type": "party.join", "id": id}),
        json!({"type": "party.join", "id": "none", "token": invite}),
        json!({"type": "party.control", "id": id, "position_ms": 1}),
        json!({"type": "party.control", "id": "none", "position_ms": 1}),
        json!({"type": "party.control", "id": id, "rate": -1.0}),
        json!({"type": "party.control", "id": id, "position_ms": 20_000_000_000_u64}),
    ] {
        stranger.send(&message);
        let error = stranger.expect("error");
        assert!(["not_invited", "not_joined"].contains(&error["code"].as_str().unwrap()), "{message}: {error}");
        assert_eq!(error["id"], message["id"]);
    }
}

#[test]
fn the_session_that_plays_is_known_by_its_heartbeats_whatever_way_they_come() {
    let node = TestNode::start();
    let mut socket = hello(&node, "ada", "tv");
    let dialect = |path: &str, report: Value| assert_eq!(node.http.post(path, &report).json()["accepted"], 1, "{report}");
    let start = || {
        let asked = json!({"profile_id": "ada", "title_id": "trailer", "device_id": "tv"});
        let started = node.http.post("/v1/sessions", &asked).json();
        started["session_id"].as_str().unwrap().to_owned()
    };
    type Way<'a> = &'a dyn Fn(&str, &mut Socket);
    let slow_s = leftoff::time::system::wall_now().as_millis() / 1_000 - 120;
    let ways: [(&str, Way<'_>); 9] = [
        ("an event over HTTP", &|id, _| {
            node.http.record(&[with(event("ada", "film", "tv", "HEARTBEAT", 1_000), "session_id", id)]);
        }),
        ("an event over a socket", &|id, socket| {
            socket.report(1, &[with(event("ada", "film", "tv", "HEARTBEAT", 2_000), "session_id", id)]);
        }),
        ("a heartbeat of a mobile platform", &|id, _| {
            let report = json!({"profile_id": "ada", "movie_id": "film", "device_id": "tv", "video_timestamp_ms": 3_000, "session_id": id});
            dialect("/v1/heartbeats", report);
        }),
        ("the same from a device whose clock is slow", &|id, _| {
            let report = json!({"profile_id": "ada", "movie_id": "film", "device_id": "tv", "video_timestamp_ms": 3_500, "session_id": id,
                                "client_request_time": slow_s});
            dialect("/v1/heartbeats", report);
        }),
        ("an event of such a device over a socket", &|id, socket| {
            let event = with(event("ada", "film", "tv", "HEARTBEAT", 3_700), "session_id", id);
            socket.report(2, &[with(event, "at_ms", slow_s * 1_000)]);
        }),
        ("a record of an episode", &|id, _| {
            dialect("/v1/positions", json!({"userId": "ada", "showId": "film", "deviceId": "tv", "position": 4, "sessionId": id}));
        }),
        ("an update of a learning platform", &|id, _| {
            let report = json!({"userId": "ada", "lessonId": "film", "deviceId": "tv", "position": 5, "state": "playing", "sessionId": id});
            dialect("/api/progress/sync", report);
        }),
        ("the same over a socket", &|id, socket| {
            socket.send(&json!({"type": "position_update", "lessonId": "film", "position": 6, "state": "playing", "sessionId": id}));
        }),
        ("a position of a streamed event", &|id, socket| {
            socket.send(&json!({"type": "playbackSync", "eventId": "film", "position": 7, "sessionId": id}));
        }),
    ];
    for (way, say) in ways {
        let id = start();
        say(&id, &mut socket);
        crate::support::eventually(way, || {
            let renewed = node.http.send("PUT", &format!("/v1/sessions/{id}"), &[], b"").json();
            (renewed["state"].as_str(), renewed["title_id"].as_str()) == (Some("playing"), Some("film"))
        });
        assert_eq!(node.http.delete(&format!("/v1/sessions/{id}")).status, 204);
    }
}

#[test]
fn a_socket_in_a_party_with_two_profiles_stays_with_the_one_that_is_left() {
    let keys = Keys::new();
    let node = keys.node();
    let (both, ada) = (keys.token("a", &["--profile", "ada", "--profile", "bob"]), keys.token("a", &["--profile", "ada"]));
    let http = node.http.with_token(both.clone());
    let host = json!({"profile_id": "ada", "device_id": "tv", "title_id": "film"});
    let party = http.post("/v1/parties", &host).json();
    let (id, invite) = (party["id"].clone(), party["invite"].clone());
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": both, "device_id": "tv", "profiles": ["ada", "bob"]}));
    for profile in ["ada", "bob"] {
        socket.send(&json!({"type": "party.join", "id": id, "token": invite, "profile_id": profile}));
        socket.wait_for_party("it has joined", |_| true);
    }
    socket.send(&json!({"type": "hello", "token": ada, "device_id": "tv", "profiles": ["ada"]}));
    while socket.next()["type"] != "welcome" {}
    let path = format!("/v1/parties/{}/control", id.as_str().unwrap());
    let command = json!({"profile_id": "ada", "device_id": "tv", "position_ms": 60_000});
    assert_eq!(http.post(&path, &command).status, 200);
    socket.wait_for_party("it is told where everybody is", |party| party["anchor"]["position_ms"] == 60_000);
}

#[test]
fn a_session_within_the_limit_is_told_nothing() {
    let keys = Keys::new();
    let node = keys.node_with(&[("LEFTOFF_LIMITS__STREAMS_MAX", "1")]);
    let token = keys.token("a", &["--profile", "ada"]);
    let http = node.http.with_token(token.clone());
    let start = |device: &str| http.post("/v1/sessions", &json!({"profile_id": "ada", "title_id": "film", "device_id": device}));
    let first = start("tv").json()["session_id"].clone();
    assert_eq!(start("phone").status, 429);
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": token, "device_id": "tv", "profiles": ["ada"]}));
    socket.report(1, &[with(event("ada", "film", "tv", "HEARTBEAT", 1_000), "session_id", first.clone())]);
    assert_eq!(socket.expect("ack")["accepted"], 1);
    socket.assert_silent();
}

#[test]
fn a_socket_is_told_nothing_of_profiles_it_does_not_hold() {
    let keys = Keys::new();
    let node = keys.node();
    let (ada, bob) = (keys.token("a", &["--profile", "ada"]), keys.token("a", &["--profile", "bob"]));
    let mut of_ada = Socket::open(node.http.address);
    of_ada.hello(json!({"token": ada, "device_id": "tv", "profiles": ["ada"]}));
    let mut of_bob = Socket::open(node.http.address);
    of_bob.hello(json!({"token": bob, "device_id": "phone", "profiles": ["bob"]}));
    of_ada.send(&json!({"type": "state", "state": "playing", "profile_id": "bob"}));
    assert_eq!(of_ada.expect("error")["code"], "malformed");
    for message in ["party.join", "party.leave", "party.control"] {
        of_ada.send(&json!({"type": message, "id": "x", "profile_id": "bob", "position_ms": 1}));
        assert_eq!(of_ada.expect("error")["code"], "profile_not_in_token", "{message}");
    }
    of_bob.send(&json!({"type": "state", "state": "playing", "title_id": "film"}));
    of_bob.wait_for_presence("bob", &json!([{"device_id": "phone", "state": "playing", "title_id": "film"}]));
    loop {
        of_ada.send(&json!({"type": "ping"}));
        let message: Value = of_ada.next_of_any();
        assert!(!message.to_string().contains("bob") && !message.to_string().contains("phone"), "{message}");
        if message["type"] == "pong" {
            break;
        }
    }
}
