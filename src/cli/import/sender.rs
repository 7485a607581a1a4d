//! Batches on their way to a node: of bounded size, tried again while the node is busy, with what it refused told by line.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::client::{Client, Refused};
use crate::cli::failure::Failure;
use crate::cli::output::{self, pause};
use crate::progress::PlaybackEvent;
use crate::time::system::wall_now;

/// Events in one batch: well below what a node takes, so that one that grows by its ids stays below it too.
const BATCH_COUNT: usize = 500;
const ATTEMPTS_COUNT_MAX: u32 = 60;
/// How often the same events are sent that a node refuses because there are too many of their profile.
const ROUNDS_COUNT_MAX: u32 = 600;
/// How long they are kept back where it does not say.
const HELD_BACK_TIME: Duration = Duration::from_secs(1);
/// Refusals told one by one; the others are counted.
const TOLD_COUNT_MAX: u64 = 20;

/// Gathers events and sends them.
pub(super) struct Sender<'a> {
    client: &'a Client,
    events: Vec<PlaybackEvent>,
    lines: Vec<u64>,
    sent: u64,
    accepted: u64,
    refused: u64,
}

impl<'a> Sender<'a> {
    /// Nothing sent yet.
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, events: Vec::new(), lines: Vec::new(), sent: 0, accepted: 0, refused: 0 }
    }

    /// Takes an event from a line of the file.
    pub(super) fn push(&mut self, line: u64, event: PlaybackEvent) -> Result<(), Failure> {
        self.events.push(event);
        self.lines.push(line);
        if self.events.len() >= BATCH_COUNT { self.flush() } else { Ok(()) }
    }

    /// Counts a line that is no event and so is not sent.
    pub(super) fn refuse(&mut self, told: &impl std::fmt::Display) {
        self.refused += 1;
        if self.refused <= TOLD_COUNT_MAX {
            output::note(format!("{told}; left out"));
        }
    }

    /// Sends what is gathered; on return the node has it on its disk.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let mut round = 1;
        while !self.events.is_empty() {
            let answer = self.send()?;
            self.take(&answer, round < ROUNDS_COUNT_MAX);
            if !self.events.is_empty() {
                pause(HELD_BACK_TIME);
            }
            round += 1;
        }
        Ok(())
    }

    /// Takes an answer. What the node has refused only for now stays here, in its order: left out, it would be lost, and a repeat of the import
    /// would lose it again.
    fn take(&mut self, answer: &Value, may_stay: bool) {
        let mut kept = Vec::new();
        self.accepted += output::number(answer, "accepted");
        for refused in answer["refused"].as_array().into_iter().flatten() {
            let index = output::number(refused, "index") as usize;
            if may_stay && refused["code"] == "rate_limited" && index < self.events.len() {
                kept.push(index);
                continue;
            }
            self.refused += 1;
            if self.refused <= TOLD_COUNT_MAX {
                let line = self.lines.get(index).copied().unwrap_or(0);
                output::note(format!("line {line} refused: {} ({})", output::text(refused, "reason"), output::text(refused, "code")));
            }
        }
        kept.sort_unstable();
        self.sent += (self.events.len() - kept.len()) as u64;
        self.events = kept.iter().map(|index| self.events[*index].clone()).collect();
        self.lines = kept.iter().map(|index| self.lines[*index]).collect();
    }

    fn send(&self) -> Result<Value, Failure> {
        let mut attempt = 1;
        loop {
            // The clock is read for each attempt: it tells the node how old the events are when they arrive.
            let body = json!({"sent_at_ms": wall_now().as_millis(), "events": self.events});
            match self.client.post("/v1/events", &body) {
                Ok(answer) => return Ok(answer),
                // A node that was never reached is a wrong URL more likely than a short absence.
                Err(Refused::Later(_, after)) if attempt < ATTEMPTS_COUNT_MAX && (self.sent > 0 || attempt < 3) => {
                    attempt += 1;
                    pause(after);
                }
                Err(refused) => {
                    let failure = Failure::from(refused);
                    return Err(Failure::new(format!("{failure}; {} events had been taken, and the import may be repeated", self.sent)));
                }
            }
        }
    }

    /// Events that the node has answered for.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Of these, accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Refused, by the node or as no events at all.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}
