//! What a fold costs: changed registers merged into the database, page by page, until their log may go.
//!
//! Two shapes of an evening: one title of every profile was watched (few changed registers a page), and all of them were.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros document nothing, and a bench that cannot go on says so")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leftoff::progress::{Activity, DeviceId, Place, Places, PlaybackState, Position, ProfileId, Progress, Speed, TitleId, Version};
use leftoff::store::{Batch, Epoch, Fresh, ReplicaId, Store, StoreOptions};
use leftoff::time::{Hlc, WallTime};

const PROFILES: u64 = 20_000;
const TITLES: u64 = 4;
const EVENING: WallTime = WallTime::from_millis(1_790_000_000_000);

fn uuid(kind: u64, index: u64) -> String {
    let mixed = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08x}-{:04x}-4{:03x}-8000-{:012x}", mixed >> 32, mixed & 0xffff, kind, index)
}

fn state(profile: u64, beat: u64) -> Progress {
    let stamp = Hlc::from_wall(EVENING.shifted((beat * 10_000).cast_signed()));
    let position = Position::from_millis(600_000 + beat * 10_000);
    let activity = Activity {
        stamp,
        rank: 0,
        device: DeviceId::new(uuid(2, profile)).unwrap(),
        state: PlaybackState::Playing,
        version: Version::FIRST,
        position,
        speed: Speed::NORMAL,
        stepped_back: false,
    };
    let place = Place { version: Version::FIRST, position, touched: stamp, ended: false };
    Progress { places: Places::single(place), furthest: position, activity: Some(activity), ..Progress::default() }
}

/// Makes a heartbeat in the first titles of every profile durable, and leaves it unfolded.
fn watch(store: &Store, titles: u64, beat: u64) {
    for profile in 0..PROFILES {
        let mut batch = Batch::from_peer(ReplicaId([9; 16]));
        let (id, state) = (ProfileId::new(uuid(0, profile)).unwrap(), state(profile, beat));
        for title in 0..titles {
            batch.register(&id, &TitleId::new(uuid(1, profile % 500 * TITLES + title)).unwrap(), &state);
        }
        store.append(batch).unwrap();
        if profile % 1_000 == 999 {
            store.flush(&mut |_| ()).unwrap();
        }
    }
}

fn fold(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
    let (store, _) = Store::open_folder(folder.path(), StoreOptions::default(), fresh).unwrap();
    watch(&store, TITLES, 0);
    store.fold_all().unwrap();
    let mut beat = 0;
    let mut group = c.benchmark_group("fold");
    for (name, titles) in [("one title of each profile", 1), ("all titles of each profile", TITLES)] {
        group.throughput(Throughput::Elements(PROFILES * titles));
        group.bench_function(name, |b| {
            let changed = || {
                beat += 1;
                watch(&store, titles, beat);
            };
            b.iter_batched(changed, |()| store.fold_all().unwrap(), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(5)).warm_up_time(std::time::Duration::from_millis(500));
    targets = fold
}
criterion_main!(benches);
