//! Two tenants: with one's token, nothing tells whether the other exists. Over every request that the description lists.

use serde_json::{Value, json};

use crate::issuer::Keys;
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

#[test]
fn with_one_s_token_nothing_tells_whether_the_other_exists() {
    let keys = Keys::new();
    let node = keys.node();
    let owner = node.http.with_token(keys.token_of("a", "other", &["--profile", "secret"]));
    owner.record(&[event("secret", "film", "tv", "PAUSE", 600_000)]);
    let answer = owner.post("/v1/sessions", &json!({"profile_id": "secret", "title_id": "film", "device_id": "tv"}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = answer.json()["session_id"].as_str().unwrap().to_owned();
    let answer = owner.post("/v1/parties", &json!({"profile_id": "secret", "title_id": "film", "device_id": "tv"}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let party = answer.json()["id"].as_str().unwrap().to_owned();
    let existing = Tenant { profile: "secret", session, party };
    let absent = Tenant { profile: "absent", session: "0".repeat(32), party: "0".repeat(32) };

    let ann = node.http.with_token(keys.token("a", &["--profile", "ann"]));
    let description: Value = node.http.get("/v1/openapi.json").json();
    let mut asked = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if path == "/v1/openapi.json" || path == "/v1/ws" {
                continue;
            }
            let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
            let reference = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str()).map(str::to_owned);
            let schema = reference.as_deref().and_then(|reference| reference.rsplit('/').next());
            let [of_existing, of_absent] = [&existing, &absent].map(|tenant| send(&ann, method, path, schema, tenant));
            assert_eq!(without_id(&of_existing), without_id(&of_absent), "{method} {path}");
            assert!(matches!(of_existing.status, 403 | 404), "{method} {path}: {of_existing:?}");
            assert!(!of_existing.text.contains("secret"), "{of_existing:?}");
            let names: Vec<_> = of_existing.headers.keys().collect();
            assert_eq!(names, of_absent.headers.keys().collect::<Vec<_>>(), "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
    // And nothing was done: the other's things are as they were.
    assert_eq!(owner.progress("secret", "film")["position_ms"], 600_000);
    assert_eq!(owner.get(&format!("/v1/parties/{}", existing.party)).status, 200);
    let figures = node.admin.get("/metrics").text;
    assert!(!figures.contains("secret") && !figures.contains("absent"), "ids are never labels");
}
