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
use crate::gateway::gather::Gathering;
use crate::gateway::problem::Problem;
use crate::gateway::pushes::{Answer, Outbox, Pushes, Wakes};
use crate::limits::{EVENTS_PER_BATCH_COUNT_MAX, LOG_FRAME_BYTES_MAX, RECORD_BYTES_MAX};
use crate::replica::{Core, NotDurable, RecordError, Recorded, WatchId};
use crate::store::Seq;
use crate::time::{WallTime, system};

/// Events recorded at once: with every record as large as can be, they fit a frame of the log.
const EVENTS_COUNT_MAX: usize = 4 * EVENTS_PER_BATCH_COUNT_MAX;
const _: () = assert!(EVENTS_COUNT_MAX * RECORD_BYTES_MAX < LOG_FRAME_BYTES_MAX, "what is gathered fits one log frame");

/// A message of events, and whom to answer.
pub(super) struct Submission {
    pub(super) outbox: Arc<Outbox>,
    pub(super) id: MessageId,
    pub(super) batch: Batch,
    /// Length of the message, in bytes.
    pub(super) bytes: usize,
    /// Its room among the bodies of the gateway, until it is recorded.
    pub(super) room: OwnedSemaphorePermit,
}

/// Records for sockets.
pub(crate) struct Recorder {
    core: Arc<Core>,
    flushed: WatchId,
    line: Arc<Gathering<Vec<Submission>>>,
}

/// An answer that waits until what it acknowledges is durable.
struct Pending {
    outbox: Arc<Outbox>,
    id: MessageId,
    bytes: usize,
    counted: Counted,
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
                // What comes while this is being synced is synced next, and all of it at once: recorded any sooner, it would be no sooner durable.
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

    pub(super) fn submit(&self, submissions: &mut Vec<Submission>) {
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
        jumps.judge(together.now, &mut submission.batch, &mut together.judged);
        let events = submission.batch.events.len();
        if count + events > EVENTS_COUNT_MAX {
            together.record(std::mem::take(&mut batch));
            count = 0;
        }
        count += events;
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
                for Submission { outbox, id, bytes, .. } in submissions {
                    outbox.answer(Answer { text: message::error(&id, &problem), asked_bytes: bytes }, &mut wakes);
                }
            }
        }
    }

    fn try_record(&self, submissions: &[Submission]) -> Result<Recorded, RecordError> {
        let batches: Vec<_> = submissions.iter().map(|submission| (submission.batch.sent_at, submission.batch.events.as_slice())).collect();
        self.pushes.recording(|made| {
            let recorded = self.core.record_all(self.now, &batches)?;
            let owners = submissions.iter().flat_map(|submission| submission.batch.events.iter().map(|event| (event, &submission.outbox)));
            for ((event, outbox), change) in owners.zip(&recorded.changes) {
                if let Some(seq) = change {
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
    for Submission { outbox, id, batch, bytes, room } in submissions {
        let count = batch.events.len();
        let counted = batch.counted(outcomes.by_ref().take(count));
        accepted += counted.accepted;
        events::count_refused(&counted.refused);
        drop(room);
        pending.push(Pending { outbox, id, bytes, counted });
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
    for Pending { outbox, id, bytes, counted } in pending {
        let text = match kept {
            Ok(()) => message::ack(&id, &counted, now),
            Err(error) => message::error(&id, &Problem::from(RecordError::from(error.clone()))),
        };
        outbox.answer(Answer { text, asked_bytes: bytes }, &mut wakes);
    }
}
