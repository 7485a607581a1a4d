//! A link with its buffers: what can be moved to another thread while it reads much.

use std::sync::Arc;

use crate::limits::HELLO_FRAME_BYTES_MAX;
use crate::replica::Core;
use crate::sync::frame::{self, FrameError};
use crate::sync::message::Bye;
use crate::sync::{Handled, Link, LinkError, LinkState};
use crate::time::MonotonicTime;
use crate::time::system::{monotonic_now, wall_now};

/// Received bytes that wait to be taken: a frame and a half.
const IN_BYTES_MAX: usize = crate::limits::FRAME_BYTES_MAX * 3 / 2;

/// Polled bytes that wait to be written.
const OUT_BYTES_MAX: usize = 512 << 10;

/// Consumed bytes at the head of the buffer that are worth moving the rest for.
const COMPACT_BYTES: usize = 128 << 10;

/// A link, what was received for it and what it wants written.
pub(super) struct Machine {
    pub(super) core: Arc<Core>,
    pub(super) link: Link,
    received: Vec<u8>,
    taken: usize,
    out: Vec<u8>,
    written: usize,
    busy_until: Option<MonotonicTime>,
}

impl Machine {
    pub(super) const fn new(core: Arc<Core>, link: Link) -> Self {
        Self { core, link, received: Vec::new(), taken: 0, out: Vec::new(), written: 0, busy_until: None }
    }

    /// Whether more bytes are wanted from the peer.
    pub(super) fn wants_bytes(&self) -> bool {
        self.busy_until.is_none() && self.received.len() - self.taken < IN_BYTES_MAX
    }

    pub(super) fn push_received(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// What is to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    pub(super) fn note_written(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// When the next turn is due though nothing arrives or changes.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        [self.busy_until, self.link.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether the next turn may read much of the store.
    pub(super) fn is_heavy(&self) -> bool {
        self.link.is_heavy(monotonic_now())
    }

    /// Takes what was received, notes the time, and polls what is to be written.
    pub(super) fn turn(&mut self) -> Result<(), LinkError> {
        let (now, mono) = (wall_now(), monotonic_now());
        self.link.handle_timeout(now, mono, &self.core)?;
        self.busy_until = self.busy_until.filter(|until| *until > mono);
        while self.busy_until.is_none() {
            let Some(found) = frame::split(self.received.get(self.taken..).unwrap_or_default())? else { break };
            match self.link.handle_frame(now, mono, &self.core, found.number, found.body)? {
                Handled::Done => self.taken += found.bytes,
                Handled::Busy(pause) => self.busy_until = Some(mono + pause),
            }
        }
        if self.link.state() == LinkState::Greeting && self.received.len() - self.taken > HELLO_FRAME_BYTES_MAX {
            return Err(LinkError::Frame(FrameError::Length));
        }
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        } else if self.taken > COMPACT_BYTES {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
        while self.out.len() - self.written < OUT_BYTES_MAX {
            if !self.link.poll_frame(mono, &self.core, &mut self.out)? {
                break;
            }
        }
        Ok(())
    }

    /// Makes the goodbye the last thing to be written. What stands before it is written too: a frame cut short would hide it.
    pub(super) fn say_bye(&mut self, bye: &Bye) {
        self.link.say_bye(bye);
        let mut frame = Vec::new();
        if self.link.poll_frame(monotonic_now(), &self.core, &mut frame).is_ok() {
            self.out.extend_from_slice(&frame);
        }
    }
}
