//! Keys of tokens change while sockets are open, at a real process, by a real signal.

use std::path::Path;

use serde_json::{Value, json};

use crate::issuer::Keys;
use crate::process::{NodeProcess, serve_with_tokens};
use crate::socket::Socket;
use crate::support::{event, eventually};

/// The public half of a pair as a key of a set: an Ed25519 key in PEM ends with its 32 bytes.
fn jwk(keys: &Keys, name: &str) -> Value {
    let pem = std::fs::read_to_string(keys.dir(name).join("tokens.pub.pem")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    // 12 bytes of head before the key are 16 characters of base64, and so the rest stands by itself.
    let x = base64[16..].trim_end_matches('=').replace('+', "-").replace('/', "_");
    assert_eq!(x.len(), 43, "{pem}");
    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": x})
}

fn write_set(path: &Path, keys: &[Value]) {
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

fn reload(node: &NodeProcess, times: &mut usize) {
    *times += 1;
    node.signal("HUP");
    let wanted = *times;
    eventually("the keys are read again", || {
        node.log.lock().unwrap().iter().filter(|entry| entry.to_string().contains("token keys reloaded")).count() == wanted
    });
}

fn hello(node: &NodeProcess, token: &str) -> Socket {
    let mut socket = Socket::open(node.http.address);
    socket.hello(json!({"token": token, "device_id": "tv", "profiles": ["ada"]}));
    socket
}

#[test]
fn keys_of_a_set_are_changed_by_a_signal_and_nobody_is_dropped() {
    let keys = Keys::new();
    keys.make("b");
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("keys.json");
    write_set(&set, &[jwk(&keys, "a")]);
    let node = NodeProcess::of(serve_with_tokens(&folder.path().join("data"), "LEFTOFF_AUTH__JWKS_FILE", &set, "info"));
    let (old, new) = (keys.token("a", &["--profile", "ada"]), keys.token("b", &["--profile", "ada"]));
    let mut reloads = 0;
    let mut of_old = hello(&node, &old);
    node.http.with_token(&new).get("/v1/profiles/ada/titles").assert_problem(401, "token_invalid");

    // The new one is added: both count.
    write_set(&set, &[jwk(&keys, "a"), jwk(&keys, "b")]);
    reload(&node, &mut reloads);
    let mut of_new = hello(&node, &new);
    for token in [&old, &new] {
        assert_eq!(node.http.with_token(token).get("/v1/profiles/ada/titles").status, 200);
    }
    // The old one goes: its open socket stays until its token ends, and nothing new is let in by it.
    write_set(&set, &[jwk(&keys, "b")]);
    reload(&node, &mut reloads);
    node.http.with_token(&old).get("/v1/profiles/ada/titles").assert_problem(401, "token_invalid");
    let mut late = Socket::open(node.http.address);
    late.send(&json!({"type": "hello", "token": old, "profiles": ["ada"]}));
    assert_eq!(late.goodbye().0["code"], "token_invalid");
    for (number, socket) in [&mut of_old, &mut of_new].into_iter().enumerate() {
        let place = event("ada", &format!("film-{number}"), "tv", "PAUSE", 60_000);
        socket.report(7, &[place]);
        while socket.next()["id"] != 7 {}
    }
    // A file that does not read leaves the keys as they are.
    std::fs::write(&set, "{").unwrap();
    node.signal("HUP");
    eventually("that is told", || node.logged("keys.json"));
    assert_eq!(node.http.with_token(&new).get("/v1/profiles/ada/titles").status, 200);
    // A token that is renewed on an open socket changes over without a gap.
    of_old.send(&json!({"type": "hello", "token": new, "device_id": "tv", "profiles": ["ada"]}));
    // What the other one played is pushed as well, before or after.
    while of_old.next()["type"] != "welcome" {}
    of_old.send(&json!({"type": "ping", "id": "open"}));
    while of_old.next()["id"] != "open" {}
}
