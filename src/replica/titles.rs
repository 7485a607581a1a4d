//! Titles that links of devices may bring to a profile: bounded, so that no token fills the disks of all nodes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Core;
use crate::limits::TITLES_FROM_DEVICES_COUNT_MAX;
use crate::progress::{ProfileId, TitleId};
use crate::store::ReadError;

/// Profiles whose titles are counted. About 60 bytes each; with more, all are counted anew.
const PROFILES_COUNT_MAX: usize = 65_536;

/// How many titles a profile has, at most.
#[derive(Clone, Copy, Debug)]
struct Count {
    titles: usize,
    /// Each that was added since it was counted was known to be new.
    exact: bool,
}

/// Counts of the profiles that devices have sent records of.
#[derive(Debug, Default)]
pub(super) struct DeviceTitles {
    counts: Mutex<BTreeMap<u64, Count>>,
}

impl DeviceTitles {
    fn get(&self, profile: u64) -> Option<Count> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(&profile).copied()
    }

    fn set(&self, profile: u64, count: Count) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= PROFILES_COUNT_MAX && !counts.contains_key(&profile) {
            counts.clear();
        }
        counts.insert(profile, count);
    }

    /// The profile was erased.
    pub(super) fn forget(&self, profile: u64) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(&profile);
    }
}

impl Core {
    /// Whether a device's register is of a title more than its profile may have, and counts it otherwise.
    ///
    /// Far from the bound each record counts as a new title, which costs no read; near it, it is looked whether it is one.
    pub(super) fn is_title_too_many(&self, profile: &ProfileId, title: &TitleId) -> Result<bool, ReadError> {
        let hash = self.store.hasher().profile(profile);
        let counted = || Ok::<_, ReadError>(Count { titles: self.store.title_count(profile)?, exact: true });
        let mut count = match self.device_titles.get(hash) {
            Some(count) => count,
            None => counted()?,
        };
        let mut is_new = false;
        if count.titles >= TITLES_FROM_DEVICES_COUNT_MAX {
            if self.store.register(profile, title)?.is_some() {
                return Ok(false);
            }
            is_new = true;
            if !count.exact {
                count = counted()?;
            }
        }
        let is_too_many = count.titles >= TITLES_FROM_DEVICES_COUNT_MAX;
        if !is_too_many {
            count = Count { titles: count.titles + 1, exact: count.exact && is_new };
        }
        self.device_titles.set(hash, count);
        Ok(is_too_many)
    }
}
