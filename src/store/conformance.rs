//! What every engine must do, run against each of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::engine::{Delta, Engine, EngineRegister, MemoryEngine, Merged, Sift, SledEngine};
use super::front::encoded_id;
use super::tests::{Dice, heartbeat, profile, random_delta, title};
use super::{KeyHasher, KeyRange, RegisterKey, Seq};
use crate::progress::{ProfileId, Progress, TitleId};
use crate::time::Hlc;

const HASHER: KeyHasher = KeyHasher::new([4; 16]);

struct KeepAll;

impl Sift for KeepAll {
    fn keeps(&self, _key: RegisterKey, _profile: &[u8], _progress: &Progress) -> bool {
        true
    }
}

struct EpochFrom(Hlc);

impl Sift for EpochFrom {
    fn keeps(&self, _key: RegisterKey, _profile: &[u8], progress: &Progress) -> bool {
        progress.epoch >= self.0
    }
}

type Model = BTreeMap<RegisterKey, EngineRegister>;

fn register(who: &ProfileId, what: &TitleId, progress: Progress, arrived: u64) -> EngineRegister {
    EngineRegister { key: HASHER.register(who, what), profile: who.clone(), title: what.clone(), progress, arrived: Seq(arrived) }
}

/// Merges into both engine and model, and checks that the visitor is told the truth.
fn merge(engine: &dyn Engine, model: &mut Model, deltas: &[EngineRegister], sweep: &[KeyRange], sift: &dyn Sift) {
    let mut sorted: Model = Model::new();
    for delta in deltas {
        sorted.insert(delta.key, delta.clone());
    }
    let parts: Vec<_> = sorted
        .values()
        .map(|one| (one.key, encoded_id(one.profile.as_str()), encoded_id(one.title.as_str()), one.progress.to_bytes(), one.arrived))
        .collect();
    let borrowed: Vec<Delta<'_>> = parts
        .iter()
        .map(|(key, profile, title, state, arrived)| Delta { key: *key, profile, title, state, arrived: *arrived, floor_day: 0 })
        .collect();
    let mut told = BTreeMap::new();
    engine
        .merge(&borrowed, sweep, sift, &mut |merged: Merged<'_>| {
            told.insert(merged.key, (merged.old.cloned(), merged.new.cloned()));
        })
        .unwrap();
    let before = model.clone();
    for (key, delta) in sorted {
        let entry = model.entry(key).or_insert_with(|| delta.clone());
        if !entry.progress.holds(&delta.progress) {
            entry.arrived = entry.arrived.max(delta.arrived);
        }
        entry.progress.join(&delta.progress);
        if !sift.keeps(key, &[], &model[&key].progress) {
            model.remove(&key);
        }
    }
    model.retain(|key, one| !sweep.iter().any(|range| range.contains(*key)) || sift.keeps(*key, &[], &one.progress));
    for key in before.keys().chain(model.keys()) {
        let (old, new) = (before.get(key).map(|one| &one.progress), model.get(key).map(|one| &one.progress));
        if old == new {
            assert!(told.get(key).is_none_or(|(old, new)| old == new));
        } else {
            let (told_old, told_new) = told.get(key).expect("a change is told");
            assert_eq!((told_old.as_ref(), told_new.as_ref()), (old, new));
        }
    }
}

fn content(engine: &dyn Engine, range: KeyRange) -> Vec<EngineRegister> {
    let mut all = Vec::new();
    engine
        .scan(range, &mut |register| {
            all.push(register);
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

fn agree(engine: &dyn Engine, model: &Model, range: KeyRange) {
    let expected: Vec<_> = model.range(range.first..=range.last).map(|(_, one)| one.clone()).collect();
    let found = content(engine, range);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found.key, &found.profile, &found.title, &found.progress), {
            (&expected.key, &expected.profile, &expected.title, &expected.progress)
        });
    }
}

fn each_engine(check: impl Fn(&dyn Engine)) {
    check(&MemoryEngine::new());
    let folder = tempfile::tempdir().unwrap();
    check(&SledEngine::open(folder.path(), 8 << 20).unwrap());
}

#[test]
fn merging_in_any_pieces_gives_the_join() {
    each_engine(|engine| {
        let mut dice = Dice(21);
        let mut model = Model::new();
        for round in 0..40_u64 {
            let count = 1 + dice.roll(400);
            // Some profiles are large, most are small, one round in four is sparse.
            let deltas: Vec<_> = (0..count)
                .map(|_| {
                    let who = if dice.roll(3) == 0 { dice.roll(3) } else { dice.roll(2_000) };
                    register(&profile(who), &title(dice.roll(300)), random_delta(&mut dice), round + 1)
                })
                .take(if round % 4 == 0 { 3 } else { usize::MAX })
                .collect();
            merge(engine, &mut model, &deltas, &[], &KeepAll);
            agree(engine, &model, KeyRange::ALL);
        }
        for _ in 0..200 {
            let range = KeyRange::of_profile(HASHER.profile(&profile(dice.roll(2_000))));
            agree(engine, &model, range);
            let (a, b) = (u128::from(dice.roll(1 << 50)) << 78, u128::from(dice.roll(1 << 50)) << 78);
            agree(engine, &model, KeyRange { first: RegisterKey(a.min(b)), last: RegisterKey(a.max(b)) });
        }
        for one in model.values() {
            let (progress, arrived) = engine.register(one.key).unwrap().unwrap();
            assert_eq!(progress, one.progress);
            assert!(arrived >= Seq(1));
            assert_eq!(engine.register(RegisterKey(one.key.0 ^ 1)).unwrap(), None);
        }
        assert!(engine.verify().unwrap().damage.is_empty());
        assert_eq!(engine.verify().unwrap().registers, model.len() as u64);
    });
}

#[test]
fn what_is_sifted_is_gone_where_a_delta_or_a_sweep_reaches_it() {
    each_engine(|engine| {
        let mut model = Model::new();
        let all: Vec<_> =
            (0..50).flat_map(|who| (0..20).map(move |what| register(&profile(who), &title(what), heartbeat(what, 1_000, 1), 1))).collect();
        merge(engine, &mut model, &all, &[], &KeepAll);
        let erased = EpochFrom(Hlc::from_u64(9));
        merge(engine, &mut model, &all[..1], &[], &erased);
        agree(engine, &model, KeyRange::ALL);
        assert_eq!(model.len(), 999);
        let anew = Progress { epoch: Hlc::from_u64(9), ..heartbeat(1, 2_000, 1) };
        let mut sweep: Vec<_> = [3, 4, 70].map(|who| KeyRange::of_profile(HASHER.profile(&profile(who)))).into();
        sweep.sort_by_key(|range| range.first);
        merge(engine, &mut model, &[register(&profile(3), &title(7), anew, 2)], &sweep, &erased);
        agree(engine, &model, KeyRange::ALL);
        assert_eq!(content(engine, KeyRange::of_profile(HASHER.profile(&profile(3)))).len(), 1);
        assert!(content(engine, KeyRange::of_profile(HASHER.profile(&profile(4)))).is_empty());
        merge(engine, &mut model, &[], &[KeyRange::ALL], &erased);
        agree(engine, &model, KeyRange::ALL);
        assert_eq!(model.len(), 1);
    });
}

#[test]
fn the_largest_registers_fit() {
    each_engine(|engine| {
        let mut model = Model::new();
        let mut dice = Dice(8);
        let long = |kind: u64, number: u64| format!("{kind}{number:0127}");
        for round in 0..20 {
            let deltas: Vec<_> = (0..30)
                .map(|_| {
                    let mut delta = Progress::default();
                    (0..8).for_each(|_| delta.join(&random_delta(&mut dice)));
                    if let Some(activity) = delta.activity.as_mut() {
                        activity.device = crate::progress::DeviceId::new(long(3, dice.roll(9))).unwrap();
                    }
                    let who = ProfileId::new(long(1, dice.roll(4))).unwrap();
                    register(&who, &TitleId::new(long(2, dice.roll(40))).unwrap(), delta, round)
                })
                .collect();
            merge(engine, &mut model, &deltas, &[], &KeepAll);
            agree(engine, &model, KeyRange::ALL);
        }
    });
}

#[test]
fn a_scan_stops_when_it_is_told_to() {
    each_engine(|engine| {
        let mut model = Model::new();
        let all: Vec<_> = (0..500).map(|who| register(&profile(who), &title(1), heartbeat(1, 1_000, 1), 1)).collect();
        merge(engine, &mut model, &all, &[], &KeepAll);
        let mut seen = 0;
        engine
            .scan(KeyRange::ALL, &mut |_| {
                seen += 1;
                if seen == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert_eq!(seen, 7);
    });
}

#[test]
fn small_values_are_set_and_removed_together() {
    each_engine(|engine| {
        let set = |name: &str, value: &str| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        engine.put_meta(&[set("a/1", "one"), set("a/2", "two"), set("b", "three")]).unwrap();
        engine.put_meta(&[set("a/3", "four"), (b"a/1".to_vec(), None)]).unwrap();
        engine.sync().unwrap();
        assert_eq!(engine.meta(b"b").unwrap().as_deref(), Some(b"three".as_slice()));
        assert_eq!(engine.meta(b"a/1").unwrap(), None);
        let names: Vec<_> = engine.meta_under(b"a/").unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b"a/2".to_vec(), b"a/3".to_vec()]);
        assert!(engine.take_damage().is_empty());
    });
}
