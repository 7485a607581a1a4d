//! How long changes take from the region where they were made to all others.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use leftoff::progress::Progress;
use leftoff::store::RegisterKey;

use super::queue::Micros;
use crate::outcome;

/// Hashes a key by itself: it is a hash already, and the same in every process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 64) as u64 ^ key as u64;
    }
}

/// A map by a hash.
pub(super) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<KeyIsHash>>;

/// A map by register.
pub(super) type ByKey<V> = HashMap<RegisterKey, V, BuildHasherDefault<KeyIsHash>>;

/// Changes on their way that are measured at once. Beyond it further ones are not.
const UNDERWAY_COUNT_MAX: usize = 1 << 17;
/// Steps of the histogram: a hundred to a decade and a half, each two hundredths wider than the one before.
const STEP: f64 = 1.02;
const BINS: usize = 1_100;
const FIRST_MS: f64 = 0.05;

struct Change {
    delta: Progress,
    at: Micros,
    from: usize,
    /// Regions that lack it, a bit each.
    left: u64,
}

/// Times by their bins.
#[derive(Clone)]
struct Times {
    bins: Vec<u32>,
    count: u64,
    max_ms: f64,
}

impl Times {
    fn new() -> Self {
        Self { bins: vec![0; BINS], count: 0, max_ms: 0.0 }
    }

    fn note(&mut self, ms: f64) {
        let bin = if ms <= FIRST_MS { 0 } else { ((ms / FIRST_MS).ln() / STEP.ln()).ceil() as usize };
        self.bins[bin.min(BINS - 1)] += 1;
        self.count += 1;
        self.max_ms = self.max_ms.max(ms);
    }

    /// The upper bound of a bin.
    fn bound(bin: usize) -> f64 {
        FIRST_MS * STEP.powf(bin as f64)
    }

    fn percentile(&self, part: f64) -> f64 {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Self::bound(bin).min(self.max_ms);
            }
        }
        self.max_ms
    }

    /// Coarser: ten bins together, empty ends left out.
    fn histogram(&self) -> Vec<(f64, u64)> {
        let coarse: Vec<(f64, u64)> = (0..BINS / 10)
            .map(|bin| (Self::bound(bin * 10 + 9), self.bins[bin * 10..bin * 10 + 10].iter().map(|count| u64::from(*count)).sum()))
            .collect();
        let first = coarse.iter().position(|(_, count)| *count > 0).unwrap_or(coarse.len());
        let last = coarse.iter().rposition(|(_, count)| *count > 0).map_or(first, |last| last + 1);
        coarse[first..last].to_vec()
    }
}

/// All measurements.
pub(super) struct Propagation {
    underway: ByKey<Vec<Change>>,
    count: usize,
    /// One register in so many is measured.
    one_in: u64,
    places: usize,
    times: Vec<Times>,
    /// Changes that reached another region with a later one of the same register.
    coalesced: u64,
}

impl Propagation {
    pub(super) fn new(places: usize, one_in: u64) -> Self {
        let times = vec![Times::new(); places * places];
        Self { underway: ByKey::default(), count: 0, one_in: one_in.max(1), places, times, coalesced: 0 }
    }

    /// Whether changes of this register are measured.
    pub(super) const fn measures(&self, key: RegisterKey) -> bool {
        self.places > 1 && (key.0 as u64).is_multiple_of(self.one_in)
    }

    /// A change became durable where it was made, or at the node that a device gave it to.
    pub(super) fn begin(&mut self, key: RegisterKey, at: Micros, from: usize, delta: Progress) {
        if self.count < UNDERWAY_COUNT_MAX {
            let all = (1u64 << self.places.min(63)) - 1;
            self.underway.entry(key).or_default().push(Change { delta, at, from, left: all & !(1 << from) });
            self.count += 1;
        }
    }

    /// Whether a record arriving in a region may be what is waited for.
    pub(super) fn awaits(&self, key: RegisterKey, place: usize) -> bool {
        self.underway.get(&key).is_some_and(|changes| changes.iter().any(|change| change.left >> place & 1 == 1))
    }

    /// A register's state became durable in a region.
    pub(super) fn arrive(&mut self, key: RegisterKey, at: Micros, place: usize, state: &Progress) {
        let Some(changes) = self.underway.get_mut(&key) else { return };
        let mut arrived = 0;
        for change in changes.iter_mut().filter(|change| change.left >> place & 1 == 1) {
            if state.holds(&change.delta) {
                change.left &= !(1 << place);
                arrived += 1;
                let ms = at.saturating_sub(change.at) as f64 / 1_000.0;
                self.times[change.from * self.places + place].note(ms);
            }
        }
        self.coalesced += u64::from(arrived > 1) * (arrived.max(1) - 1);
        let before = changes.len();
        changes.retain(|change| change.left != 0);
        self.count -= before - changes.len();
        if changes.is_empty() {
            self.underway.remove(&key);
        }
    }

    /// A profile's registers are gone: what is on its way of them will not arrive.
    pub(super) fn forget_profile(&mut self, profile_hash: u64) {
        let mut gone = 0;
        self.underway.retain(|key, changes| {
            let stays = key.profile_hash() != profile_hash;
            gone += if stays { 0 } else { changes.len() };
            stays
        });
        self.count -= gone;
    }

    /// Changes that went with a later one, extrapolated to all registers where only some are measured.
    pub(super) const fn coalesced(&self) -> u64 {
        self.coalesced * self.one_in
    }

    /// The outcome, of pairs that something was measured for.
    pub(super) fn outcome(&self, names: &[String], one_way_ms: &dyn Fn(usize, usize) -> f64) -> Vec<outcome::Propagation> {
        let mut all = Vec::new();
        for from in 0..self.places {
            for to in 0..self.places {
                let times = &self.times[from * self.places + to];
                if times.count > 0 {
                    all.push(outcome::Propagation {
                        from: names[from].clone(),
                        to: names[to].clone(),
                        count: times.count,
                        one_way_ms: one_way_ms(from, to),
                        p50_ms: times.percentile(0.5),
                        p99_ms: times.percentile(0.99),
                        max_ms: times.max_ms,
                        histogram: times.histogram(),
                    });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_two_hundredths() {
        let mut times = Times::new();
        for ms in 1..=1_000 {
            times.note(f64::from(ms));
        }
        assert!((500.0..=510.0).contains(&times.percentile(0.5)));
        assert!((990.0..=1_000.0).contains(&times.percentile(0.99)));
        assert_eq!(times.histogram().iter().map(|(_, count)| count).sum::<u64>(), 1_000);
    }
}
