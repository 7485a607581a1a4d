//! Two tenants: with one's token, nothing tells whether the other exists. Over every request that the description lists.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::process::{NodeProcess, serve_with_tokens};
use crate::socket::Socket;
use crate::support::{Answer, Client, event};

/// What belongs to one profile: itself, a session of it, a party that it hosts.
struct Tenant {
    profile: &'static str,
    session: String,
    party: String,
}

/// The body of a request, about a tenant.
fn body(schema: &str, tenant: &Tenant) -> Value {
    let profile = tenant.profile;
    match schema {
        "Batch" => json!({"events": [event(profile, "film", "tv", "PAUSE", 1_000)]}),
        "Heartbeat" => json!({"profile_id": profile, "movie_id": "film", "device_id": "tv", "video_timestamp_ms": 1_000}),
        "PositionRecord" => json!({"userId": profile, "episodeId": "film", "position": 1}),
        "ProgressSync" => json!({"userId": profile, "lessonId": "film", "deviceId": "tv", "position": 1, "state": "paused"}),
        "NewSession" | "NewParty" => json!({"profile_id": profile, "title_id": "film", "device_id": "tv"}),
        "SessionRenewal" => json!({"state": "playing"}),
        "PartyCommand" => json!({"profile_id": profile, "device_id": "tv", "title_id": "film", "position_ms": 1_000}),
        "NewMember" => json!({"profile_id": profile, "device_id": "tv"}),
        other => panic!("a body of {other} is not known here"),
    }
}

fn send(client: &Client, method: &str, path: &str, schema: Option<&str>, tenant: &Tenant) -> Answer {
    let mut path = path.replace("{profile}", tenant.profile).replace("{title}", "film");
    path = path.replace("{session}", &tenant.session).replace("{party}", &tenant.party);
    if method == "delete" && path.ends_with("/members") {
        path = format!("{path}?profile_id={}&device_id=tv", tenant.profile);
    }
    let body = schema.map(|schema| body(schema, tenant).to_string()).unwrap_or_default();
    client.send(&method.to_uppercase(), &path, &[("content-type", "application/json")], body.as_bytes())
}

fn without_id(answer: &Answer) -> (u16, Value) {
    let mut json = answer.json();
    json["request_id"] = Value::Null;
    (answer.status, json)
}

/// Every request that the description lists, with the name of its body.
fn requests(node: &Client) -> Vec<(String, String, Option<String>)> {
    let description: Value = node.get("/v1/openapi.json").json();
    let mut requests = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if path == "/v1/openapi.json" || path == "/v1/ws" {
                continue;
            }
            let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
            let reference = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str());
            let schema = reference.and_then(|reference| reference.rsplit('/').next()).map(str::to_owned);
            requests.push((method.clone(), path.clone(), schema));
        }
    }
    assert!(requests.len() > 15, "{requests:?}");
    requests
}

/// A tenant of whom a node knows everything that it can know, and one that never was.
fn tenants(owner: &Client) -> [Tenant; 2] {
    owner.record(&[event("secret", "film", "tv", "PAUSE", 600_000)]);
    let answer = owner.post("/v1/sessions", &json!({"profile_id": "secret", "title_id": "film", "device_id": "tv"}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = answer.json()["session_id"].as_str().unwrap().to_owned();
    let answer = owner.post("/v1/parties", &json!({"profile_id": "secret", "title_id": "film", "device_id": "tv"}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let party = answer.json()["id"].as_str().unwrap().to_owned();
    let existing = Tenant { profile: "secret", session, party };
    [existing, Tenant { profile: "absent", session: "0".repeat(32), party: "0".repeat(32) }]
}

/// The series of a node's figures, without what they count.
fn series(admin: &Client) -> BTreeSet<String> {
    let text = admin.get("/metrics").text;
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

fn figure(admin: &Client, name: &str) -> f64 {
    let text = admin.get("/metrics").text;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
}

#[test]
fn with_one_s_token_nothing_tells_whether_the_other_exists() {
    let keys = Keys::new();
    let folder = tempfile::tempdir().unwrap();
    let public = keys.dir("a").join("tokens.pub.pem");
    let node = NodeProcess::of(serve_with_tokens(folder.path(), "LEFTOFF_AUTH__KEY_FILES", &public, "info"));
    let owner = node.http.with_token(keys.token_of("a", "other", &["--profile", "secret"]));
    let both = tenants(&owner);
    let token = keys.token("a", &["--profile", "ann"]);
    let ann = node.http.with_token(token.clone());
    let requests = requests(&node.http);
    // Once before anything is compared, so that every series is there that such requests make.
    for (method, path, schema) in &requests {
        send(&ann, method, path, schema.as_deref(), &both[1]);
    }
    let (reads, known, logged) = (figure(&node.admin, "leftoff_store_reads"), series(&node.admin), node.log.lock().unwrap().len());
    for (method, path, schema) in &requests {
        let [of_existing, of_absent] = [&both[0], &both[1]].map(|tenant| send(&ann, method, path, schema.as_deref(), tenant));
        assert_eq!(without_id(&of_existing), without_id(&of_absent), "{method} {path}");
        assert!(matches!(of_existing.status, 403 | 404), "{method} {path}: {of_existing:?}");
        assert!(!of_existing.text.contains("secret"), "{of_existing:?}");
        let names: Vec<_> = of_existing.headers.keys().collect();
        assert_eq!(names, of_absent.headers.keys().collect::<Vec<_>>(), "{method} {path}");
    }
    // How long it takes cannot depend on what is stored: nothing is looked up.
    assert_eq!(figure(&node.admin, "leftoff_store_reads"), reads);
    assert_eq!(series(&node.admin), known, "nor does any figure come or go");
    let figures = node.admin.get("/metrics").text;
    assert!(!figures.contains("secret") && !figures.contains("absent"), "ids are never labels");
    let log = node.log.lock().unwrap().clone();
    assert!(log[logged..].is_empty(), "at info nothing is said of it: {:?}", &log[logged..]);
    assert!(!log.iter().any(|line| line.to_string().contains("secret")), "{log:?}");
    // And nothing was done: the other's things are as they were.
    assert_eq!(owner.progress("secret", "film")["position_ms"], 600_000);
    assert!(figure(&node.admin, "leftoff_store_reads") > reads, "which is looked up");
    assert_eq!(owner.get(&format!("/v1/parties/{}", both[0].party)).status, 200);

    // The same over a socket: what is said, and how it ends.
    let mut sockets = [0, 1].map(|_| {
        let mut socket = Socket::open(node.http.address);
        socket.hello(json!({"token": token, "device_id": "d", "profiles": ["ann"]}));
        socket
    });
    let before = figure(&node.admin, "leftoff_store_reads");
    for kind in ["events", "state", "party.join", "party.control", "party.leave", "position_update", "playbackSync"] {
        let answers: Vec<Value> = sockets
            .iter_mut()
            .zip(&both)
            .map(|(socket, tenant)| {
                let profile = tenant.profile;
                let id = if kind.starts_with("party") { json!(tenant.party) } else { json!(1) };
                socket.send(
                    &json!({"type": kind, "id": id, "profile_id": profile, "userId": profile, "state": "playing", "position_ms": 1,
                    "position": 1, "lessonId": "film", "eventId": "film", "deviceId": "tv",
                    "events": [event(profile, "film", "tv", "PAUSE", 1_000)]}),
                );
                let mut answer = socket.next();
                answer["id"] = Value::Null;
                answer["server_time_ms"] = Value::Null;
                answer
            })
            .collect();
        assert_eq!(answers[0], answers[1], "{kind}");
        assert!(!answers[0].to_string().contains("secret"), "{answers:?}");
    }
    let ends = both.each_ref().map(|tenant| {
        let mut socket = Socket::open(node.http.address);
        socket.send(&json!({"type": "hello", "token": token, "device_id": "d", "profiles": ["ann", tenant.profile]}));
        socket.goodbye()
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].0["code"], "profile_not_in_token");
    assert_eq!(figure(&node.admin, "leftoff_store_reads"), before);
    // Nobody has become present there, and nobody of there is told to others.
    let devices = owner.get("/v1/profiles/secret/presence").json()["devices"].clone();
    assert_eq!(devices.as_array().map(Vec::len), Some(1), "{devices}");
    assert_eq!(devices[0]["device_id"], "tv");
}
