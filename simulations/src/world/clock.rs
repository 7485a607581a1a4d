//! The clock of one host: true time, wrong by an offset and by a drift, or standing still.

use leftoff::time::{MonotonicTime, WallTime};

use super::queue::Micros;
use std::time::Duration;

/// When the world begins, by a right clock.
pub(super) const BEGINNING: WallTime = WallTime::from_millis(1_790_000_000_000);

/// The drift of a clock that stands still, in parts per million.
const FROZEN_PPM: i64 = -1_000_000;

/// What one fault does to a clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    /// The fault, by which it is given back.
    pub(super) fault: usize,
    /// By how much the clock is wrong at once.
    pub(super) offset_ms: i64,
    pub(super) drift_ppm: i64,
    /// Whether it stands still.
    pub(super) frozen: bool,
}

/// What a fault has made wrong so far.
#[derive(Clone, Copy, Debug)]
struct Part {
    wrong: Wrong,
    error_us: i64,
}

/// A wall clock that may be wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct HostClock {
    /// How wrong it was when its drift last changed.
    offset_us: i64,
    drift_ppm: i64,
    drifts_since: Micros,
    /// Of that, what each fault has done that lasts.
    parts: Vec<Part>,
}

const fn crept_us(passed: Micros, drift_ppm: i64) -> i64 {
    let passed = passed.cast_signed();
    passed / 1_000_000 * drift_ppm + passed % 1_000_000 * drift_ppm / 1_000_000
}

impl HostClock {
    /// A clock that is wrong from the beginning, as clocks are.
    pub(super) fn skewed(offset_ms: i64) -> Self {
        Self { offset_us: offset_ms * 1_000, ..Self::default() }
    }

    pub(super) fn error_us(&self, now: Micros) -> i64 {
        self.offset_us + crept_us(now.saturating_sub(self.drifts_since), self.drift_ppm)
    }

    /// Milliseconds ahead of the true time.
    pub(super) fn error_ms(&self, now: Micros) -> i64 {
        self.error_us(now) / 1_000
    }

    /// What it shows.
    pub(super) fn wall(&self, now: Micros) -> WallTime {
        BEGINNING.shifted((now.cast_signed() + self.error_us(now)).div_euclid(1_000))
    }

    /// Sets it wrong by so much more, and lets it drift.
    pub(super) fn disturb(&mut self, now: Micros, wrong: Wrong) {
        self.fold(now);
        let error_us = wrong.offset_ms * 1_000;
        self.offset_us += error_us;
        self.parts.push(Part { wrong, error_us });
        self.drift_ppm = self.drifts().sum();
    }

    /// Takes back what one fault has done; what others do goes on.
    pub(super) fn give_back(&mut self, now: Micros, fault: usize) {
        self.fold(now);
        let error_us = |part: &Part| if part.wrong.fault == fault { part.error_us } else { 0 };
        self.offset_us -= self.parts.iter().map(error_us).sum::<i64>();
        self.parts.retain(|part| part.wrong.fault != fault);
        self.drift_ppm = self.drifts().sum();
    }

    /// Puts it right, whatever made it wrong.
    pub(super) fn put_right(&mut self) {
        *self = Self::default();
    }

    /// How fast each fault makes it run wrong. A clock that stands still does so once, however it would drift.
    fn drifts(&self) -> impl Iterator<Item = i64> {
        let frozen = self.parts.iter().position(|part| part.wrong.frozen);
        self.parts.iter().enumerate().map(move |(index, part)| match frozen {
            Some(first) if first == index => FROZEN_PPM,
            Some(_) => 0,
            None => part.wrong.drift_ppm,
        })
    }

    /// Puts what has crept until now to the account of those who did it.
    fn fold(&mut self, now: Micros) {
        let passed = now.saturating_sub(self.drifts_since);
        let drifts: Vec<i64> = self.drifts().collect();
        for (part, drift_ppm) in self.parts.iter_mut().zip(drifts) {
            part.error_us += crept_us(passed, drift_ppm);
        }
        (self.offset_us, self.drifts_since) = (self.error_us(now), now);
    }
}

/// What a clock that never goes back shows, at every host the same.
pub(super) const fn monotonic(now: Micros) -> MonotonicTime {
    MonotonicTime::from_start(Duration::from_micros(now))
}

/// What a right clock shows.
pub(super) fn true_wall(now: Micros) -> WallTime {
    HostClock::default().wall(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn wrong(fault: usize, offset_ms: i64, drift_ppm: i64) -> Wrong {
        Wrong { fault, offset_ms, drift_ppm, frozen: false }
    }

    fn frozen(fault: usize) -> Wrong {
        Wrong { frozen: true, ..wrong(fault, 0, 0) }
    }

    #[test]
    fn a_clock_is_wrong_by_its_offset_and_creeps() {
        let mut clock = HostClock::skewed(7);
        assert_eq!(clock.error_ms(50 * SECOND), 7);
        clock.disturb(100 * SECOND, wrong(0, 1_000, 10_000));
        assert_eq!(clock.error_ms(100 * SECOND), 1_007);
        assert_eq!(clock.error_ms(110 * SECOND), 1_107);
        clock.put_right();
        assert_eq!(clock.error_ms(120 * SECOND), 0);
    }

    #[test]
    fn a_fault_that_ends_gives_back_its_own_part_and_no_more() {
        let mut clock = HostClock::skewed(7);
        clock.disturb(0, wrong(0, 60_000, 1_000));
        clock.disturb(100 * SECOND, wrong(1, -5_000, 10_000));
        assert_eq!(clock.error_ms(200 * SECOND), 7 + 60_000 + 200 - 5_000 + 1_000);
        clock.give_back(200 * SECOND, 0);
        assert_eq!(clock.error_ms(200 * SECOND), 7 - 5_000 + 1_000);
        assert_eq!(clock.error_ms(300 * SECOND), 7 - 5_000 + 2_000, "the other goes on drifting");
        clock.give_back(300 * SECOND, 1);
        assert_eq!(clock.error_ms(400 * SECOND), 7);
    }

    #[test]
    fn a_frozen_clock_stands_still_however_often_it_is_frozen() {
        let mut clock = HostClock::default();
        clock.disturb(0, wrong(0, 500, 50_000));
        clock.disturb(10 * SECOND, frozen(1));
        let shows = clock.wall(10 * SECOND);
        clock.disturb(20 * SECOND, frozen(2));
        assert_eq!(clock.wall(40 * SECOND), shows);
        clock.give_back(40 * SECOND, 1);
        assert_eq!(clock.error_ms(40 * SECOND), 500 + 500, "the other has not stopped it, until now");
        let shows = clock.wall(40 * SECOND);
        assert_eq!(clock.wall(50 * SECOND), shows);
        clock.give_back(50 * SECOND, 2);
        assert_eq!(clock.error_ms(50 * SECOND), 1_000);
        assert_eq!(clock.error_ms(60 * SECOND), 1_500, "and it drifts again");
    }
}
