//! What peers are fed.

use super::*;
use crate::progress::codec::Reader;

const PEER: ReplicaId = ReplicaId([2; 16]);
const OTHER: ReplicaId = ReplicaId([3; 16]);

fn apply(records: &[u8], count: u32, from: ReplicaId, to: &Store) {
    let mut batch = Batch::from_peer(from);
    let mut reader = Reader::new(records);
    for _ in 0..count {
        batch.push(&Record::decode(&mut reader).unwrap());
    }
    assert!(reader.is_empty());
    to.append(batch).unwrap();
    flush(to);
}

/// Feeds until there is nothing more; answers how many records went over.
fn drain(store: &Store, feed: &mut Feed, bytes_max: usize, to: &Store) -> u32 {
    let mut sent = 0;
    loop {
        let mut out = Vec::new();
        let step = store.next_changes(feed, to.id(), bytes_max, &|_| true, &mut [], &mut out).unwrap();
        assert!(out.len() <= bytes_max.max(crate::limits::RECORD_BYTES_MAX));
        apply(&out, step.count, store.id(), to);
        sent += step.count;
        if !step.more {
            assert_eq!(step.covers, Some(store.durable()));
            return sent;
        }
    }
}

fn other_store() -> Store {
    Store::in_memory(small(), Fresh { id: PEER, epoch: Epoch(1) })
}

#[test]
fn a_key_that_changed_ten_times_is_sent_once() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    for beat in 0..10 {
        record(&store, 1, 1, &heartbeat(beat, beat * 1_000, 1));
    }
    assert_eq!(drain(&store, &mut Feed::after(Seq(0)), 1 << 16, &peer), 1);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn nothing_goes_back_to_where_it_came_from() {
    let store = Store::in_memory(small(), FRESH);
    let mut batch = Batch::from_peer(PEER);
    batch.register(&profile(1), &title(1), &heartbeat(1, 5_000, 1));
    batch.erased(&profile(2), stamp(1));
    store.append(batch).unwrap();
    flush(&store);
    let mut out = Vec::new();
    let step = store.next_changes(&mut Feed::after(Seq(0)), PEER, 1 << 16, &|_| true, &mut [], &mut out).unwrap();
    assert_eq!((step.count, step.covers, step.more), (0, Some(Seq(2)), false));
    let step = store.next_changes(&mut Feed::after(Seq(0)), OTHER, 1 << 16, &|_| true, &mut [], &mut out).unwrap();
    assert_eq!(step.count, 2);
}

/// A change from here, then one of the same key from the peer: the second is not sent back, and must not hide the first.
#[test]
fn a_change_is_sent_though_the_peer_has_changed_the_same_key_since() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    record(&store, 1, 1, &heartbeat(1, 9_000, 1));
    let mut batch = Batch::from_peer(PEER);
    batch.register(&profile(1), &title(1), &heartbeat(2, 5_000, 2));
    store.append(batch).unwrap();
    flush(&store);
    assert_eq!(drain(&store, &mut Feed::after(Seq(0)), 1 << 16, &peer), 1);
    assert_eq!(states(&peer), states(&store));
}

/// A skipped change counts as covered only when the later one that carries it has been sent: `replicated` acknowledgements rest on it.
#[test]
fn a_change_left_out_for_a_later_one_is_not_covered_before_that_is_sent() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    record(&store, 1, 1, &heartbeat(1, 1_000, 1));
    for number in 0..20 {
        record(&store, 2, number, &heartbeat(1, 1_000, 1));
    }
    record(&store, 1, 1, &heartbeat(2, 2_000, 1));
    let mut feed = Feed::after(Seq(0));
    loop {
        let mut out = Vec::new();
        let step = store.next_changes(&mut feed, PEER, 1, &|_| true, &mut [], &mut out).unwrap();
        apply(&out, step.count, store.id(), &peer);
        let has = peer.register(&profile(1), &title(1)).unwrap().is_some();
        assert!(has || step.covers == Some(Seq(0)));
        if !step.more {
            assert!(has);
            break;
        }
    }
    assert_eq!(states(&peer), states(&store));
}

/// A delta may be folded away between its own ring entry and a later one of the same key: what is sent then must hold both.
#[test]
fn a_change_that_was_left_out_and_then_folded_is_sent_with_the_later_one() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    let mut feed = Feed::after(Seq(0));
    record(&store, 1, 1, &heartbeat(1, 9_000, 1));
    record(&store, 2, 1, &heartbeat(1, 1_000, 1));
    record(&store, 2, 2, &heartbeat(1, 1_000, 1));
    record(&store, 1, 1, &heartbeat(2, 1_000, 2));
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1, &|_| true, &mut [], &mut out).unwrap();
    apply(&out, step.count, store.id(), &peer);
    store.fold_all().unwrap();
    record(&store, 1, 1, &heartbeat(3, 500, 3));
    drain(&store, &mut feed, 1, &peer);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn a_peer_behind_the_ring_is_brought_up_by_arrival_numbers() {
    let options = StoreOptions { ring_count_max: 8, ..small() };
    let (store, peer) = (Store::in_memory(options, FRESH), other_store());
    let mut dice = Dice(5);
    let mut feed = Feed::after(Seq(0));
    for round in 0..6 {
        for _ in 0..200 {
            record(&store, dice.roll(30), dice.roll(5), &random_delta(&mut dice));
        }
        if round % 2 == 0 {
            store.fold_all().unwrap();
        }
        let mut batch = Batch::local();
        batch.erased(&profile(dice.roll(30)), stamp(1));
        store.append(batch).unwrap();
        flush(&store);
        drain(&store, &mut feed, 2_000, &peer);
        assert_eq!(states(&peer), states(&store));
        assert_eq!(peer.tombstones(), store.tombstones());
    }
}

/// A later change of a key that brings nothing new keeps the number of the first: a feed that passed the first over for it must still find it.
#[test]
fn a_change_passed_over_for_one_that_the_ring_has_dropped_is_still_sent() {
    let options = StoreOptions { ring_count_max: 8, ..small() };
    let (store, peer) = (Store::in_memory(options, FRESH), other_store());
    record(&store, 1, 1, &heartbeat(1, 9_000, 1));
    store.fold_all().unwrap();
    record(&store, 2, 1, &heartbeat(1, 1_000, 1));
    let mut again = Batch::from_peer(OTHER);
    again.register(&profile(1), &title(1), &heartbeat(1, 9_000, 1));
    store.append(again).unwrap();
    flush(&store);
    let mut feed = Feed::after(Seq(0));
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1, &|_| true, &mut [], &mut out).unwrap();
    apply(&out, step.count, store.id(), &peer);
    store.fold_all().unwrap();
    for number in 0..20 {
        record(&store, 3, number, &heartbeat(1, 1_000, 1));
    }
    drain(&store, &mut feed, 1 << 16, &peer);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn catching_up_by_cursor_sends_only_what_arrived_after_it() {
    let options = StoreOptions { ring_count_max: 4, ..small() };
    let (store, peer) = (Store::in_memory(options, FRESH), other_store());
    for number in 0..500 {
        record(&store, number, 1, &heartbeat(1, 1_000, 1));
    }
    let mut feed = Feed::after(Seq(0));
    assert_eq!(drain(&store, &mut feed, 1 << 16, &peer), 500);
    store.fold_all().unwrap();
    for number in 0..10 {
        record(&store, number, 1, &heartbeat(2, 2_000, 1));
    }
    store.fold_all().unwrap();
    let mut again = Feed::after(feed.position());
    assert_eq!(drain(&store, &mut again, 1 << 16, &peer), 10);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn two_stores_that_feed_each_other_end_equal_whatever_folds_and_restarts_lie_between() {
    for seed in 1..12 {
        let mut dice = Dice(seed);
        let disks = [Disk::default(), Disk::default()];
        let ids = [FRESH, Fresh { id: PEER, epoch: Epoch(5) }];
        let options = || StoreOptions { ring_count_max: 1 + (seed as usize * 7) % 60, ..small() };
        let open = |index: usize| Some(disks[index].try_open(options(), ids[index]).unwrap().0);
        let mut stores = [open(0), open(1)];
        let mut feeds = [Feed::after(Seq(0)), Feed::after(Seq(0))];
        let mut covered = [Seq(0), Seq(0)];
        for _ in 0..300 {
            let index = dice.roll(2) as usize;
            let store = stores[index].as_ref().unwrap();
            match dice.roll(20) {
                0..10 => drop(record(store, dice.roll(6), dice.roll(4), &random_delta(&mut dice))),
                10..12 => drop(store.fold_step(FoldBudget { slots: 1 + dice.roll(1_000) as usize, force: true }).unwrap()),
                12..18 => {
                    let mut out = Vec::new();
                    let bytes_max = 1 + dice.roll(3_000) as usize;
                    let to = stores[1 - index].as_ref().unwrap();
                    let step = store.next_changes(&mut feeds[index], to.id(), bytes_max, &|_| true, &mut [], &mut out).unwrap();
                    apply(&out, step.count, store.id(), to);
                    covered[index] = covered[index].max(step.covers.unwrap_or_default());
                }
                18 => feeds[index] = Feed::after(covered[index]),
                _ => {
                    stores[index] = None;
                    disks[index].lose_power(dice.roll(1_001) as u16);
                    stores[index] = open(index);
                    feeds[index] = Feed::after(covered[index]);
                }
            }
        }
        let [one, other] = [stores[0].as_ref().unwrap(), stores[1].as_ref().unwrap()];
        // Joining what the other sent makes changes that go back once, and then nothing is left.
        for _ in 0..3 {
            drain(one, &mut feeds[0], 1_000, other);
            drain(other, &mut feeds[1], 1_000, one);
        }
        assert_eq!(states(one), states(other), "seed {seed}");
        assert_eq!(one.fingerprints().unwrap(), other.fingerprints().unwrap());
    }
}

#[test]
fn a_feed_is_a_few_dozen_bytes() {
    assert!(size_of::<Feed>() <= 128, "{}", size_of::<Feed>());
}

/// A feed that leaves out what the peer gets from `OTHER`.
fn drain_without_other(store: &Store, feed: &mut Feed, left_out: &mut LeftOut, bytes_max: usize, to: &Store) -> (u32, u32) {
    let (mut own, mut others) = (0, 0);
    loop {
        let mut out = Vec::new();
        let step = store.next_changes(feed, to.id(), bytes_max, &|_| true, std::slice::from_mut(left_out), &mut out).unwrap();
        apply(&out, step.count, store.id(), to);
        (own, others) = (own + step.own_count, others + step.count - step.own_count);
        if !step.more {
            return (own, others);
        }
    }
}

fn made_at_other(store: &Store, keys: std::ops::Range<u64>, version: u64) {
    for key in keys {
        let mut batch = Batch::from_peer(OTHER).made_there(true);
        batch.register(&profile(key), &title(1), &heartbeat(version, version * 1_000, 3));
        store.append(batch).unwrap();
    }
    flush(store);
}

#[test]
fn a_peer_that_lags_is_sent_each_key_once_though_its_newest_change_is_left_out() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    for round in 1..=5 {
        for key in 0..40 {
            record(&store, key, 1, &heartbeat(round, round * 1_000, 1));
        }
    }
    made_at_other(&store, 0..40, 9);
    let (mut feed, mut left_out) = (Feed::after(Seq(0)), LeftOut::all(OTHER));
    let sent = drain_without_other(&store, &mut feed, &mut left_out, 1_000, &peer);
    assert_eq!(sent, (0, 40), "not as own: each went out as it is now, with what was made elsewhere");
    assert_eq!(left_out.first(), Some(Seq(201)));
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn what_was_left_out_in_vain_is_sent_and_nothing_else_again() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    let (mut feed, mut left_out) = (Feed::after(Seq(0)), LeftOut::all(OTHER));
    for round in 0..4 {
        made_at_other(&store, round * 10..round * 10 + 10, 1);
        for key in 100..120 {
            record(&store, key, 1, &heartbeat(round + 1, 1_000, 1));
        }
        assert_eq!(drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer), (20, 0));
    }
    assert_eq!((left_out.first(), left_out.waiting()), (Some(Seq(1)), Some(Seq(1))));
    left_out.held(Seq(5));
    left_out.give_up();
    assert_eq!((left_out.first(), left_out.waiting()), (Some(Seq(6)), None));
    let mut sent = 0;
    while left_out.is_given_up() {
        let mut out = Vec::new();
        let count = store.changes_again(&mut left_out, 500, &|_| true, &mut out).unwrap().unwrap();
        assert!(count < 35, "in frames");
        apply(&out, count, store.id(), &peer);
        sent += count;
    }
    assert_eq!(sent, 35);
    assert_eq!(left_out.first(), None);
    made_at_other(&store, 0..5, 2);
    assert_eq!(drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer), (0, 5), "and they are passed on from here on");
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn what_was_left_out_and_is_gone_from_the_ring_is_found_by_going_over_everything() {
    let store = Store::in_memory(StoreOptions { ring_count_max: 8, ..small() }, FRESH);
    let (mut feed, mut left_out) = (Feed::after(Seq(0)), LeftOut::all(OTHER));
    let peer = other_store();
    for key in 0..20 {
        made_at_other(&store, key..key + 1, 1);
        drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer);
    }
    left_out.give_up();
    assert_eq!(store.changes_again(&mut left_out, 500, &|_| true, &mut Vec::new()).unwrap(), None);
    feed.rewind_to(left_out.forget().unwrap());
    drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer);
    assert_eq!(states(&peer), states(&store));
}

/// An own change waits to go with a later one that then turns out to be left out: it must not be lost with it.
#[test]
fn what_may_be_waited_for_is_not_left_out_when_leaving_begins_in_between() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    let mut left_out = LeftOut::all(OTHER);
    left_out.set_leaving(false);
    record(&store, 1, 1, &heartbeat(1, 9_000, 1));
    record(&store, 2, 1, &heartbeat(1, 9_000, 1));
    record(&store, 3, 1, &heartbeat(1, 9_000, 1));
    made_at_other(&store, 1..2, 5);
    let mut feed = Feed::after(Seq(0));
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1, &|_| true, std::slice::from_mut(&mut left_out), &mut out).unwrap();
    assert_eq!((step.count, step.covers), (1, Some(Seq(0))), "the second key; the first waits");
    apply(&out, step.count, store.id(), &peer);
    left_out.set_leaving(true);
    drain_without_other(&store, &mut feed, &mut left_out, 1, &peer);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn what_others_changed_is_passed_over_without_a_look_and_counts_as_covered() {
    let store = Store::in_memory(StoreOptions { ring_count_max: 64, ..small() }, FRESH);
    let only = [store.hasher().profile(&profile(7))];
    for key in 0..20 {
        record(&store, key, 1, &heartbeat(1, 1_000, 1));
    }
    let mut feed = Feed::after(Seq(0));
    assert_eq!(store.pass_over(&mut feed, &only), None, "there is something for this one");
    assert_eq!(feed.position(), Seq(7), "profiles are counted from 0");
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1 << 16, &|wanted| wanted == profile(7).as_str(), &mut [], &mut out).unwrap();
    assert_eq!((step.count, step.covers), (1, Some(Seq(20))));
    assert_eq!(store.pass_over(&mut feed, &only), Some(Seq(20)));
    record(&store, 8, 1, &heartbeat(2, 1_000, 1));
    assert_eq!(store.pass_over(&mut feed, &only), Some(Seq(21)));
    // Behind the ring the registers themselves are read.
    for beat in 3..100 {
        record(&store, 8, 1, &heartbeat(beat, 1_000 * beat, 1));
    }
    assert_eq!(store.pass_over(&mut feed, &only), None);
    assert_eq!(feed.position(), Seq(21));
}

/// Which changes are meant is known only when the first of them has come, and that may be in the middle of a step.
#[test]
fn what_may_be_waited_for_is_not_left_out_when_its_origin_becomes_known_in_between() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    record(&store, 1, 1, &heartbeat(1, 9_000, 1));
    record(&store, 2, 1, &heartbeat(1, 9_000, 1));
    record(&store, 3, 1, &heartbeat(1, 9_000, 1));
    let (mut feed, mut left_out) = (Feed::after(Seq(0)), LeftOut::all(OTHER));
    let came = std::cell::Cell::new(false);
    let wants = |_: &str| {
        if !came.replace(true) {
            made_at_other(&store, 2..3, 5);
        }
        true
    };
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1, &wants, std::slice::from_mut(&mut left_out), &mut out).unwrap();
    apply(&out, step.count, store.id(), &peer);
    let mut out = Vec::new();
    let step = store.next_changes(&mut feed, PEER, 1, &wants, &mut [], &mut out).unwrap();
    assert_eq!((step.count, step.covers), (1, Some(Seq(1))), "the third key; the second waits");
    apply(&out, step.count, store.id(), &peer);
    drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer);
    assert_eq!(states(&peer), states(&store));
}

#[test]
fn what_is_left_out_and_folded_goes_with_the_next_change_of_its_register() {
    let (store, peer) = (Store::in_memory(small(), FRESH), other_store());
    let (mut feed, mut left_out) = (Feed::after(Seq(0)), LeftOut::all(OTHER));
    made_at_other(&store, 1..2, 1);
    assert_eq!(drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer), (0, 0));
    store.fold_all().unwrap();
    record(&store, 1, 1, &heartbeat(2, 2_000, 1));
    drain_without_other(&store, &mut feed, &mut left_out, 1 << 16, &peer);
    assert_eq!(states(&peer), states(&store));
}
