//! The way in: batches become frames in a buffer, the buffer becomes a synced group in the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::LogError;
use super::log::segment::{FrameDraft, FrameKind, put_mark};
use super::log::writer::LogWriter;
use super::present::Scratch;
use super::{AppendError, Appended, Batch, Seq};
use crate::limits::LOG_FRAME_BYTES_MAX;

/// Frames that wait for a flush.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    next: u64,
    /// The last number given to a batch since opening.
    appended: Seq,
    /// Why nothing is taken any more.
    closed: Option<Arc<str>>,
}

/// What the committer holds while it writes.
pub(super) struct Committer {
    pub(super) writer: LogWriter,
    /// Given in exchange for the full buffer, so that none is allocated in the steady state.
    pub(super) spare: Vec<u8>,
    pub(super) scratch: Scratch,
    /// Taken and not yet written.
    pub(super) begun: Option<Group>,
}

/// A group of frames taken for writing.
pub(super) struct Group {
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) bytes: Vec<u8>,
}

/// The buffer before the log, and the log's end.
pub(super) struct Intake {
    pending: Mutex<Pending>,
    committer: Mutex<Committer>,
    /// Segments and bytes of the log, kept beside the committer, whose lock is held while it syncs.
    log_figures: Mutex<(usize, u64)>,
    pending_bytes_max: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    pub(super) fn new(writer: LogWriter, next: u64, pending_bytes_max: usize) -> Self {
        let committer = Committer { writer, spare: Vec::new(), scratch: Scratch::default(), begun: None };
        Self {
            pending: Mutex::new(Pending { bytes: Vec::new(), next, appended: Seq(0), closed: None }),
            log_figures: Mutex::new(figures_of(&committer.writer)),
            committer: Mutex::new(committer),
            pending_bytes_max,
        }
    }

    /// Whether a batch of this size would be taken now.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), AppendError> {
        if bytes > LOG_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes, bound: LOG_FRAME_BYTES_MAX });
        }
        let pending = lock(&self.pending);
        if let Some(reason) = &pending.closed {
            return Err(AppendError::Closed(reason.clone()));
        }
        if pending.bytes.len() > self.pending_bytes_max {
            return Err(AppendError::Overloaded { what: "buffer before the log", retry_ms: 20 });
        }
        Ok(())
    }

    /// Gives a batch its sequence numbers and puts its frame into the buffer.
    pub(super) fn append(&self, batch: &Batch, kind: FrameKind) -> Result<Appended, AppendError> {
        if batch.bytes() > LOG_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: batch.bytes(), bound: LOG_FRAME_BYTES_MAX });
        }
        let draft = FrameDraft::new(batch, kind);
        let mut pending = lock(&self.pending);
        if let Some(reason) = &pending.closed {
            return Err(AppendError::Closed(reason.clone()));
        }
        let first = Seq(pending.next);
        let last = Seq(first.0 + u64::from(batch.count.max(1)) - 1);
        if pending.bytes.is_empty() {
            put_mark(first, &mut pending.bytes);
        }
        draft.put(first, &batch.bytes, &mut pending.bytes);
        pending.next = last.0 + 1;
        pending.appended = last;
        Ok(Appended { first, last })
    }

    /// The last number given to a batch since opening; zero if none was.
    pub(super) fn appended(&self) -> Seq {
        lock(&self.pending).appended
    }

    /// The committer. One flush at a time.
    pub(super) fn committer(&self) -> MutexGuard<'_, Committer> {
        lock(&self.committer)
    }

    /// Takes what waits, if anything does.
    pub(super) fn take(&self, committer: &mut Committer) -> Result<Option<Group>, Arc<str>> {
        let mut pending = lock(&self.pending);
        if let Some(reason) = &pending.closed {
            return Err(reason.clone());
        }
        if pending.bytes.is_empty() {
            return Ok(None);
        }
        let bytes = std::mem::replace(&mut pending.bytes, std::mem::take(&mut committer.spare));
        let last = Seq(pending.next - 1);
        drop(pending);
        let first = super::log::segment::Frame::peek(&bytes).map_or(last, |(_, _, first)| first);
        Ok(Some(Group { first, last, bytes }))
    }

    #[cfg(leftoff_planted)]
    pub(super) fn show_waiting(&self, present: &super::present::Present) {
        let bytes = lock(&self.pending).bytes.clone();
        let mut at = 0;
        while let Some(frame) = bytes.get(at..).and_then(super::log::segment::Frame::read_unchecked) {
            at += frame.bytes;
            if !frame.is_mark {
                let _ = present.apply(&frame, &|_| None, &mut Scratch::default(), &mut |_| ());
            }
        }
    }

    /// Takes nothing more, for the given reason: what waits is dropped, unacknowledged.
    pub(super) fn close(&self, reason: &Arc<str>) {
        let mut pending = lock(&self.pending);
        pending.closed.get_or_insert_with(|| reason.clone());
        pending.bytes = Vec::new();
    }

    /// Takes note of how large the log is.
    pub(super) fn note_log(&self, committer: &Committer) {
        *lock(&self.log_figures) = figures_of(&committer.writer);
    }

    /// Segments of the log, and their bytes.
    pub(super) fn log_figures(&self) -> (usize, u64) {
        *lock(&self.log_figures)
    }

    pub(super) fn closed(&self) -> Option<Arc<str>> {
        lock(&self.pending).closed.clone()
    }

    pub(super) fn pending_bytes(&self) -> usize {
        lock(&self.pending).bytes.len()
    }
}

fn figures_of(writer: &LogWriter) -> (usize, u64) {
    let segments = writer.segments();
    (segments.len(), segments.iter().map(|segment| segment.bytes).sum())
}

/// An error with its causes, as one text.
pub(super) fn chain(error: &LogError) -> Arc<str> {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.into()
}
