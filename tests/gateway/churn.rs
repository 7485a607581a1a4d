//! Short runs of `leftoff bench gateway`: viewers that come and go (it fails if anything grows or stays), and a large watch party.

use serde_json::Value;

use crate::process::leftoff;

/// `LEFTOFF_TEST_MINUTES=10` makes a long run of it.
#[test]
#[allow(clippy::disallowed_methods, reason = "the length of a test is no configuration")]
fn nothing_grows_and_nothing_stays_while_viewers_come_and_go() {
    let minutes = std::env::var("LEFTOFF_TEST_MINUTES").unwrap_or_else(|_| "0.3".to_owned());
    let arguments = ["bench", "gateway", "--parts", "churn", "--minutes", &minutes, "--runs", "1", "--json"];
    let output = leftoff().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["figures"]["visits"]["median"].as_f64() > Some(50.0), "{report}");
}

#[test]
fn everybody_in_a_party_of_hundreds_has_each_command() {
    let arguments = ["bench", "gateway", "--parts", "party", "--viewers", "300", "--seconds", "0.5", "--runs", "1", "--json"];
    let output = leftoff().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["figures"]["a party of 300: the last viewer has it max"]["median"].as_f64() > Some(0.0), "{report}");
}
