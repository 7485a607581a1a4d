//! The line: what the committing thread leaves to be pushed, so that it does not do the work itself.

use std::sync::Arc;

use super::circle::Circle;
use super::topic::Topic;
use crate::gateway::gather::{Gathered, Gathering};
use crate::limits::CHANGES_WAITING_COUNT_MAX;
use crate::progress::TitleId;
use crate::replica::Core;
use crate::store::Seq;

/// What changed in a topic.
pub(super) enum What {
    Title(TitleId),
    Erased,
    /// Anything: its followers read the store.
    Everything,
}

/// A change to be pushed.
pub(super) struct Notice {
    pub(super) topic: Arc<Topic>,
    pub(super) what: What,
    pub(super) seq: Seq,
}

/// Something to be done when what it waited for is durable. Runs on the pushing thread.
pub(crate) type Job = Box<dyn FnOnce(&Core) + Send>;

/// What is to be done.
#[derive(Default)]
pub(super) struct Work {
    pub(super) jobs: Vec<Job>,
    pub(super) notices: Vec<Notice>,
    /// Those in which something changed, each once.
    pub(super) circles: Vec<Arc<Circle>>,
    /// More changed than could wait: everybody reads the store.
    pub(super) overflow: bool,
}

impl Gathered for Work {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.notices.is_empty() && self.circles.is_empty() && !self.overflow
    }

    fn is_plenty(&self) -> bool {
        // It is never held.
        !self.is_empty()
    }
}

pub(super) type Line = Gathering<Work>;

impl Line {
    /// Takes note of a change; the thread is woken when all of them are noted that became durable together.
    pub(super) fn note(&self, notice: Notice) {
        self.add_quietly(|work| {
            if work.notices.len() >= CHANGES_WAITING_COUNT_MAX {
                work.notices = Vec::new();
                work.overflow = true;
            } else if !work.overflow {
                work.notices.push(notice);
            }
        });
    }

    pub(super) fn note_circle(&self, circle: Arc<Circle>) {
        if circle.begins_to_wait() {
            self.add(|work| work.circles.push(circle));
        }
    }

    pub(super) fn job(&self, job: Job) {
        self.add(|work| work.jobs.push(job));
    }
}
