//! What one update costs in the pure core: a report through its playhead, a merge, the bytes there and back.
//!
//! The requirement is 3 CPU seconds for a million updates, all layers together; so each figure here is to be well below a microsecond.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros document nothing, and a bench that cannot go on says so")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use leftoff::limits::CLOCK_DRIFT_MS_MAX;
use leftoff::progress::{Event, EventKind, PlaybackEvent, Playhead, Progress, View};
use leftoff::time::{HybridClock, WallTime};

const EVENING: WallTime = WallTime::from_millis(1_790_000_000_000);
const UUID: &str = "6f1f4b1e-9a55-4c8e-8d53-0a0b0c0d0e0f";

fn heartbeat(position_ms: u64) -> PlaybackEvent {
    PlaybackEvent {
        series_id: Some(UUID.into()),
        duration_ms: Some(7_200_000),
        at_ms: Some(EVENING.as_millis() + position_ms),
        ..PlaybackEvent::new(UUID, UUID, UUID, EventKind::Heartbeat, position_ms)
    }
}

fn check(raw: &PlaybackEvent) -> Event {
    Event::check(EVENING, CLOCK_DRIFT_MS_MAX, raw).unwrap()
}

/// The register and playhead of an evening with so many jumps, and the next delta.
fn evening(jumps: u64) -> (Progress, Playhead, Progress) {
    let mut clock = HybridClock::default();
    let mut register = Progress::default();
    let first = check(&heartbeat(0));
    let mut playhead = Playhead::start(&first, EVENING, Some(clock.tick(EVENING)), &View::default());
    let mut last = Progress::default();
    for step in 1..=jumps + 2 {
        let now = EVENING.shifted(i64::try_from(step).unwrap() * 10_000);
        let kind = if step <= jumps { EventKind::Seek } else { EventKind::Heartbeat };
        let event = check(&PlaybackEvent { kind, ..heartbeat(step % 2 * 3_600_000 + step * 10_000) });
        let view = View::of(Some(&register), register.epoch);
        if let Some(delta) = playhead.report(&event, now, Some(clock.tick(now)), Some(&view)).delta {
            register.join(&delta);
            last = delta;
        }
    }
    (register, playhead, last)
}

fn register(c: &mut Criterion) {
    for (name, jumps) in [("one place", 0), ("eight places", 10)] {
        let (state, _, delta) = evening(jumps);
        let bytes = state.to_bytes();
        c.bench_function(&format!("merge a delta, {name}"), |b| {
            b.iter_batched_ref(|| state.clone(), |state| state.join(black_box(&delta)), BatchSize::SmallInput);
        });
        c.bench_function(&format!("does it hold a delta, {name}"), |b| b.iter(|| black_box(&state).holds(black_box(&delta))));
        c.bench_function(&format!("encode, {name}, {} bytes", bytes.len()), |b| {
            let mut out = Vec::with_capacity(1_024);
            b.iter(|| {
                out.clear();
                black_box(&state).encode(&mut out);
            });
        });
        c.bench_function(&format!("decode, {name}"), |b| b.iter(|| Progress::from_bytes(black_box(&bytes))));
    }
}

fn playhead(c: &mut Criterion) {
    let (_, playhead, _) = evening(0);
    c.bench_function("check a heartbeat", |b| {
        let raw = heartbeat(20_000);
        b.iter(|| Event::check(EVENING, CLOCK_DRIFT_MS_MAX, black_box(&raw)));
    });
    c.bench_function("report a heartbeat", |b| {
        let mut clock = HybridClock::default();
        let (mut playhead, mut position_ms) = (playhead.clone(), 30_000_i64);
        let mut event = check(&heartbeat(30_000));
        b.iter(|| {
            position_ms += 10;
            let now = EVENING.shifted(position_ms);
            event.position = leftoff::progress::Position::from_millis(position_ms.cast_unsigned());
            event.at = Some(now);
            playhead.report(&event, now, Some(clock.tick(now)), None)
        });
    });
    c.bench_function("start a playhead in eight places", |b| {
        let (state, ..) = evening(10);
        let view = View::of(Some(&state), state.epoch);
        let event = check(&heartbeat(3_600_000));
        b.iter(|| Playhead::start(black_box(&event), EVENING, None, black_box(&view)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(300));
    targets = register, playhead
}
criterion_main!(benches);
