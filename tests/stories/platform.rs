//! A platform with accounts and devices, shared by the stories that run at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use crate::support::cluster::Cluster;
use crate::support::device::Device;
use crate::support::dice::Dice;
use crate::support::http::Client;

static PLATFORM: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static VIEWERS: AtomicU64 = AtomicU64::new(0);

/// One viewer's account, with regions to watch at and a drawer for devices.
pub(crate) struct Account {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) viewer: String,
    drawer: TempDir,
}

impl Account {
    pub(crate) fn new() -> Self {
        let mut platform = PLATFORM.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = platform.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Cluster::platform(&mut Dice::from_seed(0), 2));
            *platform = Arc::downgrade(&started);
            started
        });
        let viewer = format!("viewer-{}-{}", std::process::id(), VIEWERS.fetch_add(1, Ordering::Relaxed));
        Self { cluster, viewer, drawer: tempfile::tempdir().unwrap() }
    }

    /// A client of a region, as this viewer.
    pub(crate) fn client(&self, index: usize) -> Client {
        self.cluster.client_of(index, &[&self.viewer])
    }

    /// A device of the viewer's, offline.
    pub(crate) fn device(&self, name: &str) -> Device {
        Device::new(self.drawer.path(), name)
    }

    pub(crate) fn device_with_clock(&self, name: &str, ahead_ms: i64) -> Device {
        Device::with_clock(self.drawer.path(), name, ahead_ms)
    }

    pub(crate) fn connect(&self, device: &mut Device, index: usize) {
        self.cluster.connect(device, index, &[&self.viewer]);
    }
}
