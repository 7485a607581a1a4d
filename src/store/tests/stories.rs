//! What the store promises, one promise a test.

use super::*;
use crate::limits::LOG_FRAME_BYTES_MAX;

#[test]
fn what_is_appended_is_read_only_when_it_is_durable() {
    let store = Store::in_memory(small(), FRESH);
    store.append(batch_of(&[(1, 1, &heartbeat(1, 5_000, 1))])).unwrap();
    assert_eq!(store.register(&profile(1), &title(1)).unwrap(), None);
    assert_eq!(store.durable(), Seq(0));
    assert_eq!(flush(&store), Some(Seq(1)));
    assert_eq!(store.register(&profile(1), &title(1)).unwrap().unwrap().arrived, Seq(1));
    assert_eq!(flush(&store), None);
}

#[test]
fn a_flush_tells_of_every_record_and_what_it_changed() {
    let store = Store::in_memory(small(), FRESH);
    let (first, second) = (heartbeat(1, 5_000, 1), heartbeat(2, 6_000, 1));
    store.append(batch_of(&[(1, 1, &first), (1, 1, &second), (1, 1, &first)])).unwrap();
    let mut told = Vec::new();
    store
        .flush(&mut |applied| {
            let Ok(Record::Register { state, .. }) = applied.record() else { panic!("a register") };
            told.push((applied.seq.0, applied.changed, applied.opened.is_some(), state.furthest.as_millis()));
        })
        .unwrap();
    assert_eq!(told, [(1, true, true, 5_000), (2, true, false, 6_000), (3, false, false, 5_000)]);
}

#[test]
fn a_clean_close_keeps_the_numbers_and_replays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, report) = open_folder(folder.path());
    assert!(report.created && !report.needs_reconciliation);
    let last = record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    let before = states(&store);
    store.close().unwrap();
    drop(store);
    let (store, report) = Store::open_folder(folder.path(), small(), LATER).unwrap();
    assert!(report.clean && report.replayed == 0 && report.skipped == 0);
    assert_eq!((store.id(), store.epoch()), (FRESH.id, LATER.epoch));
    let had = |seq: u64| store.lives().have(FRESH.epoch, Seq(seq));
    assert!(had(last.0) && !had(last.0 + 1), "what was read before holds, and nobody has read more");
    assert_eq!(states(&store), before);
    assert_eq!(record(&store, 1, 1, &heartbeat(2, 6_000, 1)), Seq(last.0 + 1));
}

#[test]
fn a_second_store_in_the_same_folder_is_refused_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, _) = open_folder(folder.path());
    let error = Store::open_folder(folder.path(), small(), FRESH).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("another process has"));
}

#[test]
fn a_folder_made_with_another_secret_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_folder(folder.path());
    store.close().unwrap();
    drop(store);
    let options = StoreOptions { key_secret: [1; 16], ..small() };
    assert!(matches!(Store::open_folder(folder.path(), options, FRESH), Err(OpenError::OtherSecret)));
}

#[test]
fn an_erased_profile_is_nothing_wherever_it_turns_up_again() {
    let disk = Disk::default();
    let (store, _) = disk.open();
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    record(&store, 2, 1, &heartbeat(1, 5_000, 1));
    store.fold_all().unwrap();
    record(&store, 1, 2, &heartbeat(2, 5_000, 1));
    let mut batch = Batch::local();
    batch.erased(&profile(1), stamp(10));
    store.append(batch).unwrap();
    flush(&store);
    assert!(store.profile(&profile(1)).unwrap().profile.registers.is_empty());
    assert_eq!(states(&store).len(), 1);
    // A device that was away for a year and watched on.
    record(&store, 1, 1, &heartbeat(20, 9_000, 2));
    assert_eq!(store.register(&profile(1), &title(1)).unwrap(), None);
    // New watching carries the new epoch.
    let anew = Progress { epoch: stamp(10), ..heartbeat(30, 1_000, 1) };
    record(&store, 1, 1, &anew);
    assert_eq!(store.register(&profile(1), &title(1)).unwrap().unwrap().progress, anew);
    store.fold_all().unwrap();
    assert_eq!(states(&store).len(), 2);
    let mut in_engine = 0;
    store
        .engine
        .scan(KeyRange::ALL, &mut |_| {
            in_engine += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(in_engine, 2, "the fold has swept what was erased");
    drop(store);
    let (store, _) = disk.open();
    assert_eq!(store.tombstones(), [(profile(1), stamp(10))]);
    assert_eq!(states(&store).len(), 2);
}

#[test]
fn what_has_expired_is_not_brought_back_by_what_comes_after_it() {
    const DAY_MS: u64 = 86_400_000;
    let jump = |day: u64| {
        let mut delta = heartbeat(day * DAY_MS, 10_000 * day, 1);
        let version = Version::from_u64(stamp(day * DAY_MS).as_u64());
        delta.places = Places::single(Place { version, ..*delta.newest().unwrap() });
        delta
    };
    // Where the old delta is when the new one comes: swept, in the engine, in the table.
    for (folds, sweeps) in [(true, true), (true, false), (false, false)] {
        for read_between in [false, true] {
            let (store, _) = Disk::default().open();
            record(&store, 1, 1, &jump(1));
            if folds {
                store.fold_all().unwrap();
            }
            if read_between {
                assert_eq!(store.profile(&profile(1)).unwrap().profile.registers.len(), 1);
            }
            let mut batch = Batch::local();
            batch.raise_floor(day_of(stamp(5 * DAY_MS).wall()));
            store.append(batch).unwrap();
            flush(&store);
            if sweeps {
                store.fold_all().unwrap();
            }
            record(&store, 1, 1, &jump(9));
            let expected = Some(jump(9));
            let shown = |store: &Store| store.register(&profile(1), &title(1)).unwrap().map(|stored| stored.progress);
            assert_eq!(shown(&store), expected, "folded {folds}, swept {sweeps}");
            assert_eq!(store.profile(&profile(1)).unwrap().profile.registers.get(&title(1)), expected.as_ref());
            let mut scanned = None;
            store
                .scan(KeyRange::ALL, &mut |item| {
                    scanned = Some(item.progress);
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(scanned, expected);
            store.fold_all().unwrap();
            assert_eq!(shown(&store), expected, "folded {folds}, swept {sweeps}, and folded again");
        }
    }
}

#[test]
fn what_lies_before_the_expiry_floor_is_nothing() {
    let disk = Disk::default();
    let (store, _) = disk.open();
    let day_ms = 86_400_000;
    record(&store, 1, 1, &heartbeat(0, 5_000, 1));
    store.fold_all().unwrap();
    record(&store, 1, 2, &heartbeat(1, 5_000, 1));
    record(&store, 1, 3, &heartbeat(3 * day_ms, 5_000, 1));
    let mut batch = Batch::local();
    batch.raise_floor(day_of(stamp(2 * day_ms).wall()));
    store.append(batch).unwrap();
    flush(&store);
    assert_eq!(states(&store).len(), 1);
    assert_eq!(store.profile(&profile(1)).unwrap().profile.registers.len(), 1);
    record(&store, 1, 4, &heartbeat(2, 5_000, 1));
    assert_eq!(store.register(&profile(1), &title(4)).unwrap(), None);
    assert_eq!(store.fingerprints().unwrap().over(0, LEAF_COUNT).count, 1);
    drop(store);
    let (store, _) = disk.open();
    assert_eq!(store.floor_day(), day_of(stamp(2 * day_ms).wall()));
    assert_eq!(states(&store).len(), 1);
}

#[test]
fn unshared_deltas_are_seen_here_and_by_nobody_else_until_they_are_shared() {
    let disk = Disk::default();
    let (store, _) = disk.open();
    let mut batch = Batch::local().unshared();
    batch.register(&profile(1), &title(1), &heartbeat(5, 5_000, 1));
    store.append(batch).unwrap();
    flush(&store);
    assert_eq!(store.register(&profile(1), &title(1)).unwrap().unwrap().progress.furthest.as_millis(), 5_000);
    assert_eq!(store.profile(&profile(1)).unwrap().profile.registers.len(), 1);
    assert!(states(&store).is_empty());
    store.fold_all().unwrap();
    drop(store);
    let (store, _) = disk.open();
    let unshared = store.unshared();
    assert_eq!(unshared.len(), 1);
    let mut out = Vec::new();
    let mut feed = Feed::after(Seq(0));
    store.next_changes(&mut feed, ReplicaId([1; 16]), 1 << 16, &|_| true, &mut [], &mut out).unwrap();
    assert!(out.is_empty());
    let (who, what, delta) = &unshared[0];
    let mut batch = Batch::local();
    batch.register(who, what, &delta.restamped(1_000, |_| true));
    store.share(batch).unwrap();
    flush(&store);
    assert!(store.unshared().is_empty());
    assert_eq!(states(&store).len(), 1);
    store.fold_all().unwrap();
    drop(store);
    assert!(disk.open().0.unshared().is_empty());
}

#[test]
fn cursors_survive_and_can_be_forgotten() {
    let disk = Disk::default();
    let (store, _) = disk.open();
    let peer = ReplicaId([3; 16]);
    let cursor = PeerCursor { peer, epoch: Epoch(9), seq: Seq(42) };
    let mut batch = Batch::from_peer(peer);
    batch.register(&profile(1), &title(1), &heartbeat(1, 5_000, 1));
    batch.set_cursor(cursor);
    store.append(batch).unwrap();
    assert_eq!(store.cursor(peer), None);
    flush(&store);
    drop(store);
    let (store, _) = disk.open();
    assert_eq!(store.cursor(peer), Some(cursor));
    store.close().unwrap();
    drop(store);
    let (store, _) = disk.open();
    assert_eq!(store.cursor(peer), Some(cursor));
    store.forget_cursors().unwrap();
    flush(&store);
    drop(store);
    let (store, _) = disk.open();
    assert_eq!(store.cursor(peer), None);
    store.close().unwrap();
    drop(store);
    assert_eq!(disk.open().0.cursor(peer), None);
}

#[test]
fn writers_are_refused_with_a_retry_time_when_the_table_or_the_buffer_is_full() {
    let store = Store::in_memory(StoreOptions { pending_bytes_max: 500, ..small() }, FRESH);
    let one = || batch_of(&[(1, 1, &heartbeat(1, 5_000, 1))]);
    let offer = || store.admit(one().bytes()).map(|()| assert!(store.append(one()).is_ok()));
    let refused = std::iter::repeat_with(offer).take(20).find_map(Result::err).unwrap();
    assert!(matches!(refused, AppendError::Overloaded { retry_ms: 1.., .. }), "{refused}");
    flush(&store);
    store.admit(one().bytes()).unwrap();

    let store = Store::in_memory(StoreOptions { table_bytes_max: 1_000, ..small() }, FRESH);
    let mut refused = false;
    for number in 0..20 {
        match store.admit(200) {
            Ok(()) => drop(record(&store, number, 1, &heartbeat(1, 5_000, 1))),
            Err(error) => refused = matches!(error, AppendError::Overloaded { .. }),
        }
    }
    assert!(refused && store.figures().table_bytes < 1_300);
    store.fold_all().unwrap();
    assert_eq!(store.figures().table_bytes, 0);
    store.admit(one().bytes()).unwrap();
}

#[test]
fn a_batch_beyond_a_frame_is_refused() {
    let store = Store::in_memory(small(), FRESH);
    let mut batch = Batch::local();
    let delta = heartbeat(1, 1, 1);
    while batch.bytes() <= LOG_FRAME_BYTES_MAX {
        batch.register(&profile(1), &title(1), &delta);
    }
    assert!(matches!(store.append(batch), Err(AppendError::TooLarge { .. })));
}

#[test]
fn a_profile_of_ten_thousand_titles_is_stored_and_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_folder(folder.path());
    for chunk in 0..10 {
        let delta = heartbeat(1, 5_000, 1);
        let records: Vec<_> = (0..1_000).map(|number| (1, chunk * 1_000 + number, &delta)).collect();
        store.append(batch_of(&records)).unwrap();
        flush(&store);
        store.fold_all().unwrap();
    }
    assert_eq!(store.title_count(&profile(1)).unwrap(), 10_000);
    assert_eq!(store.profile(&profile(1)).unwrap().arrived.len(), 10_000);
}
