//! Chance for what is drawn before a world begins. The world has its own, so that a drawn scenario runs alike when it is read from a file.

use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// A source of chance that one seed decides.
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// From 0 to 1, without 1.
    pub(super) fn part(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.part() < probability
    }

    /// A whole number, both ends included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most - least + 1)
    }

    pub(super) fn between_u32(&mut self, least: u32, most: u32) -> u32 {
        self.between(u64::from(least), u64::from(most)) as u32
    }

    /// A whole number whose size, not whose value, is spread evenly: as many between 1 and 10 as between 10 and 100.
    pub(super) fn size(&mut self, least: u64, most: u64) -> u64 {
        let (low, high) = ((least as f64).ln(), (most as f64 + 1.0).ln());
        ((low + (high - low) * self.part()).exp() as u64).clamp(least, most)
    }

    /// In whole tenths of a percent, so that it reads well.
    pub(super) fn share(&mut self, most: f64) -> f64 {
        (self.part() * most * 1000.0).round() / 1000.0
    }

    /// In whole tenths of a second.
    pub(super) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_millis(100 * self.between(least.as_millis() as u64 / 100, most.as_millis() as u64 / 100))
    }

    pub(super) fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get((self.0.next_u64() % items.len().max(1) as u64) as usize)
    }

    /// Some of them, in their order; at least one if there is one.
    pub(super) fn some_of<T: Clone>(&mut self, items: &[T], most: usize) -> Vec<T> {
        let mut found: Vec<T> = items.to_vec();
        let wanted = self.between(1, most.max(1) as u64) as usize;
        while found.len() > wanted {
            let index = self.between(0, found.len() as u64 - 1) as usize;
            found.remove(index);
        }
        found
    }
}
