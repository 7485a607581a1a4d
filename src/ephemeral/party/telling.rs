//! When the viewers of a party are told how it is: at once, but not as often as it changes.

use std::time::Duration;

use super::Party;
use crate::ephemeral::deadlines::Due;
use crate::ephemeral::turn::Turn;
use crate::ephemeral::watchers::{EphemeralChange, Topic};
use crate::progress::PartyId;
use crate::time::MonotonicTime;

/// The viewers of a party are told who came and went at most this often.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// And of commands that follow each other: whoever scrubs tells thousands, and the last place is what counts.
const COMMAND_INTERVAL: Duration = Duration::from_millis(100);

impl Party {
    /// Tells of who came and went: at once, unless something has just been told.
    pub(super) fn tell_soon(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        match self.told_at.map(|told| told + COUNT_INTERVAL) {
            Some(_) if self.to_be_told.is_some() => {}
            Some(due) if due > turn.now => self.tell_at(turn, id, due),
            _ => self.tell(turn, id),
        }
    }

    /// Tells of a command: at once, unless another has just been told.
    pub(super) fn tell_of_command(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        match self.steered_at.map(|told| told + COMMAND_INTERVAL) {
            Some(due) if due > turn.now => {
                self.is_steered = true;
                self.tell_at(turn, id, due);
            }
            _ => {
                self.steered_at = Some(turn.now);
                self.tell(turn, id);
            }
        }
    }

    fn tell_at(&mut self, turn: &mut Turn<'_>, id: &PartyId, due: MonotonicTime) {
        match self.to_be_told {
            Some(earlier) if earlier <= due => return,
            Some(later) => turn.deadlines.cancel(later, Due::Count(id.clone())),
            None => {}
        }
        self.to_be_told = Some(due);
        turn.deadlines.set(due, Due::Count(id.clone()));
    }

    /// Tells what has changed since it was last told: when that is due.
    pub(super) fn tell_what_is_due(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        self.to_be_told = None;
        if std::mem::take(&mut self.is_steered) {
            self.steered_at = Some(turn.now);
        }
        self.tell(turn, id);
    }

    /// Tells how it is now.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, id: &PartyId) {
        self.told_at = Some(turn.now);
        turn.tell(Topic::Party(id.clone()), EphemeralChange::Party);
    }
}
