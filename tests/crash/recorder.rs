//! The victim: a device that records in a loop and says what was acknowledged, in a process of its own.
//!
//! The process is this very binary of tests, asked for one test by name and told a folder by the environment. Without a folder that test has
//! nothing to do: it is the way in for the child and asserts nothing by itself.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use leftoff::embedded::{Replica, ReplicaConfig};
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, ProfileId};
use leftoff::time::system::wall_now;

use crate::support::process::Process;

const FOLDER: &str = "LEFTOFF_RECORDER_FOLDER";
const MODE: &str = "LEFTOFF_RECORDER_SHARES";
pub(crate) const PROFILE: &str = "p";
pub(crate) const TITLE_COUNT: u64 = 12;

/// What a recorder says of one title: the register as it stands there durably.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Shown {
    pub(crate) version: u64,
    pub(crate) high_ms: u64,
}

/// One line of a recorder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// It is about to open the folder.
    Opening,
    /// The folder is open.
    Open { epoch: u64, durable: u64, damage: usize },
    /// A title as it was found then.
    Found { title: String, shown: Shown, arrived: u64 },
    /// Everything that was found has been said; nothing has been recorded yet.
    Ready,
    /// An event was acknowledged.
    Acknowledged { title: String, shown: Shown, arrived: u64 },
    /// An event or the folder was refused.
    Refused { what: String },
}

impl Said {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        let shown = || Some(Shown { version: number(2)?, high_ms: number(3)? });
        match *words.first()? {
            "OPENING" => Some(Self::Opening),
            "FOUND" => Some(Self::Found { title: (*words.get(1)?).to_owned(), shown: shown()?, arrived: number(4)? }),
            "OPEN" => Some(Self::Open { epoch: number(1)?, durable: number(2)?, damage: usize::try_from(number(3)?).ok()? }),
            "READY" => Some(Self::Ready),
            "ACK" => Some(Self::Acknowledged { title: (*words.get(1)?).to_owned(), shown: shown()?, arrived: number(4)? }),
            "REFUSED" => Some(Self::Refused { what: words[1..].join(" ") }),
            _ => None,
        }
    }
}

/// Starts a recorder over a folder. `shares`: as a device that is connected, so that what it records takes sequence numbers.
pub(crate) fn spawn(folder: &Path, shares: bool) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "recorder::records_until_it_is_killed", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(MODE, if shares { "1" } else { "0" }).stderr(Stdio::inherit());
    Process::spawn(&mut command)
}

/// Small bounds, so that folding, new segments and dropped segments fall between the kills.
pub(crate) fn config(folder: &Path) -> ReplicaConfig {
    let mut config = ReplicaConfig::new(folder, DeviceId::new("phone").unwrap());
    config.store.fold_log_bytes = 16 << 10;
    config.store.fold_table_bytes = 16 << 10;
    config.store.segment_bytes = 8 << 10;
    config
}

#[test]
fn records_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    println!("\nOPENING");
    match Replica::open(config(&folder)) {
        Ok(replica) => record_on(&replica, env::var_os(MODE).as_deref() == Some(OsStr::new("1"))),
        Err(error) => println!("REFUSED {error}: {error:?}"),
    }
}

fn record_on(replica: &Replica, shares: bool) {
    let store = replica.core().store();
    println!("OPEN {} {} {}", store.epoch().0, store.durable().0, replica.open_report().damage.len());
    let mut positions = BTreeMap::new();
    let stored = replica.core().profile(&ProfileId::new(PROFILE).unwrap()).unwrap();
    for (title, register) in &stored.profile.registers {
        let (version, high) = register.version_and_high();
        let arrived = stored.arrived.get(title).map_or(0, |seq| seq.0);
        println!("FOUND {} {} {} {arrived}", title.as_str(), version.as_u64(), high.as_millis());
        positions.insert(title.as_str().to_owned(), high.as_millis());
    }
    println!("READY");
    if shares {
        replica.core().share_unshared(wall_now(), 0).unwrap();
    }
    for count in 0_u64.. {
        let title = format!("t{}", count % TITLE_COUNT);
        let position = positions.entry(title.clone()).or_insert(0);
        // Mostly watching on, and now and then a jump to where nothing was before, so that every event changes the newest place.
        let (kind, next) = match count % 37 {
            18 => (EventKind::Seek, *position + 500_000),
            _ => (EventKind::Heartbeat, *position + 1_000),
        };
        *position = next;
        match replica.record(PlaybackEvent::new(PROFILE, &title, "phone", kind, next)) {
            Ok(progress) => {
                let (version, high) = (progress.point.version.as_u64(), progress.point.high.as_millis());
                println!("ACK {title} {version} {high} {}", progress.arrived.0);
            }
            Err(error) => {
                println!("REFUSED {error}");
                return;
            }
        }
    }
}
