//! Comparing clocks with a peer: the offset between two wall clocks, measured over one exchange.
//!
//! After Mills, RFC 5905: the answer's clock belongs to the middle of the round trip, and is wrong by at most half of it.

use std::time::Duration;

use super::message::Pong;
use crate::time::{MonotonicTime, WallTime};

/// What one exchange showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Comparison {
    /// How far the peer's clock is ahead of ours, in milliseconds.
    pub offset_ms: i64,
    /// How long the exchange took.
    pub rtt: Duration,
}

impl Comparison {
    /// Whether the clocks are surely further apart than half of the bound of clock drift. Less is no harm: nobody refuses it, and a device that has
    /// links with two nodes would follow now the one and now the other.
    pub(super) fn is_apart(&self, drift_ms_max: u64) -> bool {
        let error_ms = u64::try_from(self.rtt.as_millis() / 2).unwrap_or(u64::MAX);
        self.offset_ms.unsigned_abs() > (drift_ms_max / 2).saturating_add(error_ms)
    }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    token: u64,
    mono: MonotonicTime,
}

/// The questions and answers about a peer's clock. One question is open at a time.
#[derive(Debug, Default)]
pub(super) struct ClockMeter {
    next: u64,
    asked: Option<Asked>,
    last: Option<Comparison>,
}

impl ClockMeter {
    /// Begins a question; its number.
    pub(super) fn ask(&mut self, mono: MonotonicTime) -> u64 {
        self.next += 1;
        self.asked = Some(Asked { token: self.next, mono });
        self.next
    }

    /// When the open question was asked.
    pub(super) fn open_since(&self) -> Option<MonotonicTime> {
        self.asked.map(|asked| asked.mono)
    }

    /// What an answer shows that arrived at our (corrected) wall time `now`; `None` if nothing was asked, or something else.
    ///
    /// By the clock as it is now: it may have been set since the question was asked.
    pub(super) fn compare(&self, now: WallTime, mono: MonotonicTime, pong: Pong) -> Option<Comparison> {
        let asked = self.asked.filter(|asked| asked.token == pong.token)?;
        let rtt = mono.saturating_since(asked.mono);
        let half_ms = i64::try_from(rtt.as_millis() / 2).unwrap_or(i64::MAX);
        Some(Comparison { offset_ms: pong.clock.millis_since(now.shifted(-half_ms)), rtt })
    }

    /// Takes the answer as given.
    pub(super) fn close(&mut self, comparison: Comparison) {
        self.asked = None;
        self.last = Some(comparison);
    }

    /// The last comparison.
    pub(super) const fn last(&self) -> Option<Comparison> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_belongs_to_the_middle_of_the_round_trip() {
        let mut meter = ClockMeter::default();
        let at = |ms| MonotonicTime::from_start(Duration::from_millis(ms));
        let token = meter.ask(at(0));
        let now = WallTime::from_millis(1_000_100);
        let pong = Pong { token, clock: WallTime::from_millis(1_060_050) };
        let comparison = meter.compare(now, at(100), pong).unwrap();
        assert_eq!(comparison, Comparison { offset_ms: 60_000, rtt: Duration::from_millis(100) });
        assert_eq!(meter.compare(now, at(100), Pong { token: 9, clock: WallTime::ZERO }), None);
        meter.close(comparison);
        assert_eq!(meter.compare(now, at(100), pong), None, "an answer counts once");
    }

    #[test]
    fn what_a_slow_answer_cannot_tell_does_not_set_clocks_apart() {
        let comparison = |offset_ms, rtt_ms| Comparison { offset_ms, rtt: Duration::from_millis(rtt_ms) };
        assert!(comparison(30_100, 100).is_apart(60_000) && comparison(-30_100, 100).is_apart(60_000));
        assert!(!comparison(30_000, 0).is_apart(60_000) && !comparison(-31_900, 4_000).is_apart(60_000));
    }
}
