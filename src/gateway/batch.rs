//! A batch of events on its way through the gateway: what its client sent, and by which index it is to be answered.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::fate::{Fate, Waits};
use crate::progress::{PlaybackEvent, Refusal, Version};
use crate::time::WallTime;

/// An event that does not count, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub(super) struct RefusedEvent {
    /// Which of the batch, from 0.
    pub(super) index: u32,
    /// Why, for programs.
    pub(super) code: &'static str,
    /// Why, for people.
    pub(super) reason: String,
}

/// A batch, decoded.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The device's clock when it sent the batch.
    pub(super) sent_at: Option<WallTime>,
    /// The events that could be read.
    pub(super) events: Vec<PlaybackEvent>,
    /// Which of the batch each of them is; none for one that the node found in what came before.
    pub(super) indices: Vec<Option<u32>>,
    /// Those that could not be read.
    pub(super) refused: Vec<RefusedEvent>,
    /// Whether its players say only where they are, so that moves must be guessed.
    pub(super) guess_moves: bool,
    /// Those that count as accepted and are not recorded, and which other one of the batch was in their stead.
    pub(super) stood_for: Vec<(u32, Option<u32>)>,
    /// Those that wait to be recorded with what others say of the same playheads.
    pub(super) waits: Waits,
}

impl Batch {
    /// Adds an event that the client sent.
    pub(super) fn push(&mut self, index: u32, event: PlaybackEvent) {
        self.keep(Some(index), event);
    }

    /// Adds an event.
    pub(super) fn keep(&mut self, index: Option<u32>, event: PlaybackEvent) {
        self.events.push(event);
        self.indices.push(index);
    }

    /// The time, by the clock that its events are dated by, at which it was sent. If it does not say so, the newest of them is taken for new: the
    /// device's clock may be wrong.
    pub(super) fn sent(&self, now: WallTime) -> WallTime {
        let newest = || self.events.iter().map(|event| event.at_ms.map(WallTime::from_millis)).max().flatten();
        self.sent_at.or_else(newest).unwrap_or(now)
    }

    /// Takes the events out, each with its index.
    pub(super) fn take(&mut self) -> Vec<(Option<u32>, PlaybackEvent)> {
        let events = std::mem::take(&mut self.events);
        std::mem::take(&mut self.indices).into_iter().zip(events).collect()
    }

    /// An event that is not recorded and counts as accepted all the same.
    pub(super) fn stand_for(&mut self, index: u32, by: Option<u32>) {
        self.stood_for.push((index, by));
    }

    /// An event that waits, and with it those that it stands for.
    pub(super) fn waits_for(&mut self, index: u32, fate: &Arc<Fate>) {
        let waits = &mut self.waits;
        self.stood_for.retain(|(stood, by)| {
            let goes_along = *by == Some(index);
            if goes_along {
                waits.push((*stood, Arc::clone(fate)));
            }
            !goes_along
        });
        waits.push((index, Arc::clone(fate)));
    }

    /// It is recorded after all.
    pub(super) fn forget_standing(&mut self, index: u32) {
        self.stood_for.retain(|(stood, _)| *stood != index);
    }

    /// What became of the batch but for what waits: `outcomes` are those of its events, in their order.
    pub(super) fn counted(self, outcomes: impl IntoIterator<Item = Result<Version, Refusal>>) -> Counted {
        let Self { indices, mut refused, stood_for, .. } = self;
        let mut versions = Vec::with_capacity(indices.len());
        for (index, outcome) in indices.into_iter().zip(outcomes) {
            match (outcome, index) {
                (Ok(version), Some(index)) => versions.push((index, version)),
                (Err(refusal), Some(index)) => refused.push(RefusedEvent { index, code: refusal.code(), reason: refusal.to_string() }),
                // What the node itself has found is refused like the report it was found with, which says so.
                (_, None) => {}
            }
        }
        let mut accepted = versions.len() + stood_for.len();
        for (index, by) in stood_for {
            let version = by.and_then(|by| versions.iter().find(|(kept, _)| *kept == by)).map(|(_, version)| *version);
            match (by, version) {
                (None, _) => {}
                (Some(_), Some(version)) => versions.push((index, version)),
                // What stands in its stead was refused, and so is it.
                (Some(by), None) => {
                    accepted -= 1;
                    let told = refused.iter().find(|told| told.index == by).cloned();
                    refused.extend(told.map(|told| RefusedEvent { index, ..told }));
                }
            }
        }
        // Nearly always sorted already.
        versions.sort_by_key(|(index, _)| *index);
        refused.sort_by_key(|refused| refused.index);
        Counted { accepted, versions, refused }
    }
}

/// What became of a batch, by the indices that its client gave.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) accepted: usize,
    /// Which place each accepted event counted in.
    pub(super) versions: Vec<(u32, Version)>,
    pub(super) refused: Vec<RefusedEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_another_stands_for_shares_its_fate() {
        let mut batch = Batch::default();
        for index in [2, 5] {
            batch.push(index, PlaybackEvent::new("p", "t", "d", crate::progress::EventKind::Heartbeat, 1));
        }
        batch.keep(None, batch.events[0].clone());
        batch.stand_for(0, Some(2));
        batch.stand_for(3, Some(5));
        batch.stand_for(4, None);
        let counted = batch.counted([Ok(Version::from_u64(7)), Err(Refusal::Speed), Err(Refusal::Speed)]);
        assert_eq!(counted.accepted, 3);
        assert_eq!(counted.versions.into_iter().map(|(index, version)| (index, version.as_u64())).collect::<Vec<_>>(), [(0, 7), (2, 7)]);
        assert_eq!(
            counted.refused.iter().map(|refused| (refused.index, refused.code)).collect::<Vec<_>>(),
            [(3, "bad_speed"), (5, "bad_speed")]
        );
    }
}
