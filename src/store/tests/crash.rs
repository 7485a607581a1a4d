//! Crashes between any two operations, failing disks, damage.

use super::super::log::Fault;
use super::*;
use crate::store::log::segment::{Frame, SEGMENT_HEADER_BYTES};

fn seeded(count: u64) -> Disk {
    let disk = Disk::default();
    let (store, _) = disk.open();
    for number in 0..count {
        record(&store, number, 1, &heartbeat(number, 1_000 + number, 1));
    }
    disk
}

/// A small life: records, folds, a close. Stops at the first error; answers what was acknowledged.
fn live(disk: &Disk) -> (Vec<(u64, Progress)>, Seq) {
    let mut acknowledged = Vec::new();
    let mut highest = Seq(0);
    let Ok((store, _)) = disk.try_open(small(), FRESH) else { return (acknowledged, highest) };
    for number in 0..40 {
        let delta = heartbeat(number, 1_000 + number, 1);
        let Ok(appended) = store.append(batch_of(&[(number, 1, &delta)])) else { break };
        highest = appended.last;
        if store.flush(&mut |_| ()).is_err() {
            assert!(matches!(store.append(Batch::local()), Err(AppendError::Closed(_))), "nothing is taken after a failed flush");
            assert!(store.flush(&mut |_| ()).is_err());
            // Reads go on, and show what is acknowledged and nothing else.
            assert_eq!(states(&store).len(), acknowledged.len());
            break;
        }
        acknowledged.push((number, delta));
        if number % 11 == 10 && store.fold_all().is_err() {
            break;
        }
    }
    let _ = store.close();
    (acknowledged, highest)
}

fn check_survivors(disk: &Disk, acknowledged: &[(u64, Progress)], highest: Seq) {
    let (store, report) = disk.open();
    assert!(report.damage.is_empty(), "a crash is not damage: {:?}", report.damage);
    for (number, delta) in acknowledged {
        let found = store.register(&profile(*number), &title(1)).unwrap().map(|stored| stored.progress);
        assert_eq!(found.as_ref(), Some(delta), "{number} was acknowledged");
    }
    let next = store.append(batch_of(&[(99, 1, &heartbeat(1, 1, 1))])).unwrap();
    assert!(next.first > highest, "{next:?} was used up to {highest:?}");
    flush(&store);
}

fn walk_faults(fault: Fault) {
    let whole = Disk::default();
    live(&whole);
    let operations = whole.files.operations();
    assert!(operations > 60);
    for nth in 1..=operations {
        let disk = Disk::default();
        disk.files.arm(nth, fault);
        let (acknowledged, highest) = live(&disk);
        disk.lose_power((nth * 37 % 1_001) as u16);
        check_survivors(&disk, &acknowledged, highest);
    }
}

#[test]
fn a_crash_between_any_two_operations_loses_nothing_acknowledged() {
    walk_faults(Fault::Crash);
}

#[test]
fn a_failed_sync_ends_all_acknowledgements_and_loses_none() {
    walk_faults(Fault::FailedSync);
}

#[test]
fn a_full_disk_ends_all_acknowledgements_and_loses_none() {
    walk_faults(Fault::FullDisk);
}

#[test]
fn a_short_write_is_written_on() {
    let whole = Disk::default();
    live(&whole);
    for nth in 1..=whole.files.operations() {
        let disk = Disk::default();
        disk.files.arm(nth, Fault::ShortWrite);
        let (acknowledged, highest) = live(&disk);
        assert_eq!(acknowledged.len(), 40);
        check_survivors(&disk, &acknowledged, highest);
    }
}

/// Opening itself is killed at each of its operations, and opens whole afterwards.
#[test]
fn a_crash_while_opening_does_no_harm() {
    let disk = seeded(30);
    // A torn tail, so that opening has something to cut.
    let (store, _) = disk.open();
    store.append(batch_of(&[(50, 1, &heartbeat(1, 1, 1))])).unwrap();
    disk.files.arm(4, Fault::Crash);
    assert!(store.flush(&mut |_| ()).is_err());
    drop(store);
    disk.lose_power(700);
    for nth in 1..12 {
        disk.files.arm(nth, Fault::Crash);
        let _ = disk.try_open(small(), FRESH);
        disk.lose_power(500);
    }
    assert_eq!(states(&disk.open().0).len(), 30);
}

#[test]
fn a_torn_tail_is_cut_and_said_so() {
    let disk = seeded(10);
    let (store, _) = disk.try_open(small(), LATER).unwrap();
    store.append(batch_of(&[(50, 1, &heartbeat(1, 1, 1))])).unwrap();
    // Segment made, head written and synced, folder synced; then the group is written and the power goes before it is synced.
    disk.files.arm(6, Fault::Crash);
    assert!(store.flush(&mut |_| ()).is_err());
    drop(store);
    disk.lose_power(600);
    let (store, report) = disk.open();
    assert!(report.torn_bytes > 0 && report.damage.is_empty() && !report.needs_reconciliation);
    assert!(!report.clean && report.skipped > 0);
    assert_eq!(states(&store).len(), 10);
}

/// Flips a bit in every byte of the log in turn. Whatever is hit, what reads back is whole, and nothing invented is shown.
#[test]
fn a_flipped_bit_anywhere_in_the_log_is_found_and_costs_at_most_its_own_group() {
    let disk = seeded(12);
    let before = states(&disk.open().0);
    let (path, size) = {
        let path = disk.files.paths().into_iter().find(|path| path.starts_with("log/")).unwrap();
        let size = super::super::log::FileSystem::size(&disk.files, &path).unwrap() as usize;
        (path, size)
    };
    for offset in 0..size {
        let hurt = Disk::default();
        for file in disk.files.paths() {
            let bytes = disk.files.read(&file).unwrap();
            let mut copy = hurt.files.create(&file).unwrap();
            copy.append(&bytes).unwrap();
            copy.sync().unwrap();
        }
        hurt.files.sync_folder("log").unwrap();
        hurt.files.flip_bit(&path, offset, (offset % 8) as u8);
        let (store, report) = hurt.try_open(small(), FRESH).unwrap();
        let after = states(&store);
        assert!(after.iter().all(|item| before.contains(item)), "offset {offset}: something was invented");
        assert!(after.len() + 1 >= before.len(), "offset {offset}: {} of {} left", after.len(), before.len());
        // The copy has no database beside it, which is reported too.
        let damage = report.damage.iter().find(|damage| damage.file == path);
        if after.len() < before.len() {
            assert!(damage.is_some() || report.torn_bytes > 0, "offset {offset}: a loss was not reported");
        }
        if let Some(damage) = damage {
            assert!(report.needs_reconciliation);
            assert!(damage.offset as usize <= offset && offset < (damage.offset + damage.bytes) as usize);
            assert!(hurt.files.paths().iter().any(|file| file.starts_with("quarantine/")));
        }
    }
}

/// The head of a log and its only group were hit; the mark between them read back. That was taken for a segment whose beginning a crash had cut: what
/// had been acknowledged was dropped without a word, and no peer was asked for it.
#[test]
fn a_damaged_head_is_told_though_nothing_but_a_mark_reads_back_after_it() {
    let disk = seeded(1);
    let path = disk.files.paths().into_iter().find(|path| path.starts_with("log/")).unwrap();
    let size = super::super::log::FileSystem::size(&disk.files, &path).unwrap() as usize;
    disk.files.flip_bit(&path, 7, 0);
    disk.files.flip_bit(&path, size - 1, 0);
    let (store, report) = disk.open();
    assert!(report.needs_reconciliation && report.damage.iter().any(|damage| damage.file == path), "{report:?}");
    assert!(states(&store).is_empty());
}

/// Only the newest segment can be torn: the others were synced whole before the next was begun. Cut off wherever, at the border of a frame too, or
/// zeroed from there on, what they lack is damage.
#[test]
fn an_earlier_segment_that_is_cut_off_or_zeroed_is_damage_wherever_it_ends() {
    let disk = seeded(100);
    let segments_of = |disk: &Disk| -> Vec<String> { disk.files.paths().into_iter().filter(|path| path.ends_with(".log")).collect() };
    let first_life = segments_of(&disk).len();
    let (store, _) = disk.try_open(small(), LATER).unwrap();
    for number in 100..150 {
        record(&store, number, 1, &heartbeat(number, 1_000 + number, 1));
    }
    let count = states(&store).len();
    drop(store);
    let segments = segments_of(&disk);
    assert!(first_life > 1 && segments.len() > first_life + 1, "{segments:?}");
    // The first, the last one of the first life, and the first of the second.
    for path in [&segments[0], &segments[first_life - 1], &segments[first_life]] {
        let bytes = disk.files.read(path).unwrap();
        let mut borders = vec![SEGMENT_HEADER_BYTES];
        while let Some(frame) = Frame::read(&bytes[*borders.last().unwrap()..]) {
            borders.push(borders.last().unwrap() + frame.bytes);
        }
        assert_eq!(borders.pop(), Some(bytes.len()), "the end is none");
        for offset in (0..bytes.len()).step_by(41).chain(borders) {
            let (zeroed, cut) = (disk.files.copy(), disk.files.copy());
            zeroed.zero_from(path, offset);
            cut.truncate(path, offset as u64).unwrap();
            for (what, files) in [("zeroed", zeroed), ("cut off", cut)] {
                let hurt = Disk { files, engine: disk.engine.copy() };
                let (store, report) = hurt.try_open(small(), Fresh { epoch: Epoch(77), ..LATER }).unwrap();
                assert!(states(&store).len() < count, "{what} at {offset} of {path}");
                assert!(report.needs_reconciliation, "{what} at {offset} of {path}: {report:?}");
                assert!(report.damage.iter().any(|damage| damage.file == *path), "{what} at {offset} of {path}: {report:?}");
            }
        }
    }
}

/// The life after it has written nothing, so no segment follows whose head could tell where the one that is cut off ended: the lives do.
#[test]
fn a_newest_segment_that_ends_before_the_last_life_did_is_damage() {
    let disk = seeded(100);
    drop(disk.try_open(small(), LATER).unwrap());
    let path = disk.files.paths().into_iter().rfind(|path| path.ends_with(".log")).unwrap();
    let size = disk.files.size(&path).unwrap();
    for kept in [size - 1, size / 2, SEGMENT_HEADER_BYTES as u64, 0] {
        let hurt = Disk { files: disk.files.copy(), engine: disk.engine.copy() };
        hurt.files.truncate(&path, kept).unwrap();
        let (_, report) = hurt.try_open(small(), Fresh { epoch: Epoch(77), ..LATER }).unwrap();
        assert!(report.needs_reconciliation && !report.damage.is_empty(), "{kept} of {size} bytes: {report:?}");
    }
    let (_, report) = disk.try_open(small(), Fresh { epoch: Epoch(77), ..LATER }).unwrap();
    assert!(!report.needs_reconciliation && report.damage.is_empty(), "{report:?}");
}

#[test]
fn damage_forgets_cursors_and_is_gone_from_the_log_once_folded() {
    let disk = seeded(12);
    let (store, _) = disk.open();
    let peer = ReplicaId([3; 16]);
    let mut batch = Batch::from_peer(peer);
    batch.set_cursor(PeerCursor { peer, epoch: Epoch(1), seq: Seq(1) });
    store.append(batch).unwrap();
    flush(&store);
    drop(store);
    let path = disk.files.paths().into_iter().find(|path| path.starts_with("log/")).unwrap();
    disk.files.flip_bit(&path, 400, 1);
    let (store, report) = disk.open();
    assert_eq!(report.damage.len(), 1);
    assert_eq!(store.cursor(peer), None);
    record(&store, 1, 1, &heartbeat(100, 5_000, 1));
    store.fold_all().unwrap();
    drop(store);
    let (store, report) = disk.open();
    assert!(report.damage.is_empty());
    assert!(report.needs_reconciliation && store.needs_reconciliation(), "until someone says that it was done");
    store.set_reconciled();
    store.close().unwrap();
    drop(store);
    assert!(!disk.open().1.needs_reconciliation);
}

#[test]
fn a_failing_engine_stops_the_fold_and_nothing_else() {
    let disk = seeded(0);
    let (store, _) = disk.open();
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    disk.engine.set_failing(true);
    assert!(store.fold_all().is_err());
    record(&store, 1, 1, &heartbeat(2, 6_000, 1));
    record(&store, 2, 1, &heartbeat(2, 6_000, 1));
    assert!(store.fold_all().is_err());
    assert_eq!(states(&store).len(), 2);
    disk.engine.set_failing(false);
    store.fold_all().unwrap();
    assert_eq!(store.figures().table_count, 0);
    assert_eq!(store.register(&profile(1), &title(1)).unwrap().unwrap().progress.furthest.as_millis(), 6_000);
}

#[test]
fn a_lost_database_is_rebuilt_from_the_log_under_a_new_epoch() {
    let disk = seeded(10);
    let lost = Disk { files: disk.files.clone(), ..Disk::default() };
    let (store, report) = lost.try_open(small(), LATER).unwrap();
    assert!(report.needs_reconciliation);
    assert_eq!((store.id(), store.epoch()), (FRESH.id, LATER.epoch));
    assert!(!store.lives().have(FRESH.epoch, Seq(1)), "nobody knows which numbers are missing");
    assert_eq!(states(&store).len(), 10);
}

/// A shell may let time pass between taking a group and writing it; what comes meanwhile waits for the next, and the log stays in order.
#[test]
fn what_is_appended_while_a_group_is_written_goes_with_the_next() {
    let disk = seeded(0);
    let (store, _) = disk.open();
    let append = |number| store.append(batch_of(&[(number, 1, &heartbeat(1, 1, 1))])).unwrap().last;
    let first = append(1);
    assert!(store.begin_flush().unwrap());
    let second = append(2);
    assert!(store.begin_flush().unwrap(), "begun and not finished");
    assert_eq!(states(&store).len(), 0);
    assert_eq!(store.finish_flush(&mut |_| ()).unwrap(), Some(first));
    assert_eq!((store.durable(), states(&store).len()), (first, 1));
    assert_eq!(store.finish_flush(&mut |_| ()).unwrap(), None);
    assert!(store.begin_flush().unwrap());
    let third = append(3);
    assert!(second < third);
    assert_eq!(flush(&store), Some(third), "a flush takes what was begun along");
    assert_eq!(states(&store).len(), 3);
    // Power lost between taking and writing: nothing of the group is there.
    append(4);
    assert!(store.begin_flush().unwrap());
    drop(store);
    disk.lose_power(1_000);
    assert_eq!(states(&disk.open().0).len(), 3);
}

#[test]
fn a_disk_that_stays_full_takes_nothing_until_there_is_space() {
    let disk = seeded(3);
    let (store, _) = disk.open();
    disk.files.set_full(true);
    store.append(batch_of(&[(9, 1, &heartbeat(1, 1, 1))])).unwrap();
    assert!(store.flush(&mut |_| ()).is_err());
    assert_eq!(states(&store).len(), 3);
    disk.files.set_full(false);
    drop(store);
    let (store, report) = disk.open();
    assert!(report.damage.is_empty());
    record(&store, 10, 1, &heartbeat(1, 1, 1));
    assert_eq!(states(&store).len(), 4);
}

/// Parts of a group that was never synced may reach the disk in any order: holes alone are no damage.
#[test]
fn a_torn_group_with_two_holes_is_cut_and_not_called_damage() {
    let disk = seeded(10);
    let (store, _) = disk.try_open(small(), LATER).unwrap();
    for number in 50..56 {
        store.append(batch_of(&[(number, 1, &heartbeat(1, 1, 1))])).unwrap();
    }
    flush(&store);
    drop(store);
    let path = disk.files.paths().into_iter().rfind(|path| path.ends_with(".log")).unwrap();
    let bytes = disk.files.read(&path).unwrap().len();
    // Two of the six frames at the end.
    for hole in [bytes * 2 / 7, bytes * 5 / 7] {
        disk.files.flip_bit(&path, hole, 3);
    }
    let (store, report) = disk.open();
    assert!(report.torn_bytes > 0 && report.damage.is_empty() && !report.needs_reconciliation, "{report:?}");
    assert!(states(&store).len() >= 10);
}

#[test]
fn a_database_without_its_log_begins_a_new_epoch_and_asks_its_peers() {
    let disk = seeded(10);
    let (store, _) = disk.open();
    let peer = ReplicaId([3; 16]);
    let mut batch = Batch::from_peer(peer);
    batch.set_cursor(PeerCursor { peer, epoch: Epoch(1), seq: Seq(1) });
    store.append(batch).unwrap();
    flush(&store);
    store.fold_all().unwrap();
    record(&store, 50, 1, &heartbeat(1, 1, 1));
    drop(store);
    let lost = Disk { engine: disk.engine.clone(), ..Disk::default() };
    let (store, report) = lost.try_open(small(), LATER).unwrap();
    assert!(report.needs_reconciliation && !report.damage.is_empty(), "{report:?}");
    assert_eq!((store.epoch(), store.cursor(peer)), (LATER.epoch, None));
    assert_eq!(states(&store).len(), 10);
}

/// A node that was killed before it recorded anything has lost nothing.
#[test]
fn a_database_that_never_had_a_log_is_sound() {
    let disk = Disk::default();
    drop(disk.open());
    let (_, report) = disk.open();
    assert!(report.damage.is_empty() && !report.needs_reconciliation, "{report:?}");
}

/// What is set aside while the store runs is remembered across a crash, even before a fold could note it.
#[test]
fn forgotten_cursors_stay_forgotten_and_a_reconciliation_stays_due_across_a_crash() {
    let disk = seeded(3);
    let (store, _) = disk.open();
    let peer = ReplicaId([3; 16]);
    store.forget_cursors().unwrap();
    let mut batch = Batch::from_peer(peer);
    batch.set_cursor(PeerCursor { peer, epoch: Epoch(1), seq: Seq(9) });
    store.append(batch).unwrap();
    flush(&store);
    drop(store);
    disk.lose_power(0);
    let (store, report) = disk.open();
    assert!(report.needs_reconciliation && store.needs_reconciliation());
    assert_eq!(store.cursor(peer), None);
}

/// A fold that fails half way has visited pages that it did not put.
#[test]
fn fingerprints_are_right_after_a_fold_that_failed() {
    let disk = seeded(0);
    let (store, _) = disk.open();
    record(&store, 1, 1, &heartbeat(1, 5_000, 1));
    store.fold_all().unwrap();
    store.fingerprints().unwrap();
    record(&store, 1, 1, &heartbeat(2, 6_000, 1));
    disk.engine.set_failing(true);
    assert!(store.fold_all().is_err());
    disk.engine.set_failing(false);
    store.fold_all().unwrap();
    let fresh = Store::in_memory(small(), LATER);
    record(&fresh, 1, 1, &heartbeat(1, 5_000, 1));
    record(&fresh, 1, 1, &heartbeat(2, 6_000, 1));
    fresh.fold_all().unwrap();
    assert!(store.fingerprints().unwrap() == fresh.fingerprints().unwrap());
}

#[test]
fn numbers_of_a_life_whose_log_is_damaged_whole_are_not_used_again() {
    let disk = Disk::default();
    let (store, _) = disk.open();
    record(&store, 1, 1, &heartbeat(0, 1_000, 1));
    drop(store);
    let mut highest = Seq(0);
    for _ in 0..3 {
        let (store, report) = disk.open();
        assert!(!report.clean);
        let first = record(&store, 1, 1, &heartbeat(1, 2_000, 1));
        assert!(first > highest, "{first:?} after {highest:?}");
        highest = record(&store, 1, 1, &heartbeat(2, 3_000, 1));
        drop(store);
        // Every byte of what this life wrote: nothing tells it from a write that was torn.
        let path = disk.files.paths().into_iter().filter(|path| path.starts_with("log/")).max().unwrap();
        for offset in 0..disk.files.size(&path).unwrap() {
            disk.files.flip_bit(&path, offset as usize, 3);
        }
    }
}
