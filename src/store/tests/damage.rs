//! Verifying a folder, and what a flipped bit in the database does.

use std::fs;
use std::path::Path;

use super::*;

fn filled(folder: &Path) -> Store {
    let (store, _) = open_folder(folder);
    let mut dice = Dice(11);
    for round in 0..3 {
        for _ in 0..200 {
            store.append(batch_of(&[(dice.roll(60), dice.roll(9), &random_delta(&mut dice))])).unwrap();
        }
        flush(&store);
        if round < 2 {
            store.fold_all().unwrap();
        }
    }
    store
}

#[test]
fn a_sound_folder_verifies_and_an_open_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    assert!(matches!(verify_folder(folder.path(), 8 << 20), Err(OpenError::Locked { .. })));
    let count = states(&store).len() as u64;
    drop(store);
    let report = verify_folder(folder.path(), 8 << 20).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    assert!(report.segments > 0 && report.records >= 200 && report.pages > 0);
    assert!(report.registers > 0 && report.registers <= count);
}

#[test]
fn verify_reports_damage_in_the_log_by_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let segment = fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[700] ^= 4;
    fs::write(&segment, bytes).unwrap();
    let report = verify_folder(folder.path(), 8 << 20).unwrap();
    let damage = report.damage.first().unwrap();
    assert_eq!(damage.file, format!("log/{}", segment.file_name().unwrap().to_str().unwrap()));
    assert!(damage.offset <= 700 && 700 < damage.offset + damage.bytes);
    // Verifying repairs nothing.
    assert_eq!(verify_folder(folder.path(), 8 << 20).unwrap().damage, report.damage);
}

/// Flips bits all over the database's file. Nothing invented is ever shown: the store opens whole, or answers with an error, or has moved the
/// database aside; and after a restart it works again.
#[test]
fn a_flipped_bit_in_the_database_never_shows_what_was_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let store = filled(&whole);
    store.close().unwrap();
    let before = states(&store);
    drop(store);
    let size = fs::metadata(whole.join("engine/db")).unwrap().len() as usize;
    let used = fs::read(whole.join("engine/db")).unwrap().iter().rposition(|byte| *byte != 0).unwrap_or(size);
    let mut hurt_seen = 0;
    for round in 0..24 {
        let hurt = folder.path().join(format!("hurt-{round}"));
        for part in ["", "engine", "log"] {
            fs::create_dir_all(hurt.join(part)).unwrap();
            for entry in fs::read_dir(whole.join(part)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), hurt.join(part).join(entry.file_name())).unwrap();
                }
            }
        }
        let mut bytes = fs::read(hurt.join("engine/db")).unwrap();
        bytes[used * round / 24] ^= 1 << (round % 8);
        fs::write(hurt.join("engine/db"), bytes).unwrap();
        let mut reported = !verify_folder(&hurt, 8 << 20).unwrap().damage.is_empty();
        for _ in 0..3 {
            let (store, report) = Store::open_folder(&hurt, small(), LATER).unwrap();
            reported |= report.needs_reconciliation;
            let mut shown = Vec::new();
            let read = store.scan(KeyRange::ALL, &mut |item| {
                shown.push((item.profile, item.title, item.progress));
                std::ops::ControlFlow::Continue(())
            });
            for (profile, title, progress) in &shown {
                // Rebuilt from the tail of the log, a register may hold less than before, but nothing else.
                let known = before.iter().any(|(who, what, known)| who == profile && what == title && known.holds(progress));
                assert!(known, "round {round}: something was invented");
            }
            reported |= read.is_err() || store.needs_reconciliation();
            if shown.len() < before.len() {
                assert!(reported, "round {round}: a loss was not reported");
            }
        }
        let (store, _) = Store::open_folder(&hurt, small(), LATER).unwrap();
        record(&store, 1, 1, &heartbeat(1 << 30, 7_100_000, 1));
        store.fold_all().unwrap();
        store.close().unwrap();
        hurt_seen += u32::from(reported);
    }
    assert!(hurt_seen > 0, "no flip hit anything");
}
