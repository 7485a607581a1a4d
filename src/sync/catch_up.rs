//! Catch-up of a narrow link: what changed in a few profiles after the device's cursor, read profile by profile.
//!
//! The general feed would read every change since the cursor, or the whole store when they are gone from the ring, to find the few that a
//! device wants. Its profiles are a handful, each one contiguous read, and every register knows the number it arrived under.

use crate::limits::RECORD_BYTES_MAX;
use crate::progress::ProfileId;
use crate::store::{ReadError, Record, Seq, Store};
use crate::time::Hlc;

/// A catch-up under way.
#[derive(Debug)]
pub(super) struct CatchUp {
    profiles: std::vec::IntoIter<ProfileId>,
    after: Seq,
    covers: Seq,
    rest: std::vec::IntoIter<Record>,
}

impl CatchUp {
    /// What changed in `profiles` after `after`. When it is through, the peer has everything up to what is durable now.
    pub(super) fn new(store: &Store, profiles: Vec<ProfileId>, after: Seq) -> Self {
        Self { profiles: profiles.into_iter(), after, covers: store.durable(), rest: Vec::new().into_iter() }
    }

    /// Where the live feed goes on when this is through.
    pub(super) const fn covers(&self) -> Seq {
        self.covers
    }

    /// Appends records until `bytes_max`; how many, and whether that was all.
    pub(super) fn poll(&mut self, store: &Store, bytes_max: usize, out: &mut Vec<u8>) -> Result<(u32, bool), ReadError> {
        let mut count = 0;
        loop {
            while out.len() + RECORD_BYTES_MAX <= bytes_max {
                let Some(record) = self.rest.next() else { break };
                record.encode(out);
                count += 1;
            }
            if self.rest.len() > 0 {
                return Ok((count, false));
            }
            let Some(profile) = self.profiles.next() else { return Ok((count, true)) };
            self.rest = self.read(store, &profile)?.into_iter();
        }
    }

    fn read(&self, store: &Store, profile: &ProfileId) -> Result<Vec<Record>, ReadError> {
        let stored = store.profile(profile)?;
        let mut records = Vec::new();
        if stored.profile.erased != Hlc::ZERO {
            records.push(Record::Erased { profile: profile.clone(), erased: stored.profile.erased });
        }
        let changed =
            stored.profile.registers.into_iter().filter(|(title, _)| stored.arrived.get(title).is_some_and(|at| *at > self.after));
        records.extend(changed.map(|(title, state)| Record::Register { profile: profile.clone(), title, state }));
        Ok(records)
    }
}
