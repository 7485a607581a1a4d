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
    pub(super) reached: Reached,
    pub(super) reset: bool,
}

/// How far a reader has been told of a profile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    /// Of everything that arrived up to here.
    pub(super) after: Seq,
    /// Of an erasure up to here, whatever else; a reset tells of all there are.
    pub(super) erased: Seq,
}

/// What a reader had missed.
pub(super) struct CaughtUp {
    pub(super) pushes: Vec<Push>,
    /// With the pushes, how far it has been told of each of the profiles.
    pub(super) reached: Vec<Reached>,
    /// And up to where of all of them.
    pub(super) until: Seq,
    /// There is more.
    pub(super) more: bool,
}

struct Found {
    topic: usize,
    // None: the profile was erased.
    title: Option<(TitleId, Progress)>,
    arrived: Seq,
}

impl Found {
    fn order(&self) -> (Seq, bool) {
        (self.arrived, self.title.is_some())
    }
}

/// Reads what was missed, at most [`CATCH_UP_COUNT_MAX`] of it: of the profile first of which least was told, and of others only while there
/// is room: so a reader of many profiles has few of them read each time. What is read is handed over oldest first.
pub(super) fn catch_up(core: &Core, outbox: &Outbox, missed: &[Missed]) -> Result<CaughtUp, ReadError> {
    // First of all: what becomes visible during the reads waits in the outbox, so nothing falls in between.
    outbox.go_live();
    let store = core.store();
    let durable = store.durable();
    let begun = |missed: &Missed| {
        let erased = || store.erasure_arrived(&missed.topic.profile);
        if missed.reset { Reached { after: Seq(0), erased: erased() } } else { missed.reached }
    };
    let mut reached: Vec<Reached> = missed.iter().map(begun).collect();
    let mut order: Vec<usize> = (0..missed.len()).collect();
    order.sort_by_key(|index| reached[*index].after);
    let mut found = Vec::new();
    // Those that have been told of everything; of another one, what it has not been told of bounds what a cursor may say.
    let mut is_done = vec![false; missed.len()];
    for index in order {
        let room = CATCH_UP_COUNT_MAX - found.len();
        if room == 0 {
            break;
        }
        let reached = &mut reached[index];
        let mut later = later(core, &missed[index].topic, index, *reached)?;
        is_done[index] = later.len() <= room;
        if is_done[index] {
            reached.after = reached.after.max(durable);
        } else {
            later.select_nth_unstable_by_key(room, Found::order);
            later.truncate(room);
            // What arrived since the reads began is told again: then all that is older is sure to be seen.
            let last = later.iter().map(|found| found.arrived).max().unwrap_or_default();
            reached.after = reached.after.max(last.min(durable));
        }
        reached.erased = later.iter().filter(|found| found.title.is_none()).map(|found| found.arrived).max().unwrap_or(reached.erased);
        found.append(&mut later);
    }
    let unfinished = reached.iter().zip(&is_done).filter(|(_, is_done)| !**is_done).map(|(reached, _)| reached.after).min();
    let (more, until) = (unfinished.is_some(), unfinished.unwrap_or(durable));
    if more {
        outbox.fall_behind();
    }
    found.sort_by_key(Found::order);
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
        // What arrived while this was read is no place to resume from: in another profile, something older may have arrived unseen. Nor is what
        // arrived later than what is still to be read of another profile.
        let seq = arrived.min(until);
        pushes.push(match title {
            Some((title, progress)) => {
                let (text, kind) = progress_text(store, &topic.profile, &title, &progress, seq);
                Push { topic, title: Some(title), kind, seq, arrived, text }
            }
            None => Push { text: erased_text(store, &topic.profile, seq), topic, title: None, kind: PushKind::Erased, seq, arrived },
        });
    }
    Ok(CaughtUp { pushes, reached, until, more })
}

/// What arrived in a profile later than what has been told.
fn later(core: &Core, topic: &Topic, index: usize, reached: Reached) -> Result<Vec<Found>, ReadError> {
    let stored = core.profile(&topic.profile)?;
    let erased = core.store().erasure_arrived(&topic.profile);
    let mut arrived = stored.arrived;
    let registers = stored.profile.registers.into_iter().filter_map(|(title, progress)| {
        let arrived = arrived.remove(&title).unwrap_or_default();
        (arrived > reached.after).then_some(Found { topic: index, title: Some((title, progress)), arrived })
    });
    let erasure = (erased > reached.after.max(reached.erased)).then_some(Found { topic: index, title: None, arrived: erased });
    Ok(erasure.into_iter().chain(registers).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::gateway::pushes::OutboxId;
    use crate::progress::{EventKind, PlaybackEvent, ProfileId};
    use crate::replica::CoreOptions;
    use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};
    use crate::time::WallTime;

    const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);
    const PROFILES: [&str; 4] = ["ada", "bob", "cid", "eve"];
    const TITLES: usize = 300;

    fn record(core: &Core, profile: &str, title: usize, position_ms: u64) {
        let event = PlaybackEvent::new(profile, format!("t{title}"), "tv", EventKind::Pause, position_ms);
        core.record(NOW, None, &[event]).unwrap();
    }

    /// When each title of each profile has arrived.
    fn arrivals(core: &Core) -> BTreeMap<(String, String), Seq> {
        let of = |profile: &str| core.profile(&ProfileId::new(profile).unwrap()).unwrap().arrived;
        PROFILES
            .iter()
            .flat_map(|profile| of(profile).into_iter().map(|(title, seq)| ((profile.to_string(), title.to_string()), seq)))
            .collect()
    }

    #[test]
    fn many_long_histories_are_told_profile_by_profile_whole_and_no_cursor_promises_too_much() {
        let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
        let core = Core::new(Store::in_memory(StoreOptions::small(), fresh), CoreOptions::default());
        // Interleaved, so that by the time of arrival every profile would have to be read each time.
        for title in 0..TITLES {
            PROFILES.iter().for_each(|profile| record(&core, profile, title, 1_000));
        }
        core.flush().unwrap();
        let outbox = Outbox::new(OutboxId(1));
        let topic = |profile: &&str| Arc::new(Topic::new(ProfileId::new(*profile).unwrap()));
        let mut missed: Vec<Missed> =
            PROFILES.iter().map(|profile| Missed { topic: topic(profile), reached: Reached::default(), reset: true }).collect();
        let (mut told, mut reads, mut of_profiles_count, mut resets) = (BTreeSet::new(), 0, 0, 0);
        loop {
            let caught_up = catch_up(&core, &outbox, &missed).unwrap();
            reads += 1;
            let arrived = arrivals(&core);
            let mut of_profiles = BTreeSet::new();
            for push in &caught_up.pushes {
                let profile = push.topic.profile.to_string();
                let Some(title) = &push.title else {
                    resets += 1;
                    continue;
                };
                of_profiles.insert(profile.clone());
                told.insert((profile, title.to_string()));
                let unseen = arrived.iter().find(|(of, seq)| **seq <= push.seq && !told.contains(*of));
                assert_eq!(unseen, None, "whoever resumes at {:?} would never hear of it", push.seq);
            }
            of_profiles_count += of_profiles.len();
            for (missed, reached) in missed.iter_mut().zip(&caught_up.reached) {
                (missed.reached, missed.reset) = (*reached, false);
            }
            if !caught_up.more {
                assert_eq!(caught_up.until, core.store().durable());
                break;
            }
            assert!(outbox.is_behind());
            if reads == 9 {
                // In a profile that was done: it is told before the end.
                record(&core, "ada", 7, 60_000);
                core.flush().unwrap();
                told.remove(&("ada".to_owned(), "t7".to_owned()));
            }
        }
        assert_eq!((told.len(), resets), (PROFILES.len() * TITLES, PROFILES.len()));
        assert!(reads <= PROFILES.len() * TITLES / CATCH_UP_COUNT_MAX + 2, "{reads}");
        assert!(of_profiles_count <= reads + 2 * PROFILES.len(), "one each time, and others where there was room: {of_profiles_count}");
    }
}
