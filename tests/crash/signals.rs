//! Told to stop, told twice, told again what runs already.

use std::process::Stdio;
use std::time::Duration;

use leftoff::time::system::monotonic_now;

use crate::node::alone;
use crate::support::audience::Audience;
use crate::support::cluster::entries;
use crate::support::dice::Dice;

#[test]
fn a_node_told_to_stop_under_load_stops_within_ten_seconds_and_opens_clean() {
    let mut dice = Dice::of_this_run("stopped under load");
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = [alone(folder.path())];
    nodes[0].start();
    let audience = Audience::start(&nodes, &mut dice);
    for _ in 0..4 {
        audience.wait_for_batches(&[0], 25);
        let begun = monotonic_now();
        assert_eq!(nodes[0].stop().code(), Some(0));
        let took = monotonic_now().saturating_since(begun);
        assert!(took < Duration::from_secs(10), "{took:?}");
        nodes[0].start();
        let last = nodes[0].log().lines().rfind(|line| line.contains("store open")).unwrap_or_default().to_owned();
        assert!(last.contains("clean=true"), "{last}");
    }
    let ledger = audience.finish();
    ledger.check(&entries(&nodes[0]));
}

#[test]
fn a_node_told_twice_stops_at_once_and_loses_nothing() {
    let mut dice = Dice::of_this_run("told twice");
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = [alone(folder.path())];
    nodes[0].start();
    let audience = Audience::start(&nodes, &mut dice);
    for _ in 0..4 {
        audience.wait_for_batches(&[0], 25);
        nodes[0].signal("TERM");
        nodes[0].signal("TERM");
        let status = nodes[0].ended_within(Duration::from_secs(3));
        // It may have been done before it heard the second one.
        assert!(matches!(status.code(), Some(0 | 1)), "{status}");
        nodes[0].start();
    }
    let ledger = audience.finish();
    ledger.check(&entries(&nodes[0]));
}

#[test]
fn a_second_process_in_the_same_folder_gets_a_clear_error_and_disturbs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = alone(folder.path());
    let mut second = node.command();
    node.start();
    let output = second.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.lines().last().unwrap_or_default();
    assert!(line.contains("another process has") && line.contains("open"), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    assert!(node.client().row("ann").unwrap().is_empty(), "the first goes on");
    assert_eq!(node.stop().code(), Some(0));
}
