//! What WebSockets report, recorded in batches over all of them.
//!
//! One thread records for all sockets: while it is busy with one batch, the next gathers, so that a thousand players cost one append and one
//! acknowledgement each time the disk has synced, and no thread has to be found for each of them.

use std::sync::{Arc, Weak};

use tokio::sync::OwnedSemaphorePermit;

use super::message::{self, MessageId};
use crate::gateway::batch::{Batch, Counted};
use crate::gateway::dialects::{Judged, Jumps};
use crate::gateway::events;
use crate::gateway::fate::{self, Fate, Outcome, Waits, when_all_known};
use crate::gateway::gather::Gathering;
use crate::gateway::problem::Problem;
use crate::gateway::pushes::{Answer, Outbox, Pushes, Wakes};
use crate::gateway::waiting::Waiter;
use crate::limits::{EVENTS_PER_BATCH_COUNT_MAX, LOG_FRAME_BYTES_MAX, RECORD_BYTES_MAX};
use crate::replica::{Core, NotDurable, RecordError, Recorded, WatchId};
use crate::store::Seq;
use crate::time::{WallTime, system};

/// Events recorded at once: with every record as large as can be, they fit a frame of the log.
const EVENTS_COUNT_MAX: usize = 4 * EVENTS_PER_BATCH_COUNT_MAX;
const _: () = assert!(EVENTS_COUNT_MAX * RECORD_BYTES_MAX < LOG_FRAME_BYTES_MAX, "what is gathered fits one log frame");

/// Who is answered when a batch is recorded.
pub(super) enum Asker {
    /// A message of a socket.
    Socket {
        outbox: Arc<Outbox>,
        id: MessageId,
        /// Length of the message, in bytes.
        bytes: usize,
    },
    /// All whose reports it stands for; and the socket of the newest of them, which is not told of it.
    Waiting(Arc<Fate>, Option<Arc<Outbox>>),
}

impl Asker {
    fn outbox(&self) -> Option<&Arc<Outbox>> {
        match self {
            Self::Socket { outbox, .. } => Some(outbox),
            Self::Waiting(_, outbox) => outbox.as_ref(),
        }
    }

    fn refuse(self, problem: &Problem, wakes: &mut Wakes) {
        match self {
            Self::Socket { outbox, id, bytes } => outbox.answer(Answer { text: message::error(&id, problem), asked_bytes: bytes }, wakes),
            Self::Waiting(fate, _) => fate.settle(&Outcome::Failed(problem.clone())),
        }
    }

    /// What became of a batch that is durable but for what waits of it.
    fn acknowledge(self, mut counted: Counted, waits: Waits, now: WallTime, wakes: &mut Wakes) {
        match self {
            Self::Waiting(fate, _) => fate.settle(&Outcome::of_one(&counted)),
            Self::Socket { outbox, id, bytes } if waits.is_empty() => {
                outbox.answer(Answer { text: message::ack(&id, &counted, now), asked_bytes: bytes }, wakes);
            }
            Self::Socket { outbox, id, bytes } => {
                let fates: Vec<_> = waits.iter().map(|(_, fate)| Arc::clone(fate)).collect();
                when_all_known(&fates, move || {
                    let whole = fate::put_in(&waits, &mut counted);
                    events::count_accepted(counted.accepted);
                    events::count_refused(&counted.refused);
                    let text = match whole {
                        Ok(()) => message::ack(&id, &counted, now),
                        Err(problem) => message::error(&id, &problem),
                    };
                    outbox.answer(Answer { text, asked_bytes: bytes }, &mut Wakes::default());
                });
            }
        }
    }
}

/// A batch to be recorded, and whom to answer.
pub(in crate::gateway) struct Submission {
    pub(super) asker: Asker,
    pub(super) batch: Batch,
    /// Its room among the bodies of the gateway, until it is recorded.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Submission {
    /// A heartbeat that has waited, as it is recorded at `now`.
    pub(in crate::gateway) fn of_waiter(waiter: &Waiter, now: WallTime) -> Self {
        let asker = Asker::Waiting(Arc::clone(&waiter.fate), waiter.outbox.clone());
        Self { asker, batch: waiter.batch(now), room: None }
    }

    /// What those wait for whose reports it stands for.
    pub(in crate::gateway) fn fate(&self) -> Option<Arc<Fate>> {
        match &self.asker {
            Asker::Socket { .. } => None,
            Asker::Waiting(fate, _) => Some(Arc::clone(fate)),
        }
    }
}

/// Records for sockets.
pub(crate) struct Recorder {
    core: Arc<Core>,
    flushed: WatchId,
    line: Arc<Gathering<Vec<Submission>>>,
}

/// An answer that waits until what it acknowledges is durable.
struct Pending {
    asker: Asker,
    counted: Counted,
    waits: Waits,
}

impl Recorder {
    /// A recorder, and its thread, which ends with it.
    pub(in crate::gateway) fn start(core: Arc<Core>, pushes: &Arc<Pushes>, jumps: Arc<Jumps>) -> Self {
        let line: Arc<Gathering<Vec<Submission>>> = Arc::default();
        let (held, store) = (Arc::clone(&line), Arc::downgrade(&core));
        let flushed = core.on_change(Arc::new(move || {
            if let Some(core) = store.upgrade() {
                held.release(core.store().durable().0);
            }
        }));
        let (work, pushes, recording) = (Arc::clone(&line), Arc::downgrade(pushes), Arc::downgrade(&core));
        let thread = std::thread::Builder::new().name("leftoff-records".to_owned()).spawn(move || {
            while let Some(submissions) = work.take() {
                // None while everything ends.
                let Some(core) = recording.upgrade() else { return };
                let Some(last) = record(&core, &pushes, &jumps, submissions) else { continue };
                // What comes while this is being synced is synced next, and all of it at once: recorded any sooner, it would be no sooner durable. So
                // this thread sleeps until then, unless there is plenty to record.
                work.hold(last.0);
                work.release(core.store().durable().0);
            }
        });
        if let Err(error) = thread {
            // Without the other thread no socket gets this far, and that one has been tried first.
            tracing::error!(%error, "no thread for what WebSockets report");
        }
        Self { core, flushed, line }
    }

    pub(in crate::gateway) fn submit(&self, submissions: &mut Vec<Submission>) {
        self.line.add(|waiting| waiting.append(submissions));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.core.unwatch(self.flushed);
        self.line.close();
    }
}

/// Records what has gathered; answers the number of the last change.
fn record(core: &Core, pushes: &Weak<Pushes>, jumps: &Jumps, submissions: Vec<Submission>) -> Option<Seq> {
    // None while everything ends: nobody is left to answer.
    let pushes = pushes.upgrade()?;
    let mut together = Together { core, pushes: &pushes, jumps, now: system::wall_now(), judged: Judged::default(), last: None };
    let mut batch: Vec<Submission> = Vec::new();
    let mut count = 0;
    for mut submission in submissions {
        // With each report that is guessed at, one may come along that was kept back.
        let events_max = submission.batch.events.len() * if submission.batch.guess_moves { 2 } else { 1 };
        if count + events_max > EVENTS_COUNT_MAX {
            // What the next batch makes of its players builds on this one, as far as it was recorded.
            together.record(std::mem::take(&mut batch));
            together.judged = Judged::default();
            count = 0;
        }
        jumps.judge(together.now, &mut submission.batch, &mut together.judged);
        count += submission.batch.events.len();
        batch.push(submission);
    }
    together.record(batch);
    together.last
}

/// What is recorded in one go.
struct Together<'a> {
    core: &'a Core,
    pushes: &'a Arc<Pushes>,
    jumps: &'a Jumps,
    now: WallTime,
    judged: Judged,
    last: Option<Seq>,
}

impl Together<'_> {
    fn record(&mut self, submissions: Vec<Submission>) {
        match self.try_record(&submissions) {
            Ok(recorded) => {
                self.jumps.settle(std::mem::take(&mut self.judged));
                self.last = recorded.last.or(self.last);
                answer_when_durable(self.core, self.pushes, submissions, recorded);
            }
            // What one of them builds on cannot be read: the others must not suffer for it. What was recorded is recognised.
            Err(RecordError::Read(_)) if submissions.len() > 1 => {
                for submission in submissions {
                    self.record(vec![submission]);
                }
            }
            Err(error) => {
                let (problem, mut wakes) = (Problem::from(error), Wakes::default());
                for submission in submissions {
                    submission.asker.refuse(&problem, &mut wakes);
                }
            }
        }
    }

    fn try_record(&self, submissions: &[Submission]) -> Result<Recorded, RecordError> {
        let batches: Vec<_> = submissions.iter().map(|submission| (submission.batch.sent_at, submission.batch.events.as_slice())).collect();
        self.pushes.recording(|made| {
            let recorded = self.core.record_all(self.now, &batches)?;
            let owners =
                submissions.iter().flat_map(|submission| submission.batch.events.iter().map(|event| (event, submission.asker.outbox())));
            for ((event, outbox), change) in owners.zip(&recorded.changes) {
                if let (Some(seq), Some(outbox)) = (change, outbox) {
                    made(&event.profile_id, *seq, outbox);
                }
            }
            Ok::<_, RecordError>(recorded)
        })
    }
}

fn answer_when_durable(core: &Core, pushes: &Arc<Pushes>, submissions: Vec<Submission>, recorded: Recorded) {
    let Recorded { outcomes, last, .. } = recorded;
    let mut outcomes = outcomes.into_iter();
    let mut pending = Vec::with_capacity(submissions.len());
    let mut accepted = 0;
    for Submission { asker, mut batch, room } in submissions {
        let count = batch.events.len();
        let waits = std::mem::take(&mut batch.waits);
        let counted = batch.counted(outcomes.by_ref().take(count));
        // What waits is counted with those whose reports it stands for.
        if waits.is_empty() && matches!(asker, Asker::Socket { .. }) {
            accepted += counted.accepted;
            events::count_refused(&counted.refused);
        }
        drop(room);
        pending.push(Pending { asker, counted, waits });
    }
    events::count_accepted(accepted);
    let Some(last) = last else { return answer(core, pending, &Ok(())) };
    let pushes = Arc::downgrade(pushes);
    // On the committing thread, which has more to do than to write JSON.
    let then = move |kept: Result<(), NotDurable>| {
        if let Some(pushes) = pushes.upgrade() {
            pushes.defer(Box::new(move |core| answer(core, pending, &kept)));
        }
    };
    core.when_durable(last, Box::new(then));
}

fn answer(core: &Core, pending: Vec<Pending>, kept: &Result<(), NotDurable>) {
    let now: WallTime = core.corrected(system::wall_now());
    let mut wakes = Wakes::default();
    for Pending { asker, counted, waits } in pending {
        match kept {
            Ok(()) => asker.acknowledge(counted, waits, now, &mut wakes),
            Err(error) => asker.refuse(&Problem::from(RecordError::from(error.clone())), &mut wakes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
    use crate::replica::CoreOptions;
    use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};

    fn heartbeat(profile: &str, position_ms: u64) -> PlaybackEvent {
        PlaybackEvent::new(profile, "film", "tv", EventKind::Heartbeat, position_ms)
    }

    /// A report of a player that says only where it is.
    fn report(position_ms: u64) -> Batch {
        let mut batch = Batch { guess_moves: true, ..Batch::default() };
        batch.push(0, heartbeat("ada", position_ms));
        batch
    }

    /// As many as a message may have.
    fn of_others(message: u64) -> Batch {
        let mut batch = Batch::default();
        let count = EVENTS_PER_BATCH_COUNT_MAX as u64;
        (0..count).for_each(|index| batch.push(index as u32, heartbeat("bob", (message * count + index) * 1_000)));
        batch
    }

    #[test]
    fn a_jump_that_was_refused_is_noticed_when_it_is_sent_again() {
        let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
        let options = StoreOptions { pending_bytes_max: 500, ..StoreOptions::small() };
        let core = Arc::new(Core::new(Store::in_memory(options, fresh), CoreOptions::default()));
        let (pushes, jumps) = (Pushes::start(Arc::clone(&core)), Jumps::default());
        let reader = pushes.open(1).unwrap();
        let submit = |batches: Vec<Batch>| {
            let asker = || Asker::Socket { outbox: Arc::clone(reader.outbox()), id: MessageId::default(), bytes: 0 };
            let submissions = batches.into_iter().map(|batch| Submission { asker: asker(), batch, room: None }).collect();
            record(&core, &Arc::downgrade(&pushes), &jumps, submissions);
        };
        let position = || {
            core.flush().unwrap();
            let (profile, title) = (ProfileId::new("ada").unwrap(), TitleId::new("film").unwrap());
            core.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis()
        };
        submit(vec![report(600_000)]);
        assert_eq!(position(), 600_000);
        submit(vec![report(30_000)]);
        assert_eq!(position(), 600_000, "kept back");
        // What shows that it was a jump comes behind so many others that it is recorded by itself, and there is no room for it any more.
        submit((0..4).map(of_others).chain([report(31_000)]).collect());
        assert_eq!(position(), 600_000);
        submit(vec![report(31_000)]);
        assert_eq!(position(), 31_000);
    }
}
