//! `docs/simulation.md` says what the code does: every key with its default and bounds, every fault, every checker, every column of the trace.

use std::fmt::Write as _;
use std::path::Path;

use leftoff_simulations::scenario::keys::{FAULT_KEYS, FAULTS, KEYS};
use leftoff_simulations::scenario::{library, parse};
use leftoff_simulations::{summary, world};

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulation.md")).unwrap()
}

/// The rows of the documented tables, and which of them are not in the document.
fn missing(rows: impl IntoIterator<Item = String>) -> String {
    let document = document();
    rows.into_iter().filter(|row| !document.lines().any(|line| line == row)).fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{row}");
        text
    })
}

#[test]
fn every_key_is_documented_with_its_default_and_bounds() {
    assert_eq!(missing(KEYS.iter().chain(FAULT_KEYS).map(|key| key.row())), "", "these rows belong into docs/simulation.md");
}

#[test]
fn every_documented_key_is_one() {
    let known: Vec<String> = KEYS.iter().chain(FAULT_KEYS).map(|key| key.row()).chain(FAULTS.iter().map(|fault| fault.row())).collect();
    let document = document();
    let writing = document.split("\n## Writing a scenario").nth(1).unwrap().split("\n## ").next().unwrap();
    for line in writing.lines().filter(|line| line.starts_with("| `")) {
        assert!(known.iter().any(|row| row == line), "not a key, or not as it is now: {line}");
    }
}

#[test]
fn every_kind_of_fault_every_checker_and_every_column_of_the_trace_is_documented() {
    assert_eq!(missing(FAULTS.iter().map(|fault| fault.row())), "");
    let scenario = library::scenario("region-cut").unwrap().unwrap();
    assert_eq!(missing(summary::checked(&scenario).into_iter().map(|(name, about)| format!("| `{name}` | {about} |"))), "");
    assert_eq!(missing(world::TRACE_COLUMNS.iter().map(|(name, about)| format!("| `{name}` | {about} |"))), "");
}

#[test]
fn the_documents_example_is_a_scenario() {
    let document = document();
    let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    parse("example.toml", "example", example).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_wrong_with_a_file_of_the_repository_would_be_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "toml"))
        .count();
    assert_eq!(files, library::names().count(), "every file is in the binary");
}
