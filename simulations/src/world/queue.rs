//! What is to happen, in order of time: and of two things at one moment, the one that was planned first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds of virtual time since the beginning of the world.
pub(super) type Micros = u64;

/// Something that is to happen. Small, because there are many; what is large lies where the numbers point to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A viewer does the next thing.
    Viewer(u32),
    /// A thin client tries again to hand in what it holds back.
    Retry(u32),
    /// Bytes on a wire have arrived at the far end.
    Arrive { conn: u32, generation: u32, from: u8 },
    /// A link asked to be called.
    Timer { conn: u32, generation: u32, side: u8 },
    /// A handshake is done.
    Connected { conn: u32, generation: u32 },
    /// A handshake has failed: nobody answered.
    Unanswered { conn: u32, generation: u32 },
    /// A transport has heard nothing for its idle timeout, if nothing came in between.
    Idle { conn: u32, generation: u32, side: u8, silence: u16 },
    /// A dialer tries again.
    Dial { host: u32, life: u32, dialer: u32 },
    /// The group that is being written is synced.
    Synced { host: u32, life: u32 },
    /// The fold goes on.
    Fold { host: u32, life: u32 },
    /// Links are polled that a flush did not concern.
    Poll { host: u32, life: u32 },
    /// The expiry floor is looked at.
    Expire { host: u32, life: u32 },
    /// A host comes up again.
    Start { host: u32, life: u32 },
    /// An armed crash that no I/O has met strikes now.
    Strike { host: u32, life: u32 },
    /// A step of a fault of the timeline.
    Fault { step: u32 },
    /// Something rare that viewers or operators do: hiding, erasing, a backup.
    Errand(u32),
    /// Figures are taken.
    Sample,
    /// Whether a fault's traces are gone is looked at.
    Look,
}

#[derive(Debug)]
struct Entry {
    /// The time, and below it the order: one number, because comparing is most of what a queue does.
    key: u128,
    event: Event,
}

impl Entry {
    const fn at(&self) -> Micros {
        (self.key >> 64) as Micros
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Microseconds of a bucket: two to this power, 16 ms.
const BUCKET_BITS: u32 = 14;
/// Buckets ahead that are kept apart: 17 s, which is longer than a heartbeat's and a ping's interval.
const BUCKETS: usize = 1_024;
const WORDS: usize = BUCKETS / 64;

/// The queue, and the time.
///
/// A calendar: most of what is planned happens within seconds, and goes unsorted into the bucket of its time. A bucket is sorted when its time has
/// come, and is small then. One heap of all that is planned would be gone through from its top to its bottom for every event, in far more memory
/// than caches hold.
#[derive(Debug)]
pub(super) struct Queue {
    /// The number of the present bucket. It may lie ahead of the time.
    bucket: u64,
    /// What was planned for it before it began, the last first.
    present: Vec<Entry>,
    /// What was planned for it, or for what lies before it, since.
    added: BinaryHeap<Reverse<Entry>>,
    /// The buckets that follow, each at its number modulo their count.
    ahead: Vec<Vec<Entry>>,
    /// Which of them hold something: a bit each.
    filled: [u64; WORDS],
    /// What was planned for times beyond those.
    far: BinaryHeap<Reverse<Entry>>,
    order: u64,
    now: Micros,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            bucket: 0,
            present: Vec::new(),
            added: BinaryHeap::new(),
            ahead: (0..BUCKETS).map(|_| Vec::new()).collect(),
            filled: [0; WORDS],
            far: BinaryHeap::new(),
            order: 0,
            now: 0,
        }
    }
}

const fn bucket_of(at: Micros) -> u64 {
    at >> BUCKET_BITS
}

impl Queue {
    /// Now.
    pub(super) const fn now(&self) -> Micros {
        self.now
    }

    /// Plans an event; one in the past happens now.
    pub(super) fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        let at = at.max(self.now);
        let entry = Entry { key: u128::from(at) << 64 | u128::from(self.order), event };
        let bucket = bucket_of(at);
        if bucket <= self.bucket {
            self.added.push(Reverse(entry));
        } else if bucket - self.bucket < BUCKETS as u64 {
            let index = bucket as usize % BUCKETS;
            self.ahead[index].push(entry);
            self.filled[index / 64] |= 1 << (index % 64);
        } else {
            self.far.push(Reverse(entry));
        }
    }

    /// Plans an event after so many microseconds.
    pub(super) fn after(&mut self, micros: Micros, event: Event) {
        self.at(self.now.saturating_add(micros), event);
    }

    /// The next bucket that holds something.
    fn next_filled(&self) -> Option<u64> {
        let own = self.bucket as usize % BUCKETS;
        let first = (own + 1) % BUCKETS;
        // The first word is looked at twice: from the first bucket on, and at last before it.
        (0..=WORDS).find_map(|step| {
            let index = (first / 64 + step) % WORDS;
            let from_first = !0 << (first % 64);
            let bits = match step {
                0 => self.filled[index] & from_first,
                WORDS => self.filled[index] & !from_first,
                _ => self.filled[index],
            };
            let found = index * 64 + bits.trailing_zeros() as usize;
            (bits != 0).then(|| self.bucket + ((found + BUCKETS - own) % BUCKETS) as u64)
        })
    }

    /// Goes on to the next bucket that holds something, if the present one is empty.
    fn fill(&mut self) {
        if !self.present.is_empty() || !self.added.is_empty() {
            return;
        }
        let far = self.far.peek().map(|Reverse(entry)| bucket_of(entry.at()));
        let ahead = self.next_filled();
        let Some(next) = [ahead, far].into_iter().flatten().min() else { return };
        self.bucket = next;
        if ahead == Some(next) {
            let index = next as usize % BUCKETS;
            std::mem::swap(&mut self.present, &mut self.ahead[index]);
            self.filled[index / 64] &= !(1 << (index % 64));
        }
        while let Some(Reverse(first)) = self.far.peek()
            && bucket_of(first.at()) == next
            && let Some(Reverse(entry)) = self.far.pop()
        {
            self.present.push(entry);
        }
        self.present.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Goes on to the next event, if it happens by `until`.
    pub(super) fn pop(&mut self, until: Micros) -> Option<Event> {
        self.fill();
        let added = self.added.peek().map(|Reverse(entry)| entry.key);
        let present = self.present.last().map(|entry| entry.key);
        let next = [added, present].into_iter().flatten().min()?;
        if (next >> 64) as Micros > until {
            return None;
        }
        let entry = if present == Some(next) { self.present.pop()? } else { self.added.pop()?.0 };
        self.now = entry.at();
        Some(entry.event)
    }

    /// Lets time pass though nothing happens.
    pub(super) fn advance(&mut self, to: Micros) {
        self.now = self.now.max(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::random::Random;

    #[test]
    fn events_come_in_the_order_of_their_times_and_of_two_at_once_the_first_planned() {
        let mut random = Random::of(1, "queue", 0);
        let (mut queue, mut model) = (Queue::default(), BinaryHeap::new());
        let mut number = 0;
        let mut until = 0;
        for _ in 0..3_000 {
            for _ in 0..random.below(4) {
                let spread = [1, 3_000, 40_000, 9_000_000, 20_000_000, 5_000_000_000][random.below(6) as usize];
                let at = queue.now() + random.below(spread);
                number += 1;
                queue.at(at, Event::Viewer(number));
                model.push(Reverse((at.max(queue.now()), number)));
            }
            until += random.below(2_000_000);
            while let Some(event) = queue.pop(until) {
                let Some(Reverse((at, number))) = model.pop() else { panic!("an event that was not planned") };
                assert!(matches!(event, Event::Viewer(found) if found == number), "{event:?} instead of {number}");
                assert_eq!(queue.now(), at);
                if random.chance(0.3) {
                    break;
                }
            }
            if random.chance(0.1) && model.peek().is_none_or(|Reverse((at, _))| *at > until) {
                queue.advance(until);
            }
        }
        while queue.pop(Micros::MAX).is_some() {
            model.pop();
        }
        assert!(model.is_empty(), "nothing is lost");
    }
}
