//! Random histories against a model that keeps every delta and joins them by definition.

use std::collections::BTreeMap;

use super::*;

/// Deltas and tombstones as they were made durable.
#[derive(Clone, Default)]
struct Model {
    deltas: BTreeMap<(ProfileId, TitleId), Vec<Progress>>,
    erased: BTreeMap<ProfileId, Hlc>,
}

impl Model {
    fn read(&self) -> BTreeMap<(ProfileId, TitleId), Progress> {
        let mut all = BTreeMap::new();
        for ((profile, title), deltas) in &self.deltas {
            let erased = self.erased.get(profile).copied().unwrap_or_default();
            let alive = deltas.iter().filter(|delta| delta.epoch >= erased);
            if let Some(joined) = alive.cloned().reduce(|one, other| one.joined(&other)) {
                all.insert((profile.clone(), title.clone()), joined);
            }
        }
        all
    }
}

/// What a visitor was shown who wants what was active since then.
#[derive(Default)]
struct Seen {
    since: Hlc,
    registers: BTreeMap<TitleId, Progress>,
    arrived: BTreeMap<TitleId, Seq>,
}

impl Visitor for Seen {
    fn wants(&self, acted: Hlc, _is_of_series: bool) -> bool {
        acted >= self.since
    }

    fn visit(&mut self, title: &TitleId, progress: &Progress, arrived: Seq) {
        assert!(self.registers.insert(title.clone(), progress.clone()).is_none(), "each is visited once");
        self.arrived.insert(title.clone(), arrived);
    }
}

fn agree(store: &Store, model: &Model) {
    let expected = model.read();
    let found: BTreeMap<_, _> = states(store).into_iter().map(|(profile, title, progress)| ((profile, title), progress)).collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
    for ((profile, title), progress) in &expected {
        assert_eq!(store.register(profile, title).unwrap().map(|stored| stored.progress).as_ref(), Some(progress));
        let whole = store.profile(profile).unwrap();
        assert_eq!(whole.profile.registers.get(title), Some(progress));
        assert_eq!(whole.arrived.len(), whole.profile.registers.len());
        let mut seen = Seen::default();
        store.visit_profile(profile, &mut seen).unwrap();
        assert_eq!((&seen.registers, &seen.arrived), (&whole.profile.registers, &whole.arrived));
        // What it does not want is left out, and nothing else.
        let since = progress.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.stamp);
        let mut few = Seen { since, ..Seen::default() };
        store.visit_profile(profile, &mut few).unwrap();
        assert!(few.registers.iter().all(|(title, progress)| seen.registers.get(title) == Some(progress)));
        assert!(few.registers.contains_key(title));
    }
}

fn history(seed: u64, steps: u64, mut reopen: impl FnMut(Option<Store>, &mut Dice) -> Store) {
    let mut dice = Dice(seed);
    let mut store = reopen(None, &mut dice);
    let mut model = Model::default();
    let mut pending = Vec::new();
    for _ in 0..steps {
        match dice.roll(100) {
            0..60 => {
                let (who, what) = (dice.roll(20), dice.roll(8));
                let mut delta = random_delta(&mut dice);
                delta.epoch = store.erased(&profile(who));
                store.append(batch_of(&[(who, what, &delta)])).unwrap();
                pending.push((profile(who), Some((title(what), delta)), Hlc::ZERO));
            }
            60..62 => {
                let who = profile(dice.roll(20));
                let erased = stamp(dice.roll(1 << 20));
                let mut batch = Batch::local();
                batch.erased(&who, erased);
                store.append(batch).unwrap();
                pending.push((who, None, erased));
            }
            62..80 => {
                flush(&store);
                for (who, register, erased) in pending.drain(..) {
                    if let Some((what, delta)) = register {
                        model.deltas.entry((who, what)).or_default().push(delta);
                    } else {
                        let known = model.erased.entry(who).or_default();
                        *known = erased.max(*known);
                    }
                }
            }
            80..96 => {
                store.fold_step(FoldBudget { slots: 1 + dice.roll(300) as usize, force: true }).unwrap();
            }
            96..98 => agree(&store, &model),
            _ => {
                // What was only appended is not promised; the stores here lose it.
                pending.clear();
                store = reopen(Some(store), &mut dice);
                agree(&store, &model);
            }
        }
    }
    agree(&store, &model);
    let mut kept = Fingerprints { leaves: store.fingerprints().unwrap().leaves };
    for item in everything(&store) {
        kept.leaves[Fingerprints::leaf_of(item.key)].subtract(store.fingerprint(item.key, &item.progress));
    }
    assert!(kept.leaves.iter().all(|leaf| *leaf == Fingerprint::default()), "the fingerprints are those of what is shown");
}

#[test]
fn any_history_in_memory_reads_as_the_join_of_its_deltas() {
    for seed in 1..20 {
        let disk = Disk::default();
        history(seed, 600, |store, dice| {
            drop(store);
            disk.lose_power(dice.roll(1_001) as u16);
            disk.open().0
        });
    }
}

#[test]
fn any_history_on_disk_reads_as_the_join_of_its_deltas() {
    for seed in 1..6 {
        let folder = tempfile::tempdir().unwrap();
        history(seed, 400, |store, dice| {
            if let Some(store) = store
                && dice.roll(2) == 0
            {
                // Closing flushes what waits, which the history counts as lost: so nothing waits.
                drop(store);
            }
            open_folder(folder.path()).0
        });
    }
}

#[test]
fn a_durable_sequence_number_is_never_used_twice_across_restarts() {
    let disk = Disk::default();
    let mut dice = Dice(99);
    let mut highest = Seq(0);
    for round in 0..20 {
        let (store, report) = disk.open();
        assert_eq!(report.created, round == 0);
        for _ in 0..dice.roll(10) {
            let appended = store.append(batch_of(&[(1, 1, &random_delta(&mut dice))])).unwrap();
            assert!(appended.first > highest);
            if dice.roll(3) == 0 {
                flush(&store);
                highest = store.durable();
            }
        }
        if dice.roll(3) == 0 {
            flush(&store);
            highest = store.durable();
            store.close().unwrap();
            drop(store);
        } else {
            drop(store);
            disk.lose_power(dice.roll(1_001) as u16);
        }
    }
}
