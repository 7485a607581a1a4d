//! Records that a peer refused for now, to be offered again when they are due.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::RefusedKey;
use crate::limits::RECORD_BYTES_MAX;
use crate::progress::{ProfileId, TitleId};
use crate::store::{ReadError, Record, Store};
use crate::time::{Hlc, MonotonicTime};

/// Keys kept for one peer. A peer that refuses more has a clock that is wrong for everything: the rest waits for the next reconciliation.
const OFFERS_COUNT_MAX: usize = 16_384;

/// Longest wait before a key is offered again: the peer's clock may be put right earlier.
const RETRY_MAX: Duration = Duration::from_mins(5);

/// A retry is not sooner than this.
const RETRY_MIN: Duration = Duration::from_millis(100);

type Key = (ProfileId, Option<TitleId>);

/// Keys to offer again.
#[derive(Debug, Default)]
pub(super) struct Offers {
    due: BTreeMap<Key, MonotonicTime>,
    /// Offered again, each with its frame: refused once more, or taken when the peer has listed all that it refused up to that frame.
    offered: BTreeMap<Key, u64>,
    /// Not after the first that is due: asked for at every turn, so kept and not searched for.
    next: Option<MonotonicTime>,
    overflowed: bool,
}

impl Offers {
    /// Notes a key that the peer refused for now.
    pub(super) fn insert(&mut self, mono: MonotonicTime, refused: RefusedKey) {
        let key = (refused.profile, refused.title);
        self.offered.remove(&key);
        if self.count() >= OFFERS_COUNT_MAX {
            self.overflowed = true;
            return;
        }
        let wait = Duration::from_millis(refused.retry_ms).clamp(RETRY_MIN, RETRY_MAX);
        self.next = Some(self.next.map_or(mono + wait, |next| next.min(mono + wait)));
        self.due.insert(key, mono + wait);
    }

    /// All that the peer refused of the frames up to `frame` has been noted: what else was offered in them, it has.
    pub(super) fn note_listed(&mut self, frame: u64) {
        self.offered.retain(|_, with| *with > frame);
    }

    /// When the first one is due.
    pub(super) const fn next_due(&self) -> Option<MonotonicTime> {
        self.next
    }

    /// How many the peer is not known to have.
    pub(super) fn count(&self) -> usize {
        self.due.len() + self.offered.len()
    }

    /// Whether keys were dropped: only a reconciliation finds them again.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Appends those that are due, as they are now, to the records of `frame`, until `bytes_max`; how many.
    ///
    /// `wants` is asked again for each: a peer may name any key in a refusal, also one that it was never sent.
    pub(super) fn poll(
        &mut self,
        mono: MonotonicTime,
        frame: u64,
        store: &Store,
        wants: &dyn Fn(&str) -> bool,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<u32, ReadError> {
        if self.next_due().is_none_or(|due| due > mono) {
            return Ok(0);
        }
        let due: Vec<Key> = self.due.iter().filter(|(_, due)| **due <= mono).map(|(key, _)| key.clone()).collect();
        let mut count = 0;
        for key in due {
            if out.len() + RECORD_BYTES_MAX > bytes_max {
                break;
            }
            self.due.remove(&key);
            if !wants(key.0.as_str()) {
                continue;
            }
            let (profile, title) = key.clone();
            let record = match title {
                Some(title) => {
                    store.shared_register(&profile, &title)?.map(|stored| Record::Register { profile, title, state: stored.progress })
                }
                None => Some(store.erased(&profile)).filter(|erased| *erased != Hlc::ZERO).map(|erased| Record::Erased { profile, erased }),
            };
            if let Some(record) = record {
                record.encode(out);
                self.offered.insert(key, frame);
                count += 1;
            }
        }
        self.next = self.due.values().min().copied();
        Ok(count)
    }
}
