//! How long packets take between places.

use super::queue::Micros;
use super::random::Random;
use crate::scenario::{Latency, Network, Region};

/// One way of a pair of places: what it takes at least, and the mean of what is added at random.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OneWay {
    pub(super) least_us: f64,
    pub(super) more_us: f64,
}

impl OneWay {
    /// Half of a round trip in milliseconds with its mean deviation.
    fn of(rtt_ms: f64, jitter_ms: f64) -> Self {
        let jitter_ms = jitter_ms.clamp(0.0, rtt_ms);
        Self { least_us: (rtt_ms - jitter_ms) * 500.0, more_us: jitter_ms * 500.0 }
    }

    fn and(self, other: Self) -> Self {
        Self { least_us: self.least_us + other.least_us, more_us: self.more_us + other.more_us }
    }

    pub(super) fn mean_us(self) -> f64 {
        self.least_us + self.more_us
    }

    /// How long one packet takes.
    pub(super) fn draw(self, random: &mut Random) -> Micros {
        let more = if self.more_us > 0.0 { random.exponential(self.more_us) } else { 0.0 };
        (self.least_us + more) as Micros
    }
}

/// All pairs of regions, and the last mile.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    pairs: Vec<Vec<OneWay>>,
    last_mile: OneWay,
}

impl Latencies {
    pub(super) fn new(network: &Network, regions: &[Region]) -> Self {
        let local = OneWay::of(network.local_rtt_ms, network.local_rtt_ms / 5.0);
        let pair = |from: &Region, to: &Region| {
            if from.name == to.name {
                return local;
            }
            match &network.latency {
                Latency::Given { rtt_ms, jitter_ms } => OneWay::of(*rtt_ms, *jitter_ms),
                Latency::Measured { pairs, .. } => {
                    let found = pairs.iter().find(|pair| pair.from == from.name && pair.to == to.name);
                    let back = || pairs.iter().find(|pair| pair.from == to.name && pair.to == from.name);
                    found.or_else(back).map_or_else(|| by_distance(from, to), |pair| OneWay::of(pair.rtt_ms[1], pair.rtt_ms[3]))
                }
                Latency::Distance => by_distance(from, to),
            }
        };
        let pairs = regions.iter().map(|from| regions.iter().map(|to| pair(from, to)).collect()).collect();
        Self { pairs, last_mile: OneWay::of(network.device_rtt_ms, network.device_rtt_ms / 4.0) }
    }

    /// One way between two places; `miles`: how many last miles lie between.
    pub(super) fn one_way(&self, from: usize, to: usize, miles: u32) -> OneWay {
        let between = self.pairs.get(from).and_then(|row| row.get(to)).copied().unwrap_or_default();
        (0..miles).fold(between, |way, _| way.and(self.last_mile))
    }
}

/// Light in glass, a third longer way, and a millisecond.
fn by_distance(from: &Region, to: &Region) -> OneWay {
    let km = match (from.at, to.at) {
        (Some(from), Some(to)) => great_circle_km(from, to),
        _ => 0.0,
    };
    let rtt_ms = 2.0 * km * 4.0 / 3.0 / 200.0 + 1.0;
    OneWay::of(rtt_ms, rtt_ms / 100.0)
}

fn great_circle_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let (lat1, lat2) = (from.0.to_radians(), to.0.to_radians());
    let (dlat, dlon) = (lat2 - lat1, (to.1 - from.1).to_radians());
    let haversine = (dlat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (dlon / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frankfurt_and_sydney_are_as_far_apart_as_they_are() {
        let km = great_circle_km((50.1, 8.7), (-33.9, 151.2));
        assert!((16_000.0..17_000.0).contains(&km), "{km}");
    }

    #[test]
    fn the_mean_of_what_is_drawn_is_half_the_round_trip() {
        let way = OneWay::of(80.0, 4.0);
        let mut random = Random::of(1, "latency", 0);
        let mean = (0..20_000).map(|_| way.draw(&mut random) as f64).sum::<f64>() / 20_000.0;
        assert!((39_500.0..40_500.0).contains(&mean), "{mean}");
    }
}
