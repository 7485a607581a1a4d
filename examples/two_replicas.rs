//! Two replicas linked by QUIC in one process: they diverge while they are apart, and converge when they meet.
//!
//! `cargo run --example two_replicas`
//!
//! Neither is above the other. Each is usable without the other, and what both recorded meanwhile is joined, not overwritten: watching in the
//! same place counts together, and a deliberate move outranks it, whoever made it and whoever hears of it first.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leftoff::daemon::certificates;
use leftoff::embedded::{Replica, ReplicaConfig, TitleProgress};
use leftoff::net::{NetConfig, Network, TlsMaterial};
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
use leftoff::time::system::monotonic_now;

const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE_MS: u64 = 60_000;

/// One replica, which may be linked or not.
struct Side {
    name: &'static str,
    replica: Replica,
    tls: TlsMaterial,
}

impl Side {
    fn open(folder: &Path, certs: &Path, name: &'static str) -> Result<Self, Box<dyn Error>> {
        let mut config = ReplicaConfig::new(folder.join(name), DeviceId::new(name)?);
        // Between equals nobody's clock is the right one: nothing is kept apart until a node says what time it is.
        config.core.keeps_unshared = false;
        let files = certificates::issue_node(certs, name, &[])?;
        let read = std::fs::read;
        let tls = TlsMaterial { ca_pem: read(files.ca)?, cert_pem: read(files.cert)?, key_pem: read(files.key)? };
        Ok(Self { name, replica: Replica::open(config)?, tls })
    }

    fn play(&self, title: &str, minutes: std::ops::RangeInclusive<u64>) -> Result<(), Box<dyn Error>> {
        let event = |kind, minute| PlaybackEvent::new("viewer", title, self.name, kind, minute * MINUTE_MS);
        self.replica.record(event(EventKind::Play, *minutes.start()))?;
        self.replica.record(event(EventKind::Pause, *minutes.end()))?;
        Ok(())
    }

    fn seek(&self, title: &str, minute: u64) -> Result<(), Box<dyn Error>> {
        self.replica.record(PlaybackEvent::new("viewer", title, self.name, EventKind::Seek, minute * MINUTE_MS))?;
        Ok(())
    }

    fn row(&self) -> Result<Vec<TitleProgress>, Box<dyn Error>> {
        Ok(self.replica.continue_watching(&ProfileId::new("viewer")?, 20)?)
    }

    fn print(&self) -> Result<(), Box<dyn Error>> {
        for entry in self.row()? {
            let places: Vec<_> = entry.point.places.iter().map(|place| place.position.to_string()).collect();
            println!(
                "  {:<6} {:<12} resumes at {} (places, newest first: {})",
                self.name,
                entry.title.as_str(),
                entry.point.position,
                places.join(", ")
            );
        }
        Ok(())
    }

    async fn link(&self, seeds: Vec<String>) -> Result<Network, Box<dyn Error>> {
        let config = NetConfig {
            name: self.name.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            seeds,
            tls: Some(self.tls.clone()),
            ..NetConfig::default()
        };
        Ok(Network::start(Arc::clone(self.replica.core()), config, None).await?)
    }
}

/// Links the two and waits until both hold the same; says how long that took.
async fn meet(one: &Side, other: &Side) -> Result<(), Box<dyn Error>> {
    let mut changes = (one.replica.watch(&ProfileId::new("viewer")?), other.replica.watch(&ProfileId::new("viewer")?));
    let begun = monotonic_now();
    let listening = one.link(Vec::new()).await?;
    let address = listening.local_addr().ok_or("no address")?.to_string();
    let dialing = other.link(vec![address]).await?;
    let equal = async {
        while registers(one)? != registers(other)? {
            tokio::select! {
                _ = changes.0.next() => {}
                _ = changes.1.next() => {}
            }
        }
        Ok::<(), Box<dyn Error>>(())
    };
    tokio::time::timeout(PATIENCE, equal).await.map_err(|_| "they did not converge in time")??;
    println!("linked, verified each other's certificates and converged in {:.1?}:", monotonic_now().saturating_since(begun));
    dialing.shutdown().await;
    listening.shutdown().await;
    one.print()?;
    other.print()
}

fn registers(side: &Side) -> Result<impl PartialEq, Box<dyn Error>> {
    Ok(side.replica.core().profile(&ProfileId::new("viewer")?)?.profile.registers)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let certs = folder.path().join("certs");
    certificates::make_authority(&certs)?;
    let home = Side::open(folder.path(), &certs, "home")?;
    let cabin = Side::open(folder.path(), &certs, "cabin")?;

    println!("apart, two replicas record the same film and a film each:");
    home.play("night-train", 0..=41)?;
    cabin.play("night-train", 0..=12)?;
    home.play("harbour", 0..=20)?;
    cabin.play("old-pond", 5..=33)?;
    home.print()?;
    cabin.print()?;
    meet(&home, &cabin).await?;

    println!("apart again: somebody goes back on purpose at home, at the cabin they watch on:");
    home.seek("night-train", 10)?;
    cabin.play("night-train", 41..=58)?;
    home.print()?;
    cabin.print()?;
    meet(&home, &cabin).await?;

    let film = home.replica.resume_point(&ProfileId::new("viewer")?, &TitleId::new("night-train")?, Policy::Furthest)?;
    println!("who prefers never to lose progress asks for the furthest position: {}", film.point.position);
    Ok(())
}
