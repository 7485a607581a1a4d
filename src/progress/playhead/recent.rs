//! The last reports of a playhead, to recognise a retry. Grows with the reports, so that a million playheads of a short evening stay small.

use crate::limits::{PLAYHEAD_REPORTS_REMEMBERED, POSITION_MS_MAX};
use crate::progress::Event;

const KIND_BITS: u32 = 3;
const POSITION_BITS: u32 = 34;
const AT_BITS: u32 = 43;
const _: () = assert!(POSITION_MS_MAX < 1 << POSITION_BITS);
const _: () = assert!(KIND_BITS + POSITION_BITS + AT_BITS == 80);

/// Kind, position and own time of the last reports that gave their own time, ten bytes each, as a ring once full.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    reports: Vec<[u8; 10]>,
    oldest: u8,
    // No remembered report is of a later second, so one that is need not be looked for: the reports lie elsewhere in memory, and the steady
    // heartbeat should not wait for them.
    newest_second: u32,
}

impl Recent {
    /// Whether the event equals a remembered one in kind, position and its own given time. Remembers it if not.
    pub(super) fn repeats(&mut self, event: &Event) -> bool {
        let Some(packed) = pack(event) else { return false };
        let second = event.at.map_or(0, |at| u32::try_from(at.as_millis() / 1_000).unwrap_or(u32::MAX));
        if second <= self.newest_second && self.reports.contains(&packed) {
            return true;
        }
        self.newest_second = self.newest_second.max(second);
        if self.reports.len() < PLAYHEAD_REPORTS_REMEMBERED {
            self.reports.push(packed);
        } else {
            self.reports[usize::from(self.oldest)] = packed;
            self.oldest = (self.oldest + 1) % PLAYHEAD_REPORTS_REMEMBERED as u8;
        }
        false
    }

    /// Heap bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.reports.capacity() * size_of::<[u8; 10]>()
    }
}

fn pack(event: &Event) -> Option<[u8; 10]> {
    // Times beyond the year 2248 are nobody's; taken as that year, they only make a wrong clock's retries look more alike.
    let at_ms = event.at?.as_millis().min((1 << AT_BITS) - 1);
    let packed = u128::from(event.kind as u8)
        | u128::from(event.position.as_millis()) << KIND_BITS
        | u128::from(at_ms) << (KIND_BITS + POSITION_BITS);
    packed.to_le_bytes().first_chunk().copied()
}
