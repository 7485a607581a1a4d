//! What an embedded replica is opened with.

use std::path::PathBuf;

use crate::progress::DeviceId;
use crate::replica::CoreOptions;
use crate::store::StoreOptions;

/// A folder, a device, and bounds that suit a device.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Where the replica keeps everything. Made if it is missing; one process at a time may have it open.
    pub folder: PathBuf,
    /// Which device this is.
    pub device: DeviceId,
    /// Bounds of the store. The key secret is the folder's own and need not be set.
    pub store: StoreOptions,
    /// Bounds of clocks and caches.
    pub core: CoreOptions,
}

impl ReplicaConfig {
    /// A device's replica in a folder: a few megabytes of memory for a few thousand registers.
    pub fn new(folder: impl Into<PathBuf>, device: DeviceId) -> Self {
        let core = CoreOptions { playheads_count_max: 1_024, offsets_count_max: 64, keeps_unshared: true, ..CoreOptions::default() };
        Self { folder: folder.into(), device, store: StoreOptions::small(), core }
    }
}
