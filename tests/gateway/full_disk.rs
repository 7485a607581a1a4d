//! A disk that takes no more: what is told while it lasts, and what is there afterwards.

use std::process::Command;

use serde_json::{Value, json};

use crate::process::{NodeProcess, leftoff};
use crate::support::{event, with};

/// A node whose files may not grow beyond a few mebibytes: to it, its disk is full. The signal that comes with it is ignored, so that the write
/// fails as it would on a full disk.
fn on_a_small_disk(folder: &std::path::Path) -> NodeProcess {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" serve --dev", env!("CARGO_BIN_EXE_leftoff")]);
    command.env("LEFTOFF_NODE__DATA_DIR", folder).env("LEFTOFF_LOG__FORMAT", "json");
    for section in ["GATEWAY", "QUIC", "ADMIN"] {
        command.env(format!("LEFTOFF_{section}__LISTEN"), "127.0.0.1:0");
    }
    NodeProcess::of(command)
}

fn batch(number: u64) -> Value {
    let padding = "x".repeat(100);
    let events: Vec<Value> = (0..500)
        .map(|n| {
            with(event(&format!("p{n}"), &format!("{padding}{number}"), "tv", "PAUSE", 60_000 + number), "series_id", padding.as_str())
        })
        .collect();
    json!({ "events": events })
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = on_a_small_disk(folder.path());
    let title = |number: u64| format!("{}{number}", "x".repeat(100));
    let mut acknowledged = 0;
    let refused = loop {
        let answer = node.http.post("/v1/events", &batch(acknowledged));
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 1_000, "the disk must become full");
    };
    refused.assert_problem(503, "not_ready");
    assert!(!refused.header("retry-after").is_empty());
    assert!(acknowledged > 0);
    node.http.post("/v1/events", &batch(acknowledged)).assert_problem(503, "not_ready");
    node.http.delete("/v1/profiles/p0").assert_problem(503, "not_ready");
    let ready = node.admin.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0]["cause"], "store", "{ready:?}");
    assert_eq!(node.admin.get("/livez").status, 200);
    assert!(node.admin.get("/metrics").text.contains("leftoff_store_poisoned 1"));
    assert_eq!(node.http.progress("p7", &title(0))["position_ms"], 60_000, "reads go on");
    node.signal("TERM");
    node.wait();

    let verified = leftoff().arg("verify").arg(folder.path()).output().unwrap();
    assert!(verified.status.success(), "a write that failed is no damage: {}", String::from_utf8_lossy(&verified.stderr));
    let node = NodeProcess::start(folder.path());
    for number in 0..acknowledged {
        assert_eq!(node.http.progress("p499", &title(number))["position_ms"], 60_000 + number, "{number} of {acknowledged}");
    }
    assert_eq!(node.http.post("/v1/events", &batch(acknowledged)).status, 200, "there is room again");
}
