//! Backup, restore and verify: from a running node to a node of its own, and what damage is told.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::leftoff;
use crate::support::{TestNode, event, with};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn backup(node: &TestNode, folder: &Path) -> Output {
    leftoff().arg("backup").arg(folder).args(["--json", "--admin-url", &format!("http://{}", node.admin.address)]).output().unwrap()
}

fn restore(backup: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    output(leftoff().arg("restore").arg(backup).arg(folder.path()).arg("--dev"));
    folder
}

fn registers(node: &TestNode) -> Vec<Value> {
    let mut registers: Vec<Value> = node.admin.get("/v1/export").text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for register in &mut registers {
        register["cursor"] = Value::Null;
    }
    registers.sort_by_key(Value::to_string);
    registers
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_backup_of_a_running_node_becomes_a_node_of_its_own() {
    let node = TestNode::start();
    let events: Vec<_> = (0..900).map(|n| event(&format!("p{}", n % 31), &format!("t{n}"), "tv", "PAUSE", 40_000 + n)).collect();
    node.http.record(&events);
    node.http.record(&[event("gone", "film", "tv", "PAUSE", 1_000)]);
    assert_eq!(node.http.delete("/v1/profiles/gone").status, 202);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let made = backup(&node, &copy);
    assert!(made.status.success(), "{}", told(&made));
    let manifest: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&manifest["registers"], &manifest["tombstones"]), (&json!(900), &json!(1)));
    assert!(output(leftoff().arg("verify").arg(&copy)).starts_with("the backup is whole: 900 registers and 1 erasures"));

    let restored = TestNode::in_folder(restore(&copy), &[]);
    assert_eq!(registers(&restored), registers(&node));
    let id = |node: &TestNode| node.admin.get("/v1/cluster").json()["node"]["replica_id"].clone();
    let again = TestNode::in_folder(restore(&copy), &[]);
    assert!(id(&restored) != id(&node) && id(&again) != id(&node) && id(&again) != id(&restored), "each has an identity of its own");
    // What was erased before the backup stays erased after it.
    assert_eq!(restored.http.progress("gone", "film")["started"], false);
    let now_ms = leftoff::time::system::wall_now().as_millis();
    let report = |title: &str, at_ms: u64| {
        let watched = with(event("gone", title, "tv", "PAUSE", 60_000), "at_ms", at_ms);
        let answer = restored.http.post("/v1/events", &json!({"events": [watched], "sent_at_ms": now_ms})).json();
        assert_eq!(answer["accepted"], 1, "{answer}");
        restored.http.progress("gone", title)["started"].clone()
    };
    assert_eq!(report("film", now_ms - 3_600_000), false, "watched before the erasure, told only now");
    assert_eq!(report("other", now_ms), true, "what is watched after the erasure is new");
}

#[test]
fn a_backup_has_everything_that_was_acknowledged_before_it() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut before, mut copy) = (0, folder.path().join("0"));
    std::thread::scope(|scope| {
        let (http, stop) = (node.http.clone(), &stop);
        let writer = scope.spawn(move || {
            let mut acknowledged = 0;
            while !stop.load(std::sync::atomic::Ordering::Acquire) {
                http.record(&[event("ann", &format!("t{acknowledged}"), "tv", "PAUSE", 60_000)]);
                acknowledged += 1;
            }
            acknowledged
        });
        for round in 0..5 {
            before = node.http.get("/v1/profiles/ann/titles?limit=1000").json()["items"].as_array().unwrap().len();
            copy = folder.path().join(round.to_string());
            let made = backup(&node, &copy);
            assert!(made.status.success(), "{}", told(&made));
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
        assert!(writer.join().unwrap() >= before);
    });
    let restored = TestNode::in_folder(restore(&copy), &[]);
    for n in 0..before {
        assert_eq!(restored.http.progress("ann", &format!("t{n}"))["position_ms"], 60_000, "t{n} of {before}");
    }
}

#[test]
fn nothing_is_overwritten_by_a_backup_or_a_restore() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "x").unwrap();
    assert!(told(&backup(&node, folder.path())).contains("is not empty"));
    let copy = folder.path().join("copy");
    assert!(backup(&node, &copy).status.success());
    assert!(told(&backup(&node, &copy)).contains("is not empty"));
    let data = restore(&copy);
    let again = leftoff().arg("restore").arg(&copy).arg(data.path()).arg("--dev").output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("is not empty"), "{}", told(&again));
    let relative = node.admin.post("/v1/backup", &json!({"path": "somewhere"}));
    relative.assert_problem(400, "malformed");
    let form = node.admin.send("POST", "/v1/backup", &[("content-type", "text/plain")], br#"{"path":"/tmp/x"}"#);
    form.assert_problem(415, "media_type");
}

#[test]
fn a_damaged_backup_is_told_with_its_place_and_restores_nothing() {
    let node = TestNode::start();
    node.http.record(&(0..200).map(|n| event("ann", &format!("t{n}"), "tv", "PAUSE", 60_000)).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    assert!(backup(&node, &copy).status.success());
    let file = copy.join("registers.leftoff");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    for (what, bytes) in [("flipped", &flipped[..]), ("cut", &whole[..whole.len() - 3]), ("headless", &whole[4..]), ("empty", &[])] {
        std::fs::write(&file, bytes).unwrap();
        let verified = leftoff().arg("verify").arg(&copy).output().unwrap();
        assert_eq!(verified.status.code(), Some(1), "{what}");
        assert!(told(&verified).contains("registers.leftoff is damaged at byte"), "{what}: {}", told(&verified));
        let data = tempfile::tempdir().unwrap();
        let restored = leftoff().arg("restore").arg(&copy).arg(data.path()).arg("--dev").output().unwrap();
        assert_eq!(restored.status.code(), Some(1), "{what}");
        assert!(!data.path().join("store").exists(), "{what}");
    }
}

#[test]
fn a_data_folder_is_verified_when_no_node_has_it_open() {
    let node = TestNode::start();
    node.http.record(&(0..500).map(|n| event("ann", &format!("t{n}"), "tv", "PAUSE", 60_000)).collect::<Vec<_>>());
    let open = leftoff().arg("verify").arg(node.folder.path()).output().unwrap();
    assert_eq!(open.status.code(), Some(1));
    assert!(told(&open).contains("another process"), "{}", told(&open));
    let folder = node.stop();
    assert!(output(leftoff().arg("verify").arg(folder.path())).ends_with("no damage\n"));
    assert!(told(&leftoff().args(["verify", "/nowhere"]).output().unwrap()).contains("holds no store"));

    let (file, at) = flip_a_logged_byte(folder.path());
    let damaged = leftoff().args(["verify", "--json"]).arg(folder.path()).output().unwrap();
    assert_eq!(damaged.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&damaged.stdout).unwrap();
    let place = &report["damage"][0];
    assert!(place["file"].as_str().unwrap().ends_with(&file), "{report}");
    let (offset, bytes) = (place["offset"].as_u64().unwrap(), place["bytes"].as_u64().unwrap());
    assert!((offset..offset + bytes).contains(&at), "byte {at}: {report}");
}

/// Flips a bit in the middle of the largest segment of the log; answers its file's name and which byte.
fn flip_a_logged_byte(data: &Path) -> (String, u64) {
    let segments = std::fs::read_dir(data.join("store/log")).unwrap().map(|entry| entry.unwrap().path());
    let largest = segments.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 16;
    std::fs::write(&largest, bytes).unwrap();
    (largest.file_name().unwrap().to_string_lossy().into_owned(), at as u64)
}
