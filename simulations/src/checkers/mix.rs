//! Maps with a hash that is the same in every run, so that a run is the same too.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Spreads the small numbers and short ids that maps are keyed by here. The same in every run, so that a run is the same too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A map with a hash that is the same in every run.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Whether a profile is one of those that are looked at closely: one in so many, by a hash of its id.
pub fn is_looked_at(profile: &str, one_in: u64) -> bool {
    if one_in <= 1 {
        return true;
    }
    let mut hasher = Mix::default();
    hasher.write(profile.as_bytes());
    hasher.finish().is_multiple_of(one_in)
}
