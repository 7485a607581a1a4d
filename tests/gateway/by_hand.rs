//! A cluster as `docs/operating.md` makes it: authority, certificates, keys and configurations by the commands, two nodes as processes.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::process::{NodeProcess, leftoff};
use crate::support::{event, eventually};

fn made(arguments: &[&str]) -> String {
    let output = leftoff().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The configuration of a node whose files lie in `folder`.
fn configuration(folder: &Path, name: &str, seeds: &[String]) -> String {
    let path = |file: &str| folder.join(file).display().to_string();
    format!(
        "[node]\nname = '{name}'\nregion = '{name}'\ndata_dir = '{}'\n\
         [gateway]\nlisten = '127.0.0.1:0'\n[quic]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n\
         [tls]\nca_file = '{}'\ncert_file = '{}'\nkey_file = '{}'\n\
         [cluster]\nsecret_file = '{}'\nseeds = {seeds:?}\n[auth]\nkey_files = ['{}']\n[log]\nformat = 'json'\n",
        path(&format!("data-{name}")),
        path("ca.pem"),
        path(&format!("{name}.pem")),
        path(&format!("{name}.key.pem")),
        path("cluster.secret"),
        path("tokens.pub.pem"),
    )
}

fn start(folder: &Path, name: &str, seeds: &[String]) -> NodeProcess {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, configuration(folder, name, seeds)).unwrap();
    made(&["serve", "--check", "--config", file.to_str().unwrap()]);
    let mut command = leftoff();
    command.args(["serve", "--config"]).arg(file).stdout(Stdio::null());
    NodeProcess::of(command)
}

fn quic_address(folder: &Path, name: &str) -> String {
    let mut address = None;
    let file = folder.join(format!("data-{name}/addresses.json"));
    eventually("the node says where it listens", || {
        let known: Option<Value> = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        address = known.and_then(|known| known["quic"].as_str().map(str::to_owned));
        address.is_some()
    });
    address.unwrap()
}

#[test]
fn what_is_recorded_in_one_region_is_resumed_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    made(&["cert", "ca", "--dir", dir]);
    made(&["cert", "node", "eu-1", "--dir", dir, "--host", "127.0.0.1"]);
    made(&["cert", "node", "us-1", "--dir", dir]);
    made(&["token", "keys", "--dir", dir]);
    let key = folder.path().join("tokens.key.pem");
    let token = made(&["token", "sign", "account", "--profile", "ann", "--key", key.to_str().unwrap()]);

    let eu = start(folder.path(), "eu-1", &[]);
    let us = start(folder.path(), "us-1", &[quic_address(folder.path(), "eu-1")]);
    let (eu_http, us_http) = (eu.http.with_token(&token), us.http.with_token(&token));
    eu_http.record(&[event("ann", "film", "tv", "PAUSE", 540_500)]);
    eventually("it arrives", || us_http.progress("ann", "film")["position_ms"] == 540_500);
    us_http.record(&[event("ann", "film", "phone", "PLAY", 540_500), event("ann", "film", "phone", "PAUSE", 600_000)]);
    eventually("and comes back", || eu_http.progress("ann", "film")["position_ms"] == 600_000);
    us.http.get("/v1/profiles/ann/titles").assert_problem(401, "token_missing");

    let status = made(&["status", "--admin-url", &format!("http://{}", eu.admin.address)]);
    assert!(status.starts_with("eu-1 in eu-1: ready") && status.contains("node us-1 in us-1: "), "{status}");
    let metrics = eu.admin.get("/metrics").text;
    assert!(
        metrics.lines().any(|line| line.starts_with("leftoff_replication_link_up{") && line.contains("us-1") && line.ends_with(" 1")),
        "{metrics}"
    );

    // Certificates are renewed in place; links that are open stay, and replication goes on.
    for file in ["eu-1.pem", "eu-1.key.pem"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    made(&["cert", "node", "eu-1", "--dir", dir]);
    eu.signal("HUP");
    eventually("certificates are read again", || eu.logged("certificates reloaded"));
    eu_http.record(&[event("ann", "film", "tv", "PLAY", 600_000), event("ann", "film", "tv", "PAUSE", 630_000)]);
    eventually("it arrives", || us_http.progress("ann", "film")["position_ms"] == 630_000);
}

#[test]
fn a_node_of_another_authority_is_not_let_in() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, name) in [(&own, "eu-1"), (&other, "us-1")] {
        let dir = folder.path().to_str().unwrap();
        made(&["cert", "ca", "--dir", dir]);
        made(&["cert", "node", name, "--dir", dir]);
        made(&["token", "keys", "--dir", dir]);
    }
    let eu = start(own.path(), "eu-1", &[]);
    let us = start(other.path(), "us-1", &[quic_address(own.path(), "eu-1")]);
    eventually("the stranger is told why", || {
        let status = made(&["status", "--admin-url", &format!("http://{}", us.admin.address)]);
        status.contains("not linked: ") && !status.contains("not linked: 127.0.0.1:0") && !status.contains("(-)")
    });
    assert_eq!(eu.admin.get("/v1/cluster").json()["links"].as_array().map(Vec::len), Some(0));
    assert_eq!(eu.admin.get("/readyz").status, 200);
}
