//! Expiry: a register is judged whole and by its newest stamp, whatever of it is folded, frozen, or in the table.

use std::collections::BTreeMap;

use super::*;

const DAY_MS: u64 = 86_400_000;

/// A delta of some day, in a place of its own or in the first one.
fn watched(day: u64, minute: u64, position_ms: u64, moves: bool) -> Progress {
    let mut delta = heartbeat(day * DAY_MS + minute * 60_000, position_ms, 1);
    if moves {
        let version = Version::from_u64(delta.newest_stamp().as_u64());
        delta.places = Places::single(Place { version, ..*delta.newest().unwrap() });
    }
    delta
}

fn floor_of(day: u64) -> u32 {
    day_of(stamp(day * DAY_MS).wall())
}

fn raise(store: &Store, day: u64) {
    let mut batch = Batch::local();
    batch.raise_floor(floor_of(day));
    store.append(batch).unwrap();
    flush(store);
}

fn day_of_newest(progress: &Progress) -> u32 {
    day_of(progress.newest_stamp().wall())
}

#[derive(Default)]
struct Seen(BTreeMap<TitleId, Progress>);

impl Visitor for Seen {
    fn wants(&self, _acted: Hlc, _is_of_series: bool) -> bool {
        true
    }

    fn visit(&mut self, title: &TitleId, progress: &Progress, _arrived: Seq) {
        assert!(self.0.insert(title.clone(), progress.clone()).is_none(), "each is visited once");
    }
}

/// Every way to read a title shows the same.
fn shown(store: &Store, who: u64, what: u64) -> Option<Progress> {
    let one = store.register(&profile(who), &title(what)).unwrap().map(|stored| stored.progress);
    assert_eq!(store.profile(&profile(who)).unwrap().profile.registers.get(&title(what)), one.as_ref());
    let mut seen = Seen::default();
    store.visit_profile(&profile(who), &mut seen).unwrap();
    assert_eq!(seen.0.get(&title(what)), one.as_ref());
    let scanned = states(store).into_iter().find(|(profile_id, title_id, _)| (profile_id, title_id) == (&profile(who), &title(what)));
    assert_eq!(scanned.map(|(_, _, progress)| progress), one);
    one
}

#[test]
fn what_was_folded_before_the_floor_lives_with_what_was_watched_since() {
    let (first, second) = (watched(1, 0, 600_000, true), watched(2, 0, 30_000, true));
    for folds in 0..8 {
        let (store, _) = Disk::default().open();
        let fold = |point: u32| {
            if folds >> point & 1 == 1 {
                store.fold_all().unwrap();
            }
        };
        record(&store, 1, 1, &first);
        fold(0);
        record(&store, 1, 1, &second);
        fold(1);
        raise(&store, 2);
        let whole = Some(first.clone().joined(&second));
        assert_eq!(shown(&store, 1, 1), whole, "folds {folds:03b}");
        fold(2);
        assert_eq!(shown(&store, 1, 1), whole, "folds {folds:03b}");
        // And when it is watched on, and when that is folded.
        let third = watched(3, 0, 90_000, false);
        record(&store, 1, 1, &third);
        let whole = whole.map(|whole| whole.joined(&third));
        assert_eq!(shown(&store, 1, 1), whole, "folds {folds:03b}");
        store.fold_all().unwrap();
        assert_eq!(shown(&store, 1, 1), whole, "folds {folds:03b}");
    }
}

#[test]
fn a_late_change_in_the_table_lives_with_the_newer_one_that_is_folded() {
    let (late, newer, next) = (watched(1, 0, 600_000, true), watched(4, 0, 30_000, true), watched(6, 0, 40_000, false));
    let (store, _) = Disk::default().open();
    record(&store, 1, 1, &newer);
    store.fold_all().unwrap();
    record(&store, 1, 1, &late);
    raise(&store, 3);
    let both = newer.joined(&late);
    assert_eq!(shown(&store, 1, 1), Some(both.clone()));
    record(&store, 1, 1, &next);
    assert_eq!(shown(&store, 1, 1), Some(both.joined(&next)));
}

/// One title by definition: each delta in the order of the log, by the floor that was in force then.
#[derive(Clone, Default)]
struct Model {
    floor_day: u32,
    registers: BTreeMap<(u64, u64), Progress>,
}

impl Model {
    fn take(&mut self, who: u64, what: u64, delta: &Progress) {
        if day_of_newest(delta) < self.floor_day {
            return;
        }
        let known = self.read(who, what).unwrap_or_default();
        self.registers.insert((who, what), known.joined(delta));
    }

    fn read(&self, who: u64, what: u64) -> Option<Progress> {
        self.registers.get(&(who, what)).filter(|known| day_of_newest(known) >= self.floor_day).cloned()
    }
}

#[test]
fn neither_folds_nor_crashes_decide_what_expires() {
    for seed in 1..60 {
        let mut dice = Dice(seed);
        let disk = Disk::default();
        let (mut store, _) = disk.open();
        let mut model = Model::default();
        let mut today = 10;
        for _ in 0..160 {
            let (who, what) = (dice.roll(4), dice.roll(2));
            match dice.roll(20) {
                0..10 => {
                    // Some arrive days late.
                    let day = today - dice.roll(4) * dice.roll(2);
                    let delta = watched(day, dice.roll(1_000), dice.roll(7_200_000), dice.roll(2) == 0);
                    record(&store, who, what, &delta);
                    model.take(who, what, &delta);
                }
                10..13 => today += 1,
                13..15 => {
                    raise(&store, today - 2);
                    model.floor_day = model.floor_day.max(floor_of(today - 2));
                }
                15..18 => drop(store.fold_step(FoldBudget { slots: 1 + dice.roll(600) as usize, force: true }).unwrap()),
                18 => assert_eq!(shown(&store, who, what), model.read(who, what), "seed {seed}"),
                _ => {
                    drop(store);
                    disk.lose_power(dice.roll(1_001) as u16);
                    store = disk.open().0;
                }
            }
        }
        for (who, what) in (0..4).flat_map(|who| (0..2).map(move |what| (who, what))) {
            assert_eq!(shown(&store, who, what), model.read(who, what), "seed {seed}");
        }
        let mut kept = Fingerprints { leaves: store.fingerprints().unwrap().leaves };
        for item in everything(&store) {
            kept.leaves[Fingerprints::leaf_of(item.key)].subtract(store.fingerprint(item.key, &item.progress));
        }
        assert!(kept.leaves.iter().all(|leaf| *leaf == Fingerprint::default()), "the fingerprints are those of what is shown");
    }
}

#[test]
fn replicas_that_raised_the_floor_on_either_side_of_a_change_meet_in_the_join() {
    for seed in 1..40 {
        let mut dice = Dice(seed);
        let deltas: Vec<_> = (0..24).map(|_| watched(dice.roll(9), dice.roll(1_000), dice.roll(7_200_000), dice.roll(2) == 0)).collect();
        let replicas: Vec<_> = (0..3)
            .map(|_| {
                let (store, _) = Disk::default().open();
                let mut order: Vec<_> = deltas.iter().collect();
                for index in (1..order.len()).rev() {
                    order.swap(index, dice.roll(index as u64 + 1) as usize);
                }
                for delta in order {
                    record(&store, 1, dice.roll(1), delta);
                    match dice.roll(8) {
                        0 => raise(&store, dice.roll(6)),
                        1 => store.fold_all().unwrap(),
                        _ => (),
                    }
                }
                raise(&store, 5);
                store
            })
            .collect();
        // Twice around, each is sent the registers of the others.
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 2)] {
            for (_, _, progress) in states(&replicas[from]) {
                record(&replicas[to], 1, 0, &progress);
            }
        }
        assert_eq!(states(&replicas[0]), states(&replicas[1]), "seed {seed}");
        assert_eq!(states(&replicas[1]), states(&replicas[2]), "seed {seed}");
    }
}
