//! No space left: what cannot be kept is refused in words, what was kept is read on, and with space again everything goes on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use leftoff::embedded::Replica;
use leftoff::progress::{EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
use leftoff::replica::{Core, CoreOptions};
use leftoff::store::engine::MemoryEngine;
use leftoff::store::log::{Fault, MemoryFiles};
use leftoff::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};
use leftoff::time::system::wall_now;
use tempfile::TempDir;

use crate::node::alone;
use crate::recorder::config;
use crate::support::http::Trouble;
use crate::support::patience::{SOON, eventually};

/// A disk as small as it is told to be; gone when it is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// None where mounting is not allowed: then the seam under the log must stand for the disk.
    fn mount(mebibytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        println!("mounting a small disk is not allowed here; the file seam stands for it");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is just being killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

fn event(title: &str, position_ms: u64) -> PlaybackEvent {
    PlaybackEvent::new("p", title, "phone", EventKind::Heartbeat, position_ms)
}

fn position_ms(replica: &Replica, title: &str) -> u64 {
    let (profile, title) = (ProfileId::new("p").unwrap(), TitleId::new(title).unwrap());
    replica.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis()
}

#[test]
fn a_device_out_of_space_refuses_in_words_reads_on_and_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(16) else {
        return a_store_out_of_space_by_the_seam();
    };
    let folder = disk.path().join("device");
    let replica = Replica::open(config(&folder)).unwrap();
    for step in 1..=500 {
        replica.record(event(&format!("t{}", step % 10), step * 1_000)).unwrap();
    }
    let ballast = disk.fill();
    let mut acknowledged = 500;
    let refusal = (501..100_000_u64).find_map(|step| match replica.record(event(&format!("t{}", step % 10), step * 1_000)) {
        Ok(_) => {
            acknowledged = step;
            None
        }
        Err(error) => Some(error.to_string()),
    });
    let refusal = refusal.expect("a full disk is noticed");
    assert!(refusal.to_lowercase().contains("space"), "the refusal says why: {refusal}");
    let again = replica.record(event("t0", 200_000_000)).expect_err("nothing is taken any more").to_string();
    assert!(again.to_lowercase().contains("space"), "and goes on saying why: {again}");
    let holds = |replica: &Replica| {
        for step in acknowledged - 9..=acknowledged {
            assert!(position_ms(replica, &format!("t{}", step % 10)) >= step * 1_000, "step {step} was acknowledged");
        }
    };
    holds(&replica);
    drop(replica);

    // Opening with the disk still full must not make it worse, whether it succeeds or not.
    if let Ok(replica) = Replica::open(config(&folder)) {
        holds(&replica);
    }
    fs::remove_file(ballast).unwrap();
    let replica = Replica::open(config(&folder)).unwrap();
    holds(&replica);
    replica.record(event("t0", 300_000_000)).unwrap();
    replica.close().unwrap();
    assert_eq!(position_ms(&Replica::open(config(&folder)).unwrap(), "t0"), 300_000_000);
}

#[test]
fn a_node_out_of_space_refuses_in_words_reads_on_and_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(24) else {
        return a_store_out_of_space_by_the_seam();
    };
    let mut node = alone(disk.path());
    node.start();
    node.client().report(&[event("film", 1_000_000)]).unwrap();
    let ballast = disk.fill();
    let mut acknowledged_ms = 1_000_000;
    let refusal = eventually(SOON, "a full disk is noticed", || {
        let batch: Vec<_> =
            (0..200).map(|title| event(&format!("t{title}"), acknowledged_ms)).chain([event("film", acknowledged_ms + 1_000)]).collect();
        match node.client().report(&batch) {
            Ok(_) => {
                acknowledged_ms += 1_000;
                Err("it goes on")
            }
            Err(trouble) => Ok(trouble),
        }
    });
    let Trouble::Problem { status: 503, code, document } = refusal else { panic!("{refusal}") };
    assert_eq!(code, "not_ready");
    assert!(document.to_string().to_lowercase().contains("space"), "{document}");
    assert_eq!(node.admin().send("GET", "/readyz", None).unwrap_err().status(), Some(503));
    let film = node.client().resume("p", "film").unwrap_or_else(|trouble| panic!("reads go on: {trouble}"));
    assert!(film.position_ms >= acknowledged_ms);
    node.kill();
    fs::remove_file(ballast).unwrap();
    node.start();
    assert!(node.client().resume("p", "film").unwrap().position_ms >= acknowledged_ms);
    node.client().report(&[event("film", 90_000_000)]).unwrap();
}

/// The same by the seam, which every machine has.
#[test]
fn a_store_out_of_space_by_the_seam() {
    let (files, engine) = (MemoryFiles::new(), MemoryEngine::new());
    let fresh = Fresh { id: ReplicaId([7; 16]), epoch: Epoch(7) };
    let open = || {
        let (store, _) = Store::open(Arc::new(files.clone()), Box::new(engine.clone()), StoreOptions::small(), fresh).unwrap();
        Core::new(store, CoreOptions::default())
    };
    let (profile, title) = (ProfileId::new("p").unwrap(), TitleId::new("film").unwrap());
    let position = |core: &Core| core.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis();
    // Whichever write it is that finds the disk full.
    for nth in 1..=6 {
        let core = open();
        let before = position(&core);
        core.record(wall_now(), None, &[event("film", before + 1_000)]).unwrap();
        core.flush().unwrap();
        files.arm(nth, Fault::FullDisk);
        let mut acknowledged = before + 1_000;
        for _ in 0..8 {
            let next = acknowledged + 1_000;
            if core.record(wall_now(), None, &[event("film", next)]).is_err() || core.flush().is_err() {
                break;
            }
            acknowledged = next;
        }
        assert_eq!(position(&core), acknowledged, "what was acknowledged is read on, and nothing else");
        drop(core);
        files.arm(u64::MAX / 2, Fault::FullDisk);
        assert!(position(&open()) >= acknowledged);
    }
}
