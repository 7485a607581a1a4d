//! One direction of a connection: a stream of bytes as QUIC gives it. What is lost comes later, what is repeated comes once, nothing overtakes;
//! a reader that does not read stops the writer after a window.

use std::collections::VecDeque;

use super::latency::OneWay;
use super::paths::Condition;
use super::queue::Micros;
use super::random::Random;

/// Bytes written and not yet read: the stream's window.
const WINDOW_BYTES: usize = 1 << 20;
/// What a packet carries.
const PACKET_BYTES: usize = 1_200;
/// Least and most time after which something lost is sent again while nothing gets through.
const PROBE_US: (Micros, Micros) = (200_000, 4_000_000);
/// Losses of one and the same packet in a row that are drawn; more is a link that gets nothing through.
const LOSSES_IN_A_ROW_MAX: u32 = 12;

/// Bytes on their way, whole frames each.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) due: Micros,
    pub(super) bytes: Vec<u8>,
    /// How many of them the reader has taken.
    pub(super) taken: usize,
    /// Whether the connection ends after them.
    pub(super) end: bool,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) condition: Condition,
    pub(super) way: OneWay,
    /// Whether an arrival is planned for the first chunk.
    pub(super) planned: bool,
    /// The writer has more, and waits for the reader.
    pub(super) full: bool,
    bytes: usize,
    last_due: Micros,
    line_free: Micros,
    probe: Micros,
}

impl Wire {
    pub(super) fn new(way: OneWay, condition: Condition) -> Self {
        Self { condition, way, ..Self::default() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < WINDOW_BYTES
    }

    /// Bytes written and not yet read, and their bound.
    pub(super) const fn fill(&self) -> (usize, usize) {
        (self.bytes, WINDOW_BYTES)
    }

    /// Sends bytes; when the first of what is on its way is due, if no arrival is planned.
    pub(super) fn send(&mut self, now: Micros, bytes: Vec<u8>, end: bool, random: &mut Random) -> Option<Micros> {
        let departs = now.max(self.line_free);
        if let Some(rate) = self.condition.quality.bytes_per_s {
            // The far end drops what arrives twice; the line has carried it.
            let carried = bytes.len() as f64 * (1.0 + self.condition.quality.duplicate);
            self.line_free = departs + (carried as u64).saturating_mul(1_000_000) / rate.max(1);
        }
        let due = departs.max(self.line_free) + self.delay(bytes.len(), random);
        self.last_due = self.last_due.max(due);
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk { due: self.last_due, bytes, taken: 0, end });
        if self.planned {
            return None;
        }
        self.planned = true;
        self.chunks.front().map(|first| first.due)
    }

    fn delay(&self, bytes: usize, random: &mut Random) -> Micros {
        let Condition { quality, slower, .. } = self.condition;
        let once = |random: &mut Random| (self.way.draw(random) as f64 * slower) as Micros;
        let mut delay = once(random);
        let packets = bytes.div_ceil(PACKET_BYTES).max(1) as f64;
        let round_trip = (2.0 * self.way.mean_us() * slower) as Micros;
        if quality.loss > 0.0 {
            let any_lost = |packets: f64| 1.0 - (1.0 - quality.loss).powf(packets);
            let mut lost = any_lost(packets);
            for _ in 0..LOSSES_IN_A_ROW_MAX {
                if !random.chance(lost) {
                    break;
                }
                // Noticed by what comes after it, or by a probe: a round trip and a bit.
                delay += round_trip * 5 / 4 + 1_000;
                lost = any_lost((packets * quality.loss).max(1.0));
            }
        }
        if random.chance(quality.reorder) {
            delay += random.below(round_trip.max(1));
        }
        delay
    }

    /// The first chunk is due and nothing passes: it is sent again later. When.
    pub(super) fn put_off(&mut self, now: Micros, random: &mut Random) -> Micros {
        self.probe = (self.probe * 2).clamp(PROBE_US.0, PROBE_US.1);
        let due = now + self.probe + random.below(PROBE_US.0);
        self.last_due = self.last_due.max(due);
        for chunk in &mut self.chunks {
            chunk.due = chunk.due.max(due);
        }
        due
    }

    /// Something has got through.
    pub(super) const fn passed(&mut self) {
        self.probe = 0;
    }

    /// Takes the first chunk away. Whether the writer was waiting for that.
    pub(super) fn read(&mut self) -> (Option<Chunk>, bool) {
        let chunk = self.chunks.pop_front();
        self.bytes -= chunk.as_ref().map_or(0, |chunk| chunk.bytes.len());
        let wakes = self.full && self.has_room();
        if wakes {
            self.full = false;
        }
        (chunk, wakes)
    }

    /// Nothing of what is on its way arrives any more.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Quality;

    fn wire(quality: Quality) -> (Wire, Random) {
        let way = OneWay { least_us: 10_000.0, more_us: 0.0 };
        (Wire::new(way, Condition { blocked: false, quality, slower: 1.0 }), Random::of(1, "wire", 0))
    }

    #[test]
    fn a_thin_line_takes_as_long_as_its_bytes_take_and_copies_take_their_share() {
        let rate = Quality { bytes_per_s: Some(10_000), ..Quality::default() };
        let (mut thin, mut random) = wire(rate);
        assert_eq!(thin.send(0, vec![0; 1_000], false, &mut random), Some(110_000));
        thin.send(0, vec![0; 1_000], false, &mut random);
        assert_eq!(thin.chunks[1].due, 210_000, "it waits for what is on the line before it");
        let (mut thin, mut random) = wire(Quality { duplicate: 0.5, ..rate });
        assert_eq!(thin.send(0, vec![0; 1_000], false, &mut random), Some(160_000));
    }

    #[test]
    fn what_is_lost_comes_later_and_nothing_overtakes_it() {
        let (mut lossy, mut random) = wire(Quality { loss: 0.5, reorder: 0.5, ..Quality::default() });
        for at in 0..200 {
            lossy.send(at * 1_000, vec![0; 10], false, &mut random);
        }
        let due: Vec<Micros> = lossy.chunks.iter().map(|chunk| chunk.due).collect();
        assert!(due.is_sorted() && due.iter().zip(0..).any(|(due, at)| *due > at * 1_000 + 30_000), "{due:?}");
    }

    #[test]
    fn a_writer_stops_at_the_window_of_a_reader_that_does_not_read() {
        let (mut wire, mut random) = wire(Quality::default());
        while wire.has_room() {
            wire.send(0, vec![0; 64 << 10], false, &mut random);
        }
        assert!(wire.fill().0 <= WINDOW_BYTES + (64 << 10));
        wire.full = true;
        assert!(wire.read().1, "reading wakes the writer");
    }
}
