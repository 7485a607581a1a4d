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
fn every_event_of_the_trace_is_documented_and_nothing_else_is_an_event() {
    let rows: Vec<String> = world::TRACE_EVENTS.iter().map(world::TraceEvent::row).collect();
    assert_eq!(missing(rows.clone()), "", "these rows belong into docs/simulation.md");
    let document = document();
    let table = document.split("| event | what happened | peer |").nth(1).unwrap();
    for line in table.lines().skip(2).take_while(|line| line.starts_with("| `")) {
        assert!(rows.iter().any(|row| row == line), "no event, or not as it is now: {line}");
    }
}

#[test]
fn every_event_that_a_trace_shows_is_a_documented_one() {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    struct Shared(Rc<RefCell<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let text = "about = \"\"\nduration = \"2min\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n\
        [workload]\nviewers = 8\nwatch = \"1min\"\nreplicas_share = \"50 %\"\nreads = 1\nhides = 2\nerasures = 1\n\
        [[faults]]\nkind = \"crash\"\nat = \"20s\"\nlasts = \"40s\"\nhosts = \"nodes\"\n\
        [[faults]]\nkind = \"lose-disk\"\nat = \"70s\"\nhosts = \"us-east-1/0\"\n\
        [[faults]]\nkind = \"pause\"\nat = \"85s\"\nlasts = \"5s\"\nhosts = \"us-east-1/0\"\n\
        [[faults]]\nkind = \"poison\"\nat = \"30s\"\nlasts = \"1s\"\nhost = \"device/0\"\n";
    let scenario = parse("x.toml", "x", text).unwrap_or_else(|error| panic!("{error}"));
    let trace = Rc::new(RefCell::new(Vec::new()));
    let options = world::Options { trace: Some(Box::new(Shared(Rc::clone(&trace)))), ..world::Options::default() };
    world::run(&scenario, 1, options);
    let trace = String::from_utf8(trace.take()).unwrap();
    let seen: std::collections::BTreeSet<&str> = trace.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    let known: std::collections::BTreeSet<&str> = world::TRACE_EVENTS.iter().map(|event| event.name).collect();
    assert!(seen.is_subset(&known), "{:?}", seen.difference(&known));
    assert_eq!(known.difference(&seen).copied().collect::<Vec<_>>(), Vec::<&str>::new(), "not met in this story");
    for line in trace.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let event = world::TRACE_EVENTS.iter().find(|event| event.name == columns[2]).unwrap();
        assert_eq!(columns[3] != "-", event.has_peer, "{line}");
    }
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
