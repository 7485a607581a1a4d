//! What the store hands out: registers with the numbers they arrived under.

use std::collections::BTreeMap;

use super::{Origin, Record, RegisterKey, Seq};
use crate::progress::codec::Reader;
use crate::progress::{DecodeError, Profile, ProfileId, Progress, TitleId, Version};

/// A register as it is durable here.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its state.
    pub progress: Progress,
    /// The sequence number that it last changed under; zero if only what was shared with nobody is known.
    pub arrived: Seq,
}

/// A profile as it is durable here.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredProfile {
    /// Its registers.
    pub profile: Profile,
    /// The sequence number that each title last changed under.
    pub arrived: BTreeMap<TitleId, Seq>,
}

/// One register met by a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanItem {
    /// Where it lies.
    pub key: RegisterKey,
    /// Whose.
    pub profile: ProfileId,
    /// Of which title.
    pub title: TitleId,
    /// Its state.
    pub progress: Progress,
    /// The sequence number that it last changed under.
    pub arrived: Seq,
}

/// The sequence numbers of an appended batch: one a record, and one for a batch without records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// The first record's.
    pub first: Seq,
    /// The last record's: the batch is durable when [`Store::durable`](super::Store::durable) has reached it.
    pub last: Seq,
}

/// A record that has just become durable and visible.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// Its sequence number.
    pub seq: Seq,
    /// Its register's key; of a tombstone, the first key of its profile.
    pub key: RegisterKey,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is kept apart, shared with nobody.
    pub unshared: bool,
    /// Whether the table of changed registers learned something from it.
    pub changed: bool,
    /// Its newest version, if that is above what the table knew.
    pub opened: Option<Version>,
    pub(super) encoded: &'a [u8],
}

impl Applied<'_> {
    /// The record, decoded: the flush does not do so for records that nobody asks for.
    pub fn record(&self) -> Result<Record, DecodeError> {
        Record::decode(&mut Reader::new(self.encoded))
    }

    /// The record's bytes: those of equal records are equal.
    pub const fn encoded(&self) -> &[u8] {
        self.encoded
    }

    /// Whether it is a profile's tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.encoded.first() == Some(&super::record::ERASED)
    }
}
