//! A bit that flipped on disk, anywhere: it is found and said, and what it spoiled is never served.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use leftoff::embedded::{Replica, ReplicaConfig};
use leftoff::progress::{EventKind, PlaybackEvent, ProfileId, Progress};

use crate::recorder::config;
use crate::support::dice::Dice;

const TITLE_COUNT: u64 = 40;
const ROUND_COUNT: usize = 60;

type Registers = BTreeMap<String, Progress>;

fn registers(replica: &Replica) -> Registers {
    let stored = replica.core().profile(&ProfileId::new("p").unwrap()).unwrap();
    stored.profile.registers.into_iter().map(|(title, register)| (title.as_str().to_owned(), register)).collect()
}

/// A folder with a history, and what its registers are in the end.
struct Original {
    folder: PathBuf,
    last: Registers,
}

fn record_into(folder: &Path, options: ReplicaConfig, closes: bool) -> Original {
    let replica = Replica::open(options).unwrap();
    for step in 0..TITLE_COUNT * 8 {
        let title = format!("t{}", step % TITLE_COUNT);
        let kind = if step % 7 == 3 { EventKind::Seek } else { EventKind::Heartbeat };
        replica.record(PlaybackEvent::new("p", &title, "phone", kind, 10_000 + step * 90_000)).unwrap();
    }
    let last = registers(&replica);
    if closes {
        replica.close().unwrap();
    } else {
        drop(replica);
    }
    Original { folder: folder.to_owned(), last }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if source.is_dir() {
            copy(&source, &to.join(name));
        } else {
            fs::copy(&source, to.join(name)).unwrap();
        }
    }
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, into);
        } else if fs::metadata(&path).unwrap().len() > 0 {
            into.push(path);
        }
    }
}

/// Flips one bit of one file below `part`, opens, and checks what is shown and said.
fn flip_and_open(original: &Original, part: &str, dice: &mut Dice) -> &'static str {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("copy");
    copy(&original.folder, &folder);
    let mut files = Vec::new();
    files_below(&folder.join("store").join(part), &mut files);
    files.sort();
    let path = &files[dice.within(0..=files.len() as u64 - 1) as usize];
    let mut bytes = fs::read(path).unwrap();
    let (offset, bit) = (dice.within(0..=bytes.len() as u64 - 1) as usize, dice.within(0..=7));
    bytes[offset] ^= 1 << bit;
    fs::write(path, &bytes).unwrap();
    let what = format!("bit {bit} at {offset} of {} bytes of {}", bytes.len(), path.strip_prefix(&folder).unwrap().display());

    let verified = verify(&folder);
    let replica = match Replica::open(config(&folder)) {
        Ok(replica) => replica,
        Err(error) => {
            assert!(verified && !error.to_string().is_empty(), "{what}");
            return "did not open, and said so";
        }
    };
    let report = replica.open_report().clone();
    let shown = registers(&replica);
    // What is lost is lost, but nothing may be shown that was never recorded: each register is a part of what it was.
    for (title, register) in &shown {
        let mut joined = original.last.get(title).cloned().unwrap_or_default();
        joined.join(register);
        assert!(original.last.get(title) == Some(&joined), "{what}: {title} was never {register:?}; {report:?}");
    }
    // What the reading itself found is said as well.
    let said = !report.damage.is_empty() || report.engine_moved_to.is_some() || report.needs_reconciliation || report.torn_bytes > 0;
    let said = said || !replica.core().store().verify_engine().unwrap().damage.is_empty() || !replica.core().not_ready().is_empty();
    if shown == original.last {
        return if said { "found, and nothing was lost" } else { "of no consequence" };
    }
    assert!(said, "{what}: {} of {} registers are as they were, and nothing is said: {report:?}", shown.len(), original.last.len());
    assert!(verified, "{what}: `leftoff verify` found nothing");
    "found, and what it spoiled is not served"
}

/// Whether `leftoff verify` finds something to say about a folder.
fn verify(folder: &Path) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_leftoff")).arg("verify").arg(folder).arg("--json").output().unwrap();
    // What lies at the very end of the log cannot be told from a write that a crash has cut; it is said as that.
    let torn = serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok_and(|report| report["torn_bytes"].as_u64() > Some(0));
    match output.status.code() {
        Some(0) => torn,
        Some(1) => true,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn flip_everywhere(scenario: &str, part: &str, closes: bool) {
    let mut dice = Dice::of_this_run(scenario);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("device");
    let mut options = config(&folder);
    if !closes {
        // Nothing is folded: all of it is in the log alone.
        options.store.fold_log_bytes = 1 << 30;
        options.store.fold_table_bytes = 1 << 30;
    }
    let original = record_into(&folder, options, closes);
    assert!(!verify(&folder), "nothing is wrong yet");
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..ROUND_COUNT {
        *outcomes.entry(flip_and_open(&original, part, &mut dice)).or_default() += 1;
    }
    println!("{scenario}: {outcomes:?}");
    assert!(outcomes.len() > usize::from(outcomes.contains_key("of no consequence")), "no flip was ever found: {outcomes:?}");
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_never_served() {
    flip_everywhere("a bit in the log", "log", false);
}

#[test]
fn a_flipped_bit_in_the_database_is_found_and_never_served() {
    flip_everywhere("a bit in the database", "engine", true);
}
