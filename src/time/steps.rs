//! Steps of a wall clock: it was set, by hand or from a network, while this program ran.

use super::{MonotonicTime, WallTime};

/// A wall clock and a monotonic one that come apart by more than this were stepped apart: what is less is drift, or the time between two readings.
const STEP_MS_MIN: i64 = 2_000;

/// Tells a step of the wall clock by how far a monotonic clock went meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepMeter {
    last: Option<(WallTime, MonotonicTime)>,
}

impl StepMeter {
    /// Whether the wall clock was stepped since this was last asked. A machine that slept may look like it: its monotonic clock may have stood still.
    pub fn stepped(&mut self, now: WallTime, mono: MonotonicTime) -> bool {
        let Some((wall_before, mono_before)) = self.last.replace((now, mono)) else { return false };
        let passed_ms = i64::try_from(mono.saturating_since(mono_before).as_millis()).unwrap_or(i64::MAX);
        now.millis_since(wall_before).saturating_sub(passed_ms).saturating_abs() >= STEP_MS_MIN
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_one_that_drifts_is_not() {
        let mut meter = StepMeter::default();
        let mono = |ms| MonotonicTime::from_start(Duration::from_millis(ms));
        let wall = WallTime::from_millis;
        assert!(!meter.stepped(wall(1_000_000), mono(0)), "there is nothing to compare with");
        assert!(!meter.stepped(wall(1_060_900), mono(60_000)), "it runs fast");
        assert!(meter.stepped(wall(1_000_000), mono(61_000)), "set back");
        assert!(!meter.stepped(wall(1_001_000), mono(62_000)));
        assert!(meter.stepped(wall(90_000_000), mono(63_000)), "set forward");
        assert!(!meter.stepped(wall(90_001_000), mono(64_000)));
    }
}
