//! The replica over a store in memory: what is recorded is read back when it is durable, and not before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::progress::{EventKind, PlaybackEvent, Refusal};
use crate::store::{AppendError, Epoch, Feed, Fresh, StoreOptions};
use crate::time::MonotonicTime;

const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);

fn core_with(id: u8, options: CoreOptions) -> Core {
    let fresh = Fresh { id: ReplicaId([id; 16]), epoch: Epoch(u64::from(id)) };
    Core::new(Store::in_memory(StoreOptions::small(), fresh), options)
}

fn core() -> Core {
    core_with(1, CoreOptions { playheads_count_max: 10_000, ..CoreOptions::default() })
}

fn device_core() -> Core {
    core_with(2, CoreOptions { keeps_unshared: true, playheads_count_max: 10_000, ..CoreOptions::default() })
}

fn event(device: &str, kind: EventKind, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent::new("p", "film", device, kind, position_ms)
}

fn ids() -> (ProfileId, TitleId) {
    (ProfileId::new("p").unwrap(), TitleId::new("film").unwrap())
}

fn position(core: &Core) -> u64 {
    let (profile, title) = ids();
    core.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis()
}

fn record(core: &Core, now: WallTime, events: &[PlaybackEvent]) -> Recorded {
    let recorded = core.record(now, None, events).unwrap();
    core.flush().unwrap();
    recorded
}

fn exchange(from: &Core, to: &Core, now: WallTime) -> AppliedRecords {
    let mut out = Vec::new();
    let step = from.store().next_changes(&mut Feed::after(Seq(0)), to.store().id(), 1 << 20, &|_| true, &mut [], &mut out).unwrap();
    let applied = to.apply(now, from.store().id(), PeerRecords { bytes: &out, count: step.count, ..PeerRecords::default() }, None).unwrap();
    to.flush().unwrap();
    applied
}

#[test]
fn what_is_recorded_is_read_when_it_is_durable_and_not_before() {
    let core = core();
    let recorded = core.record(NOW, None, &[event("tv", EventKind::Play, 0), event("tv", EventKind::Pause, 60_000)]).unwrap();
    assert_eq!(recorded.outcomes, [Ok(Version::FIRST), Ok(Version::FIRST)]);
    assert_eq!(position(&core), 0);
    let kept = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&kept);
    core.when_durable(recorded.last.unwrap(), Box::new(move |result| count.store(if result.is_ok() { 1 } else { 2 }, Ordering::Relaxed)));
    assert_eq!(kept.load(Ordering::Relaxed), 0);
    core.flush().unwrap();
    assert_eq!(kept.load(Ordering::Relaxed), 1);
    assert_eq!(position(&core), 60_000);
}

#[test]
fn a_retry_is_not_acknowledged_before_the_original_is_durable() {
    let core = core();
    let mut pause = event("tv", EventKind::Pause, 60_000);
    pause.at_ms = Some(NOW.as_millis());
    let original = core.record(NOW, None, std::slice::from_ref(&pause)).unwrap();
    let retry = core.record(NOW.shifted(5), None, &[pause]).unwrap();
    assert_eq!(retry.outcomes, [Ok(Version::FIRST)]);
    assert!(retry.last >= original.last, "{retry:?}");
    let kept = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&kept);
    core.when_durable(retry.last.unwrap(), Box::new(move |_| count.store(1, Ordering::Relaxed)));
    assert_eq!(kept.load(Ordering::Relaxed), 0);
    core.flush().unwrap();
    assert_eq!(kept.load(Ordering::Relaxed), 1);
}

#[test]
fn a_bad_event_is_refused_and_the_rest_of_its_batch_is_kept() {
    let core = core();
    let mut long = event("tv", EventKind::Heartbeat, 90_000);
    long.duration_ms = Some(60_000);
    let recorded = record(
        &core,
        NOW,
        &[event("tv", EventKind::Play, 1_000), long, event("", EventKind::Pause, 1), event("tv", EventKind::Pause, 7_000)],
    );
    assert!(matches!(recorded.outcomes[1], Err(Refusal::PositionBeyondDuration { .. })));
    assert!(matches!(recorded.outcomes[2], Err(Refusal::Id { field: "device_id", .. })));
    assert_eq!(position(&core), 7_000);
}

#[test]
fn a_screen_that_plays_on_in_an_old_place_learns_of_the_jump_and_takes_over_only_after_ten_minutes() {
    let core = core();
    record(&core, NOW, &[event("tv", EventKind::Play, 3_000_000)]);
    let later = |s: i64| NOW.shifted(s * 1_000);
    record(&core, later(10), &[event("phone", EventKind::Play, 3_000_000), event("phone", EventKind::Seek, 600_000)]);
    assert_eq!(position(&core), 600_000);
    for step in 2..=60 {
        record(&core, later(step * 10), &[event("tv", EventKind::Heartbeat, 3_000_000 + step as u64 * 10_000)]);
        assert_eq!(position(&core), 600_000, "after {step} heartbeats");
    }
    for step in 61..=80 {
        record(&core, later(step * 10), &[event("tv", EventKind::Heartbeat, 3_000_000 + step as u64 * 10_000)]);
    }
    assert_eq!(position(&core), 3_800_000, "somebody is really watching there");
}

#[test]
fn what_is_recorded_right_after_an_erasure_is_begun_under_it() {
    let core = core();
    let (profile, _) = ids();
    record(&core, NOW, &[event("tv", EventKind::Play, 500_000)]);
    core.erase(NOW.shifted(1_000), &profile).unwrap();
    core.record(NOW.shifted(2_000), None, &[event("tv", EventKind::Play, 4_000)]).unwrap();
    core.flush().unwrap();
    assert_eq!(position(&core), 4_000);
    let mut old = event("tv", EventKind::Heartbeat, 900_000);
    old.at_ms = Some(NOW.as_millis() - 60_000);
    let recorded = core.record(NOW.shifted(3_000), Some(NOW.shifted(3_000)), &[old]).unwrap();
    assert!(recorded.outcomes[0].is_ok() && !core.flush().unwrap(), "from before the erasure: accepted, and nothing");
}

#[test]
fn watchers_hear_of_changes_of_their_profile_and_of_no_other() {
    let core = core();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let watch = core.watch(&ids().0, Arc::new(move |change: &Change| sink.lock().unwrap().push(change.clone())));
    record(&core, NOW, &[event("tv", EventKind::Play, 1_000), PlaybackEvent::new("other", "film", "tv", EventKind::Play, 0)]);
    assert!(matches!(heard.lock().unwrap()[..], [Change::Register { .. }]));
    core.unwatch(watch);
    record(&core, NOW, &[event("tv", EventKind::Pause, 2_000)]);
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[test]
fn a_stamp_from_too_far_in_the_future_is_refused_by_name_and_told_when_to_return() {
    let (here, there) = (core(), core_with(3, CoreOptions::default()));
    record(&there, NOW.shifted(90_000), &[event("tv", EventKind::Play, 1_000)]);
    let applied = exchange(&there, &here, NOW);
    let [refused] = &applied.refused[..] else { panic!("{:?}", applied.refused) };
    assert_eq!((refused.title.as_ref().unwrap().as_str(), refused.reason), ("film", RefusedReason::TooFarAhead));
    assert!((30_000..=30_002).contains(&refused.retry_ms));
    assert_eq!(exchange(&there, &here, NOW.shifted(30_002)).refused, []);
    assert_eq!(position(&here), 1_000);
}

#[test]
fn a_foreign_profile_is_refused_record_by_record() {
    let (device, node) = (core_with(3, CoreOptions::default()), core());
    record(&device, NOW, &[event("tv", EventKind::Play, 1_000), PlaybackEvent::new("other", "film", "tv", EventKind::Play, 9)]);
    let mut out = Vec::new();
    let step = device.store().next_changes(&mut Feed::after(Seq(0)), node.store().id(), 1 << 20, &|_| true, &mut [], &mut out).unwrap();
    let grant = Grant { account: "a".into(), profiles: [ids().0].into(), read: true, write: true, expires: NOW.shifted(1) };
    let applied = node
        .apply(NOW, device.store().id(), PeerRecords { bytes: &out, count: step.count, ..PeerRecords::default() }, Some(&grant))
        .unwrap();
    node.flush().unwrap();
    assert_eq!(applied.refused.len(), 1);
    assert_eq!((applied.refused[0].profile.as_str(), applied.refused[0].reason), ("other", RefusedReason::NotEntitled));
    assert_eq!(position(&node), 1_000);
}

#[test]
fn garbage_from_a_peer_is_an_error_and_changes_nothing() {
    let core = core();
    assert!(matches!(
        core.apply(NOW, ReplicaId([9; 16]), PeerRecords { bytes: &[1, 2, 3], count: 1, ..PeerRecords::default() }, None),
        Err(ApplyError::Decode(_))
    ));
    assert!(matches!(
        core.apply(NOW, ReplicaId([9; 16]), PeerRecords { count: 1, ..PeerRecords::default() }, None),
        Err(ApplyError::Count { announced: 1, sent: 0 })
    ));
    assert!(!core.flush().unwrap());
}

#[test]
fn a_device_whose_clock_is_a_day_slow_loses_nothing_and_its_later_jump_wins() {
    let (device, node) = (device_core(), core());
    let day_ms = 86_400_000;
    record(&node, NOW, &[event("tv", EventKind::Play, 3_000_000)]);
    let slow = |ms: i64| NOW.shifted(ms - day_ms);
    record(&device, slow(60_000), &[event("phone", EventKind::Play, 3_000_000)]);
    record(&device, slow(70_000), &[event("phone", EventKind::Seek, 600_000)]);
    assert_eq!(position(&device), 600_000, "read at once on the device itself");
    let offset = device.share_unshared(slow(80_000), day_ms).unwrap();
    assert_eq!((offset, device.store().unshared().len()), (day_ms, 0));
    exchange(&device, &node, NOW.shifted(80_000));
    assert_eq!((position(&device), position(&node)), (600_000, 600_000));
    let (profile, title) = ids();
    let version = node.resume_point(&profile, &title, Policy::Continue).unwrap().point.version;
    assert_eq!(version.as_hlc().wall().millis_since(NOW), 70_000, "dated by the right clock");
}

#[test]
fn a_clock_set_back_while_the_device_is_away_puts_nothing_in_the_future() {
    let (device, node) = (device_core(), core());
    let day_ms = 86_400_000;
    record(&node, NOW, &[event("tv", EventKind::Play, 3_000_000)]);
    exchange(&node, &device, NOW);
    let slow = |ms: i64| NOW.shifted(ms - day_ms);
    record(&device, slow(60_000), &[event("phone", EventKind::Play, 3_000_000)]);
    record(&device, slow(70_000), &[event("phone", EventKind::Seek, 600_000)]);
    device.share_unshared(slow(80_000), day_ms).unwrap();
    assert_eq!(exchange(&device, &node, NOW.shifted(80_000)).refused, []);
    assert_eq!(position(&node), 600_000);
}

#[test]
fn what_was_stamped_before_a_fast_clock_was_put_right_is_moved_and_everybody_is_told() {
    let (device, node) = (device_core(), core());
    let fast = NOW.shifted(86_400_000);
    record(&device, fast, &[event("phone", EventKind::Play, 0), event("phone", EventKind::Seek, 600_000)]);
    let resets = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&resets);
    device.watch(&ids().0, Arc::new(move |change| _ = counted.fetch_add(u64::from(*change == Change::Reset), Ordering::Relaxed)));
    device.share_unshared(NOW.shifted(1_000), 0).unwrap();
    assert_eq!(resets.load(Ordering::Relaxed), 1, "its version has been lowered by a day");
    record(&device, NOW.shifted(10_000), &[event("phone", EventKind::Heartbeat, 609_000)]);
    assert_eq!(exchange(&device, &node, NOW.shifted(10_000)).refused, [], "also its playhead has left the place in the future");
    assert_eq!(position(&node), 609_000);
}

#[test]
fn a_device_whose_clock_is_a_day_fast_is_not_refused_and_does_not_win_by_it() {
    let (device, node) = (device_core(), core());
    let day_ms = 86_400_000;
    let fast = |ms: i64| NOW.shifted(ms + day_ms);
    record(&device, fast(0), &[event("phone", EventKind::Play, 0), event("phone", EventKind::Seek, 600_000)]);
    record(&node, NOW.shifted(5_000), &[event("tv", EventKind::Play, 0), event("tv", EventKind::Seek, 1_200_000)]);
    device.share_unshared(fast(10_000), -day_ms).unwrap();
    assert_eq!(exchange(&device, &node, NOW.shifted(10_000)).refused, []);
    assert_eq!(position(&node), 1_200_000, "the television's jump was the later one");
    record(&device, fast(20_000), &[event("phone", EventKind::Seek, 1_800_000)]);
    assert_eq!(exchange(&device, &node, NOW.shifted(20_000)).refused, []);
    assert_eq!(position(&node), 1_800_000, "and from then on the device's clock is right");
}

#[test]
fn the_stamps_of_a_wrong_clock_are_remembered_nowhere_once_they_are_moved() {
    let device = device_core();
    let day_ms = 86_400_000;
    let fast = |ms: i64| NOW.shifted(ms + day_ms);
    record(&device, fast(0), &[event("phone", EventKind::Play, 5_000)]);
    device.share_unshared(fast(1_000), -day_ms).unwrap();
    assert!(device.store().highest_stamp().wall() < NOW.shifted(60_000), "a restart would resume the clock from here");
    assert!(device.tick(fast(2_000)).wall() < NOW.shifted(60_000));
}

#[test]
fn erasing_on_a_device_whose_clock_is_a_day_fast_swallows_nothing_that_is_watched_later() {
    let (device, node) = (device_core(), core());
    let (profile, _) = ids();
    let day_ms = 86_400_000;
    let fast = |ms: i64| NOW.shifted(ms + day_ms);
    record(&node, NOW.shifted(-5_000), &[event("tv", EventKind::Play, 100_000)]);
    exchange(&node, &device, NOW);
    record(&device, fast(0), &[event("phone", EventKind::Play, 500_000)]);
    device.erase(fast(1_000), &profile).unwrap();
    device.flush().unwrap();
    assert_eq!(position(&device), 0);
    device.share_unshared(fast(2_000), -day_ms).unwrap();
    assert_eq!(exchange(&device, &node, NOW.shifted(2_000)).refused, []);
    assert_eq!(position(&node), 0);
    let mut late = event("phone", EventKind::Play, 7_000);
    late.at_ms = Some(NOW.as_millis() + 3_000);
    device.record(fast(4_000), None, &[late]).unwrap();
    device.flush().unwrap();
    assert_eq!(exchange(&device, &node, NOW.shifted(4_000)).refused, []);
    assert_eq!((position(&device), position(&node)), (7_000, 7_000));
}

#[test]
fn unshared_work_survives_between_two_connections_only_once() {
    let device = device_core();
    record(&device, NOW, &[event("phone", EventKind::Play, 5_000)]);
    device.share_unshared(NOW, 0).unwrap();
    record(&device, NOW.shifted(10_000), &[event("phone", EventKind::Heartbeat, 15_000)]);
    assert_eq!(device.store().unshared().len(), 0, "connected: shared as it is recorded");
    device.stop_sharing();
    record(&device, NOW.shifted(20_000), &[event("phone", EventKind::Heartbeat, 25_000)]);
    assert_eq!(device.store().unshared().len(), 1);
    assert_eq!(position(&device), 25_000);
}

#[test]
fn hiding_takes_a_title_out_of_the_row_until_it_is_watched_again() {
    let core = core();
    let (profile, title) = ids();
    let row = |core: &Core| core.profile(&profile).unwrap().profile.continue_watching(20).len();
    record(&core, NOW, &[event("tv", EventKind::Play, 600_000)]);
    assert_eq!(row(&core), 1);
    core.hide(NOW.shifted(1_000), &profile, &title).unwrap();
    core.flush().unwrap();
    assert_eq!(row(&core), 0);
    record(&core, NOW.shifted(20_000), &[event("tv", EventKind::Heartbeat, 620_000)]);
    assert_eq!(row(&core), 1);
}

#[test]
fn an_expiry_floor_is_raised_only_where_a_time_to_live_is_set() {
    let forever = core();
    forever.raise_floor(NOW, 10_000).unwrap();
    forever.flush().unwrap();
    assert_eq!(forever.store().floor_day(), 0);
    let month = core_with(1, CoreOptions { ttl_days: Some(30), ..CoreOptions::default() });
    record(&month, NOW, &[event("tv", EventKind::Play, 600_000)]);
    month.expire(NOW.shifted(29 * 86_400_000)).unwrap();
    month.flush().unwrap();
    assert_eq!(position(&month), 600_000);
    month.expire(NOW.shifted(31 * 86_400_000)).unwrap();
    month.flush().unwrap();
    assert_eq!(position(&month), 0);
}

#[test]
fn nothing_expires_by_a_clock_that_may_be_wrong() {
    let options = CoreOptions { ttl_days: Some(30), ..CoreOptions::default() };
    let floor = |core: &Core, now| {
        core.expire(now).unwrap();
        core.flush().unwrap();
        core.store().floor_day()
    };
    let mono = |s| MonotonicTime::from_start(std::time::Duration::from_secs(s));
    let device = core_with(2, CoreOptions { keeps_unshared: true, ..options.clone() });
    assert_eq!(floor(&device, NOW), 0);
    device.share_unshared(NOW, 0).unwrap();
    assert_ne!(floor(&device, NOW), 0, "a node's clock is known");
    let node = core_with(1, CoreOptions { expires_with_peers: true, ..options });
    assert_eq!(floor(&node, NOW), 0);
    node.set_clock_agrees(true);
    node.note_clock(NOW, mono(0));
    node.note_clock(NOW.shifted(800 * 86_400_000), mono(1));
    assert_eq!(floor(&node, NOW.shifted(800 * 86_400_000)), 0, "the clock was set");
    node.set_clock_agrees(true);
    assert_eq!(floor(&node, NOW), crate::store::day_of(NOW) - 30);
}

#[test]
fn a_profile_is_erased_again_also_by_a_clock_that_was_put_back_since() {
    let device = device_core();
    let (profile, _) = ids();
    let hour_ms = 3_600_000;
    device.share_unshared(NOW, hour_ms).unwrap();
    record(&device, NOW, &[event("phone", EventKind::Play, 500_000)]);
    device.erase(NOW.shifted(1_000), &profile).unwrap();
    device.flush().unwrap();
    device.share_unshared(NOW.shifted(2_000), -hour_ms).unwrap();
    record(&device, NOW.shifted(20_000), &[event("phone", EventKind::Play, 7_000)]);
    assert_eq!(position(&device), 7_000);
    device.erase(NOW.shifted(30_000), &profile).unwrap();
    device.flush().unwrap();
    assert_eq!(position(&device), 0);
}

#[test]
fn a_batch_that_may_be_too_large_is_refused_before_its_playheads_move() {
    let core = core();
    let id = |kind: &str, number: usize| format!("{kind}{number:0>127}");
    let event = |number| PlaybackEvent::new(id("p", number / 100), id("t", number), id("d", 1), EventKind::Play, 1_000);
    let events: Vec<PlaybackEvent> = (0..6_000).map(event).collect();
    assert!(matches!(core.record(NOW, None, &events), Err(RecordError::Append(AppendError::TooLarge { .. }))));
    let recorded = core.record(NOW, None, &events[..1_000]).unwrap();
    assert!(recorded.changes.iter().all(Option::is_some), "and what is sent again in smaller batches is no repeat");
}

#[test]
fn more_offline_work_than_one_frame_of_the_log_holds_is_shared_all_the_same() {
    let device = device_core();
    let id = |kind: &str, number: usize| format!("{kind}{number:0>127}");
    let event = |number| PlaybackEvent::new(id("p", number / 1_000), id("t", number), "phone", EventKind::Play, 1_000);
    let count = crate::limits::LOG_FRAME_BYTES_MAX / 300 + 1_000;
    for batch in (0..count).map(event).collect::<Vec<_>>().chunks(1_000) {
        record(&device, NOW, batch);
    }
    assert_eq!(device.store().unshared().len(), count);
    device.share_unshared(NOW.shifted(1_000), 60_000).unwrap();
    assert_eq!(device.store().unshared().len(), 0);
    let last = event(count - 1);
    let (profile, title) = (ProfileId::new(last.profile_id).unwrap(), TitleId::new(last.title_id).unwrap());
    assert!(device.store().shared_register(&profile, &title).unwrap().is_some());
}

#[test]
fn what_was_refused_is_not_said_to_be_here_because_a_later_link_has_refused_nothing_yet() {
    let core = core();
    let (peer, epoch) = (ReplicaId([9; 16]), Epoch(9));
    core.note_neighbour(peer, epoch, None, Some(Seq(3)), Seq(0), true);
    core.note_neighbour(peer, epoch, None, Some(Seq(4)), Seq(0), false);
    core.note_neighbour(peer, epoch, Some(Seq(5)), None, Seq(0), true);
    assert_eq!(core.heard().iter().map(|heard| heard.seq).collect::<Vec<_>>(), [Seq(3)]);
    core.doubt_neighbour(peer);
    assert_eq!(core.heard(), []);
    core.note_neighbour(peer, epoch, None, Some(Seq(6)), Seq(0), true);
    assert_eq!(core.heard().len(), 1);
}

#[test]
fn whoever_is_told_of_a_change_may_end_a_watch_there_and_then() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let core = Arc::new(core());
        let other = core.watch(&ids().0, Arc::new(|_| ()));
        let wake = core.on_change(Arc::new(|| ()));
        let weak = Arc::downgrade(&core);
        let end = move || {
            let core = weak.upgrade().unwrap();
            core.unwatch(other);
            core.unwatch(wake);
        };
        let end_too = end.clone();
        core.watch(&ids().0, Arc::new(move |_| end()));
        core.on_change(Arc::new(end_too));
        record(&core, NOW, &[event("tv", EventKind::Play, 1_000)]);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
}

#[test]
fn two_threads_that_flush_tell_of_changes_in_their_order() {
    let core = Arc::new(core());
    let (begin, begun) = std::sync::mpsc::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let told = Mutex::new(Some(told));
    let notify = move |_: &Change| {
        let Some(told) = told.lock().unwrap().take() else {
            // The first no longer waits.
            let _ = tell.send(());
            return;
        };
        begin.send(()).unwrap();
        // As long as the first is being told of, nobody is told of the second.
        assert!(told.recv_timeout(std::time::Duration::from_millis(300)).is_err());
    };
    core.watch(&ids().0, Arc::new(notify));
    let flushing = Arc::clone(&core);
    let first = std::thread::spawn(move || record(&flushing, NOW, &[event("tv", EventKind::Play, 1_000)]));
    begun.recv().unwrap();
    record(&core, NOW.shifted(20_000), &[event("tv", EventKind::Heartbeat, 21_000)]);
    first.join().unwrap();
}

#[test]
fn a_device_brings_no_more_titles_to_a_profile_than_it_may_have() {
    use crate::limits::TITLES_FROM_DEVICES_COUNT_MAX;
    let core = core();
    let grant = Grant { account: "a".into(), profiles: [ids().0].into(), read: true, write: true, expires: NOW.shifted(1) };
    let state = Progress::hiding(Hlc::ZERO, Hlc::from_wall(NOW));
    let send = |numbers: std::ops::Range<usize>| {
        let mut bytes = Vec::new();
        let count = numbers.len() as u32;
        for number in numbers {
            let (profile, title) = (ids().0, TitleId::new(format!("t{number}")).unwrap());
            Record::Register { profile, title, state: state.clone() }.encode(&mut bytes);
        }
        let applied =
            core.apply(NOW, ReplicaId([9; 16]), PeerRecords { bytes: &bytes, count, ..PeerRecords::default() }, Some(&grant)).unwrap();
        core.flush().unwrap();
        applied.refused
    };
    for begin in (0..TITLES_FROM_DEVICES_COUNT_MAX).step_by(1_000) {
        assert_eq!(send(begin..begin + 1_000), []);
    }
    assert_eq!(send(0..1_000), [], "what is known is taken");
    let refused = send(TITLES_FROM_DEVICES_COUNT_MAX - 1..TITLES_FROM_DEVICES_COUNT_MAX + 1);
    assert_eq!(refused.iter().map(|refused| refused.reason).collect::<Vec<_>>(), [RefusedReason::OutOfBounds]);
    core.erase(NOW.shifted(1_000), &ids().0).unwrap();
    core.flush().unwrap();
    assert_eq!(send(TITLES_FROM_DEVICES_COUNT_MAX..TITLES_FROM_DEVICES_COUNT_MAX + 1), []);
}

/// A player that opens places itself knows the node's time from one answer, and may be a second ahead of it.
#[test]
fn a_jump_wins_over_one_that_a_player_dated_a_moment_ahead() {
    let core = core();
    record(&core, NOW, &[event("tv", EventKind::Pause, 3_600_000)]);
    let ahead = Hlc::from_wall(NOW.shifted(2_500)).as_u64();
    let placed = |kind| PlaybackEvent { version: Some(ahead), ..event("laptop", kind, 1_200_000) };
    record(&core, NOW.shifted(1_000), &[placed(EventKind::Seek)]);
    assert_eq!(position(&core), 1_200_000);
    record(&core, NOW.shifted(1_500), &[event("tv", EventKind::Play, 1_200_000), event("tv", EventKind::Seek, 20_000)]);
    assert_eq!(position(&core), 20_000, "the later jump");
    record(&core, NOW.shifted(2_000), &[placed(EventKind::Pause)]);
    assert_eq!(position(&core), 20_000, "and not the laptop's pause");
    record(&core, NOW.shifted(2_500), &[event("phone", EventKind::Seek, 300_000)]);
    assert_eq!(position(&core), 300_000, "nor the television's jump over one of a device that was not there before");
}
