//! The viewers that a node holds of a party, and what it tells of them: how many, and who has been there longest.

use std::collections::{BTreeMap, BTreeSet};

use crate::ephemeral::slot::Join;
use crate::progress::{DeviceId, ProfileId};
use crate::time::{Hlc, MonotonicTime};

/// Who watches.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Viewer {
    /// When this viewer joined.
    pub joined: Hlc,
    /// Whose profile.
    pub profile: ProfileId,
    /// On which device.
    pub device: DeviceId,
}

/// What a node says of its viewers. The node is the only one that does, so the newer word wins.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::ephemeral) struct Seats {
    pub(in crate::ephemeral) stamp: Hlc,
    pub(in crate::ephemeral) count: u32,
    pub(in crate::ephemeral) eldest: Option<Viewer>,
}

impl Join for Seats {
    fn join(&mut self, other: Self) -> bool {
        let newer = other > *self;
        if newer {
            *self = other;
        }
        newer
    }
}

/// The viewers of one party at this node.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    leases: BTreeMap<(ProfileId, DeviceId), (Hlc, MonotonicTime)>,
    by_age: BTreeSet<Viewer>,
    profiles: BTreeMap<ProfileId, usize>,
}

impl Viewers {
    pub(super) fn count(&self) -> usize {
        self.leases.len()
    }

    pub(super) fn eldest(&self) -> Option<&Viewer> {
        self.by_age.first()
    }

    pub(super) fn holds(&self, profile: &ProfileId, device: &DeviceId) -> bool {
        self.leases.contains_key(&(profile.clone(), device.clone()))
    }

    pub(super) fn holds_profile(&self, profile: &ProfileId) -> bool {
        self.profiles.contains_key(profile)
    }

    pub(super) fn devices_of(&self, profile: &ProfileId) -> Vec<DeviceId> {
        self.by_age.iter().filter(|viewer| viewer.profile == *profile).map(|viewer| viewer.device.clone()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&ProfileId, &DeviceId, MonotonicTime)> {
        self.leases.iter().map(|((profile, device), (_, deadline))| (profile, device, *deadline))
    }

    /// Moves the lease of a viewer; when it would have lapsed.
    pub(super) fn renew(&mut self, profile: &ProfileId, device: &DeviceId, deadline: MonotonicTime) -> Option<MonotonicTime> {
        let lease = self.leases.get_mut(&(profile.clone(), device.clone()))?;
        Some(std::mem::replace(&mut lease.1, deadline))
    }

    pub(super) fn add(&mut self, viewer: Viewer, deadline: MonotonicTime) {
        self.leases.insert((viewer.profile.clone(), viewer.device.clone()), (viewer.joined, deadline));
        *self.profiles.entry(viewer.profile.clone()).or_default() += 1;
        self.by_age.insert(viewer);
    }

    /// Takes a viewer out; when its lease would have lapsed.
    pub(super) fn remove(&mut self, profile: &ProfileId, device: &DeviceId) -> Option<MonotonicTime> {
        let (joined, deadline) = self.leases.remove(&(profile.clone(), device.clone()))?;
        self.by_age.remove(&Viewer { joined, profile: profile.clone(), device: device.clone() });
        if let Some(count) = self.profiles.get_mut(profile) {
            *count -= 1;
            if *count == 0 {
                self.profiles.remove(profile);
            }
        }
        Some(deadline)
    }
}
