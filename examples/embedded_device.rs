//! A device with its own replica: opens a folder, records, answers where to resume, all without a network; with arguments it also connects.
//!
//! `cargo run --example embedded_device --no-default-features --features embedded -- [FOLDER [HOST:PORT CA_FILE TOKEN_FILE]]`
//!
//! Beside `leftoff serve --dev`, whose devices say their profiles instead of a token:
//! `echo viewer > token`, then `... -- phone 127.0.0.1:7401 leftoff-data/certs/ca.pem token`.
//!
//! The figures it prints are what a device pays: the time to open, to the first answer, and for a durable report. Run it again with the same
//! folder, and it goes on where it was.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leftoff::embedded::{Replica, ReplicaConfig};
use leftoff::net::Credentials;
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, Policy, Position, ProfileId, TitleId};
use leftoff::time::system::monotonic_now;

const FILM_MS: u64 = 7_080_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("leftoff-embedded-device"), PathBuf::from);
    let replica = open(&folder)?;
    watch_three_minutes(&replica)?;

    println!("continue watching:");
    for row in replica.continue_watching(&ProfileId::new("viewer")?, 20)? {
        let state = row.state().map_or("", |state| state.as_str());
        let length = row.point.duration_ms.map_or_else(|| "unknown length".to_owned(), |ms| Position::from_millis(ms).to_string());
        println!("  {} at {} of {length}, {state}", row.title, row.point.position);
    }

    if let Some(address) = arguments.next() {
        let (Some(ca), Some(token)) = (arguments.next(), arguments.next()) else {
            return Err("to connect, say HOST:PORT CA_FILE TOKEN_FILE".into());
        };
        let address = address.to_str().ok_or("an address is text")?;
        let credentials = Credentials { ca_pem: std::fs::read(ca)?, token: std::fs::read_to_string(token)?.trim().to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(sync(&replica, address, credentials))?;
    }
    replica.close()?;
    Ok(())
}

fn open(folder: &Path) -> Result<Replica, Box<dyn Error>> {
    let begun = monotonic_now();
    let replica = Replica::open(ReplicaConfig::new(folder, DeviceId::new("phone")?))?;
    let opened = monotonic_now().saturating_since(begun);
    let before = replica.resume_point(&ProfileId::new("viewer")?, &TitleId::new("night-train")?, Policy::Continue)?;
    let answered = monotonic_now().saturating_since(begun);
    println!("opened {} in {opened:.1?}, first answer after {answered:.1?}", folder.display());
    match before.point.device {
        Some(device) => println!("night-train was left at {} on the {device}", before.point.position),
        None => println!("nothing is recorded yet: start at {}", before.point.position),
    }
    Ok(replica)
}

fn watch_three_minutes(replica: &Replica) -> Result<(), Box<dyn Error>> {
    let before = replica.resume_point(&ProfileId::new("viewer")?, &TitleId::new("night-train")?, Policy::Continue)?;
    let mut position_ms = before.point.position.as_millis();
    for (kind, minutes) in [(EventKind::Play, 0), (EventKind::Heartbeat, 1), (EventKind::Heartbeat, 1), (EventKind::Pause, 1)] {
        position_ms = (position_ms + minutes * 60_000).min(FILM_MS);
        let mut event = PlaybackEvent::new("viewer", "night-train", "phone", kind, position_ms);
        event.duration_ms = Some(FILM_MS);
        let begun = monotonic_now();
        let after = replica.record(event)?;
        let took = monotonic_now().saturating_since(begun);
        println!("  {:<9} at {}: durable in {took:.1?}", format!("{kind:?}").to_uppercase(), after.point.high);
    }
    Ok(())
}

async fn sync(replica: &Replica, address: &str, credentials: Credentials) -> Result<(), Box<dyn Error>> {
    let mut changes = replica.watch(&ProfileId::new("viewer")?);
    let begun = monotonic_now();
    let link = replica.connect(address, credentials).await?;
    if tokio::time::timeout(PATIENCE, link.opened()).await.is_err() {
        // No failure: an app would go on, and the link goes on trying. An example ends.
        println!("no link with {address} yet: {}", link.last_error().unwrap_or_else(|| "no answer".to_owned()));
        return Ok(());
    }
    println!("linked with {address} after {:.1?}; what others do shows here for a while:", monotonic_now().saturating_since(begun));
    let end = tokio::time::sleep(PATIENCE);
    tokio::pin!(end);
    loop {
        tokio::select! {
            Some(change) = changes.next() => {
                let device = change.point.device.map(|device| device.to_string()).unwrap_or_default();
                println!("  {} at {} on {device}", change.title, change.point.position);
            }
            () = &mut end => break,
        }
    }
    link.disconnect().await;
    Ok(())
}
