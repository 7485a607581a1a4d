//! A device with its own replica: opens a folder, records, answers where to resume, all without a network; with arguments it also connects.
//!
//! `cargo run --example embedded_device --no-default-features --features embedded -- [FOLDER]`
//!
//! The figures it prints are what a device pays: the time to open, to the first answer, and for a durable report.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::PathBuf;

use leftoff::embedded::{Replica, ReplicaConfig};
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
use leftoff::time::system::monotonic_now;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("leftoff-embedded-device"), PathBuf::from);
    let (profile, title) = (ProfileId::new("viewer")?, TitleId::new("night-train")?);

    let begun = monotonic_now();
    let replica = Replica::open(ReplicaConfig::new(&folder, DeviceId::new("phone")?))?;
    let opened = monotonic_now().saturating_since(begun);
    let before = replica.resume_point(&profile, &title, Policy::Continue)?;
    let answered = monotonic_now().saturating_since(begun);
    println!("opened {} in {opened:.1?}, first answer after {answered:.1?}", folder.display());
    match before.point.device {
        Some(device) => println!("night-train was left at {} on {device}", before.point.position),
        None => println!("nothing is recorded yet: start at {}", before.point.position),
    }

    // Each run watches three more minutes; run it again, and it goes on from there.
    let mut position_ms = before.point.position.as_millis();
    for kind in [EventKind::Play, EventKind::Heartbeat, EventKind::Heartbeat, EventKind::Pause] {
        let mut event = PlaybackEvent::new("viewer", "night-train", "phone", kind, position_ms);
        event.duration_ms = Some(7_080_000);
        let begun = monotonic_now();
        let after = replica.record(event)?;
        println!("  {kind:?} at {}: durable in {:.1?}", after.point.high, monotonic_now().saturating_since(begun));
        position_ms = (position_ms + 60_000).min(7_080_000);
    }

    println!("continue watching:");
    for row in replica.continue_watching(&profile, 20)? {
        let state = row.state().map_or("", |state| state.as_str());
        println!("  {} at {} of {}, {state}", row.title, row.point.position, length(row.point.duration_ms));
    }
    replica.close()?;
    Ok(())
}

fn length(duration_ms: Option<u64>) -> String {
    duration_ms.map_or_else(|| "unknown length".to_owned(), |ms| leftoff::progress::Position::from_millis(ms).to_string())
}
