//! Records that were seen before: nearly all of what becomes durable at one host has just become durable at another.

use leftoff::progress::DecodeError;
use leftoff::store::{Applied, Record};

use crate::observation::Same;

/// A record, decoded, and the number that stands for it.
struct Seen {
    encoded: Box<[u8]>,
    record: Record,
    same: Same,
}

/// The records that were seen last, by a hash of their bytes: one in each place.
#[derive(Default)]
pub(super) struct Memory {
    places: Vec<Option<Box<Seen>>>,
}

/// Only to find a place: what is there is compared.
fn place_of(encoded: &[u8]) -> usize {
    let mut hash = encoded.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = encoded.as_chunks::<8>();
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(u64::from_le_bytes(last));
    (hash >> 40) as usize % Same::COUNT
}

impl Memory {
    /// The record of what became durable, and the number that stands for it.
    pub(super) fn record(&mut self, applied: &Applied<'_>) -> Result<(&Record, Same), DecodeError> {
        let encoded = applied.encoded();
        let place = place_of(encoded);
        if self.places.is_empty() {
            self.places.resize_with(Same::COUNT, || None);
        }
        let entry = &mut self.places[place];
        if entry.as_ref().is_none_or(|seen| *seen.encoded != *encoded) {
            let same = entry.as_ref().map_or(Same::first_at(place), |before| before.same.next());
            *entry = Some(Box::new(Seen { encoded: encoded.into(), record: applied.record()?, same }));
        }
        match entry {
            Some(seen) => Ok((&seen.record, seen.same)),
            None => Err(DecodeError::Invalid { field: "record" }),
        }
    }
}
