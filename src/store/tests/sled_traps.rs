//! The traps of sled 0.34.7, each shown on the bare database, and that the store does not fall in.

use std::fs;

use super::*;

/// Killed while it opens, sled leaves `snap.<lsn>.generating` half-written, takes it for its snapshot at every later start, and refuses.
#[test]
fn a_half_written_snapshot_bricks_bare_sled_and_not_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_folder(folder.path());
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    store.close().unwrap();
    drop(store);
    let database = folder.path().join("engine");
    let spoil = || {
        for entry in fs::read_dir(&database).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(database.join("snap.0000000000FFFFFF.generating"), b"half").unwrap();
    };
    spoil();
    assert!(sled::Config::new().path(&database).open().is_err(), "the trap is gone: the remedy may go too");
    spoil();
    let (store, report) = open_folder(folder.path());
    assert_eq!(report.engine_moved_to, None);
    assert_eq!(states(&store).len(), 1);
}

/// A process that is being started holds a copy of its parent's files, locks included, until it becomes another program: a folder that was closed
/// and is opened again at that moment looks taken.
#[test]
fn a_lock_that_outlives_its_holder_for_a_moment_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_folder(folder.path());
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    store.close().unwrap();
    drop(store);
    let left_over = fs::File::open(folder.path().join("engine/db")).unwrap();
    left_over.lock().unwrap();
    let path = folder.path().to_owned();
    let opening = std::thread::spawn(move || states(&open_folder(&path).0).len());
    // Until it has been refused and waits, or is done for another reason.
    let waits = || fs::read_to_string("/proc/locks").map_or(true, |locks| locks.contains("-> FLOCK"));
    while !opening.is_finished() && !waits() {
        std::thread::yield_now();
    }
    left_over.unlock().unwrap();
    assert_eq!(opening.join().unwrap(), 1);
}

/// sled moves large items, consolidated leaves among them, to files in `blobs/`, which it never syncs.
#[test]
fn large_values_leave_the_synced_file_in_bare_sled_and_pages_never_do() {
    let blobs = |path: &std::path::Path| fs::read_dir(path.join("blobs")).map_or(0, std::iter::Iterator::count);
    let folder = tempfile::tempdir().unwrap();
    let bare = sled::Config::new().path(folder.path()).open().unwrap();
    for number in 0..12_u64 {
        bare.insert(number.to_be_bytes(), vec![1; 64 << 10]).unwrap();
    }
    bare.flush().unwrap();
    assert!(blobs(folder.path()) > 0, "the trap is gone: the remedy may go too");

    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_folder(folder.path());
    let mut dice = Dice(3);
    for _ in 0..30 {
        let mut batch = Batch::local();
        for _ in 0..500 {
            // Ids of full length, so that pages are as full as they get.
            let who = ProfileId::new(format!("{:0128}", dice.roll(40))).unwrap();
            let what = TitleId::new(format!("{:0128}", dice.roll(200))).unwrap();
            batch.register(&who, &what, &random_delta(&mut dice));
        }
        store.append(batch).unwrap();
        flush(&store);
        store.fold_all().unwrap();
    }
    assert!(states(&store).len() > 5_000);
    store.close().unwrap();
    drop(store);
    assert_eq!(blobs(&folder.path().join("engine")), 0);
}

#[test]
fn a_database_that_will_not_open_is_moved_aside_and_rebuilt_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = || StoreOptions { log_retention_bytes: 1 << 20, log_retention_segments: 4, ..small() };
    let (store, _) = Store::open_folder(folder.path(), options(), FRESH).unwrap();
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    store.fold_all().unwrap();
    record(&store, 2, 1, &heartbeat(1, 5_000, 1));
    drop(store);
    let database = folder.path().join("engine/db");
    let mut bytes = fs::read(&database).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x5a;
    }
    fs::write(&database, bytes).unwrap();
    fs::write(folder.path().join("engine/conf"), b"not a configuration").unwrap();
    let (store, report) = Store::open_folder(folder.path(), options(), LATER).unwrap();
    assert_eq!(report.engine_moved_to.as_deref(), Some("quarantine/engine-1"));
    assert!(report.needs_reconciliation && store.needs_reconciliation());
    assert_eq!((store.id(), store.epoch()), (FRESH.id, LATER.epoch));
    assert_eq!(states(&store).len(), 2);
}
