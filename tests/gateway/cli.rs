//! The commands, against a real node.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::process::leftoff;
use crate::support::{TestNode, event, with};

fn run(node: &TestNode, arguments: &[&str]) -> Output {
    let admin = matches!(arguments[0], "status" | "backup") || (arguments[0] == "export" && !arguments.contains(&"--profile"));
    let (flag, address) = if admin { ("--admin-url", node.admin.address) } else { ("--url", node.http.address) };
    leftoff().args(arguments).args([flag, &format!("http://{address}")]).output().unwrap()
}

#[track_caller]
fn done(node: &TestNode, arguments: &[&str]) -> String {
    let output = run(node, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn failed(output: &Output, words: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("leftoff: ") && told.contains(words), "{told}");
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
}

#[test]
fn put_get_and_list_agree() {
    let node = TestNode::start();
    let put = done(&node, &["put", "acc/ann", "Film: Teil 1", "--position", "1:02:16", "--duration", "2h", "--device", "tv"]);
    assert!(put.starts_with("1:02:16 of 2:00:00\n"), "{put}");
    let got = done(&node, &["get", "acc/ann", "Film: Teil 1"]);
    assert_eq!(got, put);
    let got: Value = serde_json::from_str(&done(&node, &["get", "acc/ann", "Film: Teil 1", "--json"])).unwrap();
    assert_eq!(got, node.http.progress("acc%2Fann", "Film%3A%20Teil%201"));
    let list = done(&node, &["list", "acc/ann"]);
    assert!(list.contains("1:02:16") && list.contains("Film: Teil 1"), "{list}");
    let list: Value = serde_json::from_str(&done(&node, &["list", "acc/ann", "--all", "--json"])).unwrap();
    assert_eq!(list["items"], json!([got]));
    assert!(done(&node, &["get", "nobody", "film"]).contains("has not begun"));
}

#[test]
fn failures_are_one_line_with_what_to_do() {
    let node = TestNode::start();
    failed(&run(&node, &["put", "ann", "film", "--position", "3h", "--duration", "1h"]), "position_beyond_duration");
    failed(&run(&node, &["get", &"x".repeat(200), "film"]), "bad_id");
    let nobody = leftoff().args(["get", "ann", "film", "--url", "http://127.0.0.1:9"]).output().unwrap();
    failed(&nobody, "is the node running?");
    failed(&leftoff().args(["get", "ann", "film", "--url", "localhost:7400"]).output().unwrap(), "is not a URL");
    failed(&leftoff().args(["get", "ann", "film", "--token-file", "/nowhere"]).output().unwrap(), "/nowhere");
    failed(&run(&node, &["import", "/nowhere.jsonl"]), "/nowhere.jsonl");
    failed(&leftoff().args(["get", "ann", "film", "--url", "https://127.0.0.1:9"]).output().unwrap(), "");
    let not_pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    failed(
        &leftoff().args(["get", "ann", "film", "--url", "https://127.0.0.1:9", "--tls-ca", not_pem]).output().unwrap(),
        "holds no certificate",
    );
}

#[test]
fn an_import_of_lines_can_be_repeated() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let lines: String = (0..1_200_u64)
        .map(|n| {
            with(event(&format!("p{}", n % 5), &format!("t{}", n % 97), "tv", "PAUSE", 1_000 * n), "at_ms", 1_700_000_000_000 + n * 1_000)
        })
        .map(|event| format!("{event}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(done(&node, &["import", file]), "1200 events sent, 1200 accepted, 0 refused\n");
    let first = sorted(&done(&node, &["export"]));
    assert_eq!(first.len(), 485, "every pair of 5 profiles and 97 titles");
    done(&node, &["import", file]);
    assert_eq!(sorted(&done(&node, &["export"])), first);
    let figures: Value = serde_json::from_str(&done(&node, &["import", file, "--json"])).unwrap();
    assert_eq!(figures, json!({"events": 1200, "accepted": 1200, "refused": 0}));
}

#[test]
fn an_import_of_more_than_a_profile_may_report_takes_longer_and_loses_nothing() {
    let node = TestNode::with(&[("LEFTOFF_LIMITS__PROFILE_EVENTS_PER_S", "400"), ("LEFTOFF_LIMITS__PROFILE_EVENTS_BURST", "1000")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    // In every batch most are of a profile that is over its rate soon, and some of another.
    let of = |n: u64| {
        with(
            event(if n.is_multiple_of(5) { "ben" } else { "ann" }, &format!("t{n}"), "tv", "PAUSE", 60_000),
            "at_ms",
            1_700_000_000_000 + n,
        )
    };
    std::fs::write(&file, (0..2_000).map(|n| format!("{}\n", of(n))).collect::<String>()).unwrap();
    assert_eq!(done(&node, &["import", file.to_str().unwrap()]), "2000 events sent, 2000 accepted, 0 refused\n");
    assert_eq!(done(&node, &["export"]).lines().count(), 2_000);
}

#[test]
fn an_import_tells_the_lines_that_were_refused_and_fails() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let (good, bad) = (event("ann", "film", "tv", "PAUSE", 60_000), with(event("ann", "bad", "tv", "PAUSE", 60_000), "duration_ms", 1_000));
    std::fs::write(&file, format!("{good}\n{bad}\n")).unwrap();
    let output = run(&node, &["import", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("line 2 refused: "), "{output:?}");
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 60_000);
}

#[test]
fn a_line_that_is_no_event_costs_none_of_the_others() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let (first, last) = (event("ann", "first", "tv", "PAUSE", 60_000), event("ann", "last", "tv", "PAUSE", 90_000));
    std::fs::write(&file, format!("{first}\nnot an event\n{last}\n")).unwrap();
    let output = run(&node, &["import", "--format", "jsonl", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("line 2: "), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 events sent, 2 accepted, 1 refused\n");
    assert_eq!(node.http.progress("ann", "first")["position_ms"], 60_000);
    assert_eq!(node.http.progress("ann", "last")["position_ms"], 90_000);
}

#[test]
fn an_export_over_the_gateway_says_whose() {
    let output = leftoff().args(["export", "--url", "http://127.0.0.1:9", "--token", "t"]).output().unwrap();
    failed(&output, "--profile");
}

/// A history in the format of the platform's export, with a rewatch, a preview, two devices and a jump back; made up for this test.
const HISTORY: &str = "\
Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type,Device Type,Bookmark,Latest Bookmark,Country
Ann,2023-01-05 20:00:00,00:30:00,,Long Film,,TV,01:50:00,01:50:00,X
Ann,2023-01-04 20:00:00,00:02:00,,Long Film,,Phone,00:02:00,Not latest view,X
Ann,2023-01-03 20:00:00,01:20:00,,Long Film,,TV,01:20:00,Not latest view,X
Ann,2023-01-03 19:59:00,00:00:20,Autoplayed: user action: None; ,Long Film_hook,HOOK,TV,00:00:20,00:00:20,X
Bob,2023-01-02 08:00:00,00:20:00,,\"Show: Season 1: \"\"Pilot\"\", part 1\",,Tablet,00:05:00,00:05:00,X
Bob,2023-01-01 08:00:00,00:40:00,,\"Show: Season 1: \"\"Pilot\"\", part 1\",,TV,00:40:00,Not latest view,X
";

#[test]
fn a_viewing_history_resumes_where_the_platform_says() {
    let node = TestNode::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ViewingActivity.csv");
    std::fs::write(&file, HISTORY).unwrap();
    let arguments = ["import", "--format", "netflix", file.to_str().unwrap(), "--check", "--json"];
    let figures: Value = serde_json::from_str(&done(&node, &arguments)).unwrap();
    assert_eq!(figures["differing"], 0, "{figures}");
    assert_eq!(
        (&figures["sessions"], &figures["previews"], &figures["titles"], &figures["agreeing"]),
        (&json!(5), &json!(1), &json!(2), &json!(2))
    );
    let before = sorted(&done(&node, &["export"]));
    done(&node, &arguments);
    assert_eq!(sorted(&done(&node, &["export"])), before, "a repeated import changes nothing");
    assert_eq!(node.http.progress("Bob", "Show%3A%20Season%201%3A%20%22Pilot%22%2C%20part%201")["position_ms"], 300_000);
}

#[test]
fn an_interrupted_import_ends_the_same_when_it_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, half) = (folder.path().join("whole.csv"), folder.path().join("half.csv"));
    std::fs::write(&whole, HISTORY).unwrap();
    // The file is read newest first, so what had been sent before an interruption are its last rows.
    let rows: Vec<&str> = HISTORY.lines().collect();
    std::fs::write(&half, [&rows[..1], &rows[4..]].concat().join("\n")).unwrap();
    let import = |node: &TestNode, file: &Path| done(node, &["import", "--format", "netflix", file.to_str().unwrap()]);
    let (straight, interrupted) = (TestNode::start(), TestNode::start());
    import(&straight, &whole);
    import(&interrupted, &half);
    import(&interrupted, &whole);
    assert_eq!(without_cursors(&done(&interrupted, &["export"])), without_cursors(&done(&straight, &["export"])));
}

#[test]
fn an_export_of_one_profile_is_its_history() {
    let node = TestNode::start();
    node.http.record(&[
        event("ann", "a", "tv", "PAUSE", 1_000),
        event("ann", "b", "tv", "PAUSE", 2_000),
        event("bob", "c", "tv", "PAUSE", 3_000),
    ]);
    let lines = sorted(&done(&node, &["export", "--profile", "ann"]));
    assert_eq!(lines.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    done(&node, &["export", "--output", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3);
}

#[test]
fn a_status_is_readable_for_people_and_programs() {
    let node = TestNode::start();
    let status = done(&node, &["status"]);
    assert!(status.starts_with("dev in default: ready"), "{status}");
    let status: Value = serde_json::from_str(&done(&node, &["status", "--json"])).unwrap();
    assert_eq!(status["ready"], true);
}

#[test]
fn certificates_and_keys_are_made_once_and_private_ones_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for arguments in [
        &["cert", "ca", "--dir", dir][..],
        &["cert", "node", "eu-1", "--dir", dir, "--host", "127.0.0.1"],
        &["token", "keys", "--dir", dir],
    ] {
        let output = leftoff().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        failed(&leftoff().args(arguments).output().unwrap(), "is there already");
    }
    for private in ["ca.key.pem", "cluster.secret", "eu-1.key.pem", "tokens.key.pem"] {
        let mode = std::fs::metadata(folder.path().join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    assert_eq!(leftoff().args(["cert", "node", "Eu_1", "--dir", dir]).output().unwrap().status.code(), Some(2));
    failed(&leftoff().args(["cert", "node", "us-1", "--dir", "/nowhere"]).output().unwrap(), "leftoff cert ca");
}

fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn without_cursors(lines: &str) -> Vec<Value> {
    let mut registers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for register in &mut registers {
        register["cursor"] = Value::Null;
    }
    registers.sort_by_key(Value::to_string);
    registers
}
