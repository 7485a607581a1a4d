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

/// The queue, and the time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    now: Micros,
}

impl Queue {
    /// Now.
    pub(super) const fn now(&self) -> Micros {
        self.now
    }

    /// Plans an event; one in the past happens now.
    pub(super) fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        let key = u128::from(at.max(self.now)) << 64 | u128::from(self.order);
        self.heap.push(Reverse(Entry { key, event }));
    }

    /// Plans an event after so many microseconds.
    pub(super) fn after(&mut self, micros: Micros, event: Event) {
        self.at(self.now.saturating_add(micros), event);
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse(entry)| entry.at())
    }

    /// Goes on to the next event, if it happens by `until`.
    pub(super) fn pop(&mut self, until: Micros) -> Option<Event> {
        if self.next_at()? > until {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at();
        Some(entry.event)
    }

    /// Lets time pass though nothing happens.
    pub(super) fn advance(&mut self, to: Micros) {
        self.now = self.now.max(to);
    }
}
