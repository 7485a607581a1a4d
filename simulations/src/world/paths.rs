//! The network between hosts: how long, how good, and what is cut.

use super::latency::{Latencies, OneWay};
use crate::scenario::Quality;

/// Where something is: in a region, behind a last mile or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) place: usize,
    pub(super) last_mile: bool,
}

/// What a rule does to what passes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Nothing passes.
    Cut,
    /// What passes is worse off.
    Worse { quality: Quality, slower: f64 },
}

/// A fault of the network while it lasts.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Which fault of the timeline, and which part of it.
    pub(super) fault: (usize, u32),
    /// From these spots, by number.
    pub(super) from: Vec<bool>,
    /// To those.
    pub(super) to: Vec<bool>,
    /// Whether the way back is not touched.
    pub(super) one_way: bool,
    pub(super) effect: Effect,
}

impl Rule {
    fn touches(&self, from: usize, to: usize) -> bool {
        (self.from[from] && self.to[to]) || (!self.one_way && self.from[to] && self.to[from])
    }
}

/// How one way is at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition {
    pub(super) blocked: bool,
    pub(super) quality: Quality,
    pub(super) slower: f64,
}

/// All ways between all spots: hosts by their number, then the thin clients of each region.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    latencies: Latencies,
    quality: Quality,
    spots: Vec<Spot>,
    rules: Vec<Rule>,
}

impl Paths {
    pub(super) fn new(latencies: Latencies, quality: Quality, spots: Vec<Spot>) -> Self {
        Self { latencies, quality, spots, rules: Vec::new() }
    }

    pub(super) fn spots(&self) -> &[Spot] {
        &self.spots
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Ends a fault's rules; with a part, only that one's.
    pub(super) fn remove(&mut self, fault: usize, part: Option<u32>) {
        self.rules.retain(|rule| rule.fault.0 != fault || part.is_some_and(|part| rule.fault.1 != part));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// One way without faults.
    pub(super) fn way(&self, from: usize, to: usize) -> OneWay {
        let (from, to) = (self.spots[from], self.spots[to]);
        self.latencies.one_way(from.place, to.place, u32::from(from.last_mile) + u32::from(to.last_mile))
    }

    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.rules.iter().any(|rule| matches!(rule.effect, Effect::Cut) && rule.touches(from, to))
    }

    pub(super) fn condition(&self, from: usize, to: usize) -> Condition {
        let mut condition = Condition { blocked: false, quality: self.quality, slower: 1.0 };
        for rule in self.rules.iter().filter(|rule| rule.touches(from, to)) {
            match rule.effect {
                Effect::Cut => condition.blocked = true,
                Effect::Worse { quality, slower } => {
                    let both = |one: f64, other: f64| 1.0 - (1.0 - one) * (1.0 - other);
                    let known = &mut condition.quality;
                    known.loss = both(known.loss, quality.loss);
                    known.duplicate = both(known.duplicate, quality.duplicate);
                    known.reorder = both(known.reorder, quality.reorder);
                    known.bytes_per_s = [known.bytes_per_s, quality.bytes_per_s].into_iter().flatten().min();
                    condition.slower *= slower;
                }
            }
        }
        condition
    }
}
