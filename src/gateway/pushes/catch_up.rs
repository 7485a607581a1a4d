//! Catching up: what arrived in some profiles after a cursor, read from the store.

use std::sync::Arc;

use super::outbox::{Outbox, Push, PushKind};
use super::topic::Topic;
use super::{erased_text, progress_text, reset_text};
use crate::limits::CATCH_UP_COUNT_MAX;
use crate::progress::{Progress, TitleId};
use crate::replica::Core;
use crate::store::{ReadError, Seq};

/// A profile, and since when its reader has missed changes.
pub(super) struct Missed {
    pub(super) topic: Arc<Topic>,
    pub(super) after: Seq,
    pub(super) reset: bool,
}

/// What a reader had missed.
pub(super) struct CaughtUp {
    pub(super) pushes: Vec<Push>,
    /// With the pushes, everything up to here has been pushed.
    pub(super) until: Seq,
    /// There is more.
    pub(super) more: bool,
}

struct Found {
    topic: usize,
    title: Option<(TitleId, Progress)>,
    arrived: Seq,
}

/// Reads what was missed, oldest first, at most [`CATCH_UP_COUNT_MAX`] of it.
pub(super) fn catch_up(core: &Core, outbox: &Outbox, missed: &[Missed]) -> Result<CaughtUp, ReadError> {
    // First of all: what becomes visible during the reads waits in the outbox, so nothing falls in between.
    outbox.go_live();
    let store = core.store();
    let durable = store.durable();
    let mut found = Vec::new();
    for (index, Missed { topic, after, reset }) in missed.iter().enumerate() {
        let stored = core.profile(&topic.profile)?;
        let erased = store.erasure_arrived(&topic.profile);
        // Who is told to forget everything anyway need not hear of it.
        if erased > *after && !reset {
            found.push(Found { topic: index, title: None, arrived: erased });
        }
        let mut arrived = stored.arrived;
        for (title, progress) in stored.profile.registers {
            let arrived = arrived.remove(&title).unwrap_or_default();
            if arrived > *after {
                found.push(Found { topic: index, title: Some((title, progress)), arrived });
            }
        }
    }
    found.sort_by(|a, b| a.arrived.cmp(&b.arrived).then_with(|| a.title.is_some().cmp(&b.title.is_some())));
    let more = found.len() > CATCH_UP_COUNT_MAX;
    if more {
        found.truncate(CATCH_UP_COUNT_MAX);
        outbox.fall_behind();
    }
    let resets = missed.iter().filter(|missed| missed.reset).map(|missed| Push {
        topic: Arc::clone(&missed.topic),
        title: None,
        kind: PushKind::Reset,
        seq: Seq(0),
        arrived: Seq(0),
        text: reset_text(store, &missed.topic.profile),
    });
    let mut pushes: Vec<Push> = resets.collect();
    for Found { topic, title, arrived } in found {
        let topic = Arc::clone(&missed[topic].topic);
        // What arrived while this was read is no place to resume from: in another profile, something older may have arrived unseen.
        let seq = arrived.min(durable);
        pushes.push(match title {
            Some((title, progress)) => {
                let (text, kind) = progress_text(store, &topic.profile, &title, &progress, seq);
                Push { topic, title: Some(title), kind, seq, arrived, text }
            }
            None => Push { text: erased_text(store, &topic.profile, seq), topic, title: None, kind: PushKind::Erased, seq, arrived },
        });
    }
    let until = if more { pushes.last().map_or(durable, |push| push.seq) } else { durable };
    Ok(CaughtUp { pushes, until, more })
}
