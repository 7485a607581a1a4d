//! Follows a profile: every change, whoever made it, as a stream.
//!
//! `cargo run --example watch_changes --no-default-features --features embedded`
//!
//! One task watches, as an app's home screen would; another plays two titles, faster than the watcher reads. A title that changes again before
//! it is read is read once, in its newest state: a slow reader is never behind by more than one entry a title.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use leftoff::embedded::{Replica, ReplicaConfig};
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, ProfileId};

const REPORTS: u64 = 50;
const STEP_MS: u64 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let replica = Arc::new(Replica::open(ReplicaConfig::new(folder.path(), DeviceId::new("tv")?))?);
    let mut changes = replica.watch(&ProfileId::new("viewer")?);

    let player = Arc::clone(&replica);
    let playing = tokio::task::spawn_blocking(move || {
        for report in 0..REPORTS {
            let kind = if report == 0 { EventKind::Play } else { EventKind::Heartbeat };
            for title in ["night-train", "harbour-s1e4"] {
                player.record(PlaybackEvent::new("viewer", title, "tv", kind, report * STEP_MS))?;
            }
        }
        player.record(PlaybackEvent::new("viewer", "harbour-s1e4", "tv", EventKind::Stop, REPORTS * STEP_MS))
    });

    // A change that is never told would hang the reader, so it waits with a deadline.
    let mut told = 0;
    while let Some(change) = tokio::time::timeout(Duration::from_secs(10), changes.next()).await? {
        told += 1;
        let state = change.state().map_or("", |state| state.as_str());
        println!("{:<13} {} {state}", change.title.to_string(), change.point.position);
        if state == "stopped" {
            break;
        }
    }
    playing.await??;
    println!("{} reports were recorded, {told} changes were read", REPORTS * 2 + 1);
    Ok(())
}
