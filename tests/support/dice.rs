//! Chance that can be repeated: a seed, printed first, and the numbers that follow from it.

use std::env;
use std::ops::RangeInclusive;

use leftoff::time::system::wall_now;

/// Random numbers from a seed (SplitMix64, Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice of this run: the seed is printed, and `LEFTOFF_TEST_SEED` repeats it.
    pub(crate) fn of_this_run(scenario: &str) -> Self {
        let given = env::var_os("LEFTOFF_TEST_SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = given.unwrap_or_else(|| wall_now().as_millis() ^ u64::from(std::process::id()) << 40);
        println!("{scenario}: LEFTOFF_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice that follow from these.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.roll())
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number within bounds, both included.
    pub(crate) fn within(&mut self, bounds: RangeInclusive<u64>) -> u64 {
        let (low, high) = (*bounds.start(), *bounds.end());
        low + self.roll() % (high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.within(0..=999) < permille
    }
}
