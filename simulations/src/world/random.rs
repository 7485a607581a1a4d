//! Randomness: one seed, and a stream of its own for each concern, so that leaving one thing out does not shift all others.

use std::hash::Hasher;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use siphasher::sip::SipHasher13;

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of a concern, by its name and a number.
    pub(super) fn of(seed: u64, concern: &str, number: u64) -> Self {
        let mut hasher = SipHasher13::new_with_keys(seed, number);
        hasher.write(concern.as_bytes());
        Self(Xoshiro256PlusPlus::seed_from_u64(hasher.finish()))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Uniform in `0..1`.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`; 0 for an empty range.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The bias of a remainder of 64 random bits is far below what any figure shows.
        if bound == 0 { 0 } else { ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64 }
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.fraction() < probability
    }

    /// Exponential, with this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.fraction()).ln()
    }

    /// Around a mean: half of it to one and a half times.
    pub(super) fn around(&mut self, mean: f64) -> f64 {
        mean * (0.5 + self.fraction())
    }

    /// An index, by weights; the first if all are zero.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.fraction() * total;
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        0
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}
