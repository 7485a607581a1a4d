//! A device with a replica of its own, which is offline until it is connected, and whose clock may be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leftoff::embedded::{Link, Replica, ReplicaConfig, TitleProgress};
use leftoff::net::{Credentials, NetConfig};
use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
use tokio::runtime::Runtime;

use super::http::{Client, Progress};
use super::patience::{SOON, eventually};

/// What replicas must agree on about one title: the places, the furthest position, the last device and state, and whether it is hidden.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    pub(crate) places: Vec<(u64, u64)>,
    pub(crate) furthest_ms: u64,
    pub(crate) last: Option<(String, String)>,
    pub(crate) at_ms: Option<u64>,
    pub(crate) hidden: bool,
    pub(crate) completed: bool,
}

impl From<Progress> for Known {
    fn from(progress: Progress) -> Self {
        Self {
            places: progress.places.iter().map(|place| (place.version, place.position_ms)).collect(),
            furthest_ms: progress.furthest_ms,
            last: progress.device_id.zip(progress.state),
            at_ms: progress.at_ms,
            hidden: progress.hidden,
            completed: progress.completed,
        }
    }
}

impl From<TitleProgress> for Known {
    fn from(progress: TitleProgress) -> Self {
        let point = progress.point;
        Self {
            places: point.places.iter().map(|place| (place.version.as_u64(), place.position.as_millis())).collect(),
            furthest_ms: point.furthest.as_millis(),
            last: point.device.map(|device| device.as_str().to_owned()).zip(point.state.map(|state| state.as_str().to_owned())),
            at_ms: point.at.map(leftoff::time::WallTime::as_millis),
            hidden: point.hidden,
            completed: point.completed,
        }
    }
}

/// A device and its folder.
pub(crate) struct Device {
    name: String,
    folder: PathBuf,
    runtime: Runtime,
    link: Option<Link>,
    replica: Option<Replica>,
}

pub(crate) fn profile_id(text: &str) -> ProfileId {
    ProfileId::new(text).unwrap()
}

pub(crate) fn title_id(text: &str) -> TitleId {
    TitleId::new(text).unwrap()
}

impl Device {
    /// A new device with a right clock, offline.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self::with_clock(folder, name, 0)
    }

    /// A new device whose clock is ahead by so much, and which does not know it.
    pub(crate) fn with_clock(folder: &Path, name: &str, ahead_ms: i64) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        // What a device believes its clock's error to be is added to the clock: a wrong belief about a right clock is a wrong clock.
        fs::write(folder.join("clock-offset-ms"), ahead_ms.to_string()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut device = Self { name: name.to_owned(), folder, runtime, link: None, replica: None };
        device.open();
        device
    }

    /// A device over a folder that another process has left.
    pub(crate) fn over(config: ReplicaConfig, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = config.folder.clone();
        Self { name: name.to_owned(), folder, runtime, link: None, replica: Some(Replica::open(config).unwrap()) }
    }

    fn open(&mut self) {
        let config = ReplicaConfig::new(&self.folder, DeviceId::new(&self.name).unwrap());
        self.replica = Some(Replica::open(config).unwrap());
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.replica.as_ref().unwrap()
    }

    /// Switched off and on again: offline afterwards. `cleanly`: with a farewell to the store.
    pub(crate) fn restart(&mut self, cleanly: bool) {
        self.disconnect();
        let replica = self.replica.take().unwrap();
        if cleanly {
            replica.close().unwrap();
        } else {
            drop(replica);
        }
        self.open();
    }

    /// Connects to a node, in the background.
    pub(crate) fn connect(&mut self, node: SocketAddr, ca_pem: &[u8], token: &str) {
        assert!(self.link.is_none(), "{} is connected already", self.name);
        let credentials = Credentials { ca_pem: ca_pem.to_vec(), token: token.to_owned() };
        // As a device does, only with less patience.
        let config = NetConfig {
            keep_alive: Duration::from_millis(400),
            idle_timeout: Duration::from_secs(2),
            backoff_max: Duration::from_millis(1_500),
            ..NetConfig::device(&self.name)
        };
        let replica = self.replica.as_ref().unwrap();
        self.link = Some(self.runtime.block_on(replica.connect_with(config, &node.to_string(), credentials)).unwrap());
    }

    /// Leaves the network.
    pub(crate) fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            self.runtime.block_on(link.disconnect());
        }
    }

    pub(crate) fn link(&self) -> &Link {
        self.link.as_ref().unwrap()
    }

    /// How far the device takes its clock to be behind, in milliseconds.
    pub(crate) fn clock_offset_ms(&self) -> i64 {
        self.replica().core().clock_offset_ms()
    }

    pub(crate) fn event(&self, profile: &str, title: &str, kind: EventKind, position_ms: u64) -> PlaybackEvent {
        PlaybackEvent::new(profile, title, &self.name, kind, position_ms)
    }

    /// Something happens on the device now.
    pub(crate) fn says(&self, profile: &str, title: &str, kind: EventKind, position_ms: u64) -> TitleProgress {
        self.replica().record(self.event(profile, title, kind, position_ms)).unwrap()
    }

    pub(crate) fn resume(&self, profile: &str, title: &str) -> TitleProgress {
        self.replica().resume_point(&profile_id(profile), &title_id(title), Policy::Continue).unwrap()
    }

    pub(crate) fn position_ms(&self, profile: &str, title: &str) -> u64 {
        self.resume(profile, title).point.position.as_millis()
    }

    /// Everything that the device knows of a profile.
    pub(crate) fn knows(&self, profile: &str) -> BTreeMap<String, Known> {
        let stored = self.replica().core().profile(&profile_id(profile)).unwrap();
        let titles = stored.profile.registers.keys();
        titles.map(|title| (title.as_str().to_owned(), self.resume(profile, title.as_str()).into())).collect()
    }

    /// Waits for the next change of a profile.
    pub(crate) fn next_change(&self, changes: &mut leftoff::embedded::Changes, within: Duration) -> Option<TitleProgress> {
        self.runtime.block_on(async { tokio::time::timeout(within, changes.next()).await.ok().flatten() })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// What a node shows of a profile.
pub(crate) fn known_at(client: &Client, profile: &str) -> BTreeMap<String, Known> {
    client.history(profile).unwrap().into_iter().map(|progress| (progress.title_id.clone(), progress.into())).collect()
}

/// Waits until a device and a node know the same of a profile, and something; answers that.
pub(crate) fn agreed(device: &Device, client: &Client, profile: &str) -> BTreeMap<String, Known> {
    eventually(SOON, "device and node agree", || {
        let (here, there) = (device.knows(profile), known_at(client, profile));
        if here == there && !here.is_empty() { Ok(here) } else { Err(format!("the device knows {here:#?}\nthe node {there:#?}")) }
    })
}
